"""A create that fails: at each of its steps, in each way, nothing stays, and the error tells what became of it."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest

from providers.domain import Operation
from providers.errors import (
    BackendTimeoutError,
    ConflictError,
    ErrorCode,
    NameTakenError,
    PermissionDeniedError,
    ProviderError,
    UnprocessableError,
)
from providers.sandbox.authority import Authority
from providers.sandbox.faults import Cut, Fault
from providers.sandbox.vsphere import DATASTORES, ISO_IMAGE, TEMPLATE, VMDK_IMAGE
from tests.providers.reached import AT_ONCE
from tests.providers.vsphere.site import TASK, Kind, Site, side_by_side
from tests.support.waiting import wait_until

CLONE, CREATE, START = "CloneVM_Task", "CreateVM_Task", "PowerOnVM_Task"
SEARCH, FOLDER, COPY, EXTEND = "SearchDatastore_Task", "MakeDirectory", "CopyVirtualDisk_Task", "ExtendVirtualDisk_Task"
DESTROY, DELETE_FILE = "Destroy_Task", "DeleteDatastoreFile_Task"

# What had been made when a call failed: kinds of leftovers, without and with the call's own effect.
CALLS: dict[str, dict[str, tuple[str, str]]] = {
    TEMPLATE: {CLONE: ("", "vm")},
    VMDK_IMAGE: {
        SEARCH: ("", ""),
        FOLDER: ("", "folder"),
        COPY: ("folder", "folder"),
        EXTEND: ("folder", "folder"),
        CREATE: ("folder", "vm folder"),
        START: ("vm folder", "vm folder"),
    },
    ISO_IMAGE: {FOLDER: ("", "folder"), CREATE: ("folder", "vm folder"), START: ("vm folder", "vm folder")},
}
KINDS: dict[str, Kind] = {TEMPLATE: "vcenter", VMDK_IMAGE: "esxi", ISO_IMAGE: "esxi"}
WAYS: dict[str, tuple[Fault, ErrorCode]] = {
    "error": (Fault(code="SystemError", message="A general system error occurred."), ErrorCode.BACKEND_ERROR),
    "permission": (Fault(code="NoPermission"), ErrorCode.PERMISSION_DENIED),
    "licences": (Fault(code="NotEnoughLicenses"), ErrorCode.QUOTA_EXCEEDED),
    "throttled": (Fault(status=429, headers={"Retry-After": "1"}), ErrorCode.THROTTLED),
    "cut": (Fault(cut=Cut.ANSWER), ErrorCode.BACKEND_UNREACHABLE),
    "lost answer": (Fault(cut=Cut.ANSWER, after=True), ErrorCode.BACKEND_UNREACHABLE),
    "half an answer": (Fault(cut=Cut.BODY), ErrorCode.BACKEND_UNREACHABLE),
    "bad gateway": (Fault(status=502, after=True), ErrorCode.BACKEND_ERROR),
    "page of a proxy": (Fault(status=200, body=b"<html>", after=True), ErrorCode.BACKEND_ERROR),
}
# These end every call; the others, which the client tells apart in one place, only the call that makes the VM.
EVERYWHERE = ("permission", "cut", "lost answer")
# Those that are sent again when they get no answer have other ends.
REPEATED = {EXTEND, START}
ENDS_OF_REPEATED = ("permission", "error")
# The last task of a create is left open: what it did is known by it.
TASKS = {TEMPLATE: (CLONE,), VMDK_IMAGE: (SEARCH, COPY, EXTEND, CREATE, START), ISO_IMAGE: (SEARCH, CREATE, START)}
FAULTS = {
    "InsufficientMemoryResourcesFault": ErrorCode.UNPROCESSABLE,
    "NoDiskSpace": ErrorCode.UNPROCESSABLE,
    "InsufficientStorageSpace": ErrorCode.UNPROCESSABLE,
    "InvalidDatastore": ErrorCode.UNPROCESSABLE,
    "NotEnoughLicenses": ErrorCode.QUOTA_EXCEEDED,
    "TaskInProgress": ErrorCode.CONFLICT,
    "RequestCanceled": ErrorCode.CONFLICT,
    "SystemError": ErrorCode.BACKEND_ERROR,
}


def told(error: ProviderError) -> str:
    """The kinds of what was removed, the last made first."""
    return " ".join(leftover.kind for leftover in error.leftovers if leftover.removed)


def test_create_whose_call_fails_removes_vm_and_folder(authority: Authority) -> None:
    """Each call, by an error, a refusal, a broken connection, an answer that gets lost on its way."""

    def check(site: Site, case: tuple[str, str, str]) -> str:
        image, way, call = case
        fault, code = WAYS[way]
        site.sandbox.faults.add(replace(fault, operation=call))
        error = site.failed(image)
        # Whether a folder was made cannot be seen from a lost answer: it is removed, in any case.
        took_effect = fault.after or fault.cut is Cut.BODY or (fault.cut is Cut.ANSWER and call == FOLDER)
        fine = error.code is code and site.made() == [] and told(error) == CALLS[image][call][took_effect]
        return (
            "" if fine else f"{way} at {call} of {image}: {error.code} {error.detail} {error.leftovers} {site.made()}"
        )

    cases = [
        (KINDS[image], (image, way, call)) for image, calls in CALLS.items() for call in calls for way in ways_of(call)
    ]
    side_by_side(authority, cases, check)


def ways_of(call: str) -> Iterable[str]:
    """In which ways a call is to fail."""
    if call in REPEATED:
        return ENDS_OF_REPEATED
    return WAYS if call in {CLONE, CREATE} else EVERYWHERE


@pytest.mark.parametrize("call", sorted(REPEATED))
@pytest.mark.parametrize("after", [False, True], ids=["not carried out", "carried out"])
def test_create_on_a_host_whose_later_call_gets_no_answer_is_completed(host: Site, call: str, *, after: bool) -> None:
    """It is sent again, as often as it takes, until the request's deadline."""
    host.sandbox.faults.add(Fault(call, cut=Cut.ANSWER, after=after, times=3))
    host.create()
    assert [vm.power_state for vm in host.sandbox.vms()] == ["poweredOn"]


