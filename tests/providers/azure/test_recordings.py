"""Recorded traffic of the real Azure: it parses, and a replay over a socket ends as the recording did."""

from __future__ import annotations

import json
import urllib.parse
from typing import Any

import pytest

from providers.azure.client import COMPUTE_API
from providers.azure.failures import read_refusal
from providers.azure.progress import Step
from providers.azure.records import read_machine, shown
from providers.domain import VMSpec, VMStatus
from providers.errors import VMNotFoundError
from providers.gateway import Backends
from providers.work import Wish
from tests.providers.azure.documents import NETWORK, SPEC, caller
from tests.providers.azure.endpoint import TENANT, Reply, Request, answering
from tests.providers.azure.recorded import RECORDINGS, interactions, recorded
from tests.support.limits import LIMITS

REPLAYED = "02_create_PUT201_async_delete_2022-03-01.json"
MANAGEMENT = "https://management.azure.com"


class Replay:
    """Answers as Azure did, each interaction once, by method and path; Retry-After is shortened to nothing."""

    def __init__(self, vm_name: str) -> None:
        mine = [one for one in interactions(REPLAYED) if "/Microsoft.Compute/" in one["request"]["uri"]]
        self._left = [one for one in mine if not self._is_update(one)]
        self._missing = json.loads(json.dumps(mine[-1]["response"]))
        self._made = False
        self.vm_name = vm_name

    @staticmethod
    def _is_update(one: dict[str, Any]) -> bool:
        """The recording goes on with a PUT on the VM that exists, which is what must never happen here."""
        return one["index"] in range(17, 23)

    def __call__(self, request: Request) -> Reply:
        """The recorded answer."""
        if request.method == "GET" and request.path.endswith(self.vm_name) and not self._made:
            return Reply(self._missing["body"], self._missing["status"])
        self._made = self._made or request.method == "PUT"
        if request.method == "PUT":
            assert request.headers["if-none-match"] == "*"
        found = next(one for one in self._left if self._fits(one["request"], request))
        self._left.remove(found)
        answer = found["response"]
        headers = {
            name: value.replace(MANAGEMENT, "{url}")
            for name, value in answer["headers"].items()
            if name.lower() in {"azure-asyncoperation", "location"}
        }
        return Reply(answer["body"], answer["status"], headers)

    @staticmethod
    def _fits(recorded: dict[str, Any], request: Request) -> bool:
        url = urllib.parse.urlsplit(recorded["uri"])
        same = recorded["method"] == request.method and urllib.parse.unquote(url.path) == request.path
        # A link's query must come back as it was given; our own calls ask for a newer version of the API.
        return same and ("/operations/" not in request.path or dict(urllib.parse.parse_qsl(url.query)) == request.query)


@recorded
def test_replay_of_create_poll_and_delete_ends_as_the_recording_did() -> None:
    """201 with a link of three kilobytes, polls, the VM, 202 with both links, polls, and 404."""
    put = next(one["request"] for one in interactions(REPLAYED) if "/virtualMachines/" in one["request"]["uri"])
    parts = urllib.parse.urlsplit(put["uri"]).path.split("/")
    subscription, group, name = parts[2], parts[4], parts[-1]
    spec = VMSpec(name, SPEC.os, SPEC.offer)
    replay, backends = Replay(name), Backends(NETWORK, LIMITS)
    place = {"vpc_id": f"{TENANT}/{subscription}", "project": group, "region": put["body"]["location"]}
    with answering(replay) as endpoint:
        created = caller(endpoint, backends, **place).create_vm(spec, Wish(representation=True))
        assert created.done
        assert len(Step.read(created.handle).link) > 2500
        found = caller(endpoint, backends, **place).get_vm(name)
        assert (found.id, found.instance_type) == (name, "Standard_D1_v2")
        caller(endpoint, backends, **place).delete_vm(name)
        with pytest.raises(VMNotFoundError):
            caller(endpoint, backends, **place).get_vm(name)
        backends.close()
    assert [one.method for one in endpoint.requests] == [
        "GET", "PUT", "GET", "GET", "GET", "DELETE", "GET", "GET", "GET",
    ]  # fmt: skip
    ours = [one for one in endpoint.requests if "/operations/" not in one.path]
    assert {one.query["api-version"] for one in ours} == {COMPUTE_API}


@recorded
def test_every_recorded_vm_is_read() -> None:
    """Of four versions of the API; each has a name, a region and a size, and a status in our words."""
    read = 0
    for file in sorted(RECORDINGS.glob("*.json")):
        for one in interactions(file.name):
            for body in _vms(one["response"]["body"]):
                machine = read_machine(body)
                vm = shown(machine)
                assert machine.name
                assert machine.region
                assert machine.size
                assert vm.status in VMStatus
                assert vm.id == body["name"]
                read += 1
    assert read > 5


def _vms(body: Any) -> list[dict[str, Any]]:
    found = body.get("value", [body]) if isinstance(body, dict) else []
    items = found if isinstance(found, list) else []
    return [one for one in items if isinstance(one, dict) and one.get("type") == "Microsoft.Compute/virtualMachines"]


@recorded
def test_every_recorded_error_is_understood() -> None:
    """Codes and words of Azure's own, nested ones, too; nothing else is taken for one."""
    codes = {}
    for one in interactions("09_errors_4xx_5xx.json"):
        body = one["response"]["body"]
        refusal = read_refusal(body)
        if isinstance(body, dict):
            assert refusal.codes[0] == body["error"]["code"]
            assert refusal.message
            codes[refusal.codes[0]] = refusal.code
        else:
            assert refusal.codes == ()
    assert codes["RetryableError"] == "ReferencedResourceNotProvisioned"
    assert codes["InvalidTemplateDeployment"] in {"QuotaExceeded", "InvalidParameter"}
    assert codes["MarketplacePurchaseEligibilityFailed"] == "MarketplacePurchaseEligibilityFailed"
