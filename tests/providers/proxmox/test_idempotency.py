"""Creates with an Idempotency-Key: one VM, whatever happens between two tries."""

from __future__ import annotations

import pytest

from providers.domain import StopMode
from providers.sandbox.faults import Fault
from providers.sandbox.proxmox import IMPORT_IMAGE, TEMPLATE_ID
from tests.providers.proxmox.cluster import QEMU, TEMPLATE_IMAGE, VMS, Pve
from tests.providers.proxmox.images import meta_data, user_data
from tests.providers.reached import USER_DATA
from tests.support.threads import at_once

KEY = "order-4711"
NETWORK = "virtio,bridge=vmbr0"


def seed_of(pve: Pve, vm_id: str) -> bytes:
    """The image with cloud-init in a VM's drive."""
    drives = [value.split(",")[0] for value in pve.sandbox.vm(vm_id).config.values() if "media=cdrom" in value]
    (image,) = [pve.sandbox.data(drive) for drive in drives]
    assert image is not None, drives
    return image


def test_create_repeated_at_once_before_a_clone_has_its_id_makes_one_vm(pve: Pve) -> None:
    """A clone takes its id in its task. One VM runs, with one disk and one cloud-init image."""
    pve.sandbox.knobs.clone_window_seconds = 0.1
    made = at_once(8, lambda _: pve.create(TEMPLATE_IMAGE, key=KEY))
    assert {str(vm.id) for vm in pve.sandbox.vms()} == set(made)
    assert [vm.state for vm in pve.sandbox.vms()] == ["running"]
    assert len(pve.sandbox.volumes(content="iso")) == len(pve.sandbox.volumes(content="images")) == 1
    assert user_data(seed_of(pve, made[0])) == USER_DATA


def test_create_repeated_while_the_first_try_uploads_keeps_its_identity(pve: Pve) -> None:
    """A guest that finds another instance-id at its next boot takes itself for a new one, and runs everything again."""
    first = pve.create(key=KEY)
    told = meta_data(seed_of(pve, first))
    pve.gateway().delete_vm(first)
    again = pve.create(key=KEY)
    assert (again, meta_data(seed_of(pve, again))) == (first, told)


def test_create_without_a_key_has_an_identity_of_its_own(pve: Pve) -> None:
    """No two VMs are the same instance."""
    told = {meta_data(seed_of(pve, pve.create(start=False)))["instance-id"] for _ in range(2)}
    assert len(told) == 2


def half_way(pve: Pve, image: str) -> tuple[str, str, str, bytes]:
    """The id, the notes and the image of a try, with its name; nothing of it is left."""
    vm_id = pve.create(image, key=KEY)
    notes = pve.sandbox.vm(vm_id).config["description"]
    (iso,) = [volume.id for volume in pve.sandbox.volumes(content="iso")]
    content = seed_of(pve, vm_id)
    pve.gateway().delete_vm(vm_id)
    assert pve.made() == ([], [])
    return vm_id, notes, iso, content


def make_again(pve: Pve, image: str, vm_id: str, notes: str, iso: str) -> None:
    """What the first step of a try makes, as the try would have asked for it."""
    stranger = pve.stranger()
    if image is TEMPLATE_IMAGE:
        path = f"{QEMU}/{TEMPLATE_ID}/clone"
        assert stranger.done("POST", path, newid=vm_id, name="test1", description=notes, full=1) == "OK"
        return
    options = {"scsi0": f"local-lvm:0,import-from={IMPORT_IMAGE}", "ide2": f"{iso},media=cdrom", "net0": NETWORK}
    made = stranger.done("POST", QEMU, vmid=vm_id, name="test1", memory=4096, cores=2, description=notes, **options)
    assert made == "OK"


