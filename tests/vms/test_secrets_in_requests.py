"""A caller's secret in a place where it does not belong is neither answered nor logged."""

import base64

import pytest

from tests.support.api import Answer, Api, bearer
from tests.support.browser import Browser
from tests.support.log_lines import Lines

SECRET = "vK2mqX7w-pL9z.rT4y"
PART_CHARS = 8
PARTS = {SECRET[at : at + PART_CHARS] for at in range(len(SECRET) - PART_CHARS + 1)}
TOKEN = base64.b64encode(f"key:{SECRET}".encode()).decode()
AUTHORIZATIONS = {
    "bearer": bearer("key", SECRET),
    "basic": f"Basic {TOKEN}",
    "no scheme": TOKEN,
    "twice": f"Bearer {TOKEN}, Bearer {TOKEN}",
    "plain": f"Bearer {SECRET}",
    "no padding": f"Bearer {TOKEN.rstrip('=')}",
}
# The cuts are at 80 and 200 characters.
PADDINGS = (0, 66, 72, 190)


def leaks(text: str) -> bool:
    """Whether a part of the secret is in a text."""
    return any(part in text for part in PARTS)


def told(answer: Answer) -> str:
    """All of an answer."""
    return answer.body.decode() + repr(answer.headers)


@pytest.mark.parametrize("authorization", AUTHORIZATIONS.values(), ids=AUTHORIZATIONS.keys())
def test_secret_in_a_path_or_header_is_masked_before_routing(api: Api, lines: Lines, authorization: str) -> None:
    """Also where nobody asks for credentials, and where they are malformed."""
    for path in (f"/nothing/{SECRET}", f"/{SECRET}/", f"/environment/{SECRET}", f"/problems/{SECRET}", f"/vm/{SECRET}"):
        answer = api.call("GET", path, headers={"Authorization": authorization, "X-Request-ID": SECRET})
        assert answer.status >= 400
        assert not leaks(told(answer)), path
    assert lines.lines
    assert not [line for line in lines.lines if leaks(line)]


@pytest.mark.parametrize("padding", PADDINGS)
def test_secret_in_a_query_or_body_is_masked_wherever_it_is_cut(api: Api, lines: Lines, padding: int) -> None:
    """Names are shown up to a length."""
    long = "x" * padding + SECRET
    caller = api.as_caller("key", SECRET)
    answers = [
        caller.within(long).list(),
        caller.list(**{long: "1"}),
        caller.list(status=long),
        caller.call("GET", f"/environment/{long}"),
        caller.call("GET", f"/machinetype/{long}"),
        caller.create(machinetype=long),
        caller.create(long),
        caller.call("POST", "/vm", {"name": "test1", long: 1}),
        caller.create(tags={long: 1}),
        caller.call("POST", "/vm", f'{{"{long}": 1, "{long}": 2}}'.encode()),
    ]
    assert all(answer.status >= 400 for answer in answers)
    assert not [answer for answer in answers if leaks(told(answer))]
    assert not [line for line in lines.lines if leaks(line)]


@pytest.mark.usefixtures("cloud")
def test_secret_in_the_wrong_field_of_the_sign_in_form_is_masked(lines: Lines) -> None:
    """The environment is told when there is none of that name."""
    page = Browser().sign_in(SECRET, "key", SECRET)
    assert page.status == 400
    assert "There is no environment" in page.text
    assert not [line for line in lines.lines if leaks(line)]


@pytest.mark.usefixtures("cloud")
def test_sign_in_cookie_is_masked_before_routing(browser: Browser, lines: Lines) -> None:
    """For half an hour it grants the same access as the credentials."""
    browser.client.cookies["cloudvm-in-0123456789abcdef"] = f"2.{SECRET}"
    page = browser.go(f"/nothing/2.{SECRET}", Accept="application/json")
    assert page.status == 404
    assert not leaks(page.text)
    assert not [line for line in lines.lines if leaks(line)]
