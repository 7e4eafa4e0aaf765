"""Pages of another origin, opened in a browser that is signed in here: they change nothing and learn nothing."""

from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests.browser.conftest import Site, sign_in
from tests.support.serving import serving

pytestmark = pytest.mark.slow

ENVIRONMENT = "proxmox-sandbox"


class Attacker(ThreadingHTTPServer):
    """A server of somebody else's, on another port."""

    daemon_threads = True
    page = ""


class Handler(BaseHTTPRequestHandler):
    """Gives the page of the moment."""

    def do_GET(self) -> None:
        assert isinstance(self.server, Attacker)
        body = self.server.page.encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        # An attacker hides nothing, or `Origin` would be null.
        self.send_header("Referrer-Policy", "unsafe-url")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the library's name
        """Say nothing."""


@pytest.fixture
def attacker() -> Iterator[Attacker]:
    """The attacker's server."""
    with serving(Attacker(("127.0.0.1", 0), Handler)) as server:
        yield server


@pytest.fixture
def vm_id(site: Site, page: Page) -> Iterator[str]:
    """A running VM, in an environment in which the browser is signed in."""
    simulator: Any = site.simulators[ENVIRONMENT]
    (number,) = simulator.seed(1, prefix="victim")
    sign_in(page, ENVIRONMENT)
    expect(page.get_by_text("victim-0001").first).to_be_visible()
    yield str(number)
    assert simulator.vm(number).state == "running"
    page.goto(f"/vm/{number}/delete?environment={ENVIRONMENT}")
    page.get_by_role("button", name="Delete victim-0001").click()
    page.wait_for_function("!document.querySelector('[data-poll]')")


# `localhost` is another site; another port of 127.0.0.1 is another origin of the same site, which gets our cookies.
@pytest.mark.parametrize(("host", "same_site"), [("localhost", False), ("127.0.0.1", True)])
@pytest.mark.parametrize("path", ["stop?mode=force&", "delete?", "restart?mode=force&"])
def test_form_that_another_origin_sends_changes_nothing(
    context: BrowserContext, site: Site, attacker: Attacker, vm_id: str, *, host: str, same_site: bool, path: str
) -> None:
    """By a page that sends itself off; the fixture looks whether the VM runs on."""
    url = f"{site.url}/vm/{vm_id}/{path}environment={ENVIRONMENT}"
    attacker.page = f'<form method="post" action="{url}"><input name="csrfmiddlewaretoken" value="{"x" * 64}"></form>'
    page = context.new_page()
    page.goto(f"http://{host}:{attacker.server_port}/")
    with page.expect_response(lambda answer: answer.url == url) as answered:
        page.evaluate("document.forms[0].submit()")
    sent = "cloudvm-in-" in answered.value.request.all_headers().get("cookie", "")
    assert sent is same_site
    assert answered.value.status == (403 if same_site else 401)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_script_of_another_origin_changes_and_learns_nothing(
    context: BrowserContext, site: Site, attacker: Attacker, vm_id: str, *, host: str
) -> None:
    """Neither by calls with the browser's cookies nor by pictures, frames or looking ahead."""
    stop = f"{site.url}/vm/{vm_id}/stop?environment={ENVIRONMENT}&mode=force"
    shown = f"{site.url}/vm?environment={ENVIRONMENT}"
    attacker.page = f'<img src="{stop}"><link rel="prefetch" href="{stop}"><iframe src="{shown}"></iframe>'
    page = context.new_page()
    page.goto(f"http://{host}:{attacker.server_port}/")
    told = page.evaluate(
        """async ([stop, shown]) => {
            const told = [];
            const calls = [
                [stop, {method: "POST"}], [stop, {method: "POST", mode: "no-cors"}], [stop, {mode: "no-cors"}],
                [stop.replace("/stop", ""), {method: "DELETE"}], [shown, {}], [shown, {mode: "no-cors"}],
            ];
            for (const [url, options] of calls) {
                try {
                    const answer = await fetch(url, {credentials: "include", ...options});
                    told.push(answer.status + await answer.text());
                } catch { told.push("refused"); }
            }
            return told;
        }""",
        [stop, shown],
    )
    # Also without asking for the answer: it may not be embedded either.
    assert told == ["refused"] * 6
    assert all("victim" not in frame.content() for frame in page.frames[1:])


def test_link_of_another_site_shows_nothing_until_the_person_asks(
    context: BrowserContext, site: Site, attacker: Attacker, vm_id: str
) -> None:
    """The sign-in page offers to open it from here, and that works."""
    attacker.page = f'<a href="{site.url}/vm/{vm_id}?environment={ENVIRONMENT}">look</a>'
    page = context.new_page()
    page.goto(f"http://localhost:{attacker.server_port}/")
    page.click("a")
    expect(page.get_by_role("heading", level=1)).to_have_text("Sign in")
    page.get_by_role("link", name="open it from here").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("victim-0001")
