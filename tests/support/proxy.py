"""A small CONNECT proxy on loopback that remembers whom it was asked to reach."""

import socket
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from tests.support.serving import serving


class _Handler(socketserver.StreamRequestHandler):
    server: "ConnectProxy"

    def handle(self) -> None:
        words = self.rfile.readline().decode("latin-1").split()
        while self.rfile.readline().strip():
            pass
        if len(words) != 3 or words[0] != "CONNECT":
            self.wfile.write(b"HTTP/1.1 405 Method Not Allowed\r\nContent-Length: 0\r\n\r\n")
            return
        self.server.asked.append(words[1])
        host, _, port = self.server.routes.get(words[1], words[1]).rpartition(":")
        try:
            upstream = socket.create_connection((host, int(port)), timeout=5)
        except OSError:
            self.wfile.write(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")
            return
        self.wfile.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        upstream.settimeout(None)
        with upstream:
            back = threading.Thread(target=_pump, args=(upstream, self.connection), daemon=True)
            back.start()
            _pump(self.connection, upstream)
            back.join(timeout=5)


class ConnectProxy(socketserver.ThreadingTCPServer):
    """Listens on a free port; `asked` holds `host:port` of every CONNECT, `routes` leads some of them elsewhere."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, routes: dict[str, str]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.asked: list[str] = []
        self.routes = routes

    @property
    def url(self) -> str:
        """What goes into HTTPS_PROXY."""
        return f"http://127.0.0.1:{self.server_address[1]}"


@contextmanager
def connect_proxy(routes: dict[str, str] | None = None) -> Iterator[ConnectProxy]:
    """A running proxy."""
    with serving(ConnectProxy(routes or {})) as proxy:
        yield proxy


def _pump(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    with suppress(OSError):
        target.shutdown(socket.SHUT_WR)
