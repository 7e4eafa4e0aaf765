"""A person with a browser and an account: signs in, looks, acts, signs out; and what goes wrong on the way."""

import re
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests.browser.conftest import NAMES, Site, arrive, create, photograph, sign_in
from tests.support.guests import user_data

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

CLOUD_INIT = "#cloud-config\n\nwrite_files:\n- {path: /etc/motd, content: \"<b>é & 'quotes'</b>\"}\n"


def status(page: Page) -> Any:
    """The status that a VM's page shows."""
    return expect(page.locator(".facts .status"))


def press(page: Page, word: str) -> None:
    """Press one of a VM's buttons and wait for the end."""
    page.get_by_role("main").get_by_role("button", name=re.compile(f"^{word} ")).first.click()
    arrive(page)


@pytest.mark.parametrize("environment", NAMES)
def test_use_from_sign_in_to_sign_out(page: Page, site: Site, environment: str) -> None:
    """Create with cloud-init, which the guest gets byte for byte, see it run, stop, start, delete."""
    page.goto("/")
    page.get_by_role("link", name="Environments").first.click()
    page.get_by_role("link", name=f"Sign in to {environment}").click()
    sign_in(page, environment)
    expect(page.get_by_role("heading", level=1)).to_have_text(f"VMs of {environment}")
    create(page, environment, "web1", CLOUD_INIT)
    status(page).to_have_text("running")
    vm_id = page.url.partition("/vm/")[2].partition("?")[0]
    assert user_data(site.simulators[environment], vm_id) == CLOUD_INIT.encode()
    photograph(page, f"vm-{environment}")
    press(page, "Stop")
    status(page).to_have_text("stopped")
    press(page, "Start")
    status(page).to_have_text("running")
    page.get_by_role("link", name="Delete web1").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Delete the VM web1?")
    page.get_by_role("button", name="Delete web1").click()
    arrive(page)
    page.goto(f"/vm?environment={environment}")
    expect(page.get_by_role("heading", level=1)).to_have_text(f"VMs of {environment}")
    expect(page.get_by_role("link", name="web1")).to_have_count(0)
    page.get_by_role("button", name=f"Sign out of {environment}").click()
    page.goto(f"/vm?environment={environment}")
    expect(page.get_by_role("heading", level=1)).to_have_text("Sign in")


def test_sign_in_with_a_wrong_secret_is_told_and_can_be_mended(page: Page) -> None:
    """As the cloud told it; only the secret must be typed anew."""
    environment = NAMES[-1]
    sign_in(page, environment, "wrong")
    expect(page.get_by_role("alert")).to_contain_text("Credentials rejected")
    photograph(page, "signin-wrong")
    assert page.input_value("#access_key") == "demo@sandbox"
    assert page.input_value("#secret") == ""
    button = page.get_by_role("main").get_by_role("button", name="Sign in", exact=True)
    expect(button).to_be_enabled()
    page.fill("#secret", "wrong again")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("Credentials rejected")
    expect(button).to_be_enabled()
    page.fill("#secret", "demo")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text(f"VMs of {environment}")


def test_sign_in_page_says_what_the_chosen_cloud_calls_them(page: Page) -> None:
    """At once when another environment is chosen."""
    page.goto("/signin?environment=aws-sandbox")
    expect(page.locator("label[for=access_key]")).to_contain_text("Access key ID")
    page.select_option("#environment", "azure-sandbox")
    expect(page.locator("label[for=access_key]")).to_contain_text("Application (client) ID")
    expect(page.locator("#secret_help")).to_contain_text("not its id")


