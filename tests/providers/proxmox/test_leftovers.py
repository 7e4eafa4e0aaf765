"""What creates left behind: listed, and removed where nobody can be using it."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from providers.credentials import Credentials
from providers.domain import LeftoverResource, StopMode
from providers.errors import ConflictError, PermissionDeniedError, ProviderError
from providers.gateway import Gateway
from providers.sandbox.faults import Fault
from providers.sandbox.proxmox import IMPORT_IMAGE, TEMPLATE_ID, TOKEN_SECRET
from tests.providers.proxmox.cluster import QEMU, STORAGE, TEMPLATE_IMAGE, VM, VMS, Pve
from tests.providers.proxmox.test_privileges import ROLES
from tests.support.waiting import wait_until

DENIED = "Permission check failed (/, none)"
CONFIGURE, START = f"PUT {VM}/config", f"POST {VM}/status/start"
REMOVALS = (f"DELETE {VM}", f"DELETE {STORAGE}/content/{{volume}}")
LISTS_ISOS = frozenset({*ROLES["9.0"]["/storage/local"], "Datastore.Audit"})


def left_behind(pve: Pve, step: str, image: str = IMPORT_IMAGE, *, key: str = "") -> None:
    """Let a create fail at a call and leave everything as it is then, like a process that was killed."""
    for operation in (step, *REMOVALS):
        pve.sandbox.faults.add(Fault(operation, status=403, message=DENIED, times=None))
    with pytest.raises(ProviderError):
        pve.create(image, key=key)
    pve.sandbox.faults.clear()


def the_leftover(pve: Pve, gateway: Gateway | None = None) -> LeftoverResource:
    """The only leftover."""
    (found,) = (gateway or pve.gateway()).list_leftovers()
    return found


def unfinished(pve: Pve) -> str:
    """The id of a VM whose create was not finished."""
    left_behind(pve, CONFIGURE)
    (vm,) = pve.sandbox.vms()
    return str(vm.id)


def refused(pve: Pve, found: LeftoverResource, reason: str) -> None:
    """Check that a leftover is listed only, with its reason, and is not removed."""
    before = pve.made()
    assert (found.is_removable, reason in found.detail) == (False, True), found.detail
    with pytest.raises(ConflictError, match="not removed"):
        pve.gateway().remove_leftover(found)
    assert pve.made() == before


def test_nothing_is_left_by_creates_that_succeed(pve: Pve) -> None:
    """With each kind of VM, running and stopped."""
    pve.create()
    pve.create(TEMPLATE_IMAGE, start=False)
    pve.create(start=False, key="k")
    assert pve.gateway().list_leftovers() == []


@pytest.mark.parametrize("key", ["", "order-4711"])
def test_image_of_a_create_that_was_killed_is_removed(pve: Pve, key: str) -> None:
    """The process ended before it had made the VM."""
    left_behind(pve, f"POST {VMS}", key=key)
    found = the_leftover(pve)
    (volume,) = pve.sandbox.volumes()
    assert (found.kind, found.id, found.id.endswith(found.name)) == ("iso", volume.id, True)
    assert found.is_removable
    assert found.created_at is not None
    assert abs(datetime.now(UTC) - found.created_at) < timedelta(minutes=5)
    pve.gateway().remove_leftover(found)
    assert pve.made() == ([], [])
    # Somebody else was faster: a success.
    pve.gateway().remove_leftover(found)


@pytest.mark.parametrize("image", [IMPORT_IMAGE, TEMPLATE_IMAGE])
@pytest.mark.parametrize("step", [f"PUT {VM}/resize", CONFIGURE])
def test_vm_of_a_create_that_was_killed_is_removed_with_its_image(pve: Pve, image: str, step: str) -> None:
    """It has never run, as the node's tasks show."""
    left_behind(pve, step, image)
    (vm,) = pve.sandbox.vms()
    found = next(one for one in pve.gateway().list_leftovers() if one.kind == "vm")
    assert (found.id, found.name, found.is_removable) == (str(vm.id), "test1", True)
    assert found.created_at is not None
    assert abs(datetime.now(UTC) - found.created_at) < timedelta(minutes=5)
    pve.gateway().remove_leftover(found)
    for other in pve.gateway().list_leftovers():
        pve.gateway().remove_leftover(other)
    assert pve.made() == ([], [])


def test_vm_that_was_removed_takes_its_image_with_it(pve: Pve) -> None:
    """The image is in its drive."""
    unfinished(pve)
    pve.gateway().remove_leftover(the_leftover(pve))
    assert pve.made() == ([], [])


