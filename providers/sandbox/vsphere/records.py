"""What tests see of VMs, files and tasks: frozen records of one moment."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from providers.sandbox.vsphere.inventory import Datastore, Folder, Node
from providers.sandbox.vsphere.machines import Machine
from providers.sandbox.vsphere.metadata import wire_name
from providers.sandbox.vsphere.tasks import Task
from providers.sandbox.vsphere.world import World

_GUESTINFO: Final = "guestinfo."


@dataclass(frozen=True)
class SimulatedDisk:
    """A VM's disk: its file, and how much it can hold."""

    file: str
    capacity_bytes: int
    is_thin: bool


@dataclass(frozen=True)
class SimulatedVM:
    """A VM or template. `power_state` is vSphere's own word; `folder` is the path of its folder below `vm`."""

    instance_uuid: str
    bios_uuid: str
    moid: str
    name: str
    power_state: str
    is_template: bool
    cpus: int
    memory_mib: int
    disks: tuple[SimulatedDisk, ...]
    networks: tuple[str, ...]
    macs: tuple[str, ...]
    guestinfo: Mapping[str, str]
    annotation: str
    addresses: tuple[str, ...]
    folder: str
    datacenter: str
    datastore: str
    host: str
    pool: str | None
    boots: int


@dataclass(frozen=True)
class SimulatedTask:
    """A task of a method such as `CloneVM_Task`; the error is the fault's type name."""

    moid: str
    method: str
    entity: str | None
    user: str
    state: str
    error: str | None


def machine_record(machine: Machine) -> SimulatedVM:
    """A VM as it is now."""
    return SimulatedVM(
        instance_uuid=machine.instance_uuid,
        bios_uuid=machine.bios_uuid,
        moid=machine.moid,
        name=machine.name,
        power_state=machine.power.value,
        is_template=machine.is_template,
        cpus=machine.cpus,
        memory_mib=machine.memory_mib,
        disks=tuple(_disks(machine)),
        networks=tuple(nic.network.name for nic in machine.nics),
        macs=tuple(nic.mac for nic in machine.nics),
        guestinfo=guestinfo(machine),
        annotation=machine.annotation,
        addresses=machine.addresses,
        folder=folder_path(machine),
        datacenter=machine.datacenter.name if machine.datacenter else "",
        datastore=machine.datastore.name,
        host=machine.host.name,
        pool=machine.pool.name if machine.pool else None,
        boots=machine.boots,
    )


def task_record(task: Task) -> SimulatedTask:
    """A task as it is now."""
    error = wire_name(type(task.error)) if task.error is not None else None
    return SimulatedTask(task.moid, task.method, task.entity_name, task.user, task.state.value, error)


def guestinfo(machine: Machine) -> Mapping[str, str]:
    """What the guest could read by `vmware-rpctool info-get guestinfo.…`, without that prefix."""
    extra = machine.extra.items()
    return MappingProxyType({key.removeprefix(_GUESTINFO): value for key, value in extra if key.startswith(_GUESTINFO)})


def folder_path(node: Node) -> str:
    """The path of a VM's folder below the datacenter's `vm`; empty for that one itself."""
    names = [above.name for above in node.above() if above is not node and isinstance(above, Folder)]
    return "/".join(reversed(names[:-2]))


def new_files(world: World) -> Iterator[str]:
    """All files and folders that came after the start; folders end in a slash."""
    for datastore in world.all(Datastore):
        for path, file in datastore.files.below(""):
            if not file.is_equipment:
                yield f"[{datastore.name}] {path}{'/' if file.is_folder else ''}"


def _disks(machine: Machine) -> Iterator[SimulatedDisk]:
    for disk in machine.disks:
        file = disk.file
        if file is not None:
            yield SimulatedDisk(disk.file_name, file.capacity_bytes or 0, file.is_thin)
