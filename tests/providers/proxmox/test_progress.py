"""Starting, stopping, waiting: the HA manager, paused VMs, deaf guests, VMs that move meanwhile."""

from __future__ import annotations

import threading
from contextlib import suppress

import pytest

from providers.domain import StopMode, VMStatus
from providers.errors import BackendTimeoutError, ConflictError, ProviderError, VMNotFoundError
from providers.sandbox.faults import Fault
from providers.sandbox.proxmox import TEMPLATE_ID
from tests.providers.proxmox.cluster import QEMU, TASK, VM, Pve, seeded
from tests.providers.proxmox.recorder import recording
from tests.providers.reached import AT_ONCE
from tests.support.waiting import wait_until

AGENT = f"GET {VM}/agent/network-get-interfaces"
CONFIG, CURRENT = f"GET {VM}/config", f"GET {VM}/status/current"
VERSIONS = pytest.mark.parametrize("version", ["7.4", "9.0"])


@VERSIONS
def test_verbs_on_a_vm_of_the_ha_manager_wait_for_it(pve: Pve, version: str) -> None:
    """The task only tells the manager, which acts on its next round."""
    pve.sandbox.set_version(version)
    vm_id = seeded(pve)
    pve.sandbox.manage_by_ha(vm_id)
    pve.sandbox.knobs.ha_seconds = 0.2
    pve.gateway().stop_vm(vm_id, StopMode.AUTO, 5)
    assert pve.sandbox.vm(vm_id).state == "stopped"
    pve.gateway().start_vm(vm_id)
    assert pve.sandbox.vm(vm_id).state == "running"
    pve.gateway().stop_vm(vm_id, StopMode.FORCE, 0)
    assert pve.sandbox.vm(vm_id).state == "stopped"
    assert {task.type for task in pve.sandbox.tasks()} == {"hastop", "hastart"}


def test_stop_of_a_vm_of_the_ha_manager_is_not_forced_on_one_that_was_started_since(pve: Pve) -> None:
    """Nobody has looked at the operation until the guest's time was long over."""
    vm_id = seeded(pve)
    pve.sandbox.manage_by_ha(vm_id)
    pve.sandbox.knobs.ha_seconds = 0.05
    accepted = pve.gateway().stop_vm(vm_id, StopMode.AUTO, 0, AT_ONCE)
    wait_until(lambda: pve.sandbox.vm(vm_id).state == "stopped")
    pve.gateway().start_vm(vm_id)
    assert pve.gateway().poll(accepted).done
    assert (pve.sandbox.vm(vm_id).state, pve.sandbox.vm(vm_id).boots) == ("running", 2)
    assert len(pve.sandbox.tasks("hastop")) == 1


@pytest.mark.parametrize("mode", [StopMode.AUTO, StopMode.GRACEFUL])
def test_stop_of_a_deaf_guest_of_the_ha_manager_is_forced_in_every_mode(pve: Pve, mode: StopMode) -> None:
    """The manager is told the time, and not whether it is to force: it always does."""
    vm_id = seeded(pve)
    pve.sandbox.manage_by_ha(vm_id)
    pve.sandbox.knobs.ha_seconds = 0.05
    pve.sandbox.ignore_shutdown(vm_id)
    with suppress(BackendTimeoutError):
        # Whoever only asks waits no longer than the guest has time.
        pve.gateway().stop_vm(vm_id, mode, 1)
    wait_until(lambda: pve.sandbox.vm(vm_id).state == "stopped")


@VERSIONS
def test_delete_of_a_running_vm_of_the_ha_manager_leaves_nothing(pve: Pve, version: str) -> None:
    """It is off before it is removed, and leaves the manager's list."""
    pve.sandbox.set_version(version)
    vm_id = pve.create()
    pve.sandbox.manage_by_ha(vm_id)
    pve.sandbox.knobs.ha_seconds = 0.2
    pve.gateway().delete_vm(vm_id)
    assert pve.made() == ([], [])


def test_force_stop_after_a_vm_of_the_ha_manager_still_overrules(pve: Pve) -> None:
    """What PVE refuses for one VM it may do for the next."""
    managed, plain = map(str, pve.sandbox.seed(2))
    pve.sandbox.manage_by_ha(managed)
    pve.sandbox.knobs.ha_seconds = 0.05
    with recording(pve) as record:
        for vm_id in (managed, plain):
            record.pve.gateway().stop_vm(vm_id, StopMode.FORCE, 0)
    asked = [request for request in record.requests if request.path.endswith("/stop")]
    assert [("overrule-shutdown" in request.parameters, request.status) for request in asked] == [
        (True, 400),
        (False, 200),
        (True, 200),
    ]


