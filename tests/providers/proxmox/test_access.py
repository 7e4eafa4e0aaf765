"""Who calls: tickets and their renewal, tokens, and access keys that are neither."""

from __future__ import annotations

import json
import logging

import pytest

from providers.credentials import Credentials
from providers.domain import StopMode
from providers.errors import BackendFailureError, CredentialsRejectedError, CredentialsUnusableError, ProviderError
from providers.gateway import Backends
from providers.sandbox.faults import Fault
from providers.sandbox.proxmox import PASSWORD, TOKEN_ID, TOKEN_SECRET, USER
from tests.providers.proxmox.cluster import BY_PASSWORD, BY_TOKEN, VM, Pve
from tests.providers.proxmox.recorder import recording
from tests.providers.reached import NETWORK, USER_DATA
from tests.support.limits import LIMITS
from tests.support.threads import at_once

LOG_IN = "POST /access/ticket"
MANY = 16


def test_password_logs_in_once_for_many_requests(pve: Pve) -> None:
    """The ticket is kept with the session."""
    at_once(MANY, lambda _: pve.gateway(BY_PASSWORD).list_vms())
    pve.gateway(BY_PASSWORD).list_vms()
    assert (pve.sandbox.logins, pve.sandbox.calls.count(LOG_IN)) == (1, 1)


def test_ticket_that_expired_is_renewed_once_for_many_threads(pve: Pve) -> None:
    """Sixteen threads at the same time, half of them with calls that change something."""
    ids = pve.sandbox.seed(MANY)
    pve.gateway(BY_PASSWORD).list_vms()
    pve.sandbox.expire_tickets()

    def call(number: int) -> None:
        gateway = pve.gateway(BY_PASSWORD)
        if number % 2:
            gateway.stop_vm(str(ids[number]), StopMode.FORCE, 0)
        else:
            assert len(gateway.list_vms()) == MANY

    at_once(MANY, call)
    assert (pve.sandbox.logins, pve.sandbox.calls.count(LOG_IN)) == (2, 2)
    assert sum(vm.state == "stopped" for vm in pve.sandbox.vms()) == MANY // 2


@pytest.mark.parametrize("operation", [f"POST {VM}/status/start", "POST /nodes/{node}/qemu"])
def test_ticket_that_expires_before_a_post_is_renewed_and_the_post_done_once(pve: Pve, operation: str) -> None:
    """In the middle of a create."""
    pve.sandbox.faults.add(Fault(operation, status=401, message="permission denied - invalid PVE ticket"))
    pve.gateway(BY_PASSWORD).list_vms()
    pve.sandbox.set_ticket_seconds(1000)
    gateway = pve.gateway(BY_PASSWORD)
    pve.create(gateway=gateway)
    assert pve.sandbox.logins == 2
    assert [vm.state for vm in pve.sandbox.vms()] == ["running"]


def test_ticket_that_expires_before_an_upload_is_renewed(pve: Pve) -> None:
    """The image goes out a second time, whole."""
    pve.gateway(BY_PASSWORD).list_vms()
    pve.sandbox.expire_tickets()
    # The first call of a create with a template that is known would be the upload; here it is the second.
    pve.sandbox.faults.add(Fault("GET /cluster/nextid", body=b'{"data":"100"}', content_type="application/json"))
    pve.create(gateway=pve.gateway(BY_PASSWORD), start=False)
    (volume,) = pve.sandbox.volumes(content="iso")
    assert USER_DATA in (pve.sandbox.data(volume.id) or b"")


def test_ticket_that_is_refused_again_at_once_is_not_renewed_forever(pve: Pve) -> None:
    """One renewal for one call, and then it is an error."""
    pve.gateway(BY_PASSWORD).list_vms()
    pve.sandbox.faults.add(Fault("GET /nodes/{node}/qemu", status=401, message="permission denied", times=None))
    with pytest.raises(CredentialsRejectedError):
        pve.gateway(BY_PASSWORD).list_vms()
    assert pve.sandbox.calls.count(LOG_IN) == 2


@pytest.mark.parametrize("said", ["permission denied - invalid PVE ticket", "Permission denied - invalid csrf token"])
def test_new_ticket_that_is_refused_is_no_wrong_password(pve: Pve, said: str) -> None:
    """The clocks of two nodes may differ. The next request is let through at once."""
    pve.gateway(BY_PASSWORD).list_vms()
    pve.sandbox.faults.add(Fault("GET /nodes/{node}/qemu", status=401, message=said, times=2))
    with pytest.raises(CredentialsUnusableError):
        pve.gateway(BY_PASSWORD).list_vms()
    assert pve.gateway(BY_PASSWORD).list_vms() == []


