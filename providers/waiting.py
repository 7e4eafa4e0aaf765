"""The one loop in which anything waits for a cloud."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

from providers import trace
from providers.deadline import Deadline, running
from providers.domain import Operation
from providers.errors import (
    BackendFailureError,
    BackendTimeoutError,
    BackendUnreachableError,
    ThrottledError,
    UnavailableError,
)

FIRST_DELAY_SECONDS = 0.2
LONGEST_PAUSE_SECONDS = 5.0
PAUSE_GROWTH = 1.5
# What a look has at the least, when a caller's patience is at its end: a good backend answers within it.
LOOK_SECONDS = 5.0

# A look is safe to repeat, and to give up a create because one look got lost would throw away a good VM.
LOOKS_LOST_IN_A_ROW = 4
TRANSIENT = (ThrottledError, UnavailableError, BackendUnreachableError, BackendFailureError, BackendTimeoutError)


def wait_until_done(
    operation: Operation,
    look: Callable[[Operation], Operation],
    until: Deadline,
    first_delay_seconds: float = FIRST_DELAY_SECONDS,
) -> Operation:
    """Look at the work, with growing pauses, until it is done or `until` has passed; return it as last seen.

    The cloud's own Retry-After goes before our pauses; one of 0 names no time. A few looks in a row may be lost
    (throttled, no connection).

    Raises:
        ProviderError: what a look raised, when it was no passing fault or came too often.

    """
    pause = first_delay_seconds
    lost = 0
    while not operation.done:
        wanted = operation.retry_after_seconds or pause
        if until.remaining_seconds <= 0:
            break
        with trace.current().waiting():
            time.sleep(min(wanted, until.remaining_seconds))
        pause = min(pause * PAUSE_GROWTH, LONGEST_PAUSE_SECONDS)
        try:
            with running(until, LOOK_SECONDS):
                operation = look(operation)
            lost = 0
        except TRANSIENT as error:
            lost += 1
            if lost >= LOOKS_LOST_IN_A_ROW:
                raise
            # What the cloud says now goes before what it said with the last answer.
            operation = replace(operation, retry_after_seconds=error.retry_after_seconds)
    return operation
