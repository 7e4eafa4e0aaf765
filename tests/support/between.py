"""A socket between a client and a server on this machine: passes requests on unchanged, and shows what goes by."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from dataclasses import dataclass
from http.client import HTTPSConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass(frozen=True)
class Passed:
    """One request and its answer; names of the request's headers are in lower case."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    status: int
    answer_headers: dict[str, str]
    answer_body: bytes


class Between(ThreadingHTTPServer):
    """Passes on to a port that speaks TLS; speaks TLS itself if it has a context for that.

    `passed` is called with each exchange before its answer goes out, `before`, if set, with method and path before a
    request is passed on. The caller's own Host header is kept.
    """

    daemon_threads = True

    def __init__(
        self, port: int, trusted: ssl.SSLContext, passed: Callable[[Passed], None], served: ssl.SSLContext | None = None
    ) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.upstream = port
        self.trusted = trusted
        self.passed = passed
        self.before: Callable[[str, str], None] | None = None
        self.url = f"{'https' if served else 'http'}://127.0.0.1:{self.server_port}"
        if served is not None:
            self.socket = served.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)


class _Handler(BaseHTTPRequestHandler):
    server: Between
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def _pass_on(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.server.before is not None:
            self.server.before(self.command, self.path)
        upstream = HTTPSConnection("127.0.0.1", self.server.upstream, context=self.server.trusted, timeout=20)
        upstream.request(self.command, self.path, body or None, dict(self.headers.items()))
        answer = upstream.getresponse()
        content = answer.read()
        upstream.close()
        answered = {name: value for name, value in answer.getheaders() if name.lower() != "connection"}
        asked = {name.lower(): value for name, value in self.headers.items()}
        self.server.passed(Passed(self.command, self.path, asked, body, answer.status, answered, content))
        self.send_response_only(answer.status, answer.reason)
        for name, value in answered.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = do_PUT = do_DELETE = _pass_on  # noqa: N815 - http.server's names

    def log_message(self, *_: object) -> None:
        """Say nothing."""
