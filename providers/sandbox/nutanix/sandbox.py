"""The Nutanix simulator's face: started and stopped, given faults and VMs, and looked into, by tests."""

from collections.abc import Collection
from dataclasses import replace
from typing import Literal

from providers.sandbox.authority import Authority
from providers.sandbox.nutanix.accounts import RIGHTS, Caller
from providers.sandbox.nutanix.app import PrismApp
from providers.sandbox.nutanix.estate import Estate
from providers.sandbox.nutanix.inventory import CLUSTER
from providers.sandbox.nutanix.knobs import Knobs
from providers.sandbox.nutanix.machines import Machine, Power
from providers.sandbox.nutanix.records import (
    SimulatedDisk,
    SimulatedTask,
    SimulatedVM,
    disk_records,
    task_record,
    vm_record,
)
from providers.sandbox.nutanix.refusals import Trouble
from providers.sandbox.nutanix.seeds import Seeds
from providers.sandbox.nutanix.tasks import PlannedFailure
from providers.sandbox.nutanix.v2.api import V2Api
from providers.sandbox.nutanix.v3.api import V3Api
from providers.sandbox.nutanix.v4.api import V4Api
from providers.sandbox.nutanix.v4.showing import ETAG_PREFIX, etag
from providers.sandbox.nutanix.work import Works
from providers.sandbox.simulator import Simulator

USER = "demo@sandbox"
PASSWORD = "demo"  # noqa: S105 - the sandbox's own, known to everybody
CENTRAL_VERSIONS = ("v3", "v4.0", "v4.1", "v4.2")

Kind = Literal["element", "central"]


