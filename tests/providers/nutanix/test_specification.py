"""What the driver asks for and understands, held against the vendor's descriptions where they lie beside the project.

v2.0: the Swagger files of Prism Element; v3: Prism Central's own; v4: the models of the vendor's client.
"""

from __future__ import annotations

import functools
import json
import re
from dataclasses import replace
from typing import Any

import pytest
import requests

from providers.domain import StopMode
from providers.nutanix import shapes_v3, shapes_v4, v2
from providers.nutanix.records import STATES, Image, NewMachine
from providers.sandbox.nutanix import CLUSTER, CONTAINER, IMAGE_DISK_UUID, IMAGE_UUID, NETWORK, PASSWORD, USER
from tests.providers.nutanix.prism import Prism
from tests.sandbox.nutanix.schemas import strange_objects, strangers
from tests.support import vendor

FOLDER = vendor.SPECIFICATIONS / "nutanix"
described_only = vendor.needs(FOLDER)

NEW = NewMachine(
    name="test1",
    cpus=2,
    memory_mib=4096,
    image=Image(IMAGE_UUID, "debian-12", disk=IMAGE_DISK_UUID),
    network=NETWORK,
    description='{"cloudvm":{}}',
    cluster=CLUSTER,
    container=CONTAINER,
    disk_bytes=20 << 30,
    user_data="#cloud-config\nmotd: é\n".encode(),
)
SPARSE = replace(NEW, container="", disk_bytes=None, user_data=None, start=False)


@functools.cache
def swagger(name: str) -> dict[str, Any]:
    """One of v2.0's descriptions, in the form of Swagger 1.2."""
    content: dict[str, Any] = json.loads((FOLDER / f"prism_element_v2.0/swagger1.2-v2-{name}.json").read_text())
    return content


@functools.cache
def v3() -> dict[str, Any]:
    """Prism Central's description of v3."""
    content: dict[str, Any] = json.loads((FOLDER / "prism_v3.json").read_text())
    return content


@functools.cache
def v4_models() -> dict[str, dict[str, str]]:
    """The models of v4."""
    content: dict[str, dict[str, str]] = json.loads((FOLDER / "prism_v4.3_models.json").read_text())
    return content


def v2_definitions(name: str) -> dict[str, Any]:
    """The models of v2.0, with references as those of v3 have them."""
    text = json.dumps(swagger(name)["models"])
    definitions: dict[str, Any] = json.loads(re.sub(r'"\$ref": "', '"$ref": "#/definitions/', text))
    return definitions


@described_only
@pytest.mark.parametrize("new", [NEW, SPARSE])
def test_v2_body_has_the_fields_that_are_described(new: NewMachine) -> None:
    """None that Prism does not know, none of another type, none missing that is required, no word that is none."""
    definitions = v2_definitions("vms")
    schema = definitions["create.dto.uhura.VmConfigDTO"]
    body = v2.new_vm(new)
    assert list(strangers(body, schema, definitions)) == []
    assert set(schema["required"]) <= set(body)
    buses = definitions["create.dto.acropolis.VMDiskAddressDTO"]["properties"]["device_bus"]["enum"]
    assert body["vm_disks"][0]["disk_address"]["device_bus"] in buses


@described_only
def test_v2_transitions_are_described() -> None:
    """The words for what is done to power."""
    transitions = v2_definitions("vms")["create.dto.uhura.VMPowerStateDTO"]["properties"]["transition"]["enum"]
    assert set(v2._TRANSITIONS.values()) <= set(transitions)  # the table itself is what is held


@described_only
def test_v2_power_states_are_all_known() -> None:
    """Each word that Prism may say means something, but for the one that says nothing."""
    words = v2_definitions("vms")["get.dto.uhura.VmConfigDTO"]["properties"]["power_state"]["enum"]
    assert set(words) - set(STATES) == {"UNKNOWN"}


@described_only
@pytest.mark.parametrize("new", [NEW, SPARSE])
def test_v3_body_has_the_fields_that_are_described(new: NewMachine) -> None:
    """The same for v3."""
    definitions = v3()["definitions"]
    body = shapes_v3.new_vm(new)
    assert list(strangers(body, definitions["vm_intent_input"], definitions)) == []
    assert set(definitions["vm_intent_input"]["required"]) <= set(body)