@pytest.mark.parametrize("reason", ["InvalidArgument", "FileLocked"])
def test_create_on_a_host_whose_disk_cannot_grow_fails(host: Site, reason: str) -> None:
    """A disk that has the wanted size would be good enough."""
    host.sandbox.fail_next_task(EXTEND, reason)
    error = host.failed()
    assert isinstance(error, UnprocessableError | ConflictError)
    assert host.made() == []


def test_create_whose_task_fails_has_the_faults_code(authority: Authority) -> None:
    """Each task is accepted, and comes to nothing."""

    def check(site: Site, case: tuple[str, str, str]) -> str:
        image, name, task = case
        site.sandbox.fail_next_task(task, name)
        error = site.failed(image)
        fine = error.code is FAULTS[name] and site.made() == [] and all(left.removed for left in error.leftovers)
        return "" if fine else f"{name} of {task}: {error.code} {error.detail} {error.leftovers} {site.made()}"

    cases = [(KINDS[image], (image, name, task)) for name in FAULTS for image, tasks in TASKS.items() for task in tasks]
    side_by_side(authority, cases, check)


@pytest.mark.parametrize("task_seconds", [0.02, 0.5])
def test_create_whose_poll_is_forbidden_leaves_nothing_untold(site: Site, task_seconds: float) -> None:
    """A vCenter's one task goes on. A create on a host, which has further steps, cannot go on and is rolled back."""
    site.sandbox.knobs.task_seconds = task_seconds
    site.sandbox.faults.add(Fault(TASK, code="NoPermission"))
    error = site.failed()
    assert isinstance(error, PermissionDeniedError)
    if site.kind == "vcenter":
        assert isinstance(error.operation, Operation)
        wait_until(lambda: [vm.power_state for vm in site.sandbox.vms()] == ["poweredOn"])
    else:
        assert site.made() == []


def test_create_on_a_host_whose_answer_is_lost_while_the_work_is_slow_leaves_nothing(host: Site) -> None:
    """The same for the last step but one."""
    host.sandbox.faults.add(Fault(CREATE, cut=Cut.ANSWER, after=True))
    with changing_pace(host, EXTEND, 4.0):
        error = host.failed(seconds=2.5)
    assert host.made() == [], (error.detail, error.leftovers)


@contextmanager
def changing_pace(site: Site, operation: str, task_seconds: float) -> Iterator[None]:
    """Let tasks take another time, from the first call of an operation until one is told to end."""
    usual, ended = site.sandbox.knobs.task_seconds, threading.Event()

    def change() -> None:
        wait_until(lambda: operation in site.operations(), pause=0.002)
        site.sandbox.knobs.task_seconds = task_seconds
        wait_until(lambda: ended.is_set() or "CancelTask" in site.operations(), pause=0.002)
        site.sandbox.knobs.task_seconds = usual

    thread = threading.Thread(target=change)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