def test_force_stop_on_older_pve_is_asked_once(pve: Pve) -> None:
    """A session finds out once that PVE does not know the parameter."""
    pve.sandbox.set_version("7.4")
    for vm_id in pve.sandbox.seed(3):
        pve.gateway().stop_vm(str(vm_id), StopMode.FORCE, 0)
    assert pve.sandbox.calls.count(f"POST {VM}/status/stop") == 4


@pytest.mark.parametrize(
    ("verb", "kind"), [("start", "qmstart"), ("stop", "qmshutdown"), ("force", "qmstop"), ("delete", "qmdestroy")]
)
def test_task_that_ends_in_warnings_is_a_success(pve: Pve, verb: str, kind: str) -> None:
    """`WARNINGS: 1`."""
    vm_id = seeded(pve, "stopped" if verb == "start" else "running")
    pve.sandbox.end_next_task(kind, "WARNINGS: 1", work_done=True)
    match verb:
        case "start":
            pve.gateway().start_vm(vm_id)
        case "delete":
            pve.gateway().delete_vm(vm_id)
        case _:
            pve.gateway().stop_vm(vm_id, StopMode.FORCE if verb == "force" else StopMode.AUTO, 5)
    (task,) = pve.sandbox.tasks(kind)
    assert task.exit_status == "WARNINGS: 1"


def test_start_of_a_running_vm_and_stop_of_a_stopped_one_are_successes(pve: Pve) -> None:
    """Errors in PVE's eyes."""
    vm_id = seeded(pve)
    assert pve.gateway().start_vm(vm_id).done
    pve.gateway().stop_vm(vm_id, StopMode.FORCE, 0)
    for mode in StopMode:
        assert pve.gateway().stop_vm(vm_id, mode, 1).done
    assert pve.sandbox.vm(vm_id).boots == 1


@pytest.mark.parametrize("mode", StopMode)
def test_restart_of_a_stopped_vm_is_a_conflict(pve: Pve, mode: StopMode) -> None:
    """As on the other clouds."""
    with pytest.raises(ConflictError):
        pve.gateway().restart_vm(seeded(pve, "stopped"), mode, 1)


def test_paused_vm_is_suspended_and_resumed_by_start(pve: Pve) -> None:
    """It has a process, and does not run."""
    vm_id = seeded(pve, "paused")
    assert (pve.gateway().get_vm(vm_id).status, pve.gateway().get_vm(vm_id).provider_status) == (
        VMStatus.SUSPENDED,
        "paused",
    )
    pve.gateway().start_vm(vm_id)
    assert (pve.sandbox.vm(vm_id).state, pve.sandbox.vm(vm_id).boots) == ("running", 1)


def test_forced_restart_of_a_paused_vm_lets_it_run(pve: Pve) -> None:
    """QEMU resets it, and leaves it halted."""
    vm_id = seeded(pve, "paused")
    pve.gateway().restart_vm(vm_id, StopMode.FORCE, 0)
    assert (pve.sandbox.vm(vm_id).state, pve.sandbox.vm(vm_id).boots) == ("running", 2)


def test_start_of_a_vm_that_waits_to_be_let_run_resumes_it(pve: Pve) -> None:
    """It has a process that somebody has reset, or started for a backup: PVE says that it runs already."""
    vm_id = seeded(pve, "prelaunch")
    pve.gateway().start_vm(vm_id)
    assert (pve.sandbox.vm(vm_id).state, pve.sandbox.vm(vm_id).boots) == ("running", 1)


def test_start_of_a_vm_that_is_in_a_backup_lets_it_run(pve: Pve) -> None:
    """The one lock that keeps nobody from starting what a backup has started for itself."""
    vm_id = seeded(pve, "prelaunch")
    pve.sandbox.lock(vm_id, "backup")
    pve.gateway().start_vm(vm_id)
    assert pve.sandbox.vm(vm_id).state == "running"


