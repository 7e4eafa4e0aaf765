"""What tests see of the simulator's state: copies that nothing changes."""

from collections.abc import Mapping
from dataclasses import dataclass

from providers.sandbox.azure import ids
from providers.sandbox.azure.operations import Operation
from providers.sandbox.azure.resources import VM, Cloud, Disk, Nic


@dataclass(frozen=True)
class SimulatedVM:
    """A VM as the simulator knows it; `power` is Azure's own word, None before it has been placed."""

    id: str
    name: str
    group: str
    location: str
    size: str
    power: str | None
    provisioning: str
    tags: Mapping[str, str]
    addresses: tuple[str, ...]
    computer_name: str
    admin_username: str
    disk_gib: int
    boots: int


@dataclass(frozen=True)
class SimulatedNic:
    """A network interface; no VM when it is free, or has leaked."""

    id: str
    name: str
    vm: str | None
    address: str


@dataclass(frozen=True)
class SimulatedDisk:
    """A disk; no VM when it is free, or has leaked."""

    id: str
    name: str
    vm: str | None
    size_gib: int


@dataclass(frozen=True)
class SimulatedOperation:
    """An operation: the call that began it, and ARM's word for where it stands."""

    id: str
    kind: str
    status: str
    code: str | None


def record_vm(cloud: Cloud, machine: VM) -> SimulatedVM:
    """A VM as it is now."""
    nics = (cloud.nics.get(reference.key) for reference in machine.nics)
    return SimulatedVM(
        id=cloud.id_of(ids.VM, machine),
        name=machine.name,
        group=machine.group,
        location=machine.location,
        size=machine.size,
        power=machine.power,
        provisioning=machine.provisioning,
        tags=dict(machine.tags or {}),
        addresses=tuple(nic.address for nic in nics if nic is not None),
        computer_name=machine.os_profile["computerName"],
        admin_username=machine.os_profile["adminUsername"],
        disk_gib=machine.os_disk["diskSizeGB"],
        boots=machine.boots,
    )


def record_nic(cloud: Cloud, nic: Nic) -> SimulatedNic:
    """A network interface as it is now."""
    return SimulatedNic(cloud.id_of(ids.NIC, nic), nic.name, nic.vm, nic.address)


def record_disk(cloud: Cloud, disk: Disk) -> SimulatedDisk:
    """A disk as it is now."""
    return SimulatedDisk(cloud.id_of(ids.DISK, disk), disk.name, disk.vm, disk.size_gib)


def record_operation(operation: Operation) -> SimulatedOperation:
    """An operation as it is now."""
    code = operation.error.code if operation.error else None
    return SimulatedOperation(operation.id, operation.kind, operation.status.value, code)
