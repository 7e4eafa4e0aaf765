"""The simulated Nutanix, held to the vendor: its descriptions, its recorded answers, its own client."""

import json
import os
import re
import subprocess
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from providers.sandbox.authority import Authority
from providers.sandbox.nutanix import CLUSTER, IMAGE_UUID, NETWORK, PASSWORD, UNMANAGED_NETWORK, USER, NutanixSandbox
from providers.sandbox.nutanix.estate import Estate
from providers.sandbox.nutanix.v2 import bodies as v2_bodies
from providers.sandbox.nutanix.v2.api import V2Api
from providers.sandbox.nutanix.v3 import bodies as v3_bodies
from providers.sandbox.nutanix.v3.api import V3Api
from providers.sandbox.nutanix.v4 import bodies as v4_bodies
from providers.sandbox.nutanix.v4.api import V4Api
from providers.sandbox.nutanix.work import Works
from tests.sandbox.nutanix.client import V2, V3, VMM, VMS, Caller, v2_made, v2_vm, v3_made, v3_vm, v4_made, v4_vm
from tests.sandbox.nutanix.schemas import misfits, shape, strange_objects, strangers, unmodelled
from tests.support import vendor

SPECS = vendor.SPECIFICATIONS / "nutanix"
RECORDINGS = vendor.RECORDINGS / "nutanix"
VENDORS_PYTHON = os.environ.get("CLOUDVM_NTNX_PYTHON", "")
UNKNOWN = "aaaaaaaa-0000-0000-0000-aaaaaaaaaaaa"

needs_specs = vendor.needs(SPECS)
needs_recordings = vendor.needs(RECORDINGS)
needs_client = vendor.needs_program(
    "CLOUDVM_NTNX_PYTHON",
    "it names an interpreter: python3.11 -m venv DIR && DIR/bin/pip install ntnx-vmm-py-client ntnx-prism-py-client",
)

# What the description of 2019 does not know yet.
LATER_IN_V2 = {
    ".machine_type",
    ".boot.uefi_boot",
    ".boot.secure_boot",
    ".vm_features.VGA_CONSOLE",
    ".vm_features.AGENT_VM",
    ".vm_nics[].nic_uuid",
    ".vm_nics[].is_connected",
    ".vm_disks[].flash_mode_enabled",
    ".vm_logical_timestamp",
}
# What a Central of 2024 shows, as recorded, and the description of 3.1 does not know yet.
LATER_IN_V3 = {"cpu_hotplug_enabled", "scsi_controller_enabled", "execution_context", "num_queues"}


@pytest.fixture(scope="module")
def element(authority: Authority) -> Iterator[NutanixSandbox]:
    """An Element for all tests of this module."""
    with NutanixSandbox(authority, task_seconds=0.02) as sandbox:
        yield sandbox


@pytest.fixture(scope="module")
def central(authority: Authority) -> Iterator[NutanixSandbox]:
    """A Central for all tests of this module."""
    with NutanixSandbox(authority, kind="central", task_seconds=0.02) as sandbox:
        yield sandbox


@pytest.fixture
def on_element(element: NutanixSandbox, authority: Authority) -> Caller:
    """The Element's user, with everything as at its start."""
    element.reset()
    return Caller(element.url, str(authority.ca_file))


@pytest.fixture
def on_central(central: NutanixSandbox, authority: Authority) -> Caller:
    """The Central's user, with everything as at its start."""
    central.reset()
    return Caller(central.url, str(authority.ca_file))


@cache
def v2_spec(name: str) -> Any:
    """One of v2.0's descriptions; every scalar is a string, as ON and OFF are words there."""
    text = (SPECS / f"prism_element_v2.0/{name}.yaml").read_text()
    return yaml.load(text, Loader=yaml.BaseLoader)  # noqa: S506 - it makes nothing but strings


@cache
def v3_spec() -> Any:
    """v3's description."""
    return json.loads((SPECS / "prism_v3.json").read_text())


