"""What can be told of a VM and its guest, as vSphere words it."""

from collections.abc import Mapping
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, Final

from pyVmomi import vim

from providers.sandbox.vsphere.inventory import Datastore, Network
from providers.sandbox.vsphere.machines import Machine, Nic
from providers.sandbox.vsphere.shapes import Getter

GUEST_NAMES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "debian11_64Guest": "Debian GNU/Linux 11 (64-bit)",
        "debian12_64Guest": "Debian GNU/Linux 12 (64-bit)",
        "otherGuest64": "Other (64-bit)",
        "ubuntu64Guest": "Ubuntu Linux (64-bit)",
    }
)


def datastores_of(machine: Machine) -> list[Datastore]:
    """The datastores on which it has files, each once."""
    return list(dict.fromkeys(datastore for datastore, _ in machine.files()))


def networks_of(machine: Machine) -> list[Network]:
    """The networks that it is connected to, each once."""
    return list(dict.fromkeys(nic.network for nic in machine.nics))


def guest_name(machine: Machine) -> str:
    """The guest system by its usual name."""
    return GUEST_NAMES.get(machine.guest_id, machine.guest_id)


def tools_status(machine: Machine) -> str:
    """Whether VMware Tools are installed and run, in the older word."""
    if not machine.has_tools:
        return "toolsNotInstalled"
    return "toolsOk" if machine.tools_run else "toolsNotRunning"


def tools_running(machine: Machine) -> str:
    """Whether VMware Tools run, in vSphere's word."""
    return "guestToolsRunning" if machine.tools_run else "guestToolsNotRunning"


def tools_version(machine: Machine) -> str:
    """Whether VMware Tools are up to date."""
    # open-vm-tools come with the guest's system, which alone manages them.
    return "guestToolsUnmanaged" if machine.has_tools else "guestToolsNotInstalled"


def is_known(machine: Machine) -> bool:
    """Whether the tools have ever told what system it is."""
    return machine.has_tools and machine.boots > 0


def heartbeat(machine: Machine) -> str:
    """How the tools' heartbeat is: green or, without one, gray."""
    return "green" if machine.tools_run else "gray"


def first_address(machine: Machine) -> str | None:
    """The address that the tools tell first."""
    return next(iter(machine.addresses), None)


def host_name(machine: Machine) -> str | None:
    """The name that the tools have told."""
    return machine.name if is_known(machine) else None


def guest_nics(machine: Machine) -> list[Any]:
    """The guest's network adapters, as the tools tell them."""
    if not machine.tools_run:
        return []
    return [_guest_nic(machine, nic, first=nic is machine.nics[0]) for nic in machine.nics]


def _guest_nic(machine: Machine, nic: Nic, *, first: bool) -> Any:
    addresses = machine.addresses if first else ()
    return vim.vm.GuestInfo.NicInfo(
        network=nic.network.name,
        ipAddress=list(addresses),
        macAddress=nic.mac,
        connected=nic.is_connected,
        deviceConfigId=nic.key,
        ipConfig=vim.net.IpConfigInfo(ipAddress=[_ip_address(address) for address in addresses]),
    )


def _ip_address(address: str) -> Any:
    return vim.net.IpConfigInfo.IpAddress(
        ipAddress=address, prefixLength=64 if ":" in address else 16, state="preferred"
    )


def extra(machine: Machine) -> list[Any]:
    """Its extraConfig."""
    return [vim.option.OptionValue(key=key, value=value) for key, value in machine.extra.items()]


def pool(machine: Machine) -> Any:
    """Its pool's reference."""
    return machine.pool.ref if machine.pool else None


def parent(machine: Machine) -> Any:
    """The reference of its folder."""
    return machine.parent.ref if machine.parent else None


def has_config(machine: Machine) -> bool:
    """Whether its configuration can be read."""
    return machine.has_config


def used_bytes(machine: Machine) -> int:
    """How much room its disks take."""
    return sum(disk.file.size_bytes for disk in machine.disks if disk.file is not None)


def provisioned_bytes(machine: Machine) -> int:
    """How much room its disks could take."""
    return sum(disk.file.capacity_bytes or 0 for disk in machine.disks if disk.file is not None)


def layout_files(machine: Machine) -> list[Any]:
    """Return its files with their types. Only a VM that has run has a log, and NVRAM of its own."""
    info: Any = vim.vm.FileLayoutEx.FileInfo
    disks = [(disk.file_name, "diskDescriptor", disk.file.size_bytes) for disk in machine.disks if disk.file]
    named = [(machine.vmx_name, "config", 4096), *disks]
    if machine.boots_in_layout:
        folder = f"[{machine.datastore.name}] {machine.folder_path}"
        named += [(f"{folder}/vmware.log", "log", 4096), (f"{machine.vmx_name[:-4]}.nvram", "nvram", 8684)]
    return [
        info(key=key, name=name, type=kind, size=size, uniqueSize=size, accessible=True)
        for key, (name, kind, size) in enumerate(named)
    ]


def is_logging(machine: Machine) -> bool:
    """Return whether it writes a log when it runs."""
    return machine.extra.get("logging", "TRUE").upper() != "FALSE"


def now(_: Machine) -> datetime:
    """Return the time of the server."""
    return datetime.now(UTC)


def constant(value: Any) -> Getter:
    """What reads the same of every VM."""
    return lambda _: value
