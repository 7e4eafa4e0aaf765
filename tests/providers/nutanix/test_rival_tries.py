"""Tries that share one VM, clean-ups that come late, copies, and what users did meanwhile."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace

import pytest

from providers import notes
from providers.domain import Operation, StopMode
from providers.errors import ProviderError
from providers.gateway import Backends
from providers.nutanix.history import PastTask, shows_no_use, shows_only_creation, was_made
from providers.nutanix.records import TaskStatus
from providers.sandbox.faults import Fault
from tests.providers.nutanix.prism import CREATE, DELETE, GET, START, Prism, spec
from tests.providers.nutanix.test_idempotency import KEY, never_started
from tests.providers.reached import AT_ONCE, NETWORK
from tests.support.arrivals import at_call
from tests.support.limits import LIMITS
from tests.support.waiting import wait_until

UPDATE = {"v2": "v2.0 PUT /vms/{uuid}", "v3": "v3 PUT /vms/{uuid}", "v4": "v4 PUT /ahv/config/vms/{extId}"}
HISTORY = "v2.0 POST /tasks/list"


def failed_start(prism: Prism, *, key: str = "") -> Operation:
    """Begin a create whose start fails, and wait for the failure without following it."""
    prism.sandbox.fail_next_task("power", "It went wrong")
    accepted = prism.gateway().create_vm(spec(key=key), AT_ONCE)
    wait_until(lambda: prism.sandbox.tasks()[-1].status == "FAILED")
    return accepted


def follow(prism: Prism, accepted: Operation) -> list[bool]:
    """Follow a create that has failed; return whether each leftover was removed."""
    ended = prism.gateway().poll(accepted)
    assert ended.failure is not None
    return [one.removed for one in ended.failure.leftovers]


def copied(prism: Prism, vm_id: str) -> str:
    """Copy a VM with its description, as people do in Prism; return the copy's id."""
    copy = prism.sandbox.clone(vm_id)
    wait_until(lambda: copy in prism.states())
    return copy


@pytest.mark.parametrize("prism", ["v2", "v4"], indirect=True)
@pytest.mark.parametrize("status", [403, 500])
def test_create_whose_start_fails_after_another_try_was_answered_leaves_the_vm(prism: Prism, status: int) -> None:
    """The other process has started the VM, and was answered with it."""
    answered: list[str] = []
    with closing(Backends(NETWORK, LIMITS)) as other:

        def second() -> None:
            answered.append(prism.create(prism.gateway(backends=other, seconds=60), key=KEY))
            prism.sandbox.faults.add(Fault(START[prism.api], status=status, message="No."))

        with at_call(prism.sandbox.calls, START[prism.api], second), pytest.raises(ProviderError) as caught:
            prism.create(prism.gateway(seconds=60), key=KEY)
    assert caught.value.leftovers == ()
    assert prism.states() == {answered[0]: "ON"}


def test_create_that_fails_without_start_after_another_try_was_answered_leaves_the_vm(central: Prism) -> None:
    """The last look of the first try is refused."""
    answered: list[str] = []
    with closing(Backends(NETWORK, LIMITS)) as other:

        def second() -> None:
            answered.append(central.create(central.gateway(backends=other, seconds=60), key=KEY, start=False))
            central.sandbox.faults.add(Fault(GET["v4"], status=403, message="No."))

        with at_call(central.sandbox.calls, GET["v4"], second), pytest.raises(ProviderError) as caught:
            central.create(central.gateway(seconds=60), key=KEY, start=False)
    assert caught.value.leftovers == ()
    assert central.states() == {answered[0]: "OFF"}


def test_clean_up_spares_a_vm_that_another_try_takes_over_during_its_delete(central: Prism) -> None:
    """v4 deletes a VM only as it was seen."""
    central.sandbox.fail_next_task("power", "It went wrong")
    answered: list[str] = []
    with closing(Backends(NETWORK, LIMITS)) as other:

        def second() -> None:
            answered.append(central.create(central.gateway(backends=other, seconds=60), key=KEY))

        with at_call(central.sandbox.calls, DELETE["v4"], second), pytest.raises(ProviderError) as caught:
            central.create(central.gateway(seconds=60), key=KEY)
    assert caught.value.leftovers == ()
    assert central.states() == {answered[0]: "ON"}


