"""Every call that the driver makes, held against the vendor's description of the API, where it lies beside the project.

https://pve.proxmox.com/pve-docs/api-viewer/
"""

from __future__ import annotations

import functools
import json
import re
from typing import Any

import pytest

from providers.domain import StopMode
from providers.sandbox.faults import Fault
from providers.sandbox.proxmox import ISO_IMAGE
from providers.sandbox.proxmox.methods import METHODS, find
from tests.providers.proxmox.cluster import BY_PASSWORD, IMAGES, TEMPLATE_IMAGE, Pve
from tests.providers.proxmox.recorder import Seen, recording
from tests.support import vendor
from tests.support.threads import at_once

SPECIFICATION = vendor.SPECIFICATIONS / "proxmox/pve-apidoc.json"
described_only = vendor.needs(SPECIFICATION)

VM, STORAGE = "/nodes/{node}/qemu/{vmid}", "/nodes/{node}/storage/{storage}"
CALLED = {
    "POST /access/ticket",
    "GET /access/permissions",
    "GET /cluster/nextid",
    "GET /cluster/resources",
    "GET /nodes/{node}/qemu",
    "POST /nodes/{node}/qemu",
    f"GET {VM}/config",
    f"PUT {VM}/config",
    f"GET {VM}/status/current",
    *(f"POST {VM}/status/{action}" for action in ("start", "stop", "shutdown", "reboot", "reset", "resume")),
    f"GET {VM}/agent/network-get-interfaces",
    f"POST {VM}/clone",
    f"PUT {VM}/resize",
    f"DELETE {VM}",
    f"POST {STORAGE}/upload",
    f"GET {STORAGE}/content",
    f"GET {STORAGE}/content/{{volume}}",
    f"DELETE {STORAGE}/content/{{volume}}",
    "GET /nodes/{node}/tasks",
    "GET /nodes/{node}/tasks/{upid}/status",
    "GET /nodes/{node}/tasks/{upid}/log",
    "DELETE /nodes/{node}/tasks/{upid}",
}


@functools.cache
def described() -> dict[str, dict[str, Any]]:
    """All methods, by operation."""
    text = SPECIFICATION.read_text()
    found: dict[str, dict[str, Any]] = {}
    pending = list(json.loads(text[text.index("[") :]))
    while pending:
        node = pending.pop()
        pending += node.get("children", [])
        found.update({f"{method} {node['path']}": info for method, info in node.get("info", {}).items()})
    return found


@pytest.fixture
def seen(pve: Pve) -> list[Seen]:
    """All that the driver says in the course of everything that it can do."""
    with recording(pve) as record:
        through = record.pve

        def live(number: int) -> None:
            gateway = through.gateway(BY_PASSWORD)
            vm_id = through.create(
                IMAGES[number % 3], gateway, key="" if number < 3 else f"key-{number}", tags={"a": "b"}
            )
            if number >= 3:
                assert through.create(IMAGES[number % 3], gateway, key=f"key-{number}", tags={"a": "b"}) == vm_id
            gateway.get_vm(vm_id)
            gateway.restart_vm(vm_id, StopMode.AUTO, 5)
            gateway.restart_vm(vm_id, StopMode.FORCE, 0)
            gateway.stop_vm(vm_id, StopMode.AUTO if number % 2 else StopMode.GRACEFUL, 5)
            gateway.start_vm(vm_id)
            gateway.stop_vm(vm_id, StopMode.FORCE, 0)
            gateway.delete_vm(vm_id)

        at_once(6, live)
        gateway = through.gateway(BY_PASSWORD)
        gateway.list_vms()
        # Paused, migrated, failed with a log, failed in the middle of a slow task.
        (vm_id,) = pve.sandbox.seed(1, state="paused")
        gateway.start_vm(str(vm_id))
        pve.sandbox.migrate(vm_id, "pve2")
        gateway.stop_vm(str(vm_id), StopMode.FORCE, 0)
        gateway.delete_vm(str(vm_id))
        pve.sandbox.end_next_task("qmstart", "start failed: QEMU exited with code 1")
        for seconds, task_seconds in ((20.0, 0.02), (0.4, 5.0)):
            pve.sandbox.knobs.task_seconds = task_seconds
            with pytest.raises(Exception, match=r"QEMU exited|deadline"):
                through.create(ISO_IMAGE, through.gateway(BY_PASSWORD, seconds=seconds), cloud_init=None)
        pve.sandbox.knobs.task_seconds = 0.02
        pve.sandbox.faults.add(Fault("POST /nodes/{node}/qemu/{vmid}/status/start", status=500, message="x"))
        with pytest.raises(Exception, match="x"):
            through.create(TEMPLATE_IMAGE, through.gateway(BY_PASSWORD, storage_external_id=""))
        assert through.gateway(BY_PASSWORD).list_leftovers() == []
    assert pve.made() == ([], [])
    return record.requests


