"""The simulated Prism Central by v4: pages, ETags, request ids, rate limits, types that must be said."""

import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from providers.sandbox.authority import Authority
from providers.sandbox.nutanix import (
    CENTRAL,
    CLUSTER,
    CONTAINER,
    IMAGE_NAME,
    IMAGE_UUID,
    ISO_UUID,
    NETWORK,
    NETWORK_NAME,
    SECOND_CLUSTER,
    SECOND_CONTAINER,
    SECOND_NETWORK,
    NutanixSandbox,
)
from tests.sandbox.nutanix.client import GIB, TASKS, UNKNOWN, USER_DATA, VMM, VMS, Caller, v4_made, v4_vm
from tests.support.threads import at_once
from tests.support.waiting import wait_until

CONFIG = "vmm.v4.ahv.config"


@pytest.fixture(scope="module")
def running(authority: Authority) -> Iterator[NutanixSandbox]:
    """One simulator of a Central with two clusters for all tests of this module."""
    with NutanixSandbox(authority, kind="central", clusters=2, task_seconds=0.02) as sandbox:
        yield sandbox


def group(response: Any) -> tuple[int, str]:
    """The status and the group of an error of a namespace."""
    data = response.json()["data"]
    assert data["$objectType"] == "vmm.v4.error.ErrorResponse"
    return response.status_code, data["error"][0]["errorGroup"]


def violations(response: Any) -> list[str]:
    """Where an error of the schema says that something is wrong."""
    assert response.status_code == 400, response.text
    error = response.json()["data"]["error"]
    assert error["$objectType"] == "vmm.v4.error.SchemaValidationError"
    return [message["attributePath"] for message in error["validationErrorMessages"]]


def test_lifecycle_of_a_vm_works_from_create_to_delete(prism: NutanixSandbox, user: Caller) -> None:
    """Made off even if asked otherwise, powered on by its ETag, deleted; nothing is left."""
    vm = v4_made(user, powerState="ON")
    answer = user.call("GET", f"{VMS}/{vm}")
    data = answer.json()["data"]
    assert (data["powerState"], data["numSockets"], data["memorySizeBytes"]) == ("OFF", 2, GIB)
    assert "host" not in data
    assert prism.user_data(vm) == USER_DATA
    task = user.act(vm, "power-on")
    assert (task["status"], task["operation"], task["progressPercentage"]) == ("SUCCEEDED", "PowerOnVm", 100)
    assert task["entitiesAffected"][0] == {**task["entitiesAffected"][0], "extId": vm, "rel": "vmm:ahv:config:vm"}
    assert user.data("GET", f"{VMS}/{vm}")["data"]["host"]["extId"] == prism.vm(vm).host
    assert user.v4_done("DELETE", f"{VMS}/{vm}", etag=user.etag(vm))["status"] == "SUCCEEDED"
    assert group(user.call("GET", f"{VMS}/{vm}")) == (404, "VM_NOT_FOUND")
    assert (prism.vms(), prism.disks()) == ((), ())


def test_list_comes_in_pages_of_100_at_most(prism: NutanixSandbox, user: Caller) -> None:
    """Fifty by default; the total is told, and ways to other pages; a page too far has no data."""
    seeded = prism.seed(250)
    assert len(user.data("GET", VMS)["data"]) == 50
    pages = [user.data("GET", VMS, _page=page, _limit=100) for page in range(3)]
    assert [vm["extId"] for page in pages for vm in page["data"]] == seeded
    assert {page["metadata"]["totalAvailableResults"] for page in pages} == {250}
    links = {link["rel"]: link["href"] for link in pages[1]["metadata"]["links"]}
    assert {"self", "first", "last", "prev", "next"} == links.keys()
    beyond = user.call("GET", links["next"].removeprefix(prism.url)).json()
    assert [vm["extId"] for vm in beyond["data"]] == seeded[200:]
    too_far = user.data("GET", VMS, _page=3, _limit=100)
    assert ("data" in too_far, too_far["metadata"]["totalAvailableResults"]) == (False, 250)


