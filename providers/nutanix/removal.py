"""Removal of VMs: of one that a caller deletes, and of one that a failed create has made."""

from __future__ import annotations

from contextlib import suppress
from typing import Final

from providers.domain import Operation, Verb
from providers.driver import Work
from providers.errors import ConflictError
from providers.nutanix.answers import PrismError
from providers.nutanix.client import Check, PrismClient
from providers.nutanix.codes import WRONG_STATE
from providers.nutanix.failures import FAILURES, is_missing
from providers.nutanix.records import Action
from providers.nutanix.steps import DELETE, FIND, OFF_TO_DELETE, SETTLE, Step

# How long a VM may take to appear whose creation was accepted, or may have been.
APPEARS_SECONDS: Final = 6.0


class NotFoundOutError(ConflictError):
    """Whether a create has made a VM could not be found out."""


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

    def half_made(self, vm_id: str, task: str, name: str, creation: str) -> None:
        """Remove the VM that a create has made, and no other.

        Args:
            vm_id: the VM, empty if Prism has not told it.
            task: the create's task, empty if Prism has not told it.
            name: the VM's name, which others may have, too.
            creation: the mark of the create.

        Raises:
            NotFoundOutError: there is no such VM, but one may still appear.

        """
        ended = False
        if task:
            # Without a look at the task, the VM itself tells.
            with suppress(*FAILURES):
                vm_id, ended = self._settled(task, vm_id), True
        vm_id = vm_id or self.search(name, creation, 0.0 if ended else APPEARS_SECONDS)
        if not vm_id and not ended:
            raise NotFoundOutError(f"Whether VM {name} was made could not be found out.")
        if vm_id and self._is_ours(vm_id, creation):
            self.finish(vm_id)

    def search(self, name: str, creation: str, seconds: float = 0.0) -> str:
        """Return the id of the VM of a create, which may take a while to appear; empty if it has not by then."""
        step = Step(FIND, name=name, mark=creation, seconds_left=seconds)
        return self._work.finish(Operation(Verb.CREATE, None, str(step))).vm_id or ""

    def _settled(self, task: str, vm_id: str) -> str:
        """Wait for the end of a create's task, and return its VM; empty if it names none."""
        return self._work.finish(Operation(Verb.CREATE, vm_id or None, str(Step(SETTLE, task)))).vm_id or ""

    def _is_ours(self, vm_id: str, creation: str) -> bool:
        try:
            return self._client.get_vm(vm_id).notes.creation == creation
        except FAILURES as error:
            if is_missing(error):
                return False
            raise
