"""What creates left behind is listed and removed; what may be in use is not."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from pyVmomi import vim

from providers.domain import LeftoverResource, StopMode
from providers.errors import ConflictError, PermissionDeniedError
from providers.sandbox.faults import Fault
from tests.conformance.harness import Trouble
from tests.conformance.vcsim import EsxiHarness
from tests.providers.vsphere.conftest import MakeGateway, spec_of
from tests.providers.vsphere.site import Site
from tests.providers.vsphere.test_retries import COPY, CREATE, EXTEND, START, leave_behind, made_and_not_started

NEAR = timedelta(minutes=5)


def only_leftover(site: Site) -> LeftoverResource:
    """Return the one leftover."""
    (leftover,) = site.gateway().list_leftovers()
    return leftover


@pytest.mark.parametrize("key", ["", "order-4711"])
@pytest.mark.parametrize("step", [COPY, EXTEND, CREATE])
def test_folder_of_a_create_whose_clean_up_failed_is_listed_and_removed(host: Site, key: str, step: str) -> None:
    """With a time by which it can be left alone as long as its create may be at work."""
    leave_behind(host, step, key=key)
    leftover = only_leftover(host)
    assert (leftover.kind, leftover.is_removable) == ("folder", True)
    assert leftover.created_at is not None
    assert abs(datetime.now(UTC) - leftover.created_at) < NEAR
    host.gateway().remove_leftover(leftover)
    assert host.made() == []
    assert host.gateway().list_leftovers() == []


def test_vm_that_was_never_started_is_listed_and_removed(site: Site) -> None:
    """It was to run, and never did."""
    vm_id = made_and_not_started(site)
    leftover = only_leftover(site)
    assert (leftover.kind, leftover.id, leftover.name, leftover.is_removable) == ("vm", vm_id, "test1", True)
    assert leftover.created_at is not None
    assert abs(datetime.now(UTC) - leftover.created_at) < NEAR
    site.gateway().remove_leftover(leftover)
    assert site.made() == []


def test_vm_whose_start_and_clean_up_failed_is_listed_and_removed(host: Site) -> None:
    """Without a key; its folder goes with it."""
    leave_behind(host, START)
    leftover = only_leftover(host)
    assert leftover.kind == "vm"
    host.gateway().remove_leftover(leftover)
    assert host.made() == []


@pytest.mark.parametrize("step", [COPY, START])
def test_age_does_not_depend_on_the_clock_of_the_host(host: Site, step: str) -> None:
    """The host's clock is two hours slow, and the leftover is new."""
    host.sandbox.knobs.clock_seconds = -7200.0
    leave_behind(host, step)
    created_at = only_leftover(host).created_at
    assert created_at is not None
    assert abs(datetime.now(UTC) - created_at) < NEAR


def test_vms_in_use_are_no_leftovers(site: Site) -> None:
    """One that runs, one that was stopped, one that was never to run, and a copy that somebody made."""
    site.create(name="runs")
    site.gateway().stop_vm(site.create(name="stopped"), StopMode.FORCE, 0)
    site.create(name="waits", start=False)
    site.sandbox.seed(1, state="stopped")
    if site.kind == "vcenter":
        made_and_not_started(site)
        with site.stranger() as stranger:
            stranger.done(stranger.clone("copy", source="test1"))
        assert '"start":true' in site.sandbox.vm("copy").annotation
        site.gateway().remove_leftover(only_leftover(site))
    assert site.gateway().list_leftovers() == []


def test_vm_that_cannot_be_looked_at_is_left_out(site: Site) -> None:
    """The others are listed."""
    hidden = made_and_not_started(site, name="hidden", key="another")
    vm_id = made_and_not_started(site)
    site.sandbox.faults.add(Fault("RefreshStorageInfo", code="InvalidState"))
    assert [leftover.id for leftover in site.gateway().list_leftovers()] == [vm_id]
    assert {leftover.id for leftover in site.gateway().list_leftovers()} == {vm_id, hidden}


def test_vm_that_was_started_after_the_list_is_not_removed(site: Site) -> None:
    """Also when it is off again by then."""
    vm_id = made_and_not_started(site)
    leftover = only_leftover(site)
    site.gateway().start_vm(vm_id)
    with pytest.raises(ConflictError):
        site.gateway().remove_leftover(leftover)
    site.gateway().stop_vm(vm_id, StopMode.FORCE, 0)
    with pytest.raises(ConflictError):
        site.gateway().remove_leftover(leftover)
    assert len(site.sandbox.vms()) == 1


