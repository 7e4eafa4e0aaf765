"""Creates: what Azure is asked for, whose VM is whose, and what is left of one that failed."""

from __future__ import annotations

import base64
from dataclasses import replace
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from providers.domain import Operation, Verb, VMStatus
from providers.errors import (
    BackendFailureError,
    BackendUnreachableError,
    ConflictError,
    NameTakenError,
    PermissionDeniedError,
    ProviderError,
    QuotaExceededError,
    UnprocessableError,
)
from providers.gateway import Backends
from providers.work import Wish
from tests.providers.azure.documents import (
    CREATED,
    DONE,
    GROUP,
    KEYED,
    MISSING,
    NETWORK,
    PASSWORD,
    SPEC,
    SUBNET,
    WINDOWS,
    accepted,
    caller,
    failed,
    operation,
    vm,
    vms,
)
from tests.providers.azure.endpoint import Endpoint, Reply, Request, answering, script
from tests.support.limits import LIMITS

GET, PUT, DELETE = (f"{method} virtualMachines/vm1" for method in ("GET", "PUT", "DELETE"))
ALL = "GET virtualMachines"
POLL = "GET locations/westeurope/operations/op-1"
KEY_TAGS = {
    "cloudvm:creation": "6b000000" + "0" * 24,
    "cloudvm:request-key": KEYED.request_key("azure1"),
    "cloudvm:request-digest": KEYED.request_digest,
}


class Group:
    """A resource group that remembers the PUT's tags, so that what a create has made is known as its own.

    `made` is what the group holds after a failed create: VM, interface, disk. `stays` refuse to go.
    """

    def __init__(self, *looks: Reply, made: str = "vm nic disk", stays: str = "", put: Reply = CREATED) -> None:
        self._looks = script(*looks)
        self._put = put
        self.left = set(made.split())
        self.stays = set(stays.split())
        self.body: dict[str, Any] = {}
        self.others_tags: dict[str, str] | None = None
        self.failure = ""

    def __call__(self, request: Request) -> Reply:
        """One answer."""
        if request.method == "PUT":
            self.body = request.body
            return self._put
        if request.method == "DELETE":
            return self._delete(request)
        return self._looks(request) if "/operations/" in request.path else self._get(request)

    def _get(self, request: Request) -> Reply:
        if request.path.endswith("/networkInterfaces"):
            return vms(*([{"name": self.nic}] if "nic" in self.left and self.body else []), {"name": "vm1-nic-other"})
        if request.path.endswith("/virtualMachines"):
            return vms()
        if not self.body or "vm" not in self.left:
            return MISSING
        shown = vm(power="running", tags=self.others_tags or self.body["tags"])
        if self.failure:
            code, made_at = f"ProvisioningState/failed/{self.failure}", shown["properties"]["timeCreated"]
            shown["properties"] |= {
                "provisioningState": "Failed",
                "instanceView": {"statuses": [{"code": code, "time": made_at}]},
            }
        return Reply(shown)

    @property
    def nic(self) -> str:
        """The interface's name: Azure adds something to it, and need not keep the case of its letters."""
        profile = self.body["properties"]["networkProfile"]
        return f"{profile['networkInterfaceConfigurations'][0]['name'].upper()}-7d1f"

    def _delete(self, request: Request) -> Reply:
        kinds = {"virtualMachines": "vm", "networkInterfaces": "nic", "disks": "disk"}
        kind = kinds[request.path.split("/")[-2]]
        if kind in self.stays:
            return failed("ScopeLocked", "The scope is locked.")
        self.left.discard(kind)
        return Reply(None, 204)


