"""Credentials: wrong, empty, missing permission, and never anybody else's."""

import pytest

from tests.conformance.harness import Harness, Trouble
from tests.conformance.test_ids import VERBS, call
from tests.support.api import Api
from tests.support.threads import at_once


def tries(backend: Harness) -> int:
    """How many calls with credentials reached the backend."""
    return len([operation for operation in backend.operations() if operation not in backend.prelude])


def test_list_with_a_wrong_secret_is_rejected_after_one_try(api: Api, backend: Harness) -> None:
    """401, with the backend's own words, and only one attempt: accounts lock."""
    answer = api.as_caller(backend.access_key, "wrong-secret").list()
    assert (answer.status, answer.code) == (401, "credentials_rejected")
    assert answer.json["backend"]["cloud"] == backend.cloud
    assert answer.headers["Retry-After"] == "5"
    assert tries(backend) == 1


def test_twenty_tries_with_a_wrong_secret_are_refused_from_memory(api: Api, backend: Harness) -> None:
    """By whatever verb; the right secret passes at once in the midst."""
    (vm_id,) = backend.seed(1)
    wrong = api.as_caller(backend.access_key, "wrong-secret")
    answers = [wrong.list()]
    answers += [(wrong.list(), wrong.delete(vm_id))[number % 2] for number in range(9)]
    assert api.list().status == 200
    answers += [(wrong.list(), wrong.delete(vm_id))[number % 2] for number in range(9)]
    assert {(answer.status, answer.code) for answer in answers} == {(401, "credentials_rejected")}
    assert all(1 <= int(answer.headers["Retry-After"]) <= 300 for answer in answers)
    # A busy machine may need more than the five seconds after which the backend is asked again.
    assert sum(answer.calls > 0 for answer in answers) <= 3
    assert backend.states().keys() == {vm_id}


def test_twenty_wrong_secrets_reach_the_backend_three_times(warm: Api, backend: Harness) -> None:
    """The account is not locked; the secret that was accepted lately goes on working."""
    codes = [warm.as_caller(backend.access_key, f"wrong-secret-{number}").list().code for number in range(20)]
    assert codes == ["credentials_rejected"] * 3 + ["throttled"] * 17
    assert tries(backend) == 3
    assert warm.list().status == 200


def test_three_wrong_secrets_in_turn_reach_the_backend_three_times(api: Api, backend: Harness) -> None:
    """They are not tried again before the first try is five minutes old, though each has its own pause."""
    answers = [api.as_caller(backend.access_key, f"wrong-secret-{number % 3}").list() for number in range(20)]
    assert {answer.code for answer in answers} == {"credentials_rejected"}
    assert int(answers[-1].headers["Retry-After"]) > 60
    assert tries(backend) == 3


def test_twenty_wrong_secrets_for_several_environments_of_one_cloud_reach_it_three_times(
    api: Api, backend: Harness
) -> None:
    """They are names of one account."""
    codes = [
        api.within(("main", "other")[number % 2]).as_caller(backend.access_key, f"wrong-secret-{number}").list().code
        for number in range(20)
    ]
    assert codes == ["credentials_rejected"] * 3 + ["throttled"] * 17
    assert tries(backend) == 3


def test_twenty_wrong_secrets_at_once_reach_the_backend_three_times(warm: Api, backend: Harness) -> None:
    """Whatever comes together."""
    answers = at_once(20, lambda number: warm.as_caller(backend.access_key, f"wrong-secret-{number}").list())
    assert sorted(answer.code for answer in answers) == ["credentials_rejected"] * 3 + ["throttled"] * 17
    assert tries(backend) == 3


def test_list_with_a_wrong_secret_by_many_at_once_asks_once(api: Api, backend: Harness) -> None:
    """The others wait for the first one's answer."""
    wrong = api.as_caller(backend.access_key, "wrong-secret")
    assert {answer.code for answer in at_once(20, lambda _: wrong.list())} == {"credentials_rejected"}
    assert tries(backend) == 1


def test_list_with_the_right_secret_by_many_at_once_is_not_held_up(api: Api, backend: Harness) -> None:
    """Also where nothing is known of it yet."""
    assert {answer.status for answer in at_once(20, lambda _: api.list())} == {200}


def test_list_with_a_right_secret_after_two_wrong_ones_works_at_once(api: Api, backend: Harness) -> None:
    """Somebody who has mistyped it."""
    for secret in ("wrong-secret", "wrong-again"):
        assert api.as_caller(backend.access_key, secret).list().status == 401
    assert api.list().status == 200


def test_list_after_the_secret_was_changed_is_rejected(warm: Api, backend: Harness) -> None:
    """The session ends and the old secret is tried once for all its callers, and once more; the new one works."""
    backend.change_secret("another-secret")
    if backend.features.logs_in:
        backend.trouble(Trouble.SLOW_LOG_IN)
    assert {answer.code for answer in at_once(8, lambda _: warm.list())} == {"credentials_rejected"}
    if backend.features.logs_in:
        assert backend.rejected_log_ins() == 1
    assert warm.list().code == "credentials_rejected"
    before = tries(backend)
    assert warm.list().code == "credentials_rejected"
    assert tries(backend) == before
    backend.reset_trouble()
    assert warm.as_caller(backend.access_key, "another-secret").list().status == 200


def test_list_after_the_right_secret_was_refused_for_a_moment_works_at_once(warm: Api, backend: Harness) -> None:
    """A directory service that is restarted refuses everybody."""
    secret = backend.secret
    backend.change_secret("another-secret")
    answer = warm.list()
    assert (answer.code, answer.headers.get("Retry-After")) == ("credentials_rejected", None)
    backend.change_secret(secret)
    assert warm.list().status == 200


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
    """A rejection holds for the wrong secret alone."""
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
