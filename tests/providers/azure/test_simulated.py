"""What is peculiar to Azure, through the gateway, on the simulator."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from providers.credentials import Secret
from providers.domain import Idempotency, Offer, Operation, StopMode, VMSpec, VMStatus
from providers.errors import (
    BackendFailureError,
    BackendTimeoutError,
    ConflictError,
    NameTakenError,
    ProviderError,
    QuotaExceededError,
    ThrottledError,
    UnavailableError,
    UnprocessableError,
)
from providers.sandbox import azure
from providers.sandbox.azure import AzureSandbox, LockLevel, OperationLinks
from providers.work import Wish
from tests.providers.azure.simulated import CREATE, SHOWN, SPEC, WINDOWS, Caller, objects, operations
from tests.support.threads import at_once


def test_lifecycle_in_any_case_of_letters_shows_the_vms_own(sandbox: AzureSandbox, caller: Caller) -> None:
    """As it was written when it was made."""
    caller.verbs.create_vm(SPEC)
    assert caller.verbs.get_vm("WEB-1").id == "Web-1"
    caller.verbs.stop_vm("web-1", StopMode.AUTO, 60)
    assert caller.verbs.get_vm("wEb-1").provider_status == "deallocated"
    caller.verbs.start_vm("WEB-1")
    assert [one.id for one in caller.verbs.list_vms()] == ["Web-1"]
    caller.verbs.delete_vm("web-1")
    assert objects(sandbox) == []


def test_create_at_once_makes_one_and_never_alters_it(sandbox: AzureSandbox, caller: Caller) -> None:
    """One gets the VM, the others `name_taken`; its tags stay the first one's."""

    def create(number: int) -> Operation | ProviderError:
        try:
            return caller.verbs.create_vm(replace(SPEC, tags={"number": str(number)}), SHOWN)
        except ProviderError as error:
            return error

    results = at_once(6, create)
    made = [one for one in results if isinstance(one, Operation)]
    assert len(made) == 1
    assert all(isinstance(one, NameTakenError) for one in results if not isinstance(one, Operation)), results
    assert made[0].vm is not None
    assert caller.verbs.get_vm("Web-1").tags == made[0].vm.tags
    assert len(sandbox.vms()) == len(sandbox.network_interfaces()) == len(sandbox.disks()) == 1


def test_create_with_a_taken_name_sends_no_put(sandbox: AzureSandbox, caller: Caller) -> None:
    """It would change the VM."""
    sandbox.seed(1, prefix="web")
    with pytest.raises(NameTakenError):
        caller.verbs.create_vm(replace(SPEC, name="WEB-0001"))
    assert operations(sandbox) == ["VirtualMachines_Get"]


def test_create_by_eight_retries_at_once_makes_one_vm(sandbox: AzureSandbox, caller: Caller) -> None:
    """All get the same, and wait until it is ready."""
    keyed = replace(SPEC, idempotency=Idempotency("key-1", "digest-1"))
    found = at_once(8, lambda _: caller.verbs.create_vm(keyed, SHOWN).vm)
    assert {vm.status for vm in found if vm} == {VMStatus.RUNNING}
    assert {vm.id for vm in found if vm} == {"Web-1"}
    assert len(found) == 8
    assert len(sandbox.vms()) == len(sandbox.network_interfaces()) == len(sandbox.disks()) == 1


def test_create_and_delete_stay_within_their_budget(sandbox: AzureSandbox, caller: Caller) -> None:
    """Two calls and one call, and polls; nothing is left."""
    caller.verbs.create_vm(SPEC, SHOWN)
    caller.verbs.delete_vm("Web-1")
    assert [one for one in operations(sandbox) if one != "Operations_Get"] == [
        "VirtualMachines_Get", CREATE, "VirtualMachines_Delete",
    ]  # fmt: skip
    assert objects(sandbox) == []


def test_list_of_one_page_is_two_calls(sandbox: AzureSandbox, caller: Caller) -> None:
    """With a state for each."""
    sandbox.seed(30)
    found = caller.verbs.list_vms()
    assert len(found) == 30
    assert {vm.status for vm in found} == {VMStatus.RUNNING}
    assert sorted(operations(sandbox)) == ["VirtualMachines_List", "VirtualMachines_ListAll"]