def test_vm_that_failed_to_start_is_no_leftover(pve: Pve) -> None:
    """It may have run: `GET /vm` shows it."""
    left_behind(pve, START)
    assert len(pve.sandbox.vms()) == 1
    assert pve.gateway().list_leftovers() == []


def test_half_made_vm_that_was_finished_since_is_kept(pve: Pve) -> None:
    """A retry with the key has completed it after it was listed."""
    left_behind(pve, CONFIGURE, key="order-4711")
    found = the_leftover(pve)
    vm_id = pve.create(key="order-4711")
    pve.gateway().stop_vm(vm_id, StopMode.FORCE, 0)
    with pytest.raises(ConflictError, match="in use by now, or finished"):
        pve.gateway().remove_leftover(found)
    assert [str(vm.id) for vm in pve.sandbox.vms()] == [vm_id]


def test_image_that_was_used_since_is_kept(pve: Pve) -> None:
    """A retry with the key has made its VM after it was listed."""
    left_behind(pve, f"POST {VMS}", key="order-4711")
    found = the_leftover(pve)
    pve.create(key="order-4711")
    before = pve.made()
    with pytest.raises(ConflictError, match="in use by now"):
        pve.gateway().remove_leftover(found)
    assert pve.made() == before


def test_image_that_was_uploaded_again_since_is_kept(pve: Pve) -> None:
    """A retry with the key is about to use it."""
    left_behind(pve, f"POST {VMS}", key="order-4711")
    found = the_leftover(pve)
    time.sleep(1.1)
    left_behind(pve, f"POST {VMS}", key="order-4711")
    with pytest.raises(ConflictError, match="created again"):
        pve.gateway().remove_leftover(found)
    assert len(pve.sandbox.volumes(content="iso")) == 1


@pytest.mark.parametrize("state", ["running", "paused", "prelaunch"])
def test_half_made_vm_that_runs_is_only_listed(pve: Pve, state: str) -> None:
    """Somebody has started it in Proxmox."""
    pve.sandbox.set_state(unfinished(pve), state)
    refused(pve, the_leftover(pve), f"it is {state}")


def test_half_made_vm_that_has_run_is_only_listed(pve: Pve) -> None:
    """The node's tasks tell."""
    vm_id = unfinished(pve)
    pve.gateway().start_vm(vm_id)
    pve.gateway().stop_vm(vm_id, StopMode.FORCE, 0)
    refused(pve, the_leftover(pve), "somebody has worked with it")


def test_half_made_vm_is_judged_by_tasks_after_the_end_of_the_one_before(pve: Pve) -> None:
    """Proxmox gives ids again: another VM of this id may have run."""
    pve.gateway().delete_vm(pve.create())
    vm_id = unfinished(pve)
    assert pve.sandbox.tasks("qmstart")[0].id == vm_id
    assert the_leftover(pve).is_removable


def test_half_made_vm_that_is_started_after_the_look_is_kept(pve: Pve) -> None:
    """Proxmox removes no VM that runs."""
    vm_id = unfinished(pve)
    found = the_leftover(pve)
    pve.sandbox.faults.add(Fault(f"DELETE {VM}", delay_seconds=1.0))
    pve.sandbox.calls.clear()
    with ThreadPoolExecutor(1) as pool:
        removal = pool.submit(pve.gateway().remove_leftover, found)
        wait_until(lambda: "GET /nodes/{node}/tasks" in pve.operations())
        pve.sandbox.set_state(vm_id, "running")
        with pytest.raises(ConflictError, match="is running"):
            removal.result()
    assert pve.sandbox.vm(vm_id).state == "running"


@pytest.mark.parametrize(
    ("option", "value", "reason"),
    [("lock", "clone", "locked (clone)"), ("protection", "1", "protection"), ("parent", "before", "snapshot")],
)
def test_half_made_vm_that_may_be_in_use_is_only_listed(pve: Pve, option: str, value: str, reason: str) -> None:
    """A lock may be a dead task's, which takes an administrator; the others are somebody's work."""
    pve.sandbox.set_config(unfinished(pve), option, value)
    refused(pve, the_leftover(pve), reason)


def test_half_made_vm_on_another_node_is_only_listed(pve: Pve) -> None:
    """Somebody has moved it."""
    pve.sandbox.migrate(unfinished(pve), "pve2")
    refused(pve, the_leftover(pve), "node pve2")


