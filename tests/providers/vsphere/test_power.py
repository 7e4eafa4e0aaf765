"""Starting, stopping, restarting and deleting: guests that cannot be asked, states in between, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from pyVmomi import vim

from providers.domain import Operation, StopMode, VMStatus
from providers.errors import BackendTimeoutError, ConflictError, ErrorCode, ProviderError
from providers.gateway import Gateway
from providers.sandbox.faults import Cut, Fault
from providers.work import UNTIL_DONE, Wish
from tests.providers.vsphere.site import Site
from tests.support.threads import at_once

ON, OFF = "poweredOn", "poweredOff"
CUT_OFF, RESET, ASK, REBOOT = "PowerOffVM_Task", "ResetVM_Task", "ShutdownGuest", "RebootGuest"
START, DESTROY = "PowerOnVM_Task", "Destroy_Task"
FORCE, AUTO, GRACEFUL = StopMode.FORCE, StopMode.AUTO, StopMode.GRACEFUL

# Each verb with the call that does its work, and the state that it begins with.
VERBS: dict[str, tuple[str, str, Callable[[Gateway, str], Operation]]] = {
    "start": (START, "stopped", lambda gateway, vm_id: gateway.start_vm(vm_id)),
    "stop": (CUT_OFF, "running", lambda gateway, vm_id: gateway.stop_vm(vm_id, FORCE, 1)),
    "ask": (ASK, "running", lambda gateway, vm_id: gateway.stop_vm(vm_id, AUTO, 1)),
    "restart": (RESET, "running", lambda gateway, vm_id: gateway.restart_vm(vm_id, FORCE, 1)),
    "reboot": (REBOOT, "running", lambda gateway, vm_id: gateway.restart_vm(vm_id, AUTO, 1)),
    "delete": (DESTROY, "stopped", lambda gateway, vm_id: gateway.delete_vm(vm_id)),
}
FAULTS: dict[str, tuple[ErrorCode, str]] = {
    "NoPermission": (ErrorCode.PERMISSION_DENIED, "Permission"),
    "TaskInProgress": (ErrorCode.CONFLICT, "Other work on the VM"),
    "QuestionPending": (ErrorCode.CONFLICT, "answer"),
    "FileLocked": (ErrorCode.CONFLICT, "FileLocked"),
    "MethodDisabled": (ErrorCode.CONFLICT, "switched this off"),
    "ConcurrentAccess": (ErrorCode.CONFLICT, "changed it meanwhile"),
    "NotEnoughLicenses": (ErrorCode.QUOTA_EXCEEDED, "licence"),
    "InsufficientMemoryResourcesFault": (ErrorCode.UNPROCESSABLE, "InsufficientMemoryResourcesFault"),
    "ManagedObjectNotFound": (ErrorCode.VM_NOT_FOUND, "ManagedObjectNotFound"),
    "SystemError": (ErrorCode.BACKEND_ERROR, "SystemError"),
    "HostNotConnected": (ErrorCode.BACKEND_ERROR, "HostNotConnected"),
}


def state(site: Site, vm_id: str) -> str:
    """The VM's power."""
    return site.sandbox.vm(vm_id).power_state


# ---- Guests


@pytest.mark.parametrize("installed", [True, False])
def test_stop_without_tools_cuts_at_once_in_auto_mode(site: Site, *, installed: bool) -> None:
    """There is nobody to wait for: one call more, and not the minute that was given to the guest."""
    (vm_id,) = site.sandbox.seed(1)
    site.sandbox.set_tools(vm_id, running=False, installed=installed)
    assert site.gateway(seconds=5.0).stop_vm(vm_id, AUTO, 60).done
    assert state(site, vm_id) == OFF
    assert [call for call in site.operations() if call in {ASK, CUT_OFF}] == [ASK, CUT_OFF]


@pytest.mark.parametrize("verb", ["stop", "restart"])
def test_graceful_without_tools_is_a_conflict_that_says_why(site: Site, verb: str) -> None:
    """And what can be done; the VM runs on."""
    (vm_id,) = site.sandbox.seed(1)
    site.sandbox.set_tools(vm_id, running=False)
    change = site.gateway().stop_vm if verb == "stop" else site.gateway().restart_vm
    with pytest.raises(ConflictError, match=r"VMware Tools.*mode=force"):
        change(vm_id, GRACEFUL, 1)
    assert (state(site, vm_id), site.sandbox.vm(vm_id).boots) == (ON, 1)


def test_restart_without_tools_resets_in_auto_mode(site: Site) -> None:
    """At once."""
    (vm_id,) = site.sandbox.seed(1)
    site.sandbox.set_tools(vm_id, running=False)
    assert site.gateway(seconds=5.0).restart_vm(vm_id, AUTO, 60).done
    assert (state(site, vm_id), site.sandbox.vm(vm_id).boots) == (ON, 2)


