"""The simulated Nutanix whatever its API: log-ins and sessions, rights, faults, many callers at once."""

from collections.abc import Iterator
from typing import Any

import pytest
import requests

from providers.sandbox.authority import Authority
from providers.sandbox.faults import Cut, Fault
from providers.sandbox.nutanix import HOSTS, PASSWORD, USER, NutanixSandbox
from tests.sandbox.nutanix.client import V2, V3, VMS, Caller, v2_vm, v3_vm, v4_made, v4_vm
from tests.support.threads import at_once

CHALLENGES = {V2: 'Basic realm="Prism"', V3: 'Basic realm="Intent Gateway Login Required"'}


@pytest.fixture(scope="module")
def both(authority: Authority) -> Iterator[dict[str, NutanixSandbox]]:
    """An Element and a Central for all tests of this module."""
    with (
        NutanixSandbox(authority, task_seconds=0.02) as element,
        NutanixSandbox(authority, kind="central", task_seconds=0.02) as central,
    ):
        yield {"element": element, "central": central}


@pytest.fixture
def element(both: dict[str, NutanixSandbox]) -> NutanixSandbox:
    """The Element, as at its start."""
    both["element"].reset()
    return both["element"]


@pytest.fixture
def central(both: dict[str, NutanixSandbox]) -> NutanixSandbox:
    """The Central, as at its start."""
    both["central"].reset()
    return both["central"]


@pytest.fixture
def ca_file(authority: Authority) -> str:
    """What vouches for both."""
    return str(authority.ca_file)


def test_call_without_or_with_wrong_credentials_is_unauthorized(
    element: NutanixSandbox, central: NutanixSandbox, ca_file: str
) -> None:
    """In each API's own shape: a page, or a reason with its details."""
    for credentials in (None, (USER, "wrong"), ("nobody", PASSWORD)):
        page = Caller(element.url, ca_file, credentials).call("GET", f"{V2}/vms")
        assert (page.status_code, page.headers["Content-Type"]) == (401, "text/html;charset=utf-8")
        assert page.headers["WWW-Authenticate"] == CHALLENGES[V2]
        for method, path in (("POST", f"{V3}/vms/list"), ("GET", VMS)):
            response = Caller(central.url, ca_file, credentials).call(method, path)
            entry = response.json()["message_list"][0]
            assert (response.status_code, entry["reason"]) == (401, "AUTHENTICATION_REQUIRED")
            assert entry["details"] == ("Invalid Credentials" if credentials else CHALLENGES[V3])
    assert (element.logins, central.logins, element.failed_logins) == (0, 0, 2)


def test_session_cookie_needs_no_password(element: NutanixSandbox, ca_file: str) -> None:
    """Until it is dropped; every call with a password and without a cookie is a log-in."""
    user = Caller(element.url, ca_file)
    for _ in range(3):
        user.data("GET", f"{V2}/cluster")
    assert element.logins == 1
    assert {"NTNX_IGW_SESSION", "JSESSIONID"} == set(user.session.cookies.keys())
    user.session.auth = None
    assert user.call("GET", f"{V2}/vms").ok
    element.drop_sessions()
    assert user.call("GET", f"{V2}/vms").status_code == 401
    user.session.auth = user.credentials
    assert user.call("GET", f"{V2}/vms").ok
    assert element.logins == 2


def test_session_is_its_users_whatever_password_comes_with_it(element: NutanixSandbox, ca_file: str) -> None:
    """A client that shares cookies is found out."""
    element.add_user("viewer", "secret", rights={"view"})
    viewer = Caller(element.url, ca_file, ("viewer", "secret"))
    viewer.data("GET", f"{V2}/vms")
    viewer.session.auth = (USER, PASSWORD)
    assert viewer.call("POST", f"{V2}/vms", v2_vm()).status_code == 403


def test_log_ins_at_once_fail_above_the_directorys_limit(element: NutanixSandbox, ca_file: str) -> None:
    """With a session they do not."""
    callers = [Caller(element.url, ca_file, None) for _ in range(6)]
    for caller in callers:
        # So that they are connected before they all log in.
        assert caller.call("GET", f"{V2}/cluster").status_code == 401
        caller.session.auth = (USER, PASSWORD)
    element.knobs.login_seconds, element.knobs.parallel_logins = 0.4, 2
    statuses = at_once(6, lambda number: callers[number].call("GET", f"{V2}/cluster").status_code)
    assert sorted(statuses) == [200, 200, 401, 401, 401, 401]


@pytest.mark.parametrize(
    ("right", "calls"),
    [
        ("view", [("GET", f"{V2}/vms"), ("POST", f"{V3}/vms/list"), ("GET", VMS)]),
        ("create", [("POST", f"{V2}/vms"), ("POST", f"{V3}/vms"), ("POST", VMS)]),
        ("delete", [("DELETE", f"{V2}/vms/x"), ("DELETE", f"{V3}/vms/x"), ("DELETE", f"{VMS}/x")]),
        (
            "power",
            [
                ("POST", f"{V2}/vms/x/set_power_state"),
                ("POST", f"{V3}/vms/x/reset"),
                ("POST", f"{VMS}/x/$actions/reset"),
            ],
        ),
    ],
)
def test_call_without_the_right_is_forbidden(
    element: NutanixSandbox, central: NutanixSandbox, ca_file: str, right: str, calls: list[tuple[str, str]]
) -> None:
    """In each API's own shape."""
    others = {"view", "create", "update", "power", "delete"} - {right}
    for prism in (element, central):
        prism.add_user("little", "secret", rights=others)
    urls = [element.url, central.url, central.url]
    answers: list[Any] = []
    for url, (method, path) in zip(urls, calls, strict=True):
        response = Caller(url, ca_file, ("little", "secret")).call(method, path, {})
        assert response.status_code == 403
        answers.append(response.json())
    assert "permission" in answers[0]["message"]
    assert answers[1]["message_list"][0]["reason"] == "ACCESS_DENIED"
    assert answers[2]["data"]["error"][0]["errorGroup"] == "FORBIDDEN"


