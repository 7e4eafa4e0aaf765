"""The pages for people: who gets them, what they show, and what is done there."""

import base64
import html
import json
import re
import time

import pytest

from providers.credentials import Credentials
from providers.domain import VMStatus
from providers.errors import ErrorCode
from tests.conformance.harness import Trouble
from tests.conformance.proxmox import ProxmoxHarness
from tests.support.api import Api
from tests.support.browser import ACCEPT, Browser
from vms import cookies
from vms.pages import ACTIONS
from vms.templatetags.prose import with_code

CLOUD_INIT = '#cloud-config\n\npackages: [nginx]\n# <é & "quotes">\n'
TYPED = {
    "name": "web1",
    "machinetype": "small-debian",
    "cloud_init": CLOUD_INIT,
    "tags": "team=web\nnote=a=b",
    "start": "on",
}


def field(page: str, name: str) -> str:
    """What stands in a text area of a page."""
    found = re.search(rf'<textarea id="{name}"[^>]*>\n(.*?)</textarea>', page, re.DOTALL)
    assert found
    return html.unescape(found[1])


@pytest.mark.parametrize(
    "accept", ["", "*/*", "application/json", "application/json, text/html", "text/*", "text/html; q=0.0, */*", ACCEPT]
)
@pytest.mark.parametrize("path", ["/environment", "/environment/aws-one", "/machinetype", "/nothing", "/vm"])
def test_get_gives_a_page_to_who_names_it_and_json_to_all_others(stranger: Api, accept: str, path: str) -> None:
    """A program's default stays JSON; errors are told in the same form as answers."""
    response = Browser(headers={"Accept": accept}).go(path)
    wanted = "text/html; charset=utf-8" if accept == ACCEPT else "application/"
    assert response.headers["Content-Type"].startswith(wanted)
    assert response.status == {"/nothing": 404, "/vm": 401}.get(path, 200)


@pytest.mark.parametrize("path", ["/problems", *(f"/problems/{code}" for code in ErrorCode), "/environment/nope"])
def test_page_of_an_error_shows_code_as_code(stranger: Api, path: str) -> None:
    """The backticks of its text are for JSON. The document that programs get is shown as it is."""
    page = Browser(headers={"Accept": ACCEPT}).go(path).text
    assert "<code>" in page
    assert "`" not in re.sub(r"<pre.*?</pre>", "", page, flags=re.DOTALL)


def test_text_with_code_is_escaped() -> None:
    """A cloud's text may hold anything."""
    assert with_code("a `<b>` & `c") == "a <code>&lt;b&gt;</code> &amp; `c"


def test_get_with_a_token_gives_json_whatever_is_accepted(api: Api) -> None:
    """Some programs' libraries name text/html without being asked."""
    answer = api.call("GET", "/environment/none", headers={"Accept": ACCEPT})
    assert answer.code == "environment_not_found"


def test_root_is_a_page_for_people(stranger: Api) -> None:
    """It says what this is, and every link on it works."""
    browser = Browser()
    page = browser.go("/")
    assert page.status == 200
    links = set(re.findall(r'<a [^>]*href="(/[^"]*)"', page.text))
    assert {"/environment", "/docs", "/schema", "/problems", "/signin"} <= links
    assert {browser.go(link).status for link in links} == {200}


@pytest.mark.parametrize(
    "path", ["/", "/signin", "/environment", "/machinetype", "/problems", "/problems/conflict", "/nothing", "/vm"]
)
def test_page_has_no_script_or_style_but_from_files_of_ours(stranger: Api, path: str) -> None:
    """As the policy demands, which allows nothing inline."""
    page = Browser().go(path)
    policy = page.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert page.headers["X-Frame-Options"] == "DENY"
    assert not re.search(r"<style|\sstyle=|\son\w+=|javascript:|<script>|https?://(?!testserver)", page.text)


def test_error_page_tells_all_that_the_problem_document_does(signed_in: Browser, cloud: ProxmoxHarness) -> None:
    """Readable, and as programs get it."""
    page = signed_in.go(f"/vm/{cloud.unknown_id}?environment=main")
    assert page.status == 404
    (raw,) = re.findall(r"<pre[^>]*>(.*?)</pre>", page.text, re.DOTALL)
    problem = json.loads(html.unescape(raw))
    assert problem["code"] == "vm_not_found"
    text = html.unescape(page.text)
    for told in (problem["title"], problem["detail"], problem["request_id"], problem["type"]):
        assert told in text.replace(raw, "")
    assert page.headers["X-Request-ID"] == problem["request_id"]