def test_create_vm_asks_for_all_in_one_call() -> None:
    """VM, interface and disk, each deleted with the VM; nobody has the key; the name must be free."""
    spec = replace(SPEC, os=replace(SPEC.os, disk_gib=50), tags={"team": "web"})
    with answering(script(MISSING, CREATED, DONE)) as endpoint:
        created = caller(endpoint).create_vm(spec, Wish(representation=True))
    assert endpoint.calls == [GET, PUT, POLL]
    request = endpoint.requests[1]
    assert request.headers["if-none-match"] == "*"
    mark = request.body["tags"].pop("cloudvm:creation")
    assert len(mark) == 32
    properties = request.body["properties"]
    key = properties["osProfile"]["linuxConfiguration"]["ssh"]["publicKeys"][0]
    assert len(base64.b64decode(key.pop("keyData").removeprefix("ssh-rsa "))) > 256
    assert request.body == {
        "location": "westeurope",
        "tags": {"team": "web"},
        "properties": {
            "hardwareProfile": {"vmSize": "Standard_B1s"},
            "storageProfile": {
                "imageReference": {
                    "publisher": "Debian", "offer": "debian-12", "sku": "12-gen2", "version": "latest",
                },
                "osDisk": {
                    "name": f"vm1-os-{mark[:16]}", "createOption": "FromImage", "deleteOption": "Delete",
                    "diskSizeGB": 50,
                },
            },
            "osProfile": {
                "computerName": "vm1",
                "adminUsername": "azureuser",
                "customData": "I2Nsb3VkLWNvbmZpZw==",
                "linuxConfiguration": {
                    "disablePasswordAuthentication": True,
                    "ssh": {"publicKeys": [{"path": "/home/azureuser/.ssh/authorized_keys"}]},
                },
            },
            "networkProfile": {
                "networkApiVersion": "2020-11-01",
                "networkInterfaceConfigurations": [{
                    "name": f"vm1-nic-{mark[:16]}",
                    "properties": {
                        "primary": True,
                        "deleteOption": "Delete",
                        "ipConfigurations": [
                            {"name": "primary", "properties": {"primary": True, "subnet": {"id": SUBNET}}},
                        ],
                    },
                }],
            },
        },
    }  # fmt: skip
    assert created.vm is not None
    assert (created.vm.id, created.vm.status, created.vm.provider_status) == ("vm1", VMStatus.RUNNING, "running")


@pytest.mark.parametrize("status", [200, 201])
def test_create_vm_answered_without_a_link_is_followed_by_its_vm(status: int) -> None:
    """What the answer shows is the VM at its beginning."""
    with answering(Group(put=Reply(vm(provisioning="Creating"), status))) as endpoint:
        created = caller(endpoint).create_vm(SPEC, Wish(representation=True))
    assert created.vm is not None
    assert created.vm.status is VMStatus.RUNNING
    assert endpoint.calls == [GET, PUT, GET]


def test_create_vm_with_windows_sends_the_password_once_and_shows_it_nowhere() -> None:
    """No key, no Linux; the password is in the one request and in no text."""
    with answering(script(MISSING, CREATED, DONE)) as endpoint:
        created = caller(endpoint, options={"admin_username": ("boss",)}).create_vm(WINDOWS)
    assert endpoint.requests[1].body["properties"]["osProfile"] == {
        "computerName": "vm1", "adminUsername": "boss", "adminPassword": PASSWORD,
    }  # fmt: skip
    assert PASSWORD not in repr(WINDOWS) + repr(created)


def test_create_vm_sends_an_rsa_key() -> None:
    """Of the least length that Azure takes; nobody has its private key."""
    with answering(script(MISSING, CREATED, DONE)) as endpoint:
        caller(endpoint).create_vm(SPEC)
    (body,) = (request.body for request in endpoint.requests if request.method == "PUT")
    (sent,) = body["properties"]["osProfile"]["linuxConfiguration"]["ssh"]["publicKeys"]
    key = serialization.load_ssh_public_key(sent["keyData"].encode())
    assert isinstance(key, rsa.RSAPublicKey)
    assert key.key_size == 2048


def test_create_vm_without_start_is_deallocated_when_it_is_made() -> None:
    """Azure makes none that does not start."""
    replies = (MISSING, CREATED, operation("InProgress"), DONE, accepted(), DONE)
    with answering(script(*replies)) as endpoint:
        created = caller(endpoint).create_vm(replace(SPEC, start=False), Wish(representation=True))
    assert endpoint.calls == [GET, PUT, POLL, POLL, "POST virtualMachines/vm1/deallocate", POLL]
    assert created.vm is not None
    assert (created.vm.status, created.vm.provider_status) == (VMStatus.STOPPED, "deallocated")


