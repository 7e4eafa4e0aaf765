"""Making VMs: many at once, from each kind of image, on each PVE, with each kind of credentials."""

from __future__ import annotations

import pytest

from providers.credentials import Credentials
from providers.domain import OperatingSystem, StopMode, VMStatus
from providers.errors import UnprocessableError
from providers.gateway import Backends
from providers.sandbox.faults import Fault
from providers.sandbox.proxmox import IMPORT_IMAGE, ISO_IMAGE, TEMPLATE_ID
from tests.providers.proxmox.cluster import BY_PASSWORD, BY_TOKEN, IMAGES, QEMU, TASK, TEMPLATE_IMAGE, VM, Pve, spec
from tests.providers.proxmox.recorder import recording
from tests.providers.reached import NETWORK
from tests.support.limits import LIMITS
from tests.support.threads import at_once

MANY = 16


@pytest.mark.parametrize("image", [IMPORT_IMAGE, TEMPLATE_IMAGE])
def test_create_sixteen_at_once_gives_sixteen_vms(pve: Pve, image: str) -> None:
    """By two sessions, of a password and of a token, beside containers, where a clone's id is taken late."""
    for vm_id in (100, 103, 104):
        pve.sandbox.seed_container(vm_id)
    pve.sandbox.knobs.clone_window_seconds = 0.1
    other = Backends(NETWORK, LIMITS)

    def create(number: int) -> str:
        backends, credentials = (pve.backends, BY_TOKEN) if number % 2 else (other, BY_PASSWORD)
        gateway = pve.gateway(credentials, backends=backends, seconds=60)
        made = gateway.create_vm(spec(image, name=f"test{number}", start=False))
        return f"{made.vm_id} test{number}"

    made = at_once(MANY, create)
    other.close()
    assert sorted(made) == sorted(f"{vm.id} {vm.name}" for vm in pve.sandbox.vms())
    assert len({vm.id for vm in pve.sandbox.vms()} - {100, 103, 104}) == MANY
    assert len(pve.sandbox.volumes(content="images")) == MANY
    assert len(pve.sandbox.volumes(content="iso")) == MANY


def test_create_takes_the_lowest_id_that_is_free(pve: Pve) -> None:
    """Containers take ids, too."""
    pve.sandbox.seed_container(100)
    assert pve.create(start=False) == "101"


