"""Changes to a VM that others change, too; VMs in states that a verb has to find its way out of."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from providers.domain import Operation, StopMode, VMStatus
from providers.errors import BackendFailureError, ConflictError, ProviderError, UnavailableError, VMNotFoundError
from providers.sandbox.faults import Cut, Fault
from providers.work import StillGoingOnError
from tests.providers.nutanix.prism import DELETE, GET, START, TASK, Prism
from tests.providers.reached import AT_ONCE
from tests.support.threads import at_once
from tests.support.waiting import wait_until

STALE = Fault(status=412, code="PLAT-10005", message="Invalid eTag header")
VERBS: dict[str, Callable[[Prism, str], object]] = {
    "start": lambda prism, vm_id: prism.gateway().start_vm(vm_id),
    "stop": lambda prism, vm_id: prism.gateway().stop_vm(vm_id, StopMode.FORCE, 0),
    "restart": lambda prism, vm_id: prism.gateway().restart_vm(vm_id, StopMode.FORCE, 0),
    "delete": lambda prism, vm_id: prism.gateway().delete_vm(vm_id),
}


def action(name: str) -> str:
    """An action of v4."""
    return f"v4 POST /ahv/config/vms/{{extId}}/$actions/{name}"


def test_start_with_a_stale_etag_takes_a_fresh_one(central: Prism) -> None:
    """Twice the VM has changed since it was looked at: it is looked at again."""
    (vm_id,) = central.sandbox.seed(1, state="OFF")
    central.sandbox.faults.add(Fault(START["v4"], times=2, status=412, code="PLAT-10005", message="Invalid eTag"))
    central.gateway().start_vm(vm_id)
    assert central.states() == {vm_id: "ON"}
    assert central.operations()[:6] == [GET["v4"], START["v4"]] * 3


@pytest.mark.parametrize(
    ("verb", "operation", "state"),
    [
        ("start", START["v4"], "OFF"),
        ("stop", action("power-off"), "ON"),
        ("restart", action("reset"), "ON"),
        ("delete", DELETE["v4"], "ON"),
    ],
)
def test_change_with_etags_that_are_always_stale_is_a_conflict(
    central: Prism, verb: str, operation: str, state: str
) -> None:
    """Four looks, then it is told: somebody is at work on the VM."""
    (vm_id,) = central.sandbox.seed(1, state=state)
    central.sandbox.faults.add(Fault(operation, times=None, status=412, code="PLAT-10005", message="Invalid eTag"))
    with pytest.raises(ConflictError):
        VERBS[verb](central, vm_id)
    assert central.operations() == [GET["v4"], operation] * 4
    assert central.states() == {vm_id: state}


def test_change_whose_etag_grows_stale_in_the_queue_is_made_anew(central: Prism) -> None:
    """The task waits, the VM is changed meanwhile."""
    (vm_id,) = central.sandbox.seed(1, state="OFF")
    central.sandbox.knobs.queue_seconds = 0.3
    operation = central.gateway().start_vm(vm_id, AT_ONCE)
    central.sandbox.touch(vm_id)
    central.sandbox.knobs.queue_seconds = 0.0
    assert central.awaited(operation).failure is None
    assert central.states() == {vm_id: "ON"}
    assert [task.status for task in central.sandbox.tasks("on")] == ["FAILED", "SUCCEEDED"]


@pytest.mark.parametrize("end", [Prism.awaited, Prism.finished])
def test_delete_whose_etag_grows_stale_in_the_queue_is_made_anew(
    central: Prism, end: Callable[[Prism, Operation], Operation]
) -> None:
    """The same for a delete, waited for and followed."""
    (vm_id,) = central.sandbox.seed(1)
    central.sandbox.knobs.queue_seconds = 0.3
    operation = central.gateway().delete_vm(vm_id, AT_ONCE)
    central.sandbox.touch(vm_id)
    central.sandbox.knobs.queue_seconds = 0.0
    assert end(central, operation).failure is None
    assert central.states() == {}


@pytest.mark.parametrize(("verb", "before", "after"), [("start", "OFF", "ON"), ("stop", "ON", "OFF")])
def test_change_that_is_made_anew_ends_for_who_follows_it(central: Prism, verb: str, before: str, after: str) -> None:
    """A follower holds the first handle to the last: what a look before has asked for is not asked for forever."""
    (vm_id,) = central.sandbox.seed(1, state=before)
    central.sandbox.knobs.queue_seconds = 0.3
    gateway = central.gateway()
    if verb == "start":
        operation = gateway.start_vm(vm_id, AT_ONCE)
    else:
        operation = gateway.stop_vm(vm_id, StopMode.FORCE, 0, AT_ONCE)
    central.sandbox.touch(vm_id)
    central.sandbox.knobs.queue_seconds = 0.0
    assert central.finished(operation).failure is None
    assert central.states() == {vm_id: after}


def test_start_with_a_stale_spec_version_takes_a_fresh_one(old_central: Prism) -> None:
    """v3's way to say it; once."""
    (vm_id,) = old_central.sandbox.seed(1, state="OFF")
    conflict = Fault(START["v3"], status=409, code="CONCURRENT_REQUESTS_NOT_ALLOWED", message="Edit conflict")
    old_central.sandbox.faults.add(conflict)
    old_central.gateway().start_vm(vm_id)
    assert old_central.states() == {vm_id: "ON"}
    assert old_central.operations()[:4] == [GET["v3"], START["v3"]] * 2


