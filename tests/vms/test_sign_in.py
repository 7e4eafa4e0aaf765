"""Signing in and out in a browser, and what a cookie is good for: nothing that a page of ours did not ask for."""

import re
import time

import pytest

from providers.catalogue import CLOUDS
from providers.credentials import Credentials
from tests.conformance.harness import Trouble
from tests.conformance.proxmox import ProxmoxHarness
from tests.support.api import Api
from tests.support.browser import Browser
from vms import cookies

VMS = "/vm?environment=main"


def test_sign_in_with_the_right_secret_leads_to_the_list_and_leaves_it_in_the_cookie_alone(
    browser: Browser, cloud: ProxmoxHarness
) -> None:
    """One cookie, of this environment; nothing readable in it."""
    cloud.forget_operations()
    assert browser.sign_in("main", cloud.access_key, cloud.secret).leads_to == VMS
    assert "GET /nodes/{node}/qemu" in cloud.operations()
    ((name, morsel),) = browser.cookies().items()
    assert name == cookies.name_of("main", secure=True)
    assert (morsel["samesite"], morsel["httponly"], morsel["secure"]) == ("Strict", True, True)
    page = browser.go(VMS)
    assert page.status == 200
    assert page.headers["Content-Type"] == "text/html; charset=utf-8"
    assert page.headers["Cache-Control"] == "no-store"
    assert "style-src 'self'" in page.headers["Content-Security-Policy"]
    assert "unsafe" not in page.headers["Content-Security-Policy"]


@pytest.mark.parametrize(
    "next_", ["/environment", "/vm/100?environment=main", "//evil.example", "https://evil.example"]
)
def test_sign_in_leads_on_within_this_server_only(browser: Browser, cloud: ProxmoxHarness, next_: str) -> None:
    """Whatever the link to the sign-in page said."""
    led = browser.sign_in("main", cloud.access_key, cloud.secret, next=next_).leads_to
    assert led == (next_ if "evil" not in next_ else VMS)


@pytest.mark.parametrize("next_", ["/vm?environment=other", "/vm/100?x=1&environment=other&environment=none"])
def test_sign_in_to_another_environment_than_the_pages_leads_to_its_list(
    browser: Browser, cloud: ProxmoxHarness, next_: str
) -> None:
    """The page would only ask to sign in once more."""
    assert browser.sign_in("main", cloud.access_key, cloud.secret, next=next_).leads_to == VMS


@pytest.mark.parametrize("path", ["/vm?environment=none", "/vm", "/vm/100", "/create?environment=none"])
def test_page_of_no_environment_that_is_there_leads_nowhere_after_the_sign_in(browser: Browser, path: str) -> None:
    """Back there, it would ask to sign in again and again; an environment that is not there is told."""
    page = browser.go(path)
    if page.status == 401:
        assert page.hidden()["next"] == ""
        assert ("There is no environment <code>none</code> here" in page.text) is ("none" in path)
    else:
        assert "There is no environment &#x27;none&#x27;" in page.text


def test_sign_in_with_a_wrong_secret_tells_it_as_the_cloud_did(browser: Browser, cloud: ProxmoxHarness) -> None:
    """The form comes back with the key and without the secret; no cookie."""
    page = browser.sign_in("main", cloud.access_key, "wrong-canary")
    assert page.status == 401
    assert "Credentials rejected" in page.text
    assert "/problems/credentials_rejected" in page.text
    assert cloud.access_key in page.text
    assert "wrong-canary" not in page.text + repr(page.headers)
    assert not browser.cookies()


def test_sign_in_with_the_same_wrong_secret_again_is_refused_from_memory(
    browser: Browser, cloud: ProxmoxHarness
) -> None:
    """The cloud might lock the account. The page says when it is asked again."""
    page = browser.sign_in("main", cloud.access_key, "wrong")
    assert (page.status, page.headers["Retry-After"]) == (401, "5")
    assert "not asked about these credentials again for 5 seconds" in page.text
    cloud.forget_operations()
    page = browser.sign_in("main", cloud.access_key, "wrong")
    assert page.status == 401
    assert "It was not asked again" in page.text
    assert 1 <= int(page.headers["Retry-After"]) <= 5
    assert cloud.operations() == []