@cache
def v4_models() -> Any:
    """v4's models."""
    return json.loads((SPECS / "prism_v4.3_models.json").read_text())


def answered(spec: Any, method: str, path: str) -> Mapping[str, Any]:
    """The schema of a good answer."""
    responses = (spec["paths"].get(path) or spec["paths"][f"{path}/"])[method.lower()]["responses"]
    schema: Mapping[str, Any] = (responses.get("200") or responses["202"])["schema"]
    return schema


def unlike(spec: Any, method: str, path: str, answer: Any) -> set[str]:
    """The places of an answer that its schema does not know."""
    found = strangers(answer, answered(spec, method, path), spec["definitions"])
    return {place.replace(".entities[]", "") for place in found}


def recorded(name: str) -> Any:
    """The first answer of a recording."""
    return json.loads((RECORDINGS / f"{name}.json").read_text())["interactions"][0]["response"]


def recorded_error(status: int, number: int = 0) -> Any:
    """A body of an error that was quoted in public."""
    items = json.loads((RECORDINGS / "errors_from_issue_threads.json").read_text())["items"]
    return [item["body"] for item in items if item["status"] == status][number]


@needs_specs
@pytest.mark.parametrize("name", ["vms", "tasks", "images", "networks", "storage_containers", "hosts", "cluster"])
def test_v2_calls_are_offered_as_the_vendor_describes_them(name: str) -> None:
    """Each path and method; with a last slash or without."""
    estate = Estate(is_central=False, cluster_count=1, versions=frozenset())
    described: dict[str, set[str]] = {}
    for path, operations in v2_spec(name)["paths"].items():
        described.setdefault(path.rstrip("/"), set()).update(operations)
    offered = [known.operation.split(" ")[1:] for known in V2Api(estate, Works(estate)).routes]
    ours = [(method, path) for method, path in offered if path.split("/")[1] == name]
    assert ours
    assert [(method, path) for method, path in ours if method.lower() not in described.get(path, set())] == []


@needs_specs
@pytest.mark.parametrize(
    ("kind", "definition"),
    [
        (v2_bodies.CREATE, "Create.dto.uhura.vmconfigdto"),
        (v2_bodies.UPDATE, "Update.dto.uhura.vmconfigdto"),
        (v2_bodies.POWER, "Create.dto.uhura.vmpowerstatedto"),
    ],
)
def test_v2_bodies_are_taken_as_the_vendor_describes_them(kind: Any, definition: str) -> None:
    """Fields, types, words, what is required."""
    definitions = v2_spec("vms")["definitions"]
    assert set(misfits(kind, definitions[definition], definitions)) <= LATER_IN_V2


@needs_specs
def test_v2_list_of_tasks_is_asked_for_as_the_vendor_describes_it() -> None:
    """It has a description of its own."""
    definitions = v2_spec("tasks")["definitions"]
    assert set(misfits(v2_bodies.TASKS, definitions["Create.dto.ergon.taskrequestdto"], definitions)) == set()


@needs_specs
def test_v2_answers_are_as_the_vendor_describes_them(element: NutanixSandbox, on_element: Caller) -> None:
    """VMs with all parts, tasks that ended well and not, and the things."""
    vm = v2_made(on_element)
    on_element.v2_done("POST", f"/vms/{vm}/set_power_state", {"transition": "ON"})
    element.fail_next_task("create", "kTimeout")
    failed = on_element.v2_done("POST", "/vms", v2_vm())
    parts = {"include_vm_disk_config": "true", "include_vm_nic_config": "true"}
    assert unlike(v2_spec("vms"), "GET", "/vms", on_element.data("GET", f"{V2}/vms", **parts)) <= LATER_IN_V2
    assert (
        unlike(v2_spec("vms"), "GET", "/vms/{uuid}", on_element.data("GET", f"{V2}/vms/{vm}", **parts)) <= LATER_IN_V2
    )
    assert unlike(v2_spec("tasks"), "GET", "/tasks/{uuid}", failed) == set()
    tasks = on_element.data("POST", f"{V2}/tasks/list", {"include_completed": True})
    assert unlike(v2_spec("tasks"), "POST", "/tasks/list", tasks) == set()
    assert unlike(v2_spec("vms"), "POST", "/vms", on_element.data("POST", f"{V2}/vms", v2_vm())) == set()
    for name in ("images", "networks", "storage_containers", "hosts", "cluster"):
        answer = on_element.data("GET", f"{V2}/{name}")
        assert unlike(v2_spec(name), "GET", f"/{name}", answer) == set(), name


