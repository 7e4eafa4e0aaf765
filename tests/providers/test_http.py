"""The one way to speak HTTP: what breaks, what is repeated, what is never followed or taken along."""

import http.server
import socket
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
import requests

from providers.domain import Environment
from providers.errors import (
    BackendFailureError,
    BackendTimeoutError,
    BackendTLSError,
    BackendUnreachableError,
)
from providers.http import HTTPSession
from providers.network import Network
from providers.proxmox import CLOUD
from providers.trace import Trace, tracing
from tests.support.listener import listening
from tests.support.proxy import connect_proxy
from tests.support.serving import serving
from tests.support.waiting import wait_until


class Peer(http.server.ThreadingHTTPServer):
    """A server that answers as it is told to, once for each entry of `script`, then with 200 and `{}`."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.script: list[Callable[[_Handler], None]] = []
        self.seen: list[tuple[str, str, dict[str, str]]] = []

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, request: object, client_address: object) -> None:
        """A caller that hangs up is what these tests are about."""


class _Handler(http.server.BaseHTTPRequestHandler):
    server: Peer
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.seen.append((self.command, self.path, dict(self.headers)))
        if self.server.script:
            self.server.script.pop(0)(self)
        else:
            self.reply(200, b"{}")

    do_POST = do_PUT = do_GET  # noqa: N815 - the names that http.server calls

    def reply(self, status: int, body: bytes, **headers: str) -> None:
        """Answer."""
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def cut(self) -> None:
        """Hang up without an answer."""
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)

    def cut_in_body(self) -> None:
        """Promise more than comes."""
        self.send_response(200)
        self.send_header("Content-Length", "100")
        self.end_headers()
        self.wfile.write(b"some")
        self.wfile.flush()
        self.cut()

    def be_silent(self) -> None:
        """Say nothing until the caller has gone."""
        with suppress(OSError):
            self.connection.recv(1)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's own name
        """Quietly."""


@pytest.fixture
def peer() -> Iterator[Peer]:
    """A running server."""
    with serving(Peer()) as server:
        yield server


def session(url: str, **network: object) -> HTTPSession:
    """A session for an environment at `url`."""
    limits = {"connect_timeout_seconds": 5.0, "read_timeout_seconds": 10.0, **network}
    return HTTPSession(
        Environment("test", CLOUD, url=url),
        Network(**limits),  # type: ignore[arg-type] # what each test changes
        lambda request: f"{request.method} it",
    )


def test_get_over_a_connection_that_breaks_is_repeated_once(peer: Peer) -> None:
    """A backend may close a connection that is idle; looking twice does no harm."""
    peer.script = [_Handler.cut]
    with session(peer.url) as http, tracing(Trace("test")) as trace:
        assert http.get(peer.url).status_code == 200
    assert trace.calls == len(peer.seen) == 2


@pytest.mark.parametrize(
    ("date", "hours"),
    [(timedelta(hours=-2), -2), (timedelta(hours=3), 3), ("yesterday", 0), ("Sun, 29 Nov 2026 15:00:00 -0000", 0)],
)
def test_clock_of_the_backend_is_noted(peer: Peer, date: timedelta | str, hours: int) -> None:
    """As far as its answers say what time it is there."""
    said = date if isinstance(date, str) else format_datetime(datetime.now(UTC) + date, usegmt=True)

    def answer(handler: _Handler) -> None:
        handler.send_response_only(200)
        handler.send_header("Date", said)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    peer.script = [answer]
    with session(peer.url) as http, tracing(Trace("test")) as trace:
        http.get(peer.url)
    assert abs(trace.clock_difference - timedelta(hours=hours)) < timedelta(minutes=5)


@pytest.mark.parametrize("broken", [_Handler.cut, _Handler.cut_in_body])
def test_get_over_a_connection_that_breaks_twice_is_unreachable(peer: Peer, broken: Callable[[_Handler], None]) -> None:
    """Before the answer or in the middle of it."""
    peer.script = [broken] * 2
    with session(peer.url) as http, pytest.raises(BackendUnreachableError, match="broke during GET it"):
        http.get(peer.url)
    assert len(peer.seen) == 2


def test_post_over_a_connection_that_breaks_is_not_repeated(peer: Peer) -> None:
    """It may have been carried out, and the error says so to whoever must clean up."""
    peer.script = [_Handler.cut]
    with session(peer.url) as http, pytest.raises(BackendUnreachableError) as caught:
        http.post(peer.url, data={"a": "b"})
    assert caught.value.answer_lost
    assert len(peer.seen) == 1


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_request_to_a_silent_backend_times_out_and_is_not_repeated(peer: Peer, method: str) -> None:
    """Twice the wait would help nobody."""
    peer.script = [_Handler.be_silent] * 2
    with (
        session(peer.url, read_timeout_seconds=0.5) as http,
        pytest.raises(BackendTimeoutError, match="did not answer") as caught,
    ):
        http.request(method, peer.url)
    assert caught.value.answer_lost
    assert len(peer.seen) == 1


def test_request_may_shorten_the_patience_and_not_lengthen_it(peer: Peer) -> None:
    """A call that is known to hang."""
    peer.script = [_Handler.be_silent]
    with session(peer.url, read_timeout_seconds=60.0) as http, pytest.raises(BackendTimeoutError):
        http.get(peer.url, timeout=0.1)
    peer.script = [_Handler.be_silent]
    with session(peer.url, read_timeout_seconds=0.1) as http, pytest.raises(BackendTimeoutError):
        http.get(peer.url, timeout=60)


def test_request_to_nobody_is_unreachable_and_was_not_sent() -> None:
    """Nothing listens: nothing can have been done."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
    with session(url) as http, pytest.raises(BackendUnreachableError, match=r"No connection to .*refused") as caught:
        http.post(url)
    assert not caught.value.answer_lost
    assert isinstance(caught.value.__cause__, requests.ConnectionError)
    assert "object at" not in caught.value.detail


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_peer_that_hangs_up_in_the_handshake_is_unreachable(method: str) -> None:
    """It has shown no certificate that could be distrusted."""
    with listening(lambda caller: caller.recv(65536)) as (url, heard):
        with session(url) as http, pytest.raises(BackendUnreachableError, match=r"No connection to .*EOF") as caught:
            http.request(method, url)
        assert len(heard) == 1
    assert not caught.value.answer_lost


