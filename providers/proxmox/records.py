"""VMs, configurations and tasks as PVE shows them, read into frozen values.

`vmstatus` in qemu-server's PVE/QemuServer.pm; https://pve.proxmox.com/pve-docs/qm.conf.5.html
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from providers import notes
from providers.domain import VM, VMStatus
from providers.proxmox.naming import OUR_ISO

_MIB: Final = 1 << 20
_DRIVE: Final = re.compile(r"(ide|sata|scsi|virtio)\d+")
_SIZE: Final = re.compile(r"(?:^|,)size=(\d+(?:\.\d+)?)([KMGT]?)(?:,|$)")
_UNITS: Final = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
_MAC: Final = re.compile(r"(?:^|[=,])((?:[0-9a-fA-F]{2}:){5}[0-9a-fA-F]{2})(?:,|$)")
_CLOUD_INIT_DRIVE: Final = re.compile(rf"([^,]*[:/](vm-\d+-)?cloudinit(\.\w+)?|{OUR_ISO})(,.*)?")

# QEMU's own words (`query-status`) go before PVE's, which knows only running and stopped.
STATUSES: Final[Mapping[str, VMStatus]] = {
    "running": VMStatus.RUNNING,
    "stopped": VMStatus.STOPPED,
    "paused": VMStatus.SUSPENDED,
    "suspended": VMStatus.SUSPENDED,
    "prelaunch": VMStatus.STARTING,
    "inmigrate": VMStatus.STARTING,
    "shutdown": VMStatus.STOPPING,
    "internal-error": VMStatus.ERROR,
    "io-error": VMStatus.ERROR,
    "guest-panicked": VMStatus.ERROR,
}
# A lock tells more than the state of a process that there may not be yet.
LOCKED: Final[Mapping[str, VMStatus]] = {
    "create": VMStatus.CREATING,
    "clone": VMStatus.CREATING,
    "suspending": VMStatus.STOPPING,
    "suspended": VMStatus.SUSPENDED,
    # What is left of a VM without its disks, until it is out of all jobs and lists (`destroy_vm`).
    "destroyed": VMStatus.DELETING,
}


@dataclass(frozen=True, slots=True)
class State:
    """What lists and `status/current` say of a VM.

    `word` is QEMU's own, where it is told, or PVE's; `uptime_seconds` counts from the start of its process.
    """

    vm_id: str
    name: str
    word: str
    lock: str
    is_template: bool
    cpus: int | None
    memory_mib: int | None
    uptime_seconds: int = 0

    @property
    def status(self) -> VMStatus:
        """The status in our words."""
        return status_of(self.word, self.lock)


@dataclass(frozen=True)
class Config:
    """A VM's configuration, by option."""

    options: Mapping[str, str]

    @property
    def name(self) -> str:
        """The VM's name; empty where it has none, or is being made."""
        return self.options.get("name", "")

    @property
    def lock(self) -> str:
        """The word of its lock; empty when it is not locked."""
        return self.options.get("lock", "")

    @property
    def digest(self) -> str:
        """What tells one state of the configuration from another."""
        return self.options.get("digest", "")

    @property
    def is_template(self) -> bool:
        """Whether it is a template."""
        return self.options.get("template") == "1"

    @property
    def is_protected(self) -> bool:
        """Whether it may not be removed."""
        return self.options.get("protection") == "1"

    @property
    def agent_is_on(self) -> bool:
        """Whether a guest agent is expected: `1`, `enabled=1` and `1,type=virtio` are ways to say so."""
        first = self.options.get("agent", "0").partition(",")[0]
        return first.removeprefix("enabled=") == "1"

    @property
    def cpus(self) -> int:
        """Virtual CPUs."""
        if "vcpus" in self.options:
            return int(self.options["vcpus"])
        return int(self.options.get("sockets", 1)) * int(self.options.get("cores", 1))

    @property
    def memory_mib(self) -> int:
        """Memory; 512 MiB is PVE's default."""
        return int(self.options.get("memory", "512").removeprefix("current="))

    @property
    def notes(self) -> notes.Notes:
        """What we have written into the VM's notes."""
        return notes.read(self.options.get("description", ""))

    @property
    def created_at(self) -> datetime | None:
        """When it was made, which PVE keeps since 7.1; a clone has the time of its template."""
        found = re.search(r"(?:^|,)ctime=(\d+)", self.options.get("meta", ""))
        return datetime.fromtimestamp(int(found[1]), UTC) if found else None

    @property
    def macs(self) -> frozenset[str]:
        """The addresses of its network devices, in lower case."""
        nets = (value for name, value in self.options.items() if re.fullmatch(r"net\d+", name))
        return frozenset(found[1].lower() for value in nets if (found := _MAC.search(value)))

    @property
    def volumes(self) -> Mapping[str, str]:
        """What is in its drives, by slot."""
        return {name: value.partition(",")[0] for name, value in self.options.items() if _DRIVE.fullmatch(name)}

    @property
    def cloud_init_drives(self) -> tuple[str, ...]:
        """The slots of the drives with cloud-init: those for which PVE itself makes images, and those with ours."""
        drives = ((name, value) for name, value in self.options.items() if _DRIVE.fullmatch(name))
        return tuple(sorted(name for name, value in drives if _CLOUD_INIT_DRIVE.fullmatch(value)))

    @property
    def system_disk(self) -> str | None:
        """The slot of the disk that it boots from: the first of the boot order, or of all."""
        disks = [
            name
            for name, value in sorted(self.options.items())
            if _DRIVE.fullmatch(name) and "media=cdrom" not in value and name not in self.cloud_init_drives
        ]
        order = self.options.get("boot", "").removeprefix("order=").split(";")
        legacy = self.options.get("bootdisk", "")
        return next((slot for slot in (*order, legacy, *disks) if slot in disks), None)

    def disk_bytes(self, slot: str) -> int | None:
        """The size of a disk, as far as the configuration tells."""
        found = _SIZE.search(self.options.get(slot, ""))
        return int(float(found[1]) * _UNITS[found[2]]) if found else None

    def free_cdrom_slot(self) -> str:
        """A slot for one more CD: that of a drive with cloud-init, which it replaces, or the first that is free."""
        slots = ("ide2", "ide3", "ide0", "ide1", *(f"sata{number}" for number in range(6)))
        return next((slot for slot in (*self.cloud_init_drives, *slots) if self._is_free(slot)), "ide2")

    def _is_free(self, slot: str) -> bool:
        return slot not in self.options or slot in self.cloud_init_drives


