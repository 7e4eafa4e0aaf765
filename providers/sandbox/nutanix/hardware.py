"""Making a VM's parts: disks are cloned from images, NICs get addresses, and what does not exist is missed."""

import itertools
import uuid
from collections.abc import Iterable, Sequence

from providers.sandbox.nutanix.estate import Estate
from providers.sandbox.nutanix.inventory import Image
from providers.sandbox.nutanix.machines import Disk, DiskSpec, Guest, Machine, MachineSpec, Nic, NicSpec
from providers.sandbox.nutanix.refusals import NoSuchEntityError, TaskFailure, Trouble, missing, no_space

MAC_PREFIX = "50:6b:8d"


class Hardware:
    """Makes disks, NICs and whole VMs."""

    def __init__(self, estate: Estate) -> None:
        self._estate = estate
        self._macs = itertools.count(1)

    def verify(self, spec: MachineSpec) -> None:
        """Refuse a VM of which some part is not there; v2.0 says so before there is a task."""
        inventory = self._estate.inventory
        for disk in spec.disks:
            if disk.source is not None and self._size_of(disk.source) is None:
                raise NoSuchEntityError("vmdisk", disk.source)
            if disk.container is not None and disk.container not in inventory.containers:
                raise NoSuchEntityError("storage_container", disk.container)
        for nic in spec.nics:
            if nic.subnet not in inventory.subnets:
                raise NoSuchEntityError("network", nic.subnet)

    def build(self, machine_id: str, spec: MachineSpec) -> Machine:
        """Make a VM of all its parts."""
        machine = Machine(machine_id, spec, guest=Guest())
        if spec.cluster not in self._estate.inventory.clusters:
            raise missing("cluster", spec.cluster)
        for nic in spec.nics:
            machine.nics.append(self.make_nic(nic, spec.cluster))
        try:
            for disk in spec.disks:
                machine.disks.append(self.make_disk(disk, spec.cluster, machine.disks))
        except TaskFailure:
            self.release(machine.disks)
            raise
        self._learn_address(machine)
        return machine

    def make_disk(self, spec: DiskSpec, cluster: str, others: Sequence[Disk]) -> Disk:
        """Make one disk, cloned or empty."""
        inventory = self._estate.inventory
        container = spec.container or inventory.container_of(cluster).uuid
        if container not in inventory.containers:
            raise missing("storage_container", container)
        image = self._image(spec)
        size = max(spec.size_bytes or 0, self._source_size(spec))
        self._take_space(size)
        index = spec.index if spec.index is not None else _free_index(spec.bus, others)
        if any((disk.bus, disk.index) == (spec.bus, index) for disk in others):
            detail = f"InvalidArgument: Disk address {spec.bus.lower()}.{index} is in use"
            raise TaskFailure(Trouble(detail, 7, "VMM-30204", "VM_DISK_ADDRESS_IN_USE"))
        is_empty = spec.is_cdrom and not size
        source = image.uuid if image else spec.source
        return Disk(str(uuid.uuid4()), spec.bus, index, size, container, source, spec.is_cdrom, is_empty)

    def make_nic(self, spec: NicSpec, cluster: str) -> Nic:
        """Make one NIC; a managed subnet gives it an address."""
        subnet = self._estate.inventory.subnets.get(spec.subnet)
        if subnet is None or subnet.cluster != cluster:
            raise missing("subnet", spec.subnet)
        ip = (spec.ip or subnet.next_address()) if subnet.is_managed and spec.wants_ip else None
        return Nic(str(uuid.uuid4()), spec.mac or self.next_mac(), subnet.uuid, ip, spec.is_connected)

    def next_mac(self) -> str:
        """A MAC address that nobody has had yet."""
        number = next(self._macs)
        return f"{MAC_PREFIX}:{number >> 16 & 255:02x}:{number >> 8 & 255:02x}:{number & 255:02x}"

    def release(self, disks: Iterable[Disk]) -> None:
        """Give the space of disks back."""
        if self._estate.knobs.free_disk_bytes is not None:
            self._estate.knobs.free_disk_bytes += sum(disk.size_bytes for disk in disks)

    def _learn_address(self, machine: Machine) -> None:
        if machine.nics:
            subnet = self._estate.inventory.subnets[machine.nics[0].subnet]
            machine.guest.learned_ip = None if subnet.is_managed else subnet.next_address()

    def _image(self, spec: DiskSpec) -> Image | None:
        image = self._estate.inventory.image_of(spec.source) if spec.source else None
        if image and image.uuid in self._estate.inventory.broken_images:
            detail = f"Error: failed to clone vmdisk {image.disk_uuid}: kNfsError"
            raise TaskFailure(Trouble(detail, 3, "VMM-30205", "VM_DISK_CLONE_FAILED"))
        return image

    def _source_size(self, spec: DiskSpec) -> int:
        size = self._size_of(spec.source) if spec.source else 0
        if size is None:
            raise missing("image", str(spec.source))
        return size

    def _size_of(self, source: str) -> int | None:
        image = self._estate.inventory.image_of(source)
        if image is not None:
            return image.size_bytes
        disks = (disk for machine in self._estate.machines.values() for disk in machine.disks)
        return next((disk.size_bytes for disk in disks if disk.uuid == source), None)

    def _take_space(self, size: int) -> None:
        knobs = self._estate.knobs
        if knobs.free_disk_bytes is None:
            return
        if size > knobs.free_disk_bytes:
            raise no_space()
        knobs.free_disk_bytes -= size


def _free_index(bus: str, others: Sequence[Disk]) -> int:
    taken = {disk.index for disk in others if disk.bus == bus}
    return next(index for index in itertools.count() if index not in taken)
