"""The Azure simulator's operations: links to them, how they end, and what a failure leaves."""

from urllib.parse import urlsplit

import pytest

from providers.sandbox.azure import SUBSCRIPTION, AzureSandbox, OperationLinks
from providers.sandbox.faults import Fault
from tests.sandbox.azure import Caller, refused, vm_body, vm_path

CREATE = "VirtualMachines_CreateOrUpdate"


def test_put_leads_to_its_operation_alone(azure: AzureSandbox, arm: Caller) -> None:
    """And the others to its Location, too: so recorded."""
    put = arm.create().headers
    assert "Location" not in put
    assert put["Azure-AsyncNotification"] == "Enabled"
    link = urlsplit(put["Azure-AsyncOperation"])
    assert f"{link.scheme}://{link.netloc}" == azure.url
    assert link.path.startswith(
        f"/subscriptions/{SUBSCRIPTION}/providers/Microsoft.Compute/locations/westeurope/operations/"
    )
    (name,) = azure.seed(1)
    delete = arm.call("DELETE", vm_path(name)).headers
    assert "monitor=true" in delete["Location"]
    assert "monitor" not in delete["Azure-AsyncOperation"]


def test_operation_tells_when_it_began_and_ended(azure: AzureSandbox, arm: Caller) -> None:
    """In progress without an end."""
    azure.knobs.task_seconds = 60
    response = arm.create()
    running = arm.follow(response.headers["Azure-AsyncOperation"]).json()
    assert (set(running), running["status"]) == ({"startTime", "status", "name"}, "InProgress")
    azure.finish_operations()
    ended = arm.end_of(response)
    assert (set(ended), ended["status"]) == ({"startTime", "endTime", "status", "name"}, "Succeeded")
    assert [operation.kind for operation in azure.operations()] == [CREATE]


def test_location_answers_202_until_it_is_done(azure: AzureSandbox, arm: Caller) -> None:
    """Then 204, or what a PUT has made."""
    azure.knobs.operation_links = OperationLinks.LOCATION
    azure.knobs.retry_after_seconds = 2
    azure.knobs.task_seconds = 60
    created = arm.create()
    assert "Azure-AsyncOperation" not in created.headers
    running = arm.follow(created.headers["Location"])
    assert (running.status_code, running.content, running.headers["Retry-After"]) == (202, b"", "2")
    assert urlsplit(running.headers["Location"]).path == urlsplit(created.headers["Location"]).path
    azure.finish_operations()
    done = arm.follow(created.headers["Location"])
    assert (done.status_code, done.json()["name"]) == (200, "test1")
    deleting = arm.call("DELETE", vm_path("test1"))
    azure.finish_operations()
    assert arm.follow(deleting.headers["Location"]).status_code == 204


def test_location_of_a_failed_operation_is_its_error(azure: AzureSandbox, arm: Caller) -> None:
    """As the call would have answered."""
    azure.knobs.operation_links = OperationLinks.LOCATION
    (name,) = azure.seed(1, state="deallocated")
    azure.fail_next_operation("VirtualMachines_Start", "AllocationFailed")
    started = arm.call("POST", f"{vm_path(name)}/start")
    azure.finish_operations()
    refused(arm.follow(started.headers["Location"]), 409, "AllocationFailed")


def test_links_of_the_knob_lead_elsewhere(azure: AzureSandbox, arm: Caller) -> None:
    """Where no client should follow with a token."""
    azure.knobs.operation_links = OperationLinks.AZURE_ASYNC_OPERATION
    azure.knobs.links_lead_to = "https://elsewhere.example"
    (name,) = azure.seed(1)
    headers = arm.call("POST", f"{vm_path(name)}/restart").headers
    assert headers["Azure-AsyncOperation"].startswith("https://elsewhere.example/subscriptions/")
    assert "Location" not in headers


@pytest.mark.parametrize("code", ["AllocationFailed", "ZonalAllocationFailed"])
def test_create_that_finds_no_room_leaves_vm_and_nic(azure: AzureSandbox, arm: Caller, code: str) -> None:
    """The VM has failed, was never on, and has no disk; deleting it takes the rest along."""
    azure.fail_next_operation(CREATE, code)
    end = arm.end_of(arm.create())
    assert (end["status"], end["error"]["code"]) == ("Failed", code)
    assert "sufficient capacity" in end["error"]["message"]
    assert arm.states("test1") == [f"ProvisioningState/failed/{code}"]
    assert arm.json("GET", vm_path("test1"))["properties"]["provisioningState"] == "Failed"
    assert (len(azure.network_interfaces()), azure.disks()) == (1, ())
    assert arm.deleted("test1") == "Succeeded"
    assert (azure.vms(), azure.network_interfaces()) == ((), ())


