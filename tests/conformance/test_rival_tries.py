"""Several tries of one create, its user, and late clean-ups: none destroys or undoes what another has made."""

import threading
from collections.abc import Callable
from typing import Any

import pytest

from tests.conformance.harness import Harness, Trouble
from tests.support.api import Answer, Api
from tests.support.waiting import wait_until

KEY = {"Idempotency-Key": "rivals-1"}
ASYNC = {"Prefer": "respond-async"}


def followed(api: Api, accepted: Answer) -> dict[str, Any]:
    """Follow an operation to its end, and return its last answer. Some creates end before they are answered."""
    if accepted.status == 201:
        return {"vm": accepted.json, "error": None}
    ends: list[dict[str, Any]] = []

    def is_done() -> bool:
        answer = api.follow(accepted)
        assert answer.status == 200, answer.body
        ends.append(answer.json)
        return bool(answer.json["done"])

    wait_until(is_done)
    return ends[-1]


def test_vm_that_its_user_started_survives_the_poll_of_its_failed_create(warm: Api, backend: Harness) -> None:
    """`GET /operation/{token}` removes nothing that is in use, and says so."""
    before = backend.objects()
    backend.trouble(Trouble.BOOT_FAILS)
    accepted = warm.create(headers=ASYNC)
    assert accepted.status == 202, accepted.body
    started: list[str] = []

    def has_started() -> bool:
        """Start the VM as soon as the create has failed. Some clouds remove it themselves."""
        started.extend(vm_id for vm_id in backend.states() if warm.verb("start", vm_id).status == 204)
        return bool(started) or not backend.states()

    wait_until(has_started)
    failure = followed(warm, accepted)["error"]
    assert failure is not None
    if not started:
        assert backend.objects() == before
        return
    assert backend.states() == {started[0]: "running"}
    assert {left["id"]: left["removed"] for left in failure["leftovers"]}[started[0]] is False


def test_vm_that_a_retry_answered_with_survives_the_poll_of_the_failed_create(warm: Api, backend: Harness) -> None:
    """The first try failed unseen; the retry has finished its work."""
    backend.trouble(Trouble.BOOT_FAILS)
    accepted = warm.create(headers={**KEY, **ASYNC})
    assert accepted.status == 202, accepted.body
    answers: list[Answer] = []

    def is_made() -> bool:
        answers.append(warm.create(headers=KEY))
        return answers[-1].status == 201

    wait_until(is_made)
    vm_id = answers[-1].json["id"]
    assert backend.states() == {vm_id: "running"}
    objects = backend.objects()
    failure = followed(warm, accepted)["error"]
    assert backend.states() == {vm_id: "running"}
    assert backend.objects() == objects
    left = {one["id"]: one["removed"] for one in (failure or {}).get("leftovers", [])}
    assert left.get(vm_id) is not True


@pytest.mark.parametrize("start", [True, False], ids=["running", "stopped"])
def test_retry_leaves_the_power_state_that_the_user_chose(warm: Api, backend: Harness, start: bool) -> None:  # noqa: FBT001 - a case
    """It answers with the VM as it is now."""
    made = warm.create(headers=KEY, start=start)
    assert made.status == 201, made.body
    backend.let_time_pass()
    if start:
        assert warm.verb("stop", made.json["id"], mode="force").status == 204
    else:
        assert warm.verb("start", made.json["id"]).status == 204
    again = warm.create(headers=KEY, start=start)
    assert (again.status, again.json["id"]) == (201, made.json["id"]), again.body
    state = "stopped" if start else "running"
    assert again.json["status"] == state
    assert backend.states() == {made.json["id"]: state}


@pytest.mark.own_simulators
def test_second_try_beside_a_running_one_reports_no_leftover(warm: Api, backend: Harness) -> None:
    """It waits for the first one's VM, or is refused."""
    backend.trouble(Trouble.SLOW_WORK)
    first = warm.create(headers={**KEY, **ASYNC})
    second = warm.create(headers=KEY)
    vm = followed(warm, first)["vm"]
    assert vm is not None
    assert backend.states() == {vm["id"]: "running"}
    if second.status == 201:
        assert second.json["id"] == vm["id"]
    else:
        assert second.code == "conflict", second.body
        assert vm["id"] not in {left["id"] for left in second.json.get("leftovers", [])}


class Rival:
    """Runs a second try to its end when the first one's call of some number arrives, which is then refused.

    Polls are not counted. `operation` is that of the refused call.
    """

    def __init__(self, backend: Harness, number: int, second: Callable[[], Answer]) -> None:
        self.answer: Answer | None = None
        self.operation = ""
        self._backend = backend
        self._left = number
        self._second = second
        self._lock = threading.Lock()

    def on_arrival(self, operation: str) -> None:
        """Count a call of the first try, and let the second one run if it is the one."""
        with self._lock:
            if self.operation or operation in self._backend.waiting_operations:
                return
            self._left -= 1
            if self._left > 0:
                return
            self.operation = operation
        self.answer = self._second()
        self._backend.trouble(Trouble.PERMISSION_DENIED, operation, times=1)

    def result(self) -> Answer | None:
        """Return the second try's answer, which may come after that of the first; None if there was no second one."""
        if not self.operation:
            return None
        wait_until(lambda: self.answer is not None)
        return self.answer


@pytest.mark.own_simulators
@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("start", [True, False], ids=["running", "stopped"])
def test_vm_that_a_second_try_answered_with_survives_the_failure_of_the_first(
    warm: Api,
    backend: Harness,
    start: bool,  # noqa: FBT001 - a case
) -> None:
    """Whichever call of the first try fails, after the second one has answered."""
    backend.warm_up(warm)
    faults, number = [], 0
    while True:
        number += 1
        name, key = f"rival-{number}", {"Idempotency-Key": f"rivals-{number}"}

        def create(name: str = name, key: dict[str, str] = key) -> Answer:
            return warm.create(name, headers=key, start=start)

        rival = Rival(backend, number, create)
        backend.watch_calls(rival.on_arrival)
        first = create()
        backend.watch_calls(None)
        backend.reset_trouble()
        second = rival.result()
        if second is None:
            break
        vms = backend.states()
        if second.status == 201 and vms != {second.json["id"]: "running" if start else "stopped"}:
            faults.append(f"call {number}, {rival.operation}: {vms}, first {first.body!r}")
        if first.status != 201:
            left = {one["id"]: one["removed"] for one in first.json.get("leftovers", [])}
            faults += [f"call {number}: removed {vm_id}, which is there" for vm_id in vms if left.get(vm_id) is True]
        for vm_id in vms:
            assert warm.delete(vm_id).status == 204
    assert number > 1
    assert not faults, "\n".join(faults)
