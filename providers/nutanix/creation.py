"""The making of one VM, step by step, each with its way back."""

from __future__ import annotations

from contextlib import suppress
from typing import Final

from providers.domain import VM, Operation, Verb, VMStatus
from providers.driver import Work
from providers.errors import (
    BackendUnreachableError,
    ConflictError,
    LostClaimError,
    ProviderError,
    TemporaryConflictError,
    key_reused,
)
from providers.notes import claimed
from providers.nutanix.client import Check, PrismClient
from providers.nutanix.failures import FAILURES, failure_of, is_missing
from providers.nutanix.lookups import Lookups
from providers.nutanix.progress import FRESH_TRIES, DeletedMeanwhileError, deleted_meanwhile
from providers.nutanix.recipe import Recipe
from providers.nutanix.records import Action, Machine, NewMachine, Submitted, TaskStatus
from providers.nutanix.removal import APPEARS_SECONDS, Owner, Removal
from providers.nutanix.rivals import Rivals
from providers.nutanix.steps import CLAIM, CREATE, SETTLE_INTENT, Step

# How many request ids follow from a key. One is spent when its VM has been deleted, or its task has failed. When all
# are spent the id is drawn, and duplicates are looked for as on APIs without request ids.
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
        self._rivals = Rivals(client, work, recipe.request_key, recipe.creation)
        self._may_run = False

    def run(self) -> Operation:
        """Make a VM; the last step is left open."""
        new, submitted = self._submitted(None)
        if self._client.starts:
            handle = str(Step(CREATE, submitted.task, mark=self._recipe.creation))
            return Operation(Verb.CREATE, submitted.vm_id, handle)
        return self._started(new, self._finished(submitted))

    def run_keyed(self) -> Operation:
        """Make a VM, or complete the one that an earlier try with the same key has made: its description says so.

        On v4 the request id keeps two tries at the same moment apart. On v2.0 and v3 the tries of one session follow
        each other, each looks for what is there, and duplicates of two sessions are settled afterwards (see `rivals`).
        """
        for tries_left in reversed(range(FRESH_TRIES + 1)):
            try:
                machine = self._settled()
                return self.complete(machine) if machine else self._run_keyed()
            except LostClaimError:
                if not tries_left:
                    raise
        raise AssertionError

    def _settled(self) -> Machine | None:
        """Return the VM of an earlier try, once v3 has carried out its intent, or given it up."""
        machine = self._made_before()
        if machine is None or machine.status is not VMStatus.CREATING:
            return machine
        self._check_content(machine)
        self._work.finish(Operation(Verb.CREATE, machine.id, str(Step(SETTLE_INTENT))))
        return self._made_before()

    def complete(self, machine: Machine) -> Operation:
        """Take over the VM of another try, and start it if it was to be started, and has never run.

        A failure of this try leaves the VM, which may be in use.

        Raises:
            UnprocessableError: the other try has other content.
            LostClaimError: somebody has changed the VM meanwhile.

        """
        self._check_content(machine)
        if machine.status is VMStatus.CREATING:
            raise TemporaryConflictError(
                f"Another request with this Idempotency-Key is making VM {machine.id}; try again."
            )
        is_off = machine.status is not VMStatus.RUNNING
        starts = self._recipe.spec.start and is_off and self._client.has_never_run(machine)
        if starts and self._client.starts:
            handle = str(Step(Action.ON, self._claim(machine, start=True)))
            return Operation(Verb.CREATE, machine.id, handle, vm=machine.vm)
        # The other try does not recognise a VM without our note either.
        if machine.notes.creation and (starts or machine.notes.may_be_removed):
            self._finish_claim(machine, self._claim(machine))
        if starts:
            return self._powered_on(machine.id, machine.vm)
        return Operation(Verb.CREATE, machine.id, done=True, vm=machine.vm)

    def _claim(self, machine: Machine, *, start: bool = False) -> str:
        """Write this try's mark into the VM's note, so that no other try removes the VM; the task."""
        description = claimed(machine.description, self._recipe.creation, machine.id)
        try:
            return self._client.describe(machine, description, start=start)
        except FAILURES as error:
            raise self._claim_failure(machine, failure_of(error)) from error

    def _finish_claim(self, machine: Machine, task: str) -> None:
        try:
            self._work.finish(Operation(Verb.CREATE, machine.id, str(Step(CLAIM, task))))
        except FAILURES as error:
            raise self._claim_failure(machine, failure_of(error)) from error

    def _claim_failure(self, machine: Machine, failure: ProviderError) -> ProviderError:
        if is_missing(failure):
            return deleted_meanwhile(machine.id, failure)
        if isinstance(failure, ConflictError):
            return LostClaimError(failure.detail, backend=failure.backend)
        return failure

    def _check_content(self, machine: Machine) -> None:
        """See that a VM was made for the same content; a description that was edited proves nothing."""
        digest = machine.notes.request_digest
        if digest and digest != self._recipe.spec.request_digest:
            raise key_reused(machine.id)

    def _made_before(self) -> Machine | None:
        """Return the VM of an earlier try; where duplicates stay, the one that runs, or the same one each time."""
        found = self._of_key()
        if len(found) > 1:
            self._rivals.settle()
            found = self._of_key()
        kept = min(found, key=lambda one: (one.status is not VMStatus.RUNNING, one.id), default=None)
        for machine in found:
            if kept and machine is not kept and self._is_abandoned(machine, kept):
                # A VM that was taken over or started meanwhile stays.
                with suppress(ConflictError):
                    self._removal.never_used(machine.id, machine.notes.creation)
        return kept

    def _is_abandoned(self, machine: Machine, kept: Machine) -> bool:
        """Whether a duplicate is of a try that has ended without its removal; a copy of the VM is none."""
        is_other = machine.notes.creation != kept.notes.creation and machine.is_original and not machine.notes.claims
        return is_other and machine.status is VMStatus.STOPPED and self._client.is_untouched(machine)

    def _of_key(self) -> list[Machine]:
        return self._client.of_key(self._recipe.request_key, self._lookups.scope())

    def _run_keyed(self) -> Operation:
        for attempt in range(REQUESTS if self._client.remembers_requests else 0):
            try:
                operation = self._run_attempt(attempt)
            except DeletedMeanwhileError:
                continue
            if operation:
                return operation
        new, submitted = self._submitted(None)
        vm_id = self._finished(submitted)
        if other := self._rivals.survivor(vm_id):
            return self.complete(other)
        if self._client.starts:
            return Operation(Verb.CREATE, vm_id, done=True)
        return self._kept(new, vm_id)

    def _run_attempt(self, attempt: int) -> Operation | None:
        """Make a VM by a request id that follows from the key; None if the id was spent by a task that failed.

        Raises:
            DeletedMeanwhileError: the id was spent by a VM that has been deleted.

        """
        new, submitted = self._submitted(attempt)
        if self._has_failed_before(submitted):
            self._work.forget(_made_id(submitted))
            return None
        return self._kept(new, self._finished(submitted))

    def _kept(self, new: NewMachine, vm_id: str) -> Operation:
        """Start the VM, which may turn out to be that of another try, or to be gone."""
        try:
            return self._started(new, vm_id)
        except DeletedMeanwhileError:
            self._work.forget(vm_id)
            raise
        except AnothersVMError as error:
            self._work.forget(vm_id)
            return self.complete(error.machine)

    def _has_failed_before(self, submitted: Submitted) -> bool:
        """Whether Prism has answered with the failed task of an earlier try; this try's own leaves its VM, or fails."""
        failed = self._client.task(submitted.task).status is TaskStatus.FAILED
        return failed and not self._removal.search(self._recipe.spec.name, self._recipe.creation)

    def _submitted(self, attempt: int | None) -> tuple[NewMachine, Submitted]:
        """A VM whose making was accepted; if the answer got lost, see that it is not left behind."""
        cluster = self._lookups.cluster()
        image = self._lookups.image(self._recipe.spec.offer.image)
        request = self._recipe.request(attempt)
        new = self._recipe.machine(image, self._lookups.network(cluster), cluster, request)
        try:
            submitted = self._client.create_vm(new)
        except FAILURES as error:
            self._lookups.forget()
            failure = failure_of(error)
            if not failure.answer_lost:
                raise failure from error
            submitted = self._submitted_again(new, failure)
        self._note_made(_made_id(submitted), submitted.vm_id, submitted.task)
        return new, submitted

    def _submitted_again(self, new: NewMachine, failure: ProviderError) -> Submitted:
        """Repeat a request whose answer was lost, where Prism knows it again by its id.

        Raises:
            ProviderError: the failure, with what is known of the VM.

        """
        if self._client.remembers_requests:
            with suppress(*FAILURES):
                return self._client.create_vm(new)
        raise type(failure)(f"{failure.detail} {self._search_lost(failure)}", backend=failure.backend) from failure

    def _search_lost(self, failure: ProviderError) -> str:
        """Search the VM of a request whose answer was lost, so that it is removed; what to tell the caller."""
        name = self._recipe.spec.name
        try:
            vm_id = self._removal.search(name, self._recipe.creation, APPEARS_SECONDS)
        except FAILURES:
            vm_id = None
        if vm_id:
            self._note_made(vm_id, vm_id, "")
            return f"VM {vm_id} was made; `leftovers` says whether it was removed."
        if vm_id is None or not isinstance(failure, BackendUnreachableError):
            # A request that was given up may still be carried out; one whose connection broke is by now, or is not.
            self._note_made(name, "", "")
            return f"Whether VM {name} was made could not be found out in time: look for it if it was not removed."
        return "No VM of this request was found."

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
            raise TemporaryConflictError("Nutanix has made the VM, and it was gone before its id was known; try again.")
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
        self._work.made("vm", made_id, lambda: self._remove(vm_id, task))

    def _remove(self, vm_id: str, task: str) -> None:
        owner = Owner(self._recipe.creation, may_run=self._may_run)
        self._removal.half_made(vm_id, task, self._recipe.spec.name, owner)

    def _started(self, new: NewMachine, vm_id: str) -> Operation:
        vm = self._shown(new, vm_id)
        if self._recipe.spec.start:
            return self._powered_on(vm_id, vm, self._check_own, mark=self._recipe.creation)
        if self._recipe.request_key and self._client.remembers_requests:
            try:
                self._check_own(self._client.get_vm(vm_id))
            except FAILURES as error:
                if is_missing(error):
                    raise deleted_meanwhile(vm_id, failure_of(error)) from error
                raise
        return Operation(Verb.CREATE, vm_id, done=True, vm=vm)

    def _check_own(self, machine: Machine) -> None:
        """See that Prism has not answered with what another try has made."""
        if machine.notes.creation != self._recipe.creation:
            raise AnothersVMError(machine)

    def _powered_on(self, vm_id: str, vm: VM, check: Check | None = None, *, mark: str = "") -> Operation:
        seen: list[Machine] = []

        def look(machine: Machine) -> None:
            seen.append(machine)
            if check is not None:
                check(machine)

        try:
            task = self._client.power(vm_id, Action.ON, look)
        except FAILURES as error:
            self._may_run = failure_of(error).answer_lost
            if is_missing(error):
                raise deleted_meanwhile(vm_id, failure_of(error)) from error
            raise
        # Where the API was asked for the VM anyway, it tells more than what is known of its making.
        shown = seen[-1].vm if seen else vm
        return Operation(Verb.CREATE, vm_id, str(Step(Action.ON, task, mark=mark)), vm=shown)

    def _shown(self, new: NewMachine, vm_id: str) -> VM:
        """What is known of a VM that was just made, and is off."""
        machine = Machine(vm_id, new.name, self._client.off, new.description, new.cluster, new.cpus, new.memory_mib)
        return machine.vm


def _made_id(submitted: Submitted) -> str:
    """By what a VM is known as long as nobody has told its id."""
    return submitted.vm_id or submitted.task
