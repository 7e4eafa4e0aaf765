"""How vSphere is asked: VMs found by UUID, listed page by page, and tasks looked at; in and out as frozen values."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, cast

from pyVmomi import vim, vmodl

from providers.credentials import Credentials
from providers.domain import Environment
from providers.errors import VMNotFoundError
from providers.network import Network
from providers.vsphere.files import Files
from providers.vsphere.images import Templates
from providers.vsphere.inventory import Inventory
from providers.vsphere.leaves import leaf_pages
from providers.vsphere.machines import LISTED, LISTED_SINCE_67, SHOWN, Machine, machine_of
from providers.vsphere.properties import Paths, Ref, Way, about, below, moref, only, pages
from providers.vsphere.session import Session
from providers.vsphere.soap import FaultError

# Not the whole of it: servers call what is no entity the entity that a task works on, which pyvmomi does not read.
_TASK: Final = ("info.state", "info.error", "info.result")
UNDER_WAY: Final = frozenset({"queued", "running"})

_RECENT_TASKS: Final = (Way(vim.TaskManager, "recentTask", ()),)
_TASK_TIMES: Final = ("info.descriptionId", "info.state", "info.queueTime")
# How `info.descriptionId` of the tasks that write to a disk ends, in lower case.
_DISK_TASKS: Final = ("copyvirtualdisk", "extendvirtualdisk")
# How long after its folder was last changed a create may begin to copy its disk, at the most.
_NEAR_SECONDS: Final = 60.0


@dataclass(frozen=True)
class Look:
    """One look at a task, and at its VM where that was asked for; `state` is blank when the server has forgotten it."""

    state: str
    fault: vmodl.MethodFault | None = None
    result: Any = None
    machine: Machine | None = None

    @property
    def is_under_way(self) -> bool:
        """Whether there is more to come."""
        return self.state in UNDER_WAY


class VSphereClient:
    """One environment's datacenter with one caller's session; used by many threads at once.

    Everything raises `FaultError` for what the server refuses.
    """

    def __init__(self, environment: Environment, session: Session) -> None:
        self._environment = environment
        self.session = session
        self.inventory = Inventory(environment, session)
        self.templates = Templates(environment, session, self.inventory)
        self.files = Files(session, self.inventory)
        knows_dates = session.api_version >= (6, 7)
        self._listed: tuple[str, ...] = LISTED_SINCE_67 if knows_dates else LISTED

    @classmethod
    def open(cls, environment: Environment, credentials: Credentials, network: Network) -> VSphereClient:
        """Log in, once."""
        return cls(environment, Session.open(environment, credentials, network))

    def machines(self) -> Iterator[Machine]:
        """All VMs and templates of the datacenter, a page at a time."""
        question = self.inventory.of_vms(self._listed)
        return map(machine_of, leaf_pages(self.session, question, self._listed))

    def machine(self, ref: vim.VirtualMachine) -> Machine:
        """One VM, with more than a list tells.

        Raises:
            FaultError: `ManagedObjectNotFound`, among others.

        """
        return machine_of(only(self.session.collector, ref, (*self._listed, *SHOWN), self.session.place))

    def find(self, uuid: str) -> vim.VirtualMachine | None:
        """The VM or template of that instance UUID in the datacenter, and nowhere else."""
        datacenter = self.inventory.datacenter().ref
        return cast(
            "vim.VirtualMachine | None",
            self.session.search.FindByUuid(datacenter, uuid.lower(), vmSearch=True, instanceUuid=True),
        )

    def find_vm(self, vm_id: str) -> vim.VirtualMachine:
        """The same; a BIOS UUID, by which older clients know VMs, leads to the VM if it is the only one of it.

        Raises:
            VMNotFoundError

        """
        found = self.find(vm_id)
        if found is not None:
            return found
        datacenter = self.inventory.datacenter().ref
        others = self.session.search.FindAllByUuid(datacenter, vm_id.lower(), vmSearch=True, instanceUuid=False)
        if len(others) > 1:
            raise VMNotFoundError(f"{len(others)} VMs have the BIOS UUID {vm_id}: use the id that the list shows.")
        if not others:
            raise self.not_found(vm_id)
        return cast("vim.VirtualMachine", others[0])

    def not_found(self, vm_id: str) -> VMNotFoundError:
        """The error for a VM that is not there."""
        return VMNotFoundError(f"There is no VM {vm_id} in environment {self._environment.name!r}.")

    def look(self, task: str, vm: str = "") -> Look:
        """Look at a task and, by the same call, at a VM.

        Raises:
            FaultError: `ManagedObjectNotFound` of the VM, among others.

        """
        questions = [about([vim.Task(task, self.session)], {vim.Task: _TASK})]
        if vm:
            paths: Paths = {vim.VirtualMachine: (*self._listed, *SHOWN)}
            questions.append(about([vim.VirtualMachine(vm, self.session)], paths))
        try:
            found = {type(one.ref): one for one in pages(self.session.collector, *questions)}
        except FaultError as error:
            gone: Ref | None = getattr(error.fault, "obj", None)
            if isinstance(error.fault, vmodl.fault.ManagedObjectNotFound) and gone is not None and moref(gone) == task:
                return Look("")
            raise
        seen, machine = found.get(vim.Task), found.get(vim.VirtualMachine)
        if seen is not None and seen.refusal is not None:
            raise FaultError(seen.refusal, "RetrievePropertiesEx", self.session.place)
        state, fault, result = (seen.values.get(path) if seen else None for path in _TASK)
        return Look(str(state or ""), fault, result, machine_of(machine) if machine else None)

    def has_disk_tasks(self, near: datetime | None = None) -> bool:
        """Return whether the server copies or extends a disk; with `near`, by a task that began around that time.

        A task does not tell its files.
        """
        manager = self.session.tasks
        if manager is None:
            return False
        question = below(manager, _RECENT_TASKS, {vim.Task: _TASK_TIMES})
        for task in pages(self.session.collector, question):
            kind, state, queued_at = (task.values.get(path) for path in _TASK_TIMES)
            if not str(kind).lower().endswith(_DISK_TASKS) or str(state) not in UNDER_WAY:
                continue
            if near is None or queued_at is None or abs((queued_at - near).total_seconds()) < _NEAR_SECONDS:
                return True
        return False

    def vm(self, ref_id: str) -> vim.VirtualMachine:
        """The VM that the server knows under an id of its own."""
        return vim.VirtualMachine(ref_id, self.session)

    def close(self) -> None:
        """Log out."""
        self.session.close()