def test_paused_vm_runs_in_a_list(pve: Pve) -> None:
    """Proxmox would have to ask each QEMU, which takes time."""
    seeded(pve, "paused")
    assert [vm.status for vm in pve.gateway().list_vms()] == [VMStatus.RUNNING]


def test_vm_that_is_suspended_to_disk_is_started(pve: Pve) -> None:
    """Its lock tells so, and goes."""
    vm_id = seeded(pve, "stopped")
    pve.sandbox.lock(vm_id, "suspended")
    assert pve.gateway().get_vm(vm_id).status is VMStatus.SUSPENDED
    pve.gateway().start_vm(vm_id)
    assert pve.gateway().get_vm(vm_id).status is VMStatus.RUNNING


def test_vm_without_a_name_is_called_as_in_proxmoxs_list(pve: Pve) -> None:
    """Listed and by itself."""
    vm_id = seeded(pve)
    pve.sandbox.set_config(vm_id, "name", None)
    assert [vm.name for vm in pve.gateway().list_vms()] == [f"VM {vm_id}"]
    assert pve.gateway().get_vm(vm_id).name == f"VM {vm_id}"


def test_paused_vm_is_stopped_by_auto_and_refused_by_graceful(pve: Pve) -> None:
    """Its guest cannot be asked."""
    vm_id = seeded(pve, "paused")
    with pytest.raises(ConflictError, match="paused"):
        pve.gateway().stop_vm(vm_id, StopMode.GRACEFUL, 1)
    assert pve.sandbox.vm(vm_id).state == "paused"
    pve.gateway().stop_vm(vm_id, StopMode.AUTO, 5)
    assert pve.sandbox.vm(vm_id).state == "stopped"


@VERSIONS
def test_stop_auto_cuts_a_deaf_guest_although_nobody_polls(pve: Pve, version: str) -> None:
    """PVE itself does it: the caller has gone away."""
    pve.sandbox.set_version(version)
    vm_id = seeded(pve)
    pve.sandbox.ignore_shutdown(vm_id)
    accepted = pve.gateway().stop_vm(vm_id, StopMode.AUTO, 1, AT_ONCE)
    assert not accepted.done
    calls = pve.sandbox.calls.count()
    wait_until(lambda: pve.sandbox.vm(vm_id).state == "stopped")
    assert pve.sandbox.calls.count() == calls
    assert pve.gateway().poll(accepted).done


@VERSIONS
def test_stop_graceful_of_a_deaf_guest_is_a_timeout_and_cuts_nothing(pve: Pve, version: str) -> None:
    """504, and what to do instead."""
    pve.sandbox.set_version(version)
    vm_id = seeded(pve)
    pve.sandbox.ignore_shutdown(vm_id)
    with pytest.raises(BackendTimeoutError, match="mode=force"):
        pve.gateway().stop_vm(vm_id, StopMode.GRACEFUL, 1)
    assert pve.sandbox.vm(vm_id).state == "running"


def test_stop_graceful_of_a_guest_without_its_agent_is_a_timeout_on_older_pve(pve: Pve) -> None:
    """PVE asks the agent that the configuration promises, and gives no reason when none answers."""
    pve.sandbox.set_version("7.4")
    vm_id = seeded(pve)
    pve.sandbox.ignore_shutdown(vm_id)
    pve.sandbox.set_guest(vm_id, agent_runs=False)
    with pytest.raises(BackendTimeoutError, match="mode=force"):
        pve.gateway().stop_vm(vm_id, StopMode.GRACEFUL, 1)
    assert [task.exit_status for task in pve.sandbox.tasks("qmshutdown")] == ["VM quit/powerdown failed"]


@VERSIONS
@pytest.mark.parametrize("agent_runs", [True, False])
@pytest.mark.parametrize("mode", [StopMode.AUTO, StopMode.GRACEFUL])
def test_restart_of_a_deaf_guest_obeys_the_mode(pve: Pve, version: str, mode: StopMode, agent_runs: bool) -> None:  # noqa: FBT001 - pytest's
    """Reset after its time, or not at all."""
    pve.sandbox.set_version(version)
    vm_id = seeded(pve)
    pve.sandbox.ignore_shutdown(vm_id)
    pve.sandbox.set_guest(vm_id, agent_runs=agent_runs)
    if mode is StopMode.AUTO:
        pve.gateway().restart_vm(vm_id, mode, 1)
    else:
        with pytest.raises(BackendTimeoutError):
            pve.gateway().restart_vm(vm_id, mode, 1)
    assert pve.sandbox.vm(vm_id).boots == (2 if mode is StopMode.AUTO else 1)


