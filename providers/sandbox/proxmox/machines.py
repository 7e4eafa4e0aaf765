"""Virtual machines as the cluster keeps them: a configuration on one node, and a process while they run."""

import hashlib
import itertools
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from providers.sandbox.proxmox import drives, options
from providers.sandbox.proxmox.tasks import TaskError
from providers.sandbox.proxmox.wire import PveError, Value

MIB = 1 << 20


class Process(Enum):
    """What QEMU says of itself (`query-status`); nothing when there is no process."""

    STOPPED = "stopped"
    PRELAUNCH = "prelaunch"
    RUNNING = "running"
    PAUSED = "paused"


@dataclass
class Guest:
    """How what runs in a VM behaves: whether it heeds a shutdown and has an agent that answers, and its addresses."""

    heeds_shutdown: bool = True
    agent_runs: bool = True
    addresses: tuple[str, ...] | None = None


@dataclass
class Machine:
    """One VM. `config` is its configuration, `pending` what waits for its next start, `snapshots` configs by name."""

    id: int
    node: str
    config: dict[str, str]
    process: Process = Process.STOPPED
    pending: dict[str, str | None] = field(default_factory=dict)
    snapshots: dict[str, dict[str, str]] = field(default_factory=dict)
    guest: Guest = field(default_factory=Guest)
    ha_managed: bool = False
    started: float = 0.0
    boots: int = 0

    @property
    def runs(self) -> bool:
        """Whether there is a process."""
        return self.process is not Process.STOPPED

    @property
    def is_template(self) -> bool:
        """Whether it is a template."""
        return self.config.get("template") == "1"

    @property
    def name(self) -> str:
        """The name that lists show."""
        return self.config.get("name", f"VM {self.id}")

    @property
    def agent_on(self) -> bool:
        """Whether its configuration turns the guest agent on."""
        return "agent" in self.config and options.AGENT(self.config["agent"])["enabled"] == "1"

    @property
    def pid(self) -> int:
        """The number of its process."""
        return 1_000_000 + self.id

    def drives(self) -> list[drives.Drive]:
        """Its drives."""
        return drives.drives(self.config)

    def refuse_locked(self, *, but_for: str = "") -> None:
        """Refuse work on a VM with a lock in its configuration (`check_lock` in pve-guest-common), but for one."""
        if self.config.get("lock", but_for) != but_for:
            raise PveError(f"VM is locked ({self.config['lock']})")

    def refuse_protected(self, what: str) -> None:
        """Refuse to take away what its configuration protects."""
        if self.config.get("protection") == "1":
            raise PveError(f"{what} - protection mode enabled")

    def run(self) -> None:
        """It runs from now on."""
        self.process, self.started = Process.RUNNING, time.monotonic()
        self.boots += 1

    def halt(self) -> None:
        """Its process ends, and with it the reason for changes to wait."""
        self.process = Process.STOPPED
        self.apply_pending()

    def apply_pending(self) -> None:
        """Carry out the changes that waited."""
        for name, value in self.pending.items():
            if value is None:
                self.config.pop(name, None)
            else:
                self.config[name] = value
        self.pending.clear()

    def digest(self) -> str:
        """What tells one state of the configuration from another."""
        text = "".join(f"{name}: {value}\n" for name, value in sorted(self.config.items()))
        return hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()


def boot_disk(config: Mapping[str, str]) -> drives.Drive | None:
    """The first disk of the boot order."""
    order = options.BOOT(config["boot"]).get("order", "") if "boot" in config else ""
    for slot in order.split(";"):
        if slot in config and drives.is_slot(slot):
            drive = drives.parse(slot, config[slot])
            if not drive.is_cdrom:
                return drive
    return None