@needs_specs
def test_v3_calls_are_offered_as_the_vendor_describes_them() -> None:
    """Each path and method."""
    estate = Estate(is_central=True, cluster_count=1, versions=frozenset({"v3"}))
    offered = [known.operation.split(" ")[1:] for known in V3Api(estate, Works(estate)).routes]
    assert [(method, path) for method, path in offered if method.lower() not in v3_spec()["paths"].get(path, {})] == []


@needs_specs
def test_v3_bodies_are_taken_as_the_vendor_describes_them() -> None:
    """Fields, types, words, what is required."""
    definitions = v3_spec()["definitions"]
    found = [
        *misfits(v3_bodies.INTENT, definitions["vm_intent_input"], definitions),
        *misfits(v3_bodies.LIST, definitions["vm_list_metadata"], definitions),
        *misfits(v3_bodies.SWITCH, definitions["vm_set_power_state_input"], definitions),
    ]
    assert [place for place in found if place.rpartition(".")[2] not in LATER_IN_V3] == []


@needs_specs
def test_v3_answers_are_as_the_vendor_describes_them(central: NutanixSandbox, on_central: Caller) -> None:
    """VMs made and not made, tasks, lists of all things, errors."""
    vm = v3_made(on_central)
    task = on_central.v3_done("PUT", f"/vms/{vm}", _sent_back(on_central, vm))
    central.fail_next_task("create", "kTimeout")
    failed = on_central.v3_done("POST", "/vms", v3_vm())
    spec = v3_spec()
    answers = [
        ("GET", "/vms/{uuid}", on_central.data("GET", f"{V3}/vms/{vm}")),
        ("POST", "/vms", on_central.data("POST", f"{V3}/vms", v3_vm())),
        ("GET", "/tasks/{uuid}", task),
        ("GET", "/tasks/{uuid}", failed),
        *(
            ("POST", f"/{name}/list", on_central.data("POST", f"{V3}/{name}/list", {}))
            for name in ("vms", "images", "subnets", "clusters", "hosts")
        ),
    ]
    for method, path, answer in answers:
        places = {place.rpartition(".")[2] for place in unlike(spec, method, path, answer)}
        assert places <= LATER_IN_V3, path
    error = on_central.call("GET", f"{V3}/vms/{UNKNOWN}").json()
    assert list(strangers(error, spec["definitions"]["vm_status"], spec["definitions"])) == []


def _sent_back(user: Caller, vm: str) -> Any:
    value = user.data("GET", f"{V3}/vms/{vm}")
    del value["status"]
    return value


@needs_specs
def test_v4_calls_are_offered_as_the_vendor_describes_them() -> None:
    """Each path and method about VMs."""
    text = (SPECS / "prism_v4.0_vm_operations.md").read_text()
    described = set(re.findall(r"\*\*(\w+)\*\* /vmm/v4\.0(\S+) ", text))
    estate = Estate(is_central=True, cluster_count=1, versions=frozenset({"v4.0"}))
    offered = {tuple(known.operation.split(" ")[1:]) for known in V4Api(estate, Works(estate)).routes}
    ours = {(method, path) for method, path in offered if path.startswith("/ahv/")}
    assert len(ours) == 13
    assert ours - described == set()


