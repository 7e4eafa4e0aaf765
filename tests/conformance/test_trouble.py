"""Backends that are down, slow, broken or busy."""

import time

import pytest
from pytest_django import Settings

from tests.conformance.harness import Harness, Trouble
from tests.conformance.test_ids import call
from tests.support.api import Api

pytestmark = pytest.mark.own_simulators


def test_list_with_the_backend_down_is_unreachable(api: Api) -> None:
    """No connection: 502, and the answer says where nobody listens."""
    answer = api.within("down").list()
    assert (answer.status, answer.code) == (502, "backend_unreachable")
    assert "127.0.0.1" in answer.json["detail"]
    assert answer.json["retryable"] is True


def test_create_with_the_backend_down_is_unreachable(api: Api) -> None:
    """The same for a verb that changes something."""
    assert api.within("down").create().code == "backend_unreachable"


@pytest.mark.usefixtures("impatient")
def test_list_from_a_silent_backend_times_out(api: Api, backend: Harness) -> None:
    """A backend that does not answer holds a request only as long as the settings say."""
    assert api.list().status == 200
    backend.trouble(Trouble.SLOW, backend.verb_operations["list"])
    begun = time.monotonic()
    answer = api.list()
    assert (answer.status, answer.code) == (504, "backend_timeout")
    assert time.monotonic() - begun < 15


@pytest.mark.parametrize("trouble", [Trouble.HTML, Trouble.SERVER_ERROR])
def test_list_from_a_broken_backend_is_a_backend_error(warm: Api, backend: Harness, trouble: Trouble) -> None:
    """HTML with 200 is no empty list, and an error of its own is told as the backend's."""
    backend.trouble(trouble, backend.verb_operations["list"])
    answer = warm.list()
    assert (answer.status, answer.code) == (502, "backend_error"), answer.body


def test_list_over_a_cut_connection_is_unreachable(warm: Api, backend: Harness) -> None:
    """The connection breaks, again and again."""
    backend.trouble(Trouble.CUT, backend.verb_operations["list"])
    answer = warm.list()
    assert (answer.status, answer.code) == (502, "backend_unreachable"), answer.body


def test_list_over_a_connection_cut_once_succeeds(warm: Api, backend: Harness) -> None:
    """A backend may close an idle connection at any time; looking is safe to repeat."""
    backend.trouble(Trouble.CUT, backend.verb_operations["list"], times=1)
    assert warm.list().status == 200


@pytest.mark.parametrize("verb", ["list", "create", "stop"])
def test_verb_on_a_throttled_backend_says_when_to_come_back(warm: Api, backend: Harness, verb: str) -> None:
    """429 with the backend's Retry-After."""
    (vm_id,) = backend.seed(1)
    backend.trouble(Trouble.THROTTLED, backend.verb_operations[verb])
    answer = call(warm, verb, vm_id)
    assert (answer.status, answer.code) == (429, "throttled"), answer.body
    assert int(answer.headers["Retry-After"]) == 7
    assert answer.json["retryable"] is True


@pytest.mark.parametrize("trouble", [Trouble.CUT, Trouble.SERVER_ERROR, Trouble.THROTTLED])
def test_create_survives_looks_that_get_lost(warm: Api, backend: Harness, trouble: Trouble) -> None:
    """One look at the new VM fails in passing: the VM is fine, and so is the answer."""
    polls = set(backend.poll_operations)
    assert polls, "a backend without polls has nothing to lose"
    if trouble is Trouble.THROTTLED:
        backend.retry_after(1)
    backend.trouble(trouble, polls.pop(), times=1)
    answer = warm.create()
    assert answer.status == 201, answer.body


def test_stop_past_the_deadline_says_that_it_goes_on(warm: Api, backend: Harness, settings: Settings) -> None:
    """504 when the request's deadline passes; the work can be followed to its end."""
    (vm_id,) = backend.seed(1)
    backend.trouble(Trouble.GUEST_DEAF)
    settings.CLOUDVM_REQUEST_DEADLINE_SECONDS = 1.0
    answer = warm.verb("stop", vm_id, mode="auto", timeout="2")
    assert (answer.status, answer.code) == (504, "backend_timeout")
    assert "may still" in answer.json["detail"]
    settings.CLOUDVM_REQUEST_DEADLINE_SECONDS = 30.0
    path = answer.json["operation"]
    begun = time.monotonic()
    while not (followed := warm.call("GET", path)).json["done"]:
        assert time.monotonic() - begun < 20
        time.sleep(0.2)
    assert followed.json["error"] is None
    assert backend.states()[vm_id] == "stopped"


def test_stop_of_a_deaf_guest_in_auto_mode_cuts_its_power(warm: Api, backend: Harness) -> None:
    """Asked first, forced when its time is over."""
    (vm_id,) = backend.seed(1)
    backend.trouble(Trouble.GUEST_DEAF)
    begun = time.monotonic()
    assert warm.verb("stop", vm_id, mode="auto", timeout="1").status == 204
    assert time.monotonic() - begun >= 1
    assert backend.states()[vm_id] == "stopped"


def test_stop_of_a_deaf_guest_in_graceful_mode_gives_up(warm: Api, backend: Harness) -> None:
    """Only asked: when its time is over the answer says that it did not obey."""
    (vm_id,) = backend.seed(1)
    backend.trouble(Trouble.GUEST_DEAF)
    answer = warm.verb("stop", vm_id, mode="graceful", timeout="1")
    assert (answer.status, answer.code) == (504, "backend_timeout")
    assert "mode=force" in answer.json["detail"]
    assert backend.states()[vm_id] != "stopped"


def test_stop_of_a_deaf_guest_by_force_succeeds(warm: Api, backend: Harness) -> None:
    """Not asked at all."""
    (vm_id,) = backend.seed(1)
    backend.trouble(Trouble.GUEST_DEAF)
    assert warm.verb("stop", vm_id, mode="force").status == 204
    assert backend.states()[vm_id] == "stopped"


@pytest.mark.parametrize(("verb", "state"), [("start", "stopped"), ("stop", "running"), ("delete", "running")])
def test_verb_that_a_proxy_answers_with_a_page_is_no_success(
    warm: Api, backend: Harness, verb: str, state: str
) -> None:
    """A page of HTML with status 200 does not say that the cloud has done anything."""
    (vm_id,) = backend.seed(1, state=state)
    backend.acquaint(warm)
    backend.trouble(Trouble.HTML, backend.verb_operations[verb])
    answer = warm.delete(vm_id) if verb == "delete" else warm.verb(verb, vm_id)
    backend.reset_trouble()
    assert (answer.status, answer.code) == (502, "backend_error")
    # Some clouds delete only what is off.
    assert backend.states()[vm_id] in ({state, "stopped"} if verb == "delete" else {state})
