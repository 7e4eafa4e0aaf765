"""Authenticated drivers, kept a while so that not every request logs in anew, and never shared between callers.

Stateless means that nothing here must survive: a lost session costs one log-in. The key of a session is an HMAC, under
a key drawn at start, of the environment and the whole credentials: no secret is a dictionary's key, and two callers
with the same access key and different secrets never meet.
"""

from __future__ import annotations

import atexit
import hashlib
import hmac
import logging
import secrets
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

from providers.credentials import Credentials
from providers.deadline import Deadline, running

_logger = logging.getLogger("cloudvm.gateway")

SWEEP_SECONDS = 30.0
# Time limit of one log-out, and of all log-outs of `SessionStore.close`. A log-out that hangs fails and is logged
# before the process ends.
LOG_OUT_SECONDS = 8.0
CLOSE_SECONDS = 10.0
# Log-outs at the same time, each in a thread of its own.
MAX_LOG_OUTS = 256


class Closable(Protocol):
    """What the store can keep."""

    def close(self) -> None:
        """Log out; raises nothing."""


S = TypeVar("S", bound=Closable)


@dataclass
class _Entry(Generic[S]):
    """One session: being opened, or open. It is closed when it was put out and its last user has gone."""

    key: bytes
    environment: str
    opening: Future[S] = field(default_factory=Future)
    created: float = field(default_factory=time.monotonic)
    used: float = field(default_factory=time.monotonic)
    users: int = 0
    out: bool = False


