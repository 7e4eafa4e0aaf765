"""HTTP/1.1 over TCP or TLS in one worker process: uvicorn with httptools and uvloop."""

from __future__ import annotations

import asyncio
import math
import socket
import ssl
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from vms.server.front import Front

BACKLOG = 2048
# Time after which the kernel drops a connection whose client does not read its response.
UNREAD_MILLISECONDS = 60_000


class Protocol(HttpToolsProtocol):
    """uvicorn's HTTP/1.1 protocol with what it lacks: limits on the time and the size of headers, no trailers."""

    def __init__(self, server: HTTPServer) -> None:
        super().__init__(server.config, server.server_state, {})
        self._limits = server.limits
        self._deadline: asyncio.TimerHandle | None = None
        self._reads_headers = True
        self._header_bytes = 0

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._expect_headers()

    def connection_lost(self, exc: Exception | None) -> None:
        self._cancel_deadline()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._reads_headers:
            self._header_bytes += len(data)
        super().data_received(data)
        if self._reads_headers and self._header_bytes > self._limits.header_bytes:
            self.transport.abort()

    def on_header(self, name: bytes, value: bytes) -> None:
        # Trailers must not become headers (RFC 9110, 6.5.1).
        if self._reads_headers:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._cancel_deadline()
        self._reads_headers = False
        self._header_bytes = 0
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._reads_headers = True
        super().on_message_complete()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        # The latest request is still running if it was pipelined.
        if self.cycle.response_complete and not self.transport.is_closing():
            self._expect_headers()

    def _expect_headers(self) -> None:
        self._cancel_deadline()
        self._deadline = self.loop.call_later(self._limits.header_seconds, self.transport.abort)

    def _cancel_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


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
        self.limits = front.limits
        self._listener = listener
        self._tls = tls

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        server = await asyncio.get_running_loop().create_server(
            lambda: Protocol(self),
            sock=self._listener,
            backlog=BACKLOG,
            ssl=self._tls,
            ssl_handshake_timeout=self.limits.header_seconds if self._tls else None,
        )
        self.servers = [server]
        self.started = True

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield

    def stop(self) -> None:
        """Close the listener and idle connections; `serve` returns when the others have their responses."""
        self.should_exit = True


def tune_listener(listener: socket.socket) -> None:
    """Set options that the connections inherit."""
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNREAD_MILLISECONDS)
