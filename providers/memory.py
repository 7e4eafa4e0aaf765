"""What a session remembers for a short while of the things that it has seen, so as not to ask for them again."""

from __future__ import annotations

import threading
import time
from collections.abc import Hashable
from typing import Generic, TypeVar

from cachetools import TTLCache

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