@pytest.mark.parametrize("operation", [COPY, EXTEND, CREATE])
def test_create_on_a_host_whose_deadline_passes_in_a_slow_task_leaves_nothing(
    authority: Authority, operation: str
) -> None:
    """The task is told to end, and what it has made goes."""

    def check(site: Site, seconds: float) -> str:
        before = {COPY: SEARCH, EXTEND: COPY, CREATE: EXTEND}[operation]
        # The removal itself is quick again.
        for removal in (DESTROY, DELETE_FILE):
            site.sandbox.faults.add(Fault(removal, delay_seconds=0.2))
        with changing_pace(site, before, seconds):
            error = site.failed(seconds=4.0)
        fine = isinstance(error, BackendTimeoutError) and site.made() == [] and told(error).endswith("folder")
        return "" if fine else f"{seconds}: {error.detail} {error.leftovers} {site.made()}"

    side_by_side(authority, [("esxi", 5.0), ("esxi", 60.0)], check)


def test_create_whose_deadline_passes_in_the_last_task_goes_on(site: Site) -> None:
    """It may still finish, and says so; what it is made of stays for it."""
    if site.kind == "vcenter":
        site.sandbox.knobs.task_seconds = 1.0
        error = site.failed(seconds=0.8)
    else:
        # The steps before have time enough on a slow machine.
        with changing_pace(site, CREATE, 4.0):
            error = site.failed(seconds=3.0)
    assert isinstance(error, BackendTimeoutError)
    assert "may still finish" in error.detail
    assert error.leftovers == ()
    assert [vm.power_state for vm in site.sandbox.vms()] == ["poweredOn"]


@pytest.mark.parametrize(
    ("operation", "stays"), [(DESTROY, "vm"), (DELETE_FILE, "folder")], ids=["the VM", "its folder"]
)
@pytest.mark.parametrize("is_task", [False, True], ids=["refused", "failed"])
def test_create_on_a_host_whose_clean_up_fails_tells_what_stays(
    host: Site, operation: str, stays: str, *, is_task: bool
) -> None:
    """What could not be removed is named, and stops nothing else from being tried."""
    # Where the VM has been destroyed, its folder is gone, too.
    host.sandbox.fail_next_task(START if stays == "vm" else EXTEND, "InsufficientMemoryResourcesFault")
    if is_task:
        host.sandbox.fail_next_task(operation, "NoPermission")
    else:
        host.sandbox.faults.add(Fault(operation, code="NoPermission", times=None))
    error = host.failed()
    removed = {leftover.kind: leftover.removed for leftover in error.leftovers}
    assert removed[stays] is False
    assert [vm.instance_uuid for vm in host.sandbox.vms()] == [
        left.id for left in error.leftovers if left.kind == "vm" and not left.removed
    ]


def test_create_whose_vm_cannot_be_destroyed_tells_its_id(center: Site) -> None:
    """By the id under which it is listed."""
    center.sandbox.fail_next_task(DESTROY, "NoPermission")
    center.sandbox.faults.add(Fault(CLONE, cut=Cut.ANSWER, after=True))
    error = center.failed()
    (vm,) = center.sandbox.vms()
    assert [(left.kind, left.id, left.removed) for left in error.leftovers] == [("vm", vm.instance_uuid, False)]


@pytest.mark.parametrize("image", [VMDK_IMAGE, ISO_IMAGE])
@pytest.mark.parametrize("start", [True, False])
@pytest.mark.parametrize("key", ["", "key-1"])
def test_create_on_a_host_that_fails_when_nobody_waits_leaves_nothing(
    host: Site, image: str, key: str, *, start: bool
) -> None:
    """Its last task fails after the caller was answered: who follows it is told what was removed."""
    host.sandbox.fail_next_task(START if start else CREATE, "InsufficientMemoryResourcesFault")
    failure: ProviderError | None
    try:
        failure = host.finished(host.gateway().create_vm(host.spec(image, start=start, key=key), AT_ONCE)).failure
    except UnprocessableError as error:
        # With a key, the VM's making is waited for.
        failure = error
    assert failure is not None
    assert failure.code is ErrorCode.UNPROCESSABLE
    assert host.made() == []
    assert told(failure).endswith("folder")


def test_create_on_a_host_whose_folders_answer_is_lost_can_be_repeated(host: Site) -> None:
    """The folder of a key is its lock, and is removed while nothing is in it."""
    host.sandbox.faults.add(Fault(FOLDER, cut=Cut.ANSWER, after=True))
    assert told(host.failed(key="key-1")) == "folder"
    assert host.made() == []
    assert host.create(key="key-1")


# ---- Somebody else's


