"""A backend whose answers are as large as a test wants."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tests.support.serving import serving

MIB = 1024 * 1024


class Backend(ThreadingHTTPServer):
    """Answers each request with the same bytes; `sent` has how many of them each caller took."""

    daemon_threads = True

    def __init__(self, body: bytes) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.body = body
        self.sent: list[int] = []
        self.closed = 0

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, request: object, client_address: object) -> None:
        """Print nothing about callers that hang up."""


class _Handler(BaseHTTPRequestHandler):
    server: Backend
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.server.body)))
        self.end_headers()
        self.server.sent.append(0)
        for at in range(0, len(self.server.body), MIB):
            self.server.sent[-1] += self.connection.send(self.server.body[at : at + MIB])

    do_POST = do_GET  # noqa: N815 - the name that http.server calls

    def finish(self) -> None:
        self.server.closed += 1

    def log_message(self, *_: object) -> None:
        """Print nothing."""


@contextmanager
def backend(body: bytes) -> Iterator[Backend]:
    """Run one."""
    with serving(Backend(body)) as server:
        yield server


def vms(size: int) -> bytes:
    """Return a list of Proxmox VE's VMs of so many bytes at least."""
    one = {"vmid": 100, "name": "web", "status": "running", "cpus": 2, "maxmem": 4 * 1024**3, "tags": "a;b"}
    each = json.dumps(one)
    return f'{{"data":[{",".join([each] * (size // len(each) + 1))}]}}'.encode()
