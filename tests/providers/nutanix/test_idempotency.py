"""Creates with an Idempotency-Key: one VM, whatever happens between two tries."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest

from providers.errors import ProviderError, UnprocessableError
from providers.gateway import Backends
from providers.nutanix.creation import REQUESTS
from providers.sandbox.faults import Fault
from tests.providers.nutanix.prism import CREATE, DELETE, GET, LIST, START, TASK, Prism, spec
from tests.providers.reached import AT_ONCE, NETWORK
from tests.support.limits import LIMITS
from tests.support.threads import at_once
from tests.support.waiting import wait_until

KEY = "order-4711"
STARTED = {"v2": [START["v2"]], "v3": [], "v4": [GET["v4"], START["v4"]]}


def test_create_with_a_key_costs_a_list_or_two(prism: Prism) -> None:
    """A create without one lists nothing; by v2 and v3 another list tells whether there was another at the moment."""
    prism.create()
    assert LIST[prism.api] not in prism.operations()
    prism.sandbox.calls.clear()
    prism.create(key=KEY)
    called = [operation for operation in prism.operations() if operation != TASK[prism.api]]
    again = [] if prism.api == "v4" else [LIST[prism.api]]
    assert called == [LIST[prism.api], CREATE[prism.api], *again, *STARTED[prism.api]]


def test_create_repeated_at_once_by_two_processes_makes_one_vm_by_v4(central: Prism) -> None:
    """The request id follows from the key: Prism makes one of two tries that nothing here could keep apart."""
    processes = [Backends(NETWORK, LIMITS) for _ in range(4)]
    central.sandbox.knobs.task_seconds = 0.2
    made = at_once(4, lambda number: central.create(central.gateway(backends=processes[number]), key=KEY))
    assert len(set(made)) == 1
    assert central.states() == {made[0]: "ON"}
    for process in processes:
        process.close()


def test_create_repeated_after_many_deletes_makes_the_vm_once_more(central: Prism) -> None:
    """Prism remembers all the request ids that the key leads to: another one is drawn."""
    for _ in range(REQUESTS):
        central.gateway().delete_vm(central.create(key=KEY))
    processes = [Backends(NETWORK, LIMITS) for _ in range(2)]
    made = at_once(2, lambda number: central.create(central.gateway(backends=processes[number], seconds=60), key=KEY))
    assert set(made) == set(central.states())
    assert central.states() == {made[0]: "ON"}
    for process in processes:
        process.close()


def test_create_repeated_while_another_process_makes_the_vm_waits_for_it(old_central: Prism) -> None:
    """v3 shows the intent at once: it is not made again."""
    old_central.sandbox.knobs.task_seconds = 0.6
    with closing(Backends(NETWORK, LIMITS)) as process, ThreadPoolExecutor(1) as pool:
        first = pool.submit(old_central.create, old_central.gateway(backends=process), key=KEY)
        wait_until(lambda: CREATE["v3"] in old_central.operations())
        vm_id = old_central.create(key=KEY)
        assert first.result() == vm_id
    assert old_central.states() == {vm_id: "ON"}
    assert len(old_central.sandbox.tasks("create")) == 1


@pytest.mark.parametrize("step", ["clone", "power"])
def test_create_repeated_after_a_failure_makes_the_vm(prism: Prism, step: str) -> None:
    """The first try came to nothing: the retry is not answered with its failure."""
    prism.sandbox.fail_next_task(step, "It went wrong")
    # Time for a look at a task that has not failed yet: one that has is taken for an earlier try's.
    prism.sandbox.knobs.task_seconds = 0.3
    with pytest.raises(ProviderError, match="It went wrong"):
        prism.create(key=KEY)
    assert prism.remains() == []
    vm_id = prism.create(key=KEY)
    assert prism.states() == {vm_id: "ON"}


def test_create_that_fails_at_once_again_and_again_tells_why(central: Prism) -> None:
    """Each new request id is tried, and the last failure is the one that is told; nothing stays behind."""
    for _ in range(5):
        central.sandbox.fail_next_task("create", "It went wrong", work_done=True)
    central.sandbox.knobs.task_seconds = 0.0
    with pytest.raises(ProviderError, match="It went wrong"):
        central.create(key=KEY)
    assert central.remains() == []


def test_create_repeated_starts_the_vm_if_it_has_never_run(prism: Prism) -> None:
    """The first try ended between the two steps."""
    first = never_started(prism)
    assert prism.create(key=KEY) == first
    assert prism.states() == {first: "ON"}


def test_create_repeated_that_cannot_start_the_vm_leaves_it(prism: Prism) -> None:
    """It is the first try's."""
    first = never_started(prism)
    prism.sandbox.faults.add(Fault(START[prism.api], times=None, status=403, message="No permission."))
    with pytest.raises(ProviderError) as caught:
        prism.create(key=KEY)
    assert caught.value.leftovers == ()
    assert prism.states() == {first: "OFF"}


def test_create_repeated_and_followed_that_cannot_start_the_vm_leaves_it(prism: Prism) -> None:
    """A retry that fails when nobody waits for it removes nothing that is not its own."""
    first = never_started(prism)
    prism.sandbox.fail_next_task("power", "It went wrong")
    ended = prism.finished(prism.gateway().create_vm(spec(key=KEY), AT_ONCE))
    assert ended.failure is not None
    assert ended.failure.leftovers == ()
    assert prism.states() == {first: "OFF"}


def never_started(prism: Prism) -> str:
    """Let a create fail at its start, and its clean-up at the delete; return the VM that stays."""
    prism.sandbox.fail_next_task("power", "It went wrong")
    prism.sandbox.faults.add(Fault(DELETE[prism.api], times=None, status=403, message="No permission."))
    with pytest.raises(ProviderError, match="It went wrong"):
        prism.create(key=KEY)
    prism.sandbox.faults.clear()
    (vm_id,) = prism.states()
    return vm_id


def test_create_with_other_content_at_the_same_time_leaves_the_first(central: Prism) -> None:
    """v4 answers with the first one's task, and the second must not remove what it finds there."""
    processes = [Backends(NETWORK, LIMITS) for _ in range(2)]
    central.sandbox.knobs.task_seconds = 0.3

    def create(number: int) -> str | None:
        try:
            return central.create(central.gateway(backends=processes[number]), key=KEY, digest=f"digest-{number}")
        except UnprocessableError:
            return None

    made = [one for one in at_once(2, create) if one]
    assert list(central.states()) == made
    for process in processes:
        process.close()


def test_create_with_a_key_that_fails_to_look_leaves_nothing(prism: Prism) -> None:
    """The task was accepted, and cannot be looked at."""
    prism.sandbox.faults.add(Fault(TASK[prism.api], status=403, message="No permission."))
    with pytest.raises(ProviderError):
        prism.create(key=KEY)
    assert prism.remains() == []