def test_list_shows_vms_with_the_buttons_that_their_status_allows(signed_in: Browser, cloud: ProxmoxHarness) -> None:
    """Nobody is offered what would be refused."""
    (running,), (stopped,) = cloud.seed(1), cloud.seed(1, state="stopped")
    page = signed_in.go("/vm?environment=main").text
    rows = {
        vm_id: row for row in page.split('<tr role="row">') for vm_id in (running, stopped) if f"/vm/{vm_id}?" in row
    }
    assert "status-running" in rows[running]
    assert "status-stopped" in rows[stopped]
    offered = {running: {"stop", "restart", "delete"}, stopped: {"start", "delete"}}
    for vm_id, verbs in offered.items():
        assert set(re.findall(rf'"/vm/{vm_id}/(\w+)\?environment=main', rows[vm_id])) == verbs
    assert f"/vm/{running}/stop?environment=main&amp;mode=force" in rows[running]
    assert set(ACTIONS) == set(VMStatus)


def test_list_filters_by_a_form_whose_fields_may_be_empty(signed_in: Browser, cloud: ProxmoxHarness) -> None:
    """As browsers send them; the status that was chosen stays chosen."""
    cloud.seed(1)
    cloud.seed(2, state="stopped")
    page = signed_in.go("/vm?environment=main&name=&status=stopped").text
    assert page.count('class="status ') == 2
    assert "<option selected>stopped</option>" in page
    assert "No VM is like that" in signed_in.go("/vm?environment=main&name=none&status=").text
    assert signed_in.go("/vm?environment=main&status=odd").status == 400


def test_create_by_the_form_makes_what_was_typed(signed_in: Browser, cloud: ProxmoxHarness) -> None:
    """cloud-init in plain text reaches the guest with line ends of its own, whatever browsers make of them."""
    sent = {**TYPED, "cloud_init": CLOUD_INIT.replace("\n", "\r\n"), "key": "k1"}
    led = signed_in.send("/create?environment=main", sent).leads_to
    while led.startswith("/operation/"):
        page = signed_in.go(led)
        led = next(iter(re.findall(r'href="(/vm/[^"]+)"', page.text)), led)
        time.sleep(0.05)
    vm_id = led.removeprefix("/vm/").partition("?")[0]
    page = signed_in.go(led)
    assert "web1" in page.text
    assert "note=a=b" in page.text
    assert cloud.user_data(vm_id) == CLOUD_INIT.encode()
    assert cloud.states() == {vm_id: "running"}
    # Who presses the button twice has one VM.
    signed_in.send("/create?environment=main", sent)
    assert len(cloud.states()) == 1


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"name": "-web"}, "DNS label"),
        ({"machinetype": "huge"}, "does not offer|no machine type"),
        ({"cloud_init": "x" * 600_000}, "cloud_init"),
        ({"tags": "nothing"}, "key=value"),
        ({"tags": "a=1\na=2"}, "key=value"),
    ],
)
def test_create_with_something_wrong_brings_the_form_back_filled_in(
    signed_in: Browser, cloud: ProxmoxHarness, change: dict[str, str], fault: str
) -> None:
    """With what is wrong, and nothing was made."""
    typed = {**TYPED, **change}
    page = signed_in.send("/create?environment=main", typed)
    assert page.status == 400
    told = html.unescape(page.text)
    assert re.search(fault, told)
    # Once, beside the field, and not above the form as well.
    assert told.count("must be key=value") == (fault == "key=value")
    assert "`errors`" not in told
    assert field(page.text, "cloud_init") == typed["cloud_init"]
    assert field(page.text, "tags") == typed["tags"]
    assert f'value="{typed["name"]}"' in page.text
    assert cloud.states() == {}


def test_create_when_the_sign_in_has_expired_loses_nothing(
    browser: Browser, cloud: ProxmoxHarness, caplog: pytest.LogCaptureFixture
) -> None:
    """What was typed waits in the page, also over a wrong secret, and in no cookie and no log."""
    name = cookies.name_of("main", secure=True)
    credentials = Credentials(cloud.access_key, cloud.secret)
    browser.client.cookies[name] = cookies.seal(name, "main", credentials, time.time() - 1)
    page = browser.send("/create?environment=main", TYPED)
    assert page.status == 401
    assert {key: value for key, value in page.hidden().items() if key in TYPED} == TYPED
    page = browser.sign_in("main", cloud.access_key, "wrong", **page.hidden())
    assert page.status == 401
    time.sleep(1)
    page = browser.sign_in("main", cloud.access_key, cloud.secret, **page.hidden())
    assert page.status == 200
    assert "Sign out of main" in page.text
    assert field(page.text, "cloud_init") == CLOUD_INIT
    assert 'value="web1"' in page.text
    assert "nginx" not in caplog.text + repr(browser.client.cookies)
    assert browser.post("/create?environment=main", {**TYPED, **page.hidden()}, Origin=browser.origin).status == 303


