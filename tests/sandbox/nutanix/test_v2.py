"""The simulated Prism Element by v2.0: VMs from create to delete, power, strict bodies, tasks that fail."""

from collections.abc import Iterator

import pytest

from providers.sandbox.authority import Authority
from providers.sandbox.nutanix import (
    CONTAINER,
    HOSTS,
    IMAGE_DISK_UUID,
    IMAGE_NAME,
    IMAGE_UUID,
    NETWORK,
    UNMANAGED_NETWORK,
    NutanixSandbox,
)
from tests.sandbox.nutanix.client import GIB, UNKNOWN, USER_DATA, V2, Caller, v2_made, v2_vm
from tests.support.waiting import wait_until


@pytest.fixture(scope="module")
def running(authority: Authority) -> Iterator[NutanixSandbox]:
    """One simulator for all tests of this module."""
    with NutanixSandbox(authority, task_seconds=0.02) as sandbox:
        yield sandbox


def switch(user: Caller, vm: str, transition: str) -> tuple[str, str]:
    """How the task of a transition ends, and in which words."""
    task = user.v2_done("POST", f"/vms/{vm}/set_power_state", {"transition": transition})
    return task["progress_status"], task["meta_response"].get("error_detail", "")


def test_lifecycle_of_a_vm_works_from_create_to_delete(prism: NutanixSandbox, user: Caller) -> None:
    """Made off, powered on, deleted while it runs; nothing is left."""
    vm = v2_made(user)
    assert prism.vm(vm).state == "OFF"
    assert switch(user, vm, "ON") == ("Succeeded", "")
    shown = user.data("GET", f"{V2}/vms/{vm}", include_vm_nic_config="true", include_vm_disk_config="true")
    assert (shown["power_state"], shown["num_vcpus"], shown["memory_mb"]) == ("on", 2, 1024)
    assert shown["host_uuid"] in HOSTS
    assert shown["vm_nics"][0]["ip_address"].startswith("10.42.")
    assert shown["vm_disk_info"][0]["size"] == 8 * GIB
    assert shown["vm_disk_info"][0]["source_disk_address"] == {"vmdisk_uuid": IMAGE_DISK_UUID}
    assert user.v2_done("DELETE", f"/vms/{vm}?delete_snapshots=true")["progress_status"] == "Succeeded"
    assert (prism.vms(), prism.disks()) == ((), ())


def test_user_data_reaches_the_guest_as_it_was_sent(prism: NutanixSandbox, user: Caller) -> None:
    """Nothing is decoded: base64 would reach it as base64."""
    assert prism.user_data(v2_made(user)) == USER_DATA
    vm = v2_made(user, vm_customization_config={"userdata": "I2Nsb3VkLWNvbmZpZw=="})
    assert prism.user_data(vm) == b"I2Nsb3VkLWNvbmZpZw=="


def test_list_shows_vms_of_all_hosts_on_or_off(prism: NutanixSandbox, user: Caller) -> None:
    """In one answer; parts only when they are asked for; the other address is the same."""
    seeded = [*prism.seed(3), *prism.seed(2, prefix="off", state="OFF")]
    answer = user.data("GET", f"{V2}/vms/")
    assert [vm["uuid"] for vm in answer["entities"]] == seeded
    assert {vm["host_uuid"] for vm in answer["entities"]} == {*HOSTS, None}
    assert answer["metadata"]["grand_total_entities"] == 5
    assert not {"vm_nics", "vm_disk_info"} & answer["entities"][0].keys()
    with_parts = user.data("GET", "/api/nutanix/v2.0/vms", include_vm_nic_config="true")["entities"]
    assert with_parts[0]["vm_nics"][0]["mac_address"].startswith("50:6b:8d:")


