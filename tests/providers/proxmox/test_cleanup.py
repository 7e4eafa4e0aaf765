"""A create that fails: at each of its steps, in each way, nothing stays, and the error tells what became of it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, TypeVar

import pytest

from providers.errors import BackendTimeoutError, ErrorCode, Leftover, ProviderError
from providers.gateway import Backends
from providers.network import Network
from providers.proxmox.progress import Step
from providers.sandbox.authority import Authority
from providers.sandbox.faults import Cut, Fault
from providers.sandbox.proxmox import IMPORT_IMAGE, ISO_IMAGE
from tests.providers.proxmox.cluster import QEMU, STORAGE, TASK, TEMPLATE_IMAGE, VM, VMS, Pve, running_pve, spec
from tests.providers.reached import AT_ONCE, NETWORK
from tests.support.limits import LIMITS
from tests.support.waiting import wait_until

T = TypeVar("T")

UPLOAD, CREATE, CLONE = f"POST {STORAGE}/upload", f"POST {VMS}", f"POST {VM}/clone"
CONFIG, CONFIGURE, RESIZE, START = f"GET {VM}/config", f"PUT {VM}/config", f"PUT {VM}/resize", f"POST {VM}/status/start"
NEXT_ID = "GET /cluster/nextid"
REMOVE_VOLUME = f"DELETE {STORAGE}/content/{{volume}}"

# What had been made when a call failed: kinds of leftovers, without and with the call's own effect.
CALLS: dict[str, dict[str, tuple[str, str]]] = {
    IMPORT_IMAGE: {
        NEXT_ID: ("", ""),
        UPLOAD: ("", "iso"),
        CREATE: ("iso", "vm iso"),
        RESIZE: ("vm iso", "vm iso"),
        CONFIGURE: ("vm iso", "vm iso"),
        START: ("vm iso", "vm iso"),
    },
    TEMPLATE_IMAGE: {
        CONFIG: ("", ""),
        CLONE: ("iso", "vm iso"),
        CONFIGURE: ("vm iso", "vm iso"),
        RESIZE: ("vm iso", "vm iso"),
        START: ("vm iso", "vm iso"),
    },
    ISO_IMAGE: {CREATE: ("iso", "vm iso"), START: ("vm iso", "vm iso")},
}
WAYS: dict[str, tuple[Fault, set[ErrorCode]]] = {
    "error": (Fault(status=500, message="Can't call method on an undefined value"), {ErrorCode.BACKEND_ERROR}),
    "permission": (
        Fault(status=403, message="Permission check failed (/vms/100, VM.Allocate)"),
        {ErrorCode.PERMISSION_DENIED},
    ),
    "cut": (Fault(cut=Cut.ANSWER), {ErrorCode.BACKEND_UNREACHABLE}),
    "lost answer": (Fault(cut=Cut.ANSWER, after=True), {ErrorCode.BACKEND_UNREACHABLE}),
    "half an answer": (Fault(cut=Cut.BODY), {ErrorCode.BACKEND_UNREACHABLE, ErrorCode.BACKEND_ERROR}),
    "lost between nodes": (
        Fault(status=599, message="Too many redirections", after=True),
        {ErrorCode.BACKEND_UNREACHABLE},
    ),
    "page of a proxy": (Fault(status=200, body=b"<html>", after=True), {ErrorCode.BACKEND_ERROR}),
}
# These end every call; the others, which the client tells apart in one place, only the call that makes the VM.
EVERYWHERE = ("permission", "cut", "lost answer")
# Those that are sent again when they get no answer have other ends.
REPEATED = {RESIZE, CONFIGURE, START}
ENDS_OF_REPEATED = ("permission", "error")
TASKS = {IMPORT_IMAGE: ("imgcopy", "qmcreate", "resize", "qmstart"), TEMPLATE_IMAGE: ("qmclone", "resize", "qmstart")}


def failed(pve: Pve, image: str = IMPORT_IMAGE, seconds: float = 20.0, **fields: Any) -> ProviderError:
    """Why a create fails."""
    with pytest.raises(ProviderError) as caught:
        pve.gateway(seconds=seconds).create_vm(spec(image, **fields))
    pve.rest()
    return caught.value


def side_by_side(authority: Authority, cases: list[T], check: Callable[[Pve, T], str]) -> None:
    """Check all cases, each on a cluster of its own; `check` says what is wrong."""

    def run(case: T) -> str:
        with running_pve(authority) as pve:
            return check(pve, case)

    with ThreadPoolExecutor(14) as pool:
        wrong = [complaint for complaint in pool.map(run, cases) if complaint]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("image", CALLS)
def test_create_whose_call_fails_removes_vm_and_image(authority: Authority, image: str) -> None:
    """Each call, by an error, a refusal, a broken connection, an answer that gets lost on its way."""

    def check(pve: Pve, case: tuple[str, str]) -> str:
        way, call = case
        fault, codes = WAYS[way]
        # A look whose connection breaks is repeated once.
        times = 2 if call.startswith("GET") and fault.cut else 1
        pve.sandbox.faults.add(replace(fault, operation=call, times=times))
        error = failed(pve, image)
        # Whether an upload came through cannot be seen: its image is removed, in any case.
        took_effect = fault.after or fault.cut is Cut.BODY or (fault.cut is Cut.ANSWER and call == UPLOAD)
        wanted = CALLS[image][call][took_effect]
        told = " ".join(leftover.kind for leftover in error.leftovers if leftover.removed)
        fine = error.code in codes and pve.made() == ([], []) and told == wanted
        return "" if fine else f"{way} of {call}: {error.code} {error.detail} {told!r}, not {wanted!r} {pve.made()}"

    cases = [(way, call) for call in CALLS[image] for way in ways_of(call)]
    side_by_side(authority, cases, check)


def ways_of(call: str) -> Iterable[str]:
    """In which ways a call is to fail."""
    if call in REPEATED:
        return ENDS_OF_REPEATED
    return WAYS if call in {CREATE, CLONE} else EVERYWHERE


@pytest.mark.parametrize("image", [IMPORT_IMAGE, TEMPLATE_IMAGE])
@pytest.mark.parametrize("call", sorted(REPEATED))
@pytest.mark.parametrize("after", [False, True], ids=["not carried out", "carried out"])
def test_create_whose_later_call_gets_no_answer_is_completed(pve: Pve, image: str, call: str, *, after: bool) -> None:
    """It is sent again, as often as it takes, until the request's deadline."""
    pve.sandbox.faults.add(Fault(call, cut=Cut.ANSWER, after=after, times=3))
    vm_id = pve.create(image)
    (vm,) = pve.sandbox.vms()
    assert (str(vm.id), vm.state, vm.boots) == (vm_id, "running", 1)
    assert [volume.size_bytes for volume in pve.sandbox.volumes(content="images")] == [20 << 30]
    assert "unfinished" not in vm.config["description"]


