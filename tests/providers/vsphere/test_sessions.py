"""Sessions on vCenter: one log-in, one renewal, one log-out, and nobody in another's."""

import re

import pytest

from providers.errors import BackendFailureError, CredentialsRejectedError, CredentialsUnusableError, ThrottledError
from providers.gateway import Backends
from tests.conformance.vcsim import VcsimHarness
from tests.providers.vsphere.conftest import MakeGateway
from tests.support.soap_proxy import Reply, Rule, fault
from tests.support.threads import at_once
from tests.support.waiting import wait_until

EXPIRED = fault("NotAuthenticated", "The session is not authenticated.")
REFUSED = fault("InvalidLogin", "Cannot complete login due to an incorrect user name or password.")


def test_session_is_opened_by_two_calls_and_closed_by_one(
    vcenter: VcsimHarness, gateway: MakeGateway, backends: Backends
) -> None:
    """And none is left on the server."""
    gateway(vcenter).list_vms()
    assert vcenter.operations()[:2] == ["RetrieveServiceContent", "Login"]
    assert vcenter.server.client.sessions() == 1
    backends.close()
    assert vcenter.operations()[-1] == "Logout"
    assert vcenter.server.client.sessions() == 0


def test_session_that_the_server_dropped_is_renewed_once_for_all_threads(
    vcenter: VcsimHarness, gateway: MakeGateway
) -> None:
    """Sixteen threads are told so, and one of them logs in."""
    vcenter.seed(2)
    caller = gateway(vcenter)
    caller.list_vms()
    vcenter.forget_operations()
    for session in vcenter.server.client.others():
        vcenter.server.client.content.sessionManager.TerminateSession([session])
    assert [len(vms) for vms in at_once(16, lambda _: caller.list_vms())] == [2] * 16
    assert vcenter.operations().count("Login") == 1
    assert vcenter.server.client.sessions() == 1


@pytest.mark.parametrize("told", ["fault", "missing"])
def test_session_that_ended_is_never_an_empty_list(vcenter: VcsimHarness, gateway: MakeGateway, told: str) -> None:
    """The server says so by a fault, or by each property that is missing; the name of a VM is neither."""
    client = vcenter.server.client
    (vm_id,) = vcenter.seed(1)
    ref = next(ref for ref, values in client.vms(["config.instanceUuid"]) if vm_id in values.values())
    client.wait(ref.Rename_Task('<fault type="NotAuthenticated">'))
    caller = gateway(vcenter)
    assert len(caller.list_vms()) == 1
    vcenter.forget_operations()
    if told == "missing":
        client.content.sessionManager.TerminateSession(client.others())
    else:
        vcenter.proxy.add(Rule("RetrievePropertiesEx", reply=EXPIRED, times=1))
    assert len(caller.list_vms()) == 1
    assert vcenter.operations() == ["RetrievePropertiesEx", "Login", "RetrievePropertiesEx"]


def test_session_whose_renewal_is_refused_is_tried_once(vcenter: VcsimHarness, gateway: MakeGateway) -> None:
    """The password was changed meanwhile: sixteen threads must not lock the account."""
    caller = gateway(vcenter)
    caller.list_vms()
    vcenter.forget_operations()
    vcenter.proxy.add(Rule("RetrievePropertiesEx", reply=EXPIRED))
    vcenter.proxy.add(Rule("Login", reply=REFUSED, delay_seconds=1.0))

    def list_vms(_: int) -> str:
        with pytest.raises(CredentialsRejectedError) as raised:
            caller.list_vms()
        return raised.value.detail

    assert all("user@domain" in detail for detail in at_once(16, list_vms))
    assert vcenter.operations().count("Login") == 1


def test_session_that_is_not_accepted_when_it_is_new_is_given_up(vcenter: VcsimHarness, gateway: MakeGateway) -> None:
    """No circle of log-ins. The password was right, so the next request is let through at once."""
    caller = gateway(vcenter)
    caller.list_vms()
    vcenter.forget_operations()
    vcenter.proxy.add(Rule("RetrievePropertiesEx", reply=EXPIRED, times=2))
    with pytest.raises(CredentialsUnusableError):
        caller.list_vms()
    wait_until(lambda: len(vcenter.operations()) >= 4)
    assert vcenter.operations() == ["RetrievePropertiesEx", "Login", "RetrievePropertiesEx", "Logout"]
    assert caller.list_vms() == []


def test_log_in_that_breaks_is_not_repeated(vcenter: VcsimHarness, gateway: MakeGateway) -> None:
    """It may have counted as a try."""
    vcenter.proxy.add(Rule("Login", cut=True))
    with pytest.raises(Exception, match="broke during Login"):
        gateway(vcenter).list_vms()
    assert vcenter.operations() == ["RetrieveServiceContent", "Login"]


def test_log_in_that_brings_no_cookie_is_a_backend_error(vcenter: VcsimHarness, gateway: MakeGateway) -> None:
    """Without one no call belongs to a session; each would open one more."""
    vcenter.proxy.completions["Login"] = lambda _, reply: Reply(reply.status, reply.body)
    with pytest.raises(BackendFailureError, match="cookie"):
        gateway(vcenter).list_vms()
    assert vcenter.operations() == ["RetrieveServiceContent", "Login"]


def test_callers_with_different_secrets_never_meet(vcenter: VcsimHarness, gateway: MakeGateway) -> None:
    """Thirty-two threads, each with a secret of its own, one of them known to be right. Three others are tried."""
    vcenter.seed(1)
    gateway(vcenter).list_vms()

    def listed(number: int) -> int:
        try:
            return len(gateway(vcenter, secret="" if number == 7 else f"wrong-{number}").list_vms())
        except (CredentialsRejectedError, ThrottledError):
            return -1

    assert at_once(32, listed) == [1 if number == 7 else -1 for number in range(32)]
    assert vcenter.operations().count("Login") == 1 + 3
    assert vcenter.server.client.sessions() == 1


@pytest.mark.parametrize("status", [401, 403, 404, 503])
def test_list_from_a_reverse_proxy_in_trouble_is_a_backend_error(
    vcenter: VcsimHarness, gateway: MakeGateway, status: int
) -> None:
    """What stands before vCenter speaks no SOAP, and says nothing about the caller's keys."""
    vcenter.proxy.add(Rule(reply=Reply(status, b"<html>no</html>", (("Retry-After", "3"),))))
    with pytest.raises(BackendFailureError, match=f"HTTP {status}") as raised:
        gateway(vcenter).list_vms()
    assert raised.value.retry_after_seconds == 3


def test_list_that_is_throttled_says_so(vcenter: VcsimHarness, gateway: MakeGateway) -> None:
    """With the time that the server names, if it does."""
    vcenter.proxy.add(Rule(reply=Reply(429, b"", ())))
    with pytest.raises(ThrottledError) as raised:
        gateway(vcenter).list_vms()
    assert raised.value.retry_after_seconds is None


@pytest.mark.parametrize(
    "body", [b"", b"<a/>", b"<RetrieveServiceContentResponse", b"<x:RetrieveServiceContentResponse xmlns:x='y'/>"]
)
def test_list_from_something_else_is_a_backend_error(vcenter: VcsimHarness, gateway: MakeGateway, body: bytes) -> None:
    """With status 200, and even with the right word in it; the answer is not quoted."""
    vcenter.proxy.add(Rule(reply=Reply(200, body)))
    with pytest.raises(BackendFailureError, match=re.escape(vcenter.url.removeprefix("https://"))):
        gateway(vcenter).list_vms()
