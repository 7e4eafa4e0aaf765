"""Memory and a lock that a process shares with its forks, such as a server's workers."""

from __future__ import annotations

import fcntl
import mmap
import os
import struct
import threading
import time
import weakref
from collections import Counter
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

    Keys must be unpredictable to callers of the service, such as the digests of an HMAC. Each entry has an owner, and
    the time by `clock` at which it expires. Where the table is full, a new entry replaces one of the owner with the
    most entries there, so that no owner can fill the table at the expense of others.
    """

    def __init__(self, value_bytes: int, entries: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._entry = struct.Struct(f"{KEY_BYTES}s{KEY_BYTES}sd{value_bytes}s")
        self._entries = entries
        self._clock = clock
        self._memory = mmap.mmap(-1, self._entry.size * entries)

    def get(self, key: bytes) -> bytes | None:
        """Return the value of a key, None if there is none."""
        for offset in self._offsets(key):
            found, _, _, value = self._entry.unpack_from(self._memory, offset)
            if found == key:
                return bytes(value)
        return None

    def put(self, key: bytes, value: bytes, owner: bytes, expires_at: float, *, evict_own: bool = True) -> bool:
        """Write the value of a key, in its own entry, or one that is expired, or one that it replaces.

        Return whether it was written. It is not if it would replace an entry of its own owner and `evict_own` is false.
        """
        offset = self._place(key, owner, evict_own=evict_own)
        if offset is None:
            return False
        self._entry.pack_into(self._memory, offset, key, owner, expires_at, value)
        return True

    def _place(self, key: bytes, owner: bytes, *, evict_own: bool) -> int | None:
        now, free = self._clock(), None
        taken: list[tuple[float, int, bytes]] = []
        for offset in self._offsets(key):
            found, found_owner, expires_at, _ = self._entry.unpack_from(self._memory, offset)
            if found == key:
                return offset
            if expires_at > now:
                taken.append((expires_at, offset, found_owner))
            elif free is None:
                free = offset
        if free is not None:
            return free
        counts = Counter(found_owner for _, _, found_owner in taken)
        most = max(counts.values())
        victims = [one for one in taken if counts[one[2]] == most and (evict_own or one[2] != owner)]
        return min(victims)[1] if victims else None

    def _offsets(self, key: bytes) -> list[int]:
        first = int.from_bytes(key[:8])
        return [(first + step) % self._entries * self._entry.size for step in range(min(_REACH, self._entries))]