def test_create_whose_password_was_changed_meanwhile_tells_only_its_own_leftovers(pve: Pve) -> None:
    """What is refused by one log-in for many requests is an error of each of them."""
    pve.gateway(BY_PASSWORD).list_vms()
    expired = Fault(f"POST {VM}/status/start", status=401, message="permission denied - invalid PVE ticket", times=None)
    pve.sandbox.faults.add(expired)
    pve.sandbox.faults.add(Fault(LOG_IN, status=401, message="authentication failure"))

    def create(number: int) -> ProviderError:
        with pytest.raises(CredentialsRejectedError) as caught:
            pve.create(gateway=pve.gateway(BY_PASSWORD), name=f"test{number}")
        return caught.value

    errors = at_once(2, create)
    assert errors[0] is not errors[1]
    kinds = [[leftover.kind for leftover in error.leftovers] for error in errors]
    assert kinds == [["vm", "iso"], ["vm", "iso"]]
    assert len({leftover.id for error in errors for leftover in error.leftovers}) == 4


@pytest.mark.parametrize("credentials", [Credentials(USER, "wrong"), Credentials("nobody@sandbox", PASSWORD)])
def test_rejection_of_a_password_says_to_check_the_realm(pve: Pve, credentials: Credentials) -> None:
    """PVE gives one answer for a wrong user, realm or password."""
    with pytest.raises(CredentialsRejectedError, match="realm and the password"):
        pve.gateway(credentials).list_vms()
    assert pve.operations() == [LOG_IN]


@pytest.mark.parametrize("wrong", [Credentials(TOKEN_ID, "0" * 36), Credentials(f"{USER}!other", TOKEN_SECRET)])
def test_wrong_token_is_rejected_without_a_log_in(pve: Pve, wrong: Credentials) -> None:
    """It is tried once."""
    with pytest.raises(CredentialsRejectedError):
        pve.gateway(wrong).list_vms()
    assert LOG_IN not in pve.operations()


def test_token_logs_nowhere_in_and_sends_no_csrf_token(pve: Pve) -> None:
    """The token is on each request, and nothing else that proves anything."""
    with recording(pve) as record:
        vm_id = pve.create(gateway=record.pve.gateway(BY_TOKEN))
        record.pve.gateway(BY_TOKEN).delete_vm(vm_id)
    assert pve.sandbox.logins == 0
    assert {request.headers["authorization"] for request in record.requests} == {
        f"PVEAPIToken={TOKEN_ID}={TOKEN_SECRET}"
    }
    assert not [request for request in record.requests if {"cookie", "csrfpreventiontoken"} & set(request.headers)]


def test_ticket_is_sent_with_a_csrf_token_where_something_changes(pve: Pve) -> None:
    """And never with the password again."""
    with recording(pve) as record:
        vm_id = pve.create(gateway=record.pve.gateway(BY_PASSWORD))
        record.pve.gateway(BY_PASSWORD).delete_vm(vm_id)
    for request in record.requests[1:]:
        assert request.headers["cookie"].startswith("PVEAuthCookie=PVE%3A")
        assert ("csrfpreventiontoken" in request.headers) == (request.method != "GET")
    assert [request for request in record.requests if PASSWORD in request.parameters.values()] == record.requests[:1]


def test_password_that_has_logged_in_is_no_wrong_one_where_a_call_is_refused(pve: Pve) -> None:
    """The first request fails, also with a new ticket; the second is not held up."""
    pve.sandbox.faults.add(Fault("GET /nodes/{node}/qemu", status=401, message="in passing", times=2))
    with pytest.raises(CredentialsRejectedError) as caught:
        pve.gateway(BY_PASSWORD).list_vms()
    assert caught.value.retry_after_seconds is None
    assert pve.gateway(BY_PASSWORD).list_vms() == []


def test_second_factor_is_explained(pve: Pve) -> None:
    """PVE gives half a ticket; the way out is a token."""
    half = {"ticket": "PVE:!tfa!x", "CSRFPreventionToken": "y", "NeedTFA": 1, "username": USER}
    pve.sandbox.faults.add(Fault(LOG_IN, body=json.dumps({"data": half}).encode(), content_type="application/json"))
    with pytest.raises(CredentialsRejectedError, match=r"second factor.*API token"):
        pve.gateway(BY_PASSWORD).list_vms()
    assert pve.operations() == [LOG_IN]


@pytest.mark.parametrize(
    "data", [None, [], {}, {"ticket": None}, {"ticket": "PVE:x"}, {"ticket": "", "CSRFPreventionToken": "y"}, "x"]
)
def test_log_in_that_answers_nonsense_is_a_backend_error(pve: Pve, data: object) -> None:
    """Something that is no ticket is taken for none, and says nothing about the account."""
    pve.sandbox.faults.add(Fault(LOG_IN, body=json.dumps({"data": data}).encode(), content_type="application/json"))
    with pytest.raises(BackendFailureError, match="POST /access/ticket"):
        pve.gateway(BY_PASSWORD).list_vms()