@dataclass(frozen=True)
class TaskState:
    """Where a task stands; `exit_status` is empty while it runs."""

    exit_status: str

    @property
    def is_running(self) -> bool:
        """Whether it has not ended yet."""
        return not self.exit_status

    @property
    def succeeded(self) -> bool:
        """Whether it ended well; warnings are no failure."""
        return self.exit_status == "OK" or self.exit_status.startswith("WARNINGS:")


def status_of(word: str, lock: str) -> VMStatus:
    """A status in our words."""
    return LOCKED.get(lock) or STATUSES.get(word, VMStatus.UNKNOWN)


def read_state(entry: Mapping[str, Any]) -> State:
    """A VM of a list, or of `status/current`."""
    memory = entry.get("maxmem")
    return State(
        vm_id=str(entry["vmid"]),
        name=str(entry.get("name", "")),
        word=str(entry.get("qmpstatus") or entry.get("status", "")),
        lock=str(entry.get("lock", "")),
        is_template=bool(int(entry.get("template") or 0)),
        cpus=int(entry["cpus"]) if entry.get("cpus") is not None else None,
        memory_mib=int(memory) // _MIB if memory is not None else None,
        uptime_seconds=int(entry.get("uptime") or 0),
    )


def read_config(options: Mapping[str, Any]) -> Config:
    """A configuration, whose values PVE shows as numbers or texts."""
    return Config({name: str(value) for name, value in options.items() if value is not None})


def read_task(entry: Mapping[str, Any]) -> TaskState:
    """A task's status; one that was killed ends without an exit status of its own."""
    if entry.get("status") != "stopped":
        return TaskState("")
    return TaskState(str(entry.get("exitstatus") or "unexpected status"))


def read_addresses(interfaces: Iterable[Mapping[str, Any]], macs: frozenset[str]) -> tuple[str, ...]:
    """The guest's addresses on the VM's own network devices; those that hold only on the link are of no use."""
    return tuple(
        str(address["ip-address"])
        for interface in interfaces
        if str(interface.get("hardware-address", "")).lower() in macs
        for address in interface.get("ip-addresses") or ()
        if not str(address.get("ip-address", "fe80:")).lower().startswith(("fe80:", "169.254."))
    )


def listed_vm(state: State) -> VM:
    """A VM as far as a list tells."""
    return VM(
        id=state.vm_id,
        name=state.name,
        status=state.status,
        provider_status=state.lock if state.lock in LOCKED else state.word,
        cpus=state.cpus,
        memory_mib=state.memory_mib,
    )


def shown_vm(vm_id: str, config: Config, word: str, addresses: tuple[str, ...]) -> VM:
    """A VM as its configuration describes it; `word` is its state in QEMU's or PVE's words."""
    return VM(
        id=vm_id,
        # As Proxmox's list calls one without a name.
        name=config.name or f"VM {vm_id}",
        status=status_of(word, config.lock),
        provider_status=config.lock if config.lock in LOCKED else word,
        cpus=config.cpus,
        memory_mib=config.memory_mib,
        ip_addresses=addresses,
        created_at=config.created_at,
        tags=config.notes.tags,
    )
