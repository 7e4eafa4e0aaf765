"""Answers that are not as they should be: of a proxy, a broken service, a newer release, or a page that moved."""

from __future__ import annotations

import copy
import json
import time
from collections.abc import Iterator
from email.utils import formatdate
from typing import Any

import pytest
import requests

from providers.errors import BackendFailureError, ProviderError, ThrottledError
from providers.sandbox.faults import Fault
from providers.sandbox.nutanix import PASSWORD, USER
from tests.providers.nutanix.prism import GET, LIST, START, Prism

PATHS = {"v2": "/PrismGateway/services/rest/v2.0/vms", "v3": "/api/nutanix/v3/vms/list"}
V4_PATH = "/api/vmm/v4.0/ahv/config/vms"
ENTRIES = {"v2": "entities", "v3": "entities", "v4": "data"}
TOTAL = {"v3": "total_matches", "v4": "totalAvailableResults"}
NEEDED: dict[str, set[tuple[Any, ...]]] = {
    "v2": {("uuid",)},
    "v3": {("metadata",), ("metadata", "uuid")},
    "v4": {("extId",)},
}
BODIES = [
    *(b"", b"null", b"[]", b'"x"', b"\xff", b'{"entities":[', b"[" * 100_000, b"{}", b"<html></html>"),
    *(b'{"message_list":5}', b'{"message_list":{"a":1}}', b'{"message_list":[{"message":1,"details":{"a":null}}]}'),
    *(b'{"data":{"error":5}}', b'{"data":{"error":[{"validationErrorMessages":5}]}}', b'{"error_code":7}'),
    *(b'{"data":{"error":[{"message":{"a":1}}]}}', b'{"code":null,"message":null}', b'{"data":[null]}'),
]


@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize("status", [400, 404, 422, 500])
def test_refusal_in_any_form_is_an_error_of_the_cloud(prism: Prism, status: int, body: bytes) -> None:
    """Whatever a service says with an error's status, a fault of ours is never the answer."""
    prism.sandbox.faults.add(Fault(LIST[prism.api], times=None, status=status, body=body))
    with pytest.raises(ProviderError):
        prism.gateway().list_vms()


@pytest.mark.parametrize("total", [1e9, 10**18, "many", {}, 1e300])
@pytest.mark.parametrize("prism", ["v3", "v4"], indirect=True)
def test_list_with_a_total_that_cannot_be_is_a_backend_error(prism: Prism, total: object) -> None:
    """It is not believed, and no page is asked for."""
    body = {ENTRIES[prism.api]: [], "metadata": {TOTAL[prism.api]: total}}
    prism.sandbox.faults.add(Fault(LIST[prism.api], body=json.dumps(body).encode()))
    with pytest.raises(BackendFailureError):
        prism.gateway().list_vms()
    assert prism.operations() == [LIST[prism.api]]


def test_list_survives_the_lack_of_each_field(prism: Prism) -> None:
    """Of a VM nothing but its id has to be there; everything else may be missing or null."""
    (vm_id,) = prism.sandbox.seed(1)
    # Else the driver would keep to v4's pace, for a minute.
    prism.sandbox.knobs.lists_per_second = 10_000
    answer = listed(prism)
    (entry,) = answer[ENTRIES[prism.api]]
    tried = 0
    for path in paths_of(entry):
        if path in NEEDED[prism.api]:
            continue
        for null in (False, True) if isinstance(path[-1], str) else (False,):
            lacking = without(entry, path, null=null)
            body = json.dumps({**answer, ENTRIES[prism.api]: [lacking]}).encode()
            prism.sandbox.faults.add(Fault(LIST[prism.api], body=body))
            assert [vm.id for vm in prism.gateway().list_vms()] == [vm_id], path
            tried += 1
    assert tried > 20


def test_change_of_a_vm_without_an_etag_is_asked_for_once(central: Prism) -> None:
    """A proxy may have taken the header away; to look at the VM again would not bring it back."""
    (vm_id,) = central.sandbox.seed(1, state="OFF")
    (entry,) = listed(central)["data"]
    central.sandbox.faults.add(Fault(GET["v4"], times=None, body=json.dumps({"data": entry}).encode()))
    with pytest.raises(ProviderError):
        central.gateway().start_vm(vm_id)
    assert central.operations() == [GET["v4"], START["v4"]]
    assert central.states() == {vm_id: "OFF"}


@pytest.mark.parametrize("prism", ["v3", "v4"], indirect=True)
def test_list_without_a_total_is_one_page(prism: Prism) -> None:
    """The total is optional; a page that is not full is the last."""
    (vm_id,) = prism.sandbox.seed(1)
    answer = listed(prism)
    del answer["metadata"][TOTAL[prism.api]]
    prism.sandbox.faults.add(Fault(LIST[prism.api], body=json.dumps(answer).encode()))
    assert [vm.id for vm in prism.gateway().list_vms()] == [vm_id]


