"""The soak test's comparison finds what it looks for."""

import pytest

from tests.soak.ledger import Fate, Record
from tests.soak.resources import GROWTH, Usage, growth_faults
from tests.soak.test_soak import object_faults, vm_faults


def record(*, fate: Fate = Fate.EXISTS, vm_id: str | None = "1") -> Record:
    """A VM that a client asked for."""
    return Record("cloud", "web", fate=fate, vm_id=vm_id)


def test_comparison_of_equal_accounts_finds_nothing() -> None:
    """A VM that was told and is there, and one of which a delete failed."""
    records = [record(), Record("cloud", "db", fate=Fate.UNKNOWN, vm_id="2")]
    assert list(vm_faults("cloud", {"1": "web", "2": "db"}, {"1", "2"}, records)) == []
    assert list(vm_faults("cloud", {"1": "web"}, {"1"}, records)) == []


@pytest.mark.parametrize(
    ("one", "shown", "fault"),
    [
        (record(), {}, "lost"),
        (record(fate=Fate.GONE), {"1": "web"}, "told as deleted, and there"),
        (record(), {"1": "web", "2": "web"}, "doubled"),
        (record(fate=Fate.NONE, vm_id=None), {"1": "web"}, "untold"),
        (record(), {"1": "web", "2": "other"}, "untold"),
    ],
)
def test_comparison_finds_vms_that_differ_from_what_was_told(one: Record, shown: dict[str, str], fault: str) -> None:
    """By ID and name."""
    assert any(found.startswith(fault) for found in vm_faults("cloud", shown, set(shown), [one]))


def test_comparison_finds_a_list_that_differs_from_the_cloud() -> None:
    """A VM that no list shows."""
    assert list(vm_faults("cloud", {"1": "web"}, {"1", "2"}, [record()]))


def test_comparison_finds_operations_that_do_not_end() -> None:
    """Their outcome was never told."""
    one = record()
    one.pending = ("stop", "/operation/x")
    assert [found.partition(":")[0] for found in vm_faults("cloud", {"1": "web"}, {"1"}, [one])] == ["never ended"]


def test_comparison_finds_objects_that_were_not_told_as_left() -> None:
    """One that was told as removed is as bad as one that was not told."""
    one = record(fate=Fate.NONE, vm_id=None)
    one.failed("create", {"leftovers": [{"kind": "disk", "id": "d1", "removed": False}]})
    assert list(object_faults("cloud", frozenset({"disk d1"}), [one])) == []
    assert list(object_faults("cloud", frozenset({"disk d2"}), [one]))
    one.failed("create", {"leftovers": [{"kind": "disk", "id": "d1", "removed": True}]})
    assert list(object_faults("cloud", frozenset({"disk d1"}), [one]))


@pytest.mark.parametrize("kind", ["memory_mib", "threads", "sockets"])
def test_growth_beyond_its_bound_is_found(kind: str) -> None:
    """From the first third to the last, whatever a single sample says."""
    level = {"memory_mib": 100.0, "threads": 10.0, "sockets": 10.0}
    grown = {**level, kind: level[kind] + getattr(GROWTH, kind) + 1}
    assert growth_faults([Usage(**level)] * 8 + [Usage(**grown)]) == []
    assert len(growth_faults([Usage(**level)] * 5 + [Usage(**grown)] * 4)) == 1