def test_create_whose_later_call_never_gets_an_answer_ends_at_the_deadline(pve: Pve) -> None:
    """The VM is removed, and the error is the last one."""
    pve.sandbox.faults.add(Fault(RESIZE, cut=Cut.ANSWER, times=None))
    error = failed(pve, seconds=5.0)
    assert error.code is ErrorCode.BACKEND_UNREACHABLE
    assert [(one.kind, one.removed) for one in error.leftovers] == [("vm", True), ("iso", True)]
    assert pve.made() == ([], [])


@pytest.mark.parametrize("image", TASKS)
def test_create_whose_task_fails_removes_vm_and_image(authority: Authority, image: str) -> None:
    """The call is accepted, and the work fails."""

    def check(pve: Pve, kind: str) -> str:
        pve.sandbox.end_next_task(kind, "command '/usr/bin/qemu-img' failed: exit code 1")
        error = failed(pve, image)
        told = " ".join(leftover.kind for leftover in error.leftovers if leftover.removed)
        fine = error.code is ErrorCode.BACKEND_ERROR and pve.made() == ([], [])
        return "" if fine and told in {"iso", "vm iso"} else f"{kind}: {error.detail} {told} {pve.made()}"

    side_by_side(authority, list(TASKS[image]), check)


@pytest.mark.parametrize("task_seconds", [0.02, 0.5])
@pytest.mark.parametrize("image", [IMPORT_IMAGE, TEMPLATE_IMAGE])
def test_create_whose_look_at_a_task_is_forbidden_leaves_nothing(pve: Pve, image: str, task_seconds: float) -> None:
    """Who may not see its own task cannot wait for it; the VM may still be in the making when it is to go."""
    pve.sandbox.knobs.task_seconds = task_seconds
    pve.sandbox.faults.add(Fault(TASK, status=403, message="Permission check failed (/nodes/pve, Sys.Audit)", times=2))
    assert failed(pve, image, cloud_init=None).code is ErrorCode.PERMISSION_DENIED
    assert pve.made() == ([], [])


