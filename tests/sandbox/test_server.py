"""The loopback server: keep-alive, TLS, cut connections, and an end that leaves nothing."""

import http.client
import os
import socket
import ssl
import threading
import time
from collections.abc import Iterable, Iterator
from wsgiref.types import StartResponse, WSGIEnvironment

import pytest

from providers.sandbox.authority import Authority
from providers.sandbox.connection import ConnectionCutError
from providers.sandbox.server import Server
from tests.support.waiting import wait_until


def application(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Answer with what was asked; some paths misbehave."""
    if environ["PATH_INFO"] == "/cut":
        raise ConnectionCutError
    if environ["PATH_INFO"] == "/cut-body":
        raise ConnectionCutError(b"x" * 100)
    if environ["PATH_INFO"] == "/broken":
        raise LookupError("a simulator's mistake")
    body = environ["wsgi.input"].read()
    start_response("200 OK", [("Content-Type", "text/plain")])
    return iter([environ["REQUEST_METHOD"].encode(), b" ", environ["PATH_INFO"].encode(), b" ", body])


@pytest.fixture
def server() -> Iterator[Server]:
    """A server without TLS."""
    with Server(application) as server:
        yield server


@pytest.fixture
def connection(server: Server) -> Iterator[http.client.HTTPConnection]:
    """A connection that is kept."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=5)
    yield connection
    connection.close()


def ask(connection: http.client.HTTPConnection, path: str = "/", body: bytes = b"") -> http.client.HTTPResponse:
    """Send a request on a connection."""
    connection.request("POST", path, body)
    return connection.getresponse()


def test_serve_several_requests_uses_one_connection(server: Server, connection: http.client.HTTPConnection) -> None:
    """A kept connection serves one request after another, each with its length."""
    for number in range(5):
        response = ask(connection, f"/{number}", b"hello")
        assert response.read() == f"POST /{number} hello".encode()
        assert response.version == 11
        assert response.headers["Content-Length"] == "13"
        assert not response.will_close
    assert server.connections == 1


def test_serve_an_unread_body_leaves_the_next_request_alone(connection: http.client.HTTPConnection) -> None:
    """What an application leaves of a body is not taken for the next request."""
    assert ask(connection, "/broken", b"GET / HTTP/1.1\r\n\r\n").read()
    assert ask(connection, "/next").read() == b"POST /next "


def test_serve_a_body_in_chunks_reads_it_whole(connection: http.client.HTTPConnection) -> None:
    """As a client sends what it has no length of; the next request is left alone."""
    for _ in range(2):
        connection.request("POST", "/", iter([b"one ", b"two"]), encode_chunked=True)
        assert connection.getresponse().read() == b"POST / one two"


def test_serve_chunks_of_no_size_refuses_them(connection: http.client.HTTPConnection) -> None:
    """And does not guess where the next request begins."""
    connection.putrequest("POST", "/")
    connection.putheader("Transfer-Encoding", "chunked")
    connection.endheaders(b"so many\r\nbytes\r\n")
    answer = connection.getresponse()
    assert (answer.status, answer.headers["Connection"]) == (400, "close")


def test_serve_many_clients_at_once_answers_all(server: Server) -> None:
    """Each connection has its own thread."""
    open_connections = [http.client.HTTPConnection("127.0.0.1", server.port, timeout=5) for _ in range(64)]
    for connection in open_connections:
        connection.request("GET", "/")
    assert {connection.getresponse().read() for connection in open_connections} == {b"GET / "}
    assert server.connections == 64
    for connection in open_connections:
        connection.close()


def test_serve_a_failing_application_answers_500(
    connection: http.client.HTTPConnection, capfd: pytest.CaptureFixture[str]
) -> None:
    """A simulator's mistake is a plain 500, and goes to the log only."""
    response = ask(connection, "/broken")
    assert (response.status, b"Traceback" in response.read()) == (500, False)
    assert capfd.readouterr() == ("", "")


def test_serve_a_cut_drops_the_connection(connection: http.client.HTTPConnection) -> None:
    """A cut is an end without an answer."""
    with pytest.raises(http.client.RemoteDisconnected):
        ask(connection, "/cut")


def test_serve_a_cut_body_ends_before_its_length(connection: http.client.HTTPConnection) -> None:
    """A cut in the body promises more than it sends."""
    with pytest.raises(http.client.IncompleteRead):
        ask(connection, "/cut-body").read()


def test_serve_with_tls_counts_handshakes(authority: Authority) -> None:
    """A client that trusts the authority is served; one that does not is no handshake."""
    with Server(application, ssl_context=authority.server_context()) as server:
        trusting = ssl.create_default_context(cafile=str(authority.ca_file))
        connection = http.client.HTTPSConnection("localhost", server.port, context=trusting, timeout=5)
        assert ask(connection).read() == b"POST / "
        distrusting = http.client.HTTPSConnection("127.0.0.1", server.port, timeout=5)
        with pytest.raises(ssl.SSLCertVerificationError):
            ask(distrusting)
        connection.close()
        distrusting.close()
        assert (server.connections, server.handshakes) == (2, 1)


@pytest.mark.parametrize("tls", [False, True])
def test_stop_with_idle_connections_leaves_nothing(authority: Authority, *, tls: bool) -> None:
    """No thread, no socket and no open port are left, whatever clients still hold open."""
    threads = set(threading.enumerate())
    sockets = open_sockets()
    server = Server(application, ssl_context=authority.server_context() if tls else None).start()
    port = server.port
    context = ssl.create_default_context(cafile=str(authority.ca_file))
    idle = http.client.HTTPSConnection("127.0.0.1", port, context=context, timeout=5) if tls else None
    silent = socket.create_connection(("127.0.0.1", port), timeout=5)
    if idle is not None:
        assert ask(idle).status == 200
    wait_until(lambda: server.connections == 1 + tls)
    started = time.monotonic()
    server.stop()
    # Clients may hold a connection for two minutes.
    assert time.monotonic() - started < 30
    assert silent.recv(1) == b""
    silent.close()
    if idle is not None:
        idle.close()
    # What earlier tests began may end meanwhile.
    assert {thread for thread in threading.enumerate() if thread.is_alive()} <= threads
    assert open_sockets() <= sockets
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=5)


def test_stop_twice_does_nothing_more() -> None:
    """A second stop is allowed, and a start after it too."""
    server = Server(application).start()
    server.stop()
    server.stop()
    server.start()
    server.stop()


def test_serve_a_client_that_leaves_stays_quiet(server: Server, capfd: pytest.CaptureFixture[str]) -> None:
    """Half a request and a reset are no event."""
    for data in (
        b"",
        b"GET",
        b"GET / HTTP/1.1\r\nContent-Length: 10\r\n\r\nabc",
        b"\x16\x03\x01 nonsense\r\n\r\n",
    ):
        with socket.create_connection(("127.0.0.1", server.port), timeout=5) as raw:
            raw.sendall(data)
    server.stop()
    assert capfd.readouterr() == ("", "")


def open_sockets() -> int:
    """How many sockets this process has."""
    descriptors = os.listdir("/proc/self/fd")  # noqa: PTH208 - it changes while it is read
    count = 0
    for descriptor in descriptors:
        try:
            count += os.readlink(f"/proc/self/fd/{descriptor}").startswith("socket:")  # noqa: PTH115 - as above
        except FileNotFoundError:
            continue
    return count
