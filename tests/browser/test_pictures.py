"""The pictures in the README: they are there, small, and made of the pages as they are.

They are taken anew, and otherwise only kept as artefacts, where CLOUDVM_PICTURES is set.
"""

import os
import re
import struct
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import SCREENSHOTS, Site, sign_in
from tests.support.sandbox import ROOT

pytestmark = pytest.mark.slow

PICTURES = ROOT / "tests" / "browser" / "screenshots"
SHOWN = re.compile(r"!\[([^\]]+)\]\((tests/browser/screenshots/[^)]+\.png)\)")
WIDTH, HEIGHT = 1280, 640
LARGEST_BYTES = 150_000
ENVIRONMENT = "aws-sandbox"
CLOUD_INIT = """#cloud-config
packages:
- nginx
runcmd:
- [systemctl, enable, --now, nginx]
"""


def test_readme_shows_every_picture_and_each_is_there() -> None:
    """Described in words, as wide as a page and no larger than it needs to be."""
    shown = SHOWN.findall((ROOT / "README.md").read_text())
    assert {path for _, path in shown} == {str(each.relative_to(ROOT)) for each in PICTURES.glob("*")}
    assert len(shown) == 2
    for words, path in shown:
        picture = (ROOT / path).read_bytes()
        assert picture.startswith(b"\x89PNG\r\n\x1a\n")
        assert struct.unpack(">I", picture[16:20]) == (WIDTH,)
        assert len(picture) < LARGEST_BYTES
        assert len(words) > 20


def take(page: Page, name: str) -> None:
    """Take a picture, for the README if that is wished."""
    folder = PICTURES if os.environ.get("CLOUDVM_PICTURES") else SCREENSHOTS
    folder.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=folder / f"{name}.png", animations="disabled", caret="hide")
    assert (folder / f"{name}.png").stat().st_size < LARGEST_BYTES


def test_take_the_pictures_of_a_list_and_of_the_create_form(page: Page, site: Site) -> None:
    """Several VMs in various statuses; a form that is filled in."""
    aws: Any = site.simulators[ENVIRONMENT]
    (stopping, _, _) = aws.seed(3, prefix="web")
    aws.seed(2, prefix="db", state="stopped")
    aws.ignore_stop(stopping)
    page.set_viewport_size({"width": WIDTH, "height": HEIGHT})
    sign_in(page, ENVIRONMENT)
    page.get_by_role("button", name=re.compile("^Stop web-0001")).first.click()
    page.wait_for_url("**/operation/*")
    page.goto(f"/vm?environment={ENVIRONMENT}")
    for status, count in (("running", 2), ("stopped", 2), ("stopping", 1)):
        expect(page.locator(f".status-{status}")).to_have_count(count)
    take(page, "list")
    page.goto(f"/create?environment={ENVIRONMENT}")
    page.fill("#name", "web4")
    page.fill("#cloud_init", CLOUD_INIT)
    page.fill("#tags", "team=web")
    page.locator("#tags").evaluate("area => area.blur()")
    page.set_viewport_size({"width": WIDTH, "height": 1000})
    take(page, "create")
    aws.reset()
