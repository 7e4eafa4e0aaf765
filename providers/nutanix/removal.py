"""Taking away what a create has made, and nothing else."""

from __future__ import annotations

import time
from typing import Final

from providers.domain import Operation, Verb
from providers.driver import Work
from providers.nutanix.answers import PrismError
from providers.nutanix.client import Check, PrismClient
from providers.nutanix.codes import WRONG_STATE
from providers.nutanix.failures import FAILURES
from providers.nutanix.progress import DELETE, FIND, OFF_TO_DELETE, SETTLE, Step, is_missing
from providers.nutanix.records import Action

# How long a VM may take to be there whose making was accepted, or may have been.
APPEARS_SECONDS: Final = 3.0


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

    def half_made(self, vm_id: str, task: str, name: str, creation: str) -> None:
        """Remove the VM that a create has made, and no other. `vm_id` is blank as long as nobody has told it."""
        if task:
            vm_id = self.settled(task, vm_id)
        vm_id = vm_id or self.search(name, creation, 0.0 if task else APPEARS_SECONDS)
        if vm_id and self._is_ours(vm_id, creation):
            self._work.finish(self.vm(vm_id))

    def settled(self, task: str, vm_id: str) -> str:
        """The id of the VM that a task makes, when it has ended, or cannot be looked at; blank if it does not tell."""
        step = Step(SETTLE, task, until=time.time() + APPEARS_SECONDS)
        return self._work.finish(Operation(Verb.CREATE, vm_id or None, str(step))).vm_id or ""

    def search(self, name: str, creation: str, seconds: float = 0.0) -> str:
        """The id of the VM of a creation, which may take a while to be there; blank if it is not there then."""
        step = Step(FIND, name=name, mark=creation, until=time.time() + seconds)
        return self._work.finish(Operation(Verb.CREATE, None, str(step))).vm_id or ""

    def _is_ours(self, vm_id: str, creation: str) -> bool:
        try:
            return self._client.get_vm(vm_id).notes.creation == creation
        except FAILURES as error:
            if is_missing(error):
                return False
            raise
