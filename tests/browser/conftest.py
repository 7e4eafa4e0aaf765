"""The sandbox's clouds, the server as it runs in production, and a real Chromium in front of them."""

import json
import os
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, BrowserType, Dialog, Page, expect, sync_playwright

from providers.sandbox.__main__ import SIMULATORS
from providers.sandbox.authority import Authority
from providers.sandbox.simulator import Simulator
from tests.support.sandbox import ROOT, free_port, serving

# The one without a window takes half the CPU time.
CHROMIUM = next(filter(Path.exists, (Path("/usr/bin/chromium-headless-shell"),)), Path("/usr/bin/chromium"))
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
SCREENSHOTS = ROOT / "artefacts" / "screenshots"
FIXTURES = ROOT / "fixtures" / "sandbox"
ENVIRONMENTS: list[dict[str, Any]] = json.loads((FIXTURES / "environments.json").read_text())
NAMES = [environment["name"] for environment in ENVIRONMENTS]
# A busy machine takes its time; what is wrong stays wrong that long.
PATIENCE_MS = 20_000
expect.set_options(timeout=PATIENCE_MS)
ACCESS_KEY, SECRET = "demo@sandbox", "demo"


@dataclass(frozen=True)
class Site:
    """The running service, and the clouds behind it by the names of their environments."""

    port: int
    simulators: dict[str, Simulator]

    @property
    def url(self) -> str:
        """Its address on loopback."""
        return f"http://127.0.0.1:{self.port}"


@pytest.fixture(scope="session")
def chromium_type() -> Iterator[BrowserType]:
    """What starts a Chromium, where there is one."""
    if not CHROMIUM.exists():
        if os.environ.get("CLOUDVM_REQUIRE_CHROMIUM"):
            pytest.fail(f"CLOUDVM_REQUIRE_CHROMIUM is set, and there is no {CHROMIUM}.")
        pytest.skip(f"There is no {CHROMIUM}; install Debian's package `chromium-headless-shell` or `chromium`.")
    with sync_playwright() as playwright:
        yield playwright.chromium


@pytest.fixture(scope="session")
def chromium(chromium_type: BrowserType) -> Iterator[Browser]:
    """A Chromium with a profile of its own; its contexts share nothing."""
    browser = chromium_type.launch(executable_path=CHROMIUM, args=ARGUMENTS)
    yield browser
    browser.close()


@pytest.fixture(scope="session")
def site(chromium: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The service on every simulated cloud of the sandbox."""
    folder = tmp_path_factory.mktemp("site")
    with ExitStack() as stack:
        authority = Authority(folder / "ca.pem")
        simulators = {name: stack.enter_context(SIMULATORS[name](authority)) for name in NAMES}
        placed = [
            {**each, "url": simulators[each["name"]].url, "ca_file": str(authority.ca_file)} for each in ENVIRONMENTS
        ]
        (folder / "environments.json").write_text(json.dumps(placed))
        port = free_port()
        stack.enter_context(
            serving(
                port,
                CLOUDVM_ENVIRONMENTS_FILE=str(folder / "environments.json"),
                CLOUDVM_MACHINETYPES_FILE=str(FIXTURES / "machinetypes.json"),
                CLOUDVM_LOG_LEVEL="WARNING",
                NO_PROXY="127.0.0.1",
                no_proxy="127.0.0.1",
            )
        )
        yield Site(port, simulators)


@pytest.fixture
def context(chromium: Browser, site: Site) -> Iterator[BrowserContext]:
    """A browser that has never been here."""
    context = chromium.new_context(base_url=site.url, viewport={"width": 1280, "height": 800}, color_scheme="light")
    context.set_default_timeout(PATIENCE_MS)
    yield context
    context.close()


@pytest.fixture
def page(context: BrowserContext) -> Iterator[Page]:
    """A tab in it, in which no page of ours may break its own policy or fail in a script."""
    page = context.new_page()
    faults: list[str] = []

    def refuse(dialog: Dialog) -> None:
        faults.append(dialog.message)
        dialog.dismiss()

    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("console", lambda message: faults.append(message.text) if "Content Security" in message.text else None)
    page.on("dialog", refuse)
    yield page
    assert faults == []


def photograph(page: Page, name: str) -> None:
    """Keep a picture of the whole page, where CLOUDVM_PICTURES is set."""
    if not os.environ.get("CLOUDVM_PICTURES"):
        return
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SCREENSHOTS / f"{name}.png", full_page=True)


def sign_in(page: Page, environment: str, secret: str = SECRET, access_key: str = ACCESS_KEY) -> None:
    """Fill in the sign-in form that is open, or open it."""
    if page.locator("#access_key").count() == 0:
        page.goto(f"/signin?environment={environment}")
    page.select_option("#environment", environment)
    page.fill("#access_key", access_key)
    page.fill("#secret", secret)
    page.get_by_role("main").get_by_role("button", name="Sign in", exact=True).click()


def create(page: Page, environment: str, name: str, cloud_init: str = "#cloud-config\npackages: [nginx]\n") -> None:
    """Make a VM by the form and wait until it is there; of the machine type for this environment's kind of cloud."""
    page.goto(f"/create?environment={environment}")
    own = f"{environment.removesuffix('-sandbox')}-debian"
    if page.locator(f"#machinetype option[value={own}]").count():
        page.select_option("#machinetype", own)
    page.fill("#name", name)
    page.fill("#cloud_init", cloud_init)
    page.get_by_role("button", name="Create", exact=True).click()
    arrive(page)


def arrive(page: Page) -> None:
    """Wait until the work that a page shows is done, which that page finds out by itself, and go on to its VM."""
    page.wait_for_function("!document.querySelector('[data-poll]')", timeout=60_000)
    onward = page.locator("main a.primary")
    if "/operation/" in page.url and onward.count():
        onward.click()
