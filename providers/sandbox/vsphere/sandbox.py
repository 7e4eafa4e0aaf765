"""The vSphere simulator's face: started and stopped, given faults and VMs, and looked into, by tests."""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Final, Literal, Self

from providers.sandbox.authority import Authority
from providers.sandbox.simulator import Simulator
from providers.sandbox.vsphere import records, seeds
from providers.sandbox.vsphere.accounts import EVERYTHING
from providers.sandbox.vsphere.app import VimApp
from providers.sandbox.vsphere.arranging import Arranging
from providers.sandbox.vsphere.files import DatastorePath
from providers.sandbox.vsphere.inventory import Datastore, Node
from providers.sandbox.vsphere.machines import Connection, Machine, Power
from providers.sandbox.vsphere.naming import Kind
from providers.sandbox.vsphere.records import SimulatedTask, SimulatedVM
from providers.sandbox.vsphere.refusals import named
from providers.sandbox.vsphere.versions import Versions
from providers.sandbox.vsphere.world import Knobs, World

USER: Final = "demo@sandbox"
PASSWORD: Final = "demo"  # noqa: S105 - the sandbox's own, known to everybody
API_VERSION: Final = "8.0.3.0"


class VSphereSandbox(Simulator, Arranging):
    """vCenter Server, or a standalone ESXi host, at `url`, from `start` to `stop`; also a context manager.

    Without an authority it speaks plain HTTP, which vSphere never does. `knobs` says how long things take; it may
    be changed at any time, and a reset undoes that. A VM is named by its instance UUID, its managed object id, its
    BIOS UUID or its name, whichever finds it first.
    """

    def __init__(  # noqa: PLR0913 - every one of them has a default
        self,
        authority: Authority | None = None,
        *,
        kind: Literal["vcenter", "esxi"] = "vcenter",
        task_seconds: float = 1.0,
        port: int = 0,
        api_version: str = API_VERSION,
        prepare: "Callable[[VSphereSandbox], None] | None" = None,
    ) -> None:
        super().__init__()
        self._usual_task_seconds = task_seconds
        self._prepare = prepare
        self._world = World(Kind(kind), Versions(api_version), Knobs())
        self.reset()
        self._app = VimApp(self._world, self.faults, self.calls)
        self.be_served(self._app, authority, port)

    def start(self) -> Self:
        """Serve; on return `url` answers."""
        self._app.is_closing = False
        return super().start()

    def stop(self) -> None:
        """End every connection and thread; calls that wait or are being delayed are dropped."""
        self._app.is_closing = True
        super().stop()

    @property
    def knobs(self) -> Knobs:
        """How long things take, and how the server is disposed."""
        return self._world.knobs

    def reset(self) -> None:
        """Everything as at the start, with what `prepare` adds; no fault, no knob turned, no session, no call."""
        self.faults.clear()
        with self._world.lock:
            self._world.clear(Knobs(task_seconds=self._usual_task_seconds))
            seeds.equip(self._world)
            self._world.accounts.add_user(USER, PASSWORD)
            if self._prepare is not None:
                self._prepare(self)
        self.calls.clear()

    # Who may do what.

    def add_user(self, user: str, password: str, privileges: Collection[str] | None = EVERYTHING) -> None:
        """Add a user with these privileges everywhere (and System.View, Read and Anonymous); by default with all."""
        with self._world.lock:
            self._world.accounts.add_user(user, password, privileges)

    def set_permission(self, user: str, entity: str, privileges: Collection[str] | None) -> None:
        """Give a user just these privileges on an entity (by its managed object id or name) and below it.

        Here the System privileges have to be named too; with none at all the entity cannot be seen.
        """
        with self._world.lock:
            self._world.accounts.user(user).permissions[self._entity(entity).moid] = privileges

    @property
    def logins(self) -> int:
        """How many log-ins have succeeded."""
        return self._world.accounts.logins

    @property
    def failed_logins(self) -> int:
        """How many log-ins have failed."""
        return self._world.accounts.failed_logins

    def sessions(self) -> tuple[str, ...]:
        """The users of the sessions that are open, oldest first."""
        with self._world.lock:
            return tuple(session.user.name for session in self._world.accounts)

    def session_cookies(self) -> tuple[str, ...]:
        """Return the cookies of the sessions that are open, oldest first."""
        with self._world.lock:
            return tuple(self._world.accounts.sessions)

    def drop_sessions(self) -> None:
        """End every session, as a restart of the server or an idle timeout does."""
        with self._world.lock:
            self._world.accounts.sessions.clear()

    # What there is.

    def seed(  # noqa: PLR0913 - every one of them has a default
        self,
        count: int,
        *,
        prefix: str = "vm",
        state: str = "running",
        tools: bool = True,
        folder: str | None = None,
        datacenter: str | None = None,
    ) -> list[str]:
        """Make VMs without the API, named `<prefix>-0001` and so on; the instance UUIDs are in that order.

        `state` is running, stopped or suspended.
        """
        with self._world.lock:
            place = self._datacenter(datacenter)
            parent = self._folder(place, folder or "")
            names = [f"{prefix}-{number:04}" for number in range(1, count + 1)]
            machines = [seeds.seed_machine(self._world, place, parent, name, tools=tools) for name in names]
            for machine in machines:
                _put(machine, STATES[state])
            return [machine.instance_uuid for machine in machines]

    def vms(self, *, templates: bool = False, equipment: bool = False) -> tuple[SimulatedVM, ...]:
        """The VMs that came after the start, oldest first; with templates, with those of the start, or without."""
        with self._world.lock:
            self._world.tasks.settle()
            return tuple(
                records.machine_record(machine)
                for machine in self._world.machines()
                if (templates or not machine.is_template) and (equipment or not self._is_equipment(machine))
            )

    def vm(self, vm: str) -> SimulatedVM:
        """One VM or template; raises `KeyError`."""
        with self._world.lock:
            self._world.tasks.settle()
            return records.machine_record(self._machine(vm))

    def guestinfo(self, vm: str) -> Mapping[str, str]:
        """What cloud-init in the guest could read: `userdata`, `userdata.encoding`, `metadata` and so on."""
        with self._world.lock:
            return records.guestinfo(self._machine(vm))

    def files(self) -> tuple[str, ...]:
        """All files and folders in datastores that came after the start; what is left when no VM is has leaked."""
        with self._world.lock:
            self._world.tasks.settle()
            return tuple(sorted(records.new_files(self._world)))

    def has_file(self, name: str) -> bool:
        """Whether a file (`[datastore1] images/debian-12.vmdk`) is in one of the datastores of that name."""
        path = DatastorePath.parse(name)
        with self._world.lock:
            datastores = [found for found in self._world.all(Datastore) if found.name == path.datastore]
            return any(datastore.files.find(path.path) is not None for datastore in datastores)

    def tasks(self, method: str | None = None) -> tuple[SimulatedTask, ...]:
        """The tasks begun so far, of one method (`CloneVM_Task`) or of all, oldest first."""
        with self._world.lock:
            self._world.tasks.settle()
            tasks = self._world.tasks.all.values()
            return tuple(records.task_record(task) for task in tasks if method in {None, task.method})

    # What befalls it.

    def fail_next_task(self, method: str, fault: str, message: str = "") -> None:
        """Let the next task of a method (`CloneVM_Task`) end in a fault (`InsufficientMemoryResourcesFault`).

        Its work is not done, and what it had made by then is undone, as vSphere undoes it.
        """
        with self._world.lock:
            self._world.tasks.planned.append((method, named(fault, message)))

    def ignore_shutdown(self, vm: str, *, ignore: bool = True) -> None:
        """Let this guest ignore every request to shut down or to reboot; or heed them again."""
        with self._world.lock:
            self._machine(vm).guest.heeds_shutdown = not ignore

    def set_tools(self, vm: str, *, running: bool, installed: bool = True) -> None:
        """Say whether VMware Tools are installed in the guest, and whether they run when it does."""
        with self._world.lock:
            guest = self._machine(vm).guest
            guest.has_tools, guest.tools_run = installed, running

    def set_addresses(self, vm: str, addresses: Sequence[str]) -> None:
        """Say what addresses the guest has, once its tools run."""
        with self._world.lock:
            self._machine(vm).guest.addresses = tuple(addresses)

    def set_state(self, vm: str, state: str) -> None:
        """Put a VM into a state at once: running, stopped or suspended."""
        with self._world.lock:
            _put(self._machine(vm), STATES[state])

    def hide_config(self, vm: str, *, hidden: bool = True, inaccessible: bool = False) -> None:
        """Let a VM have no `config`, as one that is being made, or, when its files are out of reach, inaccessible."""
        with self._world.lock:
            machine = self._machine(vm)
            machine.has_config = not hidden
            machine.connection = Connection.INACCESSIBLE if inaccessible else Connection.CONNECTED

    def rename(self, vm: str, name: str) -> None:
        """Give a VM another name behind the API's back."""
        with self._world.lock:
            self._machine(vm).name = name

    def set_bios_uuid(self, vm: str, bios_uuid: str) -> None:
        """Give a VM another BIOS UUID, such as one that another VM has too."""
        with self._world.lock:
            self._machine(vm).bios_uuid = bios_uuid.lower()

    def set_annotation(self, vm: str, annotation: str) -> None:
        """Write a VM's notes."""
        with self._world.lock:
            self._machine(vm).annotation = annotation

    def remove(self, vm: str) -> None:
        """Take a VM out of the inventory behind the API's back; its files stay."""
        with self._world.lock:
            self._world.remove(self._machine(vm))

    def _is_equipment(self, machine: Machine) -> bool:
        file = machine.datastore.files.find(machine.vmx_path)
        return file is not None and file.is_equipment

    def _machine(self, vm: str) -> Machine:
        machines = self._world.machines()
        for name in ("instance_uuid", "moid", "bios_uuid", "name"):
            for machine in machines:
                if getattr(machine, name) == vm:
                    return machine
        raise KeyError(vm)

    def _entity(self, entity: str) -> Node:
        for node in self._world.nodes.values():
            if entity in {node.moid, node.name}:
                return node
        return self._machine(entity)


STATES: Final[Mapping[str, Power]] = {"running": Power.ON, "stopped": Power.OFF, "suspended": Power.SUSPENDED}


def _put(machine: Machine, power: Power) -> None:
    if power is Power.OFF:
        machine.power_off()
    else:
        machine.power_on(0.0)
        machine.power = power
