"""Creates that are late or lose their session at each of their steps."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from providers.domain import OperatingSystem
from providers.errors import BackendTimeoutError, ProviderError, VMNotFoundError
from providers.sandbox.faults import Fault
from providers.work import StillGoingOnError
from tests.providers.nutanix.prism import Prism
from tests.providers.reached import AT_ONCE, USER_DATA

# More than the calls of any create: lists, the making, looks, the start.
MOST_CALLS = 12


def attempted(make: Callable[[], str]) -> str | ProviderError:
    """What was made, or why not."""
    try:
        return make()
    except ProviderError as error:
        return error


@pytest.mark.parametrize("seconds", [0.15, 0.4, 0.7, 1.0, 1.5])
def test_create_past_its_deadline_at_any_step_leaves_nothing_untold(prism: Prism, seconds: float) -> None:
    """Each call takes its time, so that each deadline ends another step."""
    prism.sandbox.faults.add(Fault(times=None, delay_seconds=0.2))
    prism.sandbox.knobs.task_seconds = 0.2
    outcome = attempted(lambda: prism.create(prism.gateway(seconds=seconds, network_id="vlan100")))
    prism.sandbox.faults.clear()
    if isinstance(outcome, StillGoingOnError):
        ended = prism.finished(outcome.operation)
        assert (ended.failure, prism.states()) == (None, {ended.vm_id: "ON"})
    elif isinstance(outcome, ProviderError):
        assert isinstance(outcome, BackendTimeoutError)
        assert all(one.removed for one in outcome.leftovers)
        assert prism.remains() == []
    else:
        assert prism.states() == {outcome: "ON"}


def test_create_whose_session_ends_at_any_call_is_made_once(prism: Prism) -> None:
    """Prism ends the session just before one of the calls: it is done by a new log-in, and none is done twice."""
    gateway = prism.gateway()
    gateway.list_vms()
    for number in range(MOST_CALLS):
        prism.sandbox.faults.clear()
        prism.sandbox.faults.add(Fault(skip=number, status=401, message="Authentication required"))
        vm_id = prism.create(gateway, name=f"vm{number}")
        assert prism.sandbox.vm(vm_id).state == "ON"
        assert prism.sandbox.user_data(vm_id) == USER_DATA
    assert len(prism.sandbox.tasks("create")) == len(prism.sandbox.vms()) == MOST_CALLS


def test_create_for_windows_makes_a_vm_with_its_user_data(prism: Prism) -> None:
    """cloudbase-init reads the same drive as cloud-init does."""
    script = b"#ps1_sysnative\r\nRename-Computer -NewName test1\r\n"
    system = OperatingSystem("Windows", "Windows Server 2022", 40)
    vm_id = prism.create(os=system, cloud_init=script)
    assert prism.sandbox.user_data(vm_id) == script
    assert [disk.size_bytes for disk in prism.sandbox.vm(vm_id).disks if not disk.is_cdrom] == [40 << 30]


def test_delete_of_a_vm_that_is_starting_deletes_it(prism: Prism) -> None:
    """Who follows the start is told that the VM is gone; it is not a fault of the backend."""
    (vm_id,) = prism.sandbox.seed(1, state="OFF")
    prism.sandbox.knobs.task_seconds = 0.5
    starting = prism.gateway().start_vm(vm_id, AT_ONCE)
    prism.gateway().delete_vm(vm_id)
    assert prism.remains() == []
    with pytest.raises(VMNotFoundError):
        prism.finished(starting)
