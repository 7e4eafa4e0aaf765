"""Deleting: a VM with all that is its own, and nothing else."""

from __future__ import annotations

import pytest

from providers.domain import StopMode
from providers.errors import ConflictError, PermissionDeniedError, VMNotFoundError
from providers.gateway import Gateway
from providers.sandbox.faults import Fault
from providers.sandbox.proxmox import TEMPLATE_ID
from tests.providers.proxmox.cluster import BY_PASSWORD, IMAGES, QEMU, STORAGE, TASK, VM, Pve

CONTAINER = 107
VERBS = {
    "get": lambda gateway, vm_id: gateway.get_vm(vm_id),
    "start": lambda gateway, vm_id: gateway.start_vm(vm_id),
    "stop": lambda gateway, vm_id: gateway.stop_vm(vm_id, StopMode.AUTO, 1),
    "stop by force": lambda gateway, vm_id: gateway.stop_vm(vm_id, StopMode.FORCE, 0),
    "restart": lambda gateway, vm_id: gateway.restart_vm(vm_id, StopMode.AUTO, 1),
    "restart by force": lambda gateway, vm_id: gateway.restart_vm(vm_id, StopMode.FORCE, 0),
    "delete": lambda gateway, vm_id: gateway.delete_vm(vm_id),
}


@pytest.mark.parametrize("image", IMAGES)
def test_delete_of_a_running_vm_leaves_nothing(pve: Pve, image: str) -> None:
    """VM, disks and image."""
    vm_id = pve.create(image)
    pve.gateway().delete_vm(vm_id)
    assert pve.made() == ([], [])
    with pytest.raises(VMNotFoundError):
        pve.gateway().get_vm(vm_id)


def test_delete_removes_disks_that_the_configuration_has_forgotten(pve: Pve) -> None:
    """Detached ones, and those that only their name gives to the VM."""
    (vm_id,) = pve.sandbox.seed(1)
    pve.sandbox.add_volume(f"local-lvm:vm-{vm_id}-disk-7", size_bytes=1 << 30)
    pve.gateway().delete_vm(str(vm_id))
    assert pve.made() == ([], [])


def test_delete_leaves_images_that_are_not_ours(pve: Pve) -> None:
    """What an administrator has put into the drive."""
    (vm_id,) = pve.sandbox.seed(1)
    pve.sandbox.add_volume("local:iso/rescue.iso", size_bytes=1 << 20)
    pve.sandbox.set_config(vm_id, "ide2", "local:iso/rescue.iso,media=cdrom,size=1M")
    pve.gateway().delete_vm(str(vm_id))
    assert pve.made() == ([], ["local:iso/rescue.iso"])


def test_delete_of_a_vm_whose_image_is_gone_is_a_success(pve: Pve) -> None:
    """Somebody has tidied the storage up."""
    vm_id = pve.create()
    (iso,) = [volume.id for volume in pve.sandbox.volumes(content="iso")]
    assert pve.stranger().done("DELETE", f"/nodes/pve/storage/local/content/{iso}") == "OK"
    pve.gateway().delete_vm(vm_id)
    assert pve.made() == ([], [])


def test_delete_of_a_copy_leaves_the_originals_image(pve: Pve) -> None:
    """Somebody has cloned the VM in PVE: notes and image are the same, the id is another."""
    vm_id = pve.create()
    assert pve.stranger().done("POST", f"{QEMU}/{vm_id}/clone", newid=500, name="copy", full=1) == "OK"
    assert "iso/" in pve.sandbox.vm(500).config["ide2"]
    pve.gateway().delete_vm("500")
    assert len(pve.sandbox.volumes(content="iso")) == 1
    pve.gateway().delete_vm(vm_id)
    assert pve.made() == ([], [])


@pytest.mark.parametrize("state", ["running", "stopped"])
def test_delete_of_a_protected_vm_is_a_conflict_before_anything_is_done(pve: Pve, state: str) -> None:
    """It runs on, and has its image."""
    vm_id = pve.create(start=state == "running")
    pve.sandbox.set_config(vm_id, "protection", "1")
    before = pve.made()
    with pytest.raises(ConflictError, match="protect"):
        pve.gateway().delete_vm(vm_id)
    assert (pve.made(), pve.sandbox.vm(vm_id).state) == (before, state)