@pytest.mark.parametrize(
    ("query", "where"),
    [
        ({"_limit": 101}, "$limit"),
        ({"_limit": 0}, "$limit"),
        ({"_page": -1}, "$page"),
        ({"_page": "x"}, "$page"),
        ({"_filter": "colour eq 'red'"}, "$filter"),
        ({"_filter": "name == 'x'"}, "$filter"),
        ({"_orderby": "powerState"}, "$orderby"),
    ],
)
def test_list_with_a_wrong_query_is_refused(user: Caller, query: dict[str, Any], where: str) -> None:
    """400, with what is wrong."""
    assert violations(user.call("GET", VMS, **query)) == [where]


@pytest.mark.parametrize(
    ("expression", "names"),
    [
        ("name eq 'vm-0002'", ["vm-0002"]),
        ("startswith(name, 'vm')", ["vm-0001", "vm-0002"]),
        ("name eq 'it''s-0001'", ["it's-0001"]),
        (f"cluster/extId eq '{SECOND_CLUSTER}'", ["it's-0001"]),
        ("powerState eq Vmm.Ahv.Config.PowerState'OFF'", ["it's-0001"]),
        ("powerState eq 'ON' and name eq 'vm-0001'", ["vm-0001"]),
        ("name eq 'nobody'", []),
    ],
)
def test_list_can_be_filtered(prism: NutanixSandbox, user: Caller, expression: str, names: list[str]) -> None:
    """By what the documents say."""
    prism.seed(2)
    prism.seed(1, prefix="it's", state="OFF", cluster=SECOND_CLUSTER)
    answer = user.data("GET", VMS, _filter=expression)
    assert [vm["name"] for vm in answer.get("data", [])] == names
    assert answer["metadata"]["totalAvailableResults"] == len(names)


def test_list_can_be_filtered_by_uuid_ordered_and_reduced(prism: NutanixSandbox, user: Caller) -> None:
    """What is not selected is not there; types always are."""
    first, second = prism.seed(2)
    (found,) = user.data("GET", VMS, _filter=f"extId eq '{second}'", _select="extId,name,cluster/extId")["data"]
    assert found.keys() == {"extId", "name", "cluster", "$objectType", "$reserved"}
    ordered = user.data("GET", VMS, _orderby="name desc")["data"]
    assert [vm["extId"] for vm in ordered] == [second, first]


def test_write_without_request_id_is_refused(prism: NutanixSandbox, user: Caller) -> None:
    """Before all else."""
    assert group(user.call("POST", VMS, v4_vm())) == (400, "VM_MISSING_REQUEST_ID_HEADER")
    (vm,) = prism.seed(1)
    assert user.call("DELETE", f"{VMS}/{vm}", headers={"If-Match": user.etag(vm)}).status_code == 400
    assert prism.tasks() == ()


def test_request_id_that_comes_again_gives_the_same_task(prism: NutanixSandbox, user: Caller) -> None:
    """Even at once, and when the ETag is an old one by then; another user's is another."""
    headers = {"NTNX-Request-Id": str(uuid.uuid4())}
    answers = at_once(8, lambda _: user.call("POST", VMS, v4_vm(), headers).json()["data"]["extId"])
    assert len(set(answers)) == 1
    task = user.v4_task(answers[0])
    assert len(prism.vms()) == 1
    vm = task["entitiesAffected"][0]["extId"]
    again = {"NTNX-Request-Id": str(uuid.uuid4()), "If-Match": user.etag(vm)}
    tasks = set()
    for _ in range(2):
        tasks.add(user.call("POST", f"{VMS}/{vm}/$actions/power-on", headers=again).json()["data"]["extId"])
        user.v4_task(next(iter(tasks)))
    assert len(tasks) == 1
    prism.add_user("other", "secret")
    other = Caller(user.url, user.ca_file, ("other", "secret"))
    assert other.call("POST", VMS, v4_vm(), headers).json()["data"]["extId"] != answers[0]