@pytest.mark.parametrize("prism", ["v3"], indirect=True)
def test_clean_up_spares_a_vm_that_another_try_is_taking_over(prism: Prism) -> None:
    """v3 has accepted the update that takes the VM over, and not carried it out: only the version shows it."""
    prism.sandbox.fail_next_task("power", "It went wrong")
    retries: list[Future[str]] = []
    with closing(Backends(NETWORK, LIMITS)) as other, ThreadPoolExecutor(1) as pool:

        def retry() -> None:
            prism.sandbox.knobs.task_seconds = 2.0
            retries.append(pool.submit(prism.create, prism.gateway(backends=other, seconds=60), key=KEY))
            wait_until(
                lambda: any(call.operation == UPDATE["v3"] and call.status for call in prism.sandbox.calls.list())
            )

        with at_call(prism.sandbox.calls, GET["v3"], retry), pytest.raises(ProviderError) as caught:
            prism.create(prism.gateway(seconds=60), key=KEY)
        vm_id = retries[0].result()
    assert [one.removed for one in caught.value.leftovers] == [False]
    assert prism.states() == {vm_id: "ON"}


@pytest.mark.parametrize("prism", ["v2", "v4"], indirect=True)
def test_clean_up_does_not_cut_the_power_of_a_vm_that_somebody_has_started(prism: Prism) -> None:
    """The create's own start was refused."""

    def start() -> None:
        (vm_id,) = prism.states()
        prism.sandbox.set_state(vm_id, "ON")
        prism.sandbox.faults.add(Fault(START[prism.api], status=403, message="No."))

    with at_call(prism.sandbox.calls, START[prism.api], start), pytest.raises(ProviderError) as caught:
        prism.create()
    assert [one.removed for one in caught.value.leftovers] == [False]
    assert list(prism.states().values()) == ["ON"]


@pytest.mark.parametrize("state", ["ON", "OFF"])
def test_create_that_failed_when_followed_spares_a_vm_whose_tasks_show_a_start(prism: Prism, state: str) -> None:
    """Whether it still runs or not."""
    accepted = failed_start(prism)
    (vm_id,) = prism.states()
    prism.gateway().start_vm(vm_id)
    if state == "OFF":
        prism.gateway().stop_vm(vm_id, StopMode.FORCE, 0)
    assert follow(prism, accepted) == [False]
    assert prism.states() == {vm_id: state}


@pytest.mark.parametrize("state", ["ON", "OFF"])
def test_create_that_failed_when_followed_spares_a_vm_with_the_mark_of_a_retry(prism: Prism, state: str) -> None:
    """The retry has started it, and was answered with it."""
    if prism.api == "v3":
        pytest.skip("v3 makes and starts the VM of a create with a key before it is accepted")
    accepted = failed_start(prism, key=KEY)
    vm_id = prism.create(key=KEY)
    if state == "OFF":
        prism.gateway().stop_vm(vm_id, StopMode.FORCE, 0)
    assert follow(prism, accepted) == []
    assert prism.states() == {vm_id: state}


def test_create_that_failed_when_followed_removes_its_vm(prism: Prism) -> None:
    """Nobody has used it. A second look finds nothing to do."""
    accepted = failed_start(prism)
    assert follow(prism, accepted) == [True]
    assert prism.remains() == []
    assert follow(prism, accepted) == [True]


def test_create_that_failed_when_followed_by_a_token_of_an_older_version_removes_nothing(prism: Prism) -> None:
    """It does not hold the mark by which the VM is known."""
    accepted = failed_start(prism)
    old = replace(accepted, handle=accepted.handle.replace('"mark"', '"is_theirs"'))
    assert follow(prism, old) == []
    assert list(prism.states().values()) == ["OFF"]


def test_vm_of_a_retry_that_was_killed_is_started_by_the_next(prism: Prism) -> None:
    """The retry has taken it over, which is no use of it; it is a leftover until then."""
    vm_id = never_started(prism)
    prism.sandbox.faults.add(Fault(START[prism.api], times=1 + (prism.api == "v3"), status=403, message="No."))
    with pytest.raises(ProviderError):
        prism.create(key=KEY)
    prism.sandbox.faults.clear()
    assert [one.id for one in prism.gateway().list_leftovers()] == [vm_id]
    assert prism.create(key=KEY) == vm_id
    assert prism.states() == {vm_id: "ON"}


