"""How VMs are made, and what becomes of them when that fails, against answers that no simulator gives on demand."""

from __future__ import annotations

from dataclasses import replace

import pytest

from providers.aws import CLOUD
from providers.aws.client import Launch
from providers.aws.driver import AwsDriver
from providers.domain import Environment, Idempotency, Offer, OperatingSystem, VMSpec, VMStatus
from providers.errors import (
    BackendFailureError,
    BackendUnreachableError,
    InvalidRequestError,
    PermissionDeniedError,
    ProviderError,
    QuotaExceededError,
    UnprocessableError,
)
from tests.providers.aws.documents import described, failed, image, run
from tests.providers.aws.endpoint import Reply, answering
from tests.providers.aws.replies import GONE, LOST, MADE, VM_ID, done, gateway, in_state, shown

SPEC = VMSpec("vm1", OperatingSystem("linux"), Offer("t3.medium", "ami-0123456789abcdef0"), cloud_init=b"#cloud-config")
KEYED = VMSpec(SPEC.name, SPEC.os, SPEC.offer, idempotency=Idempotency("key-1", "digest-1"))
REFUSED = Reply(failed("UnauthorizedOperation"), 403)
NONE = Reply(described())


def test_create_vm_unknown_at_first_is_waited_for() -> None:
    """Eventual consistency."""
    with answering(MADE, GONE, shown("pending"), shown("running")) as endpoint:
        operation = gateway(endpoint).create_vm(SPEC)
    assert operation.vm is not None
    assert operation.vm.status is VMStatus.RUNNING
    request = endpoint.requests[0]
    assert request["UserData"] == "I2Nsb3VkLWNvbmZpZw=="
    assert request["MetadataOptions.HttpTokens"] == "required"
    assert request["InstanceInitiatedShutdownBehavior"] == "stop"


def test_create_vm_that_goes_down_fails_with_its_reason() -> None:
    """And what was made is removed."""
    replies = (MADE, shown("shutting-down", "Client.VolumeLimitExceeded"), done("TerminateInstances"), GONE)
    with answering(*replies) as endpoint, pytest.raises(QuotaExceededError, match="Why") as raised:
        gateway(endpoint).create_vm(SPEC)
    assert [(left.id, left.removed) for left in raised.value.leftovers] == [(VM_ID, True)]


def test_create_vm_lost_answer_is_searched_and_removed() -> None:
    """By its client token, which nobody else can know."""
    replies = (LOST, LOST, LOST, Reply(described()), shown("pending"), done("TerminateInstances"), GONE)
    with answering(*replies) as endpoint, pytest.raises(BackendUnreachableError, match="`leftovers`") as raised:
        gateway(endpoint).create_vm(SPEC)
    assert "look at the VM" not in raised.value.detail
    tokens = {request["ClientToken"] for request in endpoint.requests[:3]}
    assert {endpoint.requests[3]["Filter.1.Value.1"]} == tokens
    assert [(left.id, left.removed) for left in raised.value.leftovers] == [(VM_ID, True)]


def test_create_vm_failed_and_still_unknown_is_removed_when_known() -> None:
    """EC2 may not know yet what it has just made: not found is no sign that it is gone."""
    down = shown("shutting-down", "Client.VolumeLimitExceeded")
    replies = (MADE, down, GONE, GONE, done("TerminateInstances"), shown("shutting-down"), GONE)
    with answering(*replies) as endpoint, pytest.raises(QuotaExceededError) as raised:
        gateway(endpoint).create_vm(SPEC)
    assert endpoint.actions.count("TerminateInstances") == 3
    assert [(left.id, left.removed) for left in raised.value.leftovers] == [(VM_ID, True)]


def test_create_vm_lost_answer_without_a_trace_is_told() -> None:
    """That nothing was found is known; that nothing was made is not."""
    with (
        answering(LOST, LOST, LOST, NONE) as endpoint,
        pytest.raises(BackendUnreachableError, match="No VM was found that it made") as raised,
    ):
        gateway(endpoint).create_vm(SPEC)
    assert raised.value.leftovers == ()


def test_create_vm_lost_answer_and_search_refused_names_the_token() -> None:
    """By it whoever may look finds the VM."""
    with (
        answering(LOST, LOST, LOST, REFUSED) as endpoint,
        pytest.raises(BackendUnreachableError, match="may have been made") as raised,
    ):
        gateway(endpoint).create_vm(SPEC)
    [left] = raised.value.leftovers
    assert (left.kind, left.id, left.removed) == ("client token", endpoint.requests[0]["ClientToken"], False)


def test_create_vm_lost_answer_is_searched_again_when_removing() -> None:
    """Removing has time of its own."""
    replies = (LOST, LOST, LOST, REFUSED, shown("pending"), done("TerminateInstances"), GONE)
    with answering(*replies) as endpoint, pytest.raises(BackendUnreachableError) as raised:
        gateway(endpoint).create_vm(SPEC)
    assert endpoint.actions[-3:] == ["DescribeInstances", "TerminateInstances", "DescribeInstances"]
    assert [left.removed for left in raised.value.leftovers] == [True]