def test_write_needs_the_present_etag(prism: NutanixSandbox, user: Caller) -> None:
    """428 without, 412 with an old one or with what is none."""
    (vm,) = prism.seed(1)
    path = f"{VMS}/{vm}/$actions/power-off"
    old = user.etag(vm)
    assert prism.etag(vm) == old
    prism.touch(vm)
    assert user.write("POST", path).status_code == 428
    assert group(user.write("POST", path, etag=old)) == (412, "VM_ETAG_MISMATCH")
    assert user.write("POST", path, etag="*").json()["code"] == "PLAT-10005"
    assert user.write("DELETE", f"{VMS}/{vm}", etag=old).status_code == 412
    assert user.act(vm, "power-off")["status"] == "SUCCEEDED"


def test_newer_version_takes_writes_without_etag(authority: Authority) -> None:
    """From 4.3 on, actions and deletes; an ETag that is given must still match."""
    with NutanixSandbox(authority, kind="central", versions=("v4.3",), task_seconds=0) as newer:
        user, (vm,) = Caller(newer.url, str(authority.ca_file)), newer.seed(1)
        path = f"{VMS}/{vm}".replace("v4.0", "v4.3")
        old = newer.etag(vm)
        assert user.write("POST", f"{path}/$actions/power-off").status_code == 202
        assert newer.vm(vm).state == "OFF"
        assert user.write("DELETE", path, etag=old).status_code == 412
        assert user.write("DELETE", path).status_code == 202
        assert newer.vms() == ()
        assert user.call("GET", VMS).status_code == 404


@pytest.mark.parametrize("version", ["v4.1", "v4.2"])
def test_versions_lead_to_the_same_vms(prism: NutanixSandbox, user: Caller, version: str) -> None:
    """And to the same demands."""
    (vm,) = prism.seed(1)
    path = f"{VMS}/{vm}".replace("v4.0", version)
    assert user.data("GET", path)["data"]["extId"] == vm
    assert user.write("DELETE", path).status_code == 428


def test_settings_are_shown_as_they_were_set(user: Caller) -> None:
    """Those that mean nothing here, too."""
    settings = {"isBrandingEnabled": False, "machineType": "Q35", "categories": [{"extId": UNKNOWN}]}
    shown = user.data("GET", f"{VMS}/{v4_made(user, **settings)}")["data"]
    assert {name: shown[name] for name in settings} == settings
    assert violations(user.write("POST", VMS, v4_vm(gpus=[{}]))) == ["gpus[0]"]


def test_update_takes_back_what_is_shown(prism: NutanixSandbox, user: Caller) -> None:
    """With another description; a copy says of what it is one."""
    vm = v4_made(user)
    copy = prism.clone(vm)
    wait_until(lambda: copy in {one.uuid for one in prism.vms()})
    for one in (vm, copy):
        shown = user.data("GET", f"{VMS}/{one}")["data"]
        assert shown.get("source", {}).get("extId") == (vm if one == copy else None)
        etag = user.etag(one)
        task = user.v4_done("PUT", f"{VMS}/{one}", {**shown, "description": "mine"}, etag)
        assert task["status"] == "SUCCEEDED", task
        assert (prism.vm(one).description, prism.vm(one).name) == ("mine", shown["name"])
        assert user.write("PUT", f"{VMS}/{one}", shown, etag).status_code == 412


def test_etag_that_grows_stale_in_the_queue_fails_the_task(prism: NutanixSandbox, user: Caller) -> None:
    """Two writers at once have the same one: one of them gets through."""
    (vm,) = prism.seed(1)
    prism.knobs.task_seconds = 0.5
    etag = user.etag(vm)
    answers = at_once(2, lambda _: user.write("POST", f"{VMS}/{vm}/$actions/power-off", etag=etag))
    tasks = [user.v4_task(answer.json()["data"]["extId"]) for answer in answers]
    assert sorted(task["status"] for task in tasks) == ["FAILED", "SUCCEEDED"]
    (failed,) = [task for task in tasks if task["status"] == "FAILED"]
    assert failed["errorMessages"][0]["errorGroup"] == "VM_ETAG_MISMATCH"


