"""The Proxmox simulator's face: started and stopped, given faults and VMs, and looked into, by tests."""

from collections.abc import Mapping
from dataclasses import dataclass

from providers.sandbox.authority import Authority
from providers.sandbox.proxmox.accounts import EVERYTHING, Privileges
from providers.sandbox.proxmox.actions import actions
from providers.sandbox.proxmox.app import PveApp
from providers.sandbox.proxmox.changing import Changing
from providers.sandbox.proxmox.cluster import NODES, Cluster, Knobs
from providers.sandbox.proxmox.inventory import addresses
from providers.sandbox.proxmox.machines import Container, Machine, Process
from providers.sandbox.proxmox.seeds import TEMPLATE_ID, equip, seed_container, seed_machine
from providers.sandbox.proxmox.storages import Volume
from providers.sandbox.proxmox.tasks import PlannedEnd, Task
from providers.sandbox.proxmox.wire import Version
from providers.sandbox.simulator import Simulator

USER = "demo@sandbox"
PASSWORD = "demo"  # noqa: S105 - the sandbox's own, known to everybody
TOKEN_ID = "demo@sandbox!demo"  # noqa: S105 - as above
TOKEN_SECRET = "00000000-0000-4000-8000-0000000000de"  # noqa: S105 - as above
VERSION = "9.0"
# PVE answers a hundred requests on a connection, and closes it.
REQUESTS_PER_CONNECTION = 100


@dataclass(frozen=True)
class SimulatedVM:
    """A VM as the simulator knows it. `state` is QEMU's own word: stopped, prelaunch, running or paused."""

    id: int
    name: str
    node: str
    state: str
    is_template: bool
    config: Mapping[str, str]
    addresses: tuple[str, ...]
    boots: int


@dataclass(frozen=True)
class SimulatedVolume:
    """A volume; no node when its storage is shared, no owner when it is not a VM's disk."""

    id: str
    node: str | None
    content: str
    size_bytes: int
    vm_id: int | None


@dataclass(frozen=True)
class SimulatedTask:
    """A task; no exit status while it runs."""

    upid: str
    node: str
    type: str
    id: str
    user: str
    exit_status: str | None
    log: tuple[str, ...]


