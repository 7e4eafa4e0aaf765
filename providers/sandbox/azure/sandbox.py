"""The Azure simulator's face: started and stopped, given faults and VMs, and looked into, by tests."""

from collections.abc import Collection, Mapping

from providers.sandbox.authority import Authority
from providers.sandbox.azure import ids
from providers.sandbox.azure.access import Grant
from providers.sandbox.azure.app import AzureApp
from providers.sandbox.azure.clock import earlier
from providers.sandbox.azure.entra import Principal
from providers.sandbox.azure.failures import failure, throttling
from providers.sandbox.azure.knobs import Knobs, LockLevel
from providers.sandbox.azure.records import (
    SimulatedDisk,
    SimulatedNic,
    SimulatedOperation,
    SimulatedVM,
    record_disk,
    record_nic,
    record_operation,
    record_vm,
)
from providers.sandbox.azure.resources import VM, Cloud, NicReference
from providers.sandbox.azure.seeds import (
    LOCATION,
    RESOURCE_GROUP,
    SUBSCRIPTION,
    TENANT,
    equip,
    seed_nic,
    seed_vm,
)
from providers.sandbox.simulator import Simulator

CLIENT_ID = "demo@sandbox"
SECRET = "demo"  # noqa: S105 - the sandbox's own, known to everybody
EVERYTHING = frozenset({"*"})


