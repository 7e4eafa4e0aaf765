"""A bounded share of the process's threads for each environment, so that one hanging cloud leaves room for others."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from providers.errors import UnavailableError


class Shares:
    """At most `most` requests at once for an environment; a further one waits `patience_seconds` for its turn."""

    def __init__(self, *, most: int, patience_seconds: float = 5.0) -> None:
        self._most = most
        self._patience_seconds = patience_seconds
        self._slots: dict[str, threading.BoundedSemaphore] = {}

    @contextmanager
    def taken(self, environment: str) -> Iterator[None]:
        """Hold one of the environment's slots.

        Raises:
            UnavailableError: none became free in time.

        """
        # In one step: of two threads that come first, both must take from the same one.
        slot = self._slots.setdefault(environment, threading.BoundedSemaphore(self._most))
        if not slot.acquire(timeout=self._patience_seconds):
            raise UnavailableError(
                f"{self._most} requests for environment {environment!r} are already under way in this process, "
                "which keeps the rest of its capacity for other environments; try again shortly.",
                retry_after_seconds=1,
            )
        try:
            yield
        finally:
            slot.release()