def test_vm_with_a_disk_of_another_folder_is_listed_only(host: Site) -> None:
    """Somebody has attached the disk, and its removal would take it along."""
    vm_id = made_and_not_started(host)
    theirs = "[datastore1] data/data.vmdk"
    host.sandbox.add_file(theirs, size_bytes=1, capacity_bytes=1 << 30)
    with host.stranger() as stranger:
        backing = vim.vm.device.VirtualDisk.FlatVer2BackingInfo(fileName=theirs, diskMode="persistent")
        disk = vim.vm.device.VirtualDisk(key=-1, controllerKey=1000, unitNumber=1, backing=backing)
        change = vim.vm.device.VirtualDeviceSpec(operation="add", device=disk)
        stranger.done(stranger.find(vm_id).ReconfigVM_Task(vim.vm.ConfigSpec(deviceChange=[change])))
    leftover = only_leftover(host)
    assert not leftover.is_removable
    with pytest.raises(ConflictError):
        host.gateway().remove_leftover(leftover)
    assert host.sandbox.has_file(theirs)


def test_folder_of_a_vm_that_is_not_registered_is_listed_only(host: Site) -> None:
    """The VM may be registered on another host that uses the same datastore."""
    vm_id = host.create()
    files = host.sandbox.files()
    host.sandbox.remove(vm_id)
    leftover = only_leftover(host)
    assert (leftover.kind, leftover.is_removable) == ("folder", False)
    with pytest.raises(ConflictError):
        host.gateway().remove_leftover(leftover)
    assert host.sandbox.files() == files


def test_folder_whose_disk_a_vm_uses_is_no_leftover(host: Site) -> None:
    """Somebody has attached the disk that was left to another VM."""
    leave_behind(host, CREATE)
    leftover = only_leftover(host)
    disk = host.attach_the_disk_elsewhere()
    assert host.gateway().list_leftovers() == []
    with pytest.raises(ConflictError):
        host.gateway().remove_leftover(leftover)
    assert host.sandbox.has_file(disk)


@pytest.mark.parametrize(
    "name", ["cloudvm", "cloudvm-", "cloudvm-web", "cloudvm-web-1234567", "xcloudvm-web-12345678", "web-12345678"]
)
def test_folder_with_a_similar_name_is_no_leftover(host: Site, name: str) -> None:
    """It is somebody else's, also when it is named for removal."""
    path = f"[datastore1] {name}"
    host.sandbox.add_file(f"{path}/data.vmdk", size_bytes=1, capacity_bytes=1 << 30)
    assert host.gateway().list_leftovers() == []
    with pytest.raises(ConflictError):
        host.gateway().remove_leftover(LeftoverResource("folder", path, name, None, ""))
    assert host.sandbox.has_file(f"{path}/data.vmdk")


def test_leftover_that_is_gone_is_removed(host: Site) -> None:
    """Somebody else was quicker."""
    leave_behind(host, COPY)
    folder = only_leftover(host)
    host.gateway().remove_leftover(folder)
    host.gateway().remove_leftover(folder)
    vm_id = made_and_not_started(host)
    vm = only_leftover(host)
    host.gateway().delete_vm(vm_id)
    host.gateway().remove_leftover(vm)
    assert host.made() == []


def test_leftovers_of_govmomis_host_are_listed_and_removed(esxi: EsxiHarness, gateway: MakeGateway) -> None:
    """A VM and a folder, by the peer that others wrote."""
    before, caller = esxi.objects(), gateway(esxi)
    for name, operations in {
        "web1": ("PowerOnVM_Task", "Destroy_Task"),
        "web2": ("CreateVM_Task", "DeleteDatastoreFile_Task"),
    }.items():
        for operation in operations:
            esxi.trouble(Trouble.PERMISSION_DENIED, operation)
        with pytest.raises(PermissionDeniedError):
            caller.create_vm(spec_of(esxi, name))
        esxi.reset_trouble()
    used = caller.create_vm(spec_of(esxi, "web3")).vm_id or ""
    left = caller.list_leftovers()
    assert [(leftover.kind, leftover.is_removable) for leftover in left] == [("folder", True), ("vm", True)]
    for leftover in left:
        assert leftover.created_at is not None
        assert abs(datetime.now(UTC) - leftover.created_at) < NEAR
        caller.remove_leftover(leftover)
    assert caller.list_leftovers() == []
    caller.delete_vm(used)
    assert esxi.objects() == before
