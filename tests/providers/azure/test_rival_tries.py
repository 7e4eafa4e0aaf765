"""Several tries of one create, its user, and its clean-up: none destroys or undoes what another has made."""

from __future__ import annotations

from dataclasses import replace

import pytest

from providers.domain import Idempotency, Operation, VMSpec
from providers.errors import ConflictError, NameTakenError, PermissionDeniedError, ProviderError
from providers.sandbox.azure import AzureSandbox
from providers.sandbox.faults import Cut, Fault
from tests.providers.azure.simulated import AT_ONCE, CREATE, DELETE, SPEC, Caller, objects, operations
from tests.support.arrivals import at_call

KEYED = replace(SPEC, idempotency=Idempotency("key-1", "digest-1"))
STOPPED = replace(KEYED, start=False)
DEALLOCATE = "VirtualMachines_Deallocate"
KEPT = {("vm", False), ("nic", False), ("disk", False)}


def failed_unseen(caller: Caller, code: str, spec: VMSpec = SPEC) -> Operation:
    """Begin a create that fails before anybody polls it."""
    caller.sandbox.fail_next_operation(CREATE, code)
    begun = caller.verbs.create_vm(spec, AT_ONCE)
    caller.sandbox.finish_operations()
    return begun


def leftovers(caller: Caller, begun: Operation) -> set[tuple[str, bool]]:
    """Poll a create that has failed. Return the kind of each object, and whether it was removed."""
    failure = caller.verbs.poll(begun).failure
    assert failure is not None
    return {(one.kind, one.removed) for one in failure.leftovers}


def powers(sandbox: AzureSandbox) -> dict[str, str | None]:
    """Return the power state of each VM by name."""
    return {vm.name: vm.power for vm in sandbox.vms()}


def test_followed_failure_keeps_a_vm_that_its_user_has_started(caller: Caller, sandbox: AzureSandbox) -> None:
    """The guest reported too late; a start made the VM sound."""
    begun = failed_unseen(caller, "OSProvisioningTimedOut")
    caller.verbs.start_vm("Web-1")
    assert leftovers(caller, begun) == KEPT
    assert powers(sandbox) == {"Web-1": "running"}
    assert len(objects(sandbox)) == 3


def test_followed_failure_keeps_a_vm_that_a_retry_has_answered_with(caller: Caller, sandbox: AzureSandbox) -> None:
    """Azure reported a failure of its own, and the VM runs."""
    begun = failed_unseen(caller, "InternalExecutionError", KEYED)
    assert caller.verbs.create_vm(KEYED).vm_id == "Web-1"
    assert leftovers(caller, begun) == KEPT
    assert powers(sandbox) == {"Web-1": "running"}


def test_followed_failure_keeps_the_vm_that_a_retry_has_made(caller: Caller, sandbox: AzureSandbox) -> None:
    """The retry replaced the VM. The new one is no leftover of the first try."""
    begun = failed_unseen(caller, "AllocationFailed", KEYED)
    caller.verbs.create_vm(KEYED)
    assert leftovers(caller, begun) == {("nic", True), ("disk", True)}
    assert powers(sandbox) == {"Web-1": "running"}
    assert len(objects(sandbox)) == 3


def test_failure_followed_late_keeps_a_vm_that_may_run(caller: Caller, sandbox: AzureSandbox) -> None:
    """Somebody may have logged in since."""
    begun = failed_unseen(caller, "OSProvisioningTimedOut")
    sandbox.age(3600)
    assert leftovers(caller, begun) == KEPT
    assert len(objects(sandbox)) == 3


def test_failure_followed_late_removes_a_vm_that_never_ran(caller: Caller, sandbox: AzureSandbox) -> None:
    """Nobody can have used it."""
    begun = failed_unseen(caller, "AllocationFailed")
    sandbox.age(3600)
    assert leftovers(caller, begun) == {("vm", True), ("nic", True), ("disk", True)}
    assert objects(sandbox) == []


def test_failed_try_keeps_a_vm_that_runs_for_a_retry(caller: Caller, sandbox: AzureSandbox) -> None:
    """A retry that came before the clean-up would have answered with it."""
    sandbox.fail_next_operation(CREATE, "VMExtensionProvisioningError")
    with pytest.raises(ProviderError) as raised:
        caller.verbs.create_vm(KEYED)
    assert {(one.kind, one.removed) for one in raised.value.leftovers} == KEPT
    assert caller.verbs.create_vm(KEYED).vm_id == "Web-1"
    assert len(objects(sandbox)) == 3


