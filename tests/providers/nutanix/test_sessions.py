"""One password, then the session cookie: used again, never shared, renewed once, and never anywhere in words."""

from __future__ import annotations

import logging
from dataclasses import replace

import pytest

from providers.credentials import Credentials
from providers.domain import StopMode
from providers.errors import BackendFailureError, PermissionDeniedError, ProviderError
from providers.sandbox.faults import Fault
from providers.sandbox.nutanix import PASSWORD, USER
from tests.providers.nutanix.prism import LIST, Prism, spec
from tests.support.threads import at_once

OTHER = Credentials("other@sandbox", "another-s3cret-word")


def test_verbs_of_a_session_log_in_once(prism: Prism) -> None:
    """Everything that a caller does takes one log-in, whatever it is that is called."""
    vm_id = prism.create(prism.gateway(options={}))
    gateway = prism.gateway(options={})
    gateway.stop_vm(vm_id, StopMode.FORCE, 0)
    gateway.start_vm(vm_id)
    gateway.get_vm(vm_id)
    gateway.delete_vm(vm_id)
    assert prism.sandbox.logins == 1


def test_verbs_of_a_session_keep_their_connection(prism: Prism) -> None:
    """A handshake for each call would take longer than the call."""
    before = prism.sandbox.server.connections
    vm_id = prism.create()
    prism.gateway().stop_vm(vm_id, StopMode.FORCE, 0)
    prism.gateway().list_vms()
    prism.gateway().delete_vm(vm_id)
    assert prism.sandbox.server.connections - before == 1


def test_first_calls_at_once_log_in_once(prism: Prism) -> None:
    """A directory service behind Prism refuses many log-ins at the same time: the first call goes alone."""
    prism.sandbox.knobs.login_seconds = 0.1
    prism.sandbox.knobs.parallel_logins = 1
    assert at_once(12, lambda _: prism.gateway().list_vms()) == [[]] * 12
    assert prism.sandbox.logins == 1


def test_cookie_that_has_ended_is_renewed_once(prism: Prism) -> None:
    """Prism ends sessions. Eight threads that find theirs gone log in once, and none of them fails."""
    prism.gateway().list_vms()
    prism.sandbox.drop_sessions()
    assert at_once(8, lambda _: prism.gateway().list_vms()) == [[]] * 8
    assert prism.sandbox.logins == 2


def test_cookie_that_has_ended_does_not_repeat_a_change(prism: Prism) -> None:
    """A create that met the end of a session is made once."""
    prism.gateway().list_vms()
    prism.sandbox.drop_sessions()
    vm_id = prism.create()
    assert list(prism.states()) == [vm_id]


def test_cookies_of_two_callers_are_never_shared(prism: Prism) -> None:
    """Each acts as who it is: one may create, the other only look; side by side, in one process."""
    prism.sandbox.add_user(OTHER.access_key, OTHER.secret, rights=["view"])

    def create(number: int) -> type[ProviderError] | None:
        try:
            prism.create(prism.gateway(OTHER) if number % 2 else None, name=f"vm{number}")
        except ProviderError as error:
            return type(error)
        return None

    assert at_once(6, create) == [None, PermissionDeniedError] * 3
    assert {task.user for task in prism.sandbox.tasks("create")} == {USER}
    assert prism.sandbox.logins == 2


def test_redirect_to_a_login_page_is_a_backend_error(prism: Prism) -> None:
    """It is not followed: the password goes to the environment's url only."""
    prism.sandbox.faults.add(
        Fault(LIST[prism.api], times=None, status=302, body=b"", headers={"Location": "https://127.0.0.1:1/console"})
    )
    with pytest.raises(BackendFailureError, match="redirect"):
        prism.gateway().list_vms()


def test_login_page_with_status_200_is_a_backend_error(prism: Prism) -> None:
    """HTML is no empty list."""
    prism.sandbox.faults.add(Fault(LIST[prism.api], times=None, body=b"<html>Log in to Prism</html>"))
    with pytest.raises(BackendFailureError, match="log-in page"):
        prism.gateway().list_vms()


def test_secrets_are_in_no_error_and_no_log_line(prism: Prism, caplog: pytest.LogCaptureFixture) -> None:
    """Password and cloud-init, when all goes wrong with libraries at DEBUG."""
    caplog.set_level(logging.DEBUG)
    told = []
    for fault in (
        Fault(status=500, message="An unexpected error"),
        Fault(status=401, message="Authentication required"),
        Fault(status=422, message="Invalid request"),
        Fault(body=b"<html></html>"),
    ):
        prism.sandbox.faults.add(replace(fault, times=None))
        with pytest.raises(ProviderError) as caught:
            prism.create()
        prism.sandbox.faults.clear()
        told += [str(caught.value), repr(caught.value), repr(caught.value.__cause__)]
    told += [record.getMessage() + repr(record.__dict__) for record in caplog.records]
    assert not [text for text in told if PASSWORD in text or "correct-horse" in text]
    assert "correct-horse" not in repr(spec())
