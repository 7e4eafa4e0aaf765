"""VMs that creates left behind: what is listed, what is removed, and what never is."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from providers import notes
from providers.domain import LeftoverResource, StopMode
from providers.errors import ConflictError, ProviderError
from providers.notes import Notes
from providers.nutanix.history import PastTask, shows_only_creation
from providers.nutanix.records import Machine, TaskStatus
from providers.nutanix.v4 import PAGE
from providers.sandbox.faults import Cut, Fault
from providers.sandbox.nutanix import SECOND_CLUSTER
from tests.providers.nutanix.prism import DELETE, GET, START, Prism, spec
from tests.providers.reached import AT_ONCE
from tests.support.waiting import wait_until

NOW = datetime(2026, 11, 29, 15, tzinfo=UTC)


def failed_create(prism: Prism, **fields: Any) -> str:
    """Let a create fail at its start, and its clean-up at the delete; return the VM that stays."""
    before = set(prism.states())
    prism.sandbox.fail_next_task("power", "It went wrong")
    prism.sandbox.faults.add(Fault(DELETE[prism.api], times=None, status=403, message="No permission."))
    with pytest.raises(ProviderError, match="It went wrong"):
        prism.create(**fields)
    prism.sandbox.faults.clear()
    (vm_id,) = set(prism.states()) - before
    return vm_id


def test_vm_of_a_failed_create_is_listed_and_removed(prism: Prism) -> None:
    """With its name, its age and the reason; afterwards nothing is left."""
    vm_id = failed_create(prism)
    (leftover,) = prism.gateway().list_leftovers()
    assert (leftover.kind, leftover.id, leftover.name, leftover.is_removable) == ("vm", vm_id, "test1", True)
    assert leftover.created_at is not None
    assert abs(datetime.now(UTC) - leftover.created_at) < timedelta(minutes=10)
    assert "never run" in leftover.detail
    prism.gateway().remove_leftover(leftover)
    assert prism.remains() == []
    assert prism.gateway().list_leftovers() == []
    # One that is gone is a success.
    prism.gateway().remove_leftover(leftover)


def test_intent_that_came_to_nothing_is_listed_and_removed(old_central: Prism) -> None:
    """v3 shows what could not be made until somebody deletes it."""
    old_central.sandbox.fail_next_task("clone", "It went wrong")
    old_central.sandbox.faults.add(Fault(DELETE["v3"], times=None, status=403, message="No permission."))
    with pytest.raises(ProviderError, match="It went wrong"):
        old_central.create()
    old_central.sandbox.faults.clear()
    (leftover,) = old_central.gateway().list_leftovers()
    assert old_central.sandbox.unmade() == (leftover.id,)
    assert leftover.created_at is not None
    assert abs(datetime.now(UTC) - leftover.created_at) < timedelta(minutes=10)
    old_central.gateway().remove_leftover(leftover)
    assert old_central.remains() == []


def test_vm_that_has_run_is_no_leftover(prism: Prism) -> None:
    """Stopped by its user, or running."""
    prism.create(name="running")
    stopped = prism.create(name="stopped")
    prism.gateway().stop_vm(stopped, StopMode.FORCE, 0)
    assert prism.gateway().list_leftovers() == []


def test_vm_that_was_not_to_be_started_is_no_leftover(prism: Prism) -> None:
    """Its create has finished."""
    prism.create(start=False)
    assert prism.gateway().list_leftovers() == []


def test_vms_of_others_are_no_leftovers(prism: Prism) -> None:
    """Whatever their name; those of another cluster neither, although they bear the mark."""
    prism.sandbox.seed(2, prefix="test1", state="OFF")
    assert prism.gateway().list_leftovers() == []
    if prism.api != "v2":
        failed_create(prism)
        assert prism.gateway(project=SECOND_CLUSTER).list_leftovers() == []


def test_copy_of_a_leftover_keeps_both_from_removal(prism: Prism) -> None:
    """It bears the same mark: which of them nobody wants is not known. A copy alone is no leftover."""
    vm_id = failed_create(prism)
    (leftover,) = prism.gateway().list_leftovers()
    copy = prism.sandbox.clone(vm_id)
    wait_until(lambda: copy in prism.states())
    assert prism.gateway().list_leftovers() == []
    with pytest.raises(ConflictError, match="not removed"):
        prism.gateway().remove_leftover(leftover)
    assert set(prism.states()) == {vm_id, copy}
    prism.sandbox.delete(vm_id)
    assert prism.gateway().list_leftovers() == []


@pytest.mark.parametrize("state", ["ON", "OFF"])
def test_leftover_that_was_started_meanwhile_is_not_removed(prism: Prism, state: str) -> None:
    """Whether it still runs or not; its power is not cut."""
    vm_id = failed_create(prism)
    (leftover,) = prism.gateway().list_leftovers()
    prism.gateway().start_vm(vm_id)
    if state == "OFF":
        prism.gateway().stop_vm(vm_id, StopMode.FORCE, 0)
    with pytest.raises(ConflictError, match="not removed"):
        prism.gateway().remove_leftover(leftover)
    assert prism.states() == {vm_id: state}


def test_leftover_that_is_started_during_its_removal_is_not_removed(central: Prism) -> None:
    """v4 deletes a VM only as it was seen: the ETag of the look is that of the delete."""
    vm_id = failed_create(central)
    (leftover,) = central.gateway().list_leftovers()
    central.sandbox.knobs.queue_seconds = 0.5
    central.gateway().start_vm(vm_id, AT_ONCE)
    with pytest.raises(ConflictError):
        central.gateway().remove_leftover(leftover)
    wait_until(lambda: central.states() == {vm_id: "ON"})


def test_leftover_is_completed_by_a_retry_with_its_key(prism: Prism) -> None:
    """It is no leftover then."""
    vm_id = failed_create(prism, key="order-4711")
    assert [one.id for one in prism.gateway().list_leftovers()] == [vm_id]
    assert prism.create(key="order-4711") == vm_id
    assert prism.states() == {vm_id: "ON"}
    assert prism.gateway().list_leftovers() == []


def test_create_that_is_under_way_shows_its_age(prism: Prism) -> None:
    """Callers leave it alone: what it has made so far was made just now."""
    if prism.api == "v3":
        pytest.skip("v3 makes and starts a VM by one task, and shows it as pending")
    prism.sandbox.faults.add(Fault(START[prism.api], times=None, cut=Cut.ANSWER))
    prism.sandbox.faults.add(Fault(DELETE[prism.api], times=None, cut=Cut.ANSWER))
    with pytest.raises(ProviderError):
        prism.create()
    prism.sandbox.faults.clear()
    (leftover,) = prism.gateway().list_leftovers()
    assert leftover.created_at is not None
    assert datetime.now(UTC) - leftover.created_at < timedelta(minutes=10)


def test_pending_intent_is_no_leftover(old_central: Prism) -> None:
    """Prism is at work on it."""
    old_central.sandbox.knobs.task_seconds = 30.0
    old_central.gateway().create_vm(spec(), AT_ONCE)
    assert old_central.gateway().list_leftovers() == []


def test_history_that_is_not_shown_makes_no_leftover(element: Prism) -> None:
    """A role that may not list tasks: the caller is told, and nothing is removed."""
    failed_create(element)
    element.sandbox.faults.add(Fault("v2.0 POST /tasks/list", times=None, status=403, message="No permission."))
    with pytest.raises(ProviderError):
        element.gateway().list_leftovers()


def test_remove_of_another_vm_than_was_listed_is_refused(prism: Prism) -> None:
    """Whatever its id says."""
    vm_id = prism.create()
    with pytest.raises(ConflictError, match="not removed"):
        prism.gateway().remove_leftover(LeftoverResource("vm", vm_id, "test1", None, ""))
    assert prism.states() == {vm_id: "ON"}
    assert GET[prism.api] in prism.operations()


CREATION = PastTask("1", "CreateVm", TaskStatus.SUCCEEDED)
PART = PastTask("2", "VmDisksCreate", TaskStatus.SUCCEEDED, "1")
PART_OF_PART = PastTask("3", "DiskClone", TaskStatus.SUCCEEDED, "2")


@pytest.mark.parametrize(
    ("tasks", "expected"),
    [
        ([CREATION], True),
        ([replace(CREATION, operation="VmCreate")], True),
        ([replace(CREATION, status=TaskStatus.FAILED)], True),
        ([CREATION, PastTask("2", "PowerOnVm", TaskStatus.FAILED)], True),
        ([PART_OF_PART, PART, CREATION], True),
        ([], False),
        ([replace(CREATION, operation="CloneVm")], False),
        ([replace(CREATION, status=TaskStatus.RUNNING)], False),
        ([CREATION, PastTask("2", "PowerOnVm", TaskStatus.RUNNING)], False),
        ([CREATION, PastTask("2", "PowerOnVm", TaskStatus.SUCCEEDED)], False),
        ([CREATION, PastTask("2", "UpdateVm", TaskStatus.SUCCEEDED, "9")], False),
        ([PastTask("2", "PowerOnVm", TaskStatus.FAILED)], False),
    ],
)  # fmt: skip
def test_history_shows_only_creation_or_more(tasks: list[PastTask], *, expected: bool) -> None:
    """The creation with its parts and failed attempts; without it the history is not complete."""
    assert shows_only_creation(tasks) is expected


def test_vm_with_a_long_history_is_not_judged(central: Prism) -> None:
    """The creation may be on another page, and so may a start."""
    vm_id = failed_create(central)
    for _ in range(PAGE):
        central.sandbox.fail_next_task("power", "It went wrong")
        central.gateway().start_vm(vm_id, AT_ONCE)
    assert central.gateway().list_leftovers() == []


@pytest.mark.parametrize(
    ("noted", "created", "expected"),
    [
        (NOW, NOW + timedelta(minutes=5), True),
        (NOW, NOW - timedelta(minutes=5), True),
        (NOW, None, True),
        (NOW, NOW + timedelta(hours=2), False),
        (None, NOW, False),
    ],
)
def test_vm_made_long_after_its_note_is_a_copy(
    noted: datetime | None, created: datetime | None, *, expected: bool
) -> None:
    """People copy VMs with their description."""
    note = notes.write(Notes(creation="0123", created_at=int(noted.timestamp()) if noted else 0))
    assert Machine("1", "test1", "OFF", note, created_at=created).is_original is expected
