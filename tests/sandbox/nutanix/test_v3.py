"""The simulated Prism Central by v3: intents, spec versions, lists by parts, errors with their reasons."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from providers.sandbox.authority import Authority
from providers.sandbox.nutanix import (
    CENTRAL,
    CLUSTER,
    CONTAINER,
    IMAGE_NAME,
    IMAGE_UUID,
    NETWORK,
    NETWORK_NAME,
    SECOND_CLUSTER,
    SECOND_NETWORK,
    NutanixSandbox,
)
from tests.sandbox.nutanix.client import UNKNOWN, USER_DATA, V3, Caller, v3_made, v3_vm
from tests.support.waiting import wait_until


@pytest.fixture(scope="module")
def running(authority: Authority) -> Iterator[NutanixSandbox]:
    """One simulator of an old Central for all tests of this module."""
    with NutanixSandbox(authority, kind="central", versions=("v3",), clusters=2, task_seconds=0.02) as sandbox:
        yield sandbox


def shown(user: Caller, vm: str) -> Any:
    """A VM as it is shown, to be sent back."""
    value = user.data("GET", f"{V3}/vms/{vm}")
    del value["status"]
    return value


def reason(response: Any) -> tuple[int, str]:
    """The status and the reason of an error."""
    body = response.json()
    assert (body["state"], body["code"], body["api_version"]) == ("ERROR", response.status_code, "3.1")
    return response.status_code, body["message_list"][0]["reason"]


def test_lifecycle_of_a_vm_works_from_create_to_delete(prism: NutanixSandbox, user: Caller) -> None:
    """Pending, then complete and running by one task; deleted, and nothing is left."""
    prism.knobs.task_seconds = 1.0
    answer = user.call("POST", f"{V3}/vms", v3_vm())
    assert (answer.status_code, answer.json()["status"]["state"]) == (202, "PENDING")
    vm = answer.json()["metadata"]["uuid"]
    assert user.data("GET", f"{V3}/vms/{vm}")["status"]["state"] == "PENDING"
    wait_until(lambda: bool(user.data("GET", f"{V3}/vms/{vm}")["status"]["state"] == "COMPLETE"))
    resources = user.data("GET", f"{V3}/vms/{vm}")["status"]["resources"]
    assert (resources["power_state"], resources["num_sockets"], resources["memory_size_mib"]) == ("ON", 2, 1024)
    assert resources["nic_list"][0]["ip_endpoint_list"][0]["type"] == "ASSIGNED"
    assert prism.user_data(vm) == USER_DATA
    deleting = user.call("DELETE", f"{V3}/vms/{vm}")
    assert (deleting.status_code, deleting.json()["status"]["state"]) == (202, "DELETE_PENDING")
    wait_until(lambda: user.call("GET", f"{V3}/vms/{vm}").status_code == 404)
    assert (prism.vms(), prism.disks(), prism.unmade()) == ((), (), ())


def test_list_comes_in_parts_of_500_at_most(prism: NutanixSandbox, user: Caller) -> None:
    """Twenty unless more are asked for."""
    seeded = prism.seed(600)
    assert user.data("POST", f"{V3}/vms/list", {})["metadata"]["length"] == 20
    first = user.data("POST", f"{V3}/vms/list", {"kind": "vm", "length": 500, "offset": 0})
    second = user.data("POST", f"{V3}/vms/list", {"kind": "vm", "length": 500, "offset": 500})
    assert (first["metadata"]["total_matches"], second["metadata"]["length"]) == (600, 100)
    assert [vm["metadata"]["uuid"] for vm in first["entities"] + second["entities"]] == seeded
    assert reason(user.call("POST", f"{V3}/vms/list", {"length": 501})) == (422, "INVALID_REQUEST")


def test_list_can_be_filtered_and_sorted(prism: NutanixSandbox, user: Caller) -> None:
    """By name; another filter is refused, and another kind."""
    prism.seed(3)
    found = user.data("POST", f"{V3}/vms/list", {"filter": "vm_name==vm-0002"})
    assert [vm["spec"]["name"] for vm in found["entities"]] == ["vm-0002"]
    by_name = {"sort_attribute": "name", "sort_order": "DESCENDING"}
    ordered = user.data("POST", f"{V3}/vms/list", by_name)["entities"]
    assert [vm["spec"]["name"] for vm in ordered] == ["vm-0003", "vm-0002", "vm-0001"]
    assert reason(user.call("POST", f"{V3}/vms/list", {"filter": "colour==red"})) == (422, "INVALID_ARGUMENT")
    assert reason(user.call("POST", f"{V3}/vms/list", {"kind": "image"})) == (422, "INVALID_REQUEST")


def test_update_takes_back_what_was_shown(prism: NutanixSandbox, user: Caller) -> None:
    """The whole spec with one thing changed; another spec version is the next's."""
    vm = v3_made(user)
    disk, mac = prism.vm(vm).disks[0].uuid, prism.vm(vm).macs[0]
    body = shown(user, vm)
    body["spec"]["resources"]["power_state"] = "OFF"
    body["spec"]["description"] = "x"
    assert user.v3_done("PUT", f"/vms/{vm}", body)["status"] == "SUCCEEDED"
    after = prism.vm(vm)
    assert (after.state, after.description, after.spec_version) == ("OFF", "x", 1)
    assert (after.disks[0].uuid, after.macs[0]) == (disk, mac)
    assert prism.user_data(vm) == USER_DATA