@described_only
def test_v3_update_has_the_fields_that_are_described(old_central: Prism) -> None:
    """What was answered, less what may only be read, is what may be sent."""
    (vm_id,) = old_central.sandbox.seed(1)
    said = old_central_vm(old_central, vm_id)
    definitions = v3()["definitions"]
    body = shapes_v3.switched(said, "OFF")
    properties = definitions["vm_metadata"]["properties"]
    read_only = {name for name, field in properties.items() if field.get("readOnly")} - {"kind"}
    assert not read_only & set(body["metadata"])
    assert body["spec"]["resources"]["power_state"] == "OFF"
    assert set(body) == {"api_version", "metadata", "spec"}


@described_only
@pytest.mark.parametrize("new", [NEW, SPARSE])
def test_v4_body_fits_the_models(new: NewMachine) -> None:
    """Each object, by the type that it says or that its place has."""
    body = shapes_v4.new_vm(new)
    assert list(strange_objects(typed(body, "vmm.v4.ahv.config.Vm"), v4_models())) == []
    assert set(body) <= set(v4_models()["vmm.v4.ahv.config.Vm"])
    for nic in body["nics"]:
        assert set(nic["networkInfo"]) <= set(v4_models()["vmm.v4.ahv.config.NicNetworkInfo"])
    for disk in body["disks"]:
        assert set(disk["backingInfo"]) <= set(v4_models()["vmm.v4.ahv.config.VmDisk"])


@described_only
def test_calls_of_all_verbs_are_described(prism: Prism) -> None:
    """Method and path of everything that a VM goes through."""
    vm_id = prism.create(prism.gateway(options={}, network_id="vlan100"), key="order-1")
    gateway = prism.gateway()
    for mode in (StopMode.GRACEFUL, StopMode.FORCE):
        gateway.stop_vm(vm_id, mode, 5)
        gateway.start_vm(vm_id)
        gateway.restart_vm(vm_id, mode, 5)
    gateway.prove()
    gateway.list_vms()
    gateway.get_vm(vm_id)
    gateway.delete_vm(vm_id)
    called = {call.operation for call in prism.sandbox.calls.list()}
    assert {operation for operation in called if not is_described(operation)} == set()


def typed(value: Any, declared: str) -> Any:
    """A body in which each object says its type, where its place leaves no choice."""
    if isinstance(value, list):
        return [typed(one, declared.removeprefix("list[").removesuffix("]")) for one in value]
    if not isinstance(value, dict):
        return value
    name = str(value.get("$objectType", declared))
    return {"$objectType": name, **{key: typed(one, v4_models()[name].get(key, "")) for key, one in value.items()}}


def old_central_vm(prism: Prism, vm_id: str) -> dict[str, Any]:
    """A VM as v3 answers it."""
    with requests.Session() as session:
        session.trust_env = False
        url = f"{prism.sandbox.url}/api/nutanix/v3/vms/{vm_id}"
        answer: dict[str, Any] = session.get(url, auth=(USER, PASSWORD), verify=prism.ca_file, timeout=10).json()
        return answer


def is_described(operation: str) -> bool:
    """Whether an operation is in the descriptions; of v4 only those on VMs lie at hand."""
    if operation == "OPTIONS /api/vmm/unversioned/info":
        # What an old Central does not know is how it is told from a new one.
        return True
    api, method, path = operation.split(" ")
    if api == "v2.0":
        return (method, path) in v2_operations()
    if api == "v3":
        return method.lower() in v3()["paths"].get(path, {})
    if not path.startswith("/ahv"):
        return True
    text = (FOLDER / "prism_v4.0_vm_operations.md").read_text()
    return f"**{method}** /vmm/v4.0{path} |" in text


@functools.cache
def v2_operations() -> set[tuple[str, str]]:
    """Method and path of all operations of v2.0 that are at hand."""
    return {
        (operation["method"], api["path"].rstrip("/"))
        for name in ("vms", "tasks", "images", "networks", "cluster")
        for api in swagger(name)["apis"]
        for operation in api["operations"]
    }
