"""Searches that a create and its clean-up wait for: a task that ends, a VM that appears, duplicates that go.

A search gives up after some seconds. Time in which Prism cannot be reached does not count, because nothing can be
seen then: an answer counts for the time since the answer before it, and for one second at most.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final

from providers.domain import Operation, VMStatus
from providers.nutanix.answers import PrismError
from providers.nutanix.client import PrismClient
from providers.nutanix.codes import HIDDEN
from providers.nutanix.failures import failure_of, is_missing
from providers.nutanix.records import TaskStatus
from providers.nutanix.steps import FIND, SETTLE, SETTLE_INTENT, SOLE, Step

FIRST_PAUSE_SECONDS: Final = 0.1
LONGEST_PAUSE_SECONDS: Final = 1.0
PAUSE_GROWTH: Final = 1.5


class Searches:
    """Polls searches. Each returns a done operation whose `vm_id` is the VM that was found, or None."""

    def __init__(self, client: PrismClient) -> None:
        self._client = client
        self.by_step: Mapping[str, Callable[[Operation, Step], Operation]] = {
            SETTLE: self._task,
            FIND: self._vm,
            SOLE: self._only_vm,
            SETTLE_INTENT: self._intent,
        }

    def _task(self, operation: Operation, step: Step) -> Operation:
        """Wait for a create's task. A task that Prism does not show comes back as a failure."""
        try:
            task = self._client.task(step.task)
        except PrismError as error:
            if error.status in {403, 404} or HIDDEN.search(error.refusal.text):
                return replace(operation, done=True, failure=failure_of(error))
            raise
        ended = task.status is not TaskStatus.RUNNING
        return replace(operation, done=ended, vm_id=task.vm_id or operation.vm_id)

    def _vm(self, operation: Operation, step: Step) -> Operation:
        """Search the VM of one create."""
        for machine in self._client.list_vms(name=step.name):
            if machine.notes.creation == step.mark:
                return replace(operation, done=True, vm_id=machine.id)
        if step.seconds_left and self._has_creates_under_way():
            return replace(operation, retry_after_seconds=LONGEST_PAUSE_SECONDS)
        return _searched_once_more(operation, step)

    def _has_creates_under_way(self) -> bool:
        """Whether the VM may be queued; False where the caller may not see that."""
        try:
            return self._client.has_creates_under_way()
        except PrismError as error:
            if error.status in {403, 404}:
                return False
            raise

    def _only_vm(self, operation: Operation, step: Step) -> Operation:
        """Wait until a request key has at most one VM."""
        made = [machine.id for machine in self._client.of_key(step.mark)]
        seen = replace(operation, vm_id=made[0] if len(made) == 1 else None)
        return replace(seen, done=True) if len(made) <= 1 else _searched_once_more(seen, step)

    def _intent(self, operation: Operation, step: Step) -> Operation:  # noqa: ARG002 # ends by itself
        """Wait until v3 has carried out the intent of a VM, or has given it up."""
        try:
            machine = self._client.get_vm(operation.vm_id or "")
        except PrismError as error:
            if is_missing(error):
                return replace(operation, done=True, vm_id=None)
            raise
        return replace(operation, done=machine.status is not VMStatus.CREATING)


def _searched_once_more(operation: Operation, step: Step) -> Operation:
    """Count the time since the last answer; the operation is done when none is left."""
    now = time.monotonic()
    counted = min(max(now - step.seen_at, 0.0), LONGEST_PAUSE_SECONDS) if step.seen_at else 0.0
    left = step.seconds_left - counted
    if left <= 0:
        return replace(operation, done=True)
    pause = min(max(counted * PAUSE_GROWTH, FIRST_PAUSE_SECONDS), LONGEST_PAUSE_SECONDS)
    handle = str(replace(step, seconds_left=left, seen_at=now))
    return replace(operation, handle=handle, retry_after_seconds=pause)
