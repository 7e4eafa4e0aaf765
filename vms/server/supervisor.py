"""Process supervisor: forks workers, replaces those that die, and passes signals on.

All signals stay blocked and are fetched one at a time with `sigtimedwait`. So no handler runs, and no signal is lost
between a fork and the moment when the worker has its handlers.
"""

from __future__ import annotations

import logging
import os
import signal
import time
import traceback
from collections.abc import Callable
from typing import NamedTuple, NoReturn

_logger = logging.getLogger("cloudvm.server")

STOP_SIGNALS = frozenset({signal.SIGTERM, signal.SIGINT})
SIGNALS = STOP_SIGNALS | {signal.SIGHUP, signal.SIGCHLD}
# A worker that cannot start must not be replaced in a busy loop.
RESPAWN_SECONDS = 1.0


class _Ended(NamedTuple):
    """A worker process that has ended; a negative status is the signal that killed it."""

    pid: int
    status: int


class Supervisor:
    """Runs a number of worker processes until a stop signal arrives."""

    def __init__(
        self,
        worker: Callable[[int], None],
        count: int,
        *,
        reload: Callable[[], bool],
        on_stop: Callable[[], None],
        stop_timeout_seconds: float,
    ) -> None:
        """Create a supervisor.

        Args:
            worker: body of a worker process, which starts with `SIGNALS` blocked. Its argument is a file descriptor
                that reaches its end when the supervisor dies.
            count: number of processes.
            reload: called on SIGHUP. The workers get the signal only if it returns True.
            on_stop: called when a stop begins.
            stop_timeout_seconds: time after which workers that are still stopping are killed.

        """
        self._worker = worker
        self._count = count
        self._reload = reload
        self._on_stop = on_stop
        self._stop_timeout_seconds = stop_timeout_seconds
        self._pids: set[int] = set()
        self._forked_at = 0.0
        self._respawn_at: float | None = None
        self._alive_read, self._alive_write = os.pipe()

    def run(self) -> int:
        """Run until a stop signal arrives, and return the exit status."""
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        for number in (signal.SIGCHLD, signal.SIGHUP):
            # An inherited "ignore" would discard them.
            signal.signal(number, signal.SIG_DFL)
        for _ in range(self._count):
            self._fork()
        while True:
            received = wait_for_signal(self._respawn_at)
            if received in STOP_SIGNALS:
                return self._stop()
            if received == signal.SIGHUP and self._is_reloaded():
                self._signal(signal.SIGHUP)
            for worker in self._reap():
                _logger.error("Worker %d ended with status %d.", worker.pid, worker.status)
            self._replace_ended()

    def _is_reloaded(self) -> bool:
        try:
            return self._reload()
        except Exception:
            # The supervisor must survive, or the workers end.
            _logger.exception("The reload has failed.")
            return False

    def _replace_ended(self) -> None:
        """Fork the missing workers, at most once per `RESPAWN_SECONDS`."""
        self._respawn_at = None
        missing = self._count - len(self._pids)
        if missing and time.monotonic() < self._forked_at + RESPAWN_SECONDS:
            self._respawn_at = self._forked_at + RESPAWN_SECONDS
            return
        try:
            for _ in range(missing):
                self._fork()
        except OSError as error:
            _logger.error("Cannot start a worker: %s.", error.strerror)  # noqa: TRY400 - the system lacks resources
            self._respawn_at = time.monotonic() + RESPAWN_SECONDS

    def _stop(self) -> int:
        """Stop all workers, and return the exit status."""
        self._on_stop()
        self._signal(signal.SIGTERM)
        deadline = time.monotonic() + self._stop_timeout_seconds
        while self._pids and time.monotonic() < deadline:
            wait_for_signal(deadline)  # further stop signals change nothing
            self._reap()
        if not self._pids:
            return 0
        _logger.error("Killing workers that did not stop in time: %s.", ", ".join(map(str, sorted(self._pids))))
        self._signal(signal.SIGKILL)
        return 1

    def _fork(self) -> None:
        pid = os.fork()
        if pid == 0:
            self._run_worker()
        self._pids.add(pid)
        self._forked_at = time.monotonic()

    def _run_worker(self) -> NoReturn:
        status = 1
        try:
            os.close(self._alive_write)
            self._worker(self._alive_read)
            status = 0
        except BaseException:  # noqa: BLE001 - nothing may unwind into the supervisor's own stack
            traceback.print_exc()
        finally:
            logging.shutdown()
            os._exit(status)

    def _signal(self, number: signal.Signals) -> None:
        for pid in self._pids:
            os.kill(pid, number)

    def _reap(self) -> list[_Ended]:
        ended = []
        for pid in sorted(self._pids):
            reaped, status = os.waitpid(pid, os.WNOHANG)
            if reaped:
                self._pids.remove(pid)
                ended.append(_Ended(pid, os.waitstatus_to_exitcode(status)))
        return ended


def wait_for_signal(until: float | None) -> int | None:
    """Return the next signal; None when the time (of the monotonic clock) has come."""
    if signal.sigpending() & STOP_SIGNALS:
        # The system prefers lower numbers: a stop would wait for the end of a flood of SIGHUP.
        return signal.sigwait(STOP_SIGNALS)
    if until is None:
        return signal.sigwait(SIGNALS)
    found = signal.sigtimedwait(SIGNALS, max(0.0, until - time.monotonic()))
    return None if found is None else found.si_signo
