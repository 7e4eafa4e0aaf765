"""VMs that are being made: their name and files are theirs from the start, and gone when it comes to nothing."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from pyVmomi import vim, vmodl

from providers.sandbox.vsphere import specs
from providers.sandbox.vsphere.calls import Call
from providers.sandbox.vsphere.device_plans import Plan
from providers.sandbox.vsphere.files import File
from providers.sandbox.vsphere.inventory import Datastore, Folder, Holds, Host, Pool
from providers.sandbox.vsphere.machines import Machine
from providers.sandbox.vsphere.refusals import invalid_argument, refusal
from providers.sandbox.vsphere.tasks import Work
from providers.sandbox.vsphere.world import World

VMX: Final = File(4096)


@dataclass(frozen=True)
class Place:
    """Where a new VM goes; the path is of its folder, or of its configuration file."""

    folder: Folder
    pool: Pool
    host: Host
    datastore: Datastore
    path: str

    def machine(self, world: World, name: str) -> Machine:
        """A new VM there, with nothing in it."""
        path = self.path or self.datastore.files.free_name(name)
        return Machine(
            ref=vim.VirtualMachine(world.machine_id()),
            name=name,
            host=self.host,
            pool=self.pool,
            datastore=self.datastore,
            vmx_path=path if path.endswith(".vmx") else f"{path}/{name}.vmx",
        )


@dataclass(frozen=True)
class Birth:
    """A VM that is being made: what it will be, its files, and the folder that it will be in."""

    world: World
    folder: Folder
    machine: Machine
    plan: Plan

    @contextmanager
    def reserved(self) -> Iterator[None]:
        """Have its name and its files for itself; all of them go when it comes to nothing."""
        claim = (self.folder, self.machine.name)
        self.world.claims[claim] = self.machine.ref
        try:
            self.plan.make()
            yield
        except vmodl.MethodFault:
            self.plan.undo()
            raise
        finally:
            self.world.claims.pop(claim, None)

    def complete(self) -> None:
        """Be in the inventory."""
        self.plan.finish()
        self.machine.devices = self.plan.devices
        self.world.add(self.machine, self.folder)


def birth(world: World, folder: Folder, machine: Machine, plan: Plan) -> Birth:
    """A VM to be made; raises InsufficientStorageSpace when it does not fit."""
    plan.refuse_full_datastores()
    plan.made.insert(0, (machine.datastore, machine.vmx_path, VMX))
    return Birth(world, folder, machine, plan)


def begin(call: Call, entity: Any, conceive: Callable[[], Birth], config: Any, *, is_on: bool = False) -> Any:
    """Begin the task that makes a VM, and return its reference."""
    births: list[Birth] = []

    def check() -> None:
        births[:] = [conceive()]

    def work() -> Work:
        (born,) = births
        with born.reserved():
            yield call.world.knobs.task_seconds
        if config is not None:
            specs.apply(config, born.machine)
            call.world.tell_apart(born.machine)
        born.complete()
        if is_on:
            born.machine.power_on(call.world.knobs.boot_seconds)
        return born.machine.ref

    return call.fork(entity, work(), check=check, is_cancelable=True)


def refuse_place(world: World, folder: Folder, name: str | None) -> None:
    """Refuse a folder that is not for VMs, a name that no VM can have, and one that is taken."""
    if folder.holds is not Holds.VMS:
        raise refusal("NotSupported")
    specs.refuse_name(name)
    refuse_taken(world, folder, str(name))


def refuse_taken(world: World, folder: Folder, name: str) -> None:
    """Refuse a name that something in the folder has, or a VM that is being made; raises DuplicateName."""
    for child in folder.children:
        if child.name == name:
            raise refusal("DuplicateName", name=name, object=child.ref)
    if (folder, name) in world.claims:
        raise refusal("DuplicateName", name=name, object=world.claims[folder, name])


def choose_host(world: World, pool: Pool, named: Any, preferred: Host | None = None) -> Host:
    """The host that is named, which has to be the pool's, or else one of the pool's."""
    hosts = pool.compute.hosts
    if named is not None:
        host = world.find(named, Host)
        if host not in hosts:
            raise invalid_argument("host")
        return host
    return preferred if preferred is not None and preferred in hosts else hosts[0]
