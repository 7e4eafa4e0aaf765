"""The Azure simulator against answers recorded of the real one, where they lie at hand."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from providers.sandbox.azure import AzureSandbox
from tests.sandbox.azure import Caller, vm_body, vm_path
from tests.support import vendor

RECORDINGS = vendor.RECORDINGS / "azure"
recorded = vendor.needs(RECORDINGS)


def interactions(file: str) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """The requests and answers of one recording; names of headers in lower case."""
    for one in json.loads((RECORDINGS / file).read_text())["interactions"]:
        answer = one["response"]
        headers = {name.lower(): value for name, value in answer["headers"].items()}
        yield one["request"], {**answer, "headers": headers}


def first(file: str, method: str, uri: str, status: int) -> dict[str, Any]:
    """The first recorded answer of a kind."""
    for request, answer in interactions(file):
        if request["method"] == method and re.search(uri, request["uri"]) and answer["status"] == status:
            return answer
    raise AssertionError("no such answer was recorded")


def paths(value: Any, path: str = "") -> set[str]:
    """Every name in a body, with what it is in."""
    if isinstance(value, dict):
        return {f"{path}.{name}" for name in value}.union(
            *(paths(item, f"{path}.{name}") for name, item in value.items())
        )
    if isinstance(value, list):
        return set().union(*(paths(item, f"{path}[]") for item in value))
    return set()


USER_DATA = "11_userData_get_put.json"
CREATED = "02_create_PUT201_async_delete_2022-03-01.json"
A_VM = r"/Microsoft\.Compute/virtualMachines/[^/?]+\?"
# Named by versions of the API before 2024-07-01, or only after it.
OTHER_VERSIONS = {".etag", ".properties.osProfile.linuxConfiguration.enableVMAgentPlatformUpdates"}


@recorded
@pytest.mark.parametrize("expand", ["instanceView", "userData", "instanceView%2CuserData"])
def test_vm_has_the_fields_that_were_recorded(azure: AzureSandbox, arm: Caller, expand: str) -> None:
    """Exactly those, for the same kind of VM."""
    nic = {"networkInterfaces": [{"id": azure.add_network_interface("mine")}]}
    arm.made("test1", {**vm_body(userData="dXNlcg==", networkProfile=nic), "tags": {}})
    answer = first(USER_DATA, "GET", rf"{A_VM}\$expand={expand}&", 200)
    response = arm.call("GET", vm_path("test1"), _expand=expand.replace("%2C", ","))
    assert paths(response.json()) == paths(answer["body"])
    missing = {name for name in answer["headers"] if name.startswith("x-ms")} - {
        name.lower() for name in response.headers
    }
    assert missing == set()
    assert ("etag" in answer["headers"]) == ("ETag" in response.headers)


@recorded
@pytest.mark.parametrize("status", [201, 200])
def test_put_has_the_fields_that_were_recorded(azure: AzureSandbox, arm: Caller, status: int) -> None:
    """For a VM that is made and for one that is changed; with the same headers."""
    azure.knobs.retry_after_seconds = 10
    profile = {"computerName": "test1", "adminUsername": "bloom", "adminPassword": "Correct-Horse-1"}
    nic = {"networkInterfaces": [{"id": azure.add_network_interface("mine")}]}
    body = vm_body(osProfile=profile, networkProfile=nic)
    del body["tags"]
    response = arm.create("test1", body)
    if status == 200:
        arm.end_of(response)
        response = arm.create(
            "test1", {**body, "properties": {"diagnosticsProfile": {"bootDiagnostics": {"enabled": True}}}}
        )
    answer = first(CREATED, "PUT", A_VM, status)
    assert response.status_code == status
    assert paths(response.json()) ^ paths(answer["body"]) == OTHER_VERSIONS
    assert set(answer["headers"]) - {name.lower() for name in response.headers} == set()


@recorded
def test_operation_and_delete_have_the_fields_that_were_recorded(azure: AzureSandbox, arm: Caller) -> None:
    """In progress and done; the 202 of a delete with both links."""
    azure.knobs.retry_after_seconds = 35
    azure.knobs.task_seconds = 60
    (name,) = azure.seed(1)
    polls = [
        answer["body"]
        for request, answer in interactions(CREATED)
        if re.search(r"Microsoft\.Compute/locations/\w+/operations/", request["uri"])
    ]
    deleted = arm.call("DELETE", vm_path(name))
    running = arm.follow(deleted.headers["Azure-AsyncOperation"])
    assert running.headers["Retry-After"] == "35"
    azure.finish_operations()
    done = arm.end_of(deleted)
    assert {tuple(body) for body in polls} == {tuple(running.json()), tuple(done)}
    answer = first(CREATED, "DELETE", A_VM, 202)
    assert set(answer["headers"]) - {one.lower() for one in deleted.headers} == set()
    link, expected = deleted.headers["Location"], answer["headers"]["location"]
    assert re.findall(r"[?&](\w+)=", link.replace("api-version", "version")) == re.findall(
        r"[?&](\w+)=", expected.replace("api-version", "version")
    )


@recorded
def test_errors_have_the_words_that_were_recorded(azure: AzureSandbox, arm: Caller) -> None:
    """A VM that has been, one that never was, a group that is not there."""
    (name,) = azure.seed(1)
    assert arm.deleted(name) == "Succeeded"
    gone = first(CREATED, "GET", A_VM, 404)
    assert arm.call("GET", vm_path(name)).json() == gone["body"]
    never = first("09_errors_4xx_5xx.json", "GET", r"virtualMachines/s1\?", 404)
    found = arm.call("GET", vm_path("s1"))
    told = json.dumps(never["body"]).replace("cli_test_managed_disk000001", "oj-test")
    assert found.json() == json.loads(told)
    assert found.headers["x-ms-failure-cause"] == never["headers"]["x-ms-failure-cause"]
    group = first(CREATED, "DELETE", "virtualNetworks", 404)
    other = re.search(r"'(.+)'", group["body"]["error"]["message"])
    assert other is not None
    assert arm.call("DELETE", vm_path("x").replace("oj-test", other[1])).json() == group["body"]


@recorded
def test_entra_has_the_fields_that_were_recorded(azure: AzureSandbox, stranger: Caller) -> None:
    """A refused secret and a token."""
    bad = first("12_entra_AcquirePoPTokenConfidentialFromBadSecretVCR.json", "POST", "oauth2/v2.0/token", 401)
    refused = stranger.ask_token(client_secret="s3cr3t").json()
    assert list(refused) == list(bad["body"])
    same = ("error", "error_codes")
    assert [refused[name] for name in same] == [bad["body"][name] for name in same]
    assert (
        refused["error_description"].partition(" for a secret")[0]
        == bad["body"]["error_description"].partition(" for a secret")[0]
    )
    good = first("12_entra_AcquirePoPTokenConfidentialWithSecretVCR.json", "POST", "oauth2/v2.0/token", 200)
    assert list(stranger.ask_token().json()) == list(good["body"])
