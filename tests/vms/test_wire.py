"""The real server: what no client library would send, and how it starts and stops."""

import json
import socket
import time
from collections.abc import Iterator
from contextlib import suppress

import pytest

from tests.support.api import bearer
from tests.support.sandbox import free_port
from tests.support.server import Server, read_reply, start, stop, wait_until_up
from tests.vms.conftest import ENVIRONMENTS

TOKEN = f"Authorization: {bearer('demo@sandbox', 'canary-s3cr3t')}"
JSON = "Content-Type: application/json"


def chunks(body: bytes, size: int = 65536) -> bytes:
    """A body in chunks."""
    pieces = [body[start : start + size] for start in range(0, len(body), size)]
    return b"".join(f"{len(piece):x}\r\n".encode() + piece + b"\r\n" for piece in pieces) + b"0\r\n\r\n"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A running server for all tests of this module."""
    running = start(tmp_path_factory.mktemp("server"), "--workers", "1", "--threads", "8", port=free_port())
    wait_until_up(running)
    yield running
    alive = running.alive()
    stop(running)
    assert alive


def test_request_with_a_header_of_9_kib_is_refused(server: Server) -> None:
    """By us and not by the server, with a problem document."""
    assert server.request("GET", "/environment", "X-Large: " + "a" * 9216).code == "invalid_request"


def test_request_with_a_token_of_9_kib_is_malformed(server: Server) -> None:
    """It has an error of its own."""
    reply = server.request("GET", "/vm?environment=aws-one", "Authorization: Bearer " + "A" * 9216)
    assert reply.code == "credentials_malformed"
    assert reply.headers["www-authenticate"].startswith("Bearer")


@pytest.mark.parametrize("second", [TOKEN, TOKEN.lower(), "authorization: Basic eDp5", "Authorization:"])
def test_request_with_two_tokens_is_malformed(server: Server, second: str) -> None:
    """Nobody knows which one is meant."""
    assert server.request("GET", "/vm?environment=aws-one", TOKEN, second).code == "credentials_malformed"


@pytest.mark.parametrize(
    "target",
    [
        "/vm/..%2f..",
        "/vm/%2e%2e/%2e%2e/etc/passwd",
        "/vm/%00",
        "/vm/%0d%0aX-Evil:%201",
        "//vm",
        "/vm/%5c%5c",
        "/vm/x%00",
    ],
)
def test_request_for_a_crooked_path_is_refused(server: Server, target: str) -> None:
    """Before any call, and with no header of the caller's making."""
    reply = server.request("GET", f"{target}?environment=aws-one", TOKEN)
    assert reply.code == "invalid_request"
    assert "x-evil" not in reply.headers


@pytest.mark.parametrize("target", ["/environment/%zz%", "/environment/%ff%fe", "/environment/%ed%a0%80"])
def test_request_for_a_path_in_odd_bytes_is_a_404(server: Server, target: str) -> None:
    """Not UTF-8, or not even percent-encoded."""
    assert server.request("GET", target).code == "environment_not_found"


def test_request_with_a_body_of_2_mb_is_refused(server: Server) -> None:
    """With Content-Length, and in chunks, as it comes."""
    body = b'{"name": "' + b"a" * 2_000_000 + b'"}'
    for framing, sent in ((f"Content-Length: {len(body)}", body), ("Transfer-Encoding: chunked", chunks(body))):
        reply = server.request("POST", "/vm", TOKEN, JSON, framing, body=sent)
        assert (reply.status, reply.code) == (413, "invalid_request")
        assert b"larger than" in reply.body


@pytest.mark.parametrize("size", [1, 7, 65536])
def test_request_with_a_body_in_chunks_is_read(server: Server, size: int) -> None:
    """As some clients and proxies send it."""
    body = b'{"name": "test1", "environment": "nowhere", "machinetype": "small-debian"}'
    reply = server.request("POST", "/vm", TOKEN, JSON, "Transfer-Encoding: chunked", body=chunks(body, size))
    assert reply.code == "environment_not_found"


@pytest.mark.parametrize("chunk", [b"zz\r\n{}\r\n0\r\n\r\n", b"-1\r\n{}\r\n", b"ffffffffffffffffffff\r\n{}"])
def test_request_with_broken_chunks_is_refused(server: Server, chunk: bytes) -> None:
    """Nothing is made of what did arrive."""
    assert server.request("POST", "/vm", TOKEN, JSON, "Transfer-Encoding: chunked", body=chunk).status == 400
    assert server.alive()


def test_request_that_waits_to_be_asked_for_its_body_is_asked(server: Server) -> None:
    """`Expect: 100-continue`, which curl sends with a body of a megabyte."""
    body = b'{"name": "test1", "environment": "nowhere", "machinetype": "small-debian"}'
    lines = ["POST /vm HTTP/1.1", "Host: localhost", "Connection: close", TOKEN, JSON, "Expect: 100-continue"]
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        connection.sendall("\r\n".join([*lines, f"Content-Length: {len(body)}", "", ""]).encode())
        assert connection.recv(65536) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(body)
        assert read_reply(connection).code == "environment_not_found"