@pytest.mark.parametrize(
    "access_key",
    [
        "root",
        "root@",
        "@pam",
        "root@pam!",
        "root@pam!a!b",
        "root@pam=token",
        "root pam@pam",
        "root@pam\r\nX-Evil: 1",
        "root@pam\n",
        "root@pam!tok\n",
        "root@pam!tok en",
        "root@pam!tök",
        "日本@pam!token",
        "ro\0ot@pam!token",
        "ro\0ot@pam",
        "a/b@pam",
        "a:b@pam",
        "AKIAIOSFODNN7EXAMPLE",
        "",
    ],
)
def test_access_key_of_another_form_is_refused_before_any_call(pve: Pve, access_key: str) -> None:
    """Without a realm, with signs that no user has, with line breaks; the key is not repeated in the answer."""
    with pytest.raises(CredentialsUnusableError, match="root@pam"):
        pve.gateway(Credentials(access_key, TOKEN_SECRET)).list_vms()
    assert pve.operations() == []


@pytest.mark.parametrize("secret", ["a b", "a\r\nX: 1", "ünicode", "a\0b", "", " "])
def test_token_secret_that_cannot_be_one_is_refused_before_any_call(pve: Pve, secret: str) -> None:
    """It would stand in a header."""
    with pytest.raises(CredentialsUnusableError):
        pve.gateway(Credentials(TOKEN_ID, secret)).list_vms()
    assert pve.operations() == []


@pytest.mark.parametrize("password", ["p:a;s&s=w%o+r d", "пароль-日本", 'quo"te', "a\nb"])
def test_password_of_any_signs_works(pve: Pve, password: str) -> None:
    """It is a form's field, and no header's."""
    pve.sandbox.add_user("odd.name@sandbox", password)
    assert pve.gateway(Credentials("odd.name@sandbox", password)).list_vms() == []


@pytest.mark.parametrize(
    "user", ["first.last@corp.example@ldap", "jürgen@sandbox", "a+b@sandbox", "a#b@sandbox", "a?b@sandbox", "50%25@x1"]
)
def test_user_with_signs_of_directories_works(pve: Pve, user: str) -> None:
    """An at sign in the name, letters of all alphabets, signs that mean something in a path: tasks bear the name."""
    pve.sandbox.add_user(user, "x")
    gateway = pve.gateway(Credentials(user, "x"))
    vm_id = pve.create(gateway=gateway)
    gateway.delete_vm(vm_id)
    assert gateway.list_vms() == []


def test_callers_never_share_a_session(pve: Pve) -> None:
    """The same user with a wrong password, while the right one has a session."""
    pve.gateway(BY_PASSWORD).list_vms()
    with pytest.raises(CredentialsRejectedError):
        pve.gateway(Credentials(USER, "wrong")).list_vms()
    assert pve.gateway(BY_PASSWORD).list_vms() == []
    assert pve.sandbox.logins == 1


@pytest.mark.parametrize("credentials", [BY_PASSWORD, Credentials(TOKEN_ID, TOKEN_SECRET)], ids=["password", "token"])
def test_nothing_secret_is_logged_or_shown(
    pve: Pve, credentials: Credentials, caplog: pytest.LogCaptureFixture
) -> None:
    """Password, token, ticket, CSRF token, user data: at DEBUG, in a repr, in the handle of an operation."""
    caplog.set_level(logging.DEBUG)
    secret = "p4ssw0rd-of-the-canary"
    pve.sandbox.add_user(USER, secret)
    used = Credentials(USER, secret) if credentials is BY_PASSWORD else credentials
    backends = Backends(NETWORK, LIMITS)
    gateway = pve.gateway(used, backends=backends)
    vm_id = pve.create(gateway=gateway, tags={"a": "b"})
    stopping = gateway.stop_vm(vm_id, StopMode.AUTO, 5)
    with pytest.raises(ProviderError) as caught:
        pve.gateway(Credentials(USER, "wrong-" + secret), backends=backends).list_vms()
    shown = [caplog.text, repr(stopping), repr(gateway), repr(caught.value), caught.value.detail, repr(used)]
    shown += [repr(vars(record)) for record in caplog.records]
    backends.close()
    tickets = [form for ticket in pve.sandbox.tickets() for form in (ticket, ticket.split("::")[1][:40])]
    for word in (secret, TOKEN_SECRET, *tickets, "CSRF", "correct-horse-battery"):
        assert not [text for text in shown if word in text], word
    assert len(caplog.records) > 10