def test_sign_in_with_the_right_secret_works_at_once_after_wrong_ones(browser: Browser, cloud: ProxmoxHarness) -> None:
    """Somebody who has mistyped it; once accepted, it works amid any number of wrong ones."""
    for secret in ("wrong", "wrong-again"):
        assert browser.sign_in("main", cloud.access_key, secret).status == 401
    assert browser.sign_in("main", cloud.access_key, cloud.secret).status == 303
    for number in range(4):
        browser.sign_in("main", cloud.access_key, f"guess-{number}")
        assert browser.sign_in("main", cloud.access_key, cloud.secret).status == 303


def test_sign_in_with_many_wrong_secrets_asks_the_cloud_three_times(browser: Browser, cloud: ProxmoxHarness) -> None:
    """Tries by token count as well. Another access key need not wait, another environment of this cloud must."""
    assert Api("main", None).as_caller(cloud.access_key, "wrong-0").list().status == 401
    pages = [browser.sign_in("main", cloud.access_key, f"wrong-{number}") for number in range(1, 20)]
    assert [page.status for page in pages] == [401] * 2 + [429] * 17
    assert cloud.rejected_log_ins() == 3
    assert "might lock the account" in pages[-1].text
    assert 1 <= int(pages[-1].headers["Retry-After"]) <= 300
    assert cloud.access_key in pages[-1].text
    assert browser.sign_in("main", "somebody@sandbox", "wrong").status == 401
    assert browser.sign_in("other", cloud.access_key, cloud.secret).status == 429


def test_sign_in_of_whom_the_cloud_knows_and_refuses_does_not_count(browser: Browser, cloud: ProxmoxHarness) -> None:
    """The secret was right; the form comes back with the cloud's words."""
    cloud.trouble(Trouble.PERMISSION_DENIED, cloud.verb_operations["list"])
    for _ in range(4):
        page = browser.sign_in("main", cloud.access_key, cloud.secret)
        assert page.status == 403
        assert "Permission denied" in page.text
        assert cloud.access_key in page.text
    assert not browser.cookies()


def test_sign_in_with_a_page_that_is_too_old_keeps_the_key_and_not_the_secret(
    browser: Browser, cloud: ProxmoxHarness
) -> None:
    """Where the browser says that the page was ours; the form that waits for the sign-in stays, too."""
    fields = {"environment": "main", "access_key": cloud.access_key, "secret": "canary-1", "name": "web7"}
    page = browser.post("/signin", fields, Origin=browser.origin)
    assert page.status == 403
    assert "too old" in page.text
    assert f'value="{cloud.access_key}"' in page.text
    assert page.hidden()["name"] == "web7"
    assert "canary-1" not in page.text
    page = browser.post("/signin", {**page.hidden(), **fields, "secret": cloud.secret}, Origin=browser.origin)
    assert page.status == 200
    assert browser.cookies()


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"environment": "nowhere", "access_key": "k", "secret": "secret"}, "environment_not_found"),
        ({"environment": "main", "access_key": "", "secret": "secret"}, "credentials_malformed"),
        ({"environment": "main", "access_key": "k", "secret": ""}, "credentials_malformed"),
        ({"environment": "main", "access_key": "k:k", "secret": "secret"}, "credentials_malformed"),
        ({"environment": "main", "access_key": "k", "secret": "se\ncret"}, "credentials_malformed"),
    ],
)
def test_sign_in_with_what_no_cloud_could_take_asks_none(
    browser: Browser, cloud: ProxmoxHarness, fields: dict[str, str], code: str
) -> None:
    """It is told on the same page."""
    cloud.forget_operations()
    page = browser.send("/signin", fields)
    assert page.status in {400, 401}
    assert f"/problems/{code}" in page.text
    assert cloud.operations() == []


def test_sign_in_without_the_csrf_token_is_refused(browser: Browser, cloud: ProxmoxHarness) -> None:
    """Nobody is signed in to another's account by another site."""
    fields = {"environment": "main", "access_key": cloud.access_key, "secret": cloud.secret}
    browser.token()
    cloud.forget_operations()
    for headers in ({"Origin": browser.origin}, {"Origin": "https://evil.example", "Sec_Fetch_Site": "cross-site"}):
        page = browser.post("/signin", fields, **headers)
        assert page.status == 403
        assert ("/problems/cross_site" in page.text) is ("evil" in headers["Origin"])
        assert (cloud.access_key in page.text) is ("evil" not in headers["Origin"])
    assert not browser.cookies()
    assert cloud.operations() == []


