"""What a VM's states mean."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from providers.azure.records import read_machine, shown
from providers.domain import VMStatus
from tests.providers.azure.documents import vm


@pytest.mark.parametrize(
    ("provisioning", "power", "status", "word"),
    [
        ("Succeeded", "running", VMStatus.RUNNING, "running"),
        ("Succeeded", "starting", VMStatus.STARTING, "starting"),
        ("Succeeded", "stopping", VMStatus.STOPPING, "stopping"),
        ("Succeeded", "stopped", VMStatus.STOPPED, "stopped"),
        ("Updating", "deallocating", VMStatus.STOPPING, "deallocating"),
        ("Succeeded", "deallocated", VMStatus.STOPPED, "deallocated"),
        ("Updating", "running", VMStatus.RUNNING, "running"),
        ("Failed", "running", VMStatus.RUNNING, "running"),
        ("Failed", "", VMStatus.ERROR, "Failed"),
        ("Creating", "", VMStatus.CREATING, "Creating"),
        ("Creating", "running", VMStatus.CREATING, "Creating"),
        ("Deleting", "running", VMStatus.DELETING, "Deleting"),
        ("", "", VMStatus.CREATING, ""),
        ("Succeeded", "", VMStatus.UNKNOWN, "Succeeded"),
        ("Migrating", "", VMStatus.UNKNOWN, "Migrating"),
        ("Succeeded", "levitating", VMStatus.UNKNOWN, "levitating"),
    ],
)
def test_shown_status_is_the_power_state_unless_the_vm_comes_or_goes(
    provisioning: str, power: str, status: VMStatus, word: str
) -> None:
    """A stopped VM that is still paid for says `stopped`, one that is not `deallocated`."""
    found = shown(read_machine(vm(provisioning=provisioning, power=power)))
    assert (found.status, found.provider_status) == (status, word)


def test_read_machine_knows_our_tags_in_any_case() -> None:
    """Azure need not keep it, and a create knows its own VM by them; those of others stay as they are."""
    found = read_machine(vm(tags={"CLOUDVM:Creation": "Mark-1", "Team": "Web"}))
    assert (found.creation, shown(found).tags) == ("Mark-1", {"Team": "Web"})


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("2024-02-06T22:07:09.9541568+00:00", datetime(2024, 2, 6, 22, 7, 9, 954156, UTC)),
        ("2024-02-06T22:07:09Z", datetime(2024, 2, 6, 22, 7, 9, 0, UTC)),
        ("2024-02-06T22:07:09", datetime(2024, 2, 6, 22, 7, 9, 0, UTC)),
        ("yesterday", None),
        (None, None),
        (7, None),
    ],
)
def test_read_machine_times_are_read_where_they_are_times(text: object, time: datetime | None) -> None:
    """Azure writes seven digits."""
    data = vm()
    data["properties"]["timeCreated"] = text
    assert read_machine(data).made_at == time


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"properties": None, "tags": None, "location": None},
        {"properties": {"instanceView": {"statuses": None}}, "tags": []},
        {"properties": {"instanceView": {"statuses": [None, {}, {"code": None}, {"code": "PowerState"}, "x"]}}},
        {"properties": {"hardwareProfile": [], "instanceView": "x"}},
    ],
)
def test_read_machine_of_half_a_vm_is_no_error(data: dict[str, object]) -> None:
    """What is not there, or not of its form, is empty."""
    found = shown(read_machine(data))
    assert (found.id, found.instance_type, found.tags) == ("", None, {})
    assert found.status is VMStatus.CREATING
