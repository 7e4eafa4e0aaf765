"""Lists that come in pages: the first tells how many; the others are fetched side by side, at Prism's pace."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import Final, TypeVar

from providers import trace
from providers.nutanix.answers import Rate

MOST_THREADS: Final = 8
# Calls reach Prism a little earlier or later than they leave here.
_MARGIN: Final = 1.05

T = TypeVar("T")


class Pace:
    """Keeps the calls of one kind within the rate that Prism announces with its answers; used by many threads.

    What other clients use of it is seen in how much is left; what they use at the same moment nobody can see.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._rate: Rate | None = None
        self._turns: deque[float] = deque()
        self._blocked_until = 0.0

    def take_turn(self) -> None:
        """Wait until another call fits into the rate."""
        with self._lock:
            now = time.monotonic()
            turn = self._next_turn(now)
            self._turns.append(turn)
        if turn > now:
            with trace.current().waiting():
                time.sleep(turn - now)

    def learn(self, rate: Rate | None) -> None:
        """Take note of what an answer has said."""
        if rate is None:
            return
        with self._lock:
            self._rate = rate
            if rate.remaining == 0:
                self._blocked_until = time.monotonic() + rate.period_seconds * _MARGIN

    def _next_turn(self, now: float) -> float:
        if self._rate is None:
            return now
        while len(self._turns) > self._rate.limit:
            self._turns.popleft()
        if len(self._turns) < self._rate.limit:
            return max(now, self._blocked_until)
        return max(now, self._blocked_until, self._turns[0] + self._rate.period_seconds * _MARGIN)


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
