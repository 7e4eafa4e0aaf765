"""The polling loop: the only place that waits for work in a cloud."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import replace

from providers import trace
from providers.deadline import Deadline, delays, running
from providers.domain import Operation
from providers.errors import (
    BackendFailureError,
    BackendTimeoutError,
    BackendTLSError,
    BackendUnreachableError,
    CredentialsRejectedError,
    PermissionDeniedError,
    ThrottledError,
    UnavailableError,
)

_logger = logging.getLogger("cloudvm.gateway")

FIRST_DELAY_SECONDS = 0.2
# The least time for one poll, also at the very end of the wait: a healthy backend answers within it.
POLL_SECONDS = 5.0

# Errors of a poll that another poll may not have.
TRANSIENT = (ThrottledError, UnavailableError, BackendUnreachableError, BackendFailureError, BackendTimeoutError)
# Errors that say nothing about the work: the poll did not see it.
NOT_SEEN = (*TRANSIENT, PermissionDeniedError, CredentialsRejectedError, BackendTLSError)


def wait_until_done(
    operation: Operation,
    poll: Callable[[Operation], Operation],
    until: Deadline,
    first_delay_seconds: float = FIRST_DELAY_SECONDS,
) -> Operation:
    """Poll until the operation is done or `until` has passed, and return it as last seen.

    The pauses grow. The cloud's Retry-After takes precedence, except 0. A poll that fails with one of `TRANSIENT` is
    repeated until `until`.

    Raises:
        ProviderError: another error of a poll.

    """
    pauses = delays(first_delay_seconds)
    while not operation.done and until.remaining_seconds > 0:
        pause = next(pauses)
        with trace.current().waiting():
            time.sleep(min(operation.retry_after_seconds or pause, until.remaining_seconds))
        try:
            with running(until, POLL_SECONDS):
                operation = poll(operation)
        except TRANSIENT as error:
            _logger.warning("poll of %s of VM %s failed: %s", operation.verb, operation.vm_id, error.detail)
            # The error's Retry-After is newer than that of the last answer.
            operation = replace(operation, retry_after_seconds=error.retry_after_seconds)
    return operation
