"""How a VM is made: what is alike on vCenter and on a standalone host; and on vCenter, as a copy of a template."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Final, cast

from pyVmomi import vim, vmodl

from providers.domain import Environment, Operation, Verb, VMSpec
from providers.driver import Work
from providers.errors import ProviderError, UnprocessableError, VMNotFoundError
from providers.vsphere import placement, retries
from providers.vsphere.client import VSphereClient
from providers.vsphere.drafts import Draft
from providers.vsphere.failures import is_in_state
from providers.vsphere.history import history
from providers.vsphere.images import file_of
from providers.vsphere.machines import Machine
from providers.vsphere.placement import Placement
from providers.vsphere.progress import Goal
from providers.vsphere.properties import moref
from providers.vsphere.removing import Remover
from providers.vsphere.soap import FaultError
from providers.vsphere.specs import clone_spec

FAILURES: Final = (ProviderError, FaultError)
ON, OFF = "poweredOn", "poweredOff"
_START: Final = "PowerOnVM_Task"
_REPEAT = "Repeat the request with the same Idempotency-Key: if the VM was made, it is returned."


class Creator(ABC):
    """One create at work."""

    # The task that starts the VM that this create has made.
    _start_task = ""

    def __init__(self, environment: Environment, client: VSphereClient, spec: VMSpec, work: Work) -> None:
        self._environment = environment
        self._client = client
        self._draft = Draft.of(environment, spec)
        self._work = work
        self._remover = Remover(client, work)
        self._datacenter = client.inventory.datacenter()

    def begin(self) -> Operation:
        """Make the VM, or finish what an earlier request with the same key made; the last step is left open."""
        earlier = self._earlier() if self._draft.is_keyed else None
        if earlier is not None:
            return earlier
        try:
            return self._make()
        except (UnprocessableError, FaultError):
            # What was missing may be there by the next try, which must not be refused by what was kept.
            self._client.inventory.forget()
            raise

    @abstractmethod
    def _make(self) -> Operation:
        """Make the VM; the last step is left open."""

    # A VM that is there.

    def _earlier(self) -> Operation | None:
        """Return the VM of an earlier request with the same key, started if that one did not come to it."""
        machine = retries.existing(self._client, self._draft.uuid, self._draft.digest)
        return self._completed(machine) if machine is not None else None

    def _completed(self, machine: Machine) -> Operation:
        """Start a VM that should have been started and has never run. One that has was stopped by somebody."""
        if not self._draft.spec.start or machine.power != OFF or machine.is_template:
            return done_with(machine)
        try:
            seen = history(self._client.session, machine.ref)
            if not seen.never_ran:
                return done_with(machine)
            machine = self._wait_for_start(machine)
            if machine.power != OFF:
                return done_with(machine)
            self._remove_unused(seen.files)
            return self._started(machine.ref)
        except FaultError as error:
            if isinstance(error.fault, vmodl.fault.ManagedObjectNotFound):
                raise retries.still_at_work() from error
            raise
        except VMNotFoundError as error:
            raise retries.still_at_work() from error

    def _wait_for_start(self, machine: Machine) -> Machine:
        """Give the earlier request, which may not have ended, the time to start its VM itself."""
        goal = Goal(_START, vm=machine.moref, state=ON)
        self._work.finish(Operation(Verb.CREATE, machine.uuid, str(goal)))
        return self._client.machine(machine.ref)

    @abstractmethod
    def _remove_unused(self, used: Sequence[str]) -> None:
        """Remove what earlier tries left beside the files that their VM uses."""

    def _started(self, ref: vim.VirtualMachine, files: str = "", disk: str = "") -> Operation:
        """Start a VM; this is the last step."""
        try:
            task = ref.PowerOn(None)
        except FaultError as error:
            # Another request with the same key was first, or this call was carried out and its answer lost.
            if is_in_state(error.fault, ON):
                return done_with(self._client.machine(ref))
            if self._draft.is_keyed and isinstance(error.fault, vim.fault.TaskInProgress):
                raise retries.still_at_work() from error
            raise
        self._start_task = moref(task)
        return self._last_step(_START, task, moref(ref), files, disk)

    # Steps.

    def _finish(self, call: str, task: vim.Task) -> Operation:
        """Wait for a step in between."""
        return self._work.finish(Operation(Verb.CREATE, None, str(Goal(call, moref(task)))))

    def _last_step(self, call: str, task: vim.Task, vm: str = "", files: str = "", disk: str = "") -> Operation:
        draft = self._draft
        state = ON if draft.spec.start else OFF
        goal = Goal(call, moref(task), vm, state, draft.creation, draft.digest, files, disk)
        return Operation(Verb.CREATE, draft.uuid, str(goal))

    def _made_vm(self, task: str = "") -> None:
        self._work.made("vm", self._draft.uuid, lambda: self._remove_created(task))

    def _remove_created(self, task: str = "") -> None:
        draft = self._draft
        self._remover.remove_created(
            draft.uuid, draft.creation, task, is_keyed=draft.is_keyed, start_task=self._start_task
        )

    # A VM whose making was not answered.

    def _cope_with_loss(self, error: Exception, call: str, place: Placement, *, lasting: bool) -> None:
        """If the answer to the making got lost, see that no VM is left behind; a `lasting` one is for the next try."""
        if not isinstance(error, ProviderError) or not error.answer_lost:
            return
        advice = _REPEAT if lasting else self._search_lost(call, place)
        raise type(error)(f"{error.detail} {advice}", backend=error.backend) from error

    def _search_lost(self, call: str, place: Placement) -> str:
        """Look for the VM whose making was not answered, so that it is removed; what to tell the caller."""
        try:
            is_made = self._was_made(call, place)
        except FAILURES:
            self._work.made("vm", self._draft.uuid, lambda: self._remove_lost(call, place))
            return "Whether a VM was made could not be found out: look for it before you try again."
        if not is_made:
            return "No VM was made."
        self._made_vm()
        return "The VM was made all the same; `leftovers` tells whether it could be removed."

    def _was_made(self, call: str, place: Placement) -> bool:
        """Whether there is a VM of this create, although nobody said so; waits for one that is being made."""
        operation = retries.searched(call, self._draft, moref(place.folder))
        found = retries.search(self._client, operation, Goal.read(operation.handle))
        return (found if found.done else self._work.finish(found)).vm_id is not None

    def _remove_lost(self, call: str, place: Placement) -> None:
        """Remove a VM that may not have been there when time ran out, and may have come since."""
        if self._was_made(call, place):
            self._remove_created()


class VCenterCreator(Creator):
    """Copies a template, by one task."""

    def _make(self) -> Operation:
        try:
            return self._clone()
        except FaultError as error:
            if not isinstance(error.fault, vmodl.fault.ManagedObjectNotFound):
                raise
        # The cache is out of date. For example, a template was replaced by one with the same name.
        self._client.inventory.forget()
        self._client.templates.forget()
        return self._clone()

    def _clone(self) -> Operation:
        draft, image = self._draft, self._draft.spec.offer.image
        if file_of(image) is not None:
            raise UnprocessableError(
                f"The machine type's image {image!r} is a file, which only a standalone ESXi host makes VMs of: for "
                "this vCenter it must be the name or the inventory path of a template."
            )
        place = placement.for_clone(self._environment, self._client.inventory.places())
        template = self._client.templates.find(image)
        folder = cast("vim.Folder", place.folder)
        try:
            task = template.ref.Clone(folder, draft.spec.name, clone_spec(draft, template, place))
        except FAILURES as error:
            self._cope_with_loss(error, "CloneVM_Task", place, lasting=draft.is_keyed)
            earlier = self._of_that_name(error) if draft.is_keyed else None
            if earlier is not None:
                return earlier
            raise
        self._made_vm(moref(task))
        return self._last_step("CloneVM_Task", task)

    def _remove_unused(self, used: Sequence[str]) -> None:
        """Nothing: vCenter itself removes what a copy that fails leaves."""

    def _of_that_name(self, error: Exception) -> Operation | None:
        """Return the VM of an earlier request with the same key, if a create was refused because it has the name."""
        if not isinstance(error, FaultError) or not isinstance(error.fault, vim.fault.DuplicateName):
            return None
        machine = retries.of_that_name(self._client, self._draft.uuid, self._draft.digest, error.fault)
        return self._completed(machine) if machine is not None else None


def done_with(machine: Machine) -> Operation:
    """Return a create that is done, with its VM."""
    return Operation(Verb.CREATE, machine.uuid, done=True, vm=machine.vm)