def test_create_vm_with_a_taken_name_changes_nothing() -> None:
    """A PUT would change the VM that is there: none goes out."""
    with answering(script(Reply(vm("VM1")))) as endpoint, pytest.raises(NameTakenError, match="VM VM1"):
        caller(endpoint).create_vm(SPEC)
    assert endpoint.calls == [GET]


@pytest.mark.parametrize("refusal", [failed("PreconditionFailed", "If-None-Match", 412), failed("Conflict", "Busy")])
def test_create_vm_whose_name_is_taken_meanwhile_is_name_taken(refusal: Reply) -> None:
    """Two creates at once: `If-None-Match` lets one through."""
    with answering(script(MISSING, refusal, Reply(vm()))) as endpoint, pytest.raises(NameTakenError) as raised:
        caller(endpoint).create_vm(SPEC)
    assert raised.value.leftovers == ()
    assert endpoint.calls == [GET, PUT, GET]


def test_create_vm_in_conflict_with_something_else_is_a_conflict() -> None:
    """Nobody has the name: Azure's own words are told."""
    with (
        answering(script(MISSING, failed("Conflict", "Busy"), MISSING)) as endpoint,
        pytest.raises(ConflictError, match="Busy"),
    ):
        caller(endpoint).create_vm(SPEC)


@pytest.mark.parametrize(
    ("refusal", "kind"),
    [
        (failed("OperationNotAllowed", "exceeding approved Total Regional Cores quota"), QuotaExceededError),
        (failed("ResourceNotFound", "The subnet was not found", 404), UnprocessableError),
        (failed("NotFound", "Resource first not found", 404), UnprocessableError),
        (failed("ResourceGroupNotFound", "no group", 404), UnprocessableError),
        (failed("InvalidParameter", "imageReference", 400), UnprocessableError),
        (failed("LinkedAuthorizationFailed", "subnets/join/action", 403), PermissionDeniedError),
    ],
    ids=["quota", "subnet", "not-found", "group", "image", "join"],
)
def test_create_vm_that_is_refused_leaves_nothing(refusal: Reply, kind: type[ProviderError]) -> None:
    """What the create was told to use does not exist: no `vm_not_found`, and nothing to remove."""
    with answering(script(MISSING, refusal)) as endpoint, pytest.raises(kind) as raised:
        caller(endpoint).create_vm(SPEC)
    assert raised.value.leftovers == ()
    assert endpoint.calls == [GET, PUT]


@pytest.mark.parametrize("made", ["vm nic disk", "vm", "vm nic", "nic disk", "disk", ""])
def test_create_vm_that_fails_later_removes_what_it_has_made(made: str) -> None:
    """However far it has come; an interface of others stays."""
    group = Group(operation("InProgress"), operation("Failed", "OSProvisioningTimedOut"), made=made)
    with answering(group) as endpoint, pytest.raises(UnprocessableError, match="OSProvisioningTimedOut") as raised:
        caller(endpoint).create_vm(SPEC)
    assert [(one.kind, one.removed) for one in raised.value.leftovers] == [("vm", True), ("nic", True), ("disk", True)]
    assert group.left == set()
    assert not [one for one in endpoint.requests if one.method == "DELETE" and one.path.endswith("vm1-nic-other")]


def test_create_vm_that_fails_later_tells_what_stays() -> None:
    """A lock, say, keeps the interface; the others go all the same."""
    group = Group(operation("Failed", "AllocationFailed"), stays="nic")
    with answering(group) as endpoint, pytest.raises(ProviderError) as raised:
        caller(endpoint).create_vm(SPEC)
    assert [(one.kind, one.removed) for one in raised.value.leftovers] == [("vm", True), ("nic", False), ("disk", True)]
    assert group.left == {"nic"}


def test_create_vm_that_fails_later_leaves_somebody_elses_vm() -> None:
    """Of the same name, made since: it bears another mark."""
    group = Group(operation("Failed", "AllocationFailed"))
    group.others_tags = {"cloudvm:creation": "another"}
    with answering(group) as endpoint, pytest.raises(ProviderError):
        caller(endpoint).create_vm(SPEC)
    assert group.left == {"vm"}
    assert DELETE not in endpoint.calls


