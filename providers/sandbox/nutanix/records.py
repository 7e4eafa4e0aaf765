"""What tests see of the simulator's state."""

from dataclasses import dataclass

from providers.sandbox.nutanix.machines import Machine
from providers.sandbox.nutanix.tasks import Task


@dataclass(frozen=True)
class SimulatedDisk:
    """A disk or a CD-ROM of a VM; `image` is the uuid of what it was cloned from."""

    uuid: str
    vm: str
    bus: str
    index: int
    size_bytes: int
    container: str
    image: str | None
    is_cdrom: bool


@dataclass(frozen=True)
class SimulatedVM:
    """A VM as the simulator knows it. `state` is ON, OFF, PAUSED or SUSPENDED; no host when it is off."""

    uuid: str
    name: str
    description: str
    state: str
    cluster: str
    host: str | None
    cpus: int
    memory_mib: int
    disks: tuple[SimulatedDisk, ...]
    macs: tuple[str, ...]
    subnets: tuple[str, ...]
    ip_addresses: tuple[str, ...]
    boots: int
    spec_version: int
    firmware: str


@dataclass(frozen=True)
class SimulatedTask:
    """A task; `kind` is create, update, delete, on, off, shutdown, …, `status` v4's word for how far it is."""

    uuid: str
    kind: str
    vm: str
    user: str
    status: str
    error: str | None


def vm_record(machine: Machine) -> SimulatedVM:
    """A VM's record."""
    spec = machine.spec
    return SimulatedVM(
        uuid=machine.uuid,
        name=machine.name,
        description=spec.description,
        state=machine.power.value,
        cluster=machine.cluster,
        host=machine.host,
        cpus=spec.sockets * spec.cores * spec.threads,
        memory_mib=machine.memory_mib,
        disks=disk_records(machine),
        macs=tuple(nic.mac for nic in machine.nics),
        subnets=tuple(nic.subnet for nic in machine.nics),
        ip_addresses=tuple(ip for nic in machine.nics if (ip := machine.ip_of(nic))),
        boots=machine.boots,
        spec_version=machine.spec_version,
        firmware=spec.firmware,
    )


def disk_records(machine: Machine) -> tuple[SimulatedDisk, ...]:
    """The records of a VM's disks."""
    return tuple(
        SimulatedDisk(
            disk.uuid, machine.uuid, disk.bus, disk.index, disk.size_bytes, disk.container, disk.image, disk.is_cdrom
        )
        for disk in machine.disks
    )


def task_record(task: Task) -> SimulatedTask:
    """A task's record."""
    error = task.trouble.detail if task.trouble else None
    return SimulatedTask(task.uuid, task.operation.value, task.subject, task.user, task.status.value, error)