def test_restart_of_a_guest_that_heeds_it_reboots_it_once(site: Site) -> None:
    """It is asked, and never reset."""
    (vm_id,) = site.sandbox.seed(1)
    site.gateway().restart_vm(vm_id, AUTO, 5)
    assert site.sandbox.calls.count(RESET) == 0
    assert (state(site, vm_id), site.sandbox.calls.count(REBOOT)) == (ON, 1)


def test_stop_of_a_deaf_guest_is_forced_or_given_up(site: Site) -> None:
    """After its time, by the mode."""
    (vm_id,) = site.sandbox.seed(1)
    site.sandbox.ignore_shutdown(vm_id)
    with pytest.raises(BackendTimeoutError, match="did not"):
        site.gateway().stop_vm(vm_id, GRACEFUL, 0.1)
    assert state(site, vm_id) == ON
    assert site.gateway().stop_vm(vm_id, AUTO, 0.1).done
    assert state(site, vm_id) == OFF


def test_stop_that_the_guest_obeys_at_the_last_moment_succeeds(site: Site) -> None:
    """Its power is gone when it is to be cut."""
    (vm_id,) = site.sandbox.seed(1)
    site.sandbox.knobs.shutdown_seconds = 0.3
    site.sandbox.faults.add(Fault(CUT_OFF, delay_seconds=0.5))
    assert site.gateway().stop_vm(vm_id, AUTO, 0.1).done
    assert state(site, vm_id) == OFF


def test_suspended_vm_is_stopped_started_and_deleted(site: Site) -> None:
    """Its guest hears nothing; to reset it is no restart."""
    first, second, third = site.sandbox.seed(3, state="suspended")
    gateway = site.gateway()
    assert gateway.get_vm(first).status is VMStatus.SUSPENDED
    with pytest.raises(ConflictError, match="suspended"):
        gateway.stop_vm(first, GRACEFUL, 1)
    for mode in StopMode:
        with pytest.raises(ConflictError):
            gateway.restart_vm(first, mode, 1)
    assert gateway.stop_vm(first, AUTO, 60).done
    assert gateway.start_vm(second).done
    assert gateway.delete_vm(third).done
    assert (state(site, first), state(site, second)) == (OFF, ON)
    assert third not in {vm.instance_uuid for vm in site.sandbox.vms()}


def test_restart_of_a_stopped_vm_is_a_conflict_in_each_mode(site: Site) -> None:
    """It is left as it is."""
    (vm_id,) = site.sandbox.seed(1, state="stopped")
    for mode in StopMode:
        with pytest.raises(ConflictError, match="poweredOff"):
            site.gateway().restart_vm(vm_id, mode, 1)
    assert state(site, vm_id) == OFF


@pytest.mark.parametrize("at_call", [False, True], ids=["by the task", "at the call"])
@pytest.mark.parametrize("mode", StopMode)
def test_start_and_stop_of_a_vm_that_is_there_succeed(site: Site, mode: StopMode, *, at_call: bool) -> None:
    """However the server says that it is."""
    site.sandbox.knobs.refuses_at_call = at_call
    (running,) = site.sandbox.seed(1)
    (stopped,) = site.sandbox.seed(1, prefix="off", state="stopped")
    assert site.gateway().start_vm(running).done
    assert site.gateway().stop_vm(stopped, mode, 1).done
    assert (state(site, running), state(site, stopped)) == (ON, OFF)


@pytest.mark.parametrize("wish", [UNTIL_DONE, Wish(representation=True)], ids=["done", "shown"])
def test_start_by_eight_callers_at_once_starts_once(site: Site, wish: Wish) -> None:
    """Those who come second find it running, or at work."""
    (vm_id,) = site.sandbox.seed(1, state="stopped")
    site.sandbox.knobs.task_seconds = 0.1

    def start(_: int) -> str:
        try:
            return "done" if site.gateway().start_vm(vm_id, wish).done else "open"
        except ConflictError:
            return "conflict"

    seen = at_once(8, start)
    assert "done" in seen
    assert set(seen) <= {"done", "conflict"}
    assert (state(site, vm_id), site.sandbox.vm(vm_id).boots) == (ON, 1)


# ---- Refusals


@pytest.mark.parametrize("verb", VERBS)
def test_verb_that_is_refused_says_why_and_changes_nothing(site: Site, verb: str) -> None:
    """Each fault, as an answer to the call and, where there is one, as the end of its task."""
    call, begin, act = VERBS[verb]
    for fault, (code, words) in FAULTS.items():
        for is_task in (False, True) if call.endswith("_Task") else (False,):
            (vm_id,) = site.sandbox.seed(1, prefix=f"{fault[:20]}-{is_task}".lower(), state=begin)
            before = replace(site.sandbox.vm(vm_id), boots=1)
            if is_task:
                site.sandbox.fail_next_task(call, fault)
            else:
                site.sandbox.faults.add(Fault(call, code=fault))
            with pytest.raises(ProviderError) as caught:
                act(site.gateway(), vm_id)
            assert (caught.value.code, words in caught.value.detail) == (code, True), (fault, caught.value.detail)
            assert replace(site.sandbox.vm(vm_id), boots=1) == before
            assert caught.value.backend is not None
            assert (caught.value.backend.operation, caught.value.backend.code) == (call, fault)