def test_clone_whose_answer_is_lost_before_its_id_is_taken_leaves_nothing(pve: Pve) -> None:
    """A clone takes its id in its task: a look at once after the call finds nothing yet."""
    pve.sandbox.knobs.clone_window_seconds = 0.3
    pve.sandbox.faults.add(Fault(CLONE, cut=Cut.ANSWER, after=True))
    error = failed(pve, TEMPLATE_IMAGE)
    assert pve.made() == ([], []), error.detail


def test_clone_from_another_node_whose_answer_is_lost_leaves_nothing(pve: Pve) -> None:
    """It is made on the template's node, where it is looked for, and comes to ours only at the end."""
    stranger = pve.stranger()
    stranger.done("POST", "/nodes/pve2/qemu", vmid=9100, name="shared", scsi0="nfs:8", memory=512)
    assert stranger.done("POST", "/nodes/pve2/qemu/9100/template") == "OK"
    pve.sandbox.faults.add(Fault(CLONE, cut=Cut.ANSWER, after=True))
    pve.sandbox.knobs.task_seconds = 9.0
    with changing_pace(pve, CLONE, 0.02), pytest.raises(ProviderError) as caught:
        pve.gateway(storage_external_id="").create_vm(spec("template/9100", cloud_init=None))
    pve.rest()
    assert [vm.id for vm in pve.sandbox.vms()] == [], caught.value.detail
    assert [(leftover.kind, leftover.removed) for leftover in caught.value.leftovers] == [("vm", True)]


def test_create_that_takes_effect_after_its_time_leaves_nothing(pve: Pve) -> None:
    """We have given up waiting for the answer, and Proxmox has not begun yet."""
    hasty = Backends(Network(connect_timeout_seconds=5.0, read_timeout_seconds=3.0), LIMITS)
    pve.sandbox.faults.add(Fault(CREATE, delay_seconds=4.5))
    with pytest.raises(BackendTimeoutError, match="VM 100 was made all the same") as caught:
        pve.gateway(backends=hasty).create_vm(spec())
    hasty.close()
    pve.rest()
    assert pve.made() == ([], [])
    assert [(leftover.kind, leftover.removed) for leftover in caught.value.leftovers] == [("vm", True), ("iso", True)]


def test_upload_that_arrives_seconds_after_its_time_leaves_nothing(pve: Pve) -> None:
    """The clean-up looks for the image for some seconds, and removes it when it is there."""
    times = replace(LIMITS.times, clean_up_seconds=30.0)
    hasty = Backends(Network(connect_timeout_seconds=5.0, read_timeout_seconds=2.0), replace(LIMITS, times=times))
    pve.sandbox.faults.add(Fault(UPLOAD, delay_seconds=6.0))
    with pytest.raises(BackendTimeoutError) as caught:
        pve.gateway(backends=hasty).create_vm(spec())
    hasty.close()
    wait_until(lambda: UPLOAD in pve.operations())
    pve.rest()
    assert pve.made() == ([], [])
    assert [(leftover.kind, leftover.removed) for leftover in caught.value.leftovers] == [("iso", True)]


