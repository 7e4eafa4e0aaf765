"""How often somebody may try to sign in: clouds lock an account after a few wrong secrets, and must not be led to."""

from __future__ import annotations

import hashlib
import mmap
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import get_context

_LOCK_SECONDS = 1.0
_DIGEST_BYTES = 16
# How many places are looked at for a key, from the one that its digest names.
_REACH = 64


class Attempts:
    """Counts tries by key in a moving window of time; keeps no more than about `keys` of them.

    The processes of a server are forks of the one that made this and count together, in memory that they share: with
    a count of each one's own, an account would be tried as often as there are processes.
    """

    def __init__(self, *, most: int = 3, seconds: float = 60.0, keys: int = 4096) -> None:
        self._seconds = seconds
        self._keys = keys
        # A digest, and the times of the last tries by the machine's own clock, oldest first.
        self._slot = struct.Struct(f"{_DIGEST_BYTES}s{most}d")
        self._memory = mmap.mmap(-1, self._slot.size * keys)
        self._lock = get_context("fork").Lock()

    def admit(self, environment: str, access_key: str) -> float:
        """Count a try, and return 0; or the seconds until the next one is allowed, and count nothing."""
        digest = _digest(environment, access_key)
        with self._locked():
            now = time.monotonic()
            place = self._place(digest, now)
            if place is None:
                # Whom to forget? A try that is forgotten would be a try too many for its account.
                return self._seconds
            tries = self._tries(place, digest)
            wait = tries[0] + self._seconds - now if tries[0] else 0.0
            if wait > 0:
                return wait
            self._slot.pack_into(self._memory, place, digest, *tries[1:], now)
            return 0.0

    def forget(self, environment: str, access_key: str) -> None:
        """A try that was right is no danger to the account."""
        digest = _digest(environment, access_key)
        with self._locked():
            place = self._place(digest, time.monotonic())
            if place is not None and self._read(place)[0] == digest:
                self._memory[place : place + self._slot.size] = bytes(self._slot.size)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        # Not for ever: a process that was killed with the lock in its hand must not keep everybody out.
        held = self._lock.acquire(timeout=_LOCK_SECONDS)
        try:
            yield
        finally:
            if held:
                self._lock.release()

    def _place(self, digest: bytes, now: float) -> int | None:
        """Where the key stands, or else where it can stand: in a place whose last try is long ago."""
        free = None
        first = int.from_bytes(digest[:8])
        for step in range(min(_REACH, self._keys)):
            place = (first + step) % self._keys * self._slot.size
            found, last = self._read(place)
            if found == digest:
                return place
            if free is None and (not last or now - last > self._seconds):
                free = place
        return free

    def _read(self, place: int) -> tuple[bytes, float]:
        """Whose place it is, and when the last try was."""
        found, *times = self._slot.unpack_from(self._memory, place)
        return found, times[-1]

    def _tries(self, place: int, digest: bytes) -> list[float]:
        found, *times = self._slot.unpack_from(self._memory, place)
        return times if found == digest else [0.0] * len(times)


def _digest(environment: str, access_key: str) -> bytes:
    environment_digest = hashlib.sha256(environment.encode()).digest()
    return hashlib.blake2b(access_key.encode(), key=environment_digest, digest_size=_DIGEST_BYTES).digest()