def test_fault_befalls_the_call_that_was_planned(central: NutanixSandbox, ca_file: str) -> None:
    """An error in the API's shape, a page of a proxy, a cut connection; each once, and counted."""
    user = Caller(central.url, ca_file)
    central.faults.add(Fault("v4 GET /ahv/config/vms", status=503, code="VMM-10001", message="Come again."))
    central.faults.add(Fault("v4 GET /ahv/config/vms", status=429, headers={"Retry-After": "1"}))
    central.faults.add(Fault("v4 GET /ahv/config/vms", status=401))
    central.faults.add(Fault("v4 GET /ahv/config/vms", body=b"<html>", status=502))
    central.faults.add(Fault("v4 GET /ahv/config/vms", cut=Cut.ANSWER))
    error = user.call("GET", VMS)
    assert (error.status_code, error.json()["data"]["error"][0]["message"]) == (503, "Come again.")
    assert user.call("GET", VMS).headers["Retry-After"] == "1"
    assert user.call("GET", VMS).json()["code"] == 401
    assert user.call("GET", VMS).text == "<html>"
    with pytest.raises(requests.ConnectionError):
        user.call("GET", VMS)
    assert user.call("GET", VMS).ok
    assert central.calls.count("v4 GET /ahv/config/vms") == 6


def test_fault_of_each_older_api_has_its_shape(element: NutanixSandbox, central: NutanixSandbox, ca_file: str) -> None:
    """And an answer that is lost leaves its work done."""
    element.faults.add(Fault("v2.0 GET /vms", status=500, code="1300", message="Busy."))
    error = Caller(element.url, ca_file).call("GET", f"{V2}/vms").json()
    assert (error["error_code"]["code"], error["message"]) == (1300, "Busy.")
    central.faults.add(Fault("v3 POST /vms", status=500, code="INTERNAL_ERROR", after=True))
    lost = Caller(central.url, ca_file).call("POST", f"{V3}/vms", v3_vm())
    assert lost.json()["message_list"][0]["reason"] == "INTERNAL_ERROR"
    assert len(central.tasks("create")) == 1


def test_callers_at_once_each_get_their_own_vm(central: NutanixSandbox, ca_file: str) -> None:
    """Sixty-four of them, with other names, other addresses, other hardware."""

    def life(number: int) -> str:
        user = Caller(central.url, ca_file)
        vm = v4_made(user, name=f"vm-{number}")
        assert user.act(vm, "power-on")["status"] == "SUCCEEDED"
        return vm

    made = at_once(64, life)
    vms = {vm.uuid: vm for vm in central.vms()}
    assert [vms[uuid].name for uuid in made] == [f"vm-{number}" for number in range(64)]
    assert {vm.state for vm in vms.values()} == {"ON"}
    assert len({vm.ip_addresses for vm in vms.values()}) == len({vm.macs for vm in vms.values()}) == 64
    assert central.logins == 64


def test_seeded_vms_are_listed_whole(element: NutanixSandbox, ca_file: str) -> None:
    """They are on the hosts in turn, or on the one that is named."""
    seeded = element.seed(30)
    listed = Caller(element.url, ca_file).data("GET", f"{V2}/vms")["entities"]
    assert [vm["uuid"] for vm in listed] == seeded
    assert {vm.host for vm in element.vms()} == set(HOSTS)
    (pinned,) = element.seed(1, prefix="pinned", host=HOSTS[1], state="PAUSED")
    assert (element.vm(pinned).host, element.vm(pinned).state) == (HOSTS[1], "PAUSED")


def test_reset_forgets_everything(central: NutanixSandbox, ca_file: str) -> None:
    """VMs, tasks, sessions, users, knobs, counts."""
    central.add_user("other", "secret")
    central.knobs.task_seconds = 5
    user = Caller(central.url, ca_file, ("other", "secret"))
    assert user.write("POST", VMS, v4_vm()).status_code == 202
    central.seed(2)
    central.reset()
    assert (central.vms(), central.tasks(), central.logins, central.calls.count()) == ((), (), 0, 0)
    assert central.knobs.task_seconds == 0.02
    assert user.call("GET", VMS).status_code == 401


def test_state_and_deletion_behind_the_apis_back_are_seen(central: NutanixSandbox, ca_file: str) -> None:
    """By the next call, with another ETag."""
    user = Caller(central.url, ca_file)
    first, second = central.seed(2)
    before = user.etag(first)
    central.set_state(first, "OFF")
    central.delete(second)
    assert user.data("GET", f"{VMS}/{first}")["data"]["powerState"] == "OFF"
    assert user.etag(first) != before
    assert user.call("GET", f"{VMS}/{second}").status_code == 404


def test_connections_are_kept_and_tls_is_verified(element: NutanixSandbox, ca_file: str) -> None:
    """One connection for one session's calls; none without the authority's certificate."""
    user = Caller(element.url, ca_file)
    before = element.server.connections
    for _ in range(3):
        user.data("GET", f"{V2}/cluster")
    assert element.server.connections == before + 1
    with pytest.raises(requests.exceptions.SSLError):
        requests.get(f"{element.url}{V2}/cluster", timeout=10)