def test_failed_try_without_a_key_removes_a_vm_that_runs(caller: Caller, sandbox: AzureSandbox) -> None:
    """Nobody else can have answered with it."""
    sandbox.fail_next_operation(CREATE, "VMExtensionProvisioningError")
    with pytest.raises(ProviderError) as raised:
        caller.verbs.create_vm(SPEC)
    assert all(one.removed for one in raised.value.leftovers)
    assert objects(sandbox) == []


def test_clean_up_looks_again_before_it_repeats_a_delete(caller: Caller, sandbox: AzureSandbox) -> None:
    """The delete did not reach Azure, and another try has stopped the VM and answered meanwhile."""
    sandbox.faults.add(Fault(DEALLOCATE, status=403, code="AuthorizationFailed", message="No."))
    sandbox.faults.add(Fault(DELETE, cut=Cut.ANSWER))
    with (
        at_call(sandbox.calls, DELETE, lambda: caller.verbs.create_vm(STOPPED)),
        pytest.raises(PermissionDeniedError) as raised,
    ):
        caller.verbs.create_vm(STOPPED)
    assert {(one.kind, one.removed) for one in raised.value.leftovers} == KEPT
    assert powers(sandbox) == {"Web-1": "deallocated"}


def test_retry_without_start_leaves_a_vm_that_was_started_a_minute_later(caller: Caller, sandbox: AzureSandbox) -> None:
    """Its disk was attached again since it was made."""
    caller.verbs.create_vm(STOPPED)
    sandbox.age(60)
    caller.verbs.start_vm("Web-1")
    assert caller.verbs.create_vm(STOPPED).done
    assert powers(sandbox) == {"Web-1": "running"}


def test_retry_without_start_leaves_a_vm_that_is_starting(caller: Caller, sandbox: AzureSandbox) -> None:
    """Azure has not attached the disk yet."""
    caller.verbs.create_vm(STOPPED)
    sandbox.knobs.task_seconds = 60
    caller.verbs.start_vm("Web-1", AT_ONCE)
    caller.verbs.create_vm(STOPPED, AT_ONCE)
    sandbox.finish_operations()
    assert operations(sandbox).count(DEALLOCATE) == 1
    assert powers(sandbox) == {"Web-1": "running"}


def test_try_without_start_that_waits_leaves_a_vm_that_was_started_meanwhile(
    caller: Caller, sandbox: AzureSandbox
) -> None:
    """Azure was busy with the stop of another try, whose user has started the VM since."""

    def answer_another() -> None:
        caller.verbs.create_vm(STOPPED)
        sandbox.age(60)
        caller.verbs.start_vm("Web-1")
        sandbox.faults.add(Fault(DEALLOCATE, status=409, code="Conflict", message="Busy."))

    with at_call(sandbox.calls, DEALLOCATE, answer_another):
        assert caller.verbs.create_vm(STOPPED).done
    assert powers(sandbox) == {"Web-1": "running"}


def test_retry_leaves_a_vm_of_the_same_name_with_copied_tags(caller: Caller, sandbox: AzureSandbox) -> None:
    """Somebody made it after the first VM was deleted."""
    spec = replace(KEYED, name="web-0001")
    caller.verbs.create_vm(spec)
    tags = sandbox.vm("web-0001").tags
    sandbox.remove("web-0001")
    sandbox.seed(1, prefix="web")
    sandbox.set_tags("web-0001", tags)
    before = sandbox.vm("web-0001")
    with pytest.raises(NameTakenError):
        caller.verbs.create_vm(spec)
    assert sandbox.vm("web-0001") == before


def test_failed_vm_with_copied_tags_is_no_leftover(caller: Caller, sandbox: AzureSandbox) -> None:
    """Its disk and its interface are named after no create of this service."""
    begun = failed_unseen(caller, "AllocationFailed")
    (leftover,) = caller.verbs.list_leftovers()
    tags = sandbox.vm("Web-1").tags
    assert leftovers(caller, begun) == {("vm", True), ("nic", True), ("disk", True)}
    (copy,) = sandbox.seed(1, prefix="copy")
    sandbox.set_tags(copy, tags)
    sandbox.set_state(copy, None, provisioning="Failed")
    assert caller.verbs.list_leftovers() == []
    with pytest.raises(ConflictError):
        caller.verbs.remove_leftover(replace(leftover, id=copy, name=copy))
    assert list(powers(sandbox)) == [copy]
