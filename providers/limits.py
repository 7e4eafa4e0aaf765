"""Bulkhead: limits on the requests that run at once, so that one slow cloud leaves room for all others."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum

from providers.errors import UnavailableError

READ_RETRY_SECONDS = 1.0
CHANGE_RETRY_SECONDS = 5.0


class RequestKind(StrEnum):
    """The two kinds of requests. A change can last minutes, so it must not take the room of reads."""

    READ = "read"
    CHANGE = "change"


class Bulkhead:
    """Counts the running requests of one process by environment and kind, and refuses those beyond a limit.

    No request waits for another one: a waiting request would hold a thread that other environments need.
    """

    def __init__(
        self, *, reads_per_environment: int, changes_per_environment: int, max_changes: int, max_requests: int
    ) -> None:
        self._per_environment = {RequestKind.READ: reads_per_environment, RequestKind.CHANGE: changes_per_environment}
        self._max_changes = max_changes
        self._max_requests = max_requests
        self._lock = threading.Lock()
        self._running: Counter[tuple[str, RequestKind]] = Counter()

    @contextmanager
    def acquire(self, environment: str, kind: RequestKind) -> Iterator[None]:
        """Count a request as running.

        Raises:
            UnavailableError: a limit is reached.

        """
        slot = environment, kind
        with self._lock:
            reached = self._reached_limit(environment, kind)
            if reached is None:
                self._running[slot] += 1
        if reached is not None:
            raise UnavailableError(
                f"{reached} Nothing was sent to the cloud. Repeat the request later.",
                retry_after_seconds=READ_RETRY_SECONDS if kind is RequestKind.READ else CHANGE_RETRY_SECONDS,
            )
        try:
            yield
        finally:
            with self._lock:
                self._running[slot] -= 1
                if not self._running[slot]:
                    del self._running[slot]

    def _reached_limit(self, environment: str, kind: RequestKind) -> str | None:
        """Return a sentence about the limit that forbids another request, None if there is room."""
        limit = self._per_environment[kind]
        if self._running[environment, kind] >= limit:
            return f"Environment {environment!r} has {limit} {kind}s in progress in this process, which is its limit."
        changes = sum(count for (_, one), count in self._running.items() if one is RequestKind.CHANGE)
        if kind is RequestKind.CHANGE and changes >= self._max_changes:
            return f"This process has {changes} changes in progress in all environments, which is its limit."
        requests = self._running.total()
        if requests >= self._max_requests:
            return f"This process has {requests} requests in progress in all environments, which is its limit."
        return None
