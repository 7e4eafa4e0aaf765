"""HTTP/1.1 over TCP or TLS in one worker process: uvicorn with httptools and uvloop."""

from __future__ import annotations

import asyncio
import fcntl
import math
import socket
import ssl
import struct
import sys
import termios
from collections.abc import Generator
from contextlib import contextmanager, suppress
from typing import Any

import httptools
import uvicorn
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from providers.errors import ErrorCode
from vms.problems import Problem
from vms.server.front import Front

BACKLOG = 2048
# Time for a client to confirm the end of TLS when the server stops.
CLOSING_SECONDS = 0.5
# Time after which the kernel drops a connection whose client does not read its response.
UNREAD_MILLISECONDS = 60_000
# Time limit for what is left to send over TLS when a connection is to be closed. `Protocol` ends idle ones earlier.
TLS_SHUTDOWN_SECONDS = 3600.0
# `tcpi_bytes_acked` in Linux's `struct tcp_info`, and how much of the structure is needed.
BYTES_ACKED_OFFSET = 120
TCP_INFO_BYTES = 128


class Protocol(HttpToolsProtocol):
    """uvicorn's HTTP/1.1 protocol with what it lacks.

    Headers have limits of time and size. Trailers do not become headers. A request to change the protocol is answered
    in this one, as RFC 9110, 7.8, allows; Java's client sends `Upgrade: h2c` with a body. What is not HTTP gets a
    problem document.
    """

    def __init__(self, server: HTTPServer) -> None:
        super().__init__(server.config, server.server_state, {})
        self._front = server.front
        self._limits = server.front.limits
        self._deadline: asyncio.TimerHandle | None = None
        self._acknowledged_bytes = 0
        self._reads_headers = True
        self._header_bytes = 0
        self._replays_headers = False
        self._running_cycle: RequestResponseCycle | None = None
        self._refusal = ""

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._start_idle_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        self._cancel_deadline()
        super().connection_lost(exc)

    def eof_received(self) -> bool:  # type: ignore[override] # uvicorn never keeps the connection
        """Return whether to keep the connection: a client that has sent everything may still read."""
        # asyncio cannot keep one with TLS.
        if self.scheme == "https" or not self._is_answering():
            return False
        self.cycle.keep_alive = False
        return True

    def data_received(self, data: bytes) -> None:
        if self._refusal:
            return
        self._unset_keepalive_if_required()
        if self._reads_headers:
            self._header_bytes += len(data)
        try:
            while data:
                data = self._parse(data)
        except httptools.HttpParserError:
            self.send_400_response("This is not a valid HTTP/1.1 request.")
            return
        if self._reads_headers and self._header_bytes > self._limits.header_bytes:
            self.transport.abort()

    def on_message_begin(self) -> None:
        if not self._replays_headers:
            super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        if not self._replays_headers:
            super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        # Neither of the replayed headers nor of the trailers (RFC 9110, 6.5.1).
        if self._reads_headers:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        if not self._replays_headers:
            self._cancel_deadline()
            self._reads_headers = False
            self._header_bytes = 0
            super().on_headers_complete()

    def on_message_complete(self) -> None:
        # The parser takes the headers of an upgrade for the whole message.
        if not self.parser.should_upgrade():
            self._reads_headers = True
            super().on_message_complete()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        # A pipelined request may be running now.
        if self._is_answering():
            return
        if self._refusal and not self.transport.is_closing():
            self._refuse(self._refusal)
        else:
            self._start_idle_timer()

    def send_400_response(self, msg: str) -> None:
        if not self._is_answering():
            self._refuse(msg)
            return
        # Clients read responses in the order of their requests.
        self._refusal = msg
        if self.pipeline and self.pipeline[0][0].more_body:
            self.pipeline.popleft()
        self.flow.pause_reading()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._running_cycle = cycle
        super()._start_asgi_task(cycle, app)

    def _is_answering(self) -> bool:
        """Return whether a request that was received completely awaits its response."""
        cycle = self._running_cycle
        return cycle is not None and not cycle.response_complete and not cycle.more_body

    def _refuse(self, detail: str) -> None:
        problem = Problem(ErrorCode.INVALID_REQUEST, detail)
        connection = {"client": self.client, "server": self.server, "scheme": self.scheme}
        response = self._front.refuse(problem, connection)
        headers = [*self.server_state.default_headers, *response.headers, (b"connection", b"close")]
        lines = b"".join(name + b": " + value + b"\r\n" for name, value in headers)
        self.transport.write(STATUS_LINE[response.status] + lines + b"\r\n" + response.body)
        self.transport.close()
        self._start_idle_timer()

    def timeout_keep_alive_handler(self) -> None:
        """Do nothing: `_end_idle` closes idle connections."""

    def shutdown(self) -> None:
        super().shutdown()
        # Clients do not answer the end of TLS on a connection that they keep for later.
        if self.transport.is_closing():
            self.loop.call_later(CLOSING_SECONDS, self._abort_if_flushed)

    def _parse(self, data: bytes) -> bytes:
        """Parse data, up to the headers of an upgrade, and return the rest."""
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._ignore_upgrade()
            return data[upgrade.args[0] :]
        return b""

    def _ignore_upgrade(self) -> None:
        """Let a new parser go on after the headers: this one takes what follows for another protocol."""
        framing = [
            name + b": " + value + b"\r\n"
            for name, value in self.headers
            if name in {b"content-length", b"transfer-encoding"}
        ]
        self.parser = httptools.HttpRequestParser(self)
        self._replays_headers = True
        self.parser.feed_data(b"POST / HTTP/1.1\r\n" + b"".join(framing) + b"\r\n")
        self._replays_headers = False

    def _start_idle_timer(self) -> None:
        """Give the client time to send headers, or to read a part of the last response."""
        self._cancel_deadline()
        self._acknowledged_bytes = self._progress()[0]
        self._deadline = self.loop.call_later(self._limits.header_seconds, self._end_idle)

    def _end_idle(self) -> None:
        """Close the connection, unless the client has read a part of its response since the last check."""
        acknowledged_bytes, unread_bytes = self._progress()
        if unread_bytes and acknowledged_bytes > self._acknowledged_bytes:
            self._start_idle_timer()
        else:
            self.transport.abort()

    def _progress(self) -> tuple[int, int]:
        """Return how many bytes the client has acknowledged, and how many it has not.

        The kernel is asked: the transport does not count what it has encrypted. The second number is only that of the
        kernel's queue, which is empty last.
        """
        connection = self.transport.get_extra_info("socket")
        if connection is None:
            return 0, 0
        try:
            info = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, TCP_INFO_BYTES)
            queued = fcntl.ioctl(connection.fileno(), termios.TIOCOUTQ, bytes(4))
        except (OSError, ValueError):
            # The connection was closed.
            return 0, 0
        acknowledged: int = struct.unpack_from("=Q", info, BYTES_ACKED_OFFSET)[0]
        return acknowledged, int.from_bytes(queued, sys.byteorder)

    def _cancel_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _abort_if_flushed(self) -> None:
        _, unread_bytes = self._progress()
        if not unread_bytes:
            self.transport.abort()