@pytest.mark.parametrize("has_image", [True, False], ids=["with its image", "without its image"])
@pytest.mark.parametrize("image", [IMPORT_IMAGE, TEMPLATE_IMAGE])
def test_create_repeated_after_a_crash_half_way_completes_the_vm(pve: Pve, image: str, has_image: bool) -> None:  # noqa: FBT001 - pytest's
    """The process ended after the first step, or in the course of its clean-up."""
    vm_id, notes, iso, content = half_way(pve, image)
    pve.sandbox.add_volume(iso, size_bytes=len(content), data=content)
    make_again(pve, image, vm_id, notes, iso)
    if not has_image:
        pve.stranger().done("DELETE", f"/nodes/pve/storage/local/content/{iso}")
    assert pve.create(image, key=KEY) == vm_id
    vm = pve.sandbox.vm(vm_id)
    assert (vm.state, vm.config["cores"], vm.config["memory"]) == ("running", "2", "4096")
    assert [volume.size_bytes for volume in pve.sandbox.volumes(content="images")] == [20 << 30]
    assert user_data(seed_of(pve, vm_id)) == USER_DATA
    assert (seed_of(pve, vm_id) == content) or not has_image
    pve.gateway().delete_vm(vm_id)
    assert pve.made() == ([], [])


def test_create_repeated_of_a_vm_in_use_changes_nothing(pve: Pve) -> None:
    """The first try had made it, and its user has gone on with it."""
    vm_id = pve.create(TEMPLATE_IMAGE, key=KEY)
    pve.sandbox.set_config(vm_id, "cores", "8")
    before = seed_of(pve, vm_id)
    boots = pve.sandbox.vm(vm_id).boots
    assert pve.create(TEMPLATE_IMAGE, key=KEY) == vm_id
    assert (seed_of(pve, vm_id), pve.sandbox.vm(vm_id).boots) == (before, boots)


def test_create_whose_id_is_a_strangers_takes_another(pve: Pve) -> None:
    """The id follows from the key, and somebody has it already; a repetition finds the other one."""
    vm_id, *_ = half_way(pve, IMPORT_IMAGE)
    assert pve.stranger().done("POST", QEMU, vmid=vm_id, name="theirs") == "OK"
    made = pve.create(key=KEY)
    assert made != vm_id
    assert pve.create(key=KEY) == made
    assert pve.sandbox.vm(vm_id).name == "theirs"
    assert len(pve.sandbox.vms()) == 2


def test_create_whose_id_is_a_containers_takes_another(pve: Pve) -> None:
    """The same for a container."""
    vm_id, *_ = half_way(pve, IMPORT_IMAGE)
    pve.sandbox.seed_container(int(vm_id))
    assert pve.create(key=KEY) != vm_id


@pytest.mark.parametrize("start", [True, False])
def test_create_repeated_after_a_migration_finds_the_vm(pve: Pve, start: bool) -> None:  # noqa: FBT001 - pytest's
    """On its new node."""
    vm_id = pve.create(key=KEY, start=start)
    pve.sandbox.migrate(vm_id, "pve2")
    assert pve.create(key=KEY, start=start) == vm_id
    assert [(str(vm.id), vm.node) for vm in pve.sandbox.vms()] == [(vm_id, "pve2")]


def test_create_that_fails_beside_another_try_leaves_the_others_image(pve: Pve) -> None:
    """Both have uploaded it; the one that failed must not take it away from the other's VM."""
    pve.sandbox.faults.add(Fault(f"POST {VMS}", status=500, message="internal error", skip=1))
    pve.sandbox.faults.add(Fault("GET /cluster/nextid", delay_seconds=0.1, times=2))

    def attempt(_: int) -> str:
        try:
            return pve.create(key=KEY)
        except Exception as error:  # noqa: BLE001 - looked at below
            return type(error).__name__

    made = at_once(2, attempt)
    (vm,) = pve.sandbox.vms()
    assert str(vm.id) in made
    assert user_data(seed_of(pve, str(vm.id))) == USER_DATA
    pve.gateway().stop_vm(str(vm.id), StopMode.FORCE, 0)
    pve.gateway().start_vm(str(vm.id))
