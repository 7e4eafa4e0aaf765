"""A retry with the same Idempotency-Key finishes what an earlier try left half-made; a clean-up tells the truth."""

from __future__ import annotations

from dataclasses import replace

import pytest

from providers.domain import Idempotency, StopMode, VMSpec
from providers.errors import ConflictError, ProviderError, UnprocessableError
from providers.sandbox.azure import AzureSandbox
from providers.sandbox.faults import Fault
from tests.providers.azure.simulated import AT_ONCE, CREATE, DELETE, GET, POLL, SPEC, Caller, objects, operations
from tests.support.threads import at_once

KEYED = replace(SPEC, idempotency=Idempotency("key-1", "digest-1"))
STOPPED = replace(KEYED, start=False)
DEALLOCATE = "VirtualMachines_Deallocate"
LIST_NICS = "NetworkInterfaces_List"
DELETE_NIC = "NetworkInterfaces_Delete"
NOTHING_LISTED = Fault(LIST_NICS, body=b'{"value": []}', content_type="application/json")


def denied(operation: str) -> Fault:
    """A refusal for good."""
    return Fault(operation, times=None, status=403, code="AuthorizationFailed", message="No.")


def stranded(caller: Caller, code: str, spec: VMSpec = KEYED) -> None:
    """Let a create fail with this code, and its clean-up, as if the service had died."""
    caller.sandbox.fail_next_operation(CREATE, code)
    for operation in (DELETE, DELETE_NIC, "Disks_Delete"):
        caller.sandbox.faults.add(denied(operation))
    with pytest.raises(ProviderError) as raised:
        caller.verbs.create_vm(spec)
    assert not any(one.removed for one in raised.value.leftovers if one.kind == "vm")
    caller.sandbox.faults.clear()


def the_one_vm(caller: Caller) -> tuple[str, str | None]:
    """Name and power of the only VM, which has the only interface and the only disk."""
    (vm,) = caller.sandbox.vms()
    assert len(objects(caller.sandbox)) == 3
    return vm.name, vm.power


@pytest.mark.parametrize("code", ["AllocationFailed", "OSProvisioningTimedOut", "OSProvisioningClientError"])
def test_retry_makes_a_vm_anew_whose_creation_failed(caller: Caller, code: str) -> None:
    """The clean-up did not remove it: the retry does."""
    stranded(caller, code)
    caller.verbs.create_vm(KEYED)
    assert the_one_vm(caller) == ("Web-1", "running")


def test_retry_keeps_a_vm_that_runs_although_its_creation_failed(caller: Caller, sandbox: AzureSandbox) -> None:
    """Azure does not say that the guest is at fault: it is the one VM."""
    stranded(caller, "InternalExecutionError")
    before = objects(sandbox)
    assert caller.verbs.create_vm(KEYED).vm_id == "Web-1"
    assert objects(sandbox) == before


def test_late_retry_leaves_a_vm_that_may_be_used(caller: Caller, sandbox: AzureSandbox) -> None:
    """Its guest reported too late, and somebody may have logged in since. When it is deleted, the key works."""
    stranded(caller, "OSProvisioningTimedOut")
    sandbox.age(3600)
    before = objects(sandbox)
    with pytest.raises(ConflictError, match="delete the VM, then repeat the request"):
        caller.verbs.create_vm(KEYED)
    assert objects(sandbox) == before
    caller.verbs.delete_vm("Web-1")
    caller.verbs.create_vm(KEYED)
    assert the_one_vm(caller) == ("Web-1", "running")


def test_retry_never_removes_a_vm_whose_later_operation_failed(caller: Caller, sandbox: AzureSandbox) -> None:
    """Shortly after its creation, too: a start finds no room."""
    caller.verbs.create_vm(KEYED)
    caller.verbs.stop_vm("Web-1", StopMode.FORCE, 0)
    sandbox.fail_next_operation("VirtualMachines_Start", "AllocationFailed")
    with pytest.raises(ProviderError):
        caller.verbs.start_vm("Web-1")
    before = sandbox.vm("Web-1")
    assert caller.verbs.create_vm(KEYED).vm_id == "Web-1"
    assert sandbox.vm("Web-1") == before


def test_retry_waits_until_a_vm_is_gone_that_is_being_deleted(caller: Caller, sandbox: AzureSandbox) -> None:
    """The clean-up was accepted, and its process died."""
    caller.verbs.create_vm(KEYED)
    first = sandbox.vm("Web-1").tags["cloudvm:creation"]
    sandbox.knobs.task_seconds = 0.5
    caller.verbs.delete_vm("Web-1", AT_ONCE)
    caller.verbs.create_vm(KEYED)
    assert the_one_vm(caller) == ("Web-1", "running")
    assert sandbox.vm("Web-1").tags["cloudvm:creation"] != first