class AzureSandbox(Simulator):
    """A tenant and a subscription at `url`, from `start` to `stop`; may be used as a context manager.

    Its address is Entra's as well as ARM's. `knobs` says how long things take and how operations are told; it may be
    changed at any time, and a reset undoes that. VMs are named without regard to case.
    """

    def __init__(self, authority: Authority, *, task_seconds: float = 1.0, port: int = 0) -> None:
        super().__init__()
        self._usual_task_seconds = task_seconds
        self._cloud = Cloud(TENANT, SUBSCRIPTION, LOCATION)
        self.reset()
        self.be_served(AzureApp(self._cloud, self.faults, self.calls), authority, port)

    @property
    def knobs(self) -> Knobs:
        """How long things take, and how operations are told."""
        return self._cloud.knobs

    def reset(self) -> None:
        """Everything as at the start: a group, a network, a principal; no VM, fault, lock, token or count of calls."""
        self.faults.clear()
        with self._cloud.lock:
            self._cloud.clear(Knobs(task_seconds=self._usual_task_seconds))
            equip(self._cloud)
            self.add_principal(CLIENT_ID, SECRET)
        self.calls.clear()

    # Who may do what.

    def add_principal(
        self,
        client_id: str,
        secret: str,
        *,
        actions: Collection[str] | None = None,
        scope: str | None = None,
        secret_expired: bool = False,
    ) -> None:
        """Add an application with a set of actions at a scope; all of them, at the subscription, by default."""
        granted = EVERYTHING if actions is None else frozenset(actions)
        principal = Principal(client_id, secret, [Grant(granted, scope or _subscription())], secret_expired)
        with self._cloud.lock:
            self._cloud.entra.principals[client_id.lower()] = principal

    def grant(self, client_id: str, actions: Collection[str], scope: str) -> None:
        """Give an application further actions at another scope."""
        with self._cloud.lock:
            self._cloud.entra.principals[client_id.lower()].grants.append(Grant(frozenset(actions), scope))

    def access_tokens(self) -> tuple[str, ...]:
        """Return the access tokens given, oldest first."""
        with self._cloud.lock:
            return tuple(self._cloud.entra.tokens)

    def expire_tokens(self) -> None:
        """Let every token given so far be too old."""
        with self._cloud.lock:
            self._cloud.entra.expire_tokens()

    @property
    def token_requests(self) -> int:
        """How many tokens were given."""
        return self._cloud.entra.given

    @property
    def failed_token_requests(self) -> int:
        """How many tokens were refused."""
        return self._cloud.entra.refused

    # What there is.

    def seed(self, count: int, *, prefix: str = "vm", state: str = "running", group: str = RESOURCE_GROUP) -> list[str]:
        """Make VMs without HTTP, named `<prefix>-0001` and so on."""
        names = [f"{prefix}-{number:04}" for number in range(1, count + 1)]
        with self._cloud.lock:
            for name in names:
                seed_vm(self._cloud, self._cloud.groups[group.lower()], name, state)
        return names

    def add_resource_group(self, name: str) -> None:
        """Add a resource group."""
        with self._cloud.lock:
            self._cloud.groups[name.lower()] = name

    def add_network_interface(self, name: str) -> str:
        """Add a network interface that no VM has, and return its id."""
        with self._cloud.lock:
            return seed_nic(self._cloud, RESOURCE_GROUP, name)

    def tag_network_interface(self, name: str, tags: Mapping[str, str]) -> None:
        """Tag a network interface behind the API's back."""
        with self._cloud.lock:
            self._cloud.nics[RESOURCE_GROUP.lower(), name.lower()].tags = dict(tags)

    def give_network_interface(self, name: str, vm: str) -> None:
        """Attach a network interface to a VM behind the API's back."""
        with self._cloud.lock:
            machine = self._find(vm)
            machine.nics.append(NicReference(RESOURCE_GROUP, name, primary=False, delete_option="Detach"))
            self._cloud.nics[RESOURCE_GROUP.lower(), name.lower()].vm = self._cloud.id_of(ids.VM, machine)

    def age(self, seconds: float, *, ends: bool = True) -> None:
        """Let all VMs and disks be this much older; with `ends`, the ends of their last operations, too."""
        with self._cloud.lock:
            self._cloud.operations.settle()
            for machine in self._cloud.vms.values():
                machine.time_created = earlier(machine.time_created, seconds)
                machine.changed = earlier(machine.changed, seconds if ends else 0)
            for disk in self._cloud.disks.values():
                disk.time_created = earlier(disk.time_created, seconds)
                disk.owner_changed = disk.owner_changed and earlier(disk.owner_changed, seconds)

    def vms(self) -> tuple[SimulatedVM, ...]:
        """The VMs, oldest first."""
        with self._cloud.lock:
            self._cloud.operations.settle()
            return tuple(record_vm(self._cloud, machine) for machine in self._cloud.vms.values())

    def vm(self, name: str, *, group: str = RESOURCE_GROUP) -> SimulatedVM:
        """One VM; raises `KeyError`."""
        with self._cloud.lock:
            return record_vm(self._cloud, self._find(name, group))

    def custom_data(self, name: str) -> bytes | None:
        """A VM's custom data, decoded, which no answer ever shows; None when it was given none."""
        with self._cloud.lock:
            return self._find(name).custom_data

    def network_interfaces(self) -> tuple[SimulatedNic, ...]:
        """All network interfaces; what is left when no VM is has leaked."""
        with self._cloud.lock:
            self._cloud.operations.settle()
            return tuple(record_nic(self._cloud, nic) for nic in self._cloud.nics.values())

    def disks(self) -> tuple[SimulatedDisk, ...]:
        """All disks; what is left when no VM is has leaked."""
        with self._cloud.lock:
            self._cloud.operations.settle()
            return tuple(record_disk(self._cloud, disk) for disk in self._cloud.disks.values())

    def operations(self, kind: str | None = None) -> tuple[SimulatedOperation, ...]:
        """The operations begun so far, of one kind (`VirtualMachines_Start`) or of all, oldest first."""
        with self._cloud.lock:
            self._cloud.operations.settle()
            every = self._cloud.operations.all.values()
            return tuple(record_operation(operation) for operation in every if kind in {None, operation.kind})

    # What befalls it.

    def fail_next_operation(
        self, kind: str, code: str = "InternalExecutionError", message: str = "", *, canceled: bool = False
    ) -> None:
        """Let the next operation of a kind (`VirtualMachines_CreateOrUpdate`) be accepted, and fail later.

        A creation that fails in its allocation leaves the VM and its network interface, one that fails later the
        disk too.
        """
        with self._cloud.lock:
            self._cloud.operations.planned.append(failure(kind, code, message, canceled=canceled))

    def finish_operations(self) -> None:
        """Let every operation that runs be over at once."""
        with self._cloud.lock:
            self._cloud.operations.finish()

    def throttle(self, operation: str, *, retry_after_seconds: int = 1, times: int | None = 1) -> None:
        """Let calls be refused as the compute provider refuses too many: 429 with details and Retry-After."""
        self.faults.add(throttling(operation, retry_after_seconds, times))

    def set_quota(self, cores: int | None, *, code: str = "OperationNotAllowed") -> None:
        """Allow so many cores in the region, or any number with None; some calls say `QuotaExceeded` instead."""
        with self._cloud.lock:
            self._cloud.quota = None if cores is None else (cores, code)

    def lock(self, name: str, level: LockLevel = LockLevel.CAN_NOT_DELETE) -> None:
        """Lock a resource group or a VM."""
        with self._cloud.lock:
            self._cloud.locks[self._scope(name)] = level

    def unlock(self, name: str) -> None:
        """Take a lock away."""
        with self._cloud.lock:
            self._cloud.locks.pop(self._scope(name), None)

    def ignore_shutdown(self, name: str, *, ignore: bool = True) -> None:
        """Let this guest ignore every request to shut down, or heed them again."""
        with self._cloud.lock:
            self._find(name).is_deaf = ignore

    def set_state(self, name: str, power: str | None, *, provisioning: str = "Succeeded") -> None:
        """Put a VM into a state at once: running, stopped, deallocated or between them."""
        with self._cloud.lock:
            machine = self._find(name)
            machine.power, machine.provisioning = power, provisioning

    def set_tags(self, name: str, tags: Mapping[str, str]) -> None:
        """Tag a VM behind the API's back."""
        with self._cloud.lock:
            self._find(name).tags = dict(tags)

    def remove(self, name: str) -> None:
        """Let a VM vanish as its DELETE would have it, behind the API's back."""
        with self._cloud.lock:
            machine = self._find(name)
            running = self._cloud.operation_of(machine)
            if running is not None:
                self._cloud.operations.preempt(running)
            self._cloud.remove_vm(machine)

    def _find(self, name: str, group: str = RESOURCE_GROUP) -> VM:
        self._cloud.operations.settle()
        return self._cloud.vms[group.lower(), name.lower()]

    def _scope(self, name: str) -> str:
        group = self._cloud.groups.get(name.lower())
        if group is not None:
            return ids.group_id(SUBSCRIPTION, group)
        return ids.resource_id(SUBSCRIPTION, RESOURCE_GROUP, ids.VM, name)


def _subscription() -> str:
    return ids.subscription_id(SUBSCRIPTION)