@needs_specs
def test_v4_bodies_are_taken_as_the_vendor_models_them() -> None:
    """Every field is one of the model's."""
    models = v4_models()
    assert list(unmodelled(v4_bodies.VM, "vmm.v4.ahv.config.Vm", models)) == []
    assert list(unmodelled(v4_bodies.GUEST_POWER_OPTIONS, "vmm.v4.ahv.config.GuestPowerOptions", models)) == []


@needs_specs
def test_v4_answers_are_as_the_vendor_models_them(on_central: Caller) -> None:
    """VMs with all parts, images, references to tasks, errors of both kinds."""
    learned = v4_made(on_central, nics=[{"networkInfo": {"subnet": {"extId": UNMANAGED_NETWORK}}}], cdRoms=[{}])
    on_central.act(learned, "power-on")
    v4_made(on_central)
    answers = [
        on_central.data("GET", VMS),
        on_central.data("GET", f"{VMS}/{learned}"),
        on_central.data("GET", f"{VMM}/content/images"),
        on_central.write("POST", VMS, v4_vm()).json(),
        on_central.write("POST", VMS, v4_vm(colour="red")).json(),
        on_central.call("GET", f"{VMS}/{UNKNOWN}").json(),
    ]
    assert [list(strange_objects(answer, v4_models())) for answer in answers] == [[]] * len(answers)


@needs_recordings
@pytest.mark.parametrize("part", ["metadata", "spec", "status"])
def test_v3_vm_is_shown_as_recorded(on_central: Caller, part: str) -> None:
    """The same fields with the same types, no more and no less, of a VM that is off."""
    vm = v3_made(on_central, v3_vm(power_state="OFF"))
    ours = dict(shape(on_central.data("GET", f"{V3}/vms/{vm}")[part]))
    theirs = dict(shape(recorded("v3_GetVM")["body"][part]))
    assert ours.keys() - theirs.keys() == set()
    # A version of nothing, for a device that there is not.
    assert theirs.keys() - ours.keys() <= {
        ".resources.vtpm_config.version",
        ".resources.disk_list[].is_migration_in_progress",
    }
    assert {place for place in ours if ours[place] != theirs[place]} == set()


@needs_recordings
def test_v3_create_and_list_are_answered_as_recorded(on_central: Caller) -> None:
    """Also to the recorded request, once it names what there is here."""
    interaction = json.loads((RECORDINGS / "v3_CreateVM.json").read_text())["interactions"][0]
    text = json.dumps(interaction["request"]["body"])
    spec = interaction["request"]["body"]["spec"]
    for theirs, ours in (
        (spec["cluster_reference"]["uuid"], CLUSTER),
        (spec["resources"]["disk_list"][0]["data_source_reference"]["uuid"], IMAGE_UUID),
        (spec["resources"]["nic_list"][0]["subnet_reference"]["uuid"], NETWORK),
    ):
        text = text.replace(theirs, ours)
    answer = on_central.call("POST", f"{V3}/vms", json.loads(text))
    wanted = dict(shape(interaction["response"]["body"]))
    del wanted[".metadata.use_categories_mapping"]
    assert (answer.status_code, dict(shape(answer.json()))) == (interaction["response"]["status"], wanted)
    listed = on_central.data("POST", f"{V3}/vms/list", {"filter": "vm_name==test-vm", "sort_attribute": "name"})
    assert listed["metadata"].keys() < recorded("v3_ListVM")["body"]["metadata"].keys()


@needs_recordings
def test_v3_subnet_is_shown_as_recorded(on_central: Caller) -> None:
    """No field that is not there, none of another type."""
    ours = dict(shape(on_central.data("GET", f"{V3}/subnets/{NETWORK}")))
    theirs = dict(shape(recorded("v3_GetSubnet")["body"]))
    assert {place for place in ours if ours[place] != theirs.get(place)} == set()


