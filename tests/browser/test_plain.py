"""Without scripts: reading, and every button that the pages offer."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserType, Page, expect

from tests.browser.conftest import ARGUMENTS, CHROMIUM, PATIENCE_MS, Site, sign_in
from tests.support.guests import user_data

pytestmark = pytest.mark.slow

ENVIRONMENT = "proxmox-sandbox"
CLOUD_INIT = "#cloud-config\npackages: [nginx]\n"
READ = {
    "/": "Virtual machines, the same way on every cloud",
    "/environment": "Environments",
    "/machinetype": "Machine types",
    "/problems": "Errors",
    "/problems/conflict": "Conflict",
    f"/vm?environment={ENVIRONMENT}&status=running": f"VMs of {ENVIRONMENT}",
    "/nothing": "That did not work",
}


@pytest.fixture(scope="module")
def plain(chromium_type: BrowserType) -> Iterator[Browser]:
    """A Chromium whose scripts are switched off by its own setting, so that it shows what stands in `noscript`, too."""
    browser = chromium_type.launch(executable_path=CHROMIUM, args=[*ARGUMENTS, "--blink-settings=scriptEnabled=false"])
    yield browser
    browser.close()


@pytest.fixture
def page(plain: Browser, site: Site) -> Iterator[Page]:
    """A tab of it, signed in."""
    context = plain.new_context(base_url=site.url)
    context.set_default_timeout(PATIENCE_MS)
    page = context.new_page()
    sign_in(page, ENVIRONMENT)
    expect(page.get_by_role("heading", level=1)).to_have_text(f"VMs of {ENVIRONMENT}")
    yield page
    context.close()


def press(page: Page, button: str) -> None:
    """Press one of a VM's buttons; the operation's page renews itself, by what every browser does."""
    page.get_by_role("main").get_by_role("button", name=re.compile(button)).first.click()
    expect(page.locator("main a.primary, main .facts").first).to_be_visible(timeout=60_000)
    if "/operation/" in page.url:
        page.locator("main a.primary").click()


def status(page: Page) -> Any:
    """The status that a VM's page shows."""
    return expect(page.locator(".facts .status"))


def test_read_without_scripts_works(page: Page) -> None:
    """Each page says all that it has to say."""
    for path, heading in READ.items():
        page.goto(path)
        expect(page.get_by_role("heading", level=1)).to_have_text(heading)


def test_docs_without_scripts_say_what_they_need(page: Page) -> None:
    """And lead to what can be read all the same."""
    page.goto("/docs")
    expect(page.get_by_text("needs scripts")).to_be_visible()
    with page.expect_download() as loaded:
        page.get_by_role("link", name="schema").click()
    assert loaded.value.path().read_bytes().startswith(b"openapi: 3.1")


def test_operation_without_scripts_renews_itself_until_it_is_done(page: Page, site: Site) -> None:
    """By what every browser does with its head."""
    simulator: Any = site.simulators[ENVIRONMENT]
    (vm_id,) = simulator.seed(1, prefix="slow")
    simulator.ignore_shutdown(vm_id)
    page.goto(f"/vm/{vm_id}?environment={ENVIRONMENT}")
    page.locator("summary").first.click()
    page.get_by_role("button", name="Stop gracefully").click()
    page.wait_for_url("**/operation/*")
    expect(page.get_by_role("heading", level=1)).to_have_text("The cloud is at work")
    address = page.url
    with page.expect_request(address, timeout=PATIENCE_MS):
        pass
    expect(page.get_by_role("heading", level=1)).to_have_text("The cloud is at work")
    simulator.reset()


def test_buttons_without_scripts_do_what_they_say(page: Page, site: Site) -> None:
    """Create, stop with each mode, start, restart, refresh, delete, sign out: forms need no script."""
    page.get_by_role("link", name="Create a VM").click()
    page.fill("#name", "plain1")
    page.fill("#cloud_init", CLOUD_INIT)
    press(page, "^Create$")
    status(page).to_have_text("running")
    vm_id = page.url.partition("/vm/")[2].partition("?")[0]
    assert user_data(site.simulators[ENVIRONMENT], vm_id) == CLOUD_INIT.encode()
    for stop in ("^Stop plain1", "^Stop gracefully", "^Force stop"):
        if stop != "^Stop plain1":
            page.locator("summary").first.click()
        press(page, stop)
        status(page).to_have_text("stopped")
        press(page, "^Start plain1")
        status(page).to_have_text("running")
    press(page, "^Restart plain1")
    status(page).to_have_text("running")
    page.goto(f"/vm?environment={ENVIRONMENT}")
    page.get_by_role("link", name="Refresh").click()
    page.get_by_role("link", name="Delete plain1").click()
    page.get_by_role("button", name="Delete plain1").click()
    expect(page.get_by_role("heading", level=1)).to_have_text(
        re.compile("Delete: done|VMs of proxmox-sandbox"), timeout=60_000
    )
    page.goto(f"/vm?environment={ENVIRONMENT}")
    expect(page.get_by_role("link", name="plain1", exact=True)).to_have_count(0)
    page.get_by_role("button", name=f"Sign out of {ENVIRONMENT}").click()
    page.goto(f"/vm?environment={ENVIRONMENT}")
    expect(page.get_by_role("heading", level=1)).to_have_text("Sign in")
