"""The sign-in cookie: what is in it nobody can read, change, move or keep."""

import time

import pytest
from django.http import HttpRequest, HttpResponse
from pytest_django import Settings

from providers.credentials import Credentials
from vms import cookies

KEY = Credentials("demo@sandbox", "canary-s3cr3t:with a colon ✓")
NAME = cookies.name_of("main", secure=True)


def later(seconds: float = 1000.0) -> float:
    """A time to come."""
    return time.time() + seconds


def test_unseal_what_was_sealed_gives_the_credentials() -> None:
    """Whatever letters they have."""
    expires = later()
    found = cookies.unseal(NAME, "main", cookies.seal(NAME, "main", KEY, expires, since=7.5))
    assert found == cookies.SignedIn(KEY.access_key, KEY.secret, "main", expires, 7.5)
    assert "canary" not in repr(found)


def test_seal_twice_differs_and_shows_nothing() -> None:
    """Encrypted, and not alike for the same secret."""
    first, second = (cookies.seal(NAME, "main", KEY, 2e9) for _ in range(2))
    assert first != second
    assert all(byte.isalnum() or byte in "._-" for byte in first)
    assert "canary" not in first


def test_unseal_a_changed_cookie_gives_nothing() -> None:
    """Whichever letter was changed."""
    sealed = cookies.seal(NAME, "main", KEY, later())
    for place in range(len(sealed)):
        changed = sealed[:place] + ("A" if sealed[place] != "A" else "B") + sealed[place + 1 :]
        found = cookies.unseal(NAME, "main", changed)
        # The last letter of base64 has bits that mean nothing.
        assert found is None or place == len(sealed) - 1


@pytest.mark.parametrize("value", ["", "2.", "1.AAAA", "2.AAAA", "2.é", "2.!!!!", "x" * 4000, "2." + "A" * 100])
def test_unseal_what_is_no_cookie_of_ours_gives_nothing(value: str) -> None:
    """And fails with nothing."""
    assert cookies.unseal(NAME, "main", value) is None


@pytest.mark.parametrize(
    ("name", "environment"),
    [
        (NAME, "other"),
        (cookies.name_of("other", secure=True), "other"),
        (cookies.name_of("main", secure=False), "main"),
    ],
)
def test_unseal_under_another_name_or_environment_gives_nothing(name: str, environment: str) -> None:
    """A cookie that is copied to another name sends no credentials where they were not meant to go."""
    assert cookies.unseal(name, environment, cookies.seal(NAME, "main", KEY, later())) is None


@pytest.mark.parametrize("expires", [-1.0, 0.0, cookies.IDLE_SECONDS + 60.0])
def test_unseal_an_expired_cookie_gives_nothing(expires: float) -> None:
    """The time stands inside; nor does one count that would live too long."""
    assert cookies.unseal(NAME, "main", cookies.seal(NAME, "main", KEY, later(expires))) is None


def test_unseal_with_another_key_of_the_server_gives_nothing(settings: Settings) -> None:
    """Who changes the server's key signs everybody out."""
    sealed = cookies.seal(NAME, "main", KEY, later())
    settings.SECRET_KEY = "another key of a server"
    assert cookies.unseal(NAME, "main", sealed) is None


def asked(*, secure: bool, **brought: str) -> HttpRequest:
    """A request that brings cookies."""
    request = HttpRequest()
    request.META["wsgi.url_scheme"] = "https" if secure else "http"
    request._get_scheme = lambda: "https" if secure else "http"  # type: ignore[attr-defined]
    request.COOKIES = brought
    return request


@pytest.mark.parametrize("secure", [True, False])
def test_put_sets_a_cookie_that_no_script_and_no_other_site_gets(*, secure: bool) -> None:
    """Over https bound to this host; by plain http (this machine only) without what needs https."""
    response = HttpResponse()
    cookies.put(response, asked(secure=secure), "main", KEY)
    ((name, morsel),) = response.cookies.items()
    assert name.startswith("__Host-") is secure
    assert bool(morsel["secure"]) is secure
    assert (morsel["path"], morsel["domain"], morsel["samesite"]) == ("/", "", "Strict")
    assert morsel["httponly"]
    assert morsel["max-age"] == cookies.IDLE_SECONDS


def test_cookie_lives_for_half_an_hour() -> None:
    """For the browser, and for the server whatever the browser keeps."""
    response = HttpResponse()
    before = time.time()
    cookies.put(response, asked(secure=True), "main", KEY)
    ((name, morsel),) = response.cookies.items()
    found = cookies.unseal(name, "main", morsel.value)
    assert found is not None
    assert morsel["max-age"] == 1800
    assert before + 1799 <= found.expires <= time.time() + 1800


def test_put_credentials_that_no_browser_would_keep_is_refused() -> None:
    """4 KiB is what browsers keep of a cookie; an AWS session token of 1.5 KiB fits."""
    response = HttpResponse()
    cookies.put(response, asked(secure=True), "main", Credentials("k", "s" * 1500))
    with pytest.raises(cookies.CookieTooLargeError):
        cookies.put(response, asked(secure=True), "other", Credentials("k", "s" * 4000))
    assert len(response.cookies) == 1


def test_put_more_cookies_than_a_request_may_bring_is_refused() -> None:
    """The header would be refused, and with it every page."""
    brought = {cookies.name_of(str(number), secure=True): "x" * 3000 for number in range(2)}
    with pytest.raises(cookies.CookieTooLargeError, match="sign out"):
        cookies.put(HttpResponse(), asked(secure=True, **brought), "main", Credentials("k", "s" * 1500))
