"""Credentials: wrong, empty, missing permission, and never anybody else's."""

import pytest

from tests.conformance.harness import Harness, Trouble
from tests.conformance.test_ids import VERBS, call
from tests.support.api import Api
from tests.support.threads import at_once


def test_list_with_a_wrong_secret_is_rejected_after_one_try(api: Api, backend: Harness) -> None:
    """401, with the backend's own words, and only one attempt: accounts lock."""
    answer = api.as_caller(backend.access_key, "wrong-secret").list()
    assert (answer.status, answer.code) == (401, "credentials_rejected")
    assert answer.json["backend"]["cloud"] == backend.cloud
    assert len([operation for operation in backend.operations() if operation not in backend.prelude]) == 1


def test_list_with_a_wrong_secret_by_many_at_once_logs_in_once(api: Api, backend: Harness) -> None:
    """Callers that wait for one log-in share its refusal: accounts lock after a few."""
    if not backend.features.logs_in:
        pytest.skip("each call proves who the caller is")
    wrong = api.as_caller(backend.access_key, "wrong-secret")
    backend.trouble(Trouble.SLOW_LOG_IN)
    assert {answer.code for answer in at_once(8, lambda _: wrong.list())} == {"credentials_rejected"}
    assert backend.rejected_log_ins() == 1


def test_list_after_the_secret_was_changed_is_rejected(warm: Api, backend: Harness) -> None:
    """The session ends and the old secret is tried once for all its callers; the new secret works."""
    backend.change_secret("another-secret")
    if backend.features.logs_in:
        backend.trouble(Trouble.SLOW_LOG_IN)
    assert {answer.code for answer in at_once(8, lambda _: warm.list())} == {"credentials_rejected"}
    if backend.features.logs_in:
        # A caller that comes after the session was discarded opens another, with one more log-in.
        assert 1 <= backend.rejected_log_ins() <= 2
    backend.reset_trouble()
    assert warm.as_caller(backend.access_key, "another-secret").list().status == 200


def test_list_with_an_unknown_key_is_rejected(api: Api, backend: Harness) -> None:
    """A key that nobody has."""
    unknown = backend.access_key.replace("demo", "nobody")
    assert api.as_caller(unknown, backend.secret).list().code == "credentials_rejected"


@pytest.mark.parametrize(("access_key", "secret"), [("", "x"), ("x", ""), ("", "")])
def test_list_with_empty_credentials_is_malformed(api: Api, backend: Harness, access_key: str, secret: str) -> None:
    """Nothing is filled in from the machine, and nobody is asked."""
    answer = api.as_caller(access_key, secret).list()
    assert (answer.status, answer.code) == (401, "credentials_malformed")
    assert backend.operations() == []


def test_list_after_a_rejection_works_with_the_right_secret(api: Api, backend: Harness) -> None:
    """A rejected session leaves no trace for the same key."""
    assert api.as_caller(backend.access_key, "wrong-secret").list().status == 401
    assert api.list().status == 200
    assert api.as_caller(backend.access_key, "wrong-secret").list().status == 401


def test_list_by_two_callers_with_the_same_key_never_shares(api: Api, backend: Harness) -> None:
    """Sixteen callers at once, every second one with a wrong secret: each gets its own answer."""
    backend.seed(2)
    wrong = api.as_caller(backend.access_key, "wrong-secret")
    callers = (api, wrong)
    answers = at_once(16, lambda number: [callers[number % 2].list().status for _ in range(3)])
    assert answers == [[200] * 3, [401] * 3] * 8


@pytest.mark.parametrize("verb", ["list", "create", *VERBS])
def test_verb_without_permission_is_denied(warm: Api, backend: Harness, verb: str) -> None:
    """403 with the backend's operation and code; nothing is changed or left behind."""
    stopped = verb == "start" or (verb == "delete" and backend.features.stops_before_delete)
    (vm_id,) = backend.seed(1, state="stopped" if stopped else "running")
    before = backend.objects(), backend.states()
    backend.trouble(Trouble.PERMISSION_DENIED, backend.verb_operations[verb])
    answer = call(warm, verb, vm_id)
    assert (answer.status, answer.code) == (403, "permission_denied"), answer.body
    assert answer.json["backend"]["operation"] == backend.verb_operations[verb]
    assert answer.json["backend"]["code"]
    backend.reset_trouble()
    assert (backend.objects(), backend.states()) == before
