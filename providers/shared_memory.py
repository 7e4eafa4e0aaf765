"""Memory and a lock that a process shares with its forks, such as a server's workers."""

from __future__ import annotations

import fcntl
import mmap
import os
import struct
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager

KEY_BYTES = 16
# How many entries, from the one that its key names, may hold a key.
_REACH = 32


class SharedLock:
    """Mutual exclusion between the threads of this process and of its forks.

    The kernel releases the lock of a process that is killed.
    """

    def __init__(self) -> None:
        self._threads = threading.Lock()
        self._file = os.memfd_create("cloudvm-lock")
        weakref.finalize(self, os.close, self._file)

    @contextmanager
    def acquire(self) -> Iterator[None]:
        """Hold the lock."""
        with self._threads:
            fcntl.lockf(self._file, fcntl.LOCK_EX)
            try:
                yield
            finally:
                fcntl.lockf(self._file, fcntl.LOCK_UN)


class SharedTable:
    """Hash table of a fixed size, with keys of `KEY_BYTES` and values of one length. The caller holds a lock.

    Keys must be unpredictable to callers of the service, such as the digests of an HMAC. A new key may replace the
    entry near it that was written the longest ago.
    """

    def __init__(self, value_bytes: int, entries: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._entry = struct.Struct(f"{KEY_BYTES}sd{value_bytes}s")
        self._entries = entries
        self._clock = clock
        self._memory = mmap.mmap(-1, self._entry.size * entries)

    def get(self, key: bytes) -> bytes | None:
        """Return the value of a key, None if there is none."""
        for offset in self._offsets(key):
            found, _, value = self._entry.unpack_from(self._memory, offset)
            if found == key:
                return bytes(value)
        return None

    def put(self, key: bytes, value: bytes) -> None:
        """Write the value of a key."""
        self._entry.pack_into(self._memory, min(self._offsets(key), key=self._rank(key)), key, self._clock(), value)

    def _rank(self, key: bytes) -> Callable[[int], tuple[bool, float]]:
        """Return how entries are chosen for a key: its own, then an empty one, then the oldest."""

        def rank(offset: int) -> tuple[bool, float]:
            found, written_at, _ = self._entry.unpack_from(self._memory, offset)
            return found != key, written_at

        return rank

    def _offsets(self, key: bytes) -> list[int]:
        first = int.from_bytes(key[:8])
        return [(first + step) % self._entries * self._entry.size for step in range(min(_REACH, self._entries))]
