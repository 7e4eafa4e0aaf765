"""A limit on the bytes of backend answers that one process holds at a time, and memory given back after large ones."""

from __future__ import annotations

import ctypes
import gc
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Final

from providers.errors import UnavailableError

MIB: Final = 1024 * 1024
# The first bytes of an answer are not counted: polls and changes must go on while lists use up the budget.
UNCOUNTED_BYTES: Final = 256 * 1024
# The budget is taken in such portions, so that the lock is taken seldom.
CHUNK_BYTES: Final = MIB
# After a request with more bytes than this, free memory goes back to the system.
LARGE_BYTES: Final = 16 * MIB
TRIM_SECONDS: Final = 60.0
TRIM_PAUSE_SECONDS: Final = 5.0
RETRY_SECONDS: Final = 5.0


@dataclass(eq=False)
class _Reservation:
    """What the large answers to one request take; used by the request's threads, under the budget's lock."""

    budget: AnswerMemory
    size: int = 0
    held: int = 0


_current: ContextVar[_Reservation | None] = ContextVar("cloudvm_answer_memory", default=None)


class AnswerMemory:
    """The budget of one process. Answers count from `UNCOUNTED_BYTES` on, until their request has returned."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._lock = threading.Lock()
        self._held = 0
        self._trimmer = _Trimmer(self)

    @contextmanager
    def request(self) -> Iterator[None]:
        """Count the answers to one request, and release them at its end."""
        reservation = _Reservation(self)
        token = _current.set(reservation)
        try:
            yield
        finally:
            _current.reset(token)
            with self._lock:
                self._held -= reservation.held
            if reservation.size > LARGE_BYTES:
                self._trimmer.schedule()

    @property
    def is_empty(self) -> bool:
        """Whether no running request has answers that count."""
        return self._held == 0

    def add(self, reservation: _Reservation, size: int) -> None:
        """Count more bytes of a request.

        Raises:
            UnavailableError: the answers in memory would exceed the budget.

        """
        with self._lock:
            reservation.size += size
            missing = reservation.size - reservation.held
            if missing <= 0:
                return
            chunks = -(-missing // CHUNK_BYTES) * CHUNK_BYTES
            if self._held + chunks <= self._max_bytes:
                self._held += chunks
                reservation.held += chunks
                return
        raise UnavailableError(
            f"The backends' answers that this process holds in memory reach its limit of {self._max_bytes // MIB} MiB. "
            "Repeat the request later.",
            retry_after_seconds=RETRY_SECONDS,
        )


def reserve(size: int) -> None:
    """Count so many bytes of an answer to the running request.

    Raises:
        UnavailableError: the answers in memory would exceed the budget.

    """
    reservation = _current.get()
    if reservation is not None:
        reservation.budget.add(reservation, size)


class _Trimmer:
    """Gives free memory back to the system, in a thread of its own.

    A list is free only when its answer has been rendered and sent, and nobody tells when that is: memory is trimmed
    every few seconds for a while after the last large request.
    """

    def __init__(self, memory: AnswerMemory) -> None:
        self._memory = memory
        self._lock = threading.Lock()
        self._until = 0.0
        self._is_running = False

    def schedule(self) -> None:
        """Trim from now on."""
        with self._lock:
            self._until = time.monotonic() + TRIM_SECONDS
            if self._is_running:
                return
            # A process without threads to spare, or at its end, keeps the memory.
            with suppress(RuntimeError):
                threading.Thread(target=self._run, name="cloudvm-trim", daemon=True).start()
                self._is_running = True

    def _run(self) -> None:
        while self._goes_on():
            time.sleep(TRIM_PAUSE_SECONDS)
            if self._memory.is_empty:
                # The little garbage that is left may hold a whole answer. Beside a large list this would take long.
                gc.collect()
            if _malloc_trim is not None:
                _malloc_trim(0)

    def _goes_on(self) -> bool:
        with self._lock:
            self._is_running = time.monotonic() < self._until
            return self._is_running


def _find_malloc_trim() -> Callable[[int], int] | None:
    """Return glibc's function, None with another C library. It runs without the interpreter's lock."""
    return getattr(ctypes.CDLL(None), "malloc_trim", None)


_malloc_trim: Final = _find_malloc_trim()