@pytest.mark.parametrize(("host", "status"), [("testserver", 403), ("localhost", 303), ("127.0.0.1:8080", 303)])
def test_sign_in_over_plain_http_works_on_the_same_machine_only(cloud: ProxmoxHarness, host: str, status: int) -> None:
    """Elsewhere the secret could be read on its way."""
    page = Browser(secure=False, host=host).sign_in("main", cloud.access_key, cloud.secret)
    assert page.status == status
    if status == 403:
        assert "/problems/tls_required" in page.text


def test_show_the_sign_in_page_says_what_each_cloud_calls_them(browser: Browser) -> None:
    """Of the clouds that are configured, from the clouds' own facts."""
    page = browser.go("/signin?environment=main").text
    (pve,) = (cloud for cloud in CLOUDS if cloud.name == "Proxmox")
    assert f"Access key: {pve.access_key.name}." in page
    assert f"Secret: {pve.secret.name}." in page
    assert all(cloud.access_key.name and cloud.secret.help.endswith(".") for cloud in CLOUDS)


def test_sign_out_removes_the_cookie_of_one_environment(signed_in: Browser, cloud: ProxmoxHarness) -> None:
    """The other one stays."""
    signed_in.sign_in("other", cloud.access_key, cloud.secret)
    assert len(signed_in.cookies()) == 2
    assert signed_in.send("/signout", {"environment": "main"}).status == 303
    assert list(signed_in.cookies()) == [cookies.name_of("other", secure=True)]
    assert signed_in.go(VMS).status == 401
    assert signed_in.go("/vm?environment=other").status == 200


def test_sign_out_wins_over_a_page_that_is_still_on_its_way(browser: Browser, cloud: ProxmoxHarness) -> None:
    """In another tab: what its answer renews counts no more, until somebody signs in anew."""
    name = cookies.name_of("main", secure=True)
    credentials = Credentials(cloud.access_key, cloud.secret)
    aged = cookies.seal(name, "main", credentials, time.time() + 600, since=time.time() - 1200)
    browser.client.cookies[name] = aged
    assert browser.go(VMS).status == 200
    renewed = browser.client.cookies[name].value
    assert renewed != aged
    browser.send("/signout", {"environment": "main"})
    assert not browser.cookies()
    for late in (aged, renewed):
        browser.client.cookies[name] = late
        cloud.forget_operations()
        assert browser.go(VMS).status == 401
        assert browser.send("/create?environment=main", {"name": "late1", "machinetype": "small-debian"}).status == 401
        assert cloud.operations() == []
    assert browser.sign_in("main", cloud.access_key, cloud.secret).status == 303
    assert browser.go(VMS).status == 200


@pytest.mark.parametrize("marker", ["", "x", "nan", "-inf", "1e3", "é"])
def test_sign_out_time_that_is_none_changes_nothing(signed_in: Browser, marker: str) -> None:
    """It is the browser's own word."""
    out = cookies.name_of("main", secure=True).replace("-in-", "-out-")
    signed_in.client.cookies[out] = marker
    assert signed_in.go(VMS).status == 200


def test_list_of_another_environment_does_not_get_the_credentials(signed_in: Browser, cloud: ProxmoxHarness) -> None:
    """Neither by name, nor under a cookie that was copied, nor where two are named."""
    cloud.forget_operations()
    ((name, morsel),) = signed_in.cookies().items()
    signed_in.client.cookies[cookies.name_of("other", secure=True)] = morsel.value
    for path in ("/vm?environment=other", "/vm?environment=main&environment=other", "/vm"):
        assert signed_in.go(path).status == 401
    assert cloud.operations() == []
    assert name


def test_list_with_a_token_ignores_the_cookie(signed_in: Browser) -> None:
    """Also one that is malformed, and the answer is for programs."""
    page = signed_in.go(VMS, Authorization="Bearer nonsense")
    assert page.status == 401
    assert page.headers["Content-Type"] == "application/problem+json"


def test_list_renews_a_cookie_that_was_used_and_a_recent_one_not(signed_in: Browser, cloud: ProxmoxHarness) -> None:
    """Half an hour counts from the last use."""
    name = cookies.name_of("main", secure=True)
    assert "Set-Cookie" not in signed_in.go(VMS).headers
    fresh = signed_in.client.cookies[name].value
    old = cookies.seal(name, "main", Credentials(cloud.access_key, cloud.secret), time.time() + 600)
    signed_in.client.cookies[name] = old
    assert signed_in.go(VMS).status == 200
    renewed = signed_in.client.cookies[name].value
    assert renewed not in {fresh, old}
    found = cookies.unseal(name, "main", renewed)
    assert found is not None
    assert found.expires - time.time() > cookies.IDLE_SECONDS - 60


