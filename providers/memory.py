"""What a session remembers for a short while of the things that it has seen, so as not to ask for them again."""

from __future__ import annotations

import threading
import time
from collections.abc import Hashable
from typing import Generic, TypeVar

from cachetools import TLRUCache, TTLCache

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Memory(Generic[K, V]):
    """At most so many things, each for so many seconds; used by many threads. The oldest goes first."""

    def __init__(self, most: int, seconds: float) -> None:
        self._lock = threading.Lock()
        self._known: TTLCache[K, V] = TTLCache(most, seconds, timer=time.monotonic)

    def remember(self, key: K, value: V) -> None:
        """Keep what was seen; the time begins anew."""
        with self._lock:
            self._known[key] = value

    def recall(self, key: K) -> V | None:
        """What was seen lately, None when that is too long ago."""
        with self._lock:
            return self._known.get(key)

    def forget(self, key: K) -> None:
        """Look again the next time."""
        with self._lock:
            self._known.pop(key, None)


class Marks(Generic[K]):
    """Marks on at most so many things, each for seconds of its own; used by many threads. The oldest goes first."""

    def __init__(self, most: int) -> None:
        self._lock = threading.Lock()
        self._marked: TLRUCache[K, float] = TLRUCache(most, _until, timer=time.monotonic)

    def mark(self, key: K, seconds: float) -> None:
        """Mark a thing; the time begins anew."""
        with self._lock:
            self._marked[key] = seconds

    def __contains__(self, key: K) -> bool:
        """Whether a thing bears a mark whose time is not over."""
        with self._lock:
            return self._marked.get(key) is not None

    def remove(self, key: K) -> None:
        """Take a mark away, if there is one."""
        with self._lock:
            self._marked.pop(key, None)


def _until(_key: object, seconds: float, now: float) -> float:
    return now + seconds
