"""Around every request: its id, its timing, its log line, and what is refused at the door."""

import ipaddress
import json
import logging

import pytest
from django.test import Client
from pytest_django import Settings

from tests.support.api import Api
from vms.logs import JSONFormatter

LONGEST = 8 * 1024


@pytest.mark.parametrize("given", ["a", "A-b_c.9", "x" * 64, "...."])
def test_call_with_a_usable_request_id_gets_it_back(stranger: Api, given: str) -> None:
    """In the header, and in a problem."""
    assert stranger.call("GET", "/livez", headers={"X-Request-ID": given}).headers["X-Request-ID"] == given
    assert stranger.call("GET", "/nothing", headers={"X-Request-ID": given}).json["request_id"] == given


@pytest.mark.parametrize("given", ["", " ", "x" * 65, "a b", "a\tb", "é", "a,b", "<b>", "a\x7f", 'a"', "a;b", "%0a"])
def test_call_with_an_odd_request_id_gets_another(stranger: Api, given: str) -> None:
    """What could not be logged or echoed safely is not."""
    got = stranger.call("GET", "/livez", headers={"X-Request-ID": given}).headers["X-Request-ID"]
    assert got != given
    assert len(got) == 16


@pytest.mark.parametrize("path", ["/livez", "/nothing", "/vm", "/docs", "/", "/problems"])
def test_call_of_any_path_carries_the_headers_for_browsers(stranger: Api, path: str) -> None:
    """No sniffing, no frames, no referrer, no caching, a policy for content."""
    headers = stranger.call("GET", path).headers
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["Cache-Control"] == "no-store"
    assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
    assert "Access-Control-Allow-Origin" not in headers
    assert "Set-Cookie" not in headers


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "a b", "localhost:x", "[::1", "", "*"])
def test_call_under_a_foreign_host_name_is_refused(stranger: Api, host: str) -> None:
    """As a problem document, with all that answers have."""
    answer = stranger.call("GET", "/environment", headers={"Host": host})
    assert answer.code == "invalid_request"
    assert "host name" in answer.json["detail"]
    assert answer.headers["X-Frame-Options"] == "DENY"


@pytest.mark.parametrize("name", ["X-Anything", "Cookie", "Prefer", "Accept", "X-Request-ID", "Idempotency-Key"])
def test_call_with_an_oversize_header_is_refused(api: Api, name: str) -> None:
    """8 KiB are allowed, one byte more is not; the name is told, the value is not."""
    answer = api.call("GET", "/environment", headers={name: "a" * (LONGEST + 1)})
    assert answer.code == "invalid_request"
    assert name.lower() in answer.json["detail"].lower()
    assert len(answer.body) < 1000
    assert api.call("GET", "/environment", headers={"X-Anything": "a" * LONGEST}).status == 200


@pytest.fixture
def https_only(settings: Settings, api: Api) -> Settings:
    """A service behind a proxy that ends TLS."""
    settings.CLOUDVM_REQUIRE_HTTPS = True
    settings.CLOUDVM_TRUSTED_PROXIES = (ipaddress.ip_network("10.1.0.0/16"), ipaddress.ip_network("fd00::/8"))
    return settings


def ask(peer: str, proto: str | None, path: str = "/environment") -> int:
    """The status of a call from a peer that claims something about TLS."""
    headers = {} if proto is None else {"X-Forwarded-Proto": proto}
    return Client(REMOTE_ADDR=peer).get(path, headers=headers).status_code


@pytest.mark.parametrize(
    ("peer", "proto", "status"),
    [
        ("10.1.2.3", "https", 200),
        ("10.1.2.3", "HTTPS", 200),
        ("fd00::1", "https", 200),
        ("::ffff:10.1.2.3", "https", 200),
        ("10.1.2.3", "http", 403),
        ("10.1.2.3", "https, http", 403),
        ("10.1.2.3", "", 403),
        ("10.1.2.3", None, 403),
        ("10.2.0.1", "https", 403),
        ("127.0.0.1", "https", 403),
        ("::ffff:10.2.0.1", "https", 403),
        ("", "https", 403),
        ("nonsense", "https", 403),
    ],
)
@pytest.mark.usefixtures("https_only")
def test_call_that_requires_https_believes_only_trusted_proxies(peer: str, proto: str | None, status: int) -> None:
    """Their ranges are settings; anybody can write a header."""
    assert ask(peer, proto) == status