@pytest.mark.parametrize(
    "headers", [{"Accept": "application/json"}, {"Sec_Fetch_Mode": "cors"}, {"X_Requested_With": "fetch"}]
)
def test_list_that_a_script_asks_for_renews_no_cookie(
    browser: Browser, cloud: ProxmoxHarness, headers: dict[str, str]
) -> None:
    """It would come back when the answer arrives after a sign-out, and never expire where a page looks by itself."""
    name = cookies.name_of("main", secure=True)
    old = cookies.seal(name, "main", Credentials(cloud.access_key, cloud.secret), time.time() + 600)
    browser.client.cookies[name] = old
    page = browser.go(VMS, **headers)
    assert page.status == 200
    assert browser.client.cookies[name].value == old
    assert browser.go(VMS, Sec_Fetch_Mode="navigate").status == 200
    assert browser.client.cookies[name].value != old


def test_list_with_no_room_for_a_renewed_cookie_is_answered_all_the_same(
    browser: Browser, cloud: ProxmoxHarness
) -> None:
    """Cookies of others on this host may fill the header."""
    name = cookies.name_of("main", secure=True)
    old = cookies.seal(name, "main", Credentials(cloud.access_key, cloud.secret), time.time() + 600)
    browser.client.cookies[name] = old
    browser.client.cookies["other"] = "x" * cookies.LONGEST_TOGETHER
    assert browser.go(VMS).status == 200
    assert browser.client.cookies[name].value == old


def test_list_with_an_expired_cookie_asks_to_sign_in(browser: Browser, cloud: ProxmoxHarness) -> None:
    """With the way back in the page."""
    name = cookies.name_of("main", secure=True)
    credentials = Credentials(cloud.access_key, cloud.secret)
    browser.client.cookies[name] = cookies.seal(name, "main", credentials, time.time() - 1)
    page = browser.go(VMS)
    assert page.status == 401
    assert page.headers["WWW-Authenticate"].startswith("Bearer")
    assert page.hidden()["next"] == VMS


def test_list_with_a_secret_that_counts_no_more_removes_the_cookie(browser: Browser, cloud: ProxmoxHarness) -> None:
    """Kept, it would be tried until the account is locked."""
    name = cookies.name_of("main", secure=True)
    credentials = Credentials(cloud.access_key, "changed-meanwhile")
    browser.client.cookies[name] = cookies.seal(name, "main", credentials, time.time() + 600)
    page = browser.go(VMS)
    assert page.status == 401
    assert "Credentials rejected" in page.text
    assert not browser.cookies()


VERBS = ["start", "stop", "restart", "delete"]


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize(
    "headers",
    [
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "https://testserver:8443"},
        {"Origin": "", "Referer": "https://evil.example/"},
        {"Origin": "", "Referer": ""},
    ],
)
def test_verb_from_another_origin_is_refused(
    signed_in: Browser, cloud: ProxmoxHarness, verb: str, headers: dict[str, str]
) -> None:
    """Even with the right CSRF token; no call to the cloud."""
    (vm_id,) = cloud.seed(1)
    token = signed_in.token()
    cloud.forget_operations()
    content = {"csrfmiddlewaretoken": token}
    page = signed_in.post(f"/vm/{vm_id}/{verb}?environment=main", content, **{"Origin": signed_in.origin, **headers})
    assert page.status == 403
    assert "/problems/cross_site" in page.text
    assert cloud.operations() == []


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("token", ["", "x" * 64, "é"])
def test_verb_without_the_csrf_token_is_refused(
    signed_in: Browser, cloud: ProxmoxHarness, verb: str, token: str
) -> None:
    """Or with a wrong one."""
    (vm_id,) = cloud.seed(1)
    cloud.forget_operations()
    content = {"csrfmiddlewaretoken": token} if token else {}
    assert signed_in.post(f"/vm/{vm_id}/{verb}?environment=main", content, Origin=signed_in.origin).status == 403
    assert cloud.operations() == []


