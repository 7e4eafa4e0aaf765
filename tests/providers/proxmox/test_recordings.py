"""Answers of real PVE 7 and 8, where they lie beside the project: all are read, and the simulator's look like them."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Callable
from typing import Any

import pytest

from providers.proxmox.answers import Answers, Refusal
from providers.proxmox.records import listed_vm, read_addresses, read_config, read_state, read_task, shown_vm
from tests.providers.proxmox.cluster import QEMU, Pve
from tests.support import vendor

FOLDER = vendor.RECORDINGS / "proxmox"
pytestmark = vendor.needs(FOLDER)
RELEASES = ["pve7x", "pve8x"]
NODE, ID = r"/nodes/[^/]+", r"/nodes/[^/]+/qemu/\d+"

# A number until PVE 8, and a text since it can be a property string.
EITHER = {"memory"}

Reader = Callable[[Any], object]


def _addresses(data: Any) -> object:
    return read_addresses(data["result"], frozenset())


READERS: dict[str, Reader] = {
    rf"{NODE}/qemu": lambda data: [listed_vm(read_state(one)) for one in data],
    rf"{ID}/status/current": lambda data: listed_vm(read_state(data)),
    rf"{ID}/config": lambda data: shown_vm("100", read_config(data), "running", ()),
    rf"{ID}/agent/network-get-interfaces": _addresses,
    rf"{NODE}/tasks/[^/]+/status": read_task,
    rf"{NODE}/tasks/[^/]+/log": lambda data: [str(line["t"]) for line in data],
    r"/cluster/nextid": int,
    r"/cluster/resources": lambda data: [(one.get("vmid"), one.get("node")) for one in data],
}


@functools.cache
def records(release: str) -> list[dict[str, Any]]:
    """All records of one release."""
    found: list[dict[str, Any]] = json.loads((FOLDER / f"go-proxmox-{release}.json").read_text())["records"]
    return found


def of(release: str, method: str, pattern: str, status: int = 200) -> list[dict[str, Any]]:
    """The records of one path, with an answer."""
    return [
        one
        for one in records(release)
        if one["method"] == method
        and one["status"] == status
        and re.fullmatch(pattern, one["path"])
        and isinstance(one.get("body"), dict)
    ]


class Recorded:
    """As much of a response as the reader of answers looks at."""

    def __init__(self, record: dict[str, Any]) -> None:
        self.content = json.dumps(record["body"]).encode()
        self.status_code = record["status"]
        self.reason, self.headers, self.url = "Parameter verification failed.", {"": ""}, "https://pve:8006/"
        self.request = self
        self.method = record["method"]


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize("pattern", READERS)
def test_recorded_answer_is_read(release: str, pattern: str) -> None:
    """Whatever it holds, and more than nothing."""
    found = of(release, "GET", pattern)
    if not found:
        pytest.skip("this path was not recorded")
    for record in found:
        data = Answers().loads(Recorded(record))  # type: ignore[arg-type] # as much of one as is looked at
        READERS[pattern](data)


@pytest.mark.parametrize("release", RELEASES)
def test_recorded_states_have_ids_and_words_that_are_known(release: str) -> None:
    """None of them is unknown."""
    for record in of(release, "GET", rf"{ID}/status/current"):
        vm = listed_vm(read_state(record["body"]["data"]))
        assert re.fullmatch(r"[1-9]\d{2,8}", vm.id)
        assert vm.status != "unknown"
        assert vm.cpus
        assert vm.memory_mib


@pytest.mark.parametrize("release", RELEASES)
def test_recorded_tasks_end_as_they_say(release: str) -> None:
    """Running, ended well, ended badly."""
    ends = {}
    for record in of(release, "GET", rf"{NODE}/tasks/[^/]+/status"):
        task = read_task(record["body"]["data"])
        ends[record["path"].split(":")[6]] = (task.is_running, task.succeeded)
    assert ends["running"] == (True, False)
    assert ends["completed"] == (False, True)
    assert ends["failed"] == (False, False)


@pytest.mark.parametrize("release", RELEASES)
def test_recorded_refusal_of_a_taken_id_is_understood(release: str) -> None:
    """A parameter's reason, without a message."""
    (record,) = of(release, "GET", "/cluster/nextid", 400)
    refusal = Answers().loads_errors(Recorded(record))  # type: ignore[arg-type] # as above
    assert isinstance(refusal, Refusal)
    assert refusal.parameters == {"vmid": "VM 200 already exists"}


@pytest.mark.parametrize("release", RELEASES)
def test_recorded_log_in_has_what_a_ticket_is_made_of(release: str) -> None:
    """The cookie and the CSRF token."""
    for record in of(release, "POST", "/access/ticket"):
        assert {"ticket", "CSRFPreventionToken"} <= set(record["body"]["data"])


def simulated(pve: Pve, pattern: str) -> Any:
    """What the simulator answers on a path, about a VM that runs."""
    caller = pve.stranger()
    vm_id = pve.create()
    upid = caller.data("POST", f"{QEMU}/{vm_id}/status/reset")
    paths = {
        rf"{NODE}/qemu": QEMU,
        rf"{ID}/status/current": f"{QEMU}/{vm_id}/status/current",
        rf"{ID}/config": f"{QEMU}/{vm_id}/config",
        rf"{ID}/agent/network-get-interfaces": f"{QEMU}/{vm_id}/agent/network-get-interfaces",
        rf"{NODE}/tasks/[^/]+/status": f"/nodes/pve/tasks/{upid}/status",
        rf"{NODE}/tasks/[^/]+/log": f"/nodes/pve/tasks/{upid}/log",
        r"/cluster/nextid": "/cluster/nextid",
        r"/cluster/resources": "/cluster/resources",
    }
    pve.rest()
    return caller.data("GET", paths[pattern])


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize("pattern", READERS)
def test_simulated_answer_has_the_types_of_the_recorded_one(pve: Pve, release: str, pattern: str) -> None:
    """Where both have a field, it holds the same kind of value: a number as a number, a text as a text."""
    found = of(release, "GET", pattern)
    if not found:
        pytest.skip("this path was not recorded")
    recorded = [sample for record in found for sample in samples(record["body"]["data"])]
    common = 0
    for own in samples(simulated(pve, pattern)):
        for theirs in (one for one in recorded if alike(one, own)):
            for name in (set(own) & set(theirs)) - EITHER:
                common += 1
                assert kind(own[name]) == kind(theirs[name]), (name, own[name], theirs[name])
    assert common


def samples(data: Any) -> list[dict[str, Any]]:
    """The objects in an answer; a value that is none stands for itself."""
    if isinstance(data, dict):
        inner = data.get("result", data)
        return samples(inner) if inner is not data else [data]
    return [sample for one in data for sample in samples(one)] if isinstance(data, list) else [{"": data}]


def alike(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether two entries are about the same kind of thing (a node's are not a VM's)."""
    return one.get("type") == other.get("type") or not {"type"} <= set(one) & set(other) or "upid" in one


def kind(value: object) -> str:
    """What JSON calls it; booleans and numbers are one to Perl."""
    return "number" if isinstance(value, int | float) else type(value).__name__
