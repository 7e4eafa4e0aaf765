"""A look-up that is made once and kept for a while, however many threads ask for it at the same time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

KEPT_SECONDS = 300.0

T = TypeVar("T")


@dataclass(frozen=True)
class _Answer(Generic[T]):
    value: T
    until: float


class Kept(Generic[T]):
    """One answer; a failure is not kept, and the next caller asks again."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._answer: _Answer[T] | None = None

    def get(self, find: Callable[[], T]) -> T:
        """The answer, found by `find` if there is none that is fresh; others wait meanwhile."""
        with self._lock:
            if self._answer is None or time.monotonic() > self._answer.until:
                self._answer = _Answer(find(), time.monotonic() + KEPT_SECONDS)
            return self._answer.value

    def forget(self) -> None:
        """Ask again the next time."""
        with self._lock:
            self._answer = None
