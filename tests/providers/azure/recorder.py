"""A socket between the driver and the simulator that writes down what goes by, and passes it on unchanged."""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPSConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from providers.sandbox.authority import Authority
from providers.sandbox.azure import AzureSandbox


@dataclass(frozen=True)
class Exchange:
    """One request and its answer, as they went by; a body is JSON or None, a form's text stays text."""

    method: str
    path: str
    headers: dict[str, str]
    body: Any
    status: int
    answer_headers: dict[str, str]
    answer_body: Any


@dataclass
class Record:
    """What has gone by so far. `before`, if set, is called with method and path before a request is passed on."""

    url: str
    exchanges: list[Exchange] = field(default_factory=list)
    before: Callable[[str, str], None] | None = None

    def sent(self, method: str, end: str = "") -> list[Exchange]:
        """The exchanges of a method whose path, without its query, ends so."""
        return [one for one in self.exchanges if one.method == method and one.path.partition("?")[0].endswith(end)]


@contextmanager
def recording(sandbox: AzureSandbox, authority: Authority) -> Iterator[Record]:
    """A recorder in front of the simulator; links of its answers lead back to the recorder."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def handle_any(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if record.before is not None:
                record.before(self.command, self.path)
            upstream = HTTPSConnection("127.0.0.1", sandbox.server.port, context=trusting, timeout=20)
            # With the caller's own Host, of which the simulator makes its links.
            upstream.request(self.command, self.path, body or None, dict(self.headers.items()))
            answer = upstream.getresponse()
            content = answer.read()
            upstream.close()
            headers = {name: value for name, value in answer.getheaders() if name.lower() != "connection"}
            seen = {name.lower(): value for name, value in self.headers.items()}
            record.exchanges.append(
                Exchange(self.command, self.path, seen, _read(body), answer.status, headers, _read(content))
            )
            self.send_response_only(answer.status, answer.reason)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_PUT = do_DELETE = handle_any  # noqa: N815 - http.server's names

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    trusting = ssl.create_default_context(cafile=str(authority.ca_file))
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.socket = authority.server_context().wrap_socket(
        server.socket, server_side=True, do_handshake_on_connect=False
    )
    record = Record(f"https://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield record
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _read(content: bytes) -> Any:
    if content[:1] in {b"{", b"["}:
        return json.loads(content)
    return content.decode() or None