def test_update_with_an_old_spec_version_is_a_conflict(prism: NutanixSandbox, user: Caller) -> None:
    """Or with none; a fresh one works."""
    (vm,) = prism.seed(1)
    body = shown(user, vm)
    prism.touch(vm)
    assert reason(user.call("PUT", f"{V3}/vms/{vm}", body)) == (409, "CONCURRENT_REQUESTS_NOT_ALLOWED")
    del body["metadata"]["spec_version"]
    assert user.call("PUT", f"{V3}/vms/{vm}", body).status_code == 409
    assert user.v3_done("PUT", f"/vms/{vm}", shown(user, vm))["status"] == "SUCCEEDED"


def test_update_by_acpi_waits_for_the_guest(prism: NutanixSandbox, user: Caller) -> None:
    """Whose ignoring fails the task after a while."""
    heeds, ignores = prism.seed(2)
    prism.ignore_shutdown(ignores)
    prism.knobs.acpi_wait_seconds = 0.2
    statuses = []
    for vm in (heeds, ignores):
        body = shown(user, vm)
        body["spec"]["resources"] |= {"power_state": "OFF", "power_state_mechanism": {"mechanism": "ACPI"}}
        statuses.append(user.v3_done("PUT", f"/vms/{vm}", body)["status"])
    assert statuses == ["SUCCEEDED", "FAILED"]
    assert (prism.vm(heeds).state, prism.vm(ignores).state) == ("OFF", "ON")
    assert user.data("GET", f"{V3}/vms/{ignores}")["status"]["state"] == "ERROR"


@pytest.mark.parametrize(("path", "boots"), [("reset", 2), ("power_cycle", 2), ("acpi_reboot", 2)])
def test_restart_starts_the_guest_again(prism: NutanixSandbox, user: Caller, path: str, boots: int) -> None:
    """By the calls that v3 has for it."""
    (vm,) = prism.seed(1)
    assert user.v3_done("POST", f"/vms/{vm}/{path}", {})["status"] == "SUCCEEDED"
    wait_until(lambda: prism.vm(vm).boots == boots)


def test_version_of_a_vm_tells_whether_it_was_changed(prism: NutanixSandbox, user: Caller) -> None:
    """1 after its creation, as recorded; more after a start by whichever API, also when it is off again."""
    vm = v3_made(user, v3_vm(power_state="OFF"))
    assert user.data("GET", f"{V3}/vms/{vm}")["metadata"]["entity_version"] == "1"
    prism.set_state(vm, "ON")
    prism.set_state(vm, "OFF")
    assert user.data("GET", f"{V3}/vms/{vm}")["metadata"]["entity_version"] == "3"