@pytest.mark.parametrize(
    ("changes", "where"),
    [
        ({"colour": "red"}, ["colour"]),
        ({"name": None}, ["name"]),
        ({"name": "x" * 81}, ["name"]),
        ({"numSockets": 0, "memorySizeBytes": "1"}, ["numSockets", "memorySizeBytes"]),
        ({"cluster": None}, ["cluster"]),
        ({"cluster": {"extId": "sandbox-1"}}, ["cluster.extId"]),
        ({"disks": [{"backingInfo": {"diskSizeBytes": GIB}}]}, ["disks[0].backingInfo"]),
        ({"nics": [{"networkInfo": {"subnet": {}}}]}, ["nics[0].networkInfo.subnet.extId"]),
        ({"guestCustomization": {"config": {"cloudInitScript": {}}}}, ["guestCustomization.config"]),
    ],
)
def test_create_with_a_wrong_body_is_refused(
    prism: NutanixSandbox, user: Caller, changes: dict[str, Any], where: list[str]
) -> None:
    """400, with each place that is wrong; an object of several possible types must say its own."""
    assert violations(user.write("POST", VMS, v4_vm(**changes))) == where
    assert prism.tasks() == ()


@pytest.mark.parametrize(("value", "status"), [("#cloud-config", 422), ("A" * 128004, 400), ("QQ" * 64000, 202)])
def test_user_data_must_be_base64_of_bounded_length(user: Caller, value: str, status: int) -> None:
    """128,000 characters."""
    script = {"$objectType": f"{CONFIG}.Userdata", "value": value}
    customization = {"config": {"$objectType": f"{CONFIG}.CloudInit", "cloudInitScript": script}}
    assert user.write("POST", VMS, v4_vm(guestCustomization=customization)).status_code == status


def _cloned(image: str) -> list[dict[str, Any]]:
    source = {"reference": {"$objectType": f"{CONFIG}.ImageReference", "imageExtId": image}}
    return [{"backingInfo": {"$objectType": f"{CONFIG}.VmDisk", "dataSource": source}}]


@pytest.mark.parametrize(
    "changes",
    [
        {"cluster": {"extId": UNKNOWN}},
        {"nics": [{"networkInfo": {"subnet": {"extId": UNKNOWN}}}]},
        {"nics": [{"networkInfo": {"subnet": {"extId": SECOND_NETWORK}}}]},
        {"disks": _cloned(UNKNOWN)},
    ],
)
def test_create_of_what_is_not_there_fails_its_task(
    prism: NutanixSandbox, user: Caller, changes: dict[str, Any]
) -> None:
    """With a message."""
    task = user.v4_done("POST", VMS, v4_vm(**changes))
    assert (task["status"], "does not exist" in task["errorMessages"][0]["message"]) == ("FAILED", True)
    assert prism.vms() == ()