@pytest.mark.parametrize("protocol", ["h2c", "websocket", "TLS/1.0"])
def test_request_to_change_the_protocol_is_answered_in_this_one(server: Server, protocol: str) -> None:
    """RFC 9110, 7.8: the server may ignore it. Java's client sends `Upgrade: h2c` with its first request."""
    upgrade = f"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: {protocol}\r\nHTTP2-Settings: AAEAAEAA"
    body = b'{"name": "test1", "environment": "nowhere", "machinetype": "small-debian"}'
    head = f"POST /vm HTTP/1.1\r\nHost: localhost\r\n{TOKEN}\r\n{JSON}\r\n{upgrade}\r\n"
    last = b"GET /nothing HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    for framing, sent in (
        (f"Content-Length: {len(body)}", body),
        ("Transfer-Encoding: chunked", chunks(body, 10)),
    ):
        for pause in (0.0, 0.1):
            with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
                connection.sendall(f"{head}{framing}\r\n\r\n".encode() + (b"" if pause else sent + last))
                time.sleep(pause)
                connection.sendall(sent + last if pause else b"")
                received = b""
                while data := connection.recv(65536):
                    received += data
            assert received.index(b"/problems/environment_not_found") < received.index(b"/problems/not_found")
            assert received.count(b"HTTP/1.1 ") == 2
    got = f"GET /environment HTTP/1.1\r\nHost: localhost\r\n{upgrade}\r\n\r\n".encode()
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        connection.sendall(got + last)
        received = read_reply(connection).body
    assert received.count(b"HTTP/1.1 404") == 1
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        connection.sendall(got.replace(b"/environment", b"/livez") * 200 + last)
        received = read_reply(connection).body
    assert (received.count(b"HTTP/1.1 200"), received.count(b"HTTP/1.1 404")) == (199, 1)


def test_request_with_a_length_and_chunks_is_read_as_chunks(server: Server) -> None:
    """RFC 9112: never by the length, or a proxy and we could see two different requests."""
    smuggled = b"GET /smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n"
    body = chunks(b"{}")
    headers = (TOKEN, JSON, "Transfer-Encoding: chunked", f"Content-Length: {len(body) + len(smuggled)}")
    reply = server.request("POST", "/vm", *headers, body=body + smuggled)
    assert reply.status == 400
    assert b"smuggled" not in reply.body
    assert "/smuggled" not in server.log.read_text()


@pytest.mark.parametrize("length", ["-1", "abc", "1, 2", "99999999999999999999999", "+2", "0x2"])
def test_request_with_an_odd_length_is_refused(server: Server, length: str) -> None:
    """Our problem or the server's plain 400."""
    assert server.request("POST", "/vm", TOKEN, JSON, f"Content-Length: {length}", body=b"{}").status in {400, 413}
    assert server.alive()


@pytest.mark.parametrize(
    "content_type",
    ["application/json; x*=nosuch''%41", "application/json; charset=hex", "application/json; charset=utf-16",
     "application/json; charset=" + "x" * 9000, 'application/json; =;;"', "application/json;charset=utf-8"],
)  # fmt: skip
def test_request_with_odd_parameters_of_the_content_type_is_read(server: Server, content_type: str) -> None:
    """JSON has none: they change nothing, and break nothing."""
    reply = server.request("POST", "/vm", TOKEN, f"Content-Type: {content_type}", "Content-Length: 2", body=b"{}")
    assert reply.code == "invalid_request"
    assert b'"machinetype"' in reply.body


@pytest.mark.parametrize("charset", ["hex", "utf-16", "idna", "undefined", "punycode", "unicode_escape"])
def test_request_with_a_charset_does_not_change_how_its_query_is_read(server: Server, charset: str) -> None:
    """A query is UTF-8, whatever the Content-Type says."""
    reply = server.request("GET", "/vm?environment=n%C3%B6", TOKEN, f"Content-Type: text/plain; charset={charset}")
    assert reply.code == "environment_not_found"
    assert "'nö'" in reply.body.decode()


def test_head_has_the_headers_of_get_and_no_body(server: Server) -> None:
    """Also where it is an error."""
    for target, status in (("/environment", 200), ("/nothing", 404), ("/vm/x/start", 401)):
        reply = server.request("HEAD", target)
        assert (reply.status, reply.body) == (status, b"")


@pytest.mark.parametrize("method", ["OPTIONS", "TRACE", "PUT", "PROPFIND", "get", "M-SEARCH"])
def test_request_with_another_method_is_not_allowed(server: Server, method: str) -> None:
    """TRACE above all, which would send the token back."""
    reply = server.request(method, "/docs" if method != "get" else "/vm", TOKEN)
    if method == "get":
        assert reply.status in {400, 405}
    else:
        assert reply.code == "method_not_allowed"
    assert b"Authorization" not in reply.body


