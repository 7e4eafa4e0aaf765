"""Creates with an Idempotency-Key: one VM, whatever happens between two tries."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

from providers.domain import StopMode
from providers.errors import ConflictError, ProviderError
from providers.sandbox.faults import Fault
from providers.sandbox.proxmox import IMPORT_IMAGE
from tests.providers.proxmox.cluster import QEMU, STORAGE, TEMPLATE_IMAGE, VM, VMS, Pve, spec
from tests.providers.proxmox.images import meta_data, user_data
from tests.providers.reached import AT_ONCE, USER_DATA
from tests.support.threads import at_once
from tests.support.waiting import wait_until

KEY = "order-4711"
RESIZE, CONFIGURE = f"PUT {VM}/resize", f"PUT {VM}/config"
REMOVE_VM, REMOVE_VOLUME = f"DELETE {VM}", f"DELETE {STORAGE}/content/{{volume}}"
LATER_STEPS = (RESIZE, CONFIGURE, f"POST {VM}/status/start")
STEPS = {
    IMPORT_IMAGE: (f"POST {STORAGE}/upload", f"POST {VMS}", *LATER_STEPS),
    TEMPLATE_IMAGE: (f"POST {STORAGE}/upload", f"POST {VM}/clone", *LATER_STEPS),
}
# A call that gets no answer would be sent again at once.
LOST = Fault(status=500, message="internal error", after=True)


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


def left_behind(pve: Pve, image: str, fault: Fault, *, with_image: bool = True, **fields: Any) -> None:
    """Let a create fail at a call and leave everything as it is then, like a process that was killed."""
    pve.sandbox.faults.add(fault)
    removals = (REMOVE_VM, REMOVE_VOLUME) if with_image else (REMOVE_VM,)
    for operation in removals:
        pve.sandbox.faults.add(Fault(operation, status=403, message="Permission check failed (/, none)", times=None))
    with pytest.raises(ProviderError):
        pve.create(image, key=KEY, **fields)
    pve.sandbox.faults.clear()


@pytest.mark.parametrize("fault", [Fault(status=403, message="Permission check failed (/, none)"), LOST])
@pytest.mark.parametrize("with_image", [True, False], ids=["with its image", "without its image"])
@pytest.mark.parametrize(("image", "step"), [(image, step) for image in STEPS for step in STEPS[image]])
def test_create_repeated_after_a_crash_at_a_step_completes_the_vm(
    pve: Pve,
    image: str,
    step: str,
    with_image: bool,  # noqa: FBT001 - pytest's
    fault: Fault,
) -> None:
    """The process ended at a call, or in the course of its clean-up: one VM runs, with its size and cloud-init."""
    left_behind(pve, image, replace(fault, operation=step), with_image=with_image)
    vm_id = pve.create(image, key=KEY)
    (vm,) = pve.sandbox.vms()
    assert (str(vm.id), vm.state, vm.config["cores"], vm.config["memory"]) == (vm_id, "running", "2", "4096")
    assert "unfinished" not in vm.config["description"]
    assert [volume.size_bytes for volume in pve.sandbox.volumes(content="images")] == [20 << 30]
    assert len(pve.sandbox.volumes(content="iso")) == 1
    assert user_data(seed_of(pve, vm_id)) == USER_DATA
    pve.gateway().delete_vm(vm_id)
    assert pve.made() == ([], [])


@pytest.mark.parametrize("image", STEPS)
def test_create_without_start_repeated_after_a_crash_is_complete_and_stopped(pve: Pve, image: str) -> None:
    """The last step is the mark that the VM is finished."""
    left_behind(pve, image, replace(LOST, operation=CONFIGURE, after=False), start=False)
    vm_id = pve.create(image, key=KEY, start=False)
    (vm,) = pve.sandbox.vms()
    assert (str(vm.id), vm.state, vm.config["cores"], vm.boots) == (vm_id, "stopped", "2", 0)
    assert "unfinished" not in vm.config["description"]


def test_create_repeated_keeps_what_people_wrote_into_the_notes(pve: Pve) -> None:
    """Only our line changes."""
    left_behind(pve, IMPORT_IMAGE, Fault(CONFIGURE, status=500, message="internal error"))
    (vm,) = pve.sandbox.vms()
    pve.sandbox.set_config(vm.id, "description", f"Ask Ann first.\n{vm.config['description']}\n")
    pve.create(key=KEY)
    notes = pve.sandbox.vm(vm.id).config["description"]
    assert notes.startswith("Ask Ann first.\n{")
    assert "unfinished" not in notes


@pytest.mark.parametrize("image", STEPS)
@pytest.mark.parametrize("fields", [{}, {"cloud_init": None}], ids=["known by its image", "known by its name"])
def test_create_repeated_after_its_mark_was_edited_out_of_the_notes_finds_the_vm(
    pve: Pve, image: str, fields: dict[str, Any]
) -> None:
    """A lost mark proves nothing: no second VM, and no other content."""
    vm_id = pve.create(image, key=KEY, **fields)
    pve.sandbox.set_config(vm_id, "description", "the shop's web server")
    if not fields:
        pve.sandbox.set_config(vm_id, "name", "renamed")
    assert pve.create(image, key=KEY, **fields) == vm_id
    assert [str(vm.id) for vm in pve.sandbox.vms()] == [vm_id]


def test_create_repeated_after_its_digest_was_lost_finds_the_vm(pve: Pve) -> None:
    """Only a digest that is there and differs tells of other content."""
    vm_id = pve.create(key=KEY)
    notes = json.loads(pve.sandbox.vm(vm_id).config["description"])
    del notes["cloudvm"]["request_digest"]
    pve.sandbox.set_config(vm_id, "description", json.dumps(notes))
    assert pve.create(key=KEY) == vm_id


def test_create_repeated_while_its_vm_is_being_removed_makes_it_again(pve: Pve) -> None:
    """A removal whose answer was lost goes on; nothing but a lock is left of the VM at its end."""
    vm_id = pve.create(key=KEY)
    pve.sandbox.set_state(vm_id, "stopped")
    pve.sandbox.knobs.purge_seconds = 1.0
    assert pve.stranger().call("DELETE", f"{QEMU}/{vm_id}").status_code == 200
    wait_until(lambda: pve.sandbox.vm(vm_id).config == {"lock": "destroyed"}, pause=0.01)
    assert pve.create(key=KEY) == vm_id
    assert [(str(vm.id), vm.state) for vm in pve.sandbox.vms()] == [(vm_id, "running")]


def test_create_repeated_whose_vm_goes_in_the_middle_makes_it_again(pve: Pve) -> None:
    """The clean-up of the first try removes the VM that the second is completing."""
    left_behind(pve, IMPORT_IMAGE, Fault(RESIZE, status=500, message="internal error"))
    (vm,) = pve.sandbox.vms()
    pve.sandbox.faults.add(Fault(CONFIGURE, delay_seconds=0.5, skip=1))
    pve.sandbox.calls.clear()
    with ThreadPoolExecutor(1) as pool:
        second = pool.submit(pve.create, key=KEY)
        wait_until(lambda: RESIZE in pve.operations())
        pve.rest()
        assert pve.stranger().done("DELETE", f"{QEMU}/{vm.id}") == "OK"
        assert second.result() == str(vm.id)
    assert [(one.id, one.state) for one in pve.sandbox.vms()] == [(vm.id, "running")]


def test_create_whose_vm_is_removed_while_it_starts_is_a_conflict(pve: Pve) -> None:
    """No create ends in `vm_not_found`."""
    pve.sandbox.knobs.task_seconds = 0.3
    accepted = pve.gateway().create_vm(spec(), AT_ONCE)
    pve.rest()
    pve.sandbox.set_state(accepted.vm_id or "", "stopped")
    assert pve.stranger().done("DELETE", f"{QEMU}/{accepted.vm_id}") == "OK"
    ended = pve.gateway().poll(accepted)
    assert isinstance(ended.failure, ConflictError)


def keyed_id(pve: Pve) -> str:
    """The id that follows from the key; nothing is left of the VM that had it."""
    vm_id = pve.create(key=KEY)
    pve.gateway().delete_vm(vm_id)
    return vm_id


def test_create_repeated_of_a_vm_in_use_changes_nothing(pve: Pve) -> None:
    """The first try had made it, and its user has gone on with it. Only our note tells of the retry."""
    vm_id = pve.create(TEMPLATE_IMAGE, key=KEY)
    pve.sandbox.set_config(vm_id, "cores", "8")
    before = pve.sandbox.vm(vm_id)
    assert pve.create(TEMPLATE_IMAGE, key=KEY) == vm_id
    after = pve.sandbox.vm(vm_id)
    assert replace(after, config={**after.config, "description": before.config["description"]}) == before


def test_create_repeated_of_a_vm_whose_drive_was_emptied_uploads_nothing(pve: Pve) -> None:
    """Its user has no use for the image any more."""
    vm_id = pve.create(key=KEY)
    (iso,) = [volume.id for volume in pve.sandbox.volumes(content="iso")]
    pve.sandbox.set_config(vm_id, "ide2", "none,media=cdrom")
    assert pve.stranger().done("DELETE", f"/nodes/pve/storage/local/content/{iso}") == "OK"
    assert pve.create(key=KEY) == vm_id
    assert pve.sandbox.volumes(content="iso") == ()


def test_create_whose_id_is_a_strangers_takes_another(pve: Pve) -> None:
    """The id follows from the key, and somebody has it already; a repetition finds the other one."""
    vm_id = keyed_id(pve)
    assert pve.stranger().done("POST", QEMU, vmid=vm_id, name="theirs") == "OK"
    made = pve.create(key=KEY)
    assert made != vm_id
    assert pve.create(key=KEY) == made
    assert pve.sandbox.vm(vm_id).name == "theirs"
    assert len(pve.sandbox.vms()) == 2


def test_create_whose_id_is_a_containers_takes_another(pve: Pve) -> None:
    """The same for a container."""
    vm_id = keyed_id(pve)
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
