"""Cuts exchanges off whose time is over, or whose answer takes too much room.

A time limit on a socket begins anew with each packet, so that a backend which drips its answer would hold a thread for
as long as it likes. (OpenSSL's handshake is within the time limit as a whole.)

The connections also turn errors of connecting into urllib3's connect errors. This covers the proxy's CONNECT and the
TLS handshake, which the libraries report like an answer that was lost.
"""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from http.client import HTTPException
from typing import Any, Protocol

from urllib3.exceptions import ConnectTimeoutError, NewConnectionError

from providers import circuit_breaker
from providers.answer_memory import UNCOUNTED_BYTES, reserve
from providers.errors import UnavailableError


class TooLongError(OSError):
    """An answer takes more room than any of its backend's."""


class _Closable(Protocol):
    def close(self) -> object: ...


def within_limit(answer: _Closable, pieces: Iterable[bytes], most_bytes: int) -> Iterator[bytes]:
    """Yield the pieces of an answer as they come. The answer is closed before anything is raised.

    Raises:
        TooLongError: there are more bytes.
        UnavailableError: the process holds too many bytes of answers.

    """
    circuit_breaker.backend_reached()
    size = 0
    for piece in pieces:
        size += len(piece)
        if size > most_bytes:
            answer.close()
            raise TooLongError
        try:
            if size > UNCOUNTED_BYTES:
                reserve(len(piece))
        except UnavailableError:
            answer.close()
            raise
        yield piece


class Exchange:
    """One exchange with a backend, from its begin to the last byte of the answer; `is_over` says that it was cut off.

    What breaks after that, and an answer that seems to end then, means a backend that was too slow. As long as
    `is_sent` is false, no part of the request has left this process.
    """

    def __init__(self, ends_at: float) -> None:
        self.ends_at = ends_at
        self.is_over = False
        self.is_sent = False
        self.connection: CutConnection | None = None


_exchange: ContextVar[tuple[Cutoff, Exchange] | None] = ContextVar("cloudvm_exchange", default=None)


class Cutoff:
    """Ends the exchanges of a process that last too long, by one thread.

    Without work it stays for `idle_seconds`, as to start one for each exchange would cost too much, and goes.
    """

    def __init__(self, idle_seconds: float = 10.0) -> None:
        self._idle_seconds = idle_seconds
        self._changed = threading.Condition()
        self._exchanges: set[Exchange] = set()
        self._wakes_at = 0.0
        self._watcher: threading.Thread | None = None

    @contextmanager
    def after(self, seconds: float) -> Iterator[Exchange]:
        """An exchange of the running thread that may take so long, over `CutConnection`s."""
        exchange = self.begin(seconds)
        try:
            yield exchange
        finally:
            self.end(exchange)

    def begin(self, seconds: float) -> Exchange:
        """The same, where it does not end in one place: whoever begins it gives it to `end`, in the same thread."""
        exchange = Exchange(time.monotonic() + seconds)
        with self._changed:
            self._exchanges.add(exchange)
            # A fork leaves it behind.
            if self._watcher is None or not self._watcher.is_alive():
                self._start_watcher(exchange.ends_at)
            elif exchange.ends_at < self._wakes_at:
                self._changed.notify_all()
        _exchange.set((self, exchange))
        return exchange

    def end(self, exchange: Exchange) -> None:
        """The exchange has ended, well or not."""
        _exchange.set(None)
        with self._changed:
            self._exchanges.discard(exchange)
            exchange.connection = None

    def take(self, exchange: Exchange, connection: CutConnection) -> None:
        """The exchange goes over this connection from now on.

        Raises:
            ConnectTimeoutError: its time is over.

        """
        with self._changed:
            if exchange.is_over:
                raise ConnectTimeoutError("The time of the exchange is over.")
            exchange.connection = connection

    def leave(self, exchange: Exchange) -> None:
        """The exchange goes over no connection any more: the one that it went over is about to be another's."""
        with self._changed:
            exchange.connection = None

    def _start_watcher(self, wakes_at: float) -> None:
        self._wakes_at = wakes_at
        self._watcher = threading.Thread(target=self._watch, name="cloudvm-cutoff", daemon=True)
        # A process that has no thread left, or is ending, goes on without: the socket has its own time limit, and the
        # next exchange tries again.
        with suppress(RuntimeError):
            self._watcher.start()

    def _watch(self) -> None:
        with self._changed:
            while self._exchanges or self._wakes_at > time.monotonic():
                now = time.monotonic()
                for exchange in [one for one in self._exchanges if one.ends_at <= now]:
                    self._exchanges.discard(exchange)
                    _cut(exchange)
                self._wakes_at = min((one.ends_at for one in self._exchanges), default=now + self._idle_seconds)
                self._changed.wait(self._wakes_at - now)
            self._watcher = None