@pytest.mark.parametrize(
    ("just_shown", "before", "after"), [(True, [], [f"GET {VM}/status/current"]), (False, [f"GET {VM}/config"], [])]
)
def test_delete_of_a_running_vm_is_two_calls_and_one_for_its_image(
    pve: Pve,
    just_shown: bool,  # noqa: FBT001 - pytest's
    before: list[str],
    after: list[str],
) -> None:
    """Polls of tasks, and one look: at what was not just shown before the stop, at the state of what was after it."""
    vm_id = pve.create()
    gateway = pve.gateway()
    if just_shown:
        gateway.get_vm(vm_id)
    pve.sandbox.calls.clear()
    gateway.delete_vm(vm_id)
    assert [call for call in pve.operations() if call != TASK] == [
        *before,
        f"POST {VM}/status/stop",
        *after,
        f"DELETE {STORAGE}/content/{{volume}}",
        f"DELETE {VM}",
    ]
    assert pve.made() == ([], [])


@pytest.mark.parametrize("state", ["running", "stopped"])
def test_delete_of_a_vm_that_was_shown_as_protected_is_a_conflict(pve: Pve, state: str) -> None:
    """What was seen of it is no leave to remove it."""
    vm_id = pve.create(start=state == "running")
    pve.sandbox.set_config(vm_id, "protection", "1")
    gateway = pve.gateway()
    gateway.get_vm(vm_id)
    with pytest.raises(ConflictError, match="protect"):
        gateway.delete_vm(vm_id)
    assert pve.sandbox.vm(vm_id).state == state


def test_delete_of_a_vm_that_was_shown_again_as_protected_is_a_conflict(pve: Pve) -> None:
    """The last that was seen of it counts."""
    vm_id = pve.create()
    gateway = pve.gateway()
    gateway.get_vm(vm_id)
    pve.sandbox.set_config(vm_id, "protection", "1")
    gateway.get_vm(vm_id)
    before = pve.made()
    with pytest.raises(ConflictError, match="protect"):
        gateway.delete_vm(vm_id)
    assert (pve.made(), pve.sandbox.vm(vm_id).state) == (before, "running")


def test_delete_of_a_vm_that_was_locked_since_it_was_shown_is_a_conflict(pve: Pve) -> None:
    """Proxmox refuses the first step."""
    vm_id = pve.create()
    gateway = pve.gateway()
    gateway.get_vm(vm_id)
    pve.sandbox.lock(vm_id, "backup")
    before = pve.made()
    with pytest.raises(ConflictError, match=r"locked \(backup\)"):
        gateway.delete_vm(vm_id)
    assert (pve.made(), pve.sandbox.vm(vm_id).state) == (before, "running")


def test_delete_of_a_vm_that_was_protected_since_it_was_shown_keeps_it(pve: Pve) -> None:
    """Proxmox refuses the last step: the VM is off, and has its disks; the image with its cloud-init is gone."""
    vm_id = pve.create()
    gateway = pve.gateway()
    gateway.get_vm(vm_id)
    pve.sandbox.set_config(vm_id, "protection", "1")
    with pytest.raises(ConflictError, match="protect"):
        gateway.delete_vm(vm_id)
    assert [vm.id for vm in pve.sandbox.vms()] == [int(vm_id)]
    assert [volume.content for volume in pve.sandbox.volumes()] == ["images"]


def test_delete_of_a_vm_that_became_a_template_since_it_was_shown_finds_none(pve: Pve) -> None:
    """Templates are never deleted."""
    vm_id = pve.create(start=False)
    gateway = pve.gateway()
    gateway.get_vm(vm_id)
    pve.stranger().done("POST", f"{QEMU}/{vm_id}/template")
    with pytest.raises(VMNotFoundError):
        gateway.delete_vm(vm_id)
    assert pve.sandbox.vm(int(vm_id)).config["template"] == "1"


def test_delete_of_a_vm_that_went_since_it_was_shown_finds_none(pve: Pve) -> None:
    """Another deletes it first."""
    vm_id = pve.create()
    gateway = pve.gateway()
    gateway.get_vm(vm_id)
    pve.gateway(BY_PASSWORD).delete_vm(vm_id)
    with pytest.raises(VMNotFoundError):
        gateway.delete_vm(vm_id)


@pytest.mark.parametrize("state", ["running", "stopped"])
def test_delete_of_a_locked_vm_is_a_conflict_before_anything_is_done(pve: Pve, state: str) -> None:
    """A backup is running: the lock is named, and the VM is whole."""
    vm_id = pve.create(start=state == "running")
    pve.sandbox.lock(vm_id, "backup")
    before = pve.made()
    with pytest.raises(ConflictError, match=r"locked \(backup\)"):
        pve.gateway().delete_vm(vm_id)
    assert (pve.made(), pve.sandbox.vm(vm_id).state) == (before, state)


def test_delete_of_a_vm_that_is_suspended_to_disk_leaves_nothing(pve: Pve) -> None:
    """It is locked for as long as nobody starts it, and Proxmox deletes it all the same."""
    vm_id = pve.create(start=False)
    pve.sandbox.lock(vm_id, "suspended")
    pve.gateway().delete_vm(vm_id)
    assert pve.made() == ([], [])


