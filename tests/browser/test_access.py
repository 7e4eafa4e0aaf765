"""What keeps people out: axe looks at every page, in light and dark, on a screen and on a phone."""

from importlib.resources import files
from typing import Any, Literal

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import Site, create, photograph, sign_in

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

AXE = files("axe_playwright_python").joinpath("axe.min.js").read_text()
ENVIRONMENT = "proxmox-sandbox"
PUBLIC = {
    "landing": "/",
    "environments": "/environment",
    "environment": f"/environment/{ENVIRONMENT}",
    "machinetypes": "/machinetype",
    "errors": "/problems",
    "error": "/problems/conflict",
    "signin": f"/signin?environment={ENVIRONMENT}",
    "not-found": "/nothing",
    "wrong": "/vm?environment=nowhere&colour=red",
    "expired": f"/vm?environment={ENVIRONMENT}",
}
PRIVATE = {
    "list": f"/vm?environment={ENVIRONMENT}",
    "filtered": f"/vm?environment={ENVIRONMENT}&status=error",
    "create": f"/create?environment={ENVIRONMENT}",
    "problem": f"/vm/999999999?environment={ENVIRONMENT}",
}


def look(page: Page, name: str) -> list[str]:
    """Photograph the page; what axe finds serious on it, and whether it is too wide."""
    photograph(page, name)
    page.evaluate(AXE)
    found: list[dict[str, Any]] = page.evaluate("axe.run().then(result => result.violations)")
    serious = [
        f"{name}: {each['id']}: {node['html']}: {node['failureSummary']}"
        for each in found
        if each["impact"] in {"serious", "critical"}
        for node in each["nodes"]
    ]
    too_wide = page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth")
    return [*serious, *([f"{name}: wider than the screen"] if too_wide else [])]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 360])
def test_pages_have_no_serious_violation(
    chromium: Browser, site: Site, *, scheme: Literal["light", "dark"], width: int
) -> None:
    """Nor does any of them scroll sideways."""
    context = chromium.new_context(
        base_url=site.url, viewport={"width": width, "height": 800}, color_scheme=scheme, reduced_motion="reduce"
    )
    page = context.new_page()
    faults: list[str] = []

    def visit(name: str, path: str = "") -> None:
        if path:
            page.goto(path)
        faults.extend(look(page, f"{name}-{width}-{scheme}"))

    for name, path in PUBLIC.items():
        visit(name, path)
    if scheme == "light":
        # Swagger UI has no other.
        page.goto("/docs")
        page.get_by_role("button", name="Authorize").first.wait_for()
        page.locator("div[id$='-vm_stop_create'] .opblock-summary-control").click()
        page.get_by_role("button", name="Try it out").wait_for()
        visit("docs-open")
    # A key of its own: what is wrong makes the others wait.
    sign_in(page, ENVIRONMENT, "wrong", f"{scheme}{width}@sandbox")
    visit("signin-wrong")
    expect(page.get_by_role("main").get_by_role("button", name="Sign in", exact=True)).to_be_enabled()
    sign_in(page, ENVIRONMENT)
    page.wait_for_url("**/vm?*")
    visit("empty")
    simulator: Any = site.simulators[ENVIRONMENT]
    (deaf,) = simulator.seed(1, prefix="deaf")
    simulator.seed(1, prefix="off", state="stopped")
    simulator.seed(1, prefix="a-name-as-long-as-names-may-be-" + "x" * 27)
    create(page, ENVIRONMENT, "web1")
    visit("vm")
    page.goto(page.url.replace("?", "/delete?"))
    visit("delete")
    for name, path in PRIVATE.items():
        visit(name, path)
    page.goto(PRIVATE["list"])
    page.locator("summary").first.click()
    visit("menu")
    page.goto(PRIVATE["create"])
    page.fill("#name", "web2")
    page.fill("#tags", "nonsense")
    page.get_by_role("button", name="Create", exact=True).click()
    visit("create-wrong")
    simulator.ignore_shutdown(deaf)
    page.goto(f"/vm/{deaf}?environment={ENVIRONMENT}")
    page.get_by_role("button", name="Stop", exact=False).first.click()
    page.wait_for_url("**/operation/*")
    visit("operation")
    context.close()
    simulator.reset()
    assert faults == []


LINES = """selector => [...document.querySelectorAll(selector)].map(each => {
  const range = document.createRange();
  range.selectNodeContents(each.firstChild);
  return range.getClientRects().length;
})"""


@pytest.mark.parametrize("width", [360, 820, 1280])
def test_menus_open_within_the_screen_and_words_stay_whole(page: Page, site: Site, width: int) -> None:
    """Of a list and of a VM, whichever button is the outermost."""
    simulator: Any = site.simulators[ENVIRONMENT]
    simulator.reset()
    (vm_id,) = simulator.seed(1)
    page.set_viewport_size({"width": width, "height": 800})
    sign_in(page, ENVIRONMENT)
    page.wait_for_url("**/vm?*")
    assert set(page.evaluate(LINES, "td[data-label=Name] a, .status")) == {1}
    for path in (f"/vm?environment={ENVIRONMENT}", f"/vm/{vm_id}?environment={ENVIRONMENT}"):
        page.goto(path)
        for summary in page.locator(".modes summary").all():
            summary.click()
            box = page.locator(".modes details[open] .menu").bounding_box()
            assert box is not None
            assert 0 <= box["x"] < box["x"] + box["width"] <= width
    simulator.reset()


def test_short_words_in_a_table_stay_whole(page: Page) -> None:
    """Beside long lists of machine types, too, on the narrowest screen that has room for a table."""
    page.set_viewport_size({"width": 965, "height": 800})
    page.goto("/environment")
    assert set(page.evaluate(LINES, "td[data-label=Cloud], td[data-label=Region], td > .button")) == {1}
