"""The making of one VM, step by step, each with its way back."""

from __future__ import annotations

from typing import Final

from providers.domain import VM, Operation, Verb, VMStatus
from providers.driver import Work
from providers.errors import ConflictError, key_reused
from providers.nutanix.client import Check, PrismClient
from providers.nutanix.failures import FAILURES, failure_of
from providers.nutanix.lookups import Lookups
from providers.nutanix.progress import CREATE, Step, is_missing
from providers.nutanix.recipe import Recipe
from providers.nutanix.records import Action, Machine, NewMachine, Submitted, TaskStatus
from providers.nutanix.removal import APPEARS_SECONDS, Removal
from providers.nutanix.rivals import Rivals

# How many request ids a key leads to: one is spent when the VM that it made has been deleted, or its making failed.
REQUESTS: Final = 5


class AnothersVMError(Exception):
    """A VM is not this try's but that of another with the same key."""

    def __init__(self, machine: Machine) -> None:
        super().__init__(machine.id)
        self.machine = machine


class Creation:
    """One create."""

    def __init__(self, client: PrismClient, lookups: Lookups, recipe: Recipe, work: Work) -> None:
        self._client = client
        self._lookups = lookups
        self._recipe = recipe
        self._work = work
        self._removal = Removal(client, work)
        self._rivals = Rivals(client, work, recipe.request_key)

    def run(self) -> Operation:
        """Make a VM; the last step is left open."""
        new, submitted = self._submitted(0)
        if self._client.starts:
            handle = str(Step(CREATE, submitted.task))
            return Operation(Verb.CREATE, submitted.vm_id, handle)
        return self._started(new, self._finished(submitted))

    def run_keyed(self) -> Operation:
        """Make a VM, or complete the one that a try with the same key has made: its description says so.

        Prism keeps two tries at the same moment apart by v4's request id. By v2.0 and v3 the tries of one session
        follow each other, each looks for what is there, and what those of two sessions have made is settled when it
        is there (see `rivals`).
        """
        machine = self._made_before()
        return self.complete(machine) if machine else self._run_keyed()

    def complete(self, machine: Machine) -> Operation:
        """Give the VM of another try what it may lack: its start. It is that try's to remove.

        Raises:
            UnprocessableError: the other try has other content.

        """
        if machine.notes.request_digest != self._recipe.spec.request_digest:
            raise key_reused(machine.id)
        if machine.status is VMStatus.CREATING:
            raise ConflictError(f"Another request with this Idempotency-Key is making VM {machine.id}; try again.")
        if not self._recipe.spec.start or machine.status is VMStatus.RUNNING:
            return Operation(Verb.CREATE, machine.id, done=True, vm=machine.vm)
        return self._powered_on(machine.id, machine.vm)

    def _made_before(self) -> Machine | None:
        """The VM of an earlier try; of two that stay nonetheless every try takes the same."""
        found = self._of_key()
        if len(found) > 1:
            self._rivals.settle()
            found = self._of_key()
        return min(found, key=lambda one: one.id, default=None)

    def _of_key(self) -> list[Machine]:
        key = self._recipe.request_key
        return [machine for machine in self._client.list_vms(self._lookups.scope()) if machine.is_of_key(key)]

    def _run_keyed(self) -> Operation:
        for attempt in range(REQUESTS):
            new, submitted = self._submitted(attempt)
            if not self._is_spent(submitted):
                break
            if attempt < REQUESTS - 1:
                self._work.forget(_made_id(submitted))
        else:
            # Where the last of them failed, that is what is told.
            self._work.forget(self._finished(submitted))
            raise ConflictError("What this Idempotency-Key has made was deleted again and again: use a new key.")
        vm_id = self._finished(submitted)
        if not self._client.remembers_requests and (other := self._rivals.survivor(vm_id)):
            return self.complete(other)
        if self._client.starts:
            return Operation(Verb.CREATE, vm_id, done=True)
        try:
            return self._started(new, vm_id)
        except AnothersVMError as error:
            self._work.forget(vm_id)
            return self.complete(error.machine)

    def _is_spent(self, submitted: Submitted) -> bool:
        """Whether Prism has answered with the task of an earlier try, of which no VM is left."""
        if not self._client.remembers_requests:
            return False
        task = self._client.task(submitted.task)
        if task.status is TaskStatus.FAILED:
            # It may be this try's own, if it has failed at once.
            return not self._removal.search(self._recipe.spec.name, self._recipe.creation)
        if task.status is TaskStatus.RUNNING or not task.vm_id:
            return False
        try:
            self._client.get_vm(task.vm_id)
        except FAILURES as error:
            if is_missing(error):
                return True
            raise
        return False

    def _submitted(self, attempt: int) -> tuple[NewMachine, Submitted]:
        """A VM whose making was accepted; if the answer got lost, see that it is not left behind."""
        cluster = self._lookups.cluster()
        image = self._lookups.image(self._recipe.spec.offer.image)
        new = self._recipe.machine(image, self._lookups.network(cluster), cluster, attempt)
        try:
            submitted = self._client.create_vm(new)
        except FAILURES as error:
            self._lookups.forget()
            failure = failure_of(error)
            if not failure.answer_lost:
                raise failure from error
            raise type(failure)(f"{failure.detail} {self._search_lost()}", backend=failure.backend) from error
        self._note_made(_made_id(submitted), submitted.vm_id, submitted.task)
        return new, submitted

    def _search_lost(self) -> str:
        """Look for a VM whose making was not answered, so that it is removed; what to tell the caller."""
        name = self._recipe.spec.name
        try:
            vm_id = self._removal.search(name, self._recipe.creation, APPEARS_SECONDS)
        except FAILURES:
            self._note_made(name, "", "")
            return f"Whether VM {name} was made could not be found out in time: look for it if it was not removed."
        if not vm_id:
            return "No VM of this request was found."
        self._note_made(vm_id, vm_id, "")
        return "The VM that was made is removed again."

    def _finished(self, submitted: Submitted) -> str:
        """The VM's id, once it is there with its disks."""
        operation = Operation(Verb.CREATE, submitted.vm_id or None, str(Step(CREATE, submitted.task)))
        try:
            vm_id = self._work.finish(operation).vm_id or self._searched()
        except FAILURES:
            self._lookups.forget()
            if self._came_to_nothing(submitted):
                self._work.forget(_made_id(submitted))
            raise
        self._work.forget(_made_id(submitted))
        self._note_made(vm_id, vm_id, "")
        return vm_id

    def _searched(self) -> str:
        """The id of a VM that its task does not name."""
        vm_id = self._removal.search(self._recipe.spec.name, self._recipe.creation, APPEARS_SECONDS)
        if not vm_id:
            raise ConflictError("Nutanix has made the VM, and it was gone before its id was known; try again.")
        return vm_id

    def _came_to_nothing(self, submitted: Submitted) -> bool:
        """Whether a making that failed is known to have left nothing; v3 leaves the intent."""
        if submitted.vm_id:
            return False
        try:
            failed = self._client.task(submitted.task).status is TaskStatus.FAILED
            return failed and not self._removal.search(self._recipe.spec.name, self._recipe.creation)
        except FAILURES:
            return False

    def _note_made(self, made_id: str, vm_id: str, task: str) -> None:
        name, creation = self._recipe.spec.name, self._recipe.creation
        self._work.made("vm", made_id, lambda: self._removal.half_made(vm_id, task, name, creation))

    def _started(self, new: NewMachine, vm_id: str) -> Operation:
        vm = self._shown(new, vm_id)
        if self._recipe.spec.start:
            return self._powered_on(vm_id, vm, self._check_own)
        if self._recipe.request_key and self._client.remembers_requests:
            self._check_own(self._client.get_vm(vm_id))
        return Operation(Verb.CREATE, vm_id, done=True, vm=vm)

    def _check_own(self, machine: Machine) -> None:
        """See that Prism has not answered with what another try has made."""
        if machine.notes.creation != self._recipe.creation:
            raise AnothersVMError(machine)

    def _powered_on(self, vm_id: str, vm: VM, check: Check | None = None) -> Operation:
        seen: list[Machine] = []

        def look(machine: Machine) -> None:
            seen.append(machine)
            if check is not None:
                check(machine)

        try:
            task = self._client.power(vm_id, Action.ON, look)
        except FAILURES as error:
            if is_missing(error):
                raise ConflictError(f"VM {vm_id} was deleted before it could be started; try again.") from error
            raise
        # Where the API was asked for the VM anyway, it tells more than what is known of its making.
        shown = seen[-1].vm if seen else vm
        return Operation(Verb.CREATE, vm_id, str(Step(Action.ON, task)), vm=shown)

    def _shown(self, new: NewMachine, vm_id: str) -> VM:
        """What is known of a VM that was just made, and is off."""
        machine = Machine(vm_id, new.name, self._client.off, new.description, new.cluster, new.cpus, new.memory_mib)
        return machine.vm


def _made_id(submitted: Submitted) -> str:
    """By what a VM is known as long as nobody has told its id."""
    return submitted.vm_id or submitted.task
