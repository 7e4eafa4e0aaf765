"""The files of the disks that device changes add: made anew, or those that there are."""

import uuid
from typing import Any

from providers.sandbox.vsphere.device_plans import Plan, invalid_device
from providers.sandbox.vsphere.files import DatastorePath, File
from providers.sandbox.vsphere.inventory import Datacenter, Datastore
from providers.sandbox.vsphere.machines import Machine
from providers.sandbox.vsphere.refusals import refusal
from providers.sandbox.vsphere.world import World


def capacity_of(device: Any) -> int:
    """The capacity that a disk's specification asks for, in bytes; bytes go before KiB."""
    return int(device.capacityInBytes or 0) or int(device.capacityInKB or 0) * 1024


class DiskFiles:
    """Finds and plans the files of one VM's disks."""

    def __init__(self, world: World, datacenter: Datacenter | None, machine: Machine, plan: Plan) -> None:
        self._world = world
        self._datacenter = datacenter
        self._machine = machine
        self._plan = plan

    def make(self, index: int, device: Any) -> tuple[Datastore, str]:
        """Plan a new disk's file, at the path that it names or in the VM's folder."""
        datastore, path = self._new(device.backing)
        capacity = capacity_of(device)
        if capacity <= 0:
            raise invalid_device(index, "capacityInKB")
        is_thin = bool(getattr(device.backing, "thinProvisioned", None))
        file = File(0 if is_thin else capacity, capacity, is_thin=is_thin, uuid=str(uuid.uuid4()))
        self._plan.made.append((datastore, path, file))
        return datastore, path

    def attach(self, backing: Any) -> tuple[Datastore, str]:
        """The file that a disk names; raises FileNotFound."""
        named = DatastorePath.parse(backing.fileName)
        datastore = self._world.datastore(self._datacenter, named.datastore)
        file = datastore.files.find(named.path)
        if file is None or not file.is_disk:
            raise refusal("FileNotFound", file=str(named))
        return datastore, named.path

    def free_path(self, datastore: Datastore) -> str:
        """A path for a new disk in the VM's folder: `name.vmdk`, `name_1.vmdk` and so on."""
        folder = self._machine.folder_path
        stem = f"{folder}/{folder.rpartition('/')[2]}" if folder else self._machine.name
        taken = {path for made_on, path, _ in self._plan.made if made_on is datastore}
        number, path = 0, f"{stem}.vmdk"
        while path in taken or datastore.files.find(path) is not None:
            number += 1
            path = f"{stem}_{number}.vmdk"
        return path

    def _new(self, backing: Any) -> tuple[Datastore, str]:
        named = DatastorePath.parse(backing.fileName) if backing.fileName else None
        datastore = self._machine.datastore
        if named is not None:
            datastore = self._world.datastore(self._datacenter, named.datastore)
        if named is None or not named.path:
            return datastore, self.free_path(datastore)
        if datastore.files.find(named.path) is not None:
            raise refusal("FileAlreadyExists", file=str(named))
        return datastore, named.path