@pytest.mark.parametrize("method", ["DELETE", "POST"])
def test_call_of_the_api_by_a_script_needs_the_csrf_token(
    signed_in: Browser, cloud: ProxmoxHarness, method: str
) -> None:
    """In a header; then a cookie is as good as a token, with JSON in and out."""
    (vm_id,) = cloud.seed(1)
    path = f"/vm/{vm_id}{'/start' if method == 'POST' else ''}?environment=main"
    headers = {"Sec-Fetch-Site": "same-origin", "Origin": signed_in.origin}
    refused = signed_in.client.generic(method, path, secure=True, headers=headers)
    assert (refused.status_code, refused.json()["code"]) == (403, "cross_site")
    headers["X-CSRFToken"] = signed_in.token()
    assert signed_in.client.generic(method, path, secure=True, headers=headers).status_code == 204


def test_create_by_a_script_takes_the_cookie_of_the_environment_in_the_body(
    signed_in: Browser, cloud: ProxmoxHarness
) -> None:
    """And of no other."""
    headers = {"X-CSRFToken": signed_in.token(), "Origin": signed_in.origin}
    body = {"name": "test1", "machinetype": "small-debian"}
    for environment, status in (("other", 401), ("main", 201)):
        answer = signed_in.client.post(
            "/vm", {**body, "environment": environment}, "application/json", secure=True, headers=headers
        )
        assert answer.status_code == status


@pytest.mark.parametrize("verb", ["start", "stop"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_get_that_acts_does_not_take_the_cookie(
    signed_in: Browser, cloud: ProxmoxHarness, verb: str, method: str
) -> None:
    """A link must not start or stop anything."""
    (vm_id,) = cloud.seed(1)
    cloud.forget_operations()
    path = f"/vm/{vm_id}/{verb}?environment=main"
    headers = {"Sec-Fetch-Site": "same-origin"}
    assert signed_in.client.generic(method, path, secure=True, headers=headers).status_code == 401
    assert cloud.operations() == []


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},
        {"Sec_Purpose": "prefetch"},
        {"Sec_Purpose": "prefetch;prerender"},
        {"Purpose": "prefetch"},
    ],
)
def test_list_that_another_site_links_to_or_a_browser_prefetches_does_not_take_the_cookie(
    signed_in: Browser, cloud: ProxmoxHarness, headers: dict[str, str]
) -> None:
    """The page asks to sign in, and a click on it is enough."""
    cloud.forget_operations()
    page = signed_in.go(VMS, **headers)
    assert page.status == 401
    assert f'<a href="{VMS}">' in page.text
    assert cloud.operations() == []
    assert signed_in.go(VMS, Sec_Fetch_Site="none").status == 200


def test_bearer_call_from_another_origin_needs_no_csrf_token(cloud: ProxmoxHarness) -> None:
    """No other site can send it."""
    (vm_id,) = cloud.seed(1)
    api = Api("main", None).as_caller(cloud.access_key, cloud.secret)
    assert (
        api.verb("start", vm_id, headers={"Origin": "https://app.example", "Sec-Fetch-Site": "cross-site"}).status
        == 204
    )


def test_csrf_cookie_over_https_is_bound_to_this_host(browser: Browser) -> None:
    """One that a subdomain could have planted does not count."""
    token = browser.token()
    ((name, morsel),) = ((name, morsel) for name, morsel in browser.client.cookies.items() if "csrf" in name)
    assert name == "__Host-cloudvm-csrf"
    assert (morsel["secure"], morsel["httponly"], morsel["samesite"]) == (True, True, "Lax")
    browser.client.cookies["cloudvm-csrf"] = morsel.value
    browser.client.cookies[name] = ""
    page = browser.post("/signin", {"csrfmiddlewaretoken": token}, Origin=browser.origin)
    assert page.status == 403


def test_log_of_a_sign_in_holds_no_secret(
    browser: Browser, cloud: ProxmoxHarness, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    """Nor the cookie."""
    browser.sign_in("main", cloud.access_key, "wrong-canary")
    browser.sign_in("main", cloud.access_key, cloud.secret)
    browser.go(VMS)
    (morsel,) = browser.cookies().values()
    told = caplog.text + capsys.readouterr().err
    assert "/signin" in told
    assert "wrong-canary" not in told
    assert morsel.value not in told
    assert not re.search(r"csrfmiddlewaretoken|secret=", told)