def test_peer_that_speaks_no_tls_is_told_as_that() -> None:
    """A port for http, most likely, and no certificate to be named in `ca_file`."""
    with (
        listening(lambda caller: caller.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")) as (url, _),
        session(url) as http,
        pytest.raises(BackendTLSError, match="does not speak TLS") as caught,
    ):
        http.post(url)
    assert "ca_file" not in caught.value.detail
    assert not caught.value.answer_lost


def test_answer_that_is_no_http_is_a_failure(peer: Peer) -> None:
    """A chunk of a negative length, which no library foresees."""

    def answer(handler: _Handler) -> None:
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\n")

    peer.script = [answer]
    with session(peer.url) as http, pytest.raises(BackendFailureError, match="is not HTTP") as caught:
        http.get(peer.url)
    assert caught.value.answer_lost


def test_connection_that_is_back_in_its_pool_is_not_cut(peer: Peer) -> None:
    """It is back with the last byte, a moment before its exchange is known to have ended, and is another thread's."""
    callers: list[object] = []

    def answer(handler: _Handler) -> None:
        callers.append(handler.client_address)
        handler.reply(200, b"{}")

    peer.script = [answer, answer]
    network = Network()
    with HTTPSession(Environment("test", CLOUD, url=peer.url), network, str) as http:
        with network.cutoff.after(0.2) as exchange:
            assert http.get_adapter(peer.url).send(requests.Request("GET", peer.url).prepare(), timeout=5).content
            wait_until(lambda: exchange.is_over)
        http.get(peer.url)
    assert callers[0] == callers[1]


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirect_is_not_followed(peer: Peer, status: int) -> None:
    """Credentials go where the file says."""
    peer.script = [lambda handler: handler.reply(status, b"", Location="http://127.0.0.1:9/elsewhere")]
    with session(peer.url) as http, pytest.raises(BackendFailureError, match="redirect"):
        http.get(peer.url, headers={"Authorization": "secret"})
    assert len(peer.seen) == 1


def test_redirect_to_nowhere_is_told_like_any_other(peer: Peer) -> None:
    """Nobody looks where it leads."""
    peer.script = [lambda handler: handler.reply(302, b"", Location="http://[::1")]
    with session(peer.url) as http, pytest.raises(BackendFailureError, match="redirect"):
        http.get(peer.url)


def test_cookies_of_a_backend_are_not_kept_unless_wanted(peer: Peer) -> None:
    """A cookie could be another caller's session."""
    for _ in range(2):
        peer.script.append(lambda handler: handler.reply(200, b"{}", Set_Cookie="session=1; Path=/"))
    with session(peer.url) as http:
        http.get(peer.url)
        http.get(peer.url)
    assert "Cookie" not in peer.seen[1][2]


def test_nothing_ambient_is_used(peer: Peer, monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    """No proxy, no netrc, no authority from the process's environment: the service's own settings decide."""
    netrc = f"{tmp_path}/netrc"
    with open(netrc, "w") as file:  # noqa: PTH123 - a text is enough
        file.write("machine 127.0.0.1 login somebody password ambient\n")
    monkeypatch.setenv("NETRC", netrc)
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    with session(peer.url) as http:
        assert http.get(peer.url).status_code == 200
    assert "Authorization" not in peer.seen[0][2]


def test_proxy_that_is_down_is_named_without_its_password() -> None:
    """In the error, so that somebody finds it."""
    with connect_proxy() as proxy:
        port = proxy.server_address[1]
    with (
        session("https://pve.example:8006", https_proxy=f"http://user:hidden@127.0.0.1:{port}") as http,
        pytest.raises(BackendUnreachableError) as caught,
    ):
        http.get("https://pve.example:8006/x")
    assert f"(through the proxy 127.0.0.1:{port}): The proxy cannot be reached. " in caught.value.detail
    assert "hidden" not in caught.value.detail


def test_file_of_authorities_that_is_missing_is_told() -> None:
    """Not a crash, and never a connection without trust."""
    with (
        session("https://127.0.0.1:9", ca_bundle="/nonexistent/ca.pem") as http,
        pytest.raises(BackendTLSError, match=r"/nonexistent/ca\.pem"),
    ):
        http.get("https://127.0.0.1:9/x")