@pytest.mark.parametrize("others", [False, True])
def test_create_vm_that_fails_when_followed_removes_what_it_has_made(others: bool) -> None:  # noqa: FBT001 - a case
    """By the mark in the handle; another VM of the name stays."""
    group = Group(operation("Failed", "AllocationFailed"))
    group.failure = "AllocationFailed"
    group.others_tags = {"team": "theirs"} if others else None
    with answering(group) as endpoint:
        begun = caller(endpoint).create_vm(SPEC, Wish(patience_seconds=0))
        followed = caller(endpoint).poll(Operation(Verb.CREATE, "vm1", begun.handle))
    assert followed.failure is not None
    assert [one.kind for one in followed.failure.leftovers] == (["nic", "disk"] if others else ["vm", "nic", "disk"])
    assert group.left == ({"vm"} if others else set())


@pytest.mark.parametrize(
    "answer", [Reply(status=None), failed("InternalServerError", "Oops", 500), Reply(b"<html>", 200)]
)
def test_create_vm_whose_answer_is_lost_is_searched_and_removed(answer: Reply) -> None:
    """The connection breaks, Azure breaks, or somebody else answers."""
    group = Group(DONE, put=answer)
    with (
        answering(group) as endpoint,
        pytest.raises((BackendUnreachableError, BackendFailureError), match="`leftovers`") as raised,
    ):
        caller(endpoint).create_vm(SPEC)
    assert group.left == set()
    assert all(one.removed for one in raised.value.leftovers)
    assert endpoint.calls.count(PUT) == 1


def test_create_vm_whose_answer_is_lost_and_made_nothing_says_so() -> None:
    """It is looked for for a while; one of another create is not touched."""
    others = Reply(vm(tags={"cloudvm:creation": "another"}))
    with (
        answering(script(MISSING, Reply(status=None), others)) as endpoint,
        pytest.raises(BackendUnreachableError, match=r"No VM was found that it made\.") as raised,
    ):
        caller(endpoint).create_vm(SPEC)
    assert raised.value.leftovers == ()
    assert endpoint.calls == [GET, PUT, GET]


def test_create_vm_whose_answer_is_lost_with_a_key_is_left_to_the_next_try() -> None:
    """The caller has what it takes to find it."""
    with (
        answering(script(vms(), Reply(status=None))) as endpoint,
        pytest.raises(BackendUnreachableError, match="same Idempotency-Key"),
    ):
        caller(endpoint).create_vm(KEYED)
    assert endpoint.calls == [ALL, PUT]


def test_create_vm_with_a_key_bears_its_mark() -> None:
    """Not the key itself."""
    with answering(script(vms(), CREATED, DONE)) as endpoint:
        caller(endpoint).create_vm(KEYED)
    tags = endpoint.requests[1].body["tags"]
    assert {**KEY_TAGS, "cloudvm:creation": tags["cloudvm:creation"]} == tags
    assert endpoint.calls == [ALL, PUT, POLL]


def test_create_vm_repeated_waits_for_the_vm_of_the_first_try() -> None:
    """Its creation may be under way."""
    making = vm(provisioning="Creating", tags=KEY_TAGS)
    replies = (vms(vm("other"), making), Reply(making), Reply(vm(power="running", tags=KEY_TAGS)))
    with answering(script(*replies)) as endpoint:
        found = caller(endpoint).create_vm(KEYED, Wish(representation=True))
    assert found.vm is not None
    assert (found.vm.id, found.vm.status, found.vm.tags) == ("vm1", VMStatus.RUNNING, {})
    assert endpoint.calls == [ALL, GET, GET]


def test_create_vm_repeated_while_the_first_try_fails_tells_its_failure() -> None:
    """And leaves the removal to the first."""
    making, broken = vm(provisioning="Creating", tags=KEY_TAGS), vm(provisioning="Failed", tags=KEY_TAGS)
    status = {"code": "ProvisioningState/failed/AllocationFailed", "message": "No room."}
    broken["properties"]["instanceView"] = {"statuses": [status]}
    with (
        answering(script(vms(making), Reply(broken))) as endpoint,
        pytest.raises(ProviderError, match="No room") as raised,
    ):
        caller(endpoint).create_vm(KEYED)
    assert raised.value.leftovers == ()
    assert {request.method for request in endpoint.requests} == {"GET"}


