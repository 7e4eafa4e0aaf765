"""Retries with an Idempotency-Key finish what an earlier try left; clean-ups tell the truth about it."""

from __future__ import annotations

import threading
from contextlib import closing
from typing import Any

import pytest
from pyVmomi import vim

from providers.domain import StopMode
from providers.errors import ConflictError, ProviderError
from providers.gateway import Backends
from providers.network import Network
from providers.sandbox.faults import Cut, Fault
from providers.sandbox.vsphere import DATASTORES, ISO_IMAGE, VMDK_IMAGE
from tests.conformance.vcsim import as_if_to_run
from tests.providers.reached import NETWORK
from tests.providers.vsphere.site import TASK, Site
from tests.providers.vsphere.test_cleanup import changing_pace
from tests.support.arrivals import at_call
from tests.support.limits import LIMITS
from tests.support.waiting import wait_until

KEY = "order-4711"
FOLDER, COPY, EXTEND = "MakeDirectory", "CopyVirtualDisk_Task", "ExtendVirtualDisk_Task"
CREATE, START = "CreateVM_Task", "PowerOnVM_Task"
REMOVALS = ("Destroy_Task", "DeleteDatastoreFile_Task", "DeleteVirtualDisk_Task")


def leave_behind(site: Site, step: str, image: str = "", **fields: Any) -> ProviderError:
    """Fail a create at a step, and each call of its clean-up; tell why it failed."""
    site.sandbox.faults.add(Fault(step, code="NoPermission"))
    for removal in REMOVALS:
        site.sandbox.faults.add(Fault(removal, code="NoPermission", times=None))
    error = site.failed(image, **fields)
    site.sandbox.faults.clear()
    return error


def folder_of(host: Site) -> str:
    """Return the folder that the creates with the key use."""
    vm_id = host.create(key=KEY)
    host.gateway().delete_vm(vm_id)
    assert host.made() == []
    return f"cloudvm-{vm_id}"


@pytest.mark.parametrize(
    ("image", "step"),
    [(VMDK_IMAGE, COPY), (VMDK_IMAGE, EXTEND), (VMDK_IMAGE, CREATE), (VMDK_IMAGE, START), (ISO_IMAGE, CREATE)],
)
@pytest.mark.parametrize("start", [True, False])
def test_create_after_a_failed_clean_up_is_finished(host: Site, image: str, step: str, *, start: bool) -> None:
    """One VM in the wanted state, and no file that it does not use."""
    if step == START and not start:
        step = CREATE
    error = leave_behind(host, step, image, key=KEY, start=start)
    assert error.leftovers
    assert not any(leftover.removed for leftover in error.leftovers)
    assert host.made()
    vm_id = host.create(image, key=KEY, start=start)
    (vm,) = host.sandbox.vms()
    assert (vm.instance_uuid, vm.power_state) == (vm_id, "poweredOn" if start else "poweredOff")
    host.gateway().delete_vm(vm_id)
    assert host.made() == []


def test_create_after_a_crash_during_the_copy_waits_for_its_end(host: Site) -> None:
    """The disk may be the earlier try's: a conflict while it is copied, and a VM afterwards."""
    path = f"[{DATASTORES[0]}] {folder_of(host)}"
    with host.stranger() as stranger:
        stranger.content.fileManager.MakeDirectory(path)
        host.sandbox.knobs.task_seconds = 9.0
        stranger.content.virtualDiskManager.CopyVirtualDisk_Task(VMDK_IMAGE, None, f"{path}/test1.vmdk")
        host.sandbox.knobs.task_seconds = 0.02
    with pytest.raises(ConflictError, match="earlier request"):
        host.gateway(storage_external_id=DATASTORES[0]).create_vm(host.spec(key=KEY))
    host.rest()
    gateway = host.gateway(storage_external_id=DATASTORES[0])
    vm_id = host.create(gateway=gateway, key=KEY)
    assert [vm.power_state for vm in host.sandbox.vms()] == ["poweredOn"]
    gateway.delete_vm(vm_id)
    assert host.made() == []


def test_create_beside_one_that_is_slow_makes_one_vm(host: Site) -> None:
    """The earlier try was taken for dead. It finds the VM made, and removes its own disk."""
    host.sandbox.faults.add(Fault(COPY, delay_seconds=8.0))
    slow: list[str] = []
    earlier = threading.Thread(target=lambda: slow.append(host.create(key=KEY)))
    earlier.start()
    wait_until(lambda: FOLDER in host.operations(), pause=0.005)
    vm_id = host.create(key=KEY)
    earlier.join()
    assert slow == [vm_id]
    assert [vm.power_state for vm in host.sandbox.vms()] == ["poweredOn"]
    host.gateway().delete_vm(vm_id)
    assert host.made() == []


def test_create_whose_start_fails_spares_a_vm_that_was_stopped_after_another_try_was_answered(host: Site) -> None:
    """The other try, in another process, has started the VM, and its user has stopped it."""
    answered: list[str] = []
    with closing(Backends(NETWORK, LIMITS)) as other:

        def answer_another() -> None:
            answered.append(host.create(gateway=host.gateway(backends=other, seconds=60), key=KEY))
            host.gateway(backends=other).stop_vm(answered[0], StopMode.FORCE, 0)
            host.sandbox.faults.add(Fault(START, code="NoPermission"))

        with at_call(host.sandbox.calls, START, answer_another):
            error = host.failed(key=KEY, seconds=60)
    assert not any(leftover.removed for leftover in error.leftovers)
    assert [(vm.instance_uuid, vm.power_state) for vm in host.sandbox.vms()] == [(answered[0], "poweredOff")]