class ProxmoxSandbox(Simulator):
    """A cluster of two nodes at `url`, from `start` to `stop`; may be used as a context manager.

    Without an authority it speaks plain HTTP, which PVE never does. `version` is the PVE that it is, such as `7.4`,
    `8.2` or `9.0`. `knobs` says how long things take; it may be changed at any time, and a reset undoes that.
    """

    def __init__(
        self,
        authority: Authority | None = None,
        *,
        task_seconds: float = 1.0,
        port: int = 0,
        version: str = VERSION,
    ) -> None:
        super().__init__()
        self._usual_task_seconds = task_seconds
        self._usual_version = _version(version)
        self._cluster = Cluster(self._usual_version, Knobs())
        self.reset()
        application = PveApp(self._cluster, actions(self._cluster), self.faults, self.calls)
        self.be_served(application, authority, port, REQUESTS_PER_CONNECTION)

    @property
    def knobs(self) -> Knobs:
        """How long things take."""
        return self._cluster.knobs

    def reset(self) -> None:
        """Everything as at the start: the template, the images, the user; no fault, no knob turned, no call counted."""
        self.faults.clear()
        with self._cluster.lock:
            self._cluster.version = self._usual_version
            self._cluster.clear(Knobs(task_seconds=self._usual_task_seconds))
            equip(self._cluster)
            self._cluster.accounts.add_user(USER, PASSWORD)
            self._cluster.accounts.add_token(TOKEN_ID, TOKEN_SECRET)
        self.calls.clear()

    def set_version(self, version: str) -> None:
        """Be another PVE from now on, such as `7.4`; what there is stays."""
        self._cluster.version = _version(version)

    # Who may do what.

    def add_user(self, user: str, password: str, *, privileges: Privileges | None = EVERYTHING) -> None:
        """Add a user (`name@realm`) with privileges by path, which hold below it too; all of them by default."""
        with self._cluster.lock:
            self._cluster.accounts.add_user(user, password, privileges)

    def add_token(self, token: str, secret: str = TOKEN_SECRET, *, privileges: Privileges | None = EVERYTHING) -> None:
        """Add a token (`name@realm!token`) with privileges by path, which hold below it too; all by default."""
        with self._cluster.lock:
            self._cluster.accounts.add_token(token, secret, privileges)

    def expire_tickets(self) -> None:
        """Let every ticket given so far be too old."""
        with self._cluster.lock:
            self._cluster.accounts.tickets.clear()

    def set_ticket_seconds(self, seconds: float) -> None:
        """How long a ticket is good from now on; two hours by default."""
        self._cluster.accounts.ticket_seconds = seconds

    def set_lock_seconds(self, seconds: float) -> None:
        """How long a task waits for a VM that another task works on from now on; ten seconds by default."""
        with self._cluster.lock:
            self._cluster.tasks.lock_seconds = seconds

    @property
    def logins(self) -> int:
        """How many log-ins have succeeded; those that failed are calls of `POST /access/ticket` too."""
        return self._cluster.accounts.logins

    def tickets(self) -> tuple[str, ...]:
        """The tickets given that have not been made to expire, oldest first."""
        with self._cluster.lock:
            return tuple(self._cluster.accounts.tickets)

    def csrf_tokens(self) -> tuple[str, ...]:
        """Return the CSRF tokens of these tickets."""
        with self._cluster.lock:
            return tuple(ticket.csrf for ticket in self._cluster.accounts.tickets.values())

    # What there is.

    def seed(
        self, count: int, *, prefix: str = "vm", state: str = "running", node: str = "pve", agent: bool = True
    ) -> list[int]:
        """Make VMs without HTTP, named `<prefix>-0001` and so on; the ids are in that order."""
        with self._cluster.lock:
            process = Process(state)
            ids = self._cluster.machines.free_ids(count)
            for number, vm_id in enumerate(ids, 1):
                machine = seed_machine(self._cluster, vm_id, f"{prefix}-{number:04}", node, agent=agent)
                _put(machine, process)
            self._cluster.collect()
            return ids

    def seed_container(self, vm_id: int, *, node: str = "pve", name: str = "container") -> None:
        """Make a container, which takes its id from the VMs."""
        with self._cluster.lock:
            seed_container(self._cluster, Container(vm_id, node, name))

    def vms(self, *, templates: bool = False) -> tuple[SimulatedVM, ...]:
        """The VMs, oldest first; with templates or without."""
        with self._cluster.lock:
            self._cluster.tasks.settle()
            machines = self._cluster.machines.all.values()
            return tuple(_record(machine) for machine in machines if templates or not machine.is_template)

    def vm(self, vm_id: int | str) -> SimulatedVM:
        """One VM or template; raises `KeyError`."""
        with self._cluster.lock:
            self._cluster.tasks.settle()
            return _record(self._cluster.machines.all[int(vm_id)])

    def containers(self) -> tuple[int, ...]:
        """The ids of the containers."""
        with self._cluster.lock:
            return tuple(self._cluster.machines.containers)

    def volumes(self, *, content: str | None = None) -> tuple[SimulatedVolume, ...]:
        """The volumes that came after the start, of one content (`images`, `iso`, `import`) or of all.

        What is left when no VM is has leaked.
        """
        with self._cluster.lock:
            self._cluster.tasks.settle()
            return tuple(
                SimulatedVolume(volume.id, volume.node, volume.content, volume.size_bytes, volume.vm_id)
                for volume in self._cluster.storages.volumes()
                if not self._is_equipment(volume) and content in {None, volume.content}
            )

    def data(self, volume_id: str, *, node: str = "pve") -> bytes | None:
        """The bytes of a file that was uploaded, None when there is no such volume."""
        with self._cluster.lock:
            self._cluster.tasks.settle()
            volume = self._cluster.storages.find(node, volume_id)
            return volume.data if volume else None

    def add_volume(self, volume_id: str, *, size_bytes: int, node: str = "pve", data: bytes | None = None) -> None:
        """Put a volume on a storage behind the API's back."""
        with self._cluster.lock:
            content, owner = self._cluster.storages.content_of(volume_id)
            image_format = volume_id.rpartition(".")[2] if content != "images" else "raw"
            volume = Volume(volume_id, None, content, image_format, size_bytes, owner, data=data)
            self._cluster.storages.add(node, volume)

    def tasks(self, kind: str | None = None) -> tuple[SimulatedTask, ...]:
        """The tasks begun so far, of one type (`qmcreate`) or of all, oldest first."""
        with self._cluster.lock:
            self._cluster.tasks.settle()
            return tuple(_task(task) for task in self._cluster.tasks.all.values() if kind in {None, task.type})

    # What befalls it.

    def end_next_task(self, kind: str, exit_status: str, *, work_done: bool = False) -> None:
        """Let the next task of a type (`qmcreate`, `qmclone`, `imgcopy`, …) end with this text.

        Its work is not done, and what PVE undoes is undone; or the text comes after the work (`WARNINGS: 1`).
        """
        with self._cluster.lock:
            self._cluster.tasks.planned.append(PlannedEnd(kind, exit_status, work_done))

    def ignore_shutdown(self, vm_id: int | str, *, ignore: bool = True) -> None:
        """Let this guest ignore every request to shut down, by ACPI or the agent; or heed them again."""
        with self._cluster.lock:
            self._cluster.machines.all[int(vm_id)].guest.heeds_shutdown = not ignore

    def set_guest(self, vm_id: int | str, *, agent_runs: bool = True, addresses: tuple[str, ...] | None = None) -> None:
        """Say whether the guest's agent runs, and what addresses its first network device has."""
        with self._cluster.lock:
            guest = self._cluster.machines.all[int(vm_id)].guest
            guest.agent_runs, guest.addresses = agent_runs, addresses

    def migrate(self, vm_id: int | str, node: str) -> None:
        """Move a VM to a node at once, behind the API's back."""
        with self._cluster.lock:
            self._cluster.tasks.settle()
            if node not in NODES:
                raise KeyError(node)
            Changing(self._cluster).move(self._cluster.machines.all[int(vm_id)], node)

    def lock(self, vm_id: int | str, word: str | None) -> None:
        """Put a lock (`backup`, `migrate`, …) into a VM's configuration, or take it out with None."""
        with self._cluster.lock:
            config = self._cluster.machines.all[int(vm_id)].config
            config.pop("lock", None)
            if word is not None:
                config["lock"] = word

    def manage_by_ha(self, vm_id: int | str) -> None:
        """Give a VM to the HA manager: start and stop only tell it, and it acts after `knobs.ha_seconds`."""
        with self._cluster.lock:
            self._cluster.machines.all[int(vm_id)].ha_managed = True

    def set_state(self, vm_id: int | str, state: str) -> None:
        """Put a VM into a state at once: stopped, prelaunch, running or paused."""
        with self._cluster.lock:
            _put(self._cluster.machines.all[int(vm_id)], Process(state))

    def set_config(self, vm_id: int | str, name: str, value: str | None) -> None:
        """Write an option into a VM's configuration as root would in its file, or take it out."""
        with self._cluster.lock:
            config = self._cluster.machines.all[int(vm_id)].config
            config.pop(name, None)
            if value is not None:
                config[name] = value

    def take_snapshot(self, vm_id: int | str, name: str) -> None:
        """Keep a VM's configuration in a snapshot, the parent of what it becomes."""
        with self._cluster.lock:
            machine = self._cluster.machines.all[int(vm_id)]
            machine.snapshots[name] = dict(machine.config)
            machine.config["parent"] = name

    def _is_equipment(self, volume: Volume) -> bool:
        return (volume.node, volume.id) in self._cluster.equipment or volume.vm_id == TEMPLATE_ID


def _version(text: str) -> Version:
    major, _, minor = text.partition(".")
    return int(major), int(minor or 0)


def _put(machine: Machine, process: Process) -> None:
    if process is Process.STOPPED:
        machine.halt()
    elif not machine.runs:
        machine.run()
    machine.process = process


def _record(machine: Machine) -> SimulatedVM:
    return SimulatedVM(
        id=machine.id,
        name=machine.name,
        node=machine.node,
        state=machine.process.value,
        is_template=machine.is_template,
        config=dict(machine.config),
        addresses=addresses(machine),
        boots=machine.boots,
    )


def _task(task: Task) -> SimulatedTask:
    return SimulatedTask(task.upid, task.node, task.type, task.id, task.user, task.exit_status, tuple(task.lines))