def test_create_that_fails_leaves_an_intent_in_error(prism: NutanixSandbox, user: Caller) -> None:
    """It is listed and shown until it is deleted."""
    prism.fail_next_task("clone", "kNfsError")
    task = user.v3_done("POST", "/vms", v3_vm())
    assert (task["status"], task["error_detail"]) == ("FAILED", "kNfsError")
    (listed,) = user.data("POST", f"{V3}/vms/list", {})["entities"]
    assert (listed["status"]["state"], listed["status"]["message_list"][0]["message"]) == ("ERROR", "kNfsError")
    asked_at = datetime.fromisoformat(listed["metadata"]["creation_time"])
    assert abs(datetime.now(UTC) - asked_at) < timedelta(minutes=10)
    vm = listed["metadata"]["uuid"]
    assert (prism.vms(), prism.unmade()) == ((), (vm,))
    assert user.v3_done("DELETE", f"/vms/{vm}")["status"] == "SUCCEEDED"
    assert prism.unmade() == ()


def test_create_whose_power_on_fails_leaves_the_vm(prism: NutanixSandbox, user: Caller) -> None:
    """Off, and its intent in error."""
    prism.fail_next_task("power", "NoHostResources: none")
    assert user.v3_done("POST", "/vms", v3_vm())["status"] == "FAILED"
    (vm,) = prism.vms()
    assert vm.state == "OFF"
    assert user.data("GET", f"{V3}/vms/{vm.uuid}")["status"]["state"] == "ERROR"


@pytest.mark.parametrize(
    "resources",
    [
        {"disk_list": [{"data_source_reference": {"kind": "image", "uuid": UNKNOWN}}]},
        {"nic_list": [{"subnet_reference": {"kind": "subnet", "uuid": UNKNOWN}}]},
        {"nic_list": [{"subnet_reference": {"kind": "subnet", "uuid": SECOND_NETWORK}}]},
    ],
)
def test_create_of_what_is_not_there_fails_its_task(
    prism: NutanixSandbox, user: Caller, resources: dict[str, Any]
) -> None:
    """Also when it is there on another cluster."""
    task = user.v3_done("POST", "/vms", v3_vm(**resources))
    assert (task["status"], "does not exist" in task["error_detail"]) == ("FAILED", True)
    assert prism.vms() == ()


@pytest.mark.parametrize(
    ("resources", "why"),
    [
        ({"colour": "red"}, "INVALID_REQUEST"),
        ({"num_sockets": 0}, "INVALID_REQUEST"),
        ({"memory_size_mib": "1024"}, "INVALID_REQUEST"),
        ({"power_state": "on"}, "INVALID_REQUEST"),
        ({"memory_size_mib": None}, "INVALID_ARGUMENT"),
        ({"disk_list": [{}]}, "INVALID_ARGUMENT"),
        ({"disk_list": [{"disk_size_mib": 1, "disk_size_bytes": 9 << 20}]}, "INVALID_ARGUMENT"),
        ({"nic_list": [{}]}, "INVALID_ARGUMENT"),
        ({"guest_customization": {"cloud_init": {"user_data": "#cloud-config"}}}, "INVALID_ARGUMENT"),
        ({"guest_customization": {"cloud_init": {"user_data": "A" * 128001}}}, "INVALID_REQUEST"),
    ],
)
def test_create_that_cannot_be_is_refused(
    prism: NutanixSandbox, user: Caller, resources: dict[str, Any], why: str
) -> None:
    """422, before there is a task."""
    assert reason(user.call("POST", f"{V3}/vms", v3_vm(**resources))) == (422, why)
    assert prism.tasks() == ()


def test_settings_are_shown_as_they_were_set_and_last(user: Caller) -> None:
    """Over an update that does not speak of them."""
    settings: dict[str, Any] = {"machine_type": "Q35", "disable_branding": True, "guest_os_id": "x"}
    vm = v3_made(user, v3_vm(**settings))
    body = shown(user, vm)
    for name in settings:
        del body["spec"]["resources"][name]
    assert user.v3_done("PUT", f"/vms/{vm}", body)["status"] == "SUCCEEDED"
    resources = shown(user, vm)["spec"]["resources"]
    assert {name: resources[name] for name in settings} == settings


def test_create_with_status_or_without_kind_is_refused_with_details(user: Caller) -> None:
    """What was unexpected, and what is required."""
    body = {**v3_vm(), "status": {}, "metadata": {}}
    details = user.call("POST", f"{V3}/vms", body).json()["message_list"][0]["details"]
    assert details["metadata"] == ["'kind' is a required property"]
    assert details[""] == ["Additional properties are not allowed ('status' was unexpected)"]


