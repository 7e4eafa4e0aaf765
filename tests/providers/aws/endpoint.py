"""A stand-in for EC2 that answers what a test tells it to, over a real socket."""

from __future__ import annotations

import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tests.support.serving import serving


@dataclass(frozen=True)
class Reply:
    """One answer; without a status the connection is cut instead."""

    body: bytes = b""
    status: int | None = 200
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class Endpoint:
    """What was asked, and what is answered next; the last reply is repeated."""

    url: str
    replies: list[Reply]
    requests: list[dict[str, str]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)

    @property
    def actions(self) -> list[str]:
        """The operations asked for, in order."""
        return [request["Action"] for request in self.requests]


@contextmanager
def answering(*replies: Reply) -> Iterator[Endpoint]:
    """An endpoint on loopback."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            endpoint.requests.append(dict(urllib.parse.parse_qsl(body, keep_blank_values=True)))
            endpoint.headers.append({name.lower(): value for name, value in self.headers.items()})
            reply = endpoint.replies.pop(0) if len(endpoint.replies) > 1 else endpoint.replies[0]
            if reply.status is None:
                self.close_connection = True
                return
            self.send_response(reply.status)
            for name, value in {"Content-Length": str(len(reply.body)), **reply.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(reply.body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    endpoint = Endpoint(f"http://127.0.0.1:{server.server_port}", list(replies))
    with serving(server):
        yield endpoint
