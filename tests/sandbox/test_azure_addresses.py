"""The Azure simulator's addresses: API versions, subscription, groups, networks, locks, and what is not there."""

import pytest
import requests

from providers.sandbox.azure import RESOURCE_GROUP, SUBNET_ID, SUBSCRIPTION, AzureSandbox, LockLevel
from providers.sandbox.azure.routes import ROUTES
from providers.sandbox.faults import Cut, Fault
from tests.sandbox.azure import DISK_LIST, GROUP, NETWORK, NICS, RESOURCES, VMS, Caller, refused, vm_body, vm_path


def test_call_without_a_version_is_refused(arm: Caller) -> None:
    """ARM asks for one everywhere."""
    response = arm.call("GET", VMS, version=None)
    refused(response, 400, "MissingApiVersionParameter")
    assert response.headers["x-ms-failure-cause"] == "gateway"


@pytest.mark.parametrize(
    ("path", "version", "code"),
    [
        (VMS, "newest", "InvalidApiVersionParameter"),
        (VMS, "2014-01-01", "NoRegisteredProviderFound"),
        (DISK_LIST, "2024-07-01", "NoRegisteredProviderFound"),
        (GROUP, "2014-01-01", "InvalidApiVersionParameter"),
    ],
)
def test_call_with_an_unknown_version_is_told_the_known_ones(arm: Caller, path: str, version: str, code: str) -> None:
    """Each resource type has its own."""
    assert "2024-" in refused(arm.call("GET", path, version=version), 400, code)


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/subscriptions/none/providers/Microsoft.Compute/virtualMachines", 400, "InvalidSubscriptionId"),
        ("GET", GROUP.replace(SUBSCRIPTION, SUBSCRIPTION.replace("5b", "ff")), 404, "SubscriptionNotFound"),
        ("GET", f"{GROUP.replace(RESOURCE_GROUP, 'other')}", 404, "ResourceGroupNotFound"),
        ("GET", vm_path("nowhere"), 404, "ResourceNotFound"),
        ("GET", f"{NICS}/nowhere", 404, "ResourceNotFound"),
        ("GET", f"{DISK_LIST}/nowhere", 404, "ResourceNotFound"),
        ("POST", f"{vm_path('nowhere')}/start", 404, "ResourceNotFound"),
        ("POST", f"{vm_path('nowhere')}/redeploy", 404, "InvalidResourceType"),
        ("PATCH", vm_path("nowhere"), 405, "MethodNotAllowed"),
        ("GET", f"{GROUP}/providers/Microsoft.Compute/virtualMachineScaleSets", 404, "InvalidResourceType"),
        ("GET", f"{GROUP}/providers/Microsoft.Sql/servers", 404, "InvalidResourceNamespace"),
        ("GET", "/providers", 404, "InvalidRequestUri"),
    ],
)
def test_call_of_what_is_not_there_is_refused(arm: Caller, method: str, path: str, status: int, code: str) -> None:
    """By ARM itself, before a provider is asked."""
    version = NETWORK if "Microsoft.Network" in path else "2024-03-02" if "disks" in path else "2024-07-01"
    response = arm.call(method, path, version=version)
    refused(response, status, code)
    assert response.headers["x-ms-failure-cause"] == "gateway"


def test_group_network_and_subnet_are_shown(arm: Caller) -> None:
    """Whatever the case of their names."""
    assert arm.json("GET", GROUP.upper(), version=RESOURCES)["name"] == RESOURCE_GROUP
    subnet = arm.json("GET", SUBNET_ID.lower(), version=NETWORK)
    assert (subnet["id"], subnet["properties"]["addressPrefix"]) == (SUBNET_ID, "10.0.0.0/16")
    network = arm.json("GET", SUBNET_ID.partition("/subnets/")[0], version=NETWORK)
    assert [one["name"] for one in network["properties"]["subnets"]] == ["first-subnet", "small-subnet"]
    refused(arm.call("GET", f"{SUBNET_ID}x", version=NETWORK), 404, "NotFound")


