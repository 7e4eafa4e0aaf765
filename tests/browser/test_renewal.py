"""What a page does by itself while something changes, and what it leaves alone; what is left after signing out."""

import re
import time
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Page, expect
from pytest_django import Settings

from providers.credentials import Credentials
from providers.sandbox.faults import Fault
from tests.browser.conftest import ACCESS_KEY, SECRET, Site, sign_in
from tests.support.sandbox import SERVER_KEY
from vms import cookies

pytestmark = pytest.mark.slow

ENVIRONMENT = "aws-sandbox"
LIST = f"/vm?environment={ENVIRONMENT}"


@pytest.fixture
def aws(site: Site) -> Iterator[Any]:
    """The simulated AWS, whose guests take no notice of a stop: they hang in `stopping` until they are forced."""
    simulator: Any = site.simulators[ENVIRONMENT]
    yield simulator
    simulator.reset()


def status_of(page: Page, name: str) -> Any:
    """The status that the list shows for a VM."""
    return expect(page.get_by_role("row").filter(has_text=name).locator(".status"))


def stop_slowly(page: Page, aws: Any) -> str:
    """A VM that is stopping, on the list that is open."""
    (vm_id, _) = aws.seed(2, prefix="web")
    aws.ignore_stop(vm_id)
    sign_in(page, ENVIRONMENT)
    status_of(page, "web-0001").to_have_text("running")
    page.get_by_role("row").filter(has_text="web-0001").get_by_role("button", name=re.compile("^Stop web")).click()
    page.wait_for_url("**/operation/*")
    page.goto(LIST)
    status_of(page, "web-0001").to_have_text("stopping")
    return str(vm_id)


def force(page: Page, vm_id: str, context: BrowserContext) -> None:
    """Stop a VM by force, as somebody else."""
    other = context.new_page()
    answer = other.request.post(
        f"/vm/{vm_id}/stop?environment={ENVIRONMENT}&mode=force",
        headers={"Authorization": "Bearer ZGVtb0BzYW5kYm94OmRlbW8=", "Accept": "application/json"},
    )
    assert answer.status == 204, answer.text()
    other.close()
    page.bring_to_front()


def test_list_renews_itself_until_nothing_changes_any_more(page: Page, context: BrowserContext, aws: Any) -> None:
    """Only the list: the page is not loaded anew, and the focus stays."""
    vm_id = stop_slowly(page, aws)
    expect(page.get_by_text("A VM is changing")).to_be_visible()
    page.evaluate("window.same = true")
    details = page.get_by_role("link", name="web-0002", exact=True)
    details.focus()
    force(page, vm_id, context)
    status_of(page, "web-0001").to_have_text("stopped")
    expect(details).to_be_focused()
    expect(page.get_by_role("button", name="Start web-0001")).to_be_visible()
    assert page.evaluate("window.same")
    expect(page.get_by_text("A VM is changing")).to_have_count(0)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.wait_for_timeout(4000)
    assert asked == []
    # A button that came with the new list works like any other.
    page.get_by_role("button", name="Start web-0001").click()
    page.wait_for_url(re.compile("/operation/|/vm/i-"))


def test_list_that_is_in_use_does_not_renew_itself(page: Page, context: BrowserContext, aws: Any) -> None:
    """While somebody types a filter or has a menu open; then it goes on."""
    vm_id = stop_slowly(page, aws)
    page.locator("#name").press_sequentially("web")
    force(page, vm_id, context)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.wait_for_timeout(4000)
    assert asked == []
    page.locator("h1").click()
    page.evaluate("document.activeElement.blur()")
    page.locator("summary").first.click()
    page.wait_for_timeout(4000)
    assert asked == []
    page.keyboard.press("Escape")
    expect(page.locator("details[open]")).to_have_count(0)
    status_of(page, "web-0001").to_have_text("stopped")
    assert page.input_value("#name") == "web"


def test_vm_renews_itself_while_it_changes(page: Page, context: BrowserContext, aws: Any) -> None:
    """Its buttons, too."""
    vm_id = stop_slowly(page, aws)
    page.goto(f"/vm/{vm_id}?environment={ENVIRONMENT}")
    expect(page.locator(".facts .status")).to_have_text("stopping")
    force(page, vm_id, context)
    expect(page.locator(".facts .status")).to_have_text("stopped")
    expect(page.get_by_role("button", name="Start web-0001")).to_be_visible()


def test_list_that_can_be_had_no_more_says_so_and_stops(page: Page, context: BrowserContext, aws: Any) -> None:
    """When the sign-in has ended meanwhile."""
    stop_slowly(page, aws)
    context.clear_cookies(name=re.compile("cloudvm-in-"))
    expect(page.get_by_text("not renewed any more")).to_be_visible()
    status_of(page, "web-0001").to_have_text("stopping")


def age_the_cookie(context: BrowserContext, site: Site, settings: Settings) -> None:
    """Let the browser's sign-in look as if it was made twenty minutes ago, so that its use renews it."""
    settings.SECRET_KEY = SERVER_KEY
    name = cookies.name_of(ENVIRONMENT, secure=False)
    value = cookies.seal(name, ENVIRONMENT, Credentials(ACCESS_KEY, SECRET), time.time() + 600)
    context.add_cookies([{"name": name, "value": value, "url": site.url, "httpOnly": True, "sameSite": "Strict"}])


def credentials_in(context: BrowserContext) -> list[str]:
    """The names of the browser's cookies that hold credentials."""
    return [name for cookie in context.cookies() if "cloudvm-in-" in (name := cookie.get("name", ""))]


def test_sign_out_while_a_look_is_on_its_way_wins(
    page: Page, context: BrowserContext, site: Site, aws: Any, settings: Settings
) -> None:
    """In another tab: the answer arrives afterwards, and brings no cookie back."""
    stop_slowly(page, aws)
    other = context.new_page()
    other.goto("/environment")
    age_the_cookie(context, site, settings)
    aws.faults.add(Fault(operation="DescribeInstances", delay_seconds=3.0))
    page.bring_to_front()
    with page.expect_response(lambda answer: LIST in answer.url and answer.request.resource_type == "fetch") as late:
        with page.expect_request(lambda request: LIST in request.url and request.resource_type == "fetch"):
            pass
        other.get_by_role("button", name=f"Sign out of {ENVIRONMENT}").click()
        expect(other.get_by_role("link", name=f"Sign in to {ENVIRONMENT}")).to_be_visible()
        assert not credentials_in(context)
    assert late.value.status == 200
    late.value.finished()
    assert not credentials_in(context)


def test_go_back_after_signing_out_shows_nothing(page: Page, context: BrowserContext, aws: Any) -> None:
    """The browser keeps no page of VMs."""
    stop_slowly(page, aws)
    page.get_by_role("button", name=f"Sign out of {ENVIRONMENT}").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Environments")
    assert not credentials_in(context)
    page.go_back()
    expect(page.get_by_role("heading", level=1)).to_have_text("Sign in")
    assert "web-0001" not in page.content()
