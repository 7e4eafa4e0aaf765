"""What is in place from the start, and VMs made without HTTP."""

from providers.sandbox.proxmox.cluster import NODES, Cluster
from providers.sandbox.proxmox.machines import Container, Machine
from providers.sandbox.proxmox.storages import GIB, Volume, qcow2

TEMPLATE_ID = 9000
TEMPLATE_BYTES = 8 * GIB
IMPORT_IMAGE = "local:import/debian-12.qcow2"
ISO_IMAGE = "local:iso/debian12.iso"
# A little of an ISO image: enough to be told as one (a volume descriptor after sixteen empty sectors).
ISO_DATA = bytes(16 * 2048) + b"\x01CD001\x01\x00".ljust(2048, b"\0")


def equip(cluster: Cluster) -> None:
    """An import image and an ISO on both nodes, a template on the first."""
    image = qcow2(TEMPLATE_BYTES)
    for node in NODES:
        cluster.storages.add(node, Volume(IMPORT_IMAGE, None, "import", "qcow2", len(image), data=image))
        cluster.storages.add(node, Volume(ISO_IMAGE, None, "iso", "iso", len(ISO_DATA), data=ISO_DATA))
    disk = f"local-lvm:base-{TEMPLATE_ID}-disk-0"
    cluster.storages.add(NODES[0], Volume(disk, None, "images", "raw", TEMPLATE_BYTES, TEMPLATE_ID))
    config = {
        "agent": "1",
        "boot": "order=scsi0",
        "cores": "1",
        "memory": "1024",
        "name": "debian-12",
        "net0": "virtio=BC:24:11:00:23:28,bridge=vmbr0",
        "ostype": "l26",
        "scsi0": f"{disk},size=8G",
        "scsihw": "virtio-scsi-single",
        "template": "1",
    }
    cluster.machines.all[TEMPLATE_ID] = Machine(TEMPLATE_ID, NODES[0], config)
    cluster.equipment = frozenset((volume.node, volume.id) for volume in cluster.storages.volumes())
    cluster.collect()


def seed_machine(cluster: Cluster, vm_id: int, name: str, node: str, *, agent: bool) -> Machine:
    """Make a stopped VM with a disk of 8 GiB and a network device."""
    disk = f"local-lvm:vm-{vm_id}-disk-0"
    cluster.storages.add(node, Volume(disk, None, "images", "raw", 8 * GIB, vm_id))
    config = {
        **({"agent": "1"} if agent else {}),
        "boot": "order=scsi0",
        "cores": "2",
        "memory": "2048",
        "name": name,
        "net0": f"virtio=BC:24:11:{vm_id >> 16 & 255:02X}:{vm_id >> 8 & 255:02X}:{vm_id & 255:02X},bridge=vmbr0",
        "ostype": "l26",
        "scsi0": f"{disk},size=8G",
        "scsihw": "virtio-scsi-single",
    }
    machine = Machine(vm_id, node, config)
    cluster.machines.all[vm_id] = machine
    return machine


def seed_container(cluster: Cluster, container: Container) -> None:
    """Make a container."""
    cluster.machines.containers[container.id] = container
