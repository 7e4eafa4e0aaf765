"""What somebody with bad intentions sends to a browser's side of the service, and what comes of it: nothing."""

import re
import time
from urllib.parse import urlencode

import pytest
from django.test import Client

from providers.credentials import Credentials
from tests.conformance.proxmox import ProxmoxHarness
from tests.support.browser import Browser
from vms import cookies

VMS = "/vm?environment=main"
PAGES = ["/", "/signin", "/environment", "/problems/conflict", "/nothing", VMS, "/create?environment=main", "/docs"]
SECRET_PAGES = [
    "/signin",
    VMS,
    "/create?environment=main",
    "/vm/100?environment=main",
    "/vm/100/delete?environment=main",
]


@pytest.mark.parametrize("path", PAGES)
def test_page_may_not_be_framed_sniffed_or_embedded(signed_in: Browser, path: str) -> None:
    """By no other site; nor do links on it tell another site where they stand."""
    headers = signed_in.go(path).headers
    assert headers["X-Frame-Options"] == "DENY"
    assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
    assert "base-uri 'none'" in headers["Content-Security-Policy"]
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Cross-Origin-Opener-Policy"] == "same-origin"
    assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert headers["Referrer-Policy"] in {"same-origin", "no-referrer"}
    assert "max-age" in headers["Strict-Transport-Security"]


@pytest.mark.parametrize("path", SECRET_PAGES)
@pytest.mark.parametrize("accept", ["text/html", "application/json"])
def test_page_with_data_is_kept_in_no_cache(signed_in: Browser, path: str, accept: str) -> None:
    """Neither the browser's own nor one on the way."""
    assert signed_in.go(path, Accept=accept).headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    "next_",
    [
        "//evil.example/", "///evil.example", "/\\evil.example", "\\\\evil.example", "https:evil.example",
        "/%0d%0aX: y", "javascript:alert(1)", "data:text/html,x", " //evil.example", "/\t/evil.example",
        "/\n/evil.example", "\x00//evil.example", "http:///evil.example", "/vm\r\nX-Evil: 1",
    ],
)  # fmt: skip
def test_sign_in_leads_nowhere_else_and_sets_no_header(browser: Browser, cloud: ProxmoxHarness, next_: str) -> None:
    """However the address is written."""
    offered = browser.go(f"/signin?{urlencode({'next': next_})}").hidden()["next"]
    assert offered == "" or re.match(r"/(?![/\\])", offered)
    page = browser.sign_in("main", cloud.access_key, cloud.secret, next=next_)
    assert page.status == 303
    assert re.match(r"/(?![/\\])", page.leads_to), page.leads_to
    assert not re.search(r"[\x00-\x20\\]", page.leads_to)
    assert "X-Evil" not in page.headers


def test_sign_in_page_with_markup_in_its_address_shows_it_as_text(browser: Browser) -> None:
    """In every place where an address can put something."""
    markup = '"><script>alert(1)</script>'
    for path in ("/signin?environment=%s&next=/%s", "/vm?environment=%s&name=%s", "/environment/%s?x=%s", "/%s/%s"):
        text = browser.go(path % ("%22%3E%3Cscript%3Ealert(1)%3C/script%3E", markup.replace("<", "%3C"))).text
        assert "<script>alert" not in text


