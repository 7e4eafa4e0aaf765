"""How often somebody may try to sign in: clouds lock an account after a few wrong secrets, and must not be led to."""

from __future__ import annotations

import hashlib
import mmap
import secrets
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context

_LOCK_SECONDS = 1.0
_DIGEST_BYTES = 16
# How many places are looked at for a key, from the one that its digest names.
_REACH = 64


@dataclass(frozen=True)
class Attempt:
    """Whether somebody may try now: `wait` is 0, or the seconds until he may; `at` marks the try that was counted."""

    wait: float
    at: float = 0.0


class Attempts:
    """Counts tries by key in a moving window of time (by `clock`, in seconds); keeps about `keys` of them at most.

    Each try costs more than the one before: `pauses` are the seconds after the first, the second and so on; after
    `most` of them the next one is allowed when the oldest is no longer in the window.

    The processes of a server are forks of the one that made this and count together, in memory that they share: with
    a count of each one's own, an account would be tried as often as there are processes.
    """

    def __init__(
        self,
        *,
        most: int = 3,
        seconds: float = 60.0,
        keys: int = 4096,
        pauses: tuple[float, ...] = (1.0, 5.0),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._seconds = seconds
        self._keys = keys
        self._pauses = pauses
        self._clock = clock
        # A digest, and the times of the last tries by the machine's own clock, oldest first; 0 is none.
        self._slot = struct.Struct(f"{_DIGEST_BYTES}s{most}d")
        self._memory = mmap.mmap(-1, self._slot.size * keys)
        self._lock = get_context("fork").Lock()
        # Nobody outside can tell where a key will stand, and crowd it out.
        self._salt = secrets.token_bytes(hashlib.blake2b.SALT_SIZE)

    def admit(self, environment: str, access_key: str) -> Attempt:
        """Count a try; or tell how long to wait until the next one is allowed, and count nothing."""
        digest = self._digest(environment, access_key)
        with self._locked():
            now = self._clock()
            place = self._place(digest, now)
            if place is None:
                # Whom to forget? A try that is forgotten would be a try too many for its account.
                return Attempt(self._seconds)
            tries = self._tries(place, digest)
            wait = self._wait(tries, now)
            if wait > 0:
                return Attempt(wait)
            self._slot.pack_into(self._memory, place, digest, *tries[1:], now)
            return Attempt(0.0, now)

    def take_back(self, environment: str, access_key: str, attempt: Attempt) -> None:
        """A try that was right is no danger to the account; those before it were, and still count."""
        digest = self._digest(environment, access_key)
        with self._locked():
            place = self._place(digest, self._clock())
            if place is None:
                return
            tries = self._tries(place, digest)
            left = [at for at in tries if at and at != attempt.at]
            self._slot.pack_into(self._memory, place, digest, *[0.0] * (len(tries) - len(left)), *left)

    def next_in(self, environment: str, access_key: str) -> float:
        """The seconds until the next try is allowed."""
        digest = self._digest(environment, access_key)
        with self._locked():
            now = self._clock()
            place = self._place(digest, now)
            return self._seconds if place is None else max(0.0, self._wait(self._tries(place, digest), now))

    def _wait(self, tries: list[float], now: float) -> float:
        """How long after these tries the next one is allowed; not positive if it is."""
        recent = [at for at in tries if at and now - at < self._seconds]
        if not recent:
            return 0.0
        if len(recent) == len(tries):
            return recent[0] + self._seconds - now
        pause = self._pauses[min(len(recent), len(self._pauses)) - 1] if self._pauses else 0.0
        return recent[-1] + pause - now

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

    def _digest(self, environment: str, access_key: str) -> bytes:
        environment_digest = hashlib.sha256(environment.encode()).digest()
        return hashlib.blake2b(
            access_key.encode(), key=environment_digest, salt=self._salt, digest_size=_DIGEST_BYTES
        ).digest()