@pytest.mark.parametrize("after", [True, False])
def test_create_on_a_host_whose_folders_answer_is_lost_spares_another_try(host: Site, *, after: bool) -> None:
    """It has the same key, and so the same folder, and is copying its disk."""
    vm_id = host.create(key="key-1")
    host.gateway().delete_vm(vm_id)
    theirs = f"[{DATASTORES[0]}] cloudvm-{vm_id}/test1.vmdk"
    host.sandbox.add_file(theirs, size_bytes=1, capacity_bytes=1 << 30)
    host.sandbox.faults.add(Fault(FOLDER, cut=Cut.ANSWER, after=after))
    error = host.failed(key="key-1")
    assert host.sandbox.has_file(theirs)
    assert error.leftovers == ()


@pytest.mark.parametrize("key", ["", "key-1"])
@pytest.mark.parametrize("at_call", [False, True], ids=["by the task", "at the call"])
def test_create_whose_name_is_taken_leaves_the_others_vm(center: Site, key: str, *, at_call: bool) -> None:
    """It was there before; the name is told."""
    center.sandbox.knobs.refuses_at_call = at_call
    with center.stranger() as stranger:
        stranger.done(stranger.clone("test1"))
    error = center.failed(key=key)
    assert isinstance(error, NameTakenError)
    assert "test1" in error.detail
    assert error.leftovers == ()
    assert [vm.name for vm in center.sandbox.vms()] == ["test1"]


@pytest.mark.parametrize("task_seconds", [0.02, 1.0])
def test_create_that_got_lost_spares_a_vm_that_somebody_made_by_that_name(center: Site, task_seconds: float) -> None:
    """Ours never came to be; theirs has the name, and may still be in the making."""
    with center.stranger() as stranger:
        center.sandbox.faults.add(Fault(CLONE, delay_seconds=1.0, cut=Cut.ANSWER))
        center.sandbox.calls.clear()
        failures: list[ProviderError] = []
        creating = threading.Thread(target=lambda: failures.append(center.failed()))
        creating.start()
        # The template has been found: give our call the time to be first, and to take the fault.
        wait_until(lambda: "FindChild" in center.operations(), pause=0.005)
        threading.Event().wait(0.5)
        center.sandbox.knobs.task_seconds = task_seconds
        stranger.clone("test1")
        creating.join()
    (vm,) = center.sandbox.vms()
    assert (vm.name, vm.annotation) == ("test1", "")
    assert failures[0].leftovers == ()


def test_create_that_fails_spares_a_vm_that_somebody_made_meanwhile(center: Site) -> None:
    """The name was free again as soon as ours had come to nothing."""
    center.sandbox.fail_next_task(CLONE, "InsufficientMemoryResourcesFault")
    center.sandbox.faults.add(Fault(TASK, delay_seconds=0.5))
    failures: list[ProviderError] = []
    creating = threading.Thread(target=lambda: failures.append(center.failed(key="key-1")))
    creating.start()
    wait_until(lambda: [task.state for task in center.sandbox.tasks(CLONE)] == ["error"], pause=0.005)
    with center.stranger() as stranger:
        stranger.done(stranger.clone("test1"))
    creating.join()
    assert [vm.name for vm in center.sandbox.vms()] == ["test1"]


def test_create_on_a_host_leaves_other_folders_alone(host: Site) -> None:
    """A namesake's, and what stands beside."""
    host.sandbox.add_file("[datastore1] test1/test1.vmdk", size_bytes=1, capacity_bytes=1 << 30)
    host.sandbox.add_file("[datastore1] test1-1/notes.txt", size_bytes=1)
    before = host.sandbox.files()
    host.sandbox.fail_next_task(START, "InsufficientMemoryResourcesFault")
    host.failed()
    assert host.sandbox.files() == before


def test_create_on_a_host_does_not_remove_a_vm_that_has_been_registered_in_its_place(host: Site) -> None:
    """Ours was taken out of the inventory while it started, and another has its name; its files stay, and are told."""
    host.sandbox.faults.add(Fault(START, delay_seconds=1.0, code="SystemError"))
    failures: list[ProviderError] = []
    creating = threading.Thread(target=lambda: failures.append(host.failed()))
    creating.start()
    wait_until(lambda: len(host.sandbox.vms()) == 1, pause=0.005)
    host.sandbox.remove(host.sandbox.vms()[0].instance_uuid)
    with host.stranger() as stranger:
        stranger.done(stranger.create("test1"))
    creating.join()
    assert [vm.name for vm in host.sandbox.vms()] == ["test1"]
    assert [(left.kind, left.removed) for left in failures[0].leftovers] == [("vm", True), ("folder", False)]
