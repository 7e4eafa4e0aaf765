"""Removal of VMs: of one that a caller deletes, and of one that a failed create has made."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from providers.domain import Operation, Verb, VMStatus
from providers.driver import Work
from providers.errors import ConflictError, NotOwnedError
from providers.nutanix.answers import PrismError
from providers.nutanix.client import Check, PrismClient
from providers.nutanix.codes import STALE, WRONG_STATE
from providers.nutanix.failures import FAILURES, failure_of, is_missing
from providers.nutanix.progress import FRESH_TRIES
from providers.nutanix.records import Action, Machine
from providers.nutanix.steps import DELETE, FIND, OFF_TO_DELETE, SETTLE, Step

# How long a VM may take to appear whose creation was accepted, or may have been.
APPEARS_SECONDS: Final = 6.0


class NotFoundOutError(ConflictError):
    """Whether a create has made a VM could not be found out."""


@dataclass(frozen=True)
class Owner:
    """The create that may remove a VM: the mark in its note, and whether its own start may have taken effect."""

    creation: str
    may_run: bool = False


class Removal:
    """Removes VMs with one caller's client, within one verb."""

    def __init__(self, client: PrismClient, work: Work) -> None:
        self._client = client
        self._work = work

    def vm(self, vm_id: str, check: Check | None = None) -> Operation:
        """Delete a VM with its disks; the work that is left open. Where a running one is refused, its power is cut."""
        try:
            return Operation(Verb.DELETE, vm_id, str(Step(DELETE, self._client.delete_vm(vm_id, check))))
        except PrismError as error:
            if not WRONG_STATE.search(error.refusal.text):
                raise
        return Operation(Verb.DELETE, vm_id, str(Step(OFF_TO_DELETE, self._client.power(vm_id, Action.OFF))))

    def finish(self, vm_id: str) -> None:
        """Delete a VM and wait until it is gone, which it may be already."""
        try:
            self._work.finish(self.vm(vm_id))
        except FAILURES as error:
            if not is_missing(error):
                raise

    def half_made(self, vm_id: str, task: str, name: str, owner: Owner) -> None:
        """Remove the VM that a create has made, and no other.

        Args:
            vm_id: the VM, empty if Prism has not told it.
            task: the create's task, empty if Prism has not told it.
            name: the VM's name, which others may have, too.
            owner: the create.

        Raises:
            NotFoundOutError: there is no such VM, but one may still appear.
            NotOwnedError: another try has taken the VM over.
            ConflictError: somebody else has started it.

        """
        ended = False
        if task:
            # Without a look at the task, the VM itself tells.
            with suppress(*FAILURES):
                vm_id, ended = self._settled(task, vm_id), True
        vm_id = vm_id or self.search(name, owner.creation, 0.0 if ended else APPEARS_SECONDS)
        if not vm_id and not ended:
            raise NotFoundOutError(f"Whether VM {name} was made could not be found out.")
        if vm_id:
            self.own(vm_id, owner)

    def own(self, vm_id: str, owner: Owner) -> None:
        """Remove a VM that a create has made; see `half_made`."""
        self._as_seen(vm_id, lambda machine: self._check_half_made(machine, owner), may_run=owner.may_run)

    def never_used(self, vm_id: str, creation: str) -> None:
        """Remove the VM of a create that failed when nobody was waiting for it, unless somebody has used it since.

        Raises:
            NotOwnedError: another try has taken the VM over.
            ConflictError: somebody has started or changed it.

        """

        def check(machine: Machine) -> None:
            _check_owner(machine, creation)
            is_off = machine.status is VMStatus.STOPPED and self._client.is_untouched(machine)
            if not (machine.is_failed_create or is_off):
                raise _kept(machine, "it was started or changed since its create failed")

        self._as_seen(vm_id, check)

    def _check_half_made(self, machine: Machine, owner: Owner) -> None:
        _check_owner(machine, owner.creation)
        runs = machine.status not in {VMStatus.STOPPED, VMStatus.CREATING, VMStatus.ERROR}
        # What v3 starts by itself runs, until somebody updates it.
        is_own_start = owner.may_run or (self._client.starts and not machine.updates)
        if runs and not is_own_start:
            raise _kept(machine, "somebody has started it")

    def _as_seen(self, vm_id: str, check: Check, *, may_run: bool = False) -> None:
        """Delete a VM and wait until it is gone. It is checked again after each change of it."""
        for tries_left in reversed(range(FRESH_TRIES + 1)):
            try:
                self._delete_once(vm_id, check)
            except FAILURES as error:
                failure = failure_of(error)
                if is_missing(error):
                    return
                must_be_off = may_run and WRONG_STATE.search(failure.detail)
                if not tries_left or not (must_be_off or STALE.search(failure.detail)):
                    raise
                if must_be_off:
                    task = self._client.power(vm_id, Action.OFF, check)
                    self._work.finish(Operation(Verb.DELETE, vm_id, str(Step(Action.OFF, task))))
            else:
                return

    def _delete_once(self, vm_id: str, check: Check) -> None:
        task = self._client.delete_vm(vm_id, check)
        # As the last of its kind: neither repeated nor preceded by cutting the power.
        self._work.finish(Operation(Verb.DELETE, vm_id, str(Step(DELETE, task, again=FRESH_TRIES, cut=True))))

    def search(self, name: str, creation: str, seconds: float = 0.0) -> str:
        """Return the id of the VM of a create, which may take a while to appear; empty if it has not by then."""
        step = Step(FIND, name=name, mark=creation, seconds_left=seconds)
        return self._work.finish(Operation(Verb.CREATE, None, str(step))).vm_id or ""

    def _settled(self, task: str, vm_id: str) -> str:
        """Wait for the end of a create's task, and return its VM; empty if it names none."""
        return self._work.finish(Operation(Verb.CREATE, vm_id or None, str(Step(SETTLE, task)))).vm_id or ""


def _check_owner(machine: Machine, creation: str) -> None:
    if machine.notes.creation == creation:
        # v3 raises the version when it accepts an update, such as that of another try, and shows its content later.
        if machine.updates > machine.notes.claims:
            raise _kept(machine, "somebody has changed it, or is doing so")
        return
    if machine.notes.claims:
        raise NotOwnedError(f"Another request with this Idempotency-Key has taken over VM {machine.id}.")
    raise _kept(machine, "its description was changed")


def _kept(machine: Machine, reason: str) -> ConflictError:
    return ConflictError(f"VM {machine.id} is not removed: {reason}.")
