"""A proxy that ends TLS in front of the service and says so, as one in a data centre would."""

import ssl
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from http.client import HTTPConnection, HTTPResponse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import trustme

from tests.support.serving import serving

# What belongs to one connection alone.
HOP_BY_HOP = frozenset({"connection", "keep-alive", "transfer-encoding", "content-length", "x-forwarded-proto"})


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    target = 0
    context: ssl.SSLContext

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        # The handshake belongs to the connection's own thread: one that says nothing must not keep the others out.
        with suppress(ssl.SSLError, OSError):
            secured = self.context.wrap_socket(request, server_side=True)
            super().process_request_thread(secured, client_address)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A browser that hangs up is no news."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def _pass_on(self) -> None:
        assert isinstance(self.server, _Server)
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        headers = [(name, value) for name, value in self.headers.items() if name.lower() not in HOP_BY_HOP]
        # Closed also when the browser hangs up before it has the answer.
        with closing(HTTPConnection("127.0.0.1", self.server.target, timeout=60)) as connection:
            connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in [*headers, ("X-Forwarded-Proto", "https"), ("Content-Length", str(len(body)))]:
                connection.putheader(name, value)
            connection.endheaders(body)
            with closing(connection.getresponse()) as answer:
                self._hand_back(answer)

    def _hand_back(self, answer: HTTPResponse) -> None:
        content = answer.read()
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in HOP_BY_HOP | {"server", "date"}:
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def do_GET(self) -> None:
        self._pass_on()

    def do_POST(self) -> None:
        self._pass_on()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the library's name
        """Say nothing."""


@contextmanager
def tls_proxy(target: int) -> Iterator[int]:
    """The proxy's port, with a certificate for `localhost` of an authority of its own; it leads to a port here."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("localhost", "127.0.0.1").configure_cert(context)
    server = _Server(("127.0.0.1", 0), _Handler)
    server.target, server.context = target, context
    with serving(server):
        yield server.server_port
