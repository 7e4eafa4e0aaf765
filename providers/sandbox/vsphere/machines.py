"""Virtual machines: hardware, power and guest, as the simulator keeps them."""

import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import Enum
from typing import Any

from providers.sandbox.vsphere.files import File
from providers.sandbox.vsphere.inventory import Datastore, Folder, Host, Network, Node, Pool

MIB = 1 << 20


class Power(Enum):
    """A VM's power, in vSphere's own words."""

    ON = "poweredOn"
    OFF = "poweredOff"
    SUSPENDED = "suspended"


class Connection(Enum):
    """Whether the host can reach the VM's files, in vSphere's own words."""

    CONNECTED = "connected"
    INACCESSIBLE = "inaccessible"


@dataclass(eq=False)
class Disk:
    """A virtual disk, and the file that it is in."""

    key: int
    controller_key: int
    unit: int
    datastore: Datastore
    path: str
    mode: str = "persistent"

    @property
    def file(self) -> File | None:
        """The file, None when it has gone."""
        return self.datastore.files.find(self.path)

    @property
    def file_name(self) -> str:
        """The file as vSphere names it."""
        return f"[{self.datastore.name}] {self.path}"


@dataclass(eq=False)
class Nic:
    """A network adapter; `type` is its data object type."""

    key: int
    type: Any
    network: Network
    mac: str
    is_connected: bool = True
    is_mac_assigned: bool = True
    unit: int = 7


@dataclass(eq=False)
class Plain:
    """A controller, a drive, or another device about which the simulator knows no more than what it was told."""

    key: int
    device: Any


Device = Disk | Nic | Plain


@dataclass
class Guest:
    """The system in a VM. `has_tools` overrules what its disks say; `tools_run` whether they are up when it is."""

    has_tools: bool | None = None
    tools_run: bool | None = None
    heeds_shutdown: bool = True
    addresses: tuple[str, ...] = ()
    up_at: float = 0.0


@dataclass(eq=False, kw_only=True)
class Machine(Node):
    """A VM or template. `pool` is None for a template. `folder_path` is the folder of its files in its datastore."""

    host: Host
    pool: Pool | None
    datastore: Datastore
    vmx_path: str
    cpus: int = 1
    cores_per_socket: int = 1
    memory_mib: int = 1024
    guest_id: str = "otherGuest64"
    firmware: str = "bios"
    annotation: str = ""
    hardware_version: str = "vmx-21"
    extra: dict[str, str] = field(default_factory=dict)
    devices: list[Device] = field(default_factory=list)
    instance_uuid: str = field(default_factory=lambda: str(uuid.uuid4()))
    bios_uuid: str = field(default_factory=lambda: str(uuid.uuid4()))
    is_template: bool = False
    created_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    changed_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    changes: int = 0
    power: Power = Power.OFF
    connection: Connection = Connection.CONNECTED
    booted_at: datetime | None = None
    guest: Guest = field(default_factory=Guest)
    has_config: bool = True
    boots: int = 0
    # How many boots `layoutEx` knows of: it is read from the datastore now and then, or when it is refreshed.
    boots_in_layout: int = 0

    @property
    def folder_path(self) -> str:
        """The folder of its files."""
        return self.vmx_path.rpartition("/")[0]

    @property
    def folder(self) -> Folder | None:
        """The folder that it is in."""
        return self.parent if isinstance(self.parent, Folder) else None

    @property
    def disks(self) -> list[Disk]:
        """Its disks."""
        return [device for device in self.devices if isinstance(device, Disk)]

    @property
    def nics(self) -> list[Nic]:
        """Its network adapters."""
        return [device for device in self.devices if isinstance(device, Nic)]

    @property
    def has_tools(self) -> bool:
        """Whether VMware Tools are installed in the guest: a system on one of the disks has them."""
        if self.guest.has_tools is not None:
            return self.guest.has_tools
        return any(disk.file is not None and disk.file.has_tools for disk in self.disks)

    @property
    def tools_run(self) -> bool:
        """Whether VMware Tools answer now."""
        if self.power is not Power.ON or not self.has_tools:
            return False
        return self.guest.tools_run if self.guest.tools_run is not None else time.monotonic() >= self.guest.up_at

    @property
    def addresses(self) -> tuple[str, ...]:
        """The addresses that the tools report."""
        is_wired = any(nic.is_connected for nic in self.nics)
        return self.guest.addresses if self.tools_run and is_wired else ()

    @property
    def vmx_name(self) -> str:
        """Its configuration file as vSphere names it."""
        return f"[{self.datastore.name}] {self.vmx_path}"

    def files(self) -> Iterator[tuple[Datastore, str]]:
        """Its own files: the configuration and the disks."""
        yield self.datastore, self.vmx_path
        for disk in self.disks:
            yield disk.datastore, disk.path

    def power_on(self, boot_seconds: float) -> None:
        """Be on from now; the tools and the addresses come up later."""
        self.power, self.booted_at = Power.ON, datetime.now(UTC)
        self.guest.up_at = time.monotonic() + boot_seconds
        self.boots += 1

    def power_off(self) -> None:
        """Be off from now."""
        self.power, self.booted_at = Power.OFF, None

    def touch(self) -> None:
        """Note a change of the configuration."""
        self.changes += 1
        self.changed_at = datetime.now(UTC)

    @property
    def change_version(self) -> str:
        """What a ReconfigVM_Task may name to be refused when somebody else was first."""
        return f"{self.changed_at.strftime('%Y-%m-%dT%H:%M:%S.%fZ')}-{self.changes}"