def _cut(exchange: Exchange) -> None:
    exchange.is_over = True
    if exchange.connection is not None:
        exchange.connection.cut()


class CutConnection:
    """To be mixed into an HTTP library's connections, so that they take part in their thread's exchange."""

    host: Any
    port: Any
    sock: Any
    has_connected_to_proxy: Any
    _tunnel_host: Any
    _tunnel_port: Any
    # Kept, as `http.client` forgets a connection that the backend wants closed while its answer is still being read.
    _socket: Any = None

    def connect(self) -> None:
        """See `http.client.HTTPConnection`."""
        self._take_part(is_sent=False)
        # TCP and TLS have their own time limits here. Python would never close a socket that is cut just before TLS
        # takes it over.
        self._leave()
        try:
            super().connect()  # type: ignore[misc] # the library's
        except Exception as error:
            failure = self._connect_error(error)
            # A connection that was refused is a kind of timeout to urllib3.
            if isinstance(failure, ConnectTimeoutError) and not isinstance(failure, NewConnectionError):
                circuit_breaker.connect_timed_out(self._peer)
            if failure is error:
                raise
            raise failure from error
        circuit_breaker.backend_reached()
        self._take_part(is_sent=True)

    def _tunnel(self) -> None:
        """See `http.client.HTTPConnection`: ask a proxy for a tunnel."""
        self._take_part(is_sent=False)
        try:
            super()._tunnel()  # type: ignore[misc] # the library's
        finally:
            self._leave()

    def putrequest(self, *arguments: Any, **options: Any) -> None:
        """See `http.client.HTTPConnection`: what each request begins with."""
        # Without TLS the connection is made when the request is complete.
        self._take_part(is_sent=self.sock is not None)
        super().putrequest(*arguments, **options)  # type: ignore[misc] # the library's

    def cut(self) -> None:
        """Wake whoever reads from the connection or writes to it: there is nothing more to come."""
        # TLS within TLS (through an https proxy) has the socket inside. An SSLSocket's own method would take its TLS
        # away from under the thread that uses it.
        current = self.sock or self._socket
        found = getattr(current, "socket", current)
        if isinstance(found, socket.socket):
            with suppress(OSError):
                socket.socket.shutdown(found, socket.SHUT_RDWR)

    @property
    def _peer(self) -> str:
        """The host, with its port, that the connection waits for: the proxy, or the one behind it."""
        if self.has_connected_to_proxy and self._tunnel_host:
            return f"{self._tunnel_host}:{self._tunnel_port}"
        return f"{self.host}:{self.port}"

    def _connect_error(self, error: Exception) -> Exception:
        """Return urllib3's connect error for one of connecting; other errors as they are."""
        if isinstance(error, ConnectTimeoutError):
            return error
        now = _exchange.get()
        if isinstance(error, TimeoutError) or (now is not None and now[1].is_over):
            return ConnectTimeoutError(f"The connection to {self._peer} timed out: {error}")
        if isinstance(error, HTTPException) and not isinstance(error, OSError):
            return NewConnectionError(self, f"The proxy's answer is not HTTP ({type(error).__name__})")  # type: ignore[arg-type] # urllib3's, mixed in
        if isinstance(error, ConnectionError | ssl.SSLEOFError | ssl.SSLZeroReturnError):
            return NewConnectionError(self, f"Failed to establish a new connection: {error}")  # type: ignore[arg-type] # urllib3's, mixed in
        return error

    def _take_part(self, *, is_sent: bool) -> None:
        self._socket = self.sock
        now = _exchange.get()
        if now is not None:
            cutoff, exchange = now
            cutoff.take(exchange, self)
            exchange.is_sent = is_sent

    def _leave(self) -> None:
        now = _exchange.get()
        if now is not None:
            cutoff, exchange = now
            cutoff.leave(exchange)


class CutPool:
    """To be mixed into an HTTP library's pools of `CutConnection`s.

    A connection comes back with the last byte of the answer, before its exchange is known to have ended, and another
    thread may begin to use it at once.
    """

    def _put_conn(self, connection: Any) -> None:
        """See `urllib3.HTTPConnectionPool`."""
        now = _exchange.get()
        if now is not None:
            cutoff, exchange = now
            cutoff.leave(exchange)
            if exchange.is_over and connection is not None:
                connection.close()
        super()._put_conn(connection)  # type: ignore[misc] # the library's
