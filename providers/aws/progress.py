"""How far a piece of work on an instance has come, judged by one look at it."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

from providers.aws.failures import state_failure
from providers.aws.instances import Instance
from providers.domain import VM, Operation, Verb
from providers.errors import BackendReply, ConflictError, VMNotFoundError

# EC2 may not know for a while what it has just accepted: "eventual consistency" in its developer guide.
SETTLING_SECONDS = 60.0
STALE_SECONDS = 10.0

_CALLS = {
    Verb.CREATE: "RunInstances",
    Verb.START: "StartInstances",
    Verb.STOP: "StopInstances",
    Verb.RESTART: "StartInstances",
    Verb.DELETE: "TerminateInstances",
}


@dataclass(frozen=True)
class Goal:
    """The state that an operation waits for, and since when (Unix time); `Operation.handle` is its text.

    The time is in the text because the next look may be another process's.
    """

    state: str
    since: float

    @classmethod
    def now(cls, state: str) -> Goal:
        """The goal of work that EC2 has just accepted."""
        return cls(state, time.time())

    @classmethod
    def read(cls, handle: str) -> Goal:
        """The goal in a handle."""
        state, _, since = handle.partition("@")
        return cls(state, float(since or 0))

    def __str__(self) -> str:
        return f"{self.state}@{self.since:.0f}"

    @property
    def age_seconds(self) -> float:
        """Time since EC2 accepted the work."""
        return time.time() - self.since


def judged(operation: Operation, instance: Instance | None, vm: VM | None) -> Operation:
    """The operation as one look at its instance shows it; None where EC2 does not know the instance."""
    goal = Goal.read(operation.handle)
    state = instance.state if instance else "terminated"
    if state == goal.state:
        return replace(operation, done=True, vm=None if goal.state == "terminated" else vm)
    if instance is None and operation.verb is Verb.CREATE and goal.age_seconds < SETTLING_SECONDS:
        return operation
    if instance is None or state in {"shutting-down", "terminated"}:
        return operation if operation.verb is Verb.DELETE else _ended(operation, instance, state)
    if state == "stopped" and goal.state == "running":
        return _stopped(operation, goal, instance, vm)
    return replace(operation, vm=vm)


def _ended(operation: Operation, instance: Instance | None, state: str) -> Operation:
    """The instance is being deleted, or is gone."""
    call = _CALLS[operation.verb]
    vm_id = operation.vm_id or ""
    if instance is None:
        failure = VMNotFoundError(f"EC2 knows no VM {vm_id} any more.", backend=BackendReply("Aws", call))
        return replace(operation, done=True, failure=failure, vm=None)
    if operation.verb is Verb.CREATE or instance.reason_code.startswith("Server."):
        reason = state_failure(call, vm_id, state, instance.reason_code, instance.reason)
    else:
        reason = ConflictError(f"VM {vm_id} was deleted meanwhile.", backend=BackendReply("Aws", call))
    return replace(operation, done=True, failure=reason, vm=None)


def _stopped(operation: Operation, goal: Goal, instance: Instance, vm: VM | None) -> Operation:
    """The instance should run and is stopped."""
    if operation.verb is Verb.CREATE:
        # It has run: an instance that cannot is terminated. Its guest, or somebody else, has stopped it since.
        return replace(operation, done=True, vm=vm)
    if goal.age_seconds < STALE_SECONDS:
        return operation
    failure = state_failure(_CALLS[operation.verb], instance.id, instance.state, instance.reason_code, instance.reason)
    return replace(operation, done=True, failure=failure, vm=vm)