def test_half_made_vm_whose_past_cannot_be_seen_is_only_listed(pve: Pve) -> None:
    """Without Sys.Audit a caller sees only tasks of its own."""
    unfinished(pve)
    pve.sandbox.add_token("demo@sandbox!least", privileges={**ROLES["9.0"], "/storage/local": LISTS_ISOS})
    gateway = pve.gateway(Credentials("demo@sandbox!least", TOKEN_SECRET))
    found = the_leftover(pve, gateway)
    assert (found.is_removable, "Sys.Audit on /nodes/pve" in found.detail) == (False, True)
    with pytest.raises(ConflictError):
        gateway.remove_leftover(found)


def test_half_made_vm_from_before_the_task_log_is_only_listed(pve: Pve) -> None:
    """Proxmox throws old tasks away."""
    vm_id = unfinished(pve)
    notes = json.loads(pve.sandbox.vm(vm_id).config["description"])
    notes["cloudvm"]["created_at"] = 1_767_225_600
    pve.sandbox.set_config(vm_id, "description", json.dumps(notes))
    refused(pve, the_leftover(pve), "does not reach back")


def test_template_and_copies_of_a_half_made_vm_are_no_leftovers(pve: Pve) -> None:
    """Somebody has use for them, and for the image in their drives."""
    vm_id = unfinished(pve)
    assert pve.stranger().done("POST", f"{QEMU}/{vm_id}/clone", newid=500, name="copy", full=1) == "OK"
    assert pve.stranger().done("POST", f"{QEMU}/{vm_id}/template") == "OK"
    assert pve.gateway().list_leftovers() == []


def test_image_of_a_template_that_was_a_vm_of_ours_is_no_leftover(pve: Pve) -> None:
    """Its drive holds the image, and so do its clones'."""
    vm_id = pve.create(start=False)
    assert pve.stranger().done("POST", f"{QEMU}/{vm_id}/template") == "OK"
    pve.create(f"template/{vm_id}", cloud_init=None, start=False)
    assert pve.gateway().list_leftovers() == []


def test_image_of_a_copy_whose_original_is_gone_is_no_leftover(pve: Pve) -> None:
    """Deleted in Proxmox, which leaves the image."""
    vm_id = pve.create(start=False)
    assert pve.stranger().done("POST", f"{QEMU}/{vm_id}/clone", newid=500, name="copy", full=1) == "OK"
    assert pve.stranger().done("DELETE", f"{QEMU}/{vm_id}") == "OK"
    assert pve.gateway().list_leftovers() == []


def test_image_of_a_vm_on_another_node_is_no_leftover(pve: Pve) -> None:
    """The whole cluster is looked at."""
    pve.sandbox.migrate(pve.create(), "pve2")
    assert pve.gateway().list_leftovers() == []


def test_image_of_a_vm_whose_drive_is_empty_is_no_leftover(pve: Pve) -> None:
    """One of its snapshots may hold it."""
    pve.sandbox.set_config(pve.create(), "ide2", "none,media=cdrom")
    assert pve.gateway().list_leftovers() == []


def test_image_that_only_a_snapshot_uses_is_no_leftover(pve: Pve) -> None:
    """A rollback needs it. The VM's owner has emptied the drive and written other notes."""
    vm_id = pve.create()
    pve.sandbox.set_config(vm_id, "description", "web server")
    pve.sandbox.take_snapshot(vm_id, "before-upgrade")
    pve.sandbox.set_config(vm_id, "ide2", "none,media=cdrom")
    assert pve.gateway().list_leftovers() == []
    # The VM has no parent when that is removed, and other snapshots all the same.
    pve.sandbox.set_config(vm_id, "parent", None)
    assert pve.gateway().list_leftovers() == []


def test_image_is_kept_while_the_snapshots_of_some_vm_cannot_be_read(pve: Pve) -> None:
    """One of them may use it."""
    left_behind(pve, f"POST {VMS}")
    pve.sandbox.seed(1)
    pve.sandbox.faults.add(Fault(f"GET {VM}/snapshot", status=403, message=DENIED, times=None))
    refused(pve, the_leftover(pve), "cannot be read")


def test_image_is_kept_while_a_snapshot_of_some_vm_is_not_shown(pve: Pve) -> None:
    """The VM names it as its parent."""
    left_behind(pve, f"POST {VMS}")
    pve.sandbox.set_config(pve.sandbox.seed(1)[0], "parent", "before-upgrade")
    refused(pve, the_leftover(pve), "cannot be read")