def test_retries_at_once_after_a_failed_creation_make_one_vm(caller: Caller, sandbox: AzureSandbox) -> None:
    """Several may remove the failed one. Who loses is told, and a later retry has the VM."""
    stranded(caller, "AllocationFailed")

    def create() -> str:
        try:
            return caller.verbs.create_vm(KEYED).vm_id or ""
        except ConflictError:
            return ""

    at_once(4, lambda _: create())
    assert create() == "Web-1"
    assert the_one_vm(caller) == ("Web-1", "running")


def test_retry_survives_interface_and_disk_that_do_not_go(caller: Caller, sandbox: AzureSandbox) -> None:
    """They are not in its way, and are found as leftovers."""
    stranded(caller, "OSProvisioningTimedOut")
    sandbox.knobs.deletes_leave_attachments = True
    for operation in (DELETE_NIC, "Disks_Delete"):
        sandbox.faults.add(denied(operation))
    caller.verbs.create_vm(KEYED)
    assert [vm.power for vm in sandbox.vms()] == ["running"]
    assert [one.kind for one in caller.verbs.list_leftovers()] == ["disk", "nic"]


def test_retry_without_start_stops_the_vm(caller: Caller, sandbox: AzureSandbox) -> None:
    """The first try died before it could; it does not matter how long ago."""
    for operation in (DEALLOCATE, DELETE, DELETE_NIC, "Disks_Delete"):
        sandbox.faults.add(denied(operation))
    with pytest.raises(ProviderError):
        caller.verbs.create_vm(STOPPED)
    sandbox.faults.clear()
    assert the_one_vm(caller) == ("Web-1", "running")
    sandbox.age(3600)
    caller.verbs.create_vm(STOPPED)
    assert the_one_vm(caller) == ("Web-1", "deallocated")


def test_retry_without_start_leaves_a_vm_whose_last_operation_is_late(caller: Caller, sandbox: AzureSandbox) -> None:
    """Its last operation ended long after it was made."""
    caller.verbs.create_vm(STOPPED)
    sandbox.age(3600)
    caller.verbs.start_vm("Web-1")
    caller.verbs.create_vm(STOPPED)
    assert the_one_vm(caller) == ("Web-1", "running")


def test_retry_without_start_makes_a_vm_anew_whose_creation_failed(caller: Caller) -> None:
    """And stops it."""
    stranded(caller, "AllocationFailed", STOPPED)
    caller.verbs.create_vm(STOPPED)
    assert the_one_vm(caller) == ("Web-1", "deallocated")


def test_retry_with_a_lost_digest_is_no_other_request(caller: Caller, sandbox: AzureSandbox) -> None:
    """Only one that is there and differs says that the key was used for something else."""
    caller.verbs.create_vm(KEYED)
    other = replace(KEYED, idempotency=Idempotency("key-1", "digest-2"))
    with pytest.raises(UnprocessableError, match="other content"):
        caller.verbs.create_vm(other)
    tags = dict(sandbox.vm("Web-1").tags)
    del tags["cloudvm:request-digest"]
    sandbox.set_tags("Web-1", tags)
    assert caller.verbs.create_vm(KEYED).vm_id == "Web-1"


@pytest.mark.parametrize("spec", [KEYED, STOPPED], ids=["running", "stopped"])
def test_retry_leaves_a_copy_with_the_same_tags(caller: Caller, sandbox: AzureSandbox, spec: VMSpec) -> None:
    """It is listed first. It is neither the answer nor stopped, also when the VM itself is gone."""
    caller.verbs.create_vm(spec)
    (copy,) = sandbox.seed(1, prefix="a-copy")
    sandbox.set_tags(copy, sandbox.vm("Web-1").tags)
    before = sandbox.vm(copy)
    assert caller.verbs.create_vm(spec).vm_id == "Web-1"
    caller.verbs.delete_vm("Web-1")
    assert caller.verbs.create_vm(spec).vm_id == "Web-1"
    assert sandbox.vm(copy) == before


def test_retry_leaves_a_failed_copy_with_the_same_tags(caller: Caller, sandbox: AzureSandbox) -> None:
    """The copy is somebody else's to remove."""
    caller.verbs.create_vm(KEYED)
    (copy,) = sandbox.seed(1, prefix="a-copy")
    sandbox.set_tags(copy, sandbox.vm("Web-1").tags)
    sandbox.set_state(copy, None, provisioning="Failed")
    assert caller.verbs.create_vm(KEYED).vm_id == "Web-1"
    assert {vm.name for vm in sandbox.vms()} == {"Web-1", copy}


