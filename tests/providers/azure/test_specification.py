"""Every request of the driver against Microsoft's OpenAPI description, where it lies at hand."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest
from jsonschema import Draft4Validator  # type: ignore[import-untyped] # it comes with drf-spectacular, its types do not

from providers.azure.naming import POLL, operation_named
from providers.domain import StopMode
from providers.errors import ProviderError
from tests.providers.azure.documents import DONE, KEYED, SPEC, WINDOWS, accepted, caller, failed, vm, vms
from tests.providers.azure.endpoint import Reply, Request, answering
from tests.providers.azure.test_creation import Group
from tests.sandbox.azure_openapi import REGISTRY, described, load, operations, resolve, unknown

GALLERY = "/subscriptions/22222222-2222-2222-2222-222222222222/resourceGroups/g/providers/Microsoft.Compute/images/mine"


def requests_of_all_verbs() -> list[Request]:
    """What goes out for everything that the driver can do."""
    sent: list[Request] = []
    sized = replace(SPEC, os=replace(SPEC.os, disk_gib=64), tags={"team": "web"})
    image = replace(SPEC, offer=replace(SPEC.offer, image=GALLERY))
    for spec in (sized, WINDOWS, KEYED, image):
        with answering(Group(DONE)) as endpoint:
            caller(endpoint).create_vm(spec)
        sent += endpoint.requests
    with answering(Group(failed("InternalOperationError", status=200))) as endpoint, pytest.raises(ProviderError):
        caller(endpoint).create_vm(SPEC)
    sent += endpoint.requests
    with answering(_running) as endpoint:
        azure = caller(endpoint)
        azure.list_vms()
        azure.get_vm("vm1")
        azure.start_vm("vm1")
        for mode in (StopMode.AUTO, StopMode.FORCE):
            azure.stop_vm("vm1", mode, 60)
            azure.restart_vm("vm1", mode, 60)
        azure.delete_vm("vm1")
    return sent + endpoint.requests


def _running(request: Request) -> Reply:
    if request.path.endswith("/virtualMachines"):
        return vms(vm("vm1"))
    if request.method == "GET":
        return DONE if "/operations/" in request.path else Reply(vm("vm1", power="running"))
    return accepted()


@described
def test_every_request_is_as_the_vendor_describes_it() -> None:
    """Path, version, parameters and body; nothing goes out that is not described."""
    sent = [one for one in requests_of_all_verbs() if "/operations/" not in one.path]
    named = {operation_named(one.method, one.path) for one in sent}
    assert named == {
        "VirtualMachines_List", "VirtualMachines_ListAll", "VirtualMachines_Get", "VirtualMachines_CreateOrUpdate",
        "VirtualMachines_Delete", "VirtualMachines_Start", "VirtualMachines_Restart", "VirtualMachines_Deallocate",
        "VirtualMachines_PowerOff", "NetworkInterfaces_List", "NetworkInterfaces_Delete", "Disks_Delete",
    }  # fmt: skip
    for one in sent:
        check(one)


def check(request: Request) -> None:
    """Hold one request to its operation's description."""
    method, path, description, file = operations()[operation_named(request.method, request.path)]
    assert request.method == method
    assert re.fullmatch(re.sub(r"\\?\{\w+\\?\}", "[^/]+", re.escape(path)), request.path), request.path
    parameters = {one["name"]: (one, place) for one, place in (resolve(p, file) for p in description["parameters"])}
    assert request.query.pop("api-version") == load(file)["info"]["version"]
    for name, value in request.query.items():
        assert parameters[name][0]["in"] == "query"
        _check_text(value, parameters[name][0])
    ours = {"if-none-match": "If-None-Match"}
    for name in ours.keys() & request.headers.keys():
        assert parameters[ours[name]][0]["in"] == "header"
    body = next(((one, place) for one, place in parameters.values() if one["in"] == "body"), None)
    assert (body is None) is (request.body is None)
    if body is not None:
        _check_body(request.body, *body)


def _check_text(value: str, parameter: dict[str, Any]) -> None:
    if parameter["type"] == "boolean":
        assert value in {"true", "false"}
    assert value in parameter.get("enum", [value])


def _check_body(body: Any, parameter: dict[str, Any], file: Any) -> None:
    schema, place = resolve(parameter["schema"], file)
    pointer = parameter["schema"]["$ref"].partition("#")[2]
    Draft4Validator({"$ref": f"file://{place}#{pointer}"}, registry=REGISTRY).validate(body)
    assert list(unknown(body, schema, place)) == []


@described
def test_description_would_find_a_fault() -> None:
    """The check itself: a wrong type, an unknown member, a wrong word."""
    (put,) = [one for one in _of(KEYED) if one.method == "PUT"]
    for change in (
        {"location": 7},
        {"properties": {"hardwareProfile": {"vmsize": "x"}}},
        {"properties": {"networkProfile": {"networkApiVersion": "1999-01-01"}}},
        {"properties": {"storageProfile": {"osDisk": {"createOption": "FromImage", "deleteOption": "Perhaps"}}}},
    ):
        with pytest.raises(Exception, match=r"7|vmsize|1999|Perhaps"):
            check(replace(put, query=dict(put.query), body={**put.body, **change}))


def _of(spec: Any) -> list[Request]:
    with answering(Group(DONE)) as endpoint:
        caller(endpoint).create_vm(spec)
    return endpoint.requests


def test_polls_are_azures_own_links() -> None:
    """They are described nowhere: they go out as they came."""
    polls = [one for one in _of(SPEC) if "/operations/" in one.path]
    assert [operation_named(one.method, one.path) for one in polls] == [POLL]
    assert polls[0].query == {"p": "1", "api-version": "2024-07-01", "c": "MIIH"}