def test_task_tells_its_vm_once_it_runs(prism: NutanixSandbox, user: Caller) -> None:
    """Queued without one, then running with it."""
    prism.knobs.queue_seconds, prism.knobs.task_seconds = 0.4, 0.4
    task = user.data("POST", f"{V2}/vms", v2_vm())["task_uuid"]
    queued = user.data("GET", f"{V2}/tasks/{task}")
    assert (queued["progress_status"], queued["entity_list"], queued["percentage_complete"]) == ("Queued", None, 0)
    wait_until(lambda: user.data("GET", f"{V2}/tasks/{task}")["progress_status"] == "Running")
    assert user.data("GET", f"{V2}/tasks/{task}")["entity_list"][0]["entity_type"] == "VM"
    wait_until(lambda: user.data("GET", f"{V2}/tasks/{task}")["progress_status"] == "Succeeded")


def test_tasks_are_listed_by_entity_and_state(prism: NutanixSandbox, user: Caller) -> None:
    """Newest first; those that have ended only if they are asked for. A copy has a task of its own kind."""
    vm, other = v2_made(user), v2_made(user)
    user.v2_done("POST", f"/vms/{vm}/set_power_state", {"transition": "ON"})
    wanted = {"entity_list": [{"entity_id": vm, "entity_type": "VM"}]}
    listed = user.data("POST", f"{V2}/tasks/list", {**wanted, "include_completed": True})["entities"]
    assert [task["operation_type"] for task in listed] == ["VmChangePowerState", "VmCreate"]
    assert user.data("POST", f"{V2}/tasks/list", wanted)["entities"] == []
    assert len(user.data("POST", f"{V2}/tasks/list", {"include_completed": True, "count": 2})["entities"]) == 2
    prism.knobs.queue_seconds = 30.0
    copy = prism.clone(other)
    (queued,) = user.data("POST", f"{V2}/tasks/list", {})["entities"]
    assert (queued["operation_type"], queued["entity_list"][0]["entity_id"]) == ("VmClone", copy)
    assert user.call("POST", f"{V2}/tasks/list", {"entities": []}).status_code == 400


@pytest.mark.parametrize("path", [f"/vms/{UNKNOWN}", f"/tasks/{UNKNOWN}", f"/images/{UNKNOWN}", "/vms/nonsense"])
def test_show_of_what_is_not_there_is_a_500_with_its_own_code(prism: NutanixSandbox, user: Caller, path: str) -> None:
    """Or a 404, on releases that know better."""
    response = user.call("GET", V2 + path)
    assert (response.status_code, response.json()["error_code"]["code"]) == (500, 1202)
    assert "does not exist" in response.json()["message"]
    prism.knobs.v2_not_found_status = 404
    assert user.call("GET", V2 + path).status_code == 404


@pytest.mark.parametrize(
    ("changes", "status", "word"),
    [
        ({"colour": "red"}, 400, "colour"),
        ({"num_vcpus": "two"}, 400, "num_vcpus"),
        ({"name": None}, 400, "name"),
        ({"num_vcpus": 0}, 500, "num_vcpus"),
        ({"memory_mb": 0}, 500, "memory_mb"),
        ({"name": " "}, 500, "name"),
        ({"vm_nics": [{"network_uuid": UNKNOWN}]}, 500, UNKNOWN),
        ({"vm_nics": [{"network_uuid": NETWORK, "speed": 1}]}, 400, "speed"),
        ({"vm_disks": [{"vm_disk_clone": {"disk_address": {"vmdisk_uuid": UNKNOWN}}}]}, 500, UNKNOWN),
        ({"vm_disks": [{"disk_address": {"device_bus": "SCSI"}}]}, 500, "vm_disk_create"),
        ({"vm_customization_config": {"user_data": "x"}}, 400, "user_data"),
    ],
)
def test_create_that_cannot_be_is_refused_before_there_is_a_task(
    prism: NutanixSandbox, user: Caller, changes: dict[str, object], status: int, word: str
) -> None:
    """With what is wrong in the message."""
    response = user.call("POST", f"{V2}/vms", v2_vm(**changes))
    assert response.status_code == status
    assert word in response.json()["message"]
    assert prism.tasks() == ()