def test_create_vm_answered_without_an_instance_is_searched() -> None:
    """EC2 may have made one all the same."""
    replies = (Reply(run("")), shown("pending"), done("TerminateInstances"), GONE)
    with answering(*replies) as endpoint, pytest.raises(BackendFailureError, match="0 instances") as raised:
        gateway(endpoint).create_vm(SPEC)
    assert [(left.id, left.removed) for left in raised.value.leftovers] == [(VM_ID, True)]


def test_create_vm_lost_once_then_throttled_is_searched() -> None:
    """That the last attempt was refused says nothing of the first."""
    throttled = Reply(failed("RequestLimitExceeded"), 503)
    replies = (LOST, throttled, throttled, shown("pending"), done("TerminateInstances"), GONE)
    with answering(*replies) as endpoint, pytest.raises(ProviderError) as raised:
        gateway(endpoint).create_vm(SPEC)
    assert [left.removed for left in raised.value.leftovers] == [True]


def test_create_vm_lost_answer_with_key_is_left_to_the_next_try() -> None:
    """The caller has what it takes to find it."""
    with answering(LOST) as endpoint, pytest.raises(BackendUnreachableError, match="same Idempotency-Key") as raised:
        gateway(endpoint).create_vm(KEYED)
    assert set(endpoint.actions) == {"RunInstances"}
    assert raised.value.leftovers == ()


def test_create_vm_repeated_key_sends_same_token_and_content() -> None:
    """EC2 itself compares them."""
    with answering(Reply(run(in_state("running")))) as endpoint:
        first, second = gateway(endpoint).create_vm(KEYED), gateway(endpoint).create_vm(KEYED)
    assert first.vm_id == second.vm_id == VM_ID
    assert endpoint.requests[0] == endpoint.requests[1]
    assert len(endpoint.requests[0]["ClientToken"]) == 64
    assert "digest-1" in endpoint.requests[0].values()


def test_create_vm_same_key_elsewhere_is_another_vm() -> None:
    """A key stands for one VM in one environment."""
    with answering(Reply(run(in_state("running")))) as endpoint:
        for name in ("aws1", "aws2"):
            gateway(endpoint, name=name).create_vm(KEYED)
    first, second = (request["ClientToken"] for request in endpoint.requests)
    assert first != second


def test_create_vm_repeated_key_of_an_older_vm_leaves_it_alone() -> None:
    """What runs already was made by an earlier request: a later failure must not remove it."""
    with answering(Reply(run(in_state("stopping"))), REFUSED) as endpoint, pytest.raises(PermissionDeniedError):
        gateway(endpoint).create_vm(KEYED)
    assert endpoint.actions == ["RunInstances", "DescribeInstances"]


def test_create_vm_without_start_repeated_leaves_a_started_vm_running() -> None:
    """Its user has started it since; a retry must not stop it."""
    with answering(Reply(run(in_state("running")))) as endpoint:
        gateway(endpoint).create_vm(replace(KEYED, start=False))
    assert endpoint.actions == ["RunInstances"]


def test_create_vm_without_start_repeated_leaves_a_stopped_vm_stopped() -> None:
    """There is nothing left to do."""
    with answering(Reply(run(in_state("stopped").replace("2026-11-23T10:00", "2026-03-01T08:30")))) as endpoint:
        assert gateway(endpoint).create_vm(replace(KEYED, start=False)).done
    assert endpoint.actions == ["RunInstances"]


def test_create_vm_without_start_asks_the_guest_to_stop() -> None:
    """Once it runs: EC2 refuses earlier, and a first boot that is cut off may leave the disk half written."""
    fresh = [in_state(state).replace("2026-11-23T10:00", "2026-03-01T08:30") for state in ("pending", "running")]
    replies = (Reply(run(fresh[0])), Reply(described(fresh[1])), done("StopInstances"), shown("stopped"))
    with answering(*replies) as endpoint:
        operation = gateway(endpoint).create_vm(replace(SPEC, start=False))
    assert endpoint.requests[2].get("Force", "false") == "false"
    assert operation.vm is not None
    assert operation.vm.status is VMStatus.STOPPED


@pytest.mark.parametrize(("wanted", "size"), [(4, "8"), (8, "8"), (20, "20")])
def test_create_vm_with_disk_size_takes_at_least_the_images(wanted: int, size: str) -> None:
    """EC2 refuses a root volume smaller than the image's snapshot; the disk goes with the VM."""
    sized = replace(SPEC, os=OperatingSystem("linux", disk_gib=wanted))
    with answering(Reply(image()), Reply(run(in_state("running")))) as endpoint:
        gateway(endpoint).create_vm(sized)
    mapping = "BlockDeviceMapping.1."
    asked = {key.removeprefix(mapping): value for key, value in endpoint.requests[1].items() if mapping in key}
    assert asked == {"DeviceName": "/dev/xvda", "Ebs.VolumeSize": size, "Ebs.DeleteOnTermination": "true"}