@pytest.mark.parametrize(
    "name", ["debian12-custom.iso", "cloudvm-notes.iso", "cloudvm-0123abcd.iso", f"cloudvm-{'g' * 32}.iso"]
)
def test_foreign_images_are_no_leftovers(pve: Pve, name: str) -> None:
    """Also with a name that begins like ours."""
    pve.sandbox.add_volume(f"local:iso/{name}", size_bytes=1 << 20)
    assert pve.gateway().list_leftovers() == []


@pytest.mark.parametrize("name", [f"cloudvm-{'0' * 8}-{'a' * 32}.iso", f"cloudvm-{'a' * 32}.iso"])
def test_images_that_may_be_another_clusters_are_only_listed(pve: Pve, name: str) -> None:
    """Clusters may share a storage for images."""
    pve.sandbox.add_volume(f"local:iso/{name}", size_bytes=1 << 20)
    refused(pve, the_leftover(pve), "other clusters")


def test_image_is_kept_while_some_vm_cannot_be_looked_at(pve: Pve) -> None:
    """The VM may be the one that uses it."""
    left_behind(pve, f"POST {VMS}")
    pve.sandbox.seed(1, node="pve2")
    pve.sandbox.faults.add(Fault(f"GET {VM}/config", status=595, message="No route to host", times=None, skip=1))
    refused(pve, the_leftover(pve), "cannot be read")


@pytest.mark.parametrize("lock", ["create", "clone"])
def test_image_is_kept_while_a_vm_is_being_made(pve: Pve, lock: str) -> None:
    """Its configuration does not show its drives yet, and a large disk takes hours."""
    left_behind(pve, f"POST {VMS}")
    (vm_id,) = pve.sandbox.seed(1)
    pve.sandbox.lock(vm_id, lock)
    refused(pve, the_leftover(pve), f"VM {vm_id} is being made")


@pytest.mark.parametrize(
    ("vms", "is_removable"), [({"/vms": ROLES["9.0"]["/vms"]}, True), ({"/vms/101": ROLES["9.0"]["/vms"]}, False)]
)
def test_image_is_kept_from_a_caller_who_does_not_see_all_vms(
    pve: Pve,
    vms: dict[str, frozenset[str]],
    is_removable: bool,  # noqa: FBT001 - pytest's
) -> None:
    """Another caller's VM may use it."""
    left_behind(pve, f"POST {VMS}")
    pve.sandbox.add_token("demo@sandbox!least", privileges={**vms, "/storage/local": LISTS_ISOS})
    gateway = pve.gateway(Credentials("demo@sandbox!least", TOKEN_SECRET))
    found = the_leftover(pve, gateway)
    assert found.is_removable == is_removable, found.detail
    if is_removable:
        gateway.remove_leftover(found)
        assert pve.made() == ([], [])
    else:
        with pytest.raises(ConflictError, match=r"VM\.Audit on /vms"):
            gateway.remove_leftover(found)


def test_list_without_the_privilege_for_the_storage_names_it(pve: Pve) -> None:
    """An empty list would be untrue."""
    pve.sandbox.add_token("demo@sandbox!least", privileges=ROLES["9.0"])
    with pytest.raises(PermissionDeniedError, match=r"/storage/local, Datastore\.Audit"):
        pve.gateway(Credentials("demo@sandbox!least", TOKEN_SECRET)).list_leftovers()


def test_vm_that_moves_while_it_is_looked_at_may_use_an_image(pve: Pve) -> None:
    """It is on neither node at the moment of the look."""
    left_behind(pve, f"POST {VMS}")
    (vm_id,) = pve.sandbox.seed(1)
    missing = f"Configuration file 'nodes/pve/qemu-server/{vm_id}.conf' does not exist"
    pve.sandbox.faults.add(Fault(f"GET {VM}/config", status=500, message=missing, times=None))
    refused(pve, the_leftover(pve), "cannot be read")
    assert TEMPLATE_ID not in {vm.id for vm in pve.sandbox.vms()}


def test_create_that_is_running_has_leftovers_with_an_age(pve: Pve) -> None:
    """Callers leave alone what is young."""
    pve.sandbox.faults.add(Fault(f"PUT {VM}/resize", status=500, message="internal error"))
    for operation in REMOVALS:
        pve.sandbox.faults.add(Fault(operation, status=403, message=DENIED, times=None))
    with pytest.raises(ProviderError):
        pve.create()
    assert all(found.created_at is not None for found in pve.gateway().list_leftovers())