def test_force_stop_overrules_a_shutdown_that_another_caller_waits_for(pve: Pve) -> None:
    """A long patience of the one must not be the other's."""
    vm_id = seeded(pve)
    pve.sandbox.ignore_shutdown(vm_id)
    waiting = pve.gateway().stop_vm(vm_id, StopMode.GRACEFUL, 60, AT_ONCE)
    # The gateway's own deadline comes long before the other's patience ends.
    pve.gateway().stop_vm(vm_id, StopMode.FORCE, 0)
    assert pve.sandbox.vm(vm_id).state == "stopped"
    assert pve.gateway().poll(waiting).done


@pytest.mark.parametrize("ask", ["stop", "restart"])
def test_force_stop_on_older_pve_ends_the_task_that_waits_for_the_guest(pve: Pve, ask: str) -> None:
    """PVE cannot overrule it there, and says after a while that it has not got the VM's lock."""
    pve.sandbox.set_version("7.4")
    pve.sandbox.set_lock_seconds(0.3)
    vm_id = seeded(pve)
    pve.sandbox.ignore_shutdown(vm_id)
    if ask == "stop":
        pve.gateway().stop_vm(vm_id, StopMode.GRACEFUL, 60, AT_ONCE)
    else:
        pve.gateway().restart_vm(vm_id, StopMode.GRACEFUL, 60, AT_ONCE)
    pve.gateway().stop_vm(vm_id, StopMode.FORCE, 0)
    assert pve.sandbox.vm(vm_id).state == "stopped"


def test_force_stop_on_older_pve_leaves_other_work_alone(pve: Pve) -> None:
    """A resize or a backup that holds the lock is no guest to lose patience with: a conflict, which says why."""
    pve.sandbox.set_version("7.4")
    pve.sandbox.set_lock_seconds(0.3)
    vm_id = seeded(pve)
    pve.sandbox.knobs.task_seconds = 60.0
    upid = pve.stranger().data("POST", f"{QEMU}/{vm_id}/status/reset")
    with pytest.raises(ConflictError, match="can't lock file"):
        pve.gateway().stop_vm(vm_id, StopMode.FORCE, 0)
    assert upid in [task.upid for task in pve.sandbox.tasks() if task.exit_status is None]


@pytest.mark.parametrize("verb", ["start", "stop", "restart"])
def test_operation_on_a_vm_that_moves_after_its_task_is_done(pve: Pve, verb: str) -> None:
    """The work ended well on the old node; the VM is looked at on the new one."""
    vm_id = seeded(pve, "stopped" if verb == "start" else "running")
    gateway = pve.gateway()
    match verb:
        case "start":
            accepted = gateway.start_vm(vm_id, AT_ONCE)
        case "stop":
            accepted = gateway.stop_vm(vm_id, StopMode.FORCE, 0, AT_ONCE)
        case _:
            accepted = gateway.restart_vm(vm_id, StopMode.AUTO, 5, AT_ONCE)
    pve.rest()
    pve.sandbox.migrate(vm_id, "pve2")
    ended = pve.finished(accepted)
    assert (ended.failure, ended.done) == (None, True)


def test_operation_that_was_accepted_on_the_wrong_node_goes_on_on_the_right_one(pve: Pve) -> None:
    """A start is refused only by its task, which a poller is the first to see."""
    vm_id = seeded(pve, "stopped")
    pve.sandbox.migrate(vm_id, "pve2")
    accepted = pve.gateway().start_vm(vm_id, AT_ONCE)
    assert not accepted.done
    assert pve.finished(accepted).failure is None
    assert (pve.sandbox.vm(vm_id).state, pve.sandbox.vm(vm_id).boots) == ("running", 1)
    assert [task.node for task in pve.sandbox.tasks("qmstart")] == ["pve", "pve2"]


def test_restart_of_a_deaf_guest_is_forced_once_however_often_it_is_looked_at(pve: Pve) -> None:
    """Whoever follows it holds its first handle, which tells nothing of the reset."""
    vm_id = seeded(pve)
    pve.sandbox.ignore_shutdown(vm_id)
    accepted = pve.gateway().restart_vm(vm_id, StopMode.AUTO, 1, AT_ONCE)
    assert pve.finished(accepted).failure is None
    assert pve.gateway().poll(accepted).done
    assert pve.sandbox.vm(vm_id).boots == 2
    assert len(pve.sandbox.tasks("qmreset")) == 1