def test_create_after_a_crash_before_the_start_starts_the_vm(site: Site) -> None:
    """The VM is made, was to be started, and has never run."""
    vm_id = made_and_not_started(site)
    assert site.create(key=KEY) == vm_id
    (vm,) = site.sandbox.vms()
    assert (vm.power_state, vm.instance_uuid) == ("poweredOn", vm_id)


def test_create_repeated_leaves_a_vm_off_that_writes_no_log(site: Site) -> None:
    """Whether it has run cannot be known, so somebody may have stopped it."""
    vm_id = made_and_not_started(site)
    with site.stranger() as stranger:
        quiet = vim.vm.ConfigSpec(extraConfig=[vim.option.OptionValue(key="logging", value="FALSE")])
        stranger.done(stranger.find(vm_id).ReconfigVM_Task(quiet))
    assert site.create(key=KEY) == vm_id
    assert [vm.power_state for vm in site.sandbox.vms()] == ["poweredOff"]


def made_and_not_started(site: Site, key: str = KEY, **fields: Any) -> str:
    """Make a VM with a key whose notes say that it is to run, and which never did; return its id."""
    vm_id = site.create(key=key, start=False, **fields)
    site.sandbox.set_annotation(vm_id, as_if_to_run(site.sandbox.vm(vm_id).annotation))
    return vm_id


def test_create_on_two_datastores_at_once_keeps_the_first_vm(host: Site) -> None:
    """Two tries can choose different datastores while these fill; the one that comes later removes its VM."""
    host.sandbox.add_datastore("datastore2")
    vm_id = folder_of(host).removeprefix("cloudvm-")
    made: list[str] = []
    with host.stranger() as stranger:
        rival = stranger.done(stranger.create("rival", "[datastore2]"))
        host.sandbox.calls.clear()
        host.sandbox.faults.add(Fault(CREATE, delay_seconds=2.0))
        later = threading.Thread(target=lambda: made.append(host.create(key=KEY)))
        later.start()
        wait_until(lambda: EXTEND in host.operations(), pause=0.005)
        stranger.done(rival.ReconfigVM_Task(vim.vm.ConfigSpec(instanceUuid=vm_id)))
        later.join()
    assert made == [vm_id]
    assert [(vm.name, vm.power_state) for vm in host.sandbox.vms()] == [("rival", "poweredOn")]


@pytest.mark.parametrize("key", ["", KEY])
def test_folder_that_is_made_late_is_removed(host: Site, key: str) -> None:
    """Its making is not answered, and takes effect four seconds later."""
    backends = Backends(Network(connect_timeout_seconds=1.0, read_timeout_seconds=1.0), LIMITS)
    gateway = host.gateway(seconds=1.0, backends=backends)
    gateway.list_vms()
    host.sandbox.faults.add(Fault(FOLDER, delay_seconds=4.0))
    with pytest.raises(ProviderError) as caught:
        gateway.create_vm(host.spec(key=key))
    backends.close()
    assert [(leftover.kind, leftover.removed) for leftover in caught.value.leftovers] == [("folder", True)]
    wait_until(lambda: FOLDER in host.operations())
    assert host.made() == []


def test_folder_whose_removal_is_not_known_is_told_as_not_removed(host: Site) -> None:
    """The server fails each look at it."""
    host.sandbox.faults.add(Fault(EXTEND, code="NoPermission"))
    host.sandbox.faults.add(Fault("DeleteDatastoreFile_Task", status=503, times=None))
    error = host.failed()
    assert [(leftover.kind, leftover.removed) for leftover in error.leftovers] == [("folder", False)]
    assert host.made()


def test_clean_up_that_is_throttled_once_removes_all(host: Site) -> None:
    """The call is repeated."""
    host.sandbox.faults.add(Fault(START, code="NoPermission"))
    for removal in ("Destroy_Task", "DeleteDatastoreFile_Task"):
        host.sandbox.faults.add(Fault(removal, status=429, headers={"Retry-After": "1"}))
    error = host.failed()
    assert {leftover.removed for leftover in error.leftovers} == {True}
    assert host.made() == []


@pytest.mark.parametrize("key", ["", KEY])
def test_clean_up_waits_for_a_copy_that_was_not_answered(host: Site, key: str) -> None:
    """It writes into the folder that is to be removed."""
    host.sandbox.knobs.task_seconds = 1.0
    host.sandbox.faults.add(Fault(COPY, cut=Cut.ANSWER, after=True))
    error = host.failed(key=key)
    assert [(leftover.kind, leftover.removed) for leftover in error.leftovers] == [("folder", True)]
    assert host.made() == []


def test_clean_up_that_cannot_see_the_task_for_a_while_removes_the_vm(host: Site) -> None:
    """A VM that is being made is not taken for one that was never made."""

    def hide_tasks() -> None:
        wait_until(lambda: CREATE in host.operations(), pause=0.005)
        host.sandbox.faults.add(Fault(TASK, status=503, times=None))
        threading.Event().wait(3.0)
        host.sandbox.faults.clear()

    hiding = threading.Thread(target=hide_tasks)
    hiding.start()
    with changing_pace(host, EXTEND, 5.0):
        error = host.failed(seconds=3.0)
    hiding.join()
    assert all(leftover.removed for leftover in error.leftovers), error.leftovers
    assert host.made() == []