def status(machine: Machine) -> dict[str, Value]:
    """What a list says of a VM (`vmstatus` in qemu-server)."""
    config = machine.config
    disk = boot_disk(config)
    cpus = int(config.get("vcpus", 0)) or int(config.get("sockets", 1)) * int(config.get("cores", 1))
    memory = int(options.MEMORY(config.get("memory", "512"))["current"]) * MIB
    values: dict[str, Value] = {
        "vmid": machine.id,
        "name": machine.name,
        "status": "running" if machine.runs else "stopped",
        "cpus": cpus,
        "maxmem": memory,
        "disk": 0,
        "maxdisk": disk.size_bytes if disk else 0,
        "uptime": int(time.monotonic() - machine.started) if machine.runs else 0,
        "cpu": 0,
        "mem": memory // 2 if machine.runs else 0,
        "netin": 0,
        "netout": 0,
        "diskread": 0,
        "diskwrite": 0,
    }
    values.update(_marks(machine))
    return values


def _marks(machine: Machine) -> dict[str, Value]:
    config = machine.config
    marks: dict[str, Value] = {}
    if machine.runs:
        marks["pid"] = machine.pid
    if machine.is_template:
        marks["template"] = 1
    if any(f"serial{number}" in config for number in range(4)):
        marks["serial"] = 1
    marks.update({name: config[name] for name in ("lock", "tags") if name in config})
    return marks


def full_status(machine: Machine) -> dict[str, Value]:
    """What its own status says of a VM, more than a list does."""
    values = status(machine)
    values["ha"] = {"managed": int(machine.ha_managed), **({"state": "started"} if machine.ha_managed else {})}
    values["qmpstatus"] = machine.process.value
    if machine.agent_on:
        values["agent"] = 1
    if machine.runs:
        values |= {"running-machine": "pc-i440fx-9.2+pve1", "running-qemu": "9.2.0", "balloon": values["maxmem"]}
    return values


@dataclass(frozen=True)
class Container:
    """A container: it matters here for the id that it takes, and the list that it is in."""

    id: int
    node: str
    name: str
    running: bool = True


class Machines:
    """All VMs and containers of the cluster, which share their ids. Not thread-safe."""

    def __init__(self) -> None:
        self.all: dict[int, Machine] = {}
        self.containers: dict[int, Container] = {}

    def free_id(self) -> int:
        """The lowest id that is free by now; it is reserved for nobody."""
        return next(number for number in itertools.count(100) if not self.taken(number))

    def free_ids(self, count: int) -> list[int]:
        """The lowest ids that are free."""
        return list(itertools.islice((number for number in itertools.count(100) if not self.taken(number)), count))

    def taken(self, vm_id: int) -> bool:
        """Whether an id is a VM's or a container's."""
        return vm_id in self.all or vm_id in self.containers

    def on(self, node: str, vm_id: int) -> Machine:
        """A VM that is on a node."""
        machine = self.all.get(vm_id)
        if machine is None or machine.node != node:
            raise PveError(f"Configuration file 'nodes/{node}/qemu-server/{vm_id}.conf' does not exist")
        return machine

    def in_task(self, node: str, vm_id: int) -> Machine:
        """The same for a task, which ends with the reason."""
        try:
            return self.on(node, vm_id)
        except PveError as error:
            raise TaskError(error.message) from error

    def refuse_unknown(self, node: str, vm_id: int) -> Machine:
        """The same in the words of what looks for a process first (`assert_config_exists_on_node`)."""
        machine = self.all.get(vm_id)
        if machine is None or machine.node != node:
            raise PveError(f"unable to find configuration file for VM {vm_id} on node '{node}'")
        return machine

    def refuse_taken(self, vm_id: int) -> None:
        """Refuse an id that is taken, in the words that creating has for it (`check_vmid_unused`)."""
        if vm_id in self.all:
            raise PveError(f"VM {vm_id} already exists on node '{self.all[vm_id].node}'")
        if vm_id in self.containers:
            raise PveError(f"CT {vm_id} already exists on node '{self.containers[vm_id].node}'")
