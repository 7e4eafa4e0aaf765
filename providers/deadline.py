"""A request's deadline, and how much of it one exchange with a backend may take."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from itertools import islice

FIRST_RECONNECT_SECONDS = 0.2
LONGEST_DELAY_SECONDS = 5.0
DELAY_GROWTH = 1.5


@dataclass(frozen=True)
class Deadline:
    """The moment at which a request gives up, on the monotonic clock."""

    at: float

    @classmethod
    def after(cls, seconds: float) -> Deadline:
        """The deadline `seconds` from now."""
        return cls(time.monotonic() + seconds)

    @property
    def remaining_seconds(self) -> float:
        """Time left, never negative."""
        return max(0.0, self.at - time.monotonic())


def delays(first_seconds: float) -> Iterator[float]:
    """Yield the seconds between attempts: growing by half, up to five seconds."""
    seconds = first_seconds
    while True:
        yield seconds
        seconds = min(seconds * DELAY_GROWTH, LONGEST_DELAY_SECONDS)


@dataclass(frozen=True)
class _Running:
    until: Deadline
    least_seconds: float | None
    reconnects: bool = False


_running: ContextVar[_Running | None] = ContextVar("cloudvm_deadline", default=None)


@contextmanager
def running(until: Deadline, least_seconds: float | None = None) -> Iterator[None]:
    """Let exchanges end by a deadline. A thread started meanwhile must be given the context (`copy_context`).

    `least_seconds` is what an exchange has at the least, also when the deadline has passed; None for as long as a
    backend may be silent: to cut a change short leaves it unknown whether it was made.
    """
    token = _running.set(_Running(until, least_seconds))
    try:
        yield
    finally:
        _running.reset(token)


def reconnect_from_now_on() -> None:
    """Let calls wait for a backend that is away, until the deadline of the enclosing `running` block.

    For a request whose first step the backend has accepted. Calls that were never sent, and those that may be sent
    twice, are repeated.
    """
    now = _running.get()
    if now is not None:
        _running.set(replace(now, reconnects=True))


def reconnect_delay_seconds(attempt: int) -> float | None:
    """Return how long to wait before connecting again, or None to give up.

    Args:
        attempt: how many attempts have failed, from 1.

    """
    now = _running.get()
    if now is None or not now.reconnects or now.until.remaining_seconds <= 0:
        return None
    return min(next(islice(delays(FIRST_RECONNECT_SECONDS), attempt - 1, None)), now.until.remaining_seconds)


@contextmanager
def unhurried() -> Iterator[None]:
    """Let exchanges have the time of a change, also within a look: for a log-in, whose end others wait for, too."""
    now = _running.get()
    if now is None:
        yield
        return
    with running(now.until):
        yield


def exchange_seconds(silence_seconds: float) -> float:
    """How long one exchange that begins now may take in all, with a backend that may be silent for so long."""
    now = _running.get()
    if now is None:
        return silence_seconds
    return max(now.until.remaining_seconds, silence_seconds if now.least_seconds is None else now.least_seconds)