@pytest.mark.parametrize(
    "content_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", ""]
)
def test_create_by_a_form_of_another_site_that_looks_like_json_is_refused(
    signed_in: Browser, cloud: ProxmoxHarness, content_type: str
) -> None:
    """The kinds of bodies that a browser sends anywhere without asking; from an old one, too."""
    cloud.forget_operations()
    body = b'{"name": "evil", "environment": "main", "machinetype": "small-debian", "x": "="}'
    for headers in ({}, {"Origin": "https://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "none"}):
        answer = signed_in.client.post("/vm", body, content_type=content_type, secure=True, headers=headers)
        assert answer.status_code in {400, 401, 403}
    assert cloud.states() == {}


def test_create_by_json_with_a_cookie_needs_the_token_also_from_an_old_browser(
    signed_in: Browser, cloud: ProxmoxHarness
) -> None:
    """One that says nothing of where a request comes from."""
    body = {"name": "evil", "environment": "main", "machinetype": "small-debian"}
    answer = signed_in.client.post("/vm", body, content_type="application/json", secure=True)
    assert answer.status_code == 403
    assert cloud.states() == {}


BROKEN_FORMS = [
    ("multipart/form-data", b"--x\r\n"),
    ("multipart/form-data; boundary=", b"--\r\n"),
    ("multipart/form-data; boundary=" + "x" * 500, b"--x\r\n"),
    ("multipart/form-data; boundary=x", b'--x\r\nContent-Disposition: form-data; name="a"\r\n'),
    (
        "multipart/form-data; boundary=x",
        b'--x\r\nContent-Disposition: form-data; name="a"\r\nContent-Transfer-Encoding: base64\r\n\r\n!!!\r\n--x--\r\n',
    ),
    (
        "multipart/form-data; boundary=x",
        b'--x\r\nContent-Disposition: form-data; name="f"; filename="f"\r\n\r\nx\r\n' * 200 + b"--x--\r\n",
    ),
    ("application/x-www-form-urlencoded; charset=utf-16", b"a=b"),
    ("application/x-www-form-urlencoded; charset=nonsense", b"a=b"),
    ("application/x-www-form-urlencoded", b"a=%ff%fe&" + b"b=" + b"x" * 2_000_000),
    ("application/x-www-form-urlencoded", b"&".join(b"a%d=1" % number for number in range(2000))),
]


@pytest.mark.parametrize("broken", range(len(BROKEN_FORMS)))
@pytest.mark.parametrize("path", ["/signin", "/signout", "/create?environment=main", "/vm/100/stop?environment=main"])
def test_form_that_cannot_be_read_is_refused_as_the_callers_fault(
    signed_in: Browser, cloud: ProxmoxHarness, path: str, broken: int
) -> None:
    """Cut, oversized, with files in it, in another encoding: never a fault of ours, with and without the cookie."""
    content_type, body = BROKEN_FORMS[broken]
    for browser in (signed_in, Browser()):
        headers = {"Origin": browser.origin, "Sec-Fetch-Site": "same-origin", "Accept": "text/html"}
        answer = browser.client.generic("POST", path, body, content_type=content_type, secure=True, headers=headers)
        assert 400 <= answer.status_code < 500, answer.content


def test_button_pressed_twice_makes_one_vm_and_deletes_one(signed_in: Browser, cloud: ProxmoxHarness) -> None:
    """The key stands in the page."""
    typed = {"name": "twice", "machinetype": "small-debian", **signed_in.go("/create?environment=main").hidden()}
    for _ in range(2):
        assert signed_in.post("/create?environment=main", typed, Origin=signed_in.origin).status == 303
    until = time.monotonic() + 20
    while len(cloud.states()) != 1 and time.monotonic() < until:
        time.sleep(0.1)
    assert len(cloud.states()) == 1


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS", "TRACE", "PUT", "PATCH"])
@pytest.mark.parametrize("verb", ["", "/start", "/stop", "/restart", "/delete"])
def test_vm_is_not_changed_by_any_other_method(
    signed_in: Browser, cloud: ProxmoxHarness, method: str, verb: str
) -> None:
    """With the cookie, from our own pages, and with the token."""
    (vm_id,) = cloud.seed(1)
    headers = {"Sec-Fetch-Site": "same-origin", "Origin": signed_in.origin, "X-CSRFToken": signed_in.token()}
    signed_in.client.generic(method, f"/vm/{vm_id}{verb}?environment=main", secure=True, headers=headers)
    assert cloud.states() == {vm_id: "running"}


def test_post_with_a_method_override_stays_a_post(signed_in: Browser, cloud: ProxmoxHarness) -> None:
    """Some frameworks let a form delete by a field or a header."""
    (vm_id,) = cloud.seed(1)
    page = signed_in.send(f"/vm/{vm_id}?environment=main", {"_method": "DELETE"}, X_HTTP_Method_Override="DELETE")
    assert page.status == 405
    assert cloud.states() == {vm_id: "running"}


def test_cookie_and_token_at_once_act_as_the_token(signed_in: Browser, cloud: ProxmoxHarness) -> None:
    """The cookie's credentials are not tried when the token's are refused."""
    cloud.forget_operations()
    answer = signed_in.client.get(VMS, secure=True, headers={"Authorization": "Bearer bm9ib2R5QHB2ZTp3aGF0ZXZlcg=="})
    assert answer.status_code == 401
    assert "Set-Cookie" not in answer.headers
    assert cloud.operations() == ["POST /access/ticket"]


@pytest.mark.parametrize("size", [10, 100, 3000, 9000])
@pytest.mark.parametrize("kind", ["cut", "padded", "garbage"])
def test_cookie_that_is_cut_padded_or_garbage_is_no_cookie(
    browser: Browser, cloud: ProxmoxHarness, kind: str, size: int
) -> None:
    """Nor a fault of ours."""
    name = cookies.name_of("main", secure=True)
    good = cookies.seal(name, "main", Credentials(cloud.access_key, cloud.secret), time.time() + 600)
    browser.client.cookies[name] = {
        "cut": good[:size],
        "padded": good + "A" * size,
        "garbage": "2.é!=" * (size // 5),
    }[kind]
    cloud.forget_operations()
    assert browser.go(VMS).status in {400, 401} or kind == "cut"
    assert cloud.operations() == [] or kind == "cut"


def test_host_of_somebody_else_is_refused_before_anything(cloud: ProxmoxHarness) -> None:
    """Nor does a forwarded one count; a form cannot be sent from a page under a name that leads here."""
    evil = Browser(host="evil.example")
    assert evil.go("/signin").status == 400
    assert evil.post("/signin", {}, Origin="https://evil.example").status == 400
    page = Browser().go("/signin", X_Forwarded_Host="evil.example", Forwarded="host=evil.example")
    assert page.status == 200
    assert "evil" not in page.text


def test_environment_with_line_breaks_in_its_name_splits_no_header(signed_in: Browser) -> None:
    """Where a name comes back in an address."""
    for path in ("/signout", "/signin"):
        page = signed_in.send(path, {"environment": "main\r\nX-Evil: 1", "access_key": "k", "secret": "s"})
        assert "X-Evil" not in page.headers
        assert page.status < 500


def test_name_with_line_breaks_or_markup_makes_no_vm(signed_in: Browser, cloud: ProxmoxHarness) -> None:
    """It comes back as text, and nothing of it in a header."""
    for name in ("a\r\nb", "a\nb", "a\x00b", "<script>", "a,net0=x", "a" * 64, "\uff41"):
        typed = {"name": name, "machinetype": "small-debian"}
        page = signed_in.send("/create?environment=main", typed)
        assert page.status == 400, name
        assert "<script>" not in page.text
    assert cloud.states() == {}


def test_error_of_the_cloud_with_markup_in_it_is_shown_as_text(signed_in: Browser, cloud: ProxmoxHarness) -> None:
    """A cloud, or who stands between, is not trusted with our pages."""
    cloud.echo_in_errors("<img src=x onerror=alert(1)>")
    page = signed_in.go(VMS)
    assert page.status >= 400
    assert "<img" not in page.text
    assert "&lt;img src=x" in page.text


def test_sign_in_where_already_signed_in_takes_the_new_credentials(signed_in: Browser, cloud: ProxmoxHarness) -> None:
    """What was there before counts no more."""
    ((name, morsel),) = signed_in.cookies().items()
    before = morsel.value
    assert signed_in.sign_in("main", cloud.access_key, cloud.secret).status == 303
    assert signed_in.client.cookies[name].value != before


def test_static_files_are_served_with_types_that_cannot_be_misread() -> None:
    """Scripts and styles as what they are, and nothing from beside the folder."""
    client = Client()
    for path, kind in (
        ("vms/pages.js", "text/javascript"),
        ("vms/live.js", "text/javascript"),
        ("vms/pages.css", "text/css"),
    ):
        answer = client.get(f"/static/{path}", secure=True)
        assert answer.headers["Content-Type"].startswith(kind)
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        answer.close()
    for path in ("../settings.py", "%2e%2e/settings.py", "vms/../../settings.py"):
        assert client.get(f"/static/{path}", secure=True).status_code in {400, 404}