def test_create_takes_parts_in_their_newer_forms(prism: NutanixSandbox, user: Caller) -> None:
    """NICs of 4.2, a CD-ROM, a storage container, UEFI."""
    nic = {
        "nicBackingInfo": {"$objectType": f"{CONFIG}.VirtualEthernetNic", "macAddress": "50:6b:8d:aa:bb:cc"},
        "nicNetworkInfo": {
            "$objectType": f"{CONFIG}.VirtualEthernetNicNetworkInfo",
            "subnet": {"extId": NETWORK},
            "ipv4Config": {"shouldAssignIp": True, "ipAddress": {"value": "10.42.7.7"}},
        },
    }
    empty = {
        "backingInfo": {
            "$objectType": f"{CONFIG}.VmDisk",
            "diskSizeBytes": GIB,
            "storageContainer": {"extId": CONTAINER},
        }
    }
    cd_rom = {"diskAddress": {"busType": "SATA"}, "backingInfo": _cloned(ISO_UUID)[0]["backingInfo"]}
    boot = {"$objectType": f"{CONFIG}.UefiBoot"}
    vm = prism.vm(v4_made(user, nics=[nic], disks=[empty], cdRoms=[cd_rom], bootConfig=boot))
    assert (vm.macs, vm.ip_addresses, vm.firmware) == (("50:6b:8d:aa:bb:cc",), ("10.42.7.7",), "UEFI")
    assert [(disk.bus, disk.is_cdrom, disk.container) for disk in vm.disks] == [
        ("SCSI", False, CONTAINER),
        ("SATA", True, CONTAINER),
    ]
    shown = user.data("GET", f"{VMS}/{vm.uuid}")["data"]
    assert (len(shown["disks"]), len(shown["cdRoms"])) == (1, 1)


@pytest.mark.parametrize(
    ("action", "state", "boots"),
    [
        ("power-off", "OFF", 1),
        ("shutdown", "OFF", 1),
        ("reboot", "ON", 2),
        ("reset", "ON", 2),
        ("power-cycle", "ON", 2),
    ],
)
def test_action_does_what_it_says(prism: NutanixSandbox, user: Caller, action: str, state: str, boots: int) -> None:
    """To a VM that runs; a guest takes its time."""
    (vm,) = prism.seed(1)
    assert user.act(vm, action)["status"] == "SUCCEEDED"
    wait_until(lambda: (prism.vm(vm).state, prism.vm(vm).boots) == (state, boots))


def test_guest_action_needs_the_guests_tools(prism: NutanixSandbox, user: Caller) -> None:
    """With them it works, with options or without."""
    (vm,) = prism.seed(1)
    assert user.act(vm, "guest-shutdown")["errorMessages"][0]["errorGroup"] == "VM_GUEST_TOOLS_NOT_INSTALLED"
    prism.install_tools(vm)
    assert user.act(vm, "guest-reboot")["status"] == "SUCCEEDED"
    wait_until(lambda: prism.vm(vm).boots == 2)
    options = {"guestPowerStateTransitionConfig": {"shouldEnableScriptExec": False}}
    path = f"{VMS}/{vm}/$actions/guest-shutdown"
    assert user.v4_done("POST", path, options, user.etag(vm))["status"] == "SUCCEEDED"
    wait_until(lambda: prism.vm(vm).state == "OFF")
    assert violations(user.write("POST", path, {"colour": 1}, user.etag(vm))) == ["colour"]


def test_action_that_the_state_does_not_allow_fails_its_task(prism: NutanixSandbox, user: Caller) -> None:
    """As on an Element."""
    (vm,) = prism.seed(1)
    task = user.act(vm, "power-on")
    assert (task["status"], task["errorMessages"][0]["errorGroup"]) == ("FAILED", "VM_INVALID_POWER_STATE")
    assert "InvalidVmState" in task["legacyErrorMessage"]


def test_rate_limits_are_told_and_can_be_enforced(prism: NutanixSandbox, user: Caller) -> None:
    """Per call and second."""
    headers = user.call("GET", VMS).headers
    assert (headers["X-Api-Ratelimit-Limit"], headers["X-Api-Ratelimit-Refresh-Period-Seconds"]) == ("2", "1")
    prism.knobs.enforces_rate_limits = True
    answers = [user.call("GET", VMS) for _ in range(8)]
    refused = [answer for answer in answers if answer.status_code == 429]
    assert group(refused[0]) == (429, "RATE_LIMIT_EXCEEDED")
    assert refused[0].headers["X-Api-Ratelimit-Remaining"] == "0"
    assert any(answer.ok for answer in answers)


