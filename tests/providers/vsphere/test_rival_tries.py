"""Several tries of one create, its user, and late clean-ups: none destroys or undoes what another has made."""

from __future__ import annotations

from typing import Literal

import pytest

from providers.domain import Operation, StopMode
from providers.errors import ConflictError, ProviderError
from providers.sandbox.faults import Fault
from tests.providers.reached import AT_ONCE
from tests.providers.vsphere.site import Site
from tests.providers.vsphere.test_leftovers import only_leftover
from tests.providers.vsphere.test_retries import COPY, CREATE, KEY, START, leave_behind

NO_MEMORY = "InsufficientMemoryResourcesFault"


def failed_unseen(host: Site, key: str = "") -> tuple[Operation, str]:
    """Begin a create whose start fails before anybody polls it. Return it with the id of its VM."""
    host.sandbox.fail_next_task(START, NO_MEMORY)
    begun = host.gateway().create_vm(host.spec(key=key), AT_ONCE)
    host.rest()
    return begun, host.sandbox.vms()[0].instance_uuid


def failure_of(site: Site, begun: Operation) -> ProviderError:
    """Poll a create that has failed."""
    failure = site.gateway().poll(begun).failure
    assert failure is not None
    return failure


@pytest.mark.parametrize("key", ["", KEY])
@pytest.mark.parametrize("use", ["started", "stopped", "marked"])
def test_followed_failure_keeps_a_vm_that_was_used_since(
    host: Site, key: str, use: Literal["started", "stopped", "marked"]
) -> None:
    """It runs, or has run, or its notes are somebody else's now."""
    begun, vm_id = failed_unseen(host, key)
    if use == "marked":
        host.sandbox.set_annotation(vm_id, "Mine, please keep.")
    else:
        host.gateway().start_vm(vm_id)
    if use == "stopped":
        host.gateway().stop_vm(vm_id, StopMode.FORCE, 0)
    before = host.made()
    failure = failure_of(host, begun)
    assert {(left.kind, left.removed) for left in failure.leftovers} <= {("vm", False), ("folder", False)}
    assert host.made() == before


def test_followed_failure_keeps_the_vm_of_another_try(host: Site) -> None:
    """The first VM was deleted, and another try has made it again. That one is no leftover of the first try."""
    begun, vm_id = failed_unseen(host, KEY)
    host.gateway().delete_vm(vm_id)
    assert host.create(key=KEY) == vm_id
    failure = failure_of(host, begun)
    assert vm_id not in {left.id for left in failure.leftovers}
    assert [vm.power_state for vm in host.sandbox.vms()] == ["poweredOn"]


def test_finished_vm_survives_a_failure_of_its_create(host: Site) -> None:
    """A VM that is not to run is finished once it is made. Another try may have answered with it."""
    host.gateway().delete_vm(host.create())
    # The session has looked up everything else: this refuses the look at the VM.
    host.sandbox.faults.add(Fault("RetrievePropertiesEx", code="NoPermission"))
    error = host.failed(key=KEY, start=False)
    assert {(left.kind, left.removed) for left in error.leftovers} == {("vm", False), ("folder", False)}
    (vm,) = host.sandbox.vms()
    assert host.create(key=KEY, start=False) == vm.instance_uuid


def test_followed_failure_keeps_a_disk_that_somebody_uses(host: Site) -> None:
    """The VM was not made. Somebody has attached its disk to another one since."""
    host.sandbox.fail_next_task(CREATE, NO_MEMORY)
    begun = host.gateway().create_vm(host.spec(start=False), AT_ONCE)
    host.rest()
    disk = host.attach_the_disk_elsewhere()
    failure = failure_of(host, begun)
    assert ("folder", False) in {(left.kind, left.removed) for left in failure.leftovers}
    assert host.sandbox.has_file(disk)


def test_folder_into_which_a_disk_may_be_copied_stays(host: Site) -> None:
    """A task does not tell its files, so any copy counts."""
    leave_behind(host, COPY)
    leftover = only_leftover(host)
    host.sandbox.knobs.task_seconds = 60.0
    with host.stranger() as stranger:
        stranger.content.virtualDiskManager.CopyVirtualDisk_Task(host.image, None, "[datastore1] copy.vmdk")
        host.sandbox.knobs.task_seconds = 0.02
        with pytest.raises(ConflictError, match="being copied"):
            host.gateway().remove_leftover(leftover)
    assert host.made()