@pytest.mark.parametrize("links", OperationLinks)
def test_lifecycle_with_either_style_of_links_works(
    sandbox: AzureSandbox, caller: Caller, links: OperationLinks
) -> None:
    """As Azure does, and as another ARM may."""
    sandbox.knobs.operation_links = links
    caller.verbs.create_vm(SPEC)
    caller.verbs.stop_vm("Web-1", StopMode.AUTO, 60)
    caller.verbs.start_vm("Web-1")
    caller.verbs.restart_vm("Web-1", StopMode.AUTO, 60)
    caller.verbs.delete_vm("Web-1")
    assert objects(sandbox) == []


@pytest.mark.parametrize("links", OperationLinks)
def test_failure_with_either_style_of_links_keeps_its_code(
    sandbox: AzureSandbox, caller: Caller, links: OperationLinks
) -> None:
    """The operation's own, not that of a look at it."""
    sandbox.knobs.operation_links = links
    sandbox.seed(1, state="deallocated")
    sandbox.fail_next_operation("VirtualMachines_Start", "AllocationFailed", "No room here.")
    with pytest.raises(UnavailableError, match="No room here") as raised:
        caller.verbs.start_vm("vm-0001")
    assert raised.value.backend is not None
    assert raised.value.backend.code == "AllocationFailed"


def test_links_to_another_host_are_refused_and_what_was_made_is_removed(sandbox: AzureSandbox, caller: Caller) -> None:
    """The VM is being made; nobody can follow it, so it goes again."""
    sandbox.knobs.links_lead_to = "https://elsewhere.example"
    with pytest.raises(BackendFailureError, match=r"elsewhere\.example.*not followed"):
        caller.verbs.create_vm(SPEC)
    sandbox.knobs.page_size = 1
    sandbox.seed(2)
    with pytest.raises(BackendFailureError, match=r"elsewhere\.example.*not followed"):
        caller.verbs.list_vms()


FAULTS = {
    "quota": (QuotaExceededError, SPEC),
    "image": (UnprocessableError, replace(SPEC, offer=Offer("Standard_B1s", "Debian/debian-12/no-such-sku/latest"))),
    "size": (UnprocessableError, replace(SPEC, offer=Offer("Standard_Nothing", azure.IMAGE))),
    "subnet": (UnprocessableError, SPEC),
    "group": (UnprocessableError, SPEC),
    "allocation": (UnavailableError, SPEC),
    "provisioning": (UnprocessableError, SPEC),
    "canceled": (ConflictError, SPEC),
}


@pytest.mark.parametrize("followed", [False, True])
@pytest.mark.parametrize("fault", FAULTS)
def test_create_that_fails_leaves_nothing_and_says_what_it_removed(
    sandbox: AzureSandbox,
    caller: Caller,
    fault: str,
    followed: bool,  # noqa: FBT001 - a case
) -> None:
    """At once or later, waited for or followed; VM, interface and disk."""
    kind, spec = FAULTS[fault]
    match fault:
        case "quota":
            sandbox.set_quota(0)
        case "subnet":
            wrong = re.sub(r"subnets/.*", "subnets/nothing", caller.environment.network_id)
            caller.environment = replace(caller.environment, name="azure2", network_id=wrong)
        case "group":
            caller.environment = replace(caller.environment, name="azure2", project="no-such-group")
        case "allocation":
            sandbox.fail_next_operation(CREATE, "AllocationFailed", "No room.")
        case "provisioning":
            sandbox.fail_next_operation(CREATE, "OSProvisioningTimedOut", "The guest did not answer.")
        case "canceled":
            sandbox.fail_next_operation(CREATE, "OperationPreempted", "Another one came.", canceled=True)
    failure = _followed(caller, spec) if followed else _waited_for(caller, spec)
    assert type(failure) is kind, failure
    later = fault in {"allocation", "provisioning", "canceled"}
    # It runs: somebody may use it by the time when its create is followed.
    is_kept = followed and fault == "canceled"
    assert [(one.kind, one.removed) for one in failure.leftovers] == (
        [(kind, not is_kept) for kind in ("vm", "nic", "disk")] if later else []
    )
    assert len(objects(sandbox)) == (3 if is_kept else 0)


def _waited_for(caller: Caller, spec: VMSpec) -> ProviderError:
    with pytest.raises(ProviderError) as raised:
        caller.verbs.create_vm(spec, SHOWN)
    return raised.value


