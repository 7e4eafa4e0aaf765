"""Creates with one key at the same moment by processes that know nothing of each other: one VM stays."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest

from providers import notes
from providers.errors import ConflictError, PermissionDeniedError
from providers.gateway import Backends
from providers.sandbox.faults import Fault
from tests.providers.nutanix.prism import CREATE, LIST, TASK, Prism, spec
from tests.providers.reached import AT_ONCE, NETWORK
from tests.support.limits import LIMITS
from tests.support.threads import at_once
from tests.support.waiting import wait_until

KEY = "order-4711"


@pytest.mark.parametrize("tries", [2, 4])
def test_create_repeated_at_once_by_several_processes_leaves_one_vm(prism: Prism, tries: int) -> None:
    """All have looked before any has made a VM. One stays, and who answers well answers with that one."""
    processes = [Backends(NETWORK, LIMITS) for _ in range(tries)]
    prism.sandbox.knobs.task_seconds = 0.2
    # Each has a moment between its look and its making.
    prism.sandbox.faults.add(Fault(CREATE[prism.api], times=tries, delay_seconds=0.4))

    def create(number: int) -> str:
        try:
            return prism.create(prism.gateway(backends=processes[number]), key=KEY)
        except ConflictError:
            return ""

    made = set(at_once(tries, create)) - {""}
    assert prism.states() == dict.fromkeys(made, "ON")
    assert len(made) == 1
    assert len(prism.remains()) == 2
    for process in processes:
        process.close()


@pytest.mark.parametrize("prism", ["v2", "v3"], indirect=True)
def test_create_that_finds_the_vm_of_another_process_beside_its_own_removes_its_own(prism: Prism) -> None:
    """The other was made first and has looked before this one's was there: it stays, whichever uuid is the lower."""
    prism.sandbox.faults.add(Fault(CREATE[prism.api], delay_seconds=1.0))
    with closing(Backends(NETWORK, LIMITS)) as process, ThreadPoolExecutor(1) as pool:
        late = pool.submit(prism.create, key=KEY)
        wait_until(lambda: LIST[prism.api] in prism.operations())
        time.sleep(0.2)
        first = prism.create(prism.gateway(backends=process), key=KEY)
        assert late.result() == first
    assert prism.states() == {first: "ON"}
    assert len(prism.sandbox.tasks("create")) == 2


@pytest.mark.parametrize("prism", ["v2", "v3"], indirect=True)
def test_create_that_cannot_look_for_another_leaves_nothing(prism: Prism) -> None:
    """Whether there is another VM of the key is not known: its own is not kept."""
    prism.sandbox.faults.add(Fault(CREATE[prism.api], delay_seconds=0.5))
    with ThreadPoolExecutor(1) as pool:
        made = pool.submit(prism.create, key=KEY)
        wait_until(lambda: LIST[prism.api] in prism.operations())
        time.sleep(0.2)
        prism.sandbox.faults.add(Fault(LIST[prism.api], status=403, message="No permission."))
        with pytest.raises(PermissionDeniedError) as caught:
            made.result()
    assert [one.removed for one in caught.value.leftovers] == [True]
    assert prism.remains() == []


@pytest.mark.parametrize("prism", ["v2", "v3"], indirect=True)
def test_create_that_finds_two_vms_of_its_key_waits_for_the_one_that_stays(prism: Prism) -> None:
    """A third try, that comes when the late one's VM is there and the late one has not looked yet."""
    prism.sandbox.faults.add(Fault(CREATE[prism.api], delay_seconds=1.5))
    with (
        closing(Backends(NETWORK, LIMITS)) as second,
        closing(Backends(NETWORK, LIMITS)) as third,
        ThreadPoolExecutor(1) as pool,
    ):
        late = pool.submit(prism.create, key=KEY)
        wait_until(lambda: LIST[prism.api] in prism.operations())
        time.sleep(0.2)
        first = prism.create(prism.gateway(backends=second), key=KEY)
        prism.sandbox.faults.add(Fault(TASK[prism.api], delay_seconds=1.5))
        wait_until(lambda: len(prism.sandbox.vms()) == 2)
        assert prism.create(prism.gateway(backends=third), key=KEY) == first
        assert late.result() == first
    assert prism.states() == {first: "ON"}


def test_create_completed_by_a_third_try_is_kept_by_its_own(element: Prism) -> None:
    """The third has found one VM alone, started it and answered with it: whatever uuid comes later, that one stays."""
    element.sandbox.faults.add(Fault(CREATE["v2"], delay_seconds=2.5))
    with (
        closing(Backends(NETWORK, LIMITS)) as second,
        closing(Backends(NETWORK, LIMITS)) as third,
        ThreadPoolExecutor(2) as pool,
    ):
        late = pool.submit(element.create, key=KEY)
        wait_until(lambda: LIST["v2"] in element.operations())
        time.sleep(0.2)
        # The first look at its task is that of the early one, the second that of the late one.
        element.sandbox.faults.add(Fault(TASK["v2"], delay_seconds=4.0))
        element.sandbox.faults.add(Fault(TASK["v2"], delay_seconds=4.0))
        early = pool.submit(element.create, element.gateway(backends=second), key=KEY)
        wait_until(lambda: len(element.sandbox.vms()) >= 1)
        time.sleep(0.2)
        answered = element.gateway(backends=third).create_vm(spec(key=KEY), AT_ONCE).vm_id
        assert [early.result(), late.result()] == [answered, answered]
    assert element.states() == {answered: "ON"}


def test_intent_awaited_by_a_third_try_is_kept_by_its_own(old_central: Prism) -> None:
    """The third has taken the VM over: whatever uuid comes later, that one stays."""
    old_central.sandbox.faults.add(Fault(CREATE["v3"], delay_seconds=2.5))
    with (
        closing(Backends(NETWORK, LIMITS)) as second,
        closing(Backends(NETWORK, LIMITS)) as third,
        ThreadPoolExecutor(2) as pool,
    ):
        late = pool.submit(old_central.create, key=KEY)
        wait_until(lambda: LIST["v3"] in old_central.operations())
        time.sleep(0.2)
        old_central.sandbox.knobs.task_seconds = 1.0
        # The first looks of the early one and of the late one at their tasks.
        old_central.sandbox.faults.add(Fault(TASK["v3"], delay_seconds=4.0))
        old_central.sandbox.faults.add(Fault(TASK["v3"], delay_seconds=4.0))
        early = pool.submit(old_central.create, old_central.gateway(backends=second), key=KEY)
        wait_until(lambda: CREATE["v3"] in old_central.operations())
        answered = old_central.create(old_central.gateway(backends=third), key=KEY)
        assert [early.result(), late.result()] == [answered, answered]
    assert old_central.states() == {answered: "ON"}
    assert notes.read(old_central.sandbox.vm(answered).description).claims > 0