def operation_of(request: Seen) -> tuple[str, dict[str, str]]:
    """The operation that a request is, and what its path says."""
    route = find(request.method, request.path)
    assert route is not None, f"{request.method} {request.path} is not offered"
    return route.operation, dict(route.path)


def test_calls_of_the_driver_are_all_heard(seen: list[Seen]) -> None:
    """A new call of the driver's must be added to what is driven above.

    Whatever PVE refused in the course of it, it refused for the state of things, never for a call's form.
    """
    assert {operation_of(request)[0] for request in seen} == CALLED
    assert not [request for request in seen if request.status in {400, 501} and request.path != "/cluster/nextid"]


@described_only
def test_calls_of_the_driver_are_as_the_vendor_describes_them(seen: list[Seen]) -> None:
    """Path, method, each parameter with its type and its choices, and all that is required."""
    assert sorted({fault for request in seen for fault in faults_of(request)}) == []


def faults_of(request: Seen) -> list[str]:
    """What the vendor's description has against a request."""
    operation, path = operation_of(request)
    if operation not in described():
        return [f"{operation} is unknown"]
    properties = described()[operation].get("parameters", {}).get("properties", {})
    given = {**request.parameters, **path}
    missing = [name for name, schema in properties.items() if not schema.get("optional") and name not in given]
    wrong = [fault for name, text in given.items() if (fault := fault_of(properties, name, text))]
    return [f"{operation}: {fault}" for fault in [*wrong, *(f"{name} is missing" for name in missing)]]


@described_only
def test_operations_of_the_simulator_take_the_privileges_of_the_description() -> None:
    """Where the description names them in a form that a program can read."""
    compared = 0
    for operation, method in METHODS.items():
        check = described()[operation].get("permissions", {}).get("check")
        if check and check[0] == "perm":
            compared += 1
            taken = [set(one.privileges) for one in method.checks if one.path == check[1]]
            assert [privileges for privileges in taken if privileges <= set(check[2])], operation
    assert compared > 10


def fault_of(properties: dict[str, Any], name: str, text: str) -> str:
    """What is wrong with a parameter; empty where nothing is."""
    schema = properties.get(name) or properties.get(re.sub(r"\d+$", "[n]", name))
    if schema is None:
        return f"{name} is unknown"
    expression = {"integer": r"-?\d+", "boolean": "[01]"}.get(schema.get("type", "string"), r"(?s).*")
    if not re.fullmatch(expression, text):
        return f"{name}={text} is no {schema['type']}"
    if text not in schema.get("enum", [text]):
        return f"{name}={text} is none of {schema['enum']}"
    if not re.fullmatch(schema.get("pattern", r"(?s).*"), text) or len(text) > schema.get("maxLength", len(text)):
        return f"{name}={text} has not the form or the length of the description"
    return _range_fault(schema, name, text) or _members_fault(schema, name, text)


def _range_fault(schema: dict[str, Any], name: str, text: str) -> str:
    if schema.get("type") not in {"integer", "number"}:
        return ""
    fits = float(schema.get("minimum", text)) <= float(text) <= float(schema.get("maximum", text))
    return "" if fits else f"{name}={text} is out of range"


def _members_fault(schema: dict[str, Any], name: str, text: str) -> str:
    """What is wrong with a property string."""
    members = schema.get("format")
    if not isinstance(members, dict):
        return ""
    default = next((key for key, member in members.items() if member.get("default_key")), None)
    for part in text.split(","):
        key, equals, value = part.partition("=")
        key, value = (key, value) if equals else (str(default), part)
        member = members.get(key)
        if member is None:
            return f"{name}={text} has a member {key} that is unknown"
        if "enum" in member and value not in member["enum"] and not equals:
            return f"{name}={text}: {value} is none of {member['enum']}"
    return ""