def test_create_on_two_clusters_needs_one_of_them(prism: NutanixSandbox, user: Caller) -> None:
    """Named, existing, and not the Central itself."""
    body = v3_vm(cluster=SECOND_CLUSTER, nic_list=[])
    assert prism.vm(v3_made(user, body)).cluster == SECOND_CLUSTER
    for cluster in (UNKNOWN, CENTRAL):
        assert reason(user.call("POST", f"{V3}/vms", v3_vm(cluster=cluster))) == (422, "INVALID_ARGUMENT")
    del body["spec"]["cluster_reference"]
    assert reason(user.call("POST", f"{V3}/vms", body)) == (422, "INVALID_ARGUMENT")


def test_update_of_the_hardware_keeps_what_is_named_and_makes_what_is_new(prism: NutanixSandbox, user: Caller) -> None:
    """A NIC goes, a disk grows, another comes; none shrinks, and the customization stays as it was."""
    vm = v3_made(user, v3_vm(power_state="OFF"))
    kept = prism.vm(vm).disks[0].uuid
    body = shown(user, vm)
    resources = body["spec"]["resources"]
    resources["nic_list"] = []
    resources["disk_list"][0] |= {"disk_size_mib": 10240, "disk_size_bytes": 10240 << 20}
    resources["disk_list"].append({"disk_size_mib": 512, "storage_config": _in_container()})
    assert user.v3_done("PUT", f"/vms/{vm}", body)["status"] == "SUCCEEDED"
    disks = prism.vm(vm).disks
    assert [(disk.size_bytes >> 20, disk.index) for disk in disks] == [(10240, 0), (512, 1)]
    assert (disks[0].uuid, prism.vm(vm).macs) == (kept, ())
    body = shown(user, vm)
    body["spec"]["resources"]["disk_list"][0] |= {"disk_size_mib": 1, "disk_size_bytes": 1 << 20}
    assert user.call("PUT", f"{V3}/vms/{vm}", body).status_code == 422
    customized = shown(user, vm)
    customized["spec"]["resources"]["guest_customization"] = {"cloud_init": {"user_data": "eA=="}}
    assert user.call("PUT", f"{V3}/vms/{vm}", customized).status_code == 422


def _in_container() -> dict[str, Any]:
    return {"storage_container_reference": {"kind": "storage_container", "uuid": CONTAINER}}


@pytest.mark.parametrize("path", [f"/vms/{UNKNOWN}", f"/tasks/{UNKNOWN}", f"/images/{UNKNOWN}", f"/subnets/{UNKNOWN}"])
def test_show_of_what_is_not_there_is_not_found(user: Caller, path: str) -> None:
    """With its reason."""
    assert reason(user.call("GET", V3 + path)) == (404, "ENTITY_NOT_FOUND")


def test_things_are_listed(user: Caller) -> None:
    """Images, subnets of both clusters, hosts, and clusters, of which one is the Central itself."""
    images = user.data("POST", f"{V3}/images/list", {"filter": f"name=={IMAGE_NAME}"})["entities"]
    assert [image["metadata"]["uuid"] for image in images] == [IMAGE_UUID]
    subnets = user.data("POST", f"{V3}/subnets/list", {"kind": "subnet", "filter": f"name=={NETWORK_NAME}"})["entities"]
    assert [subnet["metadata"]["uuid"] for subnet in subnets] == [NETWORK, SECOND_NETWORK]
    clusters = user.data("POST", f"{V3}/clusters/list", {"kind": "cluster"})["entities"]
    services = {found["metadata"]["uuid"]: found["status"]["resources"]["config"]["service_list"] for found in clusters}
    assert services == {CENTRAL: ["PRISM_CENTRAL"], CLUSTER: ["AOS"], SECOND_CLUSTER: ["AOS"]}
    assert len(user.data("POST", f"{V3}/hosts/list", {})["entities"]) == 3


def test_old_central_speaks_no_v4(user: Caller) -> None:
    """And says in v2.0 only what it is."""
    assert user.call("OPTIONS", "/api/vmm/unversioned/info").status_code == 404
    cluster = user.call("GET", "/PrismGateway/services/rest/v2.0/cluster")
    assert cluster.json()["cluster_functions"] == ["MULTICLUSTER"]
    assert cluster.headers["X-Ntnx-Env"] == "pc"
    assert user.call("GET", "/PrismGateway/services/rest/v2.0/vms").status_code == 404
