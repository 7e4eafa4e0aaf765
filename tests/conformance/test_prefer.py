"""The `Prefer` header, and operations that are followed."""

from dataclasses import replace

import pytest
from pytest_django import Settings

from providers.domain import Operation, Verb
from tests.conformance.harness import Harness, Trouble
from tests.conformance.test_create_failures import finished
from tests.support.api import Api
from tests.support.limits import LIMITS
from vms.operations import location
from vms.service import current_service


def test_create_with_respond_async_can_be_followed(warm: Api, backend: Harness) -> None:
    """202 at once, and the operation ends with the VM."""
    answer = warm.create(headers={"Prefer": "respond-async"})
    assert answer.status == 202, answer.body
    assert answer.headers["Preference-Applied"] == "respond-async"
    assert int(answer.headers["Retry-After"]) >= 1
    assert answer.headers["Location"].startswith("/operation/")
    assert answer.json == {"done": False, "verb": "create", "environment": "main", "vm": None, "error": None}
    result = finished(warm, answer)
    assert result["error"] is None
    assert result["vm"]["status"] == "running"
    assert list(backend.states()) == [result["vm"]["id"]]


@pytest.mark.parametrize(("verb", "state"), [("start", "running"), ("stop", "stopped")])
def test_verb_with_respond_async_can_be_followed(warm: Api, backend: Harness, verb: str, state: str) -> None:
    """The same for a verb; the VM is shown at the end."""
    (vm_id,) = backend.seed(1, state="stopped" if verb == "start" else "running")
    answer = warm.verb(verb, vm_id, headers={"Prefer": "respond-async"})
    assert answer.status == 202
    result = finished(warm, answer)
    assert result["vm"]["status"] == state


def test_delete_with_respond_async_ends_without_a_vm(warm: Api, backend: Harness) -> None:
    """After a delete there is nothing to show."""
    (vm_id,) = backend.seed(1)
    answer = warm.delete(vm_id, headers={"Prefer": "respond-async"})
    assert answer.status == 202
    assert finished(warm, answer) == {
        "done": True, "verb": "delete", "environment": "main", "vm": None, "error": None,
    }  # fmt: skip
    assert backend.states() == {}


def test_verb_with_a_wait_that_suffices_is_done(warm: Api, backend: Harness) -> None:
    """`wait=N` is a bound, not a time."""
    (vm_id,) = backend.seed(1)
    answer = warm.verb("stop", vm_id, headers={"Prefer": "wait=30"})
    assert answer.status == 204
    assert answer.headers["Preference-Applied"] == "wait=30"


def test_verb_with_a_wait_that_is_too_short_is_accepted(warm: Api, backend: Harness) -> None:
    """202, never an error."""
    (vm_id,) = backend.seed(1)
    answer = warm.verb("stop", vm_id, headers={"Prefer": "wait=0"})
    assert answer.status == 202
    assert answer.headers["Preference-Applied"] == "wait=0"
    assert finished(warm, answer)["error"] is None


@pytest.mark.parametrize(("verb", "state"), [("start", "running"), ("stop", "stopped"), ("restart", "running")])
def test_verb_with_return_representation_shows_the_vm(warm: Api, backend: Harness, verb: str, state: str) -> None:
    """200 and the VM where 204 would be."""
    (vm_id,) = backend.seed(1, state="stopped" if verb == "start" else "running")
    answer = warm.verb(verb, vm_id, headers={"Prefer": "return=representation"})
    assert answer.status == 200, answer.body
    assert answer.headers["Preference-Applied"] == "return=representation"
    assert (answer.json["id"], answer.json["status"]) == (vm_id, state)


def test_verb_already_done_with_return_representation_shows_the_vm(warm: Api, backend: Harness) -> None:
    """Also where there was nothing to do."""
    (vm_id,) = backend.seed(1)
    answer = warm.verb("start", vm_id, headers={"Prefer": "return=representation"})
    assert (answer.status, answer.json["status"]) == (200, "running")


def test_verb_with_preferences_nobody_knows_ignores_them(warm: Api, backend: Harness) -> None:
    """RFC 7240: what is not understood is ignored, and not claimed."""
    (vm_id,) = backend.seed(1)
    answer = warm.verb("stop", vm_id, headers={"Prefer": 'handling=strict, wait=soon, foo; bar="x"'})
    assert answer.status == 204
    assert "Preference-Applied" not in answer.headers


def test_operation_is_followed_with_the_credentials_that_began_it(warm: Api, backend: Harness) -> None:
    """The token alone opens nothing. Another access key gets 404, and the backend is not asked."""
    (vm_id,) = backend.seed(1)
    answer = warm.verb("stop", vm_id, headers={"Prefer": "respond-async"})
    assert warm.as_caller(backend.access_key, "wrong-secret").follow(answer).code == "credentials_rejected"
    assert Api("main", None).follow(answer).code == "credentials_missing"
    other = warm.as_caller(backend.access_key.replace("demo", "other"), backend.secret).follow(answer)
    assert (other.status, other.code, other.calls) == (404, "operation_not_found", 0)
    assert finished(warm, answer)["error"] is None


@pytest.mark.parametrize("verb", [Verb.START, Verb.DELETE])
def test_operation_that_was_done_at_once_is_shown_to_accepted_credentials_only(
    warm: Api, backend: Harness, verb: Verb
) -> None:
    """There is no task to poll, and the backend is asked all the same."""
    (vm_id,) = backend.seed(1)
    path = location(Operation(verb, vm_id), "main", backend.access_key)
    wrong = warm.as_caller(backend.access_key, "wrong-secret").call("GET", path)
    assert (wrong.status, wrong.code) == (401, "credentials_rejected")
    answer = warm.call("GET", path)
    assert (answer.status, answer.json["done"], answer.json["error"]) == (200, True, None)


def test_operation_is_followed_where_nothing_is_known_of_it(warm: Api, backend: Harness, settings: Settings) -> None:
    """After a restart, or on another replica: the token says all."""
    answer = warm.create(headers={"Prefer": "respond-async"})
    assert answer.status == 202
    before = current_service()
    before.backends.close()
    settings.CLOUDVM_LIMITS = replace(LIMITS, sessions=8)
    after = current_service()
    assert after.backends is not before.backends
    result = finished(warm, answer)
    after.backends.close()
    assert result["error"] is None
    assert list(backend.states()) == [result["vm"]["id"]]


@pytest.mark.parametrize("earlier_looks", [0, 1])
def test_start_of_a_running_vm_that_cannot_be_shown_is_followed_to_its_end(
    warm: Api, backend: Harness, earlier_looks: int
) -> None:
    """It was done at once, so that only the look at the VM is left."""
    (vm_id,) = backend.seed(1)
    backend.acquaint(warm)
    backend.trouble(Trouble.PERMISSION_DENIED, backend.verb_operations["get"], skip=earlier_looks)
    answer = warm.verb("start", vm_id, {"Prefer": "return=representation"})
    backend.reset_trouble()
    assert answer.status in {200, 403}
    if "operation" in answer.json:
        assert finished(warm, answer, answer.json["operation"])["error"] is None
