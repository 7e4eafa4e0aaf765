"""Over https, behind a proxy that ends TLS: cookies that are bound to this host, and nothing by plain http."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from providers.sandbox.__main__ import SIMULATORS
from providers.sandbox.authority import Authority
from tests.browser.conftest import ENVIRONMENTS, FIXTURES, PATIENCE_MS, sign_in
from tests.support.sandbox import free_port, serving
from tests.support.tls_proxy import tls_proxy

pytestmark = pytest.mark.slow

ENVIRONMENT = "proxmox-sandbox"


@pytest.fixture(scope="module")
def secured(chromium: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, int]]:
    """The ports of the service, which takes https only, and of the proxy before it."""
    folder: Path = tmp_path_factory.mktemp("secured")
    authority = Authority(folder / "ca.pem")
    (own,) = (each for each in ENVIRONMENTS if each["name"] == ENVIRONMENT)
    with SIMULATORS[ENVIRONMENT](authority) as simulator:
        placed = {**own, "url": simulator.url, "ca_file": str(authority.ca_file)}
        (folder / "environments.json").write_text(json.dumps([placed]))
        port = free_port()
        with (
            serving(
                port,
                CLOUDVM_ENVIRONMENTS_FILE=str(folder / "environments.json"),
                CLOUDVM_MACHINETYPES_FILE=str(FIXTURES / "machinetypes.json"),
                CLOUDVM_LOG_LEVEL="WARNING",
                CLOUDVM_REQUIRE_HTTPS="true",
                CLOUDVM_TRUSTED_PROXIES="127.0.0.1",
                NO_PROXY="127.0.0.1",
                no_proxy="127.0.0.1",
            ),
            tls_proxy(port) as secure_port,
        ):
            yield port, secure_port


@pytest.fixture
def context(chromium: Browser, secured: tuple[int, int]) -> Iterator[BrowserContext]:
    """A browser at the proxy's address, whose authority it is told to trust."""
    base = f"https://localhost:{secured[1]}"
    context = chromium.new_context(base_url=base, ignore_https_errors=True)
    context.set_default_timeout(PATIENCE_MS)
    yield context
    context.close()


def cookies(context: BrowserContext) -> dict[str, dict[str, Any]]:
    """The browser's cookies by name."""
    return {cookie.get("name", ""): {**cookie} for cookie in context.cookies()}


def test_sign_in_over_https_gives_a_cookie_that_is_bound_to_this_host(page: Page, context: BrowserContext) -> None:
    """Signing in, reading and signing out work; no script can read it."""
    sign_in(page, ENVIRONMENT)
    expect(page.get_by_role("heading", level=1)).to_have_text(f"VMs of {ENVIRONMENT}")
    kept = cookies(context)
    (name,) = (name for name in kept if "cloudvm-in-" in name)
    assert name.startswith("__Host-cloudvm-in-")
    assert {key: kept[name][key] for key in ("secure", "httpOnly", "sameSite", "path", "domain")} == {
        "secure": True,
        "httpOnly": True,
        "sameSite": "Strict",
        "path": "/",
        "domain": "localhost",
    }
    assert kept["__Host-cloudvm-csrf"]["secure"]
    assert kept["__Host-cloudvm-csrf"]["httpOnly"]
    assert page.evaluate("document.cookie") == ""
    page.reload()
    expect(page.get_by_role("heading", level=1)).to_have_text(f"VMs of {ENVIRONMENT}")
    page.get_by_role("button", name=f"Sign out of {ENVIRONMENT}").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Environments")
    assert not [name for name in cookies(context) if "cloudvm-in-" in name]
    page.goto(f"/vm?environment={ENVIRONMENT}")
    expect(page.get_by_role("heading", level=1)).to_have_text("Sign in")


def test_open_the_pages_by_plain_http_is_refused(page: Page, context: BrowserContext, secured: tuple[int, int]) -> None:
    """Whoever is signed in over https is shown nothing there."""
    sign_in(page, ENVIRONMENT)
    expect(page.get_by_role("heading", level=1)).to_have_text(f"VMs of {ENVIRONMENT}")
    plain = context.new_page()
    answer = plain.goto(f"http://localhost:{secured[0]}/vm?environment={ENVIRONMENT}")
    assert answer is not None
    assert answer.status == 403
    expect(plain.get_by_role("alert")).to_contain_text("https")
