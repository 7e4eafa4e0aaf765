"""Lists that come in pages: the first tells how many; the others are fetched side by side, at Prism's pace."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import copy_context
from typing import Any, Final, TypeVar

from providers import trace
from providers.errors import ThrottledError
from providers.nutanix.answers import Rate

MOST_THREADS: Final = 8
# More than any Prism Central can have; a list is not begun for what cannot be.
MOST_ENTRIES: Final = 1_000_000
# How long one call may wait for its turn; where that does not suffice, the caller is told when to come back.
LONGEST_WAIT_SECONDS: Final = 60.0
# Two clocks never run quite alike.
_MARGIN: Final = 1.05

T = TypeVar("T")


class Pace:
    """Keeps the calls of one kind within the rate that Prism announces with its answers; used by many threads.

    A call reaches Prism at some moment between its start and its end. So of those under way, and those that have ended
    within the last period, there are never more than the rate allows, however long each was on its way. What other
    clients use of it is seen in how much is left; what they use at the same moment nobody can see.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._rate: Rate | None = None
        self._under_way = 0
        self._ends: deque[float] = deque()
        self._blocked_until = 0.0

    @contextmanager
    def turn(self) -> Iterator[None]:
        """One call, as soon as it fits into the rate.

        Raises:
            ThrottledError: that would be too late.

        """
        with trace.current().waiting(), self._changed:
            self._wait()
            self._under_way += 1
        try:
            yield
        finally:
            with self._changed:
                self._under_way -= 1
                self._ends.append(time.monotonic())
                self._changed.notify_all()

    def learn(self, rate: Rate | None) -> None:
        """Take note of what an answer has said."""
        if rate is None:
            return
        with self._changed:
            self._rate = rate
            if rate.remaining == 0:
                self._blocked_until = time.monotonic() + rate.period_seconds * _MARGIN

    def _wait(self) -> None:
        until = time.monotonic() + LONGEST_WAIT_SECONDS
        while (pause := self._pause(now := time.monotonic())) != 0:
            period = self._rate.period_seconds if self._rate else 0.0
            if now + (pause or 0.0) >= until:
                raise ThrottledError(
                    "Nutanix has said that no more such calls are allowed for now.",
                    retry_after_seconds=min(pause or period, period),
                )
            self._changed.wait(pause or until - now)

    def _pause(self, now: float) -> float | None:
        """How long to wait before the next look at the rate: 0 if a call fits, None until another has ended."""
        if self._rate is None:
            self._ends.clear()
            return 0
        period = self._rate.period_seconds * _MARGIN
        while self._ends and self._ends[0] + period <= now:
            self._ends.popleft()
        if now < self._blocked_until:
            return self._blocked_until - now
        if self._under_way + len(self._ends) < self._rate.limit:
            return 0
        return self._ends[0] + period - now if self._ends else None


def total_of(said: Mapping[str, Any], name: str, before: int, size: int, found: int) -> int:
    """How many entries there are on all pages, as the page after so many has said; a page that is not full may not.

    Raises:
        ValueError, TypeError: it says nothing, or what cannot be.

    """
    total: Any = (said.get("metadata") or {}).get(name)
    if total is None and found < size:
        return before + found
    number = int(total)
    if number > MOST_ENTRIES:
        raise ValueError(total)
    return number


def all_pages(fetch: Callable[[int], tuple[list[T], int]], size: int) -> list[T]:
    """What is on all pages; `fetch` returns what is on one, counted from 0, and how many there are on all."""
    found, total = fetch(0)
    others = range(1, -(-total // size))
    if not others:
        return found
    # The context carries the request's trace into the threads.
    pool = ThreadPoolExecutor(min(MOST_THREADS, len(others)), thread_name_prefix="pages")
    try:
        pages = [pool.submit(copy_context().run, fetch, number) for number in others]
        for page in pages:
            found += page.result()[0]
    finally:
        pool.shutdown(cancel_futures=True)
    return found
