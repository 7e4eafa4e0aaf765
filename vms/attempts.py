"""How often somebody may try to sign in: clouds lock an account after a few wrong secrets, and must not be led to."""

from __future__ import annotations

import threading
import time
from collections import deque


class Attempts:
    """Counts tries by key in a moving window of time; keeps no more than `keys` of them."""

    def __init__(self, *, most: int = 3, seconds: float = 60.0, keys: int = 10_000) -> None:
        self._most = most
        self._seconds = seconds
        self._keys = keys
        self._lock = threading.Lock()
        self._tries: dict[tuple[str, str], deque[float]] = {}

    def admit(self, key: tuple[str, str]) -> float:
        """Count a try, and return 0; or the seconds until the next one is allowed, and count nothing."""
        now = time.monotonic()
        with self._lock:
            if key not in self._tries and len(self._tries) >= self._keys:
                self._drop_old(now)
                if len(self._tries) >= self._keys:
                    # Whom to forget? A try that is forgotten would be a try too many for its account.
                    return self._seconds
            tries = self._tries.setdefault(key, deque(maxlen=self._most))
            wait = self._seconds - (now - tries[0]) if len(tries) == self._most else 0.0
            if wait <= 0:
                tries.append(now)
            return max(0.0, wait)

    def forget(self, key: tuple[str, str]) -> None:
        """A try that was right is no danger to the account."""
        with self._lock:
            self._tries.pop(key, None)

    def _drop_old(self, now: float) -> None:
        self._tries = {key: tries for key, tries in self._tries.items() if now - tries[-1] < self._seconds}