@pytest.mark.parametrize(
    ("state", "transition", "refused"),
    [
        ("ON", "ON", "On"),
        ("OFF", "OFF", "Off"),
        ("OFF", "ACPI_SHUTDOWN", "Off"),
        ("OFF", "RESET", "Off"),
        ("SUSPENDED", "ON", "Suspended"),
        ("ON", "RESUME", "On"),
    ],
)
def test_transition_that_the_state_does_not_allow_fails_its_task(
    prism: NutanixSandbox, user: Caller, state: str, transition: str, refused: str
) -> None:
    """In Acropolis's words, with its number."""
    (vm,) = prism.seed(1, state=state)
    task = user.v2_done("POST", f"/vms/{vm}/set_power_state", {"transition": transition})
    assert task["progress_status"] == "Failed"
    assert task["meta_response"]["error_code"] == 17
    assert f"InvalidVmState: Cannot complete request in state {refused}" in task["meta_response"]["error_detail"]
    assert prism.vm(vm).state == state


def test_transition_into_the_present_state_can_be_made_harmless(prism: NutanixSandbox, user: Caller) -> None:
    """By a knob."""
    (vm,) = prism.seed(1)
    prism.knobs.power_is_idempotent = True
    assert switch(user, vm, "ON") == ("Succeeded", "")
    assert prism.vm(vm).boots == 1


@pytest.mark.parametrize(
    ("transition", "state", "boots"),
    [
        ("RESET", "ON", 2),
        ("POWERCYCLE", "ON", 2),
        ("PAUSE", "PAUSED", 1),
        ("SUSPEND", "SUSPENDED", 1),
        ("OFF", "OFF", 1),
    ],
)
def test_transition_does_what_it_says(
    prism: NutanixSandbox, user: Caller, transition: str, state: str, boots: int
) -> None:
    """To a VM that runs."""
    (vm,) = prism.seed(1)
    assert switch(user, vm, transition) == ("Succeeded", "")
    assert (prism.vm(vm).state, prism.vm(vm).boots) == (state, boots)


def test_acpi_button_is_heeded_in_the_guests_own_time(prism: NutanixSandbox, user: Caller) -> None:
    """The task ends when the button has been pressed; a guest may ignore it."""
    heeds, ignores, reboots = prism.seed(3)
    prism.ignore_shutdown(ignores)
    prism.knobs.guest_seconds = 0.3
    for vm in (heeds, ignores):
        assert switch(user, vm, "ACPI_SHUTDOWN") == ("Succeeded", "")
    assert switch(user, reboots, "ACPI_REBOOT") == ("Succeeded", "")
    assert prism.vm(heeds).state == "ON"
    wait_until(lambda: prism.vm(heeds).state == "OFF")
    wait_until(lambda: prism.vm(reboots).boots == 2)
    assert prism.vm(ignores).state == "ON"


def test_power_state_under_way_is_shown_as_such(prism: NutanixSandbox, user: Caller) -> None:
    """As `powering_on`."""
    (vm,) = prism.seed(1, state="OFF")
    prism.knobs.task_seconds = 0.5
    user.data("POST", f"{V2}/vms/{vm}/set_power_state", {"transition": "ON"})
    assert user.data("GET", f"{V2}/vms/{vm}")["power_state"] == "powering_on"
    wait_until(lambda: bool(user.data("GET", f"{V2}/vms/{vm}")["power_state"] == "on"))


def test_power_on_goes_to_the_host_that_is_named(prism: NutanixSandbox, user: Caller) -> None:
    """And one that there is not is refused."""
    (vm,) = prism.seed(1, state="OFF")
    wrong = user.call("POST", f"{V2}/vms/{vm}/set_power_state", {"transition": "ON", "host_uuid": UNKNOWN})
    assert wrong.status_code == 500
    user.v2_done("POST", f"/vms/{vm}/set_power_state", {"transition": "ON", "host_uuid": HOSTS[1]})
    assert prism.vm(vm).host == HOSTS[1]