class NutanixSandbox(Simulator):
    """A Prism at `url`, from `start` to `stop`; may be used as a context manager.

    An `element` speaks v2.0 about its one cluster. A `central` speaks v3 and v4 about its cluster, or its two, and
    says in v2.0 only what it is; `versions` are the APIs that it speaks: an old one `("v3",)`. Without an authority it
    speaks plain HTTP, which Prism never does. `knobs` may be changed at any time, and a reset undoes that.
    """

    def __init__(  # noqa: PLR0913 - each of them says what Prism this is
        self,
        authority: Authority | None = None,
        *,
        kind: Kind = "element",
        versions: Collection[str] | None = None,
        clusters: int = 1,
        task_seconds: float = 1.0,
        port: int = 0,
    ) -> None:
        super().__init__()
        self._usual_task_seconds = task_seconds
        is_central = kind == "central"
        served = frozenset((CENTRAL_VERSIONS if is_central else ()) if versions is None else versions)
        self._served = served
        self._estate = Estate(is_central=is_central, cluster_count=clusters, versions=served)
        self._works = Works(self._estate)
        self.reset()
        apis = [api(self._estate, self._works) for api in (V2Api, V3Api, V4Api)]
        self.be_served(PrismApp(self._estate, apis, self.faults, self.calls), authority, port)

    @property
    def knobs(self) -> Knobs:
        """How long things take, and how this Prism behaves where Prisms differ."""
        return self._estate.knobs

    def reset(self) -> None:
        """Everything as at the start: no VM, task, session, fault; no knob turned, no call counted; one user."""
        self.faults.clear()
        with self._estate.lock:
            self._estate.clear(Knobs(task_seconds=self._usual_task_seconds))
            self._estate.versions = self._served
            self._estate.accounts.add_user(USER, PASSWORD)
        self.calls.clear()

    # Who may do what.

    def add_user(self, user: str, password: str, *, rights: Collection[str] = RIGHTS) -> None:
        """Add a user; `rights` are some of view, create, update, power and delete, by default all."""
        self._estate.accounts.add_user(user, password, rights)

    @property
    def logins(self) -> int:
        """How many calls came with a password that was right, and without a session that was good."""
        return self._estate.accounts.logins

    @property
    def failed_logins(self) -> int:
        """How many log-ins have failed."""
        return self._estate.accounts.failed_logins

    def session_cookies(self) -> tuple[str, ...]:
        """Return the cookies of the sessions that are open."""
        return self._estate.accounts.cookies()

    def drop_sessions(self) -> None:
        """Let every session cookie given so far be good no more."""
        self._estate.accounts.drop_sessions()

    # What there is.

    def seed(
        self,
        count: int,
        *,
        prefix: str = "vm",
        state: str = "ON",
        host: str | None = None,
        cluster: str = CLUSTER,
    ) -> list[str]:
        """Make VMs without HTTP, named `<prefix>-0001` and so on; the uuids are in that order.

        They are on the cluster's hosts in turn, or on the one that is named; those that are off are on none.
        """
        names = [f"{prefix}-{number:04}" for number in range(1, count + 1)]
        with self._estate.lock:
            return Seeds(self._estate, self._works).sow(names, Power(state), cluster, host)

    def vms(self) -> tuple[SimulatedVM, ...]:
        """The VMs, oldest first."""
        with self._estate.lock:
            self._estate.tasks.settle()
            return tuple(vm_record(machine) for machine in self._estate.machines.values())

    def vm(self, uuid: str) -> SimulatedVM:
        """One VM; raises `KeyError`."""
        with self._estate.lock:
            return vm_record(self._machine(uuid))

    def disks(self) -> tuple[SimulatedDisk, ...]:
        """The disks of all VMs."""
        with self._estate.lock:
            self._estate.tasks.settle()
            return tuple(disk for machine in self._estate.machines.values() for disk in disk_records(machine))

    def user_data(self, uuid: str) -> bytes | None:
        """What cloud-init in the VM's guest finds as its user data, byte for byte; None when there is none."""
        with self._estate.lock:
            return self._machine(uuid).spec.user_data

    def unmade(self) -> tuple[str, ...]:
        """The uuids of v3's intents that have come to nothing, and are still shown as errors."""
        with self._estate.lock:
            self._estate.tasks.settle()
            return tuple(uuid for uuid in self._estate.intents if uuid not in self._estate.machines)

    def tasks(self, kind: str | None = None) -> tuple[SimulatedTask, ...]:
        """The tasks begun so far, of one kind (`create`, `on`, …) or of all, oldest first."""
        with self._estate.lock:
            self._estate.tasks.settle()
            return tuple(
                task_record(task) for task in self._estate.tasks.all.values() if kind in {None, task.operation.value}
            )

    def etag(self, uuid: str) -> str:
        """A VM's ETag of this moment, as v4's header has it."""
        with self._estate.lock:
            return f"{ETAG_PREFIX}:{etag(self._machine(uuid))}"

    # What befalls it.

    def upgrade(self, versions: Collection[str]) -> None:
        """Let a Central speak other APIs from now on, as after an upgrade; its VMs and sessions stay."""
        with self._estate.lock:
            self._estate.versions = frozenset(versions)

    def fail_next_task(
        self, step: str, message: str, *, group: str = "INTERNAL_ERROR", work_done: bool = False
    ) -> None:
        """Let the next task that comes to a step fail there: create, clone, update, delete or power.

        The step is not done, or with `work_done` (create only) it is done nonetheless. `clone` is of a create whose
        disks have a source; `power` is also the end of a v3 create that powers on. `group` is v4's word for it.
        """
        with self._estate.lock:
            self._estate.tasks.planned.append(PlannedFailure(step, Trouble(message, group=group), work_done))

    def break_image(self, uuid: str) -> None:
        """Let every clone of an image fail."""
        with self._estate.lock:
            self._estate.inventory.broken_images.add(uuid)

    def ignore_shutdown(self, uuid: str, *, ignore: bool = True) -> None:
        """Let this guest ignore the ACPI button; or heed it again."""
        with self._estate.lock:
            self._machine(uuid).guest.heeds_acpi = not ignore

    def install_tools(self, uuid: str) -> None:
        """Put Nutanix Guest Tools into a guest, which guest-shutdown and guest-reboot need."""
        with self._estate.lock:
            self._machine(uuid).guest.has_tools = True

    def set_state(self, uuid: str, state: str) -> None:
        """Put a VM into a state at once: ON, OFF, PAUSED or SUSPENDED."""
        with self._estate.lock:
            machine = self._machine(uuid)
            self._works.power.put(machine, Power(state))
            machine.changed()

    def set_description(self, uuid: str, description: str) -> None:
        """Edit a VM's description, as people do in Prism."""
        with self._estate.lock:
            machine = self._machine(uuid)
            machine.spec = replace(machine.spec, description=description)
            machine.changed()

    def touch(self, uuid: str) -> None:
        """Change a VM behind everybody's back: its ETag and its spec version are others from now on."""
        with self._estate.lock:
            machine = self._machine(uuid)
            machine.spec_version += 1
            machine.changed()

    def clone(self, uuid: str) -> str:
        """Begin to copy a VM, as people do in Prism; return the copy's uuid."""
        with self._estate.lock:
            return self._works.clone(Caller(USER, RIGHTS), self._machine(uuid)).subject

    def delete(self, uuid: str) -> None:
        """Delete a VM behind everybody's back."""
        with self._estate.lock:
            del self._estate.machines[self._machine(uuid).uuid]
            self._estate.intents.pop(uuid, None)

    def _machine(self, uuid: str) -> Machine:
        self._estate.tasks.settle()
        return self._estate.machines[uuid]
