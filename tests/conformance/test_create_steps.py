"""Creates of which one backend call fails, each in turn: the answer tells of everything that is there afterwards."""

from dataclasses import dataclass, replace
from typing import Any

import pytest
from pytest_django import Settings

from tests.conformance.harness import Harness, Trouble
from tests.conformance.test_create_failures import finished
from tests.support.api import Answer, Api
from tests.support.limits import LIMITS
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.own_simulators]

# Most clients treat a cut connection like a lost answer, and a server error like a refusal.
WAYS = [Trouble.LOST_ANSWER, Trouble.PERMISSION_DENIED, Trouble.CUT, Trouble.SERVER_ERROR]


@dataclass(frozen=True)
class CleanCreate:
    """What a create without trouble does: the number of its backend calls, and of the objects that it makes."""

    calls: int
    objects: int


@pytest.fixture
def clean(warm: Api, backend: Harness) -> CleanCreate:
    """A create in a session that has looked up what it keeps."""
    backend.warm_up(warm)
    before = backend.objects()
    backend.forget_operations()
    assert warm.create("clean").status == 201
    return CleanCreate(len(backend.operations()), len(backend.objects() - before))


@pytest.fixture
def hasty(settings: Settings, backend: Harness) -> None:
    """A service that gives a clean-up half a second."""
    settings.CLOUDVM_LIMITS = replace(LIMITS, times=replace(LIMITS.times, clean_up_seconds=0.5))


@pytest.mark.parametrize("trouble", WAYS)
def test_create_of_which_one_call_fails_leaves_nothing_untold(
    warm: Api, backend: Harness, clean: CleanCreate, trouble: Trouble
) -> None:
    """The clean-up works, so that nothing stays but the VM of a success."""
    for number in range(clean.calls):
        before = backend.objects(), set(backend.states())
        backend.trouble(trouble, times=1, skip=number)
        answer = warm.create(f"step{number}")
        backend.reset_trouble()
        told = Told(warm, answer)
        made = set(backend.states()) - before[1], len(backend.objects() - before[0])
        assert made == (told.vms, clean.objects * len(told.vms)), (number, answer.body)
        assert told.left == set(), (number, answer.body)


# The two ways that differ most: the other two would add nothing but waiting.
@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize("trouble", [Trouble.LOST_ANSWER, Trouble.PERMISSION_DENIED])
def test_create_of_which_all_calls_fail_from_one_on_leaves_nothing_untold(
    warm: Api, backend: Harness, clean: CleanCreate, trouble: Trouble, settings: Settings
) -> None:
    """The clean-up fails, too, and the answer names what may be left."""
    statuses = set()
    for number in range(clean.calls):
        before = backend.objects()
        settings.CLOUDVM_REQUEST_DEADLINE_SECONDS = 1.0
        backend.trouble(trouble, skip=number)
        answer = warm.create(f"step{number}")
        backend.reset_trouble()
        settings.CLOUDVM_REQUEST_DEADLINE_SECONDS = 30.0
        statuses.add(answer.status)
        told = Told(warm, answer)
        if not told.left:
            wait_for_objects(backend, before, clean.objects * len(told.vms))
        stays = backend.objects() - before
        assert not [one for one in stays if any(removed in one for removed in told.removed)], (number, answer.body)
    assert statuses - {201}


def wait_for_objects(backend: Harness, before: frozenset[str], count: int) -> None:
    """Wait until so many objects have been added; what the cloud had begun may still take its time."""
    wait_until(lambda: len(backend.objects() - before) == count)


class Told:
    """What a create's answer, or the operation to which it leads, tells: its VM, and what was removed or left."""

    def __init__(self, api: Api, answer: Answer) -> None:
        told: dict[str, Any] = {"vm": answer.json, "error": None}
        if answer.status != 201:
            told = {"vm": None, "error": answer.json}
        if "operation" in answer.json:
            told = finished(api, answer, answer.json["operation"])
        leftovers = (told["error"] or {}).get("leftovers", [])
        self.vms = {told["vm"]["id"]} if told["vm"] else set()
        self.removed = {left["id"] for left in leftovers if left["removed"]}
        self.left = {left["id"] for left in leftovers if not left["removed"]}