def test_upload_whose_task_cannot_be_seen_leaves_nothing(pve: Pve) -> None:
    """It may not be stopped, and is still at work when the clean-up begins."""
    pve.sandbox.knobs.task_seconds = 2.0
    pve.sandbox.faults.add(Fault(TASK, status=403, message="Permission check failed (/nodes/pve, Sys.Audit)", times=2))
    with changing_pace(pve, UPLOAD, 0.02):
        error = failed(pve)
    assert error.code is ErrorCode.PERMISSION_DENIED
    assert (pve.made(), [leftover.removed for leftover in error.leftovers]) == (([], []), [True])


def test_upload_whose_end_cannot_be_seen_is_not_called_removed(pve: Pve) -> None:
    """The backend answers nothing about the task until the clean-up's time is over."""
    short = Backends(NETWORK, replace(LIMITS, times=replace(LIMITS.times, clean_up_seconds=0.5)))
    pve.sandbox.knobs.task_seconds = 3.0
    pve.sandbox.faults.add(Fault(TASK, status=500, message="internal error", times=None))
    with pytest.raises(ProviderError) as caught:
        pve.gateway(backends=short, seconds=0.5).create_vm(spec())
    short.close()
    assert [(leftover.kind, leftover.removed) for leftover in caught.value.leftovers] == [("iso", False)]
    assert "removed" not in caught.value.detail


@pytest.mark.parametrize("operation", [f"DELETE {VM}", REMOVE_VOLUME])
def test_removal_that_is_throttled_once_is_repeated(pve: Pve, operation: str) -> None:
    """Within the clean-up's time."""
    pve.sandbox.end_next_task("qmstart", "start failed: QEMU exited with code 1")
    pve.sandbox.faults.add(Fault(operation, status=429, message="Too Many Requests"))
    error = failed(pve)
    assert (pve.made(), [leftover.removed for leftover in error.leftovers]) == (([], []), [True, True])


def test_time_for_something_to_appear_passes_only_while_the_backend_answers() -> None:
    """An outage of a hundred seconds counts as one pause."""
    step = Step.appear("pve", 5.0)
    away = replace(step, seen_at=step.seen_at - 100)
    assert 2.9 < away.waited().wait_seconds <= 3.0
    assert 4.0 < replace(step, seen_at=step.seen_at - 0.5).waited().wait_seconds <= 4.5
    assert replace(away, wait_seconds=1.0).waited().wait_seconds == 0


@contextmanager
def changing_pace(pve: Pve, operation: str, task_seconds: float) -> Iterator[None]:
    """Let tasks take another time from the first call of an operation on."""

    def change() -> None:
        wait_until(lambda: operation in pve.operations())
        pve.sandbox.knobs.task_seconds = task_seconds

    thread = threading.Thread(target=change)
    thread.start()
    yield
    thread.join()


@pytest.mark.parametrize("image", [IMPORT_IMAGE, TEMPLATE_IMAGE])
def test_create_whose_deadline_passes_in_a_slow_task_leaves_nothing(pve: Pve, image: str) -> None:
    """The task is told to end, and what it has made goes."""
    pve.sandbox.knobs.task_seconds = 30.0
    error = failed(pve, image, seconds=0.5, cloud_init=None)
    assert isinstance(error, BackendTimeoutError)
    assert pve.made() == ([], [])
    assert error.leftovers == (Leftover("vm", "100", removed=True),)


def test_create_whose_deadline_passes_in_a_slow_upload_leaves_nothing(pve: Pve) -> None:
    """An image that is not there yet cannot be removed, and must not come later."""
    pve.sandbox.knobs.task_seconds = 2.0
    with changing_pace(pve, UPLOAD, 0.02):
        error = failed(pve, seconds=0.5)
    assert isinstance(error, BackendTimeoutError)
    assert pve.made() == ([], [])
    assert [leftover.kind for leftover in error.leftovers] == ["iso"]


def test_create_whose_image_cannot_be_removed_names_its_volume(pve: Pve) -> None:
    """The VM is removed all the same."""
    pve.sandbox.end_next_task("qmstart", "start failed: QEMU exited with code 1")
    message = "Permission check failed (/storage/local, Datastore.Allocate)"
    pve.sandbox.faults.add(Fault(REMOVE_VOLUME, status=403, message=message, times=None))
    error = failed(pve)
    vms, (volume,) = pve.made()
    assert vms == []
    assert error.leftovers == (Leftover("vm", "100", removed=True), Leftover("iso", volume, removed=False))