@pytest.mark.parametrize("step", ["create", "clone"])
def test_create_that_is_to_fail_leaves_nothing(prism: NutanixSandbox, user: Caller, step: str) -> None:
    """Unless it is to fail after its work."""
    prism.fail_next_task(step, "kNfsError")
    task = user.v2_done("POST", "/vms", v2_vm())
    assert (task["progress_status"], task["meta_response"]["error_detail"]) == ("Failed", "kNfsError")
    assert prism.vms() == ()
    prism.fail_next_task("create", "kTimeout", work_done=True)
    assert user.v2_done("POST", "/vms", v2_vm())["progress_status"] == "Failed"
    assert [vm.name for vm in prism.vms()] == ["test1"]


def test_clone_of_a_broken_image_fails_its_task(prism: NutanixSandbox, user: Caller) -> None:
    """As often as it is tried."""
    prism.break_image(IMAGE_UUID)
    assert user.v2_done("POST", "/vms", v2_vm())["progress_status"] == "Failed"
    assert "clone" in user.v2_done("POST", "/vms", v2_vm())["meta_response"]["error_detail"]
    assert prism.vms() == ()


def test_resources_are_used_up_and_given_back(prism: NutanixSandbox, user: Caller) -> None:
    """Space by disks, memory by VMs that run."""
    prism.knobs.free_disk_bytes, prism.knobs.free_memory_bytes = 8 * GIB, GIB
    vm = v2_made(user)
    assert "NoSpace" in user.v2_done("POST", "/vms", v2_vm())["meta_response"]["error_detail"]
    assert switch(user, vm, "ON") == ("Succeeded", "")
    diskless = v2_made(user, vm_disks=[])
    assert "NoHostResources" in switch(user, diskless, "ON")[1]
    assert switch(user, vm, "OFF") == ("Succeeded", "")
    assert switch(user, diskless, "ON") == ("Succeeded", "")
    user.v2_done("DELETE", f"/vms/{vm}")
    assert prism.knobs.free_disk_bytes == 8 * GIB


def test_tasks_about_one_vm_come_one_after_the_other(prism: NutanixSandbox, user: Caller) -> None:
    """The second of two deletes finds no VM."""
    (vm,) = prism.seed(1)
    prism.knobs.task_seconds = 0.4
    tasks = [user.data("DELETE", f"{V2}/vms/{vm}")["task_uuid"] for _ in range(2)]
    wait_until(lambda: all(task.status in {"SUCCEEDED", "FAILED"} for task in prism.tasks()))
    statuses = [user.data("GET", f"{V2}/tasks/{task}")["progress_status"] for task in tasks]
    assert statuses == ["Succeeded", "Failed"]


def test_update_changes_name_and_size(prism: NutanixSandbox, user: Caller) -> None:
    """A running VM can only grow."""
    (vm,) = prism.seed(1)
    task = user.v2_done("PUT", f"/vms/{vm}", {"name": "test2", "memory_mb": 4096, "description": "x"})
    assert task["progress_status"] == "Succeeded"
    assert (prism.vm(vm).name, prism.vm(vm).memory_mib, prism.vm(vm).description) == ("test2", 4096, "x")
    assert user.v2_done("PUT", f"/vms/{vm}", {"memory_mb": 1024})["progress_status"] == "Failed"
    assert user.call("PUT", f"{V2}/vms/{vm}", {"memory_mb": 0}).status_code == 500


