"""What the server refuses before Django sees it: requests that are too slow, too large or too many."""

from __future__ import annotations

import json
import re
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import pytest
import trustme
import uvloop
from django.core.wsgi import get_wsgi_application

from tests.conformance.proxmox import ProxmoxHarness
from tests.support.api import bearer
from tests.support.server import Reply, Server, read_reply
from tests.support.waiting import wait_until
from tests.vms.server.conftest import Serve
from vms.middleware import REFUSAL
from vms.server.application import Application, StartResponse
from vms.server.front import Front, Limits
from vms.server.http import HTTPServer

POST = b"POST /vm HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
QUICK = Limits(threads=2, header_seconds=0.5, body_idle_seconds=0.5, body_seconds=1.0, body_bytes=1000)


@dataclass(frozen=True)
class TLS:
    """The two sides of TLS."""

    server: ssl.SSLContext
    client: ssl.SSLContext


@pytest.fixture(scope="module")
def tls() -> TLS:
    """Return contexts that trust each other."""
    authority = trustme.CA()
    sides = TLS(ssl.create_default_context(ssl.Purpose.CLIENT_AUTH), ssl.create_default_context())
    authority.issue_cert("localhost").configure_cert(sides.server)
    authority.configure_trust(sides.client)
    return sides


@contextmanager
def served(limits: Limits, application: Application | None = None, tls: ssl.SSLContext | None = None) -> Iterator[int]:
    """Serve the application within these limits in a thread, and yield the port."""
    listener = socket.create_server(("127.0.0.1", 0))
    port: int = listener.getsockname()[1]
    servers: list[HTTPServer] = []

    async def serve() -> None:
        servers.append(HTTPServer(Front(application or get_wsgi_application(), limits), listener, tls))
        await servers[0].serve()

    thread = threading.Thread(target=lambda: uvloop.run(serve()))
    thread.start()
    wait_until(lambda: bool(servers) and servers[0].started)
    try:
        yield port
    finally:
        servers[0].stop()
        thread.join()
        listener.close()


def read_all(connection: socket.socket) -> bytes:
    """Return what comes until the connection is closed, in whichever way."""
    received = b""
    try:
        while data := connection.recv(65536):
            received += data
    except ConnectionResetError:
        pass
    return received


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """The port of an impatient server."""
    with served(QUICK) as number:
        yield number


def check_refusal(reply: Reply, status: int, code: str) -> None:
    """Check that a refusal has what every response has."""
    assert (reply.status, reply.code) == (status, code)
    document = json.loads(reply.body)
    assert document["type"] == f"/problems/{code}"
    assert document["retryable"] is (status == 503)
    assert ("retry-after" in reply.headers) is (status == 503)
    assert "server-timing" in reply.headers


@pytest.mark.parametrize(
    "sent",
    [
        POST + b"Content-Length: 100\r\n\r\n",
        POST + b"Content-Length: 100\r\n\r\n{",
        POST + b"Transfer-Encoding: chunked\r\n\r\n",
        POST + b"Transfer-Encoding: chunked\r\n\r\n5\r\n{",
    ],
)
def test_body_that_does_not_arrive_is_a_408(port: int, sent: bytes) -> None:
    """The connection is closed, as nobody can tell where the next request would begin."""
    started = time.monotonic()
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(sent)
        check_refusal(read_reply(connection), 408, "invalid_request")
    assert 0.4 < time.monotonic() - started < 3


def test_body_that_trickles_is_a_408(port: int) -> None:
    """Each byte comes in time, and the whole does not."""
    started = time.monotonic()
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(POST + b"Content-Length: 100\r\nX-Request-ID: slow-1\r\n\r\n")
        for _ in range(6):
            time.sleep(0.25)
            try:
                connection.sendall(b" ")
            except ConnectionError:
                break
        reply = read_reply(connection)
    check_refusal(reply, 408, "invalid_request")
    assert reply.headers["x-request-id"] == "slow-1"
    assert 0.9 < time.monotonic() - started < 4


@pytest.mark.parametrize("sent", [b"", b"GET /environ", b"GET /environment HTTP/1.1\r\nHost: localhost\r\nX-A: "])
def test_headers_that_do_not_arrive_close_the_connection(port: int, sent: bytes) -> None:
    """Without a response: nobody has asked for anything yet."""
    started = time.monotonic()
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(sent)
        assert read_all(connection) == b""
    assert 0.4 < time.monotonic() - started < 3