def _followed(caller: Caller, spec: VMSpec) -> ProviderError:
    try:
        operation = caller.verbs.create_vm(spec, Wish(patience_seconds=0))
    except ProviderError as error:
        return error
    for _ in range(200):
        operation = caller.verbs.poll(Operation(operation.verb, operation.vm_id, operation.handle))
        if operation.failure:
            return operation.failure
        assert not operation.done
    raise AssertionError("the operation did not end")


def test_create_without_start_ends_deallocated(sandbox: AzureSandbox, caller: Caller) -> None:
    """And is shown as it is."""
    made = caller.verbs.create_vm(replace(SPEC, start=False), SHOWN)
    assert made.vm is not None
    assert made.vm.provider_status == sandbox.vm("Web-1").power == "deallocated"


def test_create_with_windows_makes_a_vm_with_its_password(sandbox: AzureSandbox, caller: Caller) -> None:
    """And without one it is refused before any call."""
    with pytest.raises(ProviderError, match="cannot make"):
        caller.verbs.create_vm(WINDOWS)
    assert operations(sandbox) == []
    caller.verbs.create_vm(replace(WINDOWS, admin_password=Secret("canary-P4ssw0rd")))
    assert sandbox.vm("Web-1").admin_username == "azureuser"


def test_create_with_custom_image_and_cloud_init_reaches_the_guest(sandbox: AzureSandbox, caller: Caller) -> None:
    """65,535 bytes, of an image of the caller's own."""
    data = b"#!/bin/sh\n".ljust(65_535, b"#")
    offer = Offer("Standard_B1s", azure.CUSTOM_IMAGE_ID)
    caller.verbs.create_vm(replace(SPEC, offer=offer, cloud_init=data))
    assert sandbox.custom_data("Web-1") == data


@pytest.mark.parametrize("level", LockLevel)
def test_delete_of_a_locked_vm_is_a_conflict(sandbox: AzureSandbox, caller: Caller, level: LockLevel) -> None:
    """The lock stays."""
    sandbox.seed(1)
    sandbox.lock("vm-0001", level)
    with pytest.raises(ConflictError, match="lock"):
        caller.verbs.delete_vm("vm-0001")
    assert len(sandbox.vms()) == 1


def test_throttling_tells_when_to_come_back_after_one_call(sandbox: AzureSandbox, caller: Caller) -> None:
    """Azure's Retry-After; nothing is repeated."""
    sandbox.seed(1)
    caller.verbs.get_vm("vm-0001")
    sandbox.calls.clear()
    sandbox.throttle("VirtualMachines_Restart", retry_after_seconds=17)
    with pytest.raises(ThrottledError) as raised:
        caller.verbs.restart_vm("vm-0001", StopMode.AUTO, 60)
    assert raised.value.retry_after_seconds == 17
    assert operations(sandbox) == ["VirtualMachines_Restart"]


def test_token_that_has_expired_is_bought_anew_once(sandbox: AzureSandbox, caller: Caller) -> None:
    """In the middle of a session."""
    sandbox.seed(1)
    given = sandbox.token_requests
    sandbox.expire_tokens()
    at_once(8, lambda _: caller.verbs.get_vm("vm-0001"))
    assert sandbox.token_requests == given + 1


def test_stop_of_a_deaf_guest_is_ended_by_azure_itself(sandbox: AzureSandbox, caller: Caller) -> None:
    """A deallocation that has begun takes no other order: it is awaited."""
    sandbox.knobs.shutdown_timeout_seconds = 2.0
    sandbox.seed(1)
    sandbox.ignore_shutdown("vm-0001")
    caller.verbs.stop_vm("vm-0001", StopMode.AUTO, 0.5)
    assert sandbox.vm("vm-0001").power == "deallocated"


def test_restart_of_a_deaf_guest_is_ended_by_azure_itself(sandbox: AzureSandbox, caller: Caller) -> None:
    """The same: who does not wish to wait so long is told, not that something else is at work on the VM."""
    sandbox.knobs.shutdown_timeout_seconds = 2.0
    sandbox.seed(1)
    sandbox.ignore_shutdown("vm-0001")
    with pytest.raises(BackendTimeoutError, match="may still do so"):
        caller.verbs.restart_vm("vm-0001", StopMode.GRACEFUL, 0.5)
    sandbox.finish_operations()
    caller.verbs.restart_vm("vm-0001", StopMode.AUTO, 0.5)
    assert (sandbox.vm("vm-0001").power, sandbox.vm("vm-0001").boots) == ("running", 3)
    assert "VirtualMachines_PowerOff" not in operations(sandbox)
