"""What one request did to its backends: each call counted, timed, and logged in one redacted line."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import timedelta

from providers.redaction import Redactor

_logger = logging.getLogger("cloudvm.backend")


@dataclass
class Trace:
    """The record of one request, from its first byte to its last.

    `request_id` is the one that the caller sees; `redact` knows the request's secrets. Calls that run side by side
    and the pauses between looks count once in `backend_seconds`: it is the time in which the request was waiting.
    `clock_difference` is how far a backend's clock is ahead of ours, as its latest answer says.
    """

    request_id: str
    redact: Redactor = field(default_factory=Redactor)
    environment: str = ""
    cloud: str = ""
    access_key: str = ""
    calls: int = 0
    clock_difference: timedelta = timedelta()
    started: float = field(default_factory=time.perf_counter)
    _waits: list[tuple[float, float]] = field(default_factory=list)

    def call(self, operation: str, begun: float, *, outcome: str, backend_request_id: str = "") -> None:
        """Record one exchange with a backend that began at `begun` (perf_counter) and ends now."""
        now = time.perf_counter()
        self.calls += 1
        self._waits.append((begun, now))
        _logger.info(
            "%s %s %s",
            self.cloud,
            operation,
            outcome,
            extra={
                "environment": self.environment,
                "cloud": self.cloud,
                "operation": operation,
                "outcome": outcome,
                "duration_ms": round((now - begun) * 1000, 1),
                "backend_request_id": backend_request_id,
            },
        )

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Time in which the request only waits for a backend, between two looks."""
        begun = time.perf_counter()
        try:
            yield
        finally:
            self._waits.append((begun, time.perf_counter()))

    @property
    def elapsed_seconds(self) -> float:
        """Time since the request came."""
        return time.perf_counter() - self.started

    @property
    def backend_seconds(self) -> float:
        """Time in which the request was waiting for backends; what overlaps counts once."""
        total = 0.0
        end = float("-inf")
        for begun, ended in sorted(self._waits):
            total += max(0.0, ended - max(begun, end))
            end = max(end, ended)
        return total


_current: ContextVar[Trace | None] = ContextVar("cloudvm_trace", default=None)


def current() -> Trace:
    """The running request's trace; outside of requests (start, shutdown) one that nobody reads."""
    return _current.get() or Trace(request_id="-")


@contextmanager
def tracing(trace: Trace) -> Iterator[Trace]:
    """Make `trace` the current one. A thread started meanwhile must be given the context (`copy_context`)."""
    token = _current.set(trace)
    try:
        yield trace
    finally:
        _current.reset(token)
