"""Microsoft's own clients against the Azure simulator: azure-identity, and azure-mgmt-compute with its pollers."""

from collections.abc import Iterator
from typing import Any

import pytest
from azure.core import MatchConditions
from azure.core.exceptions import (
    ClientAuthenticationError,
    HttpResponseError,
    ResourceExistsError,
    ResourceNotFoundError,
)
from azure.core.polling import LROPoller
from azure.identity import ClientSecretCredential
from azure.mgmt.compute import ComputeManagementClient

from providers.sandbox.authority import Authority
from providers.sandbox.azure import (
    CLIENT_ID,
    RESOURCE_GROUP,
    SECRET,
    SUBSCRIPTION,
    TENANT,
    AzureSandbox,
    OperationLinks,
)
from tests.sandbox.azure import ARM_SCOPE, COMPUTE, CUSTOM_DATA, vm_body
from tests.support.threads import at_once

# 39.0 takes the version from every call alone: the client's own parameter for it changes nothing.
VERSION: dict[str, Any] = {"api_version": COMPUTE}


@pytest.fixture
def credential(azure: AzureSandbox, authority: Authority) -> Iterator[ClientSecretCredential]:
    """The sandbox's principal."""
    with _credential(azure, authority) as credential:
        yield credential


@pytest.fixture
def client(
    azure: AzureSandbox, authority: Authority, credential: ClientSecretCredential
) -> Iterator[ComputeManagementClient]:
    """A client that does not repeat what failed, and polls often."""
    with ComputeManagementClient(
        credential,
        SUBSCRIPTION,
        base_url=azure.url,
        credential_scopes=[ARM_SCOPE],
        connection_verify=str(authority.ca_file),
        polling_interval=0.01,
        retry_total=0,
    ) as client:
        yield client


def _credential(azure: AzureSandbox, authority: Authority, secret: str = SECRET) -> ClientSecretCredential:
    return ClientSecretCredential(
        TENANT,
        CLIENT_ID,
        secret,
        authority=azure.url,
        disable_instance_discovery=True,
        connection_verify=str(authority.ca_file),
    )


def create(client: ComputeManagementClient, name: str, *, only_new: bool = False) -> LROPoller[Any]:
    """Begin to make a VM, on the condition that there is none, or without one."""
    body: Any = vm_body(name)
    condition: dict[str, Any] = {"etag": "*", "match_condition": MatchConditions.IfMissing} if only_new else {}
    poller: LROPoller[Any] = client.virtual_machines.begin_create_or_update(
        RESOURCE_GROUP, name, body, **condition, **VERSION
    )
    return poller


def codes(view: Any) -> list[str]:
    """The codes of an instance view's states."""
    return [status.code for status in view.statuses]


def test_token_is_given_to_azure_identity(azure: AzureSandbox, credential: ClientSecretCredential) -> None:
    """In two calls, the second time in none."""
    assert credential.get_token(ARM_SCOPE).token == credential.get_token(ARM_SCOPE).token
    assert [call.operation for call in azure.calls.list()] == ["OpenIdConfiguration", "Token"]


def test_wrong_secret_is_told_to_azure_identity(azure: AzureSandbox, authority: Authority) -> None:
    """With Entra's number, and without the secret."""
    with (
        _credential(azure, authority, "s3cr3t") as credential,
        pytest.raises(ClientAuthenticationError, match="AADSTS7000215") as caught,
    ):
        credential.get_token(ARM_SCOPE)
    assert "s3cr3t" not in str(caught.value)
    assert azure.failed_token_requests == 1


@pytest.mark.parametrize("links", OperationLinks)
def test_lifecycle_of_a_vm_works_by_the_sdk(
    azure: AzureSandbox, client: ComputeManagementClient, links: OperationLinks
) -> None:
    """Create with its network interface, look, stop, start, restart, delete, by either kind of link."""
    azure.knobs.operation_links = links
    vms = client.virtual_machines
    made = create(client, "test1", only_new=True).result()
    assert (made.name, made.properties.provisioning_state) == ("test1", "Succeeded")
    assert azure.custom_data("test1") == CUSTOM_DATA
    vms.begin_power_off(RESOURCE_GROUP, "test1", skip_shutdown=True, **VERSION).result()
    assert azure.vm("test1").power == "stopped"
    vms.begin_deallocate(RESOURCE_GROUP, "test1", **VERSION).result()
    view = vms.instance_view(RESOURCE_GROUP, "test1", **VERSION)
    assert codes(view) == ["ProvisioningState/succeeded", "PowerState/deallocated"]
    vms.begin_start(RESOURCE_GROUP, "test1", **VERSION).result()
    vms.begin_restart(RESOURCE_GROUP, "test1", **VERSION).result()
    assert (azure.vm("test1").power, azure.vm("test1").boots) == ("running", 3)
    vms.begin_delete(RESOURCE_GROUP, "test1", force_deletion=True, **VERSION).result()
    assert (azure.vms(), azure.network_interfaces(), azure.disks()) == ((), (), ())
    with pytest.raises(ResourceNotFoundError):
        vms.get(RESOURCE_GROUP, "test1", **VERSION)


def test_lists_are_read_to_their_end_by_the_sdk(azure: AzureSandbox, client: ComputeManagementClient) -> None:
    """Page after page, with states or without."""
    azure.knobs.page_size = 2
    names = azure.seed(5)
    assert [vm.name for vm in client.virtual_machines.list(RESOURCE_GROUP, **VERSION)] == names
    listed: list[Any] = list(client.virtual_machines.list_all(status_only="true", **VERSION))
    assert [codes(vm.properties.instance_view)[1] for vm in listed] == ["PowerState/running"] * 5
    assert azure.calls.count("VirtualMachines_List") == 3


def test_taken_name_is_told_by_the_sdk(azure: AzureSandbox, client: ComputeManagementClient) -> None:
    """By the condition alone."""
    (name,) = azure.seed(1)
    with pytest.raises(ResourceExistsError) as caught:
        create(client, name, only_new=True)
    assert caught.value.status_code == 412


def test_failed_operation_is_told_by_the_sdk(azure: AzureSandbox, client: ComputeManagementClient) -> None:
    """With the code of the operation."""
    azure.fail_next_operation("VirtualMachines_CreateOrUpdate", "AllocationFailed")
    poller = create(client, "test1")
    with pytest.raises(HttpResponseError) as caught:
        poller.result()
    assert caught.value.error is not None
    assert caught.value.error.code == "AllocationFailed"


def test_expired_token_is_told_by_the_sdk(azure: AzureSandbox, client: ComputeManagementClient) -> None:
    """The kept one is no longer good."""
    list(client.virtual_machines.list(RESOURCE_GROUP, **VERSION))
    azure.expire_tokens()
    with pytest.raises(ClientAuthenticationError) as caught:
        list(client.virtual_machines.list(RESOURCE_GROUP, **VERSION))
    assert caught.value.status_code == 401


def test_sixty_four_clients_at_once_are_all_served(azure: AzureSandbox, client: ComputeManagementClient) -> None:
    """Each makes a VM, and deletes it."""

    def live(number: int) -> str:
        name = f"test{number}"
        made = create(client, name).result()
        client.virtual_machines.begin_delete(RESOURCE_GROUP, name, **VERSION).result()
        return str(made.name)

    assert at_once(64, live) == [f"test{number}" for number in range(64)]
    assert (azure.vms(), azure.network_interfaces(), azure.disks()) == ((), (), ())
    assert len(azure.operations()) == 128