@pytest.mark.parametrize(
    ("found", "kind"),
    [
        (vm("vm1", tags={**KEY_TAGS, "cloudvm:request-digest": "digest-2"}), UnprocessableError),
        (vm("other", tags={**KEY_TAGS, "cloudvm:request-digest": "digest-2"}), UnprocessableError),
        (vm("VM1", tags={**KEY_TAGS, "cloudvm:request-key": "other"}), NameTakenError),
        (vm("VM1"), NameTakenError),
    ],
    ids=["other-content", "other-name", "other-key", "no-key"],
)
def test_create_vm_with_a_key_beside_another_vm_is_refused(found: dict[str, Any], kind: type[ProviderError]) -> None:
    """Before any change."""
    with answering(script(vms(found))) as endpoint, pytest.raises(kind):
        caller(endpoint).create_vm(KEYED)
    assert endpoint.calls == [ALL]


def test_create_vm_with_a_key_overtaken_by_a_second_try_returns_its_vm() -> None:
    """Eight retries at once: one PUT goes through, the others find its VM."""
    replies = (vms(), failed("PreconditionFailed", "", 412), *[Reply(vm(power="running", tags=KEY_TAGS))] * 2)
    with answering(script(*replies)) as endpoint:
        found = caller(endpoint).create_vm(KEYED, Wish(representation=True))
    assert found.vm_id == "vm1"
    assert endpoint.calls == [ALL, PUT, GET, GET]


def test_create_vm_repeated_without_start_stops_what_the_first_try_left_running() -> None:
    """Unless it is an old one, which has been in use since (the document's VM was made in 2024)."""
    stopped = replace(KEYED, start=False)
    old = vm(power="running", tags=KEY_TAGS)
    young = vm(power="running", tags=KEY_TAGS)
    young["properties"]["timeCreated"] = None
    with answering(script(vms(old), Reply(old))) as endpoint:
        caller(endpoint).create_vm(stopped)
        assert [one.method for one in endpoint.requests] == ["GET", "GET"]
    first_start = {"timeCreated": "2026-11-23T10:00:00Z", "LastOwnershipUpdateTime": "2026-11-23T10:00:04Z"}
    with answering(script(vms(young), Reply(young), Reply({"properties": first_start}), accepted(), DONE)) as endpoint:
        found = caller(endpoint).create_vm(stopped, Wish(representation=True))
    assert found.vm is not None
    assert found.vm.status is VMStatus.STOPPED


def test_create_vm_of_an_image_that_is_larger_is_asked_for_anew_once() -> None:
    """A machine type names the least size; a session learns an image's own when Azure refuses."""
    spec = replace(SPEC, os=replace(SPEC.os, disk_gib=20))
    small = failed(
        "OperationNotAllowed",
        "The specified disk size 20 GB is smaller than the size of the corresponding disk in the VM image: 30 GB. This "
        "is not allowed.",
    )
    backends = Backends(NETWORK, LIMITS)
    with answering(script(MISSING, small, CREATED, DONE, MISSING, CREATED, DONE)) as endpoint:
        for _ in range(2):
            caller(endpoint, backends).create_vm(spec)
        backends.close()
    puts = [one.body["properties"]["storageProfile"]["osDisk"] for one in endpoint.requests if one.method == "PUT"]
    assert ["diskSizeGB" in disk for disk in puts] == [True, False, False]


def test_create_vm_with_a_link_elsewhere_removes_what_it_has_made() -> None:
    """The VM is being made, and nobody can follow it."""
    elsewhere = Reply(vm(provisioning="Creating"), 201, {"Azure-AsyncOperation": "https://elsewhere.example/op"})
    group = Group(DONE, put=elsewhere)
    with answering(group) as endpoint, pytest.raises(BackendFailureError, match="not followed") as raised:
        caller(endpoint).create_vm(SPEC)
    assert group.left == set()
    assert len(raised.value.leftovers) == 3
    assert {one.path.partition("/providers")[0] for one in endpoint.requests} <= {GROUP, *_subscription(endpoint)}


def _subscription(endpoint: Endpoint) -> set[str]:
    return {one.path.partition("/providers")[0] for one in endpoint.requests if "/operations/" in one.path}