@pytest.mark.parametrize("came", ["signed in", "expired"])
def test_create_with_a_page_that_is_too_old_keeps_what_was_typed(
    signed_in: Browser, cloud: ProxmoxHarness, came: str
) -> None:
    """When the CSRF cookie is gone; but not the password, and nothing is made before it is sent again."""
    browser = signed_in if came == "signed in" else Browser()
    page = browser.post("/create?environment=main", {**TYPED, "admin_password": "canary-1"}, Origin=browser.origin)
    assert "canary-1" not in page.text
    assert cloud.states() == {}
    if came == "expired":
        assert page.status == 401
        page = browser.sign_in("main", cloud.access_key, cloud.secret, **page.hidden())
    else:
        assert page.status == 403
        assert "too old" in page.text
    assert field(page.text, "cloud_init") == CLOUD_INIT
    assert field(page.text, "tags") == TYPED["tags"]
    page = browser.post("/create?environment=main", {**TYPED, **page.hidden()}, Origin=browser.origin)
    assert page.status == 303


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "null"},
        {"Origin": "https://testserver:8443"},
        {"Sec_Fetch_Site": "same-site"},
        {"Sec_Fetch_Site": "none"},
        {"Origin": "", "Sec_Fetch_Site": ""},
        {"Origin": "", "Sec_Fetch_Site": "none", "Referer": "https://testserver/create"},
    ],
)
@pytest.mark.parametrize("came", ["signed in", "expired"])
def test_create_with_a_page_of_unknown_origin_shows_nothing_of_what_it_sent(
    signed_in: Browser, came: str, headers: dict[str, str]
) -> None:
    """Another site's cloud-init must not stand in our form, a click away from a VM."""
    browser = signed_in if came == "signed in" else Browser()
    page = browser.post("/create?environment=main", TYPED, **{"Origin": browser.origin, **headers})
    assert page.status == 403
    assert "nginx" not in page.text
    assert "web1" not in page.text


def test_create_that_failed_shows_no_password_again(signed_in: Browser, cloud: ProxmoxHarness) -> None:
    """Neither where it was typed, nor to carry it through the sign-in."""
    typed = {**TYPED, "admin_password": "canary-1"}
    page = signed_in.send("/create?environment=main", typed)
    assert page.status == 400
    assert field(page.text, "cloud_init") == CLOUD_INIT
    assert "canary-1" not in page.text
    signed_in.client.cookies.pop(cookies.name_of("main", secure=True))
    page = signed_in.send("/create?environment=main", typed)
    assert page.status == 401
    assert page.hidden()["cloud_init"] == CLOUD_INIT
    assert "canary-1" not in page.text
    assert cloud.states() == {}


def test_create_that_the_cloud_forbids_keeps_what_was_typed(signed_in: Browser, cloud: ProxmoxHarness) -> None:
    """It is a 403 like that of another site, and none."""
    cloud.trouble(Trouble.PERMISSION_DENIED, cloud.verb_operations["create"])
    page = signed_in.send("/create?environment=main", TYPED)
    assert page.status == 403
    assert "Permission denied" in page.text
    assert field(page.text, "cloud_init") == CLOUD_INIT


def test_create_whose_answer_is_lost_and_that_is_sent_again_makes_one_vm(
    signed_in: Browser, cloud: ProxmoxHarness
) -> None:
    """The page stands for the same VM until it is known what became of it."""
    first = signed_in.go("/create?environment=main").hidden()["key"]
    cloud.trouble(Trouble.SERVER_ERROR, cloud.verb_operations["create"], times=1)
    page = signed_in.send("/create?environment=main", {**TYPED, "key": first})
    assert page.status == 502
    assert page.hidden()["key"] == first
    page = signed_in.send("/create?environment=main", {**TYPED, "name": "-", "key": first})
    assert page.status == 400
    assert page.hidden()["key"] != first


def test_create_from_another_origin_shows_nothing_of_what_it_sent(browser: Browser, cloud: ProxmoxHarness) -> None:
    """Signed in or not: another site puts nothing into our forms."""
    page = browser.post("/create?environment=main", TYPED, Origin="https://evil.example", Sec_Fetch_Site="cross-site")
    assert page.status == 403
    assert "nginx" not in page.text


