"""Circuit breaker: refuses requests to a backend whose host has just stopped accepting connections.

Such a host costs each request the whole connect timeout, and a thread for as long. Only connect timeouts count: a
refused connection fails at once, and a backend that is slow to answer has accepted a connection.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

from providers.errors import BackendTimeoutError

_logger = logging.getLogger("cloudvm.gateway")

# The circuit opens after connect timeouts of so many requests in a row, within so many seconds.
MAX_TIMEOUTS = 3
WITHIN_SECONDS = 30.0
OPEN_SECONDS = 5.0
# A trial that has shown nothing for so long, such as one that waits for an answer, makes room for the next.
TRIAL_SECONDS = 30.0
# How soon to come back while a trial is running.
TRIAL_RETRY_SECONDS = 1.0


@dataclass(eq=False)
class _Request:
    """A request that was let through; it counts as one connect timeout, however often it tries."""

    breaker: CircuitBreaker
    environment: str
    has_timed_out: bool = False


@dataclass
class _Circuit:
    """An environment in trouble: closed without `retry_at`, open until then, half-open afterwards.

    `failures` counts the connect timeouts in a row, and `recent` holds the times of the last ones.
    """

    host: str
    failures: int = 0
    recent: deque[float] = field(default_factory=lambda: deque(maxlen=MAX_TIMEOUTS))
    retry_at: float | None = None
    trial: _Request | None = None
    trial_until: float = 0.0

    def is_failing(self, now: float) -> bool:
        """Whether enough connect timeouts came in a row lately."""
        return len(self.recent) == MAX_TIMEOUTS and self.recent[0] >= now - WITHIN_SECONDS


_current: ContextVar[_Request | None] = ContextVar("cloudvm_circuit", default=None)


class CircuitBreaker:
    """One circuit for each environment.

    The breaker acts when a request begins. A request that was let through, its polls and its clean-up included, is
    never ended; the transports report its connections by `backend_reached` and `connect_timed_out`. After
    `open_seconds` one request at a time is let through as a trial. Any connection or answer closes the circuit.
    """

    def __init__(self, open_seconds: float = OPEN_SECONDS) -> None:
        self._open_seconds = open_seconds
        self._lock = threading.Lock()
        # Only environments in trouble have an entry.
        self._circuits: dict[str, _Circuit] = {}

    @contextmanager
    def request(self, environment: str) -> Iterator[None]:
        """Run a request.

        Raises:
            BackendTimeoutError: the circuit is open, or half-open while a trial is running.

        """
        request = _Request(self, environment)
        with self._lock:
            self._admit(request)
        token = _current.set(request)
        try:
            yield
        finally:
            _current.reset(token)
            self._finish(request)

    def record_timeout(self, request: _Request, host: str) -> None:
        """Count a connect timeout, which opens the circuit if it is one too many or ends a trial."""
        now = time.monotonic()
        with self._lock:
            if request.has_timed_out:
                return
            request.has_timed_out = True
            circuit = self._circuits.setdefault(request.environment, _Circuit(host))
            circuit.host = host
            circuit.failures += 1
            circuit.recent.append(now)
            opens = circuit.retry_at is None and circuit.is_failing(now)
            if not opens and circuit.trial is not request:
                return
            circuit.retry_at, circuit.trial = now + self._open_seconds, None
        if opens:
            _logger.warning("circuit open for environment %s: connections to %s time out", request.environment, host)

    def record_success(self, request: _Request) -> None:
        """Close the circuit."""
        # Checked without the lock, as nearly every exchange ends here.
        if request.environment not in self._circuits:
            return
        with self._lock:
            circuit = self._circuits.pop(request.environment, None)
        if circuit is not None and circuit.retry_at is not None:
            _logger.warning("circuit closed for environment %s", request.environment)

    def _admit(self, request: _Request) -> None:
        circuit = self._circuits.get(request.environment)
        if circuit is None or circuit.retry_at is None:
            return
        now = time.monotonic()
        if now < circuit.retry_at or (circuit.trial is not None and now < circuit.trial_until):
            raise _refusal(circuit, circuit.retry_at - now)
        circuit.trial, circuit.trial_until = request, now + TRIAL_SECONDS

    def _finish(self, request: _Request) -> None:
        """Make room for the next trial if this one has shown nothing, such as a request that needed no connection."""
        with self._lock:
            circuit = self._circuits.get(request.environment)
            if circuit is not None and circuit.trial is request:
                circuit.trial = None


def backend_reached() -> None:
    """Report that the running request has made a connection to its backend, or got an answer."""
    request = _current.get()
    if request is not None:
        request.breaker.record_success(request)


def connect_timed_out(host: str) -> None:
    """Report that a connection of the running request timed out."""
    request = _current.get()
    if request is not None:
        request.breaker.record_timeout(request, host)


def _refusal(circuit: _Circuit, wait_seconds: float) -> BackendTimeoutError:
    next_try = f"in {wait_seconds:.0f} s" if wait_seconds >= 1 else "shortly"
    plan = f"The next connection is tried {next_try}." if wait_seconds > 0 else "Another request is trying one now."
    return BackendTimeoutError(
        f"The last {circuit.failures} connections to {circuit.host} timed out, so nothing was sent to it. {plan} "
        "Repeat the request then.",
        retry_after_seconds=max(wait_seconds, TRIAL_RETRY_SECONDS),
    )