def test_answer_has_arms_headers(arm: Caller) -> None:
    """A request id above all."""
    headers = arm.call("GET", VMS).headers
    assert headers["Content-Type"] == "application/json; charset=utf-8"
    assert headers["x-ms-request-id"]
    assert headers["x-ms-correlation-request-id"]
    assert headers["x-ms-ratelimit-remaining-subscription-global-reads"]


def test_lock_against_deleting_keeps_a_vm(azure: AzureSandbox, arm: Caller) -> None:
    """And nothing else from it."""
    (name,) = azure.seed(1)
    azure.lock(name)
    message = refused(arm.call("DELETE", vm_path(name)), 409, "ScopeLocked")
    assert "cannot perform delete operation" in message
    assert arm.done("deallocate", name) == "Succeeded"
    azure.unlock(name)
    assert arm.deleted(name) == "Succeeded"


def test_read_only_lock_of_the_group_keeps_everything(azure: AzureSandbox, arm: Caller) -> None:
    """From being made, started and deleted; but not from being seen."""
    (name,) = azure.seed(1, state="deallocated")
    azure.lock(RESOURCE_GROUP, LockLevel.READ_ONLY)
    for response in (
        arm.create("test1"),
        arm.call("POST", f"{vm_path(name)}/start"),
        arm.call("DELETE", vm_path(name)),
    ):
        assert GROUP in refused(response, 409, "ScopeLocked")
    assert arm.call("GET", vm_path(name)).ok


def test_fault_befalls_the_call_that_was_planned(azure: AzureSandbox, arm: Caller) -> None:
    """An error in ARM's shape, HTML with 200, a cut connection; each once."""
    operation = "VirtualMachines_List"
    azure.faults.add(
        Fault(operation, status=503, code="ServiceUnavailable", message="Later.", headers={"Retry-After": "3"})
    )
    azure.faults.add(Fault(operation, body=b"<html>"))
    azure.faults.add(Fault(operation, cut=Cut.ANSWER))
    azure.faults.add(Fault(operation, cut=Cut.BODY))
    response = arm.call("GET", VMS)
    assert refused(response, 503, "ServiceUnavailable") == "Later."
    assert response.headers["Retry-After"] == "3"
    assert arm.call("GET", VMS).text == "<html>"
    for _ in range(2):
        with pytest.raises(requests.RequestException):
            arm.call("GET", VMS)
    assert arm.call("GET", VMS).ok
    assert [call.status for call in azure.calls.list() if call.operation == operation] == [503, 200, None, None, 200]


def test_fault_after_the_call_loses_only_its_answer(azure: AzureSandbox, arm: Caller) -> None:
    """The VM is made all the same."""
    azure.faults.add(Fault("VirtualMachines_CreateOrUpdate", cut=Cut.ANSWER, after=True))
    with pytest.raises(requests.ConnectionError):
        arm.create()
    assert [vm.name for vm in azure.vms()] == ["test1"]


def test_throttled_call_says_so_in_the_details(azure: AzureSandbox, arm: Caller) -> None:
    """The code is the one of a quota or a wrong state, too."""
    azure.throttle("VirtualMachines_Get", retry_after_seconds=7)
    response = arm.call("GET", vm_path("test1"))
    refused(response, 429, "OperationNotAllowed")
    assert response.json()["error"]["details"][0]["code"] == "TooManyRequests"
    assert response.headers["Retry-After"] == "7"
    assert arm.call("GET", vm_path("test1")).status_code == 404


def test_reset_brings_everything_back(azure: AzureSandbox, arm: Caller) -> None:
    """VMs, faults, knobs, locks, tokens and counts."""
    azure.seed(2)
    azure.lock(RESOURCE_GROUP)
    azure.knobs.page_size = 1
    azure.faults.add(Fault())
    azure.reset()
    assert (azure.vms(), azure.network_interfaces(), azure.disks()) == ((), (), ())
    assert (azure.knobs.page_size, azure.calls.count(), azure.token_requests) == (500, 0, 0)
    refused(arm.call("GET", VMS), 401, "InvalidAuthenticationToken")
    assert arm.log_in().create(body=vm_body()).ok


def test_operations_are_named_once() -> None:
    """But for polls, which each provider has at its own address."""
    names = [route.operation for route in ROUTES if route.action]
    assert len(names) == len(set(names))