def test_update_of_a_vm_that_has_changed_since_fails(prism: NutanixSandbox, user: Caller) -> None:
    """Where the caller tells the logical timestamp that it has seen."""
    (vm,) = prism.seed(1)
    seen = user.data("GET", f"{V2}/vms/{vm}")["vm_logical_timestamp"]
    body = {"description": "mine", "vm_logical_timestamp": seen}
    prism.touch(vm)
    assert user.v2_done("PUT", f"/vms/{vm}", body)["progress_status"] == "Failed"
    body["vm_logical_timestamp"] += 1
    assert user.v2_done("PUT", f"/vms/{vm}", body)["progress_status"] == "Succeeded"
    assert prism.vm(vm).description == "mine"


def test_settings_are_shown_as_they_were_set(user: Caller) -> None:
    """Those that mean nothing here, too; what is not simulated is refused."""
    vm = v2_made(user, ha_priority=5, boot={"boot_device_order": ["DISK"], "uefi_boot": True})
    user.v2_done("PUT", f"/vms/{vm}", {"vm_features": {"AGENT_VM": True}})
    shown = user.data("GET", f"{V2}/vms/{vm}")
    assert (shown["ha_priority"], shown["boot"]) == (5, {"boot_device_order": ["DISK"], "uefi_boot": True})
    assert shown["vm_features"] == {"AGENT_VM": True}
    customization = {"userdata_path": "adsf:///default-container/user-data"}
    assert user.call("POST", f"{V2}/vms", v2_vm(vm_customization_config=customization)).status_code == 400


def test_addresses_are_assigned_or_learned(prism: NutanixSandbox, user: Caller) -> None:
    """A managed network assigns one unless it is told not to; another's shows while the guest runs."""
    none = v2_made(user, vm_nics=[{"network_uuid": NETWORK, "request_ip": False}])
    wanted = v2_made(user, vm_nics=[{"network_uuid": NETWORK, "request_ip": True, "requested_ip_address": "10.42.9.9"}])
    learned = v2_made(user, vm_nics=[{"network_uuid": UNMANAGED_NETWORK}])
    assert [prism.vm(vm).ip_addresses for vm in (none, wanted, learned)] == [(), ("10.42.9.9",), ()]
    switch(user, learned, "ON")
    assert prism.vm(learned).ip_addresses[0].startswith("10.43.")


def test_things_are_listed_and_shown(user: Caller) -> None:
    """Images with their disks, networks, storage containers, hosts, the cluster."""
    images = {image["name"]: image for image in user.data("GET", f"{V2}/images")["entities"]}
    assert (images[IMAGE_NAME]["vm_disk_id"], images[IMAGE_NAME]["vm_disk_size"]) == (IMAGE_DISK_UUID, None)
    sized = user.data("GET", f"{V2}/images/{IMAGE_UUID}", include_vm_disk_sizes="true")
    assert sized["vm_disk_size"] == 2 * GIB
    assert [network["uuid"] for network in user.data("GET", f"{V2}/networks")["entities"]] == [
        NETWORK,
        UNMANAGED_NETWORK,
    ]
    assert user.data("GET", f"{V2}/storage_containers/{CONTAINER}")["storage_container_uuid"] == CONTAINER
    assert [host["uuid"] for host in user.data("GET", f"{V2}/hosts")["entities"]] == list(HOSTS)
    cluster = user.data("GET", f"{V2}/cluster")
    assert (cluster["cluster_functions"], cluster["num_nodes"]) == (["NDFS"], 2)


def test_call_that_is_not_simulated_is_not_found(user: Caller) -> None:
    """404 for a path, 405 for a method, 415 for what is not JSON."""
    assert user.call("GET", f"{V2}/snapshots").status_code == 404
    assert user.call("PATCH", f"{V2}/vms").status_code == 405
    response = user.session.post(f"{user.url}{V2}/vms", data="<vm/>", verify=user.ca_file, timeout=10)
    assert response.status_code == 415
    for path in ("/api/nutanix/v3/clusters/list", "/api/vmm/v4.0/ahv/config/vms", "/api/vmm/unversioned/info"):
        assert user.call("OPTIONS", path).status_code == 404