def test_create_when_the_sign_in_has_expired_loses_nothing_that_was_typed(page: Page, context: BrowserContext) -> None:
    """It comes back after signing in again, to the letter."""
    environment = "proxmox-sandbox"
    sign_in(page, environment)
    page.goto(f"/create?environment={environment}")
    page.fill("#name", "typed1")
    page.select_option("#machinetype", "medium-debian")
    page.fill("#cloud_init", CLOUD_INIT)
    page.fill("#tags", "team=web\nnote=a=b")
    page.uncheck("#start")
    context.clear_cookies(name=re.compile("cloudvm-in-"))
    page.get_by_role("button", name="Create", exact=True).click()
    expect(page.get_by_role("status")).to_contain_text("what you typed comes back")
    photograph(page, "signin-expired")
    sign_in(page, environment)
    assert page.input_value("#name") == "typed1"
    assert page.input_value("#machinetype") == "medium-debian"
    assert page.input_value("#cloud_init") == CLOUD_INIT
    assert page.input_value("#tags") == "team=web\nnote=a=b"
    assert not page.is_checked("#start")
    page.get_by_role("button", name="Create", exact=True).click()
    arrive(page)
    status(page).to_have_text("stopped")
    page.goto(page.url.replace("?", "/delete?"))
    page.get_by_role("button", name="Delete typed1").click()
    arrive(page)


def test_use_of_two_environments_at_once_keeps_them_apart(page: Page, context: BrowserContext) -> None:
    """Side by side in two tabs; signing out of one leaves the other."""
    first, second = NAMES[0], NAMES[-1]
    sign_in(page, first)
    other = context.new_page()
    sign_in(other, second)
    expect(other.get_by_role("list", name="Signed in").get_by_role("listitem")).to_have_count(2)
    names = {cookie.get("name", "") for cookie in context.cookies() if "cloudvm-in-" in cookie.get("name", "")}
    assert len(names) == 2
    page.reload()
    page.get_by_role("button", name=f"Sign out of {first}").click()
    page.goto(f"/vm?environment={first}")
    expect(page.get_by_role("heading", level=1)).to_have_text("Sign in")
    other.reload()
    expect(other.get_by_role("heading", level=1)).to_have_text(f"VMs of {second}")


def test_cookie_is_out_of_the_reach_of_scripts(page: Page, context: BrowserContext) -> None:
    """And of other sites, and readable by nobody."""
    sign_in(page, NAMES[0])
    expect(page.get_by_role("heading", level=1)).to_have_text(f"VMs of {NAMES[0]}")
    assert "cloudvm" not in page.evaluate("document.cookie")
    for cookie in context.cookies():
        assert cookie.get("httpOnly")
        assert cookie.get("sameSite") == ("Lax" if "csrf" in cookie.get("name", "") else "Strict")
        assert "demo" not in cookie.get("value", "")


def test_vm_with_markup_for_a_name_does_no_harm(page: Page, site: Site) -> None:
    """It is a text like any other, on every page; the fixture fails for a dialog or a broken policy."""
    simulator: Any = site.simulators["proxmox-sandbox"]
    (vm_id,) = simulator.seed(1, prefix="<script>alert(1)</script><img src=x onerror=alert(2)>")
    sign_in(page, "proxmox-sandbox")
    for path in ("/vm", f"/vm/{vm_id}", f"/vm/{vm_id}/delete"):
        page.goto(f"{path}?environment=proxmox-sandbox")
        expect(page.get_by_role("main")).to_contain_text("<script>alert(1)</script><img src=x onerror=alert(2)>-0001")
        assert page.locator("main script, main img").count() == 0
    photograph(page, "markup")
    page.get_by_role("button", name=re.compile("^Delete")).click()
    arrive(page)


def test_use_by_the_keyboard_alone(page: Page) -> None:
    """The first stop leads past the navigation; a menu opens by the space bar; a form goes off by Enter."""
    page.goto("/signin?environment=proxmox-sandbox")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    expect(page.locator("#environment")).to_be_focused()
    page.keyboard.press("Tab")
    page.keyboard.type("demo@sandbox")
    page.keyboard.press("Tab")
    page.keyboard.type("demo")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("VMs of proxmox-sandbox")
