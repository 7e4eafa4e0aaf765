"""A server that answers, byte by byte, for as long as the caller listens."""

from __future__ import annotations

import socket
import socketserver
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace

import trustme

from tests.support.serving import serving


@dataclass(frozen=True)
class Drip:
    """What is said at once, and what follows drop by drop until it ends."""

    name: str
    drop: bytes
    at_once: bytes
    scheme: str = "http"

    def __str__(self) -> str:
        return self.name


_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
BODY = Drip("body", b" ", _HEAD + b"Content-Length: 100000\r\n\r\n")
# It ends with its connection: what has come seems to be the whole.
ENDLESS = Drip("endless", b" ", _HEAD + b"Connection: close\r\n\r\n{}")
DRIPS = (
    Drip("head", b"X-Drop: 1\r\n", _HEAD),
    BODY,
    Drip("chunks", b"1\r\n \r\n", _HEAD + b"Transfer-Encoding: chunked\r\n\r\n"),
    ENDLESS,
    replace(BODY, name="body in TLS", scheme="https"),
    replace(ENDLESS, name="endless in TLS", scheme="https"),
)


class Dripper(socketserver.ThreadingTCPServer):
    """Listens on a free port, with a certificate of `ca_file` if it speaks TLS; `calls` counts those who came."""

    daemon_threads = True

    def __init__(self, drip: Drip, drops: int = 200) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.drip = drip
        self.authority = trustme.CA()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.authority.issue_cert("127.0.0.1").configure_cert(context)
        if drip.scheme == "https":
            # The handshake is done by the first read, in the caller's thread.
            self.socket = context.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)
        self.ca_file = ""
        self.drops = drops
        self.stopped = threading.Event()
        self.calls = 0

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"{self.drip.scheme}://127.0.0.1:{self.server_address[1]}"


class _Handler(socketserver.BaseRequestHandler):
    server: Dripper

    def handle(self) -> None:
        self.server.calls += 1
        self.request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with suppress(OSError):
            self.answer()

    def answer(self) -> None:
        """Speak as long as somebody listens."""
        self.request.recv(65536)
        self.request.sendall(self.server.drip.at_once)
        for _ in range(self.server.drops):
            if self.server.stopped.wait(0.05):
                return
            self.request.sendall(self.server.drip.drop)


@contextmanager
def dripping(drip: Drip) -> Iterator[Dripper]:
    """A running one."""
    with serving(Dripper(drip)) as server, server.authority.cert_pem.tempfile() as server.ca_file:
        yield server
        server.stopped.set()