def test_start_with_spec_versions_that_are_always_stale_is_a_conflict(old_central: Prism) -> None:
    """Two looks, no more."""
    (vm_id,) = old_central.sandbox.seed(1, state="OFF")
    conflict = Fault(START["v3"], times=None, status=409, message="Edit conflict")
    old_central.sandbox.faults.add(conflict)
    with pytest.raises(ConflictError):
        old_central.gateway().start_vm(vm_id)
    assert old_central.operations() == [GET["v3"], START["v3"]] * 2


def test_two_writers_at_once_both_succeed_or_get_a_conflict(prism: Prism) -> None:
    """Starts and stops of one VM at the same moment: none fails in another way, and the VM is in one of the states."""
    (vm_id,) = prism.sandbox.seed(1, state="OFF")

    def change(number: int) -> type[ProviderError] | None:
        try:
            VERBS["start" if number % 2 else "stop"](prism, vm_id)
        except ProviderError as error:
            return type(error)
        return None

    assert set(at_once(6, change)) <= {None, ConflictError}
    wait_until(lambda: all(task.status in {"SUCCEEDED", "FAILED"} for task in prism.sandbox.tasks()))
    assert prism.states()[vm_id] in {"ON", "OFF"}


def test_delete_by_two_callers_at_once_deletes_once(prism: Prism) -> None:
    """The second is told that there is none, or that somebody is at work."""
    (vm_id,) = prism.sandbox.seed(1)

    def delete(_: int) -> type[ProviderError] | None:
        try:
            prism.gateway().delete_vm(vm_id)
        except ProviderError as error:
            return type(error)
        return None

    outcomes = at_once(2, delete)
    assert None in outcomes
    assert set(outcomes) <= {None, VMNotFoundError, ConflictError}
    assert prism.remains() == []


def test_delete_that_is_refused_for_a_running_vm_cuts_its_power_first(prism: Prism) -> None:
    """Prism deletes running VMs; a release that did not would be told to."""
    (vm_id,) = prism.sandbox.seed(1)
    message = "InvalidVmState: Cannot complete request in state On"
    prism.sandbox.faults.add(Fault(DELETE[prism.api], status=422, message=message))
    prism.gateway().delete_vm(vm_id)
    assert prism.remains() == []
    assert [task.kind for task in prism.sandbox.tasks()][-2:] == ["off" if prism.api != "v3" else "update", "delete"]