class HTTPServer(uvicorn.Server):
    """uvicorn's server on a listening socket; the worker handles the signals."""

    def __init__(self, front: Front, listener: socket.socket, tls: ssl.SSLContext | None) -> None:
        super().__init__(
            uvicorn.Config(
                front,
                http=Protocol,
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                proxy_headers=False,
                server_header=False,
                timeout_keep_alive=math.ceil(front.limits.header_seconds),
            )
        )
        self.front = front
        self.servers: list[asyncio.Server] = []
        self._listener = listener
        self._tls = tls

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        server = await asyncio.get_running_loop().create_server(
            lambda: Protocol(self),
            sock=self._listener,
            backlog=BACKLOG,
            ssl=self._tls,
            ssl_handshake_timeout=self.front.limits.header_seconds if self._tls else None,
            ssl_shutdown_timeout=TLS_SHUTDOWN_SECONDS if self._tls else None,
        )
        self.servers = [server]
        self.started = True

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield

    def stop(self) -> None:
        """Close the listener now, idle connections soon, and the others after their responses."""
        for server in self.servers:
            server.close()
        self.should_exit = True

    async def wait_closed(self, timeout_seconds: float) -> None:
        """Wait until all connections are closed. Those without a TLS handshake do not count."""
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_seconds):
                while self.server_state.connections or self.server_state.tasks:
                    await asyncio.sleep(0.05)


def tune_listener(listener: socket.socket) -> None:
    """Set options that the connections inherit."""
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNREAD_MILLISECONDS)