@pytest.mark.parametrize(
    ("verb", "before", "after"),
    [("start?", "stopped", "running"), ("stop?", "running", "stopped"), ("stop?mode=force&", "running", "stopped"),
     ("stop?mode=graceful&", "running", "stopped"), ("restart?", "running", "running")],
)  # fmt: skip
def test_verb_by_its_button_leads_to_the_vm(
    signed_in: Browser, cloud: ProxmoxHarness, verb: str, before: str, after: str
) -> None:
    """When the cloud has done it."""
    (vm_id,) = cloud.seed(1, state=before)
    page = signed_in.send(f"/vm/{vm_id}/{verb}environment=main")
    assert page.leads_to == f"/vm/{vm_id}?environment=main"
    assert f"status-{after}" in signed_in.go(page.leads_to).text


def test_verb_that_takes_long_leads_to_a_page_that_looks_again_until_it_is_done(
    signed_in: Browser, cloud: ProxmoxHarness
) -> None:
    """Also without scripts."""
    (vm_id,) = cloud.seed(1)
    cloud.deafen()
    path = signed_in.send(f"/vm/{vm_id}/stop?environment=main&timeout=4").leads_to
    assert path.startswith("/operation/")
    page = signed_in.go(path)
    assert "data-poll" in page.text
    assert '<noscript><meta http-equiv="refresh"' in page.text
    until = time.monotonic() + 20
    while "data-poll" in page.text and time.monotonic() < until:
        time.sleep(0.5)
        page = signed_in.go(path)
    assert "Stop: done" in page.text
    assert cloud.states() == {vm_id: "stopped"}


def test_operation_needs_the_cookie_of_its_environment(signed_in: Browser, cloud: ProxmoxHarness) -> None:
    """As its token says, and who has lost it is asked for that one."""
    (vm_id,) = cloud.seed(1)
    cloud.deafen()
    path = signed_in.send(f"/vm/{vm_id}/stop?environment=main&timeout=60").leads_to
    page = Browser().go(path)
    assert page.status == 401
    assert '<option value="main" selected' in page.text
    assert page.hidden()["next"] == path
    assert signed_in.go(path).status == 200


def test_operation_of_a_token_that_is_none_is_not_found_and_asks_for_no_sign_in(signed_in: Browser) -> None:
    """As that of a tab that was left open for a day: signing in would lead back to it."""
    page = signed_in.go("/operation/nonsense")
    assert page.status == 404
    assert "Operation not found" in page.text
    assert Browser().go("/operation/nonsense").hidden()["next"] == ""


def test_delete_asks_first_and_names_the_vm(signed_in: Browser, cloud: ProxmoxHarness) -> None:
    """Then it is gone."""
    (vm_id,) = cloud.seed(1)
    page = signed_in.go(f"/vm/{vm_id}/delete?environment=main")
    assert "Delete the VM vm-0001?" in page.text
    assert cloud.states() == {vm_id: "running"}
    page = signed_in.send(f"/vm/{vm_id}/delete?environment=main")
    assert page.status == 303
    until = time.monotonic() + 20
    while cloud.states() and time.monotonic() < until:
        signed_in.go(page.leads_to)
        time.sleep(0.1)
    assert cloud.states() == {}


def test_vm_with_markup_for_a_name_is_shown_as_text(signed_in: Browser, cloud: ProxmoxHarness) -> None:
    """On every page that names it."""
    (vm_id,) = map(str, cloud.sandbox.seed(1, prefix="<script>alert(1)</script>\"'&"))
    for path in ("/vm", f"/vm/{vm_id}", f"/vm/{vm_id}/delete"):
        page = signed_in.go(f"{path}?environment=main")
        assert page.status == 200
        assert "<script>" not in page.text
        assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page.text


@pytest.mark.parametrize("path", ["/create?environment=main", "/vm/100/delete?environment=main"])
def test_pages_of_browsers_alone_take_no_token(cloud: ProxmoxHarness, path: str) -> None:
    """The API has its own endpoints for that."""
    token = base64.b64encode(f"{cloud.access_key}:{cloud.secret}".encode()).decode()
    api = Api("main", f"Bearer {token}")
    assert api.call("POST", path).code == "credentials_missing"
    assert api.call("GET", path).code == "credentials_missing"


def test_create_with_a_form_that_is_too_large_is_refused(signed_in: Browser, cloud: ProxmoxHarness) -> None:
    """Signed in or not, and without a fault of ours."""
    typed = {**TYPED, "cloud_init": "x" * 1_100_000}
    for browser in (signed_in, Browser()):
        assert browser.send("/create?environment=main", typed).status == 413