def test_delete_whose_task_fails_for_a_running_vm_cuts_its_power_first(prism: Prism) -> None:
    """The same, told by the task."""
    (vm_id,) = prism.sandbox.seed(1)
    prism.sandbox.fail_next_task("delete", "InvalidVmState: Cannot complete request in state On")
    prism.gateway().delete_vm(vm_id)
    assert prism.remains() == []


@pytest.mark.parametrize("task_seconds", [0.0, 0.5])
def test_delete_after_the_power_cut_whose_answer_is_lost_succeeds(prism: Prism, task_seconds: float) -> None:
    """The next poll finds no VM, or its own task fails because the first one has deleted the VM."""
    (vm_id,) = prism.sandbox.seed(1)
    message = "InvalidVmState: Cannot complete request in state On"
    prism.sandbox.faults.add(Fault(DELETE[prism.api], status=422, message=message))
    prism.sandbox.faults.add(Fault(DELETE[prism.api], cut=Cut.ANSWER, after=True))
    prism.sandbox.knobs.task_seconds = task_seconds
    prism.gateway().delete_vm(vm_id)
    assert prism.remains() == []
    assert prism.operations().count(DELETE[prism.api]) >= 2


def test_delete_that_is_refused_again_is_a_conflict(prism: Prism) -> None:
    """Once is enough."""
    (vm_id,) = prism.sandbox.seed(1)
    message = "InvalidVmState: Cannot complete request in state On"
    prism.sandbox.faults.add(Fault(DELETE[prism.api], times=None, status=422, message=message))
    with pytest.raises(ConflictError):
        prism.gateway().delete_vm(vm_id)
    assert prism.states() == {vm_id: "OFF"}


@pytest.mark.parametrize("state", ["PAUSED", "SUSPENDED"])
def test_start_of_a_paused_vm_resumes_it_by_v2(element: Prism, state: str) -> None:
    """v2.0 knows a transition for it."""
    (vm_id,) = element.sandbox.seed(1)
    element.sandbox.set_state(vm_id, state)
    element.gateway().start_vm(vm_id)
    assert element.states() == {vm_id: "ON"}


@pytest.mark.parametrize("prism", ["v3", "v4"], indirect=True)
def test_start_of_a_paused_vm_is_a_conflict_where_it_cannot_be_resumed(prism: Prism) -> None:
    """v3 and v4 know no such action; what does not run is not said to run."""
    (vm_id,) = prism.sandbox.seed(1)
    prism.sandbox.set_state(vm_id, "PAUSED")
    assert prism.gateway().get_vm(vm_id).status is VMStatus.SUSPENDED
    try:
        prism.gateway().start_vm(vm_id)
    except ConflictError:
        assert prism.states() == {vm_id: "PAUSED"}
    else:
        assert prism.states() == {vm_id: "ON"}


def test_stop_of_a_paused_vm_cuts_its_power_in_auto_mode(prism: Prism) -> None:
    """Its guest cannot obey."""
    (vm_id,) = prism.sandbox.seed(1)
    prism.sandbox.set_state(vm_id, "PAUSED")
    prism.gateway().stop_vm(vm_id, StopMode.AUTO, 0.3)
    assert prism.states() == {vm_id: "OFF"}


@pytest.mark.parametrize("mode", [StopMode.AUTO, StopMode.FORCE])
def test_restart_of_a_paused_vm_is_a_conflict(prism: Prism, mode: StopMode) -> None:
    """It does not run."""
    (vm_id,) = prism.sandbox.seed(1)
    prism.sandbox.set_state(vm_id, "PAUSED")
    with pytest.raises(ConflictError):
        prism.gateway().restart_vm(vm_id, mode, 1)