def test_retry_that_changes_the_vm_at_the_same_moment_as_somebody_else_looks_again(prism: Prism) -> None:
    """What people write into the description at that moment is kept."""
    vm_id = prism.create(key=KEY)

    def edit() -> None:
        prism.sandbox.set_description(vm_id, f"Ask Ann.\n{prism.sandbox.vm(vm_id).description}")
        prism.sandbox.touch(vm_id)

    with at_call(prism.sandbox.calls, UPDATE[prism.api], edit):
        assert prism.create(key=KEY) == vm_id
    description = prism.sandbox.vm(vm_id).description
    assert description.startswith("Ask Ann.\n")
    assert notes.read(description).claims == 1


@pytest.mark.parametrize("state", ["ON", "OFF"])
@pytest.mark.parametrize("is_original_there", [True, False])
def test_retry_leaves_a_copy_alone(
    prism: Prism,
    state: str,
    is_original_there: bool,  # noqa: FBT001 - pytest's
) -> None:
    """It is neither taken for the VM nor changed, also where it runs and the VM does not, or is gone."""
    vm_id = prism.create(key=KEY)
    copy = copied(prism, vm_id)
    prism.sandbox.set_state(copy, state)
    prism.gateway().stop_vm(vm_id, StopMode.FORCE, 0)
    if not is_original_there:
        prism.gateway().delete_vm(vm_id)
    before = prism.sandbox.vm(copy)
    again = prism.create(prism.gateway(seconds=60), key=KEY)
    assert again == vm_id if is_original_there else again not in {vm_id, copy}
    assert prism.states() == {again: "OFF" if is_original_there else "ON", copy: state}
    assert prism.sandbox.vm(copy) == before


def test_retry_leaves_a_copy_of_a_vm_that_was_taken_over_alone(element: Prism) -> None:
    """Its note names the VM, so that no history is needed, which Prism forgets."""
    vm_id = element.create(key=KEY)
    assert element.create(key=KEY) == vm_id
    copy = copied(element, vm_id)
    element.sandbox.set_state(copy, "ON")
    element.sandbox.calls.clear()
    assert element.create(key=KEY) == vm_id
    assert HISTORY not in element.operations()


def test_retry_of_a_create_whose_history_is_not_shown_finds_the_vm(element: Prism) -> None:
    """A role that may not list tasks: the VM is shown as it is."""
    vm_id = element.create(key=KEY)
    element.sandbox.faults.add(Fault(HISTORY, times=None, status=403, message="No permission."))
    assert element.create(key=KEY) == vm_id
    assert element.operations().count(CREATE["v2"]) == 1


CREATION = PastTask("1", "CreateVm", TaskStatus.SUCCEEDED)
CLAIM = PastTask("2", "UpdateVm", TaskStatus.SUCCEEDED)
PART = PastTask("3", "VmDisksUpdate", TaskStatus.SUCCEEDED, "2")
START_TASK = PastTask("4", "PowerOnVm", TaskStatus.SUCCEEDED)


@pytest.mark.parametrize(
    ("tasks", "claims", "expected"),
    [
        ([CREATION, CLAIM], 1, True),
        ([CREATION, CLAIM, PART], 1, True),
        ([CREATION, CLAIM], 0, False),
        ([CREATION, CLAIM, replace(CLAIM, id="5")], 1, False),
        ([CREATION, CLAIM, START_TASK], 1, False),
        ([CLAIM], 1, False),
    ],
)
def test_history_without_the_claims_of_other_tries(tasks: list[PastTask], claims: int, *, expected: bool) -> None:
    """As many updates as the note tells are not somebody's."""
    assert shows_only_creation(tasks, claims) is shows_no_use(tasks, claims) is expected


def test_history_tells_a_copy() -> None:
    """Where the beginning is forgotten it tells nothing."""
    assert was_made([CREATION, START_TASK]) is True
    assert was_made([replace(CREATION, operation="VmClone"), START_TASK]) is False
    assert was_made([START_TASK]) is None