class SessionStore(Generic[S]):
    """A bounded store of open sessions; the least recently used goes first.

    `idle_seconds` and `lifetime_seconds` bound how long a session lives unused and at all. Sessions are closed in
    background threads: no caller waits for the log-out from a cloud that hangs.
    """

    def __init__(
        self,
        *,
        most: int = 256,
        idle_seconds: float = 600.0,
        lifetime_seconds: float = 3600.0,
        close_seconds: float = CLOSE_SECONDS,
    ) -> None:
        self._attendance: ExitStack | None = None
        self._most = most
        self._idle_seconds = idle_seconds
        self._lifetime_seconds = lifetime_seconds
        self._close_seconds = close_seconds
        self._hmac_key = secrets.token_bytes(32)
        self._lock = threading.Lock()
        self._entries: OrderedDict[bytes, _Entry[S]] = OrderedDict()
        self._to_close: deque[_Entry[S]] = deque()
        self._closers = 0
        self._closer_ended = threading.Condition(self._lock)

    def __len__(self) -> int:
        """How many sessions are kept."""
        return len(self._entries)

    @contextmanager
    def lease(self, environment: str, credentials: Credentials, open_: Callable[[], S]) -> Iterator[S]:
        """The session of these credentials in this environment, opened by `open_` if there is none.

        Callers who come while it is being opened wait for that one log-in and share its failure, too: many
        requests with a wrong secret must not become many wrong log-ins.
        """
        key = self._key(environment, credentials)
        entry, first = self._enter(key, environment)
        try:
            if first:
                self._open(entry, open_)
            yield entry.opening.result()
        finally:
            self._leave(entry)

    def evict(self, environment: str, credentials: Credentials) -> None:
        """Forget the session of these credentials; it is closed when its last user has gone."""
        with self._lock:
            entry = self._entries.get(self._key(environment, credentials))
        if entry is not None:
            self._put_out([entry])

    def evict_others(self, environments: Collection[str]) -> None:
        """Forget the sessions of all environments but these; each is closed when its last user has gone."""
        with self._lock:
            entries = [entry for entry in self._entries.values() if entry.environment not in environments]
        self._put_out(entries)

    def close(self) -> None:
        """Close every session that nobody is using, and the others when they are given back.

        Sessions that are still open after `close_seconds` are left to the end of the process.
        """
        deadline = Deadline.after(self._close_seconds)
        with self._lock:
            entries = list(self._entries.values())
            attendance, self._attendance = self._attendance, None
        if attendance is not None:
            attendance.close()
        self._put_out(entries)
        with self._lock:
            self._closer_ended.wait_for(lambda: not self._closers, deadline.remaining_seconds)
            left = self._closers + len(self._to_close)
        if left:
            _logger.warning("%d sessions could not be logged out within %g s", left, self._close_seconds)

    def _key(self, environment: str, credentials: Credentials) -> bytes:
        digest = hmac.new(self._hmac_key, digestmod=hashlib.sha256)
        for part in (environment, credentials.access_key, credentials.secret):
            raw = part.encode()
            # The length keeps ("ab", "c") and ("a", "bc") apart.
            digest.update(len(raw).to_bytes(4, "big") + raw)
        return digest.digest()

    def _enter(self, key: bytes, environment: str) -> tuple[_Entry[S], bool]:
        """The entry under `key`, marked as in use, and whether the caller is the one who must open it."""
        self._put_out([entry for entry in self._expired() if entry.key == key])
        with self._lock:
            entry = self._entries.get(key)
            first = entry is None
            if entry is None:
                entry = self._entries[key] = _Entry(key, environment)
            self._entries.move_to_end(key)
            entry.users += 1
            entry.used = time.monotonic()
            surplus = list(self._entries.values())[: max(0, len(self._entries) - self._most)]
            if self._attendance is None:
                self._attendance = self._attend()
        self._put_out(surplus)
        return entry, first

    def _attend(self) -> ExitStack:
        """Close expired sessions in the background, and all of them when the interpreter exits, until this is closed.

        Starts with the first session: a worker process is a fork of the process that made the store, and a fork
        has no threads.
        """
        attendance, closing = ExitStack(), threading.Event()
        threading.Thread(target=self._sweep, args=(closing,), name="sessions", daemon=True).start()
        attendance.callback(closing.set)
        atexit.register(self.close)
        attendance.callback(atexit.unregister, self.close)
        return attendance

    def _sweep(self, closing: threading.Event) -> None:
        while not closing.wait(min(SWEEP_SECONDS, self._idle_seconds, self._lifetime_seconds)):
            self._put_out(self._expired())

    def _open(self, entry: _Entry[S], open_: Callable[[], S]) -> None:
        try:
            entry.opening.set_result(open_())
        except BaseException as error:
            entry.opening.set_exception(error)
            self._put_out([entry])
            raise

    def _leave(self, entry: _Entry[S]) -> None:
        with self._lock:
            entry.users -= 1
            entry.used = time.monotonic()
            is_unused = entry.out and entry.users == 0
        if is_unused:
            self._close_soon([entry])

    def _expired(self) -> list[_Entry[S]]:
        now = time.monotonic()
        with self._lock:
            return [
                entry
                for entry in self._entries.values()
                if (entry.users == 0 and now - entry.used > self._idle_seconds)
                or now - entry.created > self._lifetime_seconds
            ]

    def _put_out(self, entries: list[_Entry[S]]) -> None:
        """Take entries out of the store, and close those that nobody is using."""
        closable = []
        with self._lock:
            for entry in entries:
                if self._entries.get(entry.key) is entry:
                    del self._entries[entry.key]
                    entry.out = True
                    if entry.users == 0:
                        closable.append(entry)
        self._close_soon(closable)

    def _close_soon(self, entries: list[_Entry[S]]) -> None:
        """Close sessions in background threads, as many at once as `MAX_LOG_OUTS` allows."""
        with self._lock:
            self._to_close.extend(entry for entry in entries if _is_open(entry))
            count = min(len(self._to_close), MAX_LOG_OUTS - self._closers)
            self._closers += count
        for started in range(count):
            try:
                threading.Thread(target=self._run_closer, name="log-out", daemon=True).start()
            except RuntimeError:
                # The process has no thread left. The sweep tries again.
                with self._lock:
                    self._closers -= count - started
                return

    def _run_closer(self) -> None:
        """Close sessions until none is left."""
        while True:
            with self._lock:
                if not self._to_close:
                    self._closers -= 1
                    self._closer_ended.notify_all()
                    return
                entry = self._to_close.popleft()
            try:
                with running(Deadline.after(0), LOG_OUT_SECONDS):
                    entry.opening.result().close()
            except Exception:
                # The thread goes on with the other sessions.
                _logger.exception("a session could not be closed")


def _is_open(entry: _Entry[S]) -> bool:
    """Whether a session was opened. One that a thread is still opening at the end of the process was not."""
    return entry.opening.done() and entry.opening.exception() is None