@pytest.mark.usefixtures("https_only")
def test_call_over_http_where_https_is_required_is_refused_without_redirect(api: Api) -> None:
    """The token has been sent already; health checks come from within."""
    answer = api.list()
    assert answer.code == "tls_required"
    assert answer.calls == 0
    assert "Location" not in answer.headers
    assert ask("127.0.0.1", None, "/livez") == ask("127.0.0.1", None, "/readyz") == 200
    assert ask("127.0.0.1", None, "/livez/") == 403


def test_call_over_http_where_nothing_is_trusted_believes_nobody(settings: Settings, api: Api) -> None:
    """The default."""
    settings.CLOUDVM_REQUIRE_HTTPS = True
    assert ask("127.0.0.1", "https") == 403


def test_call_is_logged_in_one_line(stranger: Api, caplog: pytest.LogCaptureFixture) -> None:
    """Method, path, status, times; valid JSON whatever the path holds."""
    caplog.set_level(logging.INFO, "cloudvm")
    stranger.call("GET", "/environment/%1b[31m%0aforged%ff%22", headers={"X-Request-ID": "one"})
    (record,) = [record for record in caplog.records if record.name == "cloudvm.request"]
    line = json.loads(JSONFormatter().format(record))
    assert (line["method"], line["status"]) == ("GET", 404)
    assert line["path"] == '/environment/\x1b[31m\nforged%FF"'
    assert line["backend_calls"] == 0


def test_call_for_an_operation_is_logged_without_its_token(api: Api, caplog: pytest.LogCaptureFixture) -> None:
    """It says nothing to a reader, and whoever reads it could ask with it."""
    caplog.set_level(logging.INFO, "cloudvm")
    api.call("GET", "/operation/a-token-of-some-length")
    assert "a-token-of" not in "".join(JSONFormatter().format(record) for record in caplog.records)


def test_call_of_a_browser_that_is_refused_before_all_else_gets_a_page(stranger: Api) -> None:
    """As readable as any other error."""
    for headers in ({"Host": "evil.example"}, {"X-Anything": "a" * (LONGEST + 1)}):
        response = Client(raise_request_exception=False).get("/environment", headers={"Accept": "text/html", **headers})
        assert response.status_code == 400
        assert response.headers["Content-Type"] == "text/html; charset=utf-8"
        assert "/problems/invalid_request" in response.content.decode()


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/nothing"), ("GET", "/vm"), ("POST", "/create"), ("GET", "/signin"), ("GET", "/livez")],
)
@pytest.mark.parametrize(("accept", "kind"), [("text/html", "text/html"), ("*/*", "application/problem+json")])
def test_call_with_more_parameters_than_are_read_is_refused_in_the_callers_form(
    stranger: Api, method: str, path: str, accept: str, kind: str
) -> None:
    """The page that tells it has to do without the query."""
    client = Client(raise_request_exception=False)
    response = client.generic(method, f"{path}?{'a=1&' * 1001}", headers={"Accept": accept})
    assert response.status_code == 400
    assert response.headers["Content-Type"].partition(";")[0] == kind
    assert "/problems/invalid_request" in response.content.decode()
    assert "too many parameters" in response.content.decode()


def test_call_for_a_part_of_a_file_that_it_has_not_is_the_callers_fault(stranger: Api) -> None:
    """Any error of a library's own is told by whose fault it is, and not as one of ours."""
    answer = stranger.call("GET", "/static/vms/pages.css", headers={"Range": "bytes=99999999-"})
    assert (answer.status, answer.code) == (400, "invalid_request")
