"""A VM: its hardware, its guest, and what it is to be made of."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

MIB = 1 << 20


class Power(Enum):
    """What Acropolis knows a VM's power to be."""

    ON = "ON"
    OFF = "OFF"
    PAUSED = "PAUSED"
    SUSPENDED = "SUSPENDED"


@dataclass(frozen=True)
class DiskSpec:
    """A disk to make: from an image, or of a size, or both; a CD-ROM may be empty."""

    bus: str = "SCSI"
    index: int | None = None
    source: str | None = None
    size_bytes: int | None = None
    container: str | None = None
    is_cdrom: bool = False


@dataclass(frozen=True)
class NicSpec:
    """A NIC to make."""

    subnet: str
    mac: str | None = None
    ip: str | None = None
    wants_ip: bool = True
    is_connected: bool = True


@dataclass(frozen=True)
class MachineSpec:
    """A VM to make."""

    name: str
    cluster: str
    memory_bytes: int
    sockets: int = 1
    cores: int = 1
    threads: int = 1
    description: str = ""
    disks: tuple[DiskSpec, ...] = ()
    nics: tuple[NicSpec, ...] = ()
    user_data: bytes | None = None
    timezone: str = "UTC"
    firmware: str = "LEGACY"
    # What was set in the words of one API, and is shown by it, and means nothing here.
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass
class Disk:
    """A disk or a CD-ROM of a VM. `image` is what it was cloned from."""

    uuid: str
    bus: str
    index: int
    size_bytes: int
    container: str
    image: str | None = None
    is_cdrom: bool = False
    is_empty: bool = False


@dataclass
class Nic:
    """A NIC of a VM; `ip` is the address that Prism has assigned."""

    uuid: str
    mac: str
    subnet: str
    ip: str | None = None
    is_connected: bool = True


@dataclass
class Guest:
    """What runs in the VM: whether it heeds the ACPI button, has Nutanix's tools, and what address it has got."""

    heeds_acpi: bool = True
    has_tools: bool = False
    learned_ip: str | None = None


@dataclass
class Machine:
    """One VM. `version` is its logical timestamp, which grows with every change of it."""

    uuid: str
    spec: MachineSpec
    disks: list[Disk] = field(default_factory=list)
    nics: list[Nic] = field(default_factory=list)
    power: Power = Power.OFF
    host: str | None = None
    guest: Guest = field(default_factory=Guest)
    version: int = 1
    spec_version: int = 0
    boots: int = 0
    # The VM that it is a copy of.
    source: str | None = None
    created: float = field(default_factory=time.time)
    updated: float = field(default_factory=time.time)
    # v2.0 shows a transition while it is under way; None between transitions.
    moving: str | None = None

    @property
    def name(self) -> str:
        """Its name, which several VMs may have."""
        return self.spec.name

    @property
    def cluster(self) -> str:
        """The cluster that it is on."""
        return self.spec.cluster

    @property
    def memory_mib(self) -> int:
        """Its memory in MiB."""
        return self.spec.memory_bytes // MIB

    def changed(self) -> None:
        """Note a change."""
        self.version += 1
        self.updated = time.time()

    def ip_of(self, nic: Nic) -> str | None:
        """The address that Prism shows for a NIC: the assigned one, or what the running guest was seen to use."""
        if nic.ip is not None:
            return nic.ip
        return self.guest.learned_ip if self.power is Power.ON and nic is self.nics[0] else None
