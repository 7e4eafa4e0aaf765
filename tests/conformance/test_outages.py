"""A backend that goes away in the middle of a request and comes back: nothing that it accepted is lost."""

import json
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from pytest_django import Settings

from tests.conformance.conftest import Files
from tests.conformance.harness import Harness, Trouble
from tests.conformance.test_create_failures import finished
from tests.conformance.test_ids import call
from tests.support.api import Api
from tests.support.relay import Relay, relay_to

pytestmark = pytest.mark.own_simulators

LONG = pytest.param(10.0, marks=pytest.mark.slow, id="10 s")
SHORT = pytest.param(1.0, id="1 s")


@pytest.fixture
def relay(backend: Harness, files: Files, settings: Settings, tmp_path: Path) -> Iterator[Relay]:
    """A relay by which the environment `main` reaches the backend."""
    with relay_to(urlsplit(backend.url).port or 0) as relay:
        main = {**json.loads(files.environments.read_text())[0], "url": relay.url}
        (tmp_path / "environments.json").write_text(json.dumps([main]))
        settings.CLOUDVM_ENVIRONMENTS_FILE = tmp_path / "environments.json"
        yield relay


@pytest.fixture
def away(relay: Relay, api: Api, backend: Harness) -> Api:
    """A caller with an open session, by way of the relay."""
    assert api.list().status == 200
    backend.forget_operations()
    return api


def plan(relay: Relay, backend: Harness, verb: str, seconds: float) -> None:
    """Let the backend go away once it has accepted the verb's work."""
    relay.plan_outage(seconds, lambda: backend.has_accepted(verb))


@pytest.mark.parametrize("seconds", [SHORT, LONG])
def test_create_during_an_outage_makes_one_vm(away: Api, backend: Harness, relay: Relay, seconds: float) -> None:
    """201 as if nothing had happened."""
    plan(relay, backend, "create", seconds)
    answer = away.create()
    assert relay.outages == 1
    assert answer.status == 201, answer.body
    assert backend.states() == {answer.json["id"]: "running"}


@pytest.mark.slow
@pytest.mark.parametrize("loses_answer", [False, True], ids=["request lost", "answer lost"])
def test_create_during_an_outage_at_any_later_step_makes_one_vm(
    away: Api, backend: Harness, relay: Relay, *, loses_answer: bool
) -> None:
    """201, whichever call of an accepted create gets no answer, and whether it was carried out or not."""
    for step in range(1, 30):
        backend.forget_operations()
        relay.plan_outage(0.7, Steps(backend, step if loses_answer else step - 1), loses_answer=loses_answer)
        answer = away.create(f"step{step}")
        assert answer.status == 201, (step, backend.operations(), answer.body)
        assert len(backend.states()) == step
        assert set(backend.states().values()) == {"running"}
        if relay.outages < step:
            break
    assert relay.outages > 0


@pytest.mark.slow
def test_create_whose_later_steps_only_a_gateway_answers_makes_one_vm(warm: Api, backend: Harness) -> None:
    """201, whichever calls of an accepted create meet an API that is being restarted."""
    backend.warm_up(warm)
    backend.forget_operations()
    assert warm.create("clean").status == 201
    operations, accepting = backend.operations(), backend.verb_operations["create"]
    for step in range(operations.index(accepting) + 1, len(operations)):
        before = set(backend.states())
        backend.trouble(Trouble.GATEWAY, times=2, skip=step)
        backend.forget_operations()
        answer = warm.create(f"step{step}")
        backend.reset_trouble()
        made = backend.operations()
        if accepting not in made[:step]:
            # More polls than before: the gateway was met before the VM was accepted.
            continue
        assert answer.status == 201, (made[step], answer.body)
        assert set(backend.states()) - before == {answer.json["id"]}


class Steps:
    """Tells whether the backend has answered so many calls since it accepted a create."""

    def __init__(self, backend: Harness, count: int) -> None:
        self._backend = backend
        self._count = count
        self._accepted_at: int | None = None

    def __call__(self) -> bool:
        if self._accepted_at is None and self._backend.has_accepted("create"):
            self._accepted_at = self._backend.calls_answered()
        return self._accepted_at is not None and self._backend.calls_answered() >= self._accepted_at + self._count


@pytest.mark.parametrize("seconds", [SHORT, LONG])
@pytest.mark.parametrize("verb", ["stop", "delete"])
def test_change_during_an_outage_succeeds(away: Api, backend: Harness, relay: Relay, verb: str, seconds: float) -> None:
    """204, and the change is made."""
    (vm_id,) = backend.seed(1)
    plan(relay, backend, verb, seconds)
    answer = call(away, verb, vm_id)
    assert relay.outages == 1
    assert answer.status == 204, answer.body
    assert backend.states() == ({vm_id: "stopped"} if verb == "stop" else {})


@pytest.mark.slow
def test_create_that_waits_no_longer_than_an_outage_can_be_followed(away: Api, backend: Harness, relay: Relay) -> None:
    """202 in the middle of the outage; following it is never an error, and ends with the one VM."""
    plan(relay, backend, "create", 3.0)
    answer = away.create(headers={"Prefer": "wait=1"})
    assert relay.outages == 1
    assert answer.status in {201, 202}, answer.body
    vm = answer.json if answer.status == 201 else finished(away, answer)["vm"]
    assert backend.states() == {vm["id"]: "running"}


@pytest.mark.slow
def test_stop_whose_deadline_passes_in_an_outage_can_be_followed(
    away: Api, backend: Harness, relay: Relay, settings: Settings
) -> None:
    """504 with the operation, which ends well when the backend is back."""
    (vm_id,) = backend.seed(1)
    plan(relay, backend, "stop", 3.0)
    settings.CLOUDVM_REQUEST_DEADLINE_SECONDS = 1.0
    answer = call(away, "stop", vm_id)
    assert (answer.status, answer.code) == (504, "backend_timeout"), answer.body
    settings.CLOUDVM_REQUEST_DEADLINE_SECONDS = 30.0
    followed = finished(away, answer, answer.json["operation"])
    assert followed["error"] is None
    assert backend.states() == {vm_id: "stopped"}


@pytest.mark.slow
def test_clean_up_during_an_outage_leaves_nothing(away: Api, backend: Harness, relay: Relay) -> None:
    """A create fails and the backend goes away before all is removed: the clean-up waits for it."""
    before = backend.objects()
    backend.trouble(Trouble.BOOT_FAILS)
    relay.plan_outage(1.0, lambda: backend.has_accepted("delete"))
    answer = away.create()
    assert answer.status >= 400
    # A clone that fails on a vCenter leaves nothing to be removed.
    assert relay.outages == backend.has_accepted("delete")
    assert all(leftover["removed"] for leftover in answer.json.get("leftovers", [])), answer.body
    assert backend.objects() == before