def test_task_is_found_by_its_whole_id_only(prism: NutanixSandbox, user: Caller) -> None:
    """Prefix and uuid."""
    task = user.write("POST", VMS, v4_vm()).json()["data"]["extId"]
    prefix, _, bare = task.partition(":")
    assert prefix == "ZXJnb24="
    assert user.call("GET", f"{TASKS}/{bare}").status_code == 404
    assert user.call("GET", f"{TASKS}/{prefix}:{UNKNOWN}").status_code == 404
    assert user.call("GET", f"{TASKS}/ZXJnb24%3D%3A{bare}").ok


def test_tasks_are_listed_by_the_entity_that_they_affect(prism: NutanixSandbox, user: Caller) -> None:
    """Newest first, with their operation. A copy has a task of its own kind."""
    vm = v4_made(user)
    v4_made(user)
    user.act(vm, "power-on")
    condition = f"entitiesAffected/any(a:a/extId eq '{vm}')"
    listed = user.data("GET", TASKS, _filter=condition)["data"]
    assert [task["operation"] for task in listed] == ["PowerOnVm", "CreateVm"]
    copy = prism.clone(vm)
    (cloning,) = user.data("GET", TASKS, _filter=f"entitiesAffected/any(one:one/extId eq '{copy}')")["data"]
    assert cloning["operation"] == "CloneVm"
    assert user.call("GET", TASKS, _filter="entitiesAffected/any(a:a/rel eq 'x')").status_code == 400


def test_things_are_listed_and_shown(user: Caller) -> None:
    """Images, subnets, storage containers, hosts, and clusters, of which one is the Central itself."""
    (image,) = user.data("GET", f"{VMM}/content/images", _filter=f"name eq '{IMAGE_NAME}'")["data"]
    assert (image["extId"], image["type"]) == (IMAGE_UUID, "DISK_IMAGE")
    assert user.data("GET", f"{VMM}/content/images/{ISO_UUID}")["data"]["type"] == "ISO_IMAGE"
    named = user.data("GET", "/api/networking/v4.0/config/subnets", _filter=f"name eq '{NETWORK_NAME}'")["data"]
    assert {subnet["extId"]: subnet["clusterReference"] for subnet in named} == {
        NETWORK: CLUSTER,
        SECOND_NETWORK: SECOND_CLUSTER,
    }
    clusters = user.data("GET", "/api/clustermgmt/v4.0/config/clusters")["data"]
    functions = {cluster["extId"]: cluster["config"]["clusterFunction"] for cluster in clusters}
    assert functions == {CENTRAL: ["PRISM_CENTRAL"], CLUSTER: ["AOS"], SECOND_CLUSTER: ["AOS"]}
    containers = user.data("GET", "/api/clustermgmt/v4.0/config/storage-containers")["data"]
    assert [container["containerExtId"] for container in containers] == [CONTAINER, SECOND_CONTAINER]
    assert len(user.data("GET", "/api/clustermgmt/v4.0/config/hosts")["data"]) == 3


def test_call_that_is_not_served_is_not_found(user: Caller) -> None:
    """Another version, another namespace, another path; the newest version is told."""
    for path in (
        "/api/vmm/v4.9/ahv/config/vms",
        "/api/prism/v4.0/ahv/config/vms",
        f"{VMM}/ahv/config/gpus",
        "/api/iam/v4.0/x",
    ):
        response = user.call("GET", path)
        assert response.status_code == 404
        assert response.json()["message"].startswith("The requested URL was not found on the server.")
    assert user.call("PATCH", VMS).status_code == 405
    assert user.data("OPTIONS", "/api/vmm/unversioned/info")["data"] == "v4.2"


def test_central_answers_v3_about_the_same_vms(prism: NutanixSandbox, user: Caller) -> None:
    """One state behind both."""
    vm = v4_made(user)
    (shown,) = user.data("POST", "/api/nutanix/v3/vms/list", {"kind": "vm"})["entities"]
    assert (shown["metadata"]["uuid"], shown["status"]["state"]) == (vm, "COMPLETE")
    assert user.v3_done("DELETE", f"/vms/{vm}")["status"] == "SUCCEEDED"
    assert prism.vms() == ()