@pytest.mark.parametrize("verb", VERBS)
def test_verb_during_another_task_is_a_conflict(site: Site, verb: str) -> None:
    """Somebody works on the VM, for a while."""
    _, begin, act = VERBS[verb]
    (vm_id,) = site.sandbox.seed(1, state=begin)
    site.gateway().list_vms()
    site.sandbox.knobs.task_seconds = 1.0
    with site.stranger() as stranger:
        ref = stranger.find(vm_id)
        _ = ref.SuspendVM_Task() if begin == "running" else ref.ReconfigVM_Task(stranger_spec())
        with pytest.raises(ConflictError, match="TaskInProgress"):
            act(site.gateway(), vm_id)
    site.rest()
    assert vm_id in {vm.instance_uuid for vm in site.sandbox.vms()}


def stranger_spec() -> object:
    """A change that takes its time and changes nothing of account."""
    return vim.vm.ConfigSpec(annotation="theirs")


@pytest.mark.parametrize("verb", VERBS)
def test_verb_on_a_vm_out_of_reach_is_a_conflict(site: Site, verb: str) -> None:
    """Its files cannot be read: vSphere refuses to do anything with it."""
    _, begin, act = VERBS[verb]
    (vm_id,) = site.sandbox.seed(1, state=begin)
    site.sandbox.hide_config(vm_id, inaccessible=True)
    with pytest.raises(ConflictError):
        act(site.gateway(), vm_id)
    assert vm_id in {vm.instance_uuid for vm in site.sandbox.vms()}


# ---- Delete


def test_delete_of_a_running_vm_leaves_no_file(site: Site) -> None:
    """Its power is cut first."""
    vm_id = site.create()
    site.gateway().delete_vm(vm_id)
    assert site.made() == []


@pytest.mark.parametrize("fault", ["NoPermission", "MethodDisabled", "SystemError"])
def test_delete_that_is_refused_leaves_the_vm_running(site: Site, fault: str) -> None:
    """Where its power was cut and it is not destroyed, for lack of a privilege or as a backup runs, it is started."""
    (vm_id,) = site.sandbox.seed(1)
    site.sandbox.faults.add(Fault(DESTROY, code=fault))
    with pytest.raises(ProviderError, match="started again") as caught:
        site.gateway().delete_vm(vm_id)
    assert caught.value.code is FAULTS[fault][0]
    site.rest()
    assert state(site, vm_id) == ON


def test_delete_that_is_refused_says_that_the_vm_is_off(site: Site) -> None:
    """Where it cannot be started again."""
    (vm_id,) = site.sandbox.seed(1)
    site.sandbox.faults.add(Fault(DESTROY, code="MethodDisabled"))
    site.sandbox.faults.add(Fault(START, code="NoPermission"))
    with pytest.raises(ConflictError, match="it is off now"):
        site.gateway().delete_vm(vm_id)
    assert state(site, vm_id) == OFF


@pytest.mark.parametrize("operation", [CUT_OFF, DESTROY])
def test_delete_whose_answer_is_lost_says_that_it_may_go_on(site: Site, operation: str) -> None:
    """It is not repeated by us; when the caller does, the VM goes, or is gone."""
    (vm_id,) = site.sandbox.seed(1)
    site.sandbox.faults.add(Fault(operation, cut=Cut.ANSWER, after=True))
    with pytest.raises(ProviderError, match="may still finish"):
        site.gateway().delete_vm(vm_id)
    site.rest()
    assert site.sandbox.calls.count(operation) == 1
    if site.sandbox.vms():
        site.gateway().delete_vm(vm_id)
    assert site.sandbox.vms() == ()


def test_delete_by_eight_callers_at_once_deletes_once(site: Site) -> None:
    """The others find it gone, or at work."""
    ids = site.sandbox.seed(2)

    def delete(_: int) -> str:
        try:
            return "done" if site.gateway().delete_vm(ids[0]).done else "open"
        except ProviderError as error:
            return str(error.code)

    seen = at_once(8, delete)
    assert "done" in seen
    assert set(seen) <= {"done", "conflict", "vm_not_found"}, seen
    assert [vm.instance_uuid for vm in site.sandbox.vms()] == [ids[1]]


def test_delete_takes_nothing_of_a_neighbour(site: Site) -> None:
    """Namesakes in other folders, and files beside."""
    vm_id, other = site.create(), site.create(name="test2")
    files = [file for file in site.sandbox.files() if "test2" in file]
    site.gateway().delete_vm(vm_id)
    assert [vm.instance_uuid for vm in site.sandbox.vms()] == [other]
    assert list(site.sandbox.files()) == files
