"""The Azure simulator against Microsoft's OpenAPI description, where it lies at hand."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from providers.sandbox.azure import AzureSandbox
from providers.sandbox.azure.routes import POLL, ROUTES
from providers.sandbox.azure.shapes import Kind, Many, Shape, Words
from providers.sandbox.azure.vm_shapes import DEFINITION, PROPERTIES
from tests.sandbox.azure import ALL_VMS, COMPUTE, DISK_LIST, DISKS, GROUP, NETWORK, NICS, VMS, Caller, vm_body, vm_path
from tests.sandbox.azure_openapi import FILES, SPECIFICATION, check, described, load, members, operations, resolve

# Of the resource manager itself, whose description does not lie there.
NOT_DESCRIBED = {POLL, "ResourceGroups_Get"}


@described
@pytest.mark.parametrize("operation", sorted({route.operation for route in ROUTES} - NOT_DESCRIBED))
def test_operation_is_offered_as_the_vendor_describes_it(operation: str) -> None:
    """Method and path, whatever the parameters are called, and the newest version."""
    method, path, _, file = operations()[operation]
    (route,) = [route for route in ROUTES if route.operation == operation]
    assert (route.method, _plain(route.path)) == (method, _plain(path))
    assert load(file)["info"]["version"] == route.versions[-1]


def _plain(path: str) -> str:
    return re.sub(r"\{\w+\}", "{}", path)


@described
def test_members_that_are_taken_are_the_vendors(azure: AzureSandbox) -> None:
    """Every name and word of a PUT that is simulated is described; `etag` comes with answers."""
    file = SPECIFICATION / FILES[COMPUTE]
    definitions = load(file)["definitions"]
    assert list(_strange(DEFINITION, definitions["VirtualMachine"], file)) == []
    assert list(_strange(PROPERTIES, definitions["VirtualMachineProperties"], file)) == []


def _strange(shape: Shape, schema: Any, file: Path) -> Iterator[str]:
    known = members(schema, file)
    for name, member in shape.members.items():
        if name not in known:
            yield f"{shape.name}.{name}"
            continue
        below, place = resolve(*known[name])
        match member:
            case Shape():
                yield from _strange(member, below, place)
            case Many():
                yield from _strange(member.item, *resolve(below["items"], place))
            case Words():
                yield from (f"{shape.name}.{name}={word}" for word in member.words if word not in below["enum"])
            case Kind():
                types = {Kind.TEXT: "string", Kind.FLAG: "boolean", Kind.NUMBER: "integer"}
                if below.get("type") != types.get(member, below.get("type")):
                    yield f"{shape.name}.{name}: {member}"


@described
def test_answers_are_as_the_vendor_describes_them(azure: AzureSandbox, arm: Caller) -> None:
    """Every operation's good answers, through the life of a VM."""
    vm = vm_path("test1")
    body = vm_body(userData="dXNlcg==", securityProfile={"securityType": "TrustedLaunch"}) | {"zones": ["1"]}
    created = arm.create("test1", body)
    check("VirtualMachines_CreateOrUpdate", created)
    check("VirtualMachines_Get", arm.call("GET", vm, _expand="instanceView"))
    arm.end_of(created)
    check("VirtualMachines_CreateOrUpdate", arm.create("test1", {"location": "westeurope", "tags": {}}))
    azure.finish_operations()
    check("VirtualMachines_Get", arm.call("GET", vm, _expand="instanceView,userData"))
    check("VirtualMachines_InstanceView", arm.call("GET", f"{vm}/instanceView"))
    check("VirtualMachines_List", arm.call("GET", VMS))
    check("VirtualMachines_ListAll", arm.call("GET", ALL_VMS))
    check("VirtualMachines_ListAll", arm.call("GET", ALL_VMS, statusOnly="true"))
    for verb in ("Restart", "PowerOff", "Deallocate", "Start"):
        response = arm.call("POST", f"{vm}/{verb.lower()}")
        check(f"VirtualMachines_{verb}", response)
        check("VirtualMachines_InstanceView", arm.call("GET", f"{vm}/instanceView"))
        arm.end_of(response)
    deleted = arm.call("DELETE", vm)
    check("VirtualMachines_Delete", deleted)
    arm.end_of(deleted)
    check("VirtualMachines_Delete", arm.call("DELETE", vm))


@described
def test_answers_about_nics_disks_and_networks_are_as_the_vendor_describes_them(
    azure: AzureSandbox, arm: Caller
) -> None:
    """One by one and in lists, attached and free."""
    azure.seed(2)
    azure.knobs.page_size = 1
    nic, disk = azure.network_interfaces()[0].id, azure.disks()[0].id
    free = azure.add_network_interface("free")
    subscription = GROUP.partition("/resourceGroups/")[0]
    network = f"{GROUP}/providers/Microsoft.Network/virtualNetworks/azure-vnet"
    for operation, path, version in (
        ("NetworkInterfaces_Get", nic, NETWORK),
        ("NetworkInterfaces_Get", free, NETWORK),
        ("NetworkInterfaces_List", NICS, NETWORK),
        ("NetworkInterfaces_ListAll", f"{subscription}/providers/Microsoft.Network/networkInterfaces", NETWORK),
        ("VirtualNetworks_Get", network, NETWORK),
        ("Subnets_Get", f"{network}/subnets/first-subnet", NETWORK),
        ("Disks_Get", disk, DISKS),
        ("Disks_ListByResourceGroup", DISK_LIST, DISKS),
        ("Disks_List", f"{subscription}/providers/Microsoft.Compute/disks", DISKS),
    ):
        check(operation, arm.call("GET", path, version=version))
    check("NetworkInterfaces_Delete", arm.call("DELETE", free, version=NETWORK))
    check("NetworkInterfaces_Delete", arm.call("DELETE", f"{free}x", version=NETWORK))


@described
@pytest.mark.parametrize(
    ("operation", "path", "version"),
    [
        ("VirtualMachines_Get", vm_path("nowhere"), COMPUTE),
        ("VirtualMachines_CreateOrUpdate", vm_path("test1"), COMPUTE),
        ("VirtualMachines_Start", f"{vm_path('nowhere')}/start", COMPUTE),
        ("NetworkInterfaces_Delete", f"{NICS}/vm-0001-nic", NETWORK),
    ],
)
def test_errors_are_as_the_vendor_describes_them(
    azure: AzureSandbox, arm: Caller, operation: str, path: str, version: str
) -> None:
    """One shape for all."""
    azure.seed(1)
    method, *_ = operations()[operation]
    response = arm.call(method, path, {"location": "westeurope"} if method == "PUT" else None, version=version)
    assert response.status_code >= 400
    check(operation, response)