@pytest.mark.parametrize("end", [Prism.awaited, Prism.finished])
def test_restart_that_is_made_anew_boots_the_vm_once(
    central: Prism, end: Callable[[Prism, Operation], Operation]
) -> None:
    """Its end cannot be seen at the VM: whoever follows it would ask for it again at each look."""
    (vm_id,) = central.sandbox.seed(1)
    central.sandbox.knobs.queue_seconds = 0.3
    operation = central.gateway().restart_vm(vm_id, StopMode.FORCE, 0, AT_ONCE)
    central.sandbox.touch(vm_id)
    assert end(central, operation).failure is None
    assert [task.status for task in central.sandbox.tasks("reset")] == ["FAILED", "SUCCEEDED"]
    assert central.sandbox.vm(vm_id).boots == 2


def test_stop_waits_for_the_guest(prism: Prism) -> None:
    """The task ends when the button is pressed; the stop, when the VM is off."""
    (vm_id,) = prism.sandbox.seed(1)
    prism.sandbox.knobs.guest_seconds = 0.5
    begun = time.monotonic()
    prism.gateway().stop_vm(vm_id, StopMode.GRACEFUL, 10)
    assert time.monotonic() - begun >= 0.5
    assert prism.states() == {vm_id: "OFF"}


def test_restart_boots_the_vm_again(prism: Prism) -> None:
    """By the guest and by force."""
    vm_id = prism.create()
    for mode in (StopMode.GRACEFUL, StopMode.FORCE):
        before = prism.sandbox.vm(vm_id).boots
        prism.gateway().restart_vm(vm_id, mode, 10)
        wait_until(lambda before=before: prism.sandbox.vm(vm_id).boots == before + 1)  # type: ignore[misc] # bound
    assert prism.states() == {vm_id: "ON"}


def test_failed_task_tells_its_words(prism: Prism) -> None:
    """And whose operation it was."""
    (vm_id,) = prism.sandbox.seed(1, state="OFF")
    prism.sandbox.fail_next_task("power", "qemu-kvm exited with code 1")
    with pytest.raises(BackendFailureError, match="qemu-kvm exited with code 1") as caught:
        prism.gateway().start_vm(vm_id)
    assert caught.value.backend is not None
    assert caught.value.backend.operation == START[prism.api]


def test_start_without_memory_on_the_hosts_is_unavailable(prism: Prism) -> None:
    """No room is another thing than broken."""
    (vm_id,) = prism.sandbox.seed(1, state="OFF")
    prism.sandbox.knobs.free_memory_bytes = 0
    with pytest.raises(UnavailableError):
        prism.gateway().start_vm(vm_id)


def test_busy_prism_is_unavailable(prism: Prism) -> None:
    """503 is no failure of ours, nor of the VM; its time is passed on."""
    (vm_id,) = prism.sandbox.seed(1, state="OFF")
    prism.sandbox.faults.add(Fault(START[prism.api], status=503, message="Busy", headers={"Retry-After": "9"}))
    with pytest.raises(UnavailableError) as caught:
        prism.gateway().start_vm(vm_id)
    assert caught.value.retry_after_seconds == 9


def test_stop_whose_polls_fail_until_the_deadline_goes_on(prism: Prism) -> None:
    """The stop was accepted: a busy Prism does not make a failure of it."""
    (vm_id,) = prism.sandbox.seed(1)
    prism.sandbox.faults.add(Fault(TASK[prism.api], times=None, status=503, message="Busy"))
    with pytest.raises(StillGoingOnError) as caught:
        prism.gateway(seconds=1.0).stop_vm(vm_id, StopMode.FORCE, 0)
    prism.sandbox.faults.clear()
    assert prism.finished(caught.value.operation).failure is None


def test_stop_survives_looks_that_get_lost(prism: Prism) -> None:
    """Also those at the VM itself."""
    (vm_id,) = prism.sandbox.seed(1)
    prism.sandbox.knobs.guest_seconds = 0.5
    prism.sandbox.faults.add(Fault(TASK[prism.api], times=2, status=503, message="Busy"))
    if prism.api == "v2":
        prism.sandbox.faults.add(Fault(GET["v2"], times=1, status=502, message="Bad gateway"))
    prism.gateway().stop_vm(vm_id, StopMode.GRACEFUL, 10)
    assert prism.states() == {vm_id: "OFF"}