def test_idle_connection_is_closed_after_a_response(port: int) -> None:
    """A kept connection may be idle for as long as headers may take."""
    started = time.monotonic()
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert read_all(connection).startswith(b"HTTP/1.1 200 OK")
    assert 0.4 < time.monotonic() - started < 4


def test_client_that_reads_a_long_response_slowly_gets_all() -> None:
    """The time in which the next headers must arrive does not cut off a download."""
    size = 30_000_000

    def application(_environ: dict[str, Any], start_response: StartResponse) -> list[bytes]:
        start_response("200 OK", [("Content-Length", str(size))])
        return [b"x" * size]

    received = 0
    with served(Limits(header_seconds=1.0), application) as port, socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        connection.settimeout(20)
        connection.connect(("127.0.0.1", port))
        connection.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        while data := connection.recv(65536):
            received += len(data)
            time.sleep(0.005)
    assert received > size


def slow_download(size: int, tls: TLS | None, header_seconds: float, *, first_seconds: float) -> int:
    """Read a response of that size slowly for so many seconds, then quickly; return how much arrived."""

    def application(_environ: dict[str, Any], start_response: StartResponse) -> list[bytes]:
        start_response("200 OK", [("Content-Length", str(size))])
        return [b"x" * size]

    received = 0
    with (
        served(Limits(header_seconds=header_seconds), application, tls.server if tls else None) as port,
        socket.socket() as plain,
    ):
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        plain.settimeout(20)
        plain.connect(("127.0.0.1", port))
        with tls.client.wrap_socket(plain, server_hostname="localhost") if tls else plain as connection:
            connection.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            slow_until = time.monotonic() + first_seconds
            with suppress(OSError):
                while data := connection.recv(65536):
                    received += len(data)
                    if time.monotonic() < slow_until:
                        time.sleep(0.1)
    return received


@pytest.mark.parametrize("with_tls", [False, True])
def test_client_that_reads_the_last_response_slowly_gets_all(tls: TLS, *, with_tls: bool) -> None:
    """The connection is to be closed afterwards."""
    size = 30_000_000
    assert slow_download(size, tls if with_tls else None, 1.0, first_seconds=4.0) > size


@pytest.mark.slow
def test_client_that_reads_the_last_response_for_a_long_time_over_tls_gets_all(tls: TLS) -> None:
    """Asyncio ends TLS after 30 seconds unless it is told otherwise."""
    size = 60_000_000
    assert slow_download(size, tls, 10.0, first_seconds=33.0) > size