def test_retry_with_other_content_leaves_a_failed_vm(caller: Caller, sandbox: AzureSandbox) -> None:
    """It is not this request's to remove."""
    stranded(caller, "AllocationFailed")
    before = objects(sandbox)
    with pytest.raises(UnprocessableError, match="other content"):
        caller.verbs.create_vm(replace(KEYED, idempotency=Idempotency("key-1", "digest-2")))
    assert objects(sandbox) == before


def test_retry_of_a_finished_create_costs_two_calls(caller: Caller, sandbox: AzureSandbox) -> None:
    """The list that finds the VM, and a look at it."""
    caller.verbs.create_vm(KEYED)
    sandbox.calls.clear()
    caller.verbs.create_vm(KEYED)
    assert operations(sandbox) == ["VirtualMachines_List", GET]


def test_clean_up_removes_an_interface_that_no_list_shows(caller: Caller, sandbox: AzureSandbox) -> None:
    """The VM names it. It stays when the VM goes, as Azure lets it at times."""
    sandbox.knobs.deletes_leave_attachments = True
    sandbox.fail_next_operation(CREATE, "AllocationFailed")
    sandbox.faults.add(replace(NOTHING_LISTED, times=None))
    with pytest.raises(ProviderError) as raised:
        caller.verbs.create_vm(SPEC)
    assert [(one.kind, one.removed) for one in raised.value.leftovers] == [("vm", True), ("nic", True), ("disk", True)]
    assert objects(sandbox) == []


def test_clean_up_leaves_an_interface_that_somebody_attached(caller: Caller, sandbox: AzureSandbox) -> None:
    """The VM names it, too, but this create has not made it."""
    sandbox.knobs.task_seconds = 60
    sandbox.fail_next_operation(CREATE, "OSProvisioningTimedOut")
    begun = caller.verbs.create_vm(SPEC, AT_ONCE)
    sandbox.add_network_interface("theirs")
    sandbox.give_network_interface("theirs", "Web-1")
    sandbox.finish_operations()
    sandbox.knobs.task_seconds = 0.05
    failure = caller.verbs.poll(begun).failure
    assert failure is not None
    assert all(one.removed for one in failure.leftovers)
    assert objects(sandbox) == ["theirs"]


def test_clean_up_looks_again_for_what_is_not_shown_at_first(caller: Caller, sandbox: AzureSandbox) -> None:
    """Neither the VM nor its interface: absence proves nothing until Azure has settled."""
    sandbox.fail_next_operation(CREATE, "AllocationFailed")
    sandbox.faults.add(Fault(GET, skip=1, status=404, code="NotFound", message="Not yet."))
    sandbox.faults.add(NOTHING_LISTED)
    with pytest.raises(ProviderError) as raised:
        caller.verbs.create_vm(SPEC)
    assert all(one.removed for one in raised.value.leftovers)
    assert objects(sandbox) == []


def test_create_whose_vm_is_not_shown_at_first_goes_on(caller: Caller, sandbox: AzureSandbox) -> None:
    """Neither its operation nor the VM, right after Azure has accepted it."""
    sandbox.faults.add(Fault(POLL, status=404, code="NotFound", message="Not yet."))
    sandbox.faults.add(Fault(GET, skip=1, status=404, code="NotFound", message="Not yet."))
    caller.verbs.create_vm(SPEC)
    assert the_one_vm(caller) == ("Web-1", "running")


@pytest.mark.parametrize(
    "fault",
    [
        Fault(DELETE_NIC, status=400, code="NicReservedForAnotherVm", message="Retry after 180 seconds."),
        Fault(DELETE_NIC, status=429, code="TooManyRequests", message="Slow down.", headers={"Retry-After": "1"}),
        Fault(DELETE, status=429, code="TooManyRequests", message="Slow down.", headers={"Retry-After": "1"}),
        Fault("Disks_Delete", status=500, code="InternalServerError", message="Oops."),
    ],
    ids=["reserved", "throttled-nic", "throttled-vm", "broken-disk"],
)
def test_clean_up_repeats_a_call_that_fails_in_passing(caller: Caller, sandbox: AzureSandbox, fault: Fault) -> None:
    """Within its own time."""
    sandbox.knobs.deletes_leave_attachments = True
    sandbox.fail_next_operation(CREATE, "OSProvisioningTimedOut")
    sandbox.faults.add(fault)
    with pytest.raises(ProviderError) as raised:
        caller.verbs.create_vm(SPEC)
    assert all(one.removed for one in raised.value.leftovers)
    assert objects(sandbox) == []