def test_restart_is_done_when_the_vm_runs_again(pve: Pve) -> None:
    """Its task ends when the guest is off; who starts it again does so later and unseen."""
    vm_id = seeded(pve)
    accepted = pve.gateway().restart_vm(vm_id, StopMode.GRACEFUL, 5, AT_ONCE)
    pve.sandbox.knobs.task_seconds = 60.0
    pve.rest()
    assert (pve.sandbox.vm(vm_id).state, pve.gateway().poll(accepted).done) == ("stopped", False)
    pve.sandbox.set_state(vm_id, "running")
    assert pve.gateway().poll(accepted).done


def test_force_stop_on_older_pve_that_is_followed_ends_well(pve: Pve) -> None:
    """The first task has failed over the guest's, and the second is what counts, for each look."""
    pve.sandbox.set_version("7.4")
    pve.sandbox.set_lock_seconds(0.3)
    vm_id = seeded(pve)
    pve.sandbox.ignore_shutdown(vm_id)
    pve.gateway().stop_vm(vm_id, StopMode.GRACEFUL, 60, AT_ONCE)
    accepted = pve.gateway().stop_vm(vm_id, StopMode.FORCE, 0, AT_ONCE)
    assert pve.finished(accepted).failure is None
    assert pve.gateway().poll(accepted).failure is None
    assert pve.sandbox.vm(vm_id).state == "stopped"
    assert len(pve.sandbox.tasks("qmstop")) == 2


def test_operation_on_a_vm_that_is_deleted_meanwhile_is_not_found(pve: Pve) -> None:
    """It is nowhere in the cluster."""
    vm_id = seeded(pve, "stopped")
    accepted = pve.gateway().start_vm(vm_id, AT_ONCE)
    pve.rest()
    pve.gateway().delete_vm(vm_id)
    with pytest.raises(VMNotFoundError):
        pve.gateway().poll(accepted)


def test_operation_whose_looks_get_lost_goes_on(pve: Pve) -> None:
    """Three in a row."""
    vm_id = seeded(pve, "stopped")
    pve.sandbox.faults.add(Fault(TASK, status=596, message="Connection timed out", times=3))
    pve.gateway().start_vm(vm_id)
    assert pve.sandbox.vm(vm_id).state == "running"


def test_start_that_fails_tells_what_qemu_said(pve: Pve) -> None:
    """The exit status names a code; the reason is in the log."""
    vm_id = seeded(pve, "stopped")
    pve.sandbox.set_config(vm_id, "net0", "virtio=BC:24:11:00:00:01,bridge=vmbr9")
    with pytest.raises(ProviderError, match="bridge 'vmbr9' does not exist") as caught:
        pve.gateway().start_vm(vm_id)
    assert caught.value.code == "unprocessable"


def test_list_of_all_vms_is_one_call(pve: Pve) -> None:
    """No template among them."""
    ids = pve.sandbox.seed(30)
    assert sorted(int(vm.id) for vm in pve.gateway().list_vms()) == sorted(ids)
    assert pve.operations() == ["GET /nodes/{node}/qemu"]
    assert TEMPLATE_ID not in ids


def test_vm_that_is_being_made_is_creating(pve: Pve) -> None:
    """In the list and by itself, told by its lock."""
    pve.sandbox.knobs.task_seconds = 60.0
    stranger = pve.stranger()
    upid = stranger.data("POST", QEMU, vmid=100, name="slow", scsi0="local-lvm:1")
    (listed,) = pve.gateway().list_vms()
    shown = pve.gateway().get_vm("100")
    assert (listed.status, listed.provider_status) == (shown.status, shown.provider_status) == ("creating", "create")
    stranger.data("DELETE", f"/nodes/pve/tasks/{upid}")


def test_verbs_of_many_callers_on_one_vm_end_in_one_state(pve: Pve) -> None:
    """Eight starts at the same time: one boot."""
    vm_id = seeded(pve, "stopped")
    threads = [threading.Thread(target=lambda: pve.gateway().start_vm(vm_id)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (pve.sandbox.vm(vm_id).state, pve.sandbox.vm(vm_id).boots) == ("running", 1)
