"""How far work has come, judged by one look."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

from providers.aws.instances import Instance
from providers.aws.progress import Goal, judged
from providers.domain import VM, Operation, Verb, VMStatus
from providers.errors import (
    BackendFailureError,
    ConflictError,
    ProviderError,
    QuotaExceededError,
    UnavailableError,
    VMNotFoundError,
)

VM_ID = "i-00000000000000001"
SHOWN = VM(VM_ID, "vm1", VMStatus.UNKNOWN, "as it was seen")
INSTANCE = Instance(VM_ID, "", "", "", None, (), None, None, {}, "", "")


def seen(verb: Verb, goal: str, state: str | None, *, age: float = 0.0, reason: str = "") -> Operation:
    """What a look that shows a state makes of work that was accepted `age` seconds ago."""
    operation = Operation(verb, VM_ID, str(Goal(goal, time.time() - age)))
    if state is None:
        return judged(operation, None, None)
    return judged(operation, replace(INSTANCE, state=state, reason_code=reason), SHOWN)


@pytest.mark.parametrize(
    ("verb", "goal", "state"),
    [
        (Verb.CREATE, "running", "pending"),
        (Verb.CREATE, "running", None),
        (Verb.CREATE, "stopped", "running"),
        (Verb.CREATE, "stopped", "stopping"),
        (Verb.START, "running", "pending"),
        (Verb.START, "running", "stopped"),
        (Verb.STOP, "stopped", "running"),
        (Verb.STOP, "stopped", "stopping"),
        (Verb.RESTART, "running", "stopped"),
        (Verb.DELETE, "terminated", "running"),
        (Verb.DELETE, "terminated", "shutting-down"),
    ],
)
def test_judged_under_way_or_not_yet_seen_goes_on(verb: Verb, goal: str, state: str | None) -> None:
    """EC2 may not show at once what it has just accepted."""
    operation = seen(verb, goal, state, age=5.0)
    assert not operation.done
    assert operation.failure is None


@pytest.mark.parametrize(
    ("verb", "goal", "state", "vm"),
    [
        (Verb.CREATE, "running", "running", SHOWN),
        (Verb.CREATE, "running", "stopped", SHOWN),
        (Verb.CREATE, "stopped", "stopped", SHOWN),
        (Verb.START, "running", "running", SHOWN),
        (Verb.STOP, "stopped", "stopped", SHOWN),
        (Verb.DELETE, "terminated", "terminated", None),
        (Verb.DELETE, "terminated", None, None),
    ],
)
def test_judged_at_its_goal_is_done(verb: Verb, goal: str, state: str | None, vm: VM | None) -> None:
    """A new VM that has stopped has run before; a deleted one is not shown."""
    operation = seen(verb, goal, state)
    assert (operation.done, operation.failure, operation.vm) == (True, None, vm)


@pytest.mark.parametrize(
    ("verb", "state", "reason", "kind", "call"),
    [
        (Verb.START, "stopped", "Server.InsufficientInstanceCapacity", UnavailableError, "StartInstances"),
        (Verb.RESTART, "stopped", "Server.InternalError", BackendFailureError, "StartInstances"),
        (Verb.START, "stopped", "Client.UserInitiatedShutdown", ConflictError, "StartInstances"),
        (Verb.CREATE, "terminated", "Client.VolumeLimitExceeded", QuotaExceededError, "RunInstances"),
        (Verb.START, "terminated", "Server.InternalError", BackendFailureError, "StartInstances"),
        (Verb.START, "shutting-down", "Client.UserInitiatedShutdown", ConflictError, "StartInstances"),
        (Verb.START, "terminated", "Client.VolumeLimitExceeded", ConflictError, "StartInstances"),
    ],
)
def test_judged_gone_down_instead_of_running_fails(
    verb: Verb, state: str, reason: str, kind: type[ProviderError], call: str
) -> None:
    """Once the look cannot be an old one; with EC2's reason where it is the work's."""
    operation = seen(verb, "running", state, age=30.0, reason=reason)
    assert operation.done
    assert type(operation.failure) is kind
    assert operation.failure.backend is not None
    assert operation.failure.backend.operation == call


def test_judged_stop_of_a_vm_deleted_meanwhile_is_a_conflict() -> None:
    """Somebody else was faster."""
    failure = seen(Verb.STOP, "stopped", "shutting-down").failure
    assert type(failure) is ConflictError
    assert failure.backend is not None
    assert failure.backend.operation == "StopInstances"


@pytest.mark.parametrize(("verb", "age"), [(Verb.CREATE, 90.0), (Verb.START, 0.0), (Verb.STOP, 0.0)])
def test_judged_unknown_to_ec2_is_not_found(verb: Verb, age: float) -> None:
    """At once, but for what was only just made."""
    assert type(seen(verb, "running", None, age=age).failure) is VMNotFoundError