@pytest.mark.parametrize("version", ["7.4", "8.2", "9.0"])
def test_life_of_a_vm_ends_with_nothing_left(pve: Pve, version: str) -> None:
    """Made, started, stopped, deleted, with each kind of image and of credentials."""
    pve.sandbox.set_version(version)
    at_once(6, lambda number: live(pve, IMAGES[number % 3], (BY_PASSWORD, BY_TOKEN)[number // 3]))
    assert pve.made() == ([], [])


def live(pve: Pve, image: str, credentials: Credentials) -> None:
    """One life."""
    gateway = pve.gateway(credentials)
    vm_id = pve.create(image, gateway)
    assert pve.sandbox.vm(vm_id).state == "running"
    disks = [volume for volume in pve.sandbox.volumes(content="images") if str(volume.vm_id) == vm_id]
    assert [volume.size_bytes >> 30 for volume in disks] == [20]
    shown = gateway.get_vm(vm_id)
    assert (shown.status, shown.cpus, shown.memory_mib) == (VMStatus.RUNNING, 2, 4096)
    gateway.restart_vm(vm_id, StopMode.FORCE, 0)
    assert pve.sandbox.vm(vm_id).boots == 2
    gateway.stop_vm(vm_id, StopMode.FORCE, 0)
    assert pve.sandbox.vm(vm_id).state == "stopped"
    gateway.start_vm(vm_id)
    gateway.delete_vm(vm_id)


def test_create_with_an_installer_has_both_images_in_drives(pve: Pve) -> None:
    """The installer in ide2, cloud-init in ide3, and an empty disk before them in the boot order."""
    config = pve.sandbox.vm(pve.create(ISO_IMAGE)).config
    (seed,) = [volume.id for volume in pve.sandbox.volumes(content="iso")]
    assert config["ide2"].split(",")[:2] == [ISO_IMAGE, "media=cdrom"]
    assert config["ide3"].split(",")[:2] == [seed, "media=cdrom"]
    assert config["boot"] == "order=scsi0;ide2"


@pytest.mark.parametrize("gib", [4, 8])
@pytest.mark.parametrize("image", [IMPORT_IMAGE, TEMPLATE_IMAGE])
def test_create_from_an_image_that_is_large_enough_leaves_its_size(pve: Pve, image: str, gib: int) -> None:
    """What the machine type says is the least; PVE refuses to make a disk smaller."""
    pve.create(image, os=OperatingSystem("Linux", disk_gib=gib), start=False)
    assert [volume.size_bytes for volume in pve.sandbox.volumes(content="images")] == [8 << 30]


def test_create_on_pve_7_heeds_a_resize_that_answers_null(pve: Pve) -> None:
    """No task to wait for, and the disk has its size."""
    pve.sandbox.set_version("7.4")
    pve.create(start=False)
    assert f"PUT {VM}/resize" in pve.operations()
    assert pve.sandbox.tasks("resize") == ()
    assert [volume.size_bytes for volume in pve.sandbox.volumes(content="images")] == [20 << 30]


def test_create_without_anything_to_add_makes_few_calls(pve: Pve) -> None:
    """No size, no cloud-init, no start: an id, a VM, a poll of its task, and the mark that it is finished."""
    pve.create(os=OperatingSystem("Linux"), cloud_init=None, start=False)
    assert pve.operations() == ["GET /cluster/nextid", "POST /nodes/{node}/qemu", TASK, f"PUT {VM}/config"]


@pytest.mark.parametrize("kind", ["qmcreate", "qmstart", "imgcopy", "resize"])
def test_create_with_a_task_that_ends_in_warnings_is_a_success(pve: Pve, kind: str) -> None:
    """`WARNINGS: 1` is no failure."""
    pve.sandbox.end_next_task(kind, "WARNINGS: 1", work_done=True)
    vm_id = pve.create()
    assert pve.sandbox.vm(vm_id).state == "running"


def test_clone_whose_task_ends_in_warnings_is_a_success(pve: Pve) -> None:
    """The same for a clone."""
    pve.sandbox.end_next_task("qmclone", "WARNINGS: 2", work_done=True)
    assert pve.sandbox.vm(pve.create(TEMPLATE_IMAGE)).state == "running"


def test_clone_of_a_protected_template_can_be_deleted(pve: Pve) -> None:
    """PVE copies the protection of a template, which is the template's."""
    pve.sandbox.set_config(TEMPLATE_ID, "protection", "1")
    vm_id = pve.create(TEMPLATE_IMAGE)
    pve.gateway().delete_vm(vm_id)
    assert pve.made() == ([], [])


def test_clone_of_a_template_with_more_memory_than_is_wanted_is_made(pve: Pve) -> None:
    """Its balloon would leave more than there is; and all of its CPUs are the machine type's to say."""
    for name, value in {"memory": "8192", "balloon": "8192", "sockets": "4", "cores": "4", "vcpus": "9"}.items():
        pve.sandbox.set_config(TEMPLATE_ID, name, value)
    vm_id = pve.create(TEMPLATE_IMAGE)
    shown = pve.gateway().get_vm(vm_id)
    assert (shown.cpus, shown.memory_mib) == (2, 4096)


def test_clone_of_a_template_with_an_image_of_ours_has_one_cloud_init(pve: Pve) -> None:
    """A VM of ours that somebody made a template of: its clones have their own user data, and leave it its own."""
    vm_id = pve.create()
    pve.gateway().stop_vm(vm_id, StopMode.FORCE, 0)
    assert pve.stranger().done("POST", f"{QEMU}/{vm_id}/template") == "OK"
    (original,) = [volume.id for volume in pve.sandbox.volumes(content="iso")]
    clone = pve.create(f"template/{vm_id}", cloud_init=b"#cloud-config\n")
    drives = [value.split(",")[0] for value in pve.sandbox.vm(clone).config.values() if "media=cdrom" in value]
    assert len(drives) == 1
    assert drives != [original]
    pve.gateway().delete_vm(clone)
    assert [volume.id for volume in pve.sandbox.volumes(content="iso")] == [original]


@pytest.mark.parametrize("slot", ["ide2", "scsi1"])
def test_clone_of_a_template_with_a_cloud_init_drive_has_ours_in_its_place(pve: Pve, slot: str) -> None:
    """A guest that finds two takes either."""
    pve.stranger().data("PUT", f"{QEMU}/{TEMPLATE_ID}/config", **{slot: "local-lvm:cloudinit"})
    vm_id = pve.create(TEMPLATE_IMAGE)
    (seed,) = [volume.id for volume in pve.sandbox.volumes(content="iso")]
    drives = {name: value for name, value in pve.sandbox.vm(vm_id).config.items() if "media=cdrom" in value}
    assert [value.split(",")[0] for value in drives.values()] == [seed]
    assert not [volume.id for volume in pve.sandbox.volumes() if volume.id.endswith(f"vm-{vm_id}-cloudinit")]


def test_clone_of_a_template_with_two_cloud_inits_has_one(pve: Pve) -> None:
    """Proxmox's own, and one of ours that was left in when the template was made."""
    old = f"local:iso/cloudvm-{'0' * 32}.iso"
    pve.sandbox.add_volume(old, size_bytes=1 << 20)
    pve.sandbox.set_config(TEMPLATE_ID, "ide0", f"{old},media=cdrom,size=1M")
    pve.stranger().data("PUT", f"{QEMU}/{TEMPLATE_ID}/config", ide2="local-lvm:cloudinit")
    config = pve.sandbox.vm(pve.create(TEMPLATE_IMAGE)).config
    drives = [value.split(",")[0] for value in config.values() if "media=cdrom" in value]
    assert len(drives) == 1
    assert drives != [old]


def test_clone_of_a_protected_template_with_two_cloud_inits_has_one(pve: Pve) -> None:
    """PVE takes no drive from a protected VM, also where the same request ends its protection."""
    pve.stranger().data("PUT", f"{QEMU}/{TEMPLATE_ID}/config", ide2="local-lvm:cloudinit")
    old = f"local:iso/cloudvm-{'0' * 32}.iso"
    pve.sandbox.add_volume(old, size_bytes=1 << 20)
    pve.sandbox.set_config(TEMPLATE_ID, "ide0", f"{old},media=cdrom,size=1M")
    pve.sandbox.set_config(TEMPLATE_ID, "protection", "1")
    config = pve.sandbox.vm(pve.create(TEMPLATE_IMAGE)).config
    assert len([value for value in config.values() if "media=cdrom" in value]) == 1
    assert "protection" not in config


@pytest.mark.parametrize("image", [IMPORT_IMAGE, TEMPLATE_IMAGE])
def test_create_gives_the_network_and_the_cpu_of_the_environment(pve: Pve, image: str) -> None:
    """A bridge with a VLAN, and another type than the usual one."""
    gateway = pve.gateway(network_id="vmbr1,tag=20", options={"cpu_type": ("x86-64-v2-AES",)})
    config = pve.sandbox.vm(pve.create(image, gateway, start=False)).config
    model, *rest = config["net0"].split(",")
    assert (model.partition("=")[0], sorted(rest)) == ("virtio", ["bridge=vmbr1", "tag=20"])
    assert config["cpu"] == "x86-64-v2-AES"


@pytest.mark.parametrize(
    ("system", "ostype", "serial"), [("Linux", "l26", "socket"), ("Windows", "win11", None), ("BSD", "other", None)]
)
def test_create_suits_the_operating_system(pve: Pve, system: str, ostype: str, serial: str | None) -> None:
    """On the usual bridge, with the host's CPU and an agent expected."""
    config = pve.sandbox.vm(pve.create(os=OperatingSystem(system), start=False)).config
    assert (config["ostype"], config.get("serial0")) == (ostype, serial)
    assert (config["cpu"], config["agent"], config["scsihw"]) == ("host", "1", "virtio-scsi-single")
    assert config["net0"].endswith(",bridge=vmbr0")


def test_clone_without_cloud_init_leaves_the_image_of_its_template(pve: Pve) -> None:
    """It shares the template's image, which is not its own to remove."""
    vm_id = pve.create()
    pve.gateway().stop_vm(vm_id, StopMode.FORCE, 0)
    assert pve.stranger().done("POST", f"{QEMU}/{vm_id}/template") == "OK"
    clone = pve.create(f"template/{vm_id}", cloud_init=None)
    pve.gateway().delete_vm(clone)
    assert len(pve.sandbox.volumes(content="iso")) == 1


@pytest.mark.parametrize(("storage", "words"), [("local-lvm", "non-shared storage"), ("", "local storage")])
def test_clone_of_a_template_that_has_moved_away_is_unprocessable(pve: Pve, storage: str, words: str) -> None:
    """The session has looked at it before; on its new node it has local disks, which cannot be cloned to here."""
    gateway = pve.gateway(storage_external_id=storage)
    pve.create(TEMPLATE_IMAGE, gateway, start=False)
    pve.sandbox.migrate(TEMPLATE_ID, "pve2")
    with pytest.raises(UnprocessableError, match=words):
        pve.create(TEMPLATE_IMAGE, gateway, start=False)
    assert len(pve.sandbox.vms()) == 1


@pytest.mark.parametrize("node", ["pve", "pve2"])
def test_clone_whose_id_another_guest_of_the_cluster_has_takes_another(pve: Pve, node: str) -> None:
    """A clone looks for VMs of its own node alone before it begins; the cluster's file system minds all of them."""
    pve.sandbox.seed_container(100, node=node)
    pve.sandbox.faults.add(Fault("GET /cluster/nextid", body=b'{"data":"100"}', content_type="application/json"))
    vm_id = pve.create(TEMPLATE_IMAGE, start=False)
    assert [str(vm.id) for vm in pve.sandbox.vms()] == [vm_id]
    assert [task.exit_status for task in pve.sandbox.tasks("qmclone")] == [
        "close (rename) atomic file '/etc/pve/nodes/pve/qemu-server/100.conf' failed: File exists",
        "OK",
    ]


@pytest.mark.parametrize("image", [IMPORT_IMAGE, TEMPLATE_IMAGE])
def test_create_whose_id_is_in_the_making_by_others_takes_another(pve: Pve, image: str) -> None:
    """PVE does not say that there is a VM, but that it has waited for it in vain."""
    pve.sandbox.knobs.task_seconds = 30.0
    upid = pve.stranger().data("POST", QEMU, vmid=100, name="slow", scsi0="local-lvm:1")
    pve.sandbox.knobs.task_seconds = 0.02
    pve.sandbox.faults.add(Fault("GET /cluster/nextid", body=b'{"data":"100"}', content_type="application/json"))
    vm_id = pve.create(image, start=False)
    assert {vm.name for vm in pve.sandbox.vms() if str(vm.id) == vm_id} == {"test1"}
    assert upid in [task.upid for task in pve.sandbox.tasks("qmcreate") if task.exit_status is None]


def test_clone_of_a_template_that_is_gone_is_unprocessable(pve: Pve) -> None:
    """It was there when the session first used it: the caller's VM is not what was not found."""
    pve.create(TEMPLATE_IMAGE, start=False)
    stranger = pve.stranger()
    assert stranger.done("DELETE", f"{QEMU}/{TEMPLATE_ID}") == "OK"
    with pytest.raises(UnprocessableError, match=str(TEMPLATE_ID)):
        pve.create(TEMPLATE_IMAGE, start=False)


def test_clone_of_a_template_that_was_built_anew_is_made_at_the_second_try(pve: Pve) -> None:
    """The session knows the old one, with other drives: one create fails, and the next looks at the new one."""
    pve.create(TEMPLATE_IMAGE, start=False)
    stranger = pve.stranger()
    assert stranger.done("DELETE", f"{QEMU}/{TEMPLATE_ID}") == "OK"
    assert stranger.done("POST", QEMU, vmid=TEMPLATE_ID, name="anew", virtio0="local-lvm:8", memory=512) == "OK"
    assert stranger.done("POST", f"{QEMU}/{TEMPLATE_ID}/template") == "OK"
    with pytest.raises(UnprocessableError, match="scsi0"):
        pve.create(TEMPLATE_IMAGE)
    vm_id = pve.create(TEMPLATE_IMAGE)
    assert "size=20G" in pve.sandbox.vm(vm_id).config["virtio0"]


@pytest.mark.parametrize(
    ("storage", "wanted"), [("storage/pve/local-lvm", {"full": "1", "storage": "local-lvm"}), ("", {})]
)
def test_clone_is_full_where_a_storage_is_named_and_linked_elsewhere(
    pve: Pve, storage: str, wanted: dict[str, str]
) -> None:
    """A linked one lies with its template."""
    with recording(pve) as record:
        pve.create(TEMPLATE_IMAGE, record.pve.gateway(storage_external_id=storage), start=False)
    (cloned,) = [request.parameters for request in record.requests if request.path.endswith("/clone")]
    assert {name: value for name, value in cloned.items() if name in {"full", "storage"}} == wanted


@pytest.mark.parametrize(("gib", "wanted"), [(None, 32), (50, 50)])
def test_create_with_an_installer_has_an_empty_disk_of_a_size(pve: Pve, gib: int | None, wanted: int) -> None:
    """Its own, or the usual one."""
    pve.create(ISO_IMAGE, os=OperatingSystem("Linux", disk_gib=gib), start=False)
    assert [volume.size_bytes for volume in pve.sandbox.volumes(content="images")] == [wanted << 30]


@pytest.mark.parametrize("image", ["template/4711", "4711"])
def test_clone_of_a_template_that_never_was_is_unprocessable(pve: Pve, image: str) -> None:
    """Before anything is made."""
    with pytest.raises(UnprocessableError, match="4711"):
        pve.create(image)
    assert pve.made() == ([], [])


def test_clone_of_a_template_on_the_other_node_comes_to_ours(pve: Pve) -> None:
    """Where its disks are on a storage that both nodes have."""
    stranger = pve.stranger()
    stranger.done("POST", "/nodes/pve2/qemu", vmid=9100, name="shared", scsi0="nfs:8", memory=512)
    assert stranger.done("POST", "/nodes/pve2/qemu/9100/template") == "OK"
    gateway = pve.gateway(storage_external_id="")
    vm_id = pve.create("template/9100", gateway)
    assert (pve.sandbox.vm(vm_id).node, pve.sandbox.vm(vm_id).state) == ("pve", "running")
    gateway.delete_vm(vm_id)
    assert [vm.id for vm in pve.sandbox.vms()] == []