def test_list_with_a_vm_on_two_pages_has_it_once(prism: Prism) -> None:
    """VMs that are made meanwhile move others to the next page."""
    (vm_id,) = prism.sandbox.seed(1)
    answer = listed(prism)
    answer[ENTRIES[prism.api]] *= 2
    prism.sandbox.faults.add(Fault(LIST[prism.api], body=json.dumps(answer).encode()))
    assert [vm.id for vm in prism.gateway().list_vms()] == [vm_id]


def test_list_with_much_to_read_is_read(prism: Prism) -> None:
    """Five hundred VMs with 64 KiB of description each, which somebody else has written."""
    (vm_id,) = prism.sandbox.seed(1)
    answer = listed(prism)
    (entry,) = answer[ENTRIES[prism.api]]
    described = entry["status"] if prism.api == "v3" else entry
    described["description"] = '{"cloudvm": ' * 5_000
    answer[ENTRIES[prism.api]] = [entry] * 500
    prism.sandbox.faults.add(Fault(LIST[prism.api], body=json.dumps(answer).encode()))
    assert [(vm.id, vm.tags) for vm in prism.gateway().list_vms()] == [(vm_id, {})]


@pytest.mark.parametrize(
    ("retry_after", "least", "most"),
    [(lambda: "7", 7, 7), (lambda: formatdate(time.time() + 30, usegmt=True), 20, 31), (lambda: "9" * 12, 3600, 3600)],
)
def test_throttled_list_passes_on_when_to_come_back(prism: Prism, retry_after: Any, least: float, most: float) -> None:
    """As seconds or as a date, and not in a thousand years."""
    headers = {"Retry-After": retry_after()}
    prism.sandbox.faults.add(Fault(LIST[prism.api], status=429, message="Too many", headers=headers))
    with pytest.raises(ThrottledError) as caught:
        prism.gateway().list_vms()
    assert least <= (caught.value.retry_after_seconds or 0) <= most


@pytest.mark.parametrize("word", ["\xb2", "-1", "soon", "", "1" * 40, f"Mon, 1 Jan {'9' * 20} 00:00:00 GMT"])
def test_headers_that_are_no_numbers_are_not_believed(prism: Prism, word: str) -> None:
    """A superscript two is a digit, says Python, and no number."""
    prism.sandbox.seed(1)
    rates = {f"X-Api-Ratelimit-{name}": word for name in ("Limit", "Refresh-Period-Seconds", "Remaining")}
    body = json.dumps(listed(prism)).encode()
    prism.sandbox.faults.add(Fault(LIST[prism.api], body=body, headers=rates))
    assert len(prism.gateway().list_vms()) == 1
    prism.sandbox.faults.add(Fault(LIST[prism.api], status=429, message="Too many", headers={"Retry-After": word}))
    with pytest.raises(ThrottledError) as caught:
        prism.gateway().list_vms()
    assert caught.value.retry_after_seconds is None


@pytest.mark.parametrize("period", ["900", "9" * 12, "9" * 18])
def test_rate_of_a_long_period_that_is_used_up_is_told_and_not_waited_for(central: Prism, period: str) -> None:
    """A request is not held for a quarter of an hour, let alone for as long as no clock counts."""
    body = json.dumps(listed(central)).encode()
    names = {"Limit": "2", "Refresh-Period-Seconds": period, "Remaining": "0"}
    rates = {f"X-Api-Ratelimit-{name}": value for name, value in names.items()}
    central.sandbox.faults.add(Fault(LIST["v4"], body=body, headers=rates))
    central.gateway().list_vms()
    with pytest.raises(ThrottledError) as caught:
        central.gateway().list_vms()
    assert 800 < (caught.value.retry_after_seconds or 0) <= 3600
    assert central.operations() == [LIST["v4"]]


def listed(prism: Prism) -> dict[str, Any]:
    """The list as the Prism itself answers it."""
    method, path = ("POST", PATHS["v3"]) if prism.api == "v3" else ("GET", PATHS.get(prism.api, V4_PATH))
    body = {"kind": "vm"} if prism.api == "v3" else None
    url = prism.sandbox.url + path
    found: dict[str, Any] = requests.request(
        method, url, json=body, auth=(USER, PASSWORD), verify=prism.ca_file, timeout=10
    ).json()
    prism.sandbox.calls.clear()
    return found


def paths_of(value: Any, above: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where there is something in a JSON value."""
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in children:
        yield (*above, key)
        yield from paths_of(child, (*above, key))


def without(value: Any, path: tuple[Any, ...], *, null: bool = False) -> Any:
    """A copy that lacks what is at a path, or has null there."""
    changed = copy.deepcopy(value)
    place = changed
    for key in path[:-1]:
        place = place[key]
    if null:
        place[path[-1]] = None
    else:
        del place[path[-1]]
    return changed