def test_start_after_a_creation_that_found_no_room_makes_the_rest(azure: AzureSandbox, arm: Caller) -> None:
    """It tries again."""
    azure.fail_next_operation(CREATE, "AllocationFailed")
    assert arm.end_of(arm.create())["status"] == "Failed"
    assert arm.done("start", "test1") == "Succeeded"
    assert arm.states("test1") == ["ProvisioningState/succeeded", "PowerState/running"]
    assert (len(azure.network_interfaces()), len(azure.disks())) == (1, 1)


def test_create_whose_guest_does_not_answer_leaves_all(azure: AzureSandbox, arm: Caller) -> None:
    """The VM runs, and has failed."""
    azure.fail_next_operation(CREATE, "OSProvisioningTimedOut")
    assert arm.end_of(arm.create())["error"]["code"] == "OSProvisioningTimedOut"
    assert arm.states("test1") == ["ProvisioningState/failed/OSProvisioningTimedOut", "PowerState/running"]
    assert (len(azure.network_interfaces()), len(azure.disks())) == (1, 1)
    assert arm.end_of(arm.create("test2"))["status"] == "Succeeded"


@pytest.mark.parametrize(
    ("verb", "kind", "before"),
    [
        ("start", "VirtualMachines_Start", "deallocated"),
        ("powerOff", "VirtualMachines_PowerOff", "running"),
        ("deallocate", "VirtualMachines_Deallocate", "running"),
        ("restart", "VirtualMachines_Restart", "running"),
    ],
)
def test_verb_that_fails_leaves_the_power_as_it_was(
    azure: AzureSandbox, arm: Caller, verb: str, kind: str, before: str
) -> None:
    """With code and message of the operation; the next one succeeds."""
    (name,) = azure.seed(1, state=before)
    azure.fail_next_operation(kind, message="Something went wrong.")
    end = arm.end_of(arm.call("POST", f"{vm_path(name)}/{verb}"))
    assert end["error"] == {"code": "InternalExecutionError", "message": "Something went wrong."}
    assert (azure.vm(name).power, azure.vm(name).provisioning, azure.vm(name).boots) == (before, "Failed", 1)
    assert arm.done(verb, name) == "Succeeded"
    assert azure.vm(name).provisioning == "Succeeded"


def test_delete_that_fails_leaves_the_vm(azure: AzureSandbox, arm: Caller) -> None:
    """All of it; the operation of a disk can fail, too."""
    (name,) = azure.seed(1)
    azure.fail_next_operation("VirtualMachines_Delete", canceled=True)
    assert arm.deleted(name) == "Canceled"
    assert (len(azure.vms()), len(azure.network_interfaces()), len(azure.disks())) == (1, 1, 1)
    assert [operation.status for operation in azure.operations("VirtualMachines_Delete")] == ["Canceled"]


def test_delete_preempts_a_creation(azure: AzureSandbox, arm: Caller) -> None:
    """Which is canceled; nothing is left."""
    azure.knobs.task_seconds = 60
    created = arm.create()
    azure.knobs.task_seconds = 0.01
    assert arm.deleted("test1") == "Succeeded"
    end = arm.end_of(created)
    assert (end["status"], end["error"]["code"]) == ("Canceled", "OperationPreempted")
    assert (azure.vms(), azure.network_interfaces(), azure.disks()) == ((), (), ())


def test_poll_of_an_unknown_operation_is_refused(arm: Caller) -> None:
    """404 of the provider."""
    path = f"/subscriptions/{SUBSCRIPTION}/providers/Microsoft.Compute/locations/westeurope/operations/none"
    refused(arm.call("GET", path), 404, "NotFound")


def test_poll_needs_a_token(azure: AzureSandbox, arm: Caller) -> None:
    """The link alone is not enough."""
    link = arm.create().headers["Azure-AsyncOperation"]
    azure.expire_tokens()
    refused(arm.follow(link), 401, "ExpiredAuthenticationToken")


def test_polls_are_counted_and_can_fail(azure: AzureSandbox, arm: Caller) -> None:
    """Under one name for all providers."""
    response = arm.create(body=vm_body())
    azure.faults.add(Fault("Operations_Get", status=503))
    assert arm.follow(response.headers["Azure-AsyncOperation"]).status_code == 503
    arm.end_of(response)
    assert azure.calls.count("Operations_Get") >= 2