def test_request_for_everything_or_a_tunnel_is_a_problem(server: Server) -> None:
    """`OPTIONS *` and CONNECT are no paths of ours."""
    assert server.request("OPTIONS", "*").status in {400, 404, 405}
    assert server.request("CONNECT", "localhost:22").status in {400, 404, 405}


def test_request_of_http_1_0_is_answered(server: Server) -> None:
    """Without chunks, which it does not know."""
    reply = server.request("GET", "/environment", version="1.0")
    assert reply.status == 200
    assert "transfer-encoding" not in reply.headers
    assert len(json.loads(reply.body)) == len(ENVIRONMENTS)


@pytest.mark.parametrize("host", ["", "evil.example", "a b", "localhost:x", "[::1", "localhost@evil.example", "*"])
def test_request_with_an_odd_host_is_refused(server: Server, host: str) -> None:
    """Also without any."""
    assert server.request("GET", "/environment", host=host).code == "invalid_request"


def test_request_with_two_hosts_is_refused(server: Server) -> None:
    """Or a cache before us could be fooled."""
    assert server.request("GET", "/environment", "Host: evil.example").status == 400


def test_request_for_an_absolute_url_is_answered_without_leading_elsewhere(server: Server) -> None:
    """We are no proxy: the path counts."""
    assert server.request("GET", "http://localhost/environment").status == 200
    assert b"evil.example" not in server.request("GET", "http://evil.example/environment").body


@pytest.mark.parametrize(
    "line",
    [b"GARBAGE\r\n\r\n", b"\r\n\r\n\r\n", b"GET /\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00",
     b"GET /\x00 HTTP/1.1\r\nHost: localhost\r\n\r\n", b"GET / HTTP/1.1\r\nHost: localhost\r\nbad header\r\n\r\n"],
)  # fmt: skip
def test_request_that_is_no_http_does_no_harm(server: Server, line: bytes) -> None:
    """A plain 400, or the connection is closed; the next caller is served."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        connection.sendall(line)
        with suppress(OSError):
            connection.shutdown(socket.SHUT_WR)
        assert read_reply(connection).status in {0, 302, 400, 505}
    assert server.alive()


def test_requests_that_are_never_finished_do_not_stop_others(server: Server) -> None:
    """Half a header, half a body, chunks without an end; more of them than the server has threads."""
    half = [
        b"GET /environment HTTP/1.1\r\nHost: local",
        f"POST /vm HTTP/1.1\r\nHost: localhost\r\n{TOKEN}\r\n".encode(),
    ]
    connections = [socket.create_connection(("127.0.0.1", server.port), timeout=10) for _ in range(20)]
    for number, connection in enumerate(connections):
        connection.sendall(half[number % len(half)])
    assert server.alive()
    for connection in connections:
        connection.close()
    assert server.alive()


def test_request_whose_body_is_cut_does_no_harm(server: Server) -> None:
    """The caller hangs up in the middle: nothing is made of the half, and no traceback is left in the log."""
    head = f"POST /vm HTTP/1.1\r\nHost: localhost\r\n{TOKEN}\r\n{JSON}\r\n"
    for framing, body in (("Content-Length: 500", b'{"name": "a"'), ("Transfer-Encoding: chunked", b"ff\r\n{")):
        with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
            connection.sendall(f"{head}{framing}\r\n\r\n".encode() + body)
    assert server.alive()
    assert "Traceback" not in server.log.read_text()


def test_requests_on_one_connection_are_answered_in_order(server: Server) -> None:
    """Keep-alive and pipelining, after a refused body, too."""
    body = b"[]"
    first = f"POST /vm HTTP/1.1\r\nHost: localhost\r\n{TOKEN}\r\n{JSON}\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    second = b"GET /nothing HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        connection.sendall(first + body + second)
        received = b""
        while data := connection.recv(65536):
            received += data
    assert received.index(b"/problems/invalid_request") < received.index(b"/problems/not_found")


def test_documentation_is_served_with_its_assets(server: Server) -> None:
    """From our own packages; nothing else is under `/static/`."""
    page = server.request("GET", "/docs").body.decode()
    assets = {part.split('"')[0] for part in page.split('"/static/')[1:]}
    assert len(assets) >= 3
    for asset in assets:
        reply = server.request("GET", f"/static/{asset}")
        assert reply.status == 200
        assert reply.headers["x-content-type-options"] == "nosniff"
    for target in (
        "/static/",
        "/static/../manage.py",
        "/static/%2e%2e/manage.py",
        "/static/vms/templates/vms/problem.html",
    ):
        assert server.request("GET", target).status in {400, 404}


def test_log_of_the_server_is_json_line_by_line(server: Server) -> None:
    """Whatever was sent before, and no secret in it."""
    server.request("GET", "/vm/%0a%1b[31m?environment=aws-one", TOKEN)
    lines = [line for line in server.log.read_text().splitlines() if not line.startswith("CloudVM API on")]
    assert lines
    assert all(json.loads(line)["level"] for line in lines)
    assert "canary-s3cr3t" not in server.log.read_text()