@pytest.mark.parametrize("verb", ["start", "stop", "stop by force", "restart", "restart by force"])
def test_verb_on_a_locked_vm_names_the_lock(pve: Pve, verb: str) -> None:
    """A conflict in PVE's own word."""
    (vm_id,) = pve.sandbox.seed(1, state="stopped" if verb == "start" else "running")
    pve.sandbox.lock(vm_id, "snapshot")
    with pytest.raises(ConflictError, match=r"VM is locked \(snapshot\)"):
        VERBS[verb](pve.gateway(), str(vm_id))


def test_delete_without_the_privilege_for_the_image_keeps_the_vm(pve: Pve) -> None:
    """What would be left behind can be removed by a second try."""
    vm_id = pve.create()
    denied = "Permission check failed (/storage/local, Datastore.Allocate)"
    pve.sandbox.faults.add(Fault(f"DELETE {STORAGE}/content/{{volume}}", status=403, message=denied))
    with pytest.raises(PermissionDeniedError, match=r"Datastore\.Allocate"):
        pve.gateway().delete_vm(vm_id)
    assert len(pve.sandbox.vms()) == 1
    pve.gateway().delete_vm(vm_id)
    assert pve.made() == ([], [])


@pytest.mark.parametrize("verb", VERBS)
def test_verb_on_a_template_finds_no_vm(pve: Pve, verb: str) -> None:
    """And does nothing to it."""
    before = pve.sandbox.vm(TEMPLATE_ID)
    assert_not_found(pve, verb, TEMPLATE_ID)
    assert pve.sandbox.vm(TEMPLATE_ID) == before
    assert TEMPLATE_ID not in {int(vm.id) for vm in pve.gateway().list_vms()}


@pytest.mark.parametrize("verb", VERBS)
def test_verb_on_a_container_finds_no_vm(pve: Pve, verb: str) -> None:
    """Containers have ids of the same kind, on either node."""
    pve.sandbox.seed_container(CONTAINER)
    pve.sandbox.seed_container(CONTAINER + 1, node="pve2")
    assert_not_found(pve, verb, CONTAINER)
    assert_not_found(pve, verb, CONTAINER + 1)
    assert pve.sandbox.containers() == (CONTAINER, CONTAINER + 1)
    assert pve.gateway().list_vms() == []


@pytest.mark.parametrize("verb", VERBS)
def test_verb_on_a_template_of_the_other_node_finds_no_vm(pve: Pve, verb: str) -> None:
    """The same where it has been moved to."""
    pve.sandbox.migrate(TEMPLATE_ID, "pve2")
    before = pve.sandbox.vm(TEMPLATE_ID)
    assert_not_found(pve, verb, TEMPLATE_ID)
    assert pve.sandbox.vm(TEMPLATE_ID) == before


def assert_not_found(pve: Pve, verb: str, vm_id: int) -> None:
    """There is no VM of this id."""
    with pytest.raises(VMNotFoundError):
        VERBS[verb](pve.gateway(), str(vm_id))


@pytest.mark.parametrize("verb", VERBS)
def test_verb_on_a_migrated_vm_finds_it_on_its_new_node(pve: Pve, verb: str) -> None:
    """Where the old node refuses at once, and where only its task fails."""
    (vm_id,) = pve.sandbox.seed(1, state="stopped" if verb == "start" else "running")
    pve.sandbox.migrate(vm_id, "pve2")
    VERBS[verb](pve.gateway(), str(vm_id))
    after = {
        "start": "running",
        "stop": "stopped",
        "stop by force": "stopped",
    }.get(verb, "running")
    if verb == "delete":
        assert pve.made() == ([], [])
        return
    assert (pve.sandbox.vm(vm_id).state, pve.sandbox.vm(vm_id).node) == (after, "pve2")
    assert pve.sandbox.vm(vm_id).boots == (2 if "restart" in verb else 1)


@pytest.mark.parametrize("just_shown", [True, False])
def test_delete_of_a_migrated_vm_removes_its_image_from_a_shared_storage(
    pve: Pve,
    just_shown: bool,  # noqa: FBT001 - pytest's
) -> None:
    """The new node reaches it, too."""
    gateway: Gateway = pve.gateway(options={"iso_storage": ("nfs",)})
    vm_id = pve.create(gateway=gateway)
    if just_shown:
        gateway.get_vm(vm_id)
    pve.sandbox.migrate(vm_id, "pve2")
    gateway.delete_vm(vm_id)
    assert pve.made() == ([], [])
    assert f"DELETE {VM}" in pve.operations()