def test_client_that_never_ends_tls_is_cut_off(tls: TLS) -> None:
    """It has read its response, and keeps the connection."""
    with (
        served(Limits(header_seconds=0.5), tls=tls.server) as port,
        socket.create_connection(("127.0.0.1", port), timeout=20) as plain,
    ):
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        client = tls.client.wrap_bio(incoming, outgoing, server_hostname="localhost")
        while True:
            try:
                client.do_handshake()
                break
            except ssl.SSLWantReadError:
                plain.sendall(outgoing.read())
                incoming.write(plain.recv(65536))
        client.write(b"GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        plain.sendall(outgoing.read())
        started = time.monotonic()
        assert len(read_all(plain)) > 100
        assert time.monotonic() - started < 10


@pytest.mark.parametrize(
    "sent",
    [
        b"nonsense\r\n\r\n",
        b"GET http://[ HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost localhost\r\n\r\n",
        POST + b"Transfer-Encoding: chunked\r\n\r\nxyz\r\n",
    ],
)
def test_request_that_is_malformed_is_a_problem(port: int, sent: bytes) -> None:
    """As every error; the connection is closed."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(sent)
        reply = read_reply(connection)
    check_refusal(reply, 400, "invalid_request")
    assert b"not a valid HTTP/1.1 request" in reply.body
    assert reply.headers["connection"] == "close"
    assert int(reply.headers["content-length"]) == len(reply.body)


def test_client_that_reads_nothing_is_cut_off() -> None:
    """Its response must not stay in memory."""
    size = 30_000_000

    def application(_environ: dict[str, Any], start_response: StartResponse) -> list[bytes]:
        start_response("200 OK", [("Content-Length", str(size))])
        return [b"x" * size]

    with served(Limits(header_seconds=0.5), application) as port, socket.socket() as connection:
        connection.connect(("127.0.0.1", port))
        connection.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        time.sleep(3)
        assert len(read_all(connection)) < size


def test_headers_without_an_end_close_the_connection(port: int) -> None:
    """The memory for them is bounded."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(b"GET /environment HTTP/1.1\r\n")
        with pytest.raises(ConnectionError):
            connection.sendall(b"X-A: 1\r\n" * 10_000_000)


def test_body_over_the_limit_is_a_413(port: int) -> None:
    """Whether or not its length is said; also for a client that sends everything before it reads."""
    for framing, body in (
        (b"Content-Length: 100000\r\n\r\n", b" " * 100_000),
        (b"Transfer-Encoding: chunked\r\n\r\n", b"3e8\r\n" + b" " * 1000 + b"\r\n1\r\n \r\n0\r\n\r\n"),
    ):
        with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
            connection.sendall(POST + framing + body)
            reply = read_reply(connection)
        check_refusal(reply, 413, "invalid_request")


def test_body_over_the_limit_is_refused_before_it_is_sent(port: int) -> None:
    """To a client that asks first, with `Expect: 100-continue`."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(POST + b"Expect: 100-continue\r\nContent-Length: 1001\r\n\r\n")
        check_refusal(read_reply(connection), 413, "invalid_request")


def test_trailer_does_not_become_a_header(port: int) -> None:
    """RFC 9110, 6.5.1: it would pass a proxy that checks or sets headers."""
    trailer = b"Authorization: " + bearer("key", "secret").strip().encode()
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        body = b"2\r\n{}\r\n0\r\n" + trailer + b"\r\n\r\n"
        connection.sendall(POST + b"Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n" + body)
        assert read_reply(connection).code == "credentials_missing"


def test_bodies_at_once_have_a_limit_of_their_sum() -> None:
    """Slow uploads must not fill the memory; small requests are served meanwhile."""
    with served(Limits(buffered_bytes=1_000_000)) as port:
        uploads = [socket.create_connection(("127.0.0.1", port), timeout=10) for _ in range(2)]
        for upload in uploads:
            upload.sendall(POST + b"Content-Length: 600001\r\n\r\n" + b" " * 600_000)
        ready = [upload for upload in uploads if not _is_silent(upload)]
        assert len(ready) == 1
        check_refusal(read_reply(ready[0]), 503, "unavailable")
        with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
            connection.sendall(b"GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            assert read_reply(connection).status == 200
        for upload in uploads:
            upload.close()


def _is_silent(connection: socket.socket) -> bool:
    connection.settimeout(1.0)
    try:
        return connection.recv(1, socket.MSG_PEEK) == b""
    except TimeoutError:
        return True


def test_request_beyond_the_threads_is_a_503_at_once(serve_cloud: Serve, cloud: ProxmoxHarness) -> None:
    """It keeps its connection; probes are answered; the log has one line for each."""
    server = serve_cloud("--workers", "1", "--threads", "1")
    cloud.sandbox.knobs.task_seconds = 0.8
    replies: list[Reply] = []
    creating = threading.Thread(target=lambda: replies.append(create(server, cloud)))
    creating.start()
    wait_until(lambda: bool(cloud.states()))
    started = time.monotonic()
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        connection.sendall(b"GET /environment HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert connection.recv(12) == b"HTTP/1.1 503"
        connection.sendall(b"GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        assert b"HTTP/1.1 200 OK" in read_all(connection)
    check_refusal(server.request("GET", "/environment"), 503, "unavailable")
    assert time.monotonic() - started < 1
    assert creating.is_alive()
    creating.join()
    assert replies[0].status == 201
    lines = [json.loads(line) for line in server.log.read_text().splitlines() if "GET /environment 503" in line]
    assert [(line["level"], line["status"]) for line in lines] == [("INFO", 503)] * 2


def test_request_for_which_no_thread_starts_is_a_503() -> None:
    """The system has a limit, too, such as that of a container's processes; afterwards all is well."""
    with served(Limits()) as port:

        def get() -> Reply:
            with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
                connection.sendall(b"GET /environment HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
                return read_reply(connection)

        usual = threading.stack_size(2**46)
        try:
            refused = get()
        finally:
            threading.stack_size(usual)
        check_refusal(refused, 503, "unavailable")
        assert b"cannot start a thread" in refused.body
        assert get().status == 200


def create(server: Server, cloud: ProxmoxHarness) -> Reply:
    """Create a VM."""
    body = json.dumps({"name": "front1", "environment": "main", "machinetype": "small-debian"}).encode()
    token = f"Authorization: {bearer(cloud.access_key, cloud.secret)}".strip()
    lines = (token, "Content-Type: application/json", f"Content-Length: {len(body)}")
    return server.request("POST", "/vm", *lines, body=body)


def test_pipelined_request_outlasts_the_time_for_headers(cloud: ProxmoxHarness) -> None:
    """A second request on the connection is in flight when the response to the first is complete."""
    cloud.sandbox.knobs.task_seconds = 0.8
    body = json.dumps({"name": "pipe1", "environment": "main", "machinetype": "small-debian"}).encode()
    token = f"Authorization: {bearer(cloud.access_key, cloud.secret)}".strip().encode()
    second = POST + token + b"\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    with (
        served(Limits(header_seconds=0.5)) as port,
        socket.create_connection(("127.0.0.1", port), timeout=30) as connection,
    ):
        connection.sendall(b"GET /environment HTTP/1.1\r\nHost: localhost\r\n\r\n" + second)
        received = read_all(connection)
    assert received.startswith(b"HTTP/1.1 200 OK")
    assert b"HTTP/1.1 201 Created" in received


@pytest.mark.parametrize(
    ("following", "paths"),
    [
        (b"nonsense\r\n\r\n", ["/first"]),
        (POST + b"Transfer-Encoding: chunked\r\n\r\nxyz\r\n", ["/first"]),
        (b"GET /second HTTP/1.1\r\nHost: localhost\r\n\r\nnonsense\r\n\r\n", ["/first", "/second"]),
    ],
)
@pytest.mark.parametrize("secure", [False, True])
def test_malformed_data_behind_a_request_is_refused_after_its_response(
    following: bytes, paths: list[str], tls: TLS, *, secure: bool
) -> None:
    """Clients match responses to requests by their order: a create must not seem to be refused."""
    arrived = threading.Event()

    def application(environ: dict[str, Any], start_response: StartResponse) -> list[bytes]:
        arrived.set()
        if REFUSAL not in environ:
            time.sleep(0.5)
        path = "refused" if REFUSAL in environ else environ["PATH_INFO"]
        start_response("200 OK", [("X-Path", path)])
        return [b"{}"]

    with (
        served(Limits(), application, tls.server if secure else None) as port,
        socket.create_connection(("127.0.0.1", port), timeout=30) as plain,
        tls.client.wrap_socket(plain, server_hostname="localhost") if secure else plain as connection,
    ):
        connection.sendall(b"POST /first HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{}")
        assert arrived.wait(30)
        connection.sendall(following)
        received = read_all(connection).decode()
    assert re.findall(r"x-path: (\S+)", received) == [*paths, "refused"]
    assert received.count("connection: close") == 1


@pytest.mark.parametrize("requests", [1, 2])
def test_client_that_ends_its_side_gets_its_responses(requests: int) -> None:
    """As `nc -N` does behind its input. The connection is closed afterwards."""

    def application(_environ: dict[str, Any], start_response: StartResponse) -> list[bytes]:
        time.sleep(0.3)
        start_response("201 Created", [])
        return [b"{}"]

    with (
        served(Limits(), application) as port,
        socket.create_connection(("127.0.0.1", port), timeout=10) as connection,
    ):
        connection.sendall((POST + b"Content-Length: 2\r\n\r\n{}") * requests)
        connection.shutdown(socket.SHUT_WR)
        received = read_all(connection)
    assert received.count(b"HTTP/1.1 201 Created") == requests


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        (("X-Forwarded-Proto: http",), 403),
        (("X-Forwarded-Proto: https",), 200),
        (("X-Forwarded-Proto: http", "X_Forwarded_Proto: https"), 403),
        (("X_Forwarded_Proto: https",), 403),
        (("X_Forwarded_Proto: https", "X-Forwarded-Proto: http"), 403),
    ],
)
def test_header_with_underscores_is_dropped(proxied: Server, headers: tuple[str, ...], status: int) -> None:
    """WSGI has one variable for both spellings, and a proxy sets or removes only one of them."""
    assert proxied.request("GET", "/environment", *headers).status == status


@pytest.fixture
def proxied(serve: Serve) -> Server:
    """A server behind a proxy that ends TLS."""
    return serve(
        "--workers", "1", CLOUDVM_REQUIRE_HTTPS="true", CLOUDVM_TRUSTED_PROXIES="127.0.0.1", CLOUDVM_LOG_LEVEL="WARNING"
    )
