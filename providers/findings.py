"""What is looked up once and kept for a while, however many threads ask for it at the same time."""

from __future__ import annotations

import copy
import math
import threading
import time
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from typing import Generic, TypeVar

from cachetools import TTLCache

from providers.errors import ProviderError

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Findings(Generic[K, V]):
    """At most so many findings, each for so many seconds; the least recently used goes first.

    Who comes while somebody looks waits for that one. A look that has failed is not kept. Those who have waited for it
    get its `ProviderError`, as each would wait as long for its own; after a failure of another kind, which is the
    cloud's answer to that one caller, the next one looks itself.
    """

    def __init__(self, most: int, seconds: float = math.inf) -> None:
        self._lock = threading.Lock()
        self._found: TTLCache[K, Future[V]] = TTLCache(most, seconds, timer=time.monotonic)

    def __len__(self) -> int:
        """How many there are."""
        with self._lock:
            return len(self._found)

    def find(self, key: K, look: Callable[[], V]) -> V:
        """What was found under a key; `look` finds it if nobody has lately."""
        while True:
            finding, first = self._enter(key)
            if first:
                return self._look(key, finding, look)
            error = finding.exception()
            if error is None:
                return finding.result()
            if isinstance(error, ProviderError):
                # Each caller's own, which is told of that caller's leftovers.
                raise copy.copy(error)

    def forget(self, key: K, value: V) -> None:
        """What was found has proved to be gone; what somebody else has found meanwhile stays."""
        with self._lock:
            finding = self._found.get(key)
            if finding is not None and finding.done() and finding.result() == value:
                del self._found[key]

    def clear(self) -> None:
        """Look everything up anew the next time."""
        with self._lock:
            self._found.clear()

    def _enter(self, key: K) -> tuple[Future[V], bool]:
        """The finding under a key, and whether the caller is the one who must look."""
        with self._lock:
            finding = self._found.get(key)
            first = finding is None
            if finding is None:
                finding = self._found[key] = Future()
        return finding, first

    def _look(self, key: K, finding: Future[V], look: Callable[[], V]) -> V:
        try:
            value = look()
        except BaseException as error:
            with self._lock:
                if self._found.get(key) is finding:
                    del self._found[key]
            finding.set_exception(error)
            raise
        finding.set_result(value)
        return value
