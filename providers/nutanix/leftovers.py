"""VMs that creates of this service left behind: made for a create that failed or was killed, and never started."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Final

from providers.domain import LeftoverResource, Operation, Verb, VMStatus
from providers.driver import Work
from providers.errors import ConflictError
from providers.nutanix.client import PrismClient
from providers.nutanix.failures import FAILURES, failure_of
from providers.nutanix.progress import FRESH_TRIES
from providers.nutanix.records import Machine
from providers.nutanix.steps import DELETE, Step

KIND: Final = "vm"
NEVER_STARTED: Final = "The VM was made for a create that did not finish: it was to be started, and has never run."
NEVER_MADE: Final = "The VM could not be made, and Prism Central still shows the request."


class Leftovers:
    """Lists and removes leftovers with one caller's client.

    A VM is one if it bears our note, was to be started, is off, and Prism shows nothing but its creation. Copies of a
    VM bear its note, too: they were made later, have another task, or share the mark of another VM.
    """

    def __init__(self, client: PrismClient, list_in_scope: Callable[[], list[Machine]]) -> None:
        self._client = client
        self._list_in_scope = list_in_scope

    def find(self) -> Iterator[LeftoverResource]:
        """Yield the leftovers: one list of VMs and, by some APIs, a call for each VM that may be one."""
        for machine in self._candidates():
            if self._is_unfinished(machine):
                yield _leftover(machine)

    def remove(self, leftover: LeftoverResource, work: Work) -> None:
        """See `Driver.remove_leftover`. A VM that is running or changed by now is never powered off or deleted."""
        if not any(machine.id == leftover.id for machine in self._candidates()):
            self._raise_if_missing(leftover.id)
            raise _in_use(leftover.id)
        try:
            task = self._client.delete_vm(leftover.id, self._check)
        except FAILURES as error:
            raise failure_of(error) from error
        # As the last of its kind: neither repeated nor preceded by cutting the power.
        work.finish(Operation(Verb.DELETE, leftover.id, str(Step(DELETE, task, again=FRESH_TRIES, cut=True))))

    def _check(self, machine: Machine) -> None:
        if not (_may_be_unfinished(machine) and self._is_unfinished(machine)):
            raise _in_use(machine.id)

    def _candidates(self) -> list[Machine]:
        machines = self._list_in_scope()
        marks = Counter(machine.notes.creation for machine in machines)
        return [one for one in machines if marks[one.notes.creation] == 1 and _may_be_unfinished(one)]

    def _is_unfinished(self, machine: Machine) -> bool:
        return machine.is_failed_create or self._client.is_untouched(machine)

    def _raise_if_missing(self, vm_id: str) -> None:
        try:
            self._client.get_vm(vm_id)
        except FAILURES as error:
            raise failure_of(error) from error


def _may_be_unfinished(machine: Machine) -> bool:
    """Whether a VM may be a leftover, by its description and state."""
    if not machine.notes.creation or not machine.is_original:
        return False
    return machine.is_failed_create or (machine.notes.start and machine.status is VMStatus.STOPPED)


def _leftover(machine: Machine) -> LeftoverResource:
    created_at = machine.created_at or datetime.fromtimestamp(machine.notes.created_at, UTC)
    detail = NEVER_MADE if machine.is_failed_create else NEVER_STARTED
    return LeftoverResource(KIND, machine.id, machine.name, created_at, detail)


def _in_use(vm_id: str) -> ConflictError:
    return ConflictError(f"VM {vm_id} is no leftover now: it was started or changed. It is not removed.")
