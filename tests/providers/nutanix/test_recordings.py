"""What real Prisms have answered is understood, where recordings of it lie beside the project."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
import requests

from providers.domain import VMStatus
from providers.errors import (
    BackendFailureError,
    ConflictError,
    CredentialsRejectedError,
    PermissionDeniedError,
    ProviderError,
    UnprocessableError,
    VMNotFoundError,
)
from providers.nutanix import shapes_v3, shapes_v4
from providers.nutanix.answers import PrismError, answer_of
from providers.nutanix.failures import translate
from tests.support import vendor

FOLDER = vendor.RECORDINGS / "nutanix"
recorded_only = vendor.needs(FOLDER)

MEANINGS: dict[tuple[str, int], type[ProviderError]] = {
    ("v3", 401): CredentialsRejectedError,
    ("v3", 403): PermissionDeniedError,
    ("v3", 422): UnprocessableError,
    ("v4 vmm", 404): VMNotFoundError,
    ("v4", 412): ConflictError,
    ("v4 (namespace/version not served)", 404): UnprocessableError,
    ("v2.0", 500): BackendFailureError,
}


def interactions(name: str) -> list[Any]:
    """The exchanges of a recording."""
    found: list[Any] = json.loads((FOLDER / name).read_text())["interactions"]
    return found


def body_of(name: str, part: str) -> Any:
    """The body of the first answer to a request whose address has this in it."""
    return next(one["response"]["body"] for one in interactions(name) if part in one["request"]["uri"])


VM = "GET /api/vmm/v4.0/ahv/config/vms/5021c8f5-3b1a-4a5e-9a52-6d1b9c1f0d11"


def response(status: int, body: object, operation: str = VM) -> requests.Response:
    """An answer."""
    method, path = operation.split(" ")
    answer = requests.Response()
    answer.status_code = status
    answer._content = json.dumps(body).encode()  # requests offers no other way to make one
    answer.url = f"https://prism.example:9440{path}"
    answer.request = requests.Request(method, answer.url).prepare()
    return answer


@recorded_only
def test_v3_vm_of_a_list_is_understood() -> None:
    """A VM that is off, with an address."""
    listed = body_of("v3_ListVM.json", "/vms/list")
    vm = shapes_v3.machine_of(listed["entities"][0]).vm
    assert (vm.id, vm.name, vm.status) == ("bdbbad7a-a401-4f9a-a789-2b8406905b56", "test-vm", VMStatus.STOPPED)
    assert (vm.cpus, vm.memory_mib, vm.ip_addresses) == (1, 1024, ("10.23.129.96",))
    assert vm.created_at == datetime(2025, 6, 7, 18, 23, 52, tzinfo=UTC)


@recorded_only
def test_v3_vm_that_is_shown_is_understood() -> None:
    """By itself."""
    found = [one["response"]["body"] for one in interactions("v3_GetVM.json") if one["response"]["status"] == 200]
    assert found
    assert all(shapes_v3.machine_of(one).id == one["metadata"]["uuid"] for one in found)


@recorded_only
def test_v3_create_is_understood() -> None:
    """Its task, and the VM's id."""
    submitted = shapes_v3.submitted_of(body_of("v3_CreateVM.json", "/vms"))
    assert submitted.vm_id == "bdbbad7a-a401-4f9a-a789-2b8406905b56"
    assert submitted.task == "e074cb94-1123-4dca-82b0-b842f019a825"


@recorded_only
def test_v3_subnet_is_understood() -> None:
    """Its name and id."""
    subnet = shapes_v3.network_of(body_of("v3_GetSubnet.json", "/subnets/"))
    assert subnet.id == "c7938dc6-7659-453e-a688-e26020c68e43"
    assert subnet.name


@recorded_only
def test_v4_vm_is_understood() -> None:
    """From a Prism Central of pc.2024.3."""
    data = body_of("v4_refresher_targeted_vm.json", "/vmm/v4.0/ahv/config/vms/")["data"]
    vm = shapes_v4.machine_of(data).vm
    assert vm.id == "69a6d1c5-79b6-4178-a529-46238569eeb2"
    assert vm.status in {VMStatus.RUNNING, VMStatus.STOPPED}
    assert vm.cpus
    assert vm.memory_mib
    assert vm.created_at is not None


@recorded_only
def test_errors_of_real_prisms_mean_what_they_say() -> None:
    """One of each shape."""
    items = json.loads((FOLDER / "errors_from_issue_threads.json").read_text())["items"]
    for item in items:
        with pytest.raises(PrismError) as caught:
            answer_of(response(item["status"], item["body"]))
        meaning = translate(caught.value)
        assert type(meaning) is MEANINGS[item["api"], item["status"]], item
        assert meaning.backend is not None
        assert meaning.backend.code


@pytest.mark.parametrize(
    ("status", "body", "meaning"),
    [
        (500, {"message": "vm 5021c8f5-3b1a-4a5e-9a52-6d1b9c1f0d11 does not exist"}, VMNotFoundError),
        (404, None, VMNotFoundError),
        (409, {"state": "ERROR", "code": 409, "message_list": [{"message": "Edit conflict"}]}, ConflictError),
        (423, {"message": "locked"}, ConflictError),
        (422, {"state": "ERROR", "message_list": [{"reason": "INVALID_REQUEST", "message": "x"}]}, UnprocessableError),
        (400, {"data": {"error": {"validationErrorMessages": [{"message": "is wrong"}]}}}, UnprocessableError),
        (502, {"message": "vm 5021c8f5-3b1a-4a5e-9a52-6d1b9c1f0d11 does not exist"}, BackendFailureError),
        (500, ["what", "is", "this"], BackendFailureError),
        (500, {"data": {"error": "text"}, "message_list": ["text"], "error_code": 7}, BackendFailureError),
        (418, {"message": "short and stout"}, UnprocessableError),
    ],
)
def test_refusal_means_what_it_says(status: int, body: object, meaning: type[ProviderError]) -> None:
    """Also in shapes that nobody has documented."""
    with pytest.raises(PrismError) as caught:
        answer_of(response(status, body))
    assert type(translate(caught.value)) is meaning


@pytest.mark.parametrize(
    ("operation", "meaning"),
    [
        ("GET /api/nutanix/v3/vms/5021c8f5-3b1a-4a5e-9a52-6d1b9c1f0d11", VMNotFoundError),
        ("POST /api/nutanix/v3/vms", UnprocessableError),
        ("GET /api/nutanix/v3/tasks/5021c8f5-3b1a-4a5e-9a52-6d1b9c1f0d11", BackendFailureError),
    ],
)
def test_entity_that_is_not_found_is_what_the_operation_is_about(operation: str, meaning: type[ProviderError]) -> None:
    """The VM; what a VM is to be made of; or a task, which says nothing of its VM."""
    body = {"state": "ERROR", "message_list": [{"reason": "ENTITY_NOT_FOUND", "message": "It does not exist."}]}
    with pytest.raises(PrismError) as caught:
        answer_of(response(404, body, operation))
    assert type(translate(caught.value)) is meaning


@pytest.mark.parametrize("status", [200, 202, 204])
def test_answer_that_is_no_object_is_a_backend_error(status: int) -> None:
    """A list, or nothing."""
    with pytest.raises(BackendFailureError):
        answer_of(response(status, ["x"]))


def test_answer_without_what_was_asked_for_is_a_backend_error() -> None:
    """JSON, of another form."""
    with pytest.raises(BackendFailureError, match="form"):
        answer_of(response(200, {"data": {}})).read(lambda said: shapes_v4.machine_of(said["data"]))