@needs_recordings
def test_v4_vm_is_shown_as_recorded(on_central: Caller) -> None:
    """The same fields with the same types, and the recorded headers."""
    parts = {"cdRoms": [{"backingInfo": {"diskSizeBytes": 1 << 20}}], "description": "x"}
    vm = v4_made(on_central, nics=[{"networkInfo": {"subnet": {"extId": UNMANAGED_NETWORK}}}], **parts)
    on_central.act(vm, "power-on")
    answer, record = on_central.call("GET", f"{VMS}/{vm}"), recorded("v4_refresher_targeted_vm")
    ours, theirs = dict(shape(answer.json())), dict(shape(record["body"]))
    assert (ours.keys() ^ theirs.keys(), {place for place in ours if ours[place] != theirs[place]}) == (set(), set())
    told = {name for name in record["headers"] if "Ratelimit" in name or name in {"Etag", "X-Ntnx-Env"}}
    assert told - set(answer.headers) == set()
    assert answer.headers["Etag"].partition(":")[0] == record["headers"]["Etag"].partition(":")[0]
    assert len(answer.headers["Etag"]) == len(record["headers"]["Etag"])


@needs_recordings
def test_errors_are_answered_as_recorded(central: NutanixSandbox, on_central: Caller) -> None:
    """401, 403, 404 of two kinds, 412 of a malformed ETag."""
    nobody = Caller(central.url, on_central.ca_file, None)
    assert nobody.call("GET", f"{V3}/vms/{UNKNOWN}").json() == recorded_error(401, 1)
    wrong = Caller(central.url, on_central.ca_file, (USER, "wrong"))
    assert wrong.call("GET", f"{V3}/vms/{UNKNOWN}").json() == recorded_error(401, 0)
    central.add_user("little", "secret", rights=())
    denied = Caller(central.url, on_central.ca_file, ("little", "secret")).call("GET", f"{V3}/images/{UNKNOWN}").json()
    assert dict(shape(denied)) == dict(shape(recorded_error(403)))
    assert denied["message_list"][0]["reason"] == recorded_error(403)["message_list"][0]["reason"]
    missing = on_central.call("GET", f"{VMS}/{UNKNOWN}").json()
    (ours,), (theirs,) = missing["data"]["error"], recorded_error(404)["data"]["error"]
    assert {name: ours[name] for name in theirs} == theirs
    assert on_central.call("GET", "/api/vmm/v4.9/ahv/config/vms").json() == recorded_error(404, 1)
    (vm,) = central.seed(1)
    assert on_central.write("DELETE", f"{VMS}/{vm}", etag="*").json() == recorded_error(412)


@needs_recordings
def test_v2_error_is_as_in_the_vendors_example(on_element: Caller) -> None:
    """The fields of the example that its description gives."""
    ours = on_element.call("GET", f"{V2}/vms/{UNKNOWN}")
    assert dict(shape(ours.json())) == dict(shape(recorded_error(500)))
    assert (ours.status_code, ours.json()["error_code"]) == (500, recorded_error(500)["error_code"])


@pytest.mark.slow
@needs_client
def test_vendors_client_leads_a_vm_through_its_life(central: NutanixSandbox, on_central: Caller) -> None:
    """Over TLS: it lists, creates, is refused with an old ETag, powers on and off, deletes, and knows all it reads."""
    script = Path(__file__).parent / "vendor_client.py"
    arguments = [central.server.port, on_central.ca_file, USER, PASSWORD, CLUSTER, IMAGE_UUID, NETWORK]
    command = [VENDORS_PYTHON, str(script), *map(str, arguments)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert result.returncode == 0, result.stderr
    told = json.loads(result.stdout)
    created = told.pop("vm")
    assert told == {
        "before": 0,
        "images": ["debian-12", "virtio-drivers"],
        "created": "SUCCEEDED",
        "version": "v4.2",
        "on": "SUCCEEDED",
        "listed": [created, "ON", 5 << 30],
        "unknown_fields": [],
        "stale": [412, "VM_ETAG_MISMATCH"],
        "off": "SUCCEEDED",
        "deleted": "SUCCEEDED",
        "after": 0,
    }
    # Each of its two clients has logged in once, and kept its session.
    assert central.logins == 2
