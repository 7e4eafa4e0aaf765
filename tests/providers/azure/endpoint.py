"""A stand-in for Azure Resource Manager and Entra ID that answers what a test tells it to, over TLS."""

from __future__ import annotations

import json
import tempfile
import threading
import urllib.parse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from providers.sandbox.authority import Authority
from tests.support.serving import serving

TENANT = "11111111-1111-1111-1111-111111111111"
SUBSCRIPTION = "22222222-2222-2222-2222-222222222222"


@dataclass(frozen=True)
class Reply:
    """One answer; without a status the connection is cut instead. `{url}` stands for the endpoint's address."""

    body: Any = None
    status: int | None = 200
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Request:
    """One request as it came. A body is JSON, or a form's text."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: Any = None

    @property
    def call(self) -> str:
        """Method and the end of the path, which is all that differs: `GET vm1`, `POST vm1/start`."""
        return f"{self.method} {self.path.rpartition('/providers/')[2].partition('/')[2]}"

    @property
    def is_log_in(self) -> bool:
        """Whether it is meant for Entra ID."""
        return self.path.startswith(f"/{TENANT}/")


Answering = Callable[[Request], Reply]


@dataclass
class Endpoint:
    """What was asked; ARM's and Entra's requests apart."""

    url: str
    ca_file: str
    requests: list[Request] = field(default_factory=list)
    log_ins: list[Request] = field(default_factory=list)

    @property
    def calls(self) -> list[str]:
        """What ARM was asked, in order."""
        return [request.call for request in self.requests]


def script(*replies: Reply) -> Answering:
    """The replies one after the other; the last is repeated."""
    left = list(replies)
    return lambda _: left.pop(0) if len(left) > 1 else left[0]


def table(replies: dict[str, Reply | list[Reply]]) -> Answering:
    """Replies by `Request.call`; of several, one after the other, and the last is repeated."""
    scripts = {call: script(*(some if isinstance(some, list) else [some])) for call, some in replies.items()}
    return lambda request: scripts[request.call](request)


def entra(request: Request, tokens: Iterator[int]) -> Reply:
    """Entra ID, as it answers everybody: `token-1`, `token-2` and so on."""
    if request.method == "GET":
        place = f"{{url}}/{TENANT}/oauth2/v2.0"
        return Reply({"token_endpoint": f"{place}/token", "authorization_endpoint": f"{place}/authorize"})
    return Reply({"token_type": "Bearer", "expires_in": 3599, "access_token": f"token-{next(tokens)}"})


@cache
def authority() -> Authority:
    """One for all tests of a process: making it takes a while."""
    folder = tempfile.mkdtemp(prefix="azure-endpoint-")
    return Authority(Path(folder) / "ca.pem")


class _Server(ThreadingHTTPServer):
    """Serves one endpoint."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, arm: Answering, log_in: Answering | None) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        # Hands are shaken in each connection's own thread, so that many can come at once.
        self.socket = (
            authority().server_context().wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)
        )
        self.endpoint = Endpoint(f"https://127.0.0.1:{self.server_port}", str(authority().ca_file))
        self._arm, self._log_in = arm, log_in
        self._tokens = iter(range(1, 1000))
        self._lock = threading.Lock()

    def answer(self, request: Request) -> Reply:
        """Remember the request and answer it."""
        with self._lock:
            (self.endpoint.log_ins if request.is_log_in else self.endpoint.requests).append(request)
        if not request.is_log_in:
            return self._arm(request)
        return self._log_in(request) if self._log_in else entra(request, self._tokens)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_GET(self) -> None:
        self._send(self.server.answer(self._read()))

    do_PUT = do_POST = do_DELETE = do_GET  # noqa: N815 - http.server's names

    def _read(self) -> Request:
        raw = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        url = urllib.parse.urlsplit(self.path)
        return Request(
            self.command,
            urllib.parse.unquote(url.path),
            dict(urllib.parse.parse_qsl(url.query)),
            {name.lower(): value for name, value in self.headers.items()},
            json.loads(raw) if raw.startswith("{") else raw or None,
        )

    def _send(self, reply: Reply) -> None:
        if reply.status is None:
            self.close_connection = True
            return
        url = self.server.endpoint.url
        body = reply.body if isinstance(reply.body, bytes) else b""
        if reply.body is not None and not isinstance(reply.body, bytes):
            body = json.dumps(reply.body).replace("{url}", url).encode()
        self.send_response(reply.status)
        for name, value in {"Content-Length": str(len(body)), **reply.headers}.items():
            self.send_header(name, value.replace("{url}", url))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def answering(arm: Answering, log_in: Answering | None = None) -> Iterator[Endpoint]:
    """An endpoint on loopback; `log_in` answers instead of Entra ID."""
    with serving(_Server(arm, log_in)) as server:
        yield server.endpoint