def test_create_vm_with_disk_size_asks_for_the_image_once() -> None:
    """An image never changes; without a size nothing is asked for."""
    sized = replace(SPEC, os=OperatingSystem("linux", disk_gib=20))
    made = Reply(run(in_state("running")))
    with answering(Reply(image()), made) as endpoint:
        caller = gateway(endpoint)
        for spec in (sized, sized, SPEC):
            caller.create_vm(spec)
    assert endpoint.actions == ["DescribeImages", *["RunInstances"] * 3]
    assert not any(key.startswith("BlockDeviceMapping") for key in endpoint.requests[3])


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (image(root="/dev/sda1"), "no EBS root volume"),
        (done("DescribeImages").body, "does not exist in this region"),
    ],
    ids=["no-root-volume", "unknown"],
)
def test_create_vm_with_disk_size_of_no_such_disk_is_unprocessable(answer: bytes, why: str) -> None:
    """Nothing is made."""
    with answering(Reply(answer)) as endpoint, pytest.raises(UnprocessableError, match=why):
        gateway(endpoint).create_vm(replace(SPEC, os=OperatingSystem("linux", disk_gib=20)))
    assert endpoint.actions == ["DescribeImages"]


def test_create_vm_sends_security_groups_and_tags() -> None:
    """The environment's groups; the caller's tags and the name for VM and volume, ours for the VM alone."""
    groups = {"security_group_ids": ("sg-0a1b2c3d4e5f60718", "sg-0123456789abcdef0")}
    with answering(Reply(run(in_state("running")))) as endpoint:
        gateway(endpoint, options=groups).create_vm(replace(KEYED, tags={"team": "web"}))
    [request] = endpoint.requests
    assert (request["SecurityGroupId.1"], request["SecurityGroupId.2"]) == groups["security_group_ids"]
    tags: dict[str, dict[str, str]] = {}
    for number in ("1", "2"):
        mine = {key: value for key, value in request.items() if key.startswith(f"TagSpecification.{number}.")}
        keys = sorted(key for key in mine if key.endswith(".Key"))
        tags[mine[f"TagSpecification.{number}.ResourceType"]] = {
            mine[key]: mine[key.removesuffix("Key") + "Value"] for key in keys
        }
    shared = {"team": "web", "Name": "vm1"}
    assert tags == {"instance": {**shared, "cloudvm:request": "digest-1"}, "volume": shared}


def test_launch_repr_shows_no_user_data() -> None:
    """They are a secret."""
    assert "hunter2" not in repr(Launch("t", "ami-1", "t3.micro", "subnet-1", {}, {}, user_data=b"hunter2"))


@pytest.mark.parametrize(("spec", "most"), [(SPEC, 49), (KEYED, 48)])
def test_check_create_counts_the_tags_that_are_ours(spec: VMSpec, most: int) -> None:
    """The name, and with a key what stands for the content."""
    environment = Environment("aws1", CLOUD, network_id="subnet-1")
    tags = {f"k{number}": "" for number in range(most)}
    AwsDriver.check_create(environment, replace(spec, tags=tags))
    with pytest.raises(InvalidRequestError):
        AwsDriver.check_create(environment, replace(spec, tags={**tags, "more": ""}))


@pytest.mark.parametrize(
    ("spec", "network_id", "kind"),
    [
        (SPEC, "", UnprocessableError),
        (VMSpec("v", SPEC.os, Offer("t3.medium", "ubuntu")), "subnet-1", UnprocessableError),
        (VMSpec("v", SPEC.os, SPEC.offer, tags={"Name": "x"}), "subnet-1", InvalidRequestError),
        (VMSpec("v", SPEC.os, SPEC.offer, tags={"AWS:x": "x"}), "subnet-1", InvalidRequestError),
        (VMSpec("v", SPEC.os, SPEC.offer, tags={"cloudvm:x": "x"}), "subnet-1", InvalidRequestError),
        (VMSpec("v", SPEC.os, SPEC.offer, tags={f"k{n}": "" for n in range(50)}), "subnet-1", InvalidRequestError),
    ],
    ids=["no-subnet", "no-ami", "name-tag", "aws-tag", "own-tag", "too-many-tags"],
)
def test_create_vm_without_subnet_or_with_reserved_tags_is_refused_before_any_call(
    spec: VMSpec, network_id: str, kind: type[ProviderError]
) -> None:
    """With the field at fault, where it is a field."""
    with answering(MADE) as endpoint, pytest.raises(kind) as raised:
        gateway(endpoint, network_id=network_id).create_vm(spec)
    assert endpoint.requests == []
    assert all(f"{fault.field}: {fault.detail}" in raised.value.detail for fault in raised.value.fields)