@pytest.mark.parametrize(("task", "kind"), [("qmdestroy", "vm"), ("imgdel", "iso")])
def test_create_whose_removal_task_fails_tells_what_stays(pve: Pve, task: str, kind: str) -> None:
    """The removal is accepted, and its task fails each time."""
    pve.sandbox.end_next_task("qmstart", "start failed: QEMU exited with code 1")
    for _ in range(30):
        pve.sandbox.end_next_task(task, "lvremove failed: exit code 5")
    error = failed(pve)
    assert [leftover.kind for leftover in error.leftovers if not leftover.removed] == [kind]


def test_create_that_fails_tells_of_no_id_that_it_lost(pve: Pve) -> None:
    """A clone loses its id only in its task; what has that id is not this create's."""
    pve.sandbox.end_next_task("qmclone", "unable to create VM 100: config file already exists")
    pve.sandbox.end_next_task("qmstart", "start failed: QEMU exited with code 1")
    error = failed(pve, TEMPLATE_IMAGE, cloud_init=None)
    assert [(leftover.kind, leftover.removed) for leftover in error.leftovers] == [("vm", True)]
    assert len(pve.sandbox.tasks("qmclone")) == 2


def test_create_that_failed_when_followed_spares_the_vm_that_has_its_id_since(pve: Pve) -> None:
    """The id is given anew at once, and the operation can be looked at for a day."""
    pve.sandbox.end_next_task("qmstart", "start failed: QEMU exited with code 1")
    accepted = pve.gateway().create_vm(spec(), AT_ONCE)
    ended = pve.finished(accepted)
    assert ended.failure is not None
    assert ended.failure.leftovers == (Leftover("vm", "100", removed=True),)
    assert pve.made() == ([], [])
    assert pve.create() == "100"
    before = pve.made()
    assert pve.gateway().poll(accepted).failure is not None
    assert (pve.made(), pve.sandbox.vm(100).state) == (before, "running")


def test_create_that_fails_spares_a_vm_that_somebody_made_at_the_same_id(pve: Pve) -> None:
    """The id was free again for a moment."""
    pve.sandbox.end_next_task("qmcreate", "lvcreate failed: exit code 5")
    pve.sandbox.faults.add(Fault(TASK, delay_seconds=0.5, skip=1))

    def intrude() -> None:
        wait_until(lambda: TASK in pve.operations())
        pve.stranger().call("POST", QEMU, vmid=100, name="theirs")

    intruder = threading.Thread(target=intrude)
    intruder.start()
    failed(pve, cloud_init=None)
    intruder.join()
    assert [vm.name for vm in pve.sandbox.vms()] == ["theirs"]


@pytest.mark.parametrize("task_seconds", [0.02, 1.0])
@pytest.mark.parametrize(("image", "operation"), [(IMPORT_IMAGE, CREATE), (TEMPLATE_IMAGE, CLONE)])
def test_create_that_got_lost_spares_a_vm_that_somebody_made_at_the_same_id(
    pve: Pve, image: str, operation: str, task_seconds: float
) -> None:
    """Ours never came to be; theirs has the id that we were told, and may still be in the making."""
    pve.sandbox.knobs.task_seconds = task_seconds
    assert pve.stranger().call("POST", QEMU, vmid=100, name="theirs", scsi0="local-lvm:1").status_code == 200
    pve.sandbox.faults.add(Fault(NEXT_ID, body=b'{"data":"100"}', content_type="application/json"))
    pve.sandbox.faults.add(Fault(operation, cut=Cut.ANSWER))
    error = failed(pve, image, cloud_init=None)
    assert [vm.name for vm in pve.sandbox.vms()] == ["theirs"], error.detail
    assert ("No VM of this request" in error.detail, error.leftovers) == (True, ())
    assert [volume.vm_id for volume in pve.sandbox.volumes()] == [100]
