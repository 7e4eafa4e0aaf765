"""The driver through the gateway, against answers that no simulator gives on demand."""

from __future__ import annotations

import gzip
import logging
from collections.abc import Callable

import pytest

from providers import trace
from providers.aws import CLOUD
from providers.credentials import Credentials
from providers.domain import Environment, Idempotency, Offer, OperatingSystem, StopMode, VMSpec, VMStatus
from providers.errors import (
    BackendFailureError,
    BackendUnreachableError,
    ConflictError,
    CredentialsRejectedError,
    InvalidRequestError,
    ProviderError,
    QuotaExceededError,
    ThrottledError,
    UnprocessableError,
    VMNotFoundError,
)
from providers.gateway import Backends, Gateway
from providers.network import Network
from providers.waiting import Deadline
from tests.providers.aws.documents import described, failed, instance, run
from tests.providers.aws.endpoint import Endpoint, Reply, answering

VM_ID = "i-00000000000000001"
SPEC = VMSpec("vm1", OperatingSystem("linux"), Offer("t3.medium", "ami-0123456789abcdef0"), cloud_init=b"#cloud-config")
KEYED = VMSpec(SPEC.name, SPEC.os, SPEC.offer, idempotency=Idempotency("key-1", "digest-1"))


def in_state(state: str, reason: str = "") -> str:
    """The instance, in a state."""
    text = instance(1).replace("<name>running<", f"<name>{state}<")
    return text.replace("<reason/>", f"<stateReason><code>{reason}</code><message>Why</message></stateReason>")


def shown(state: str, reason: str = "") -> Reply:
    """A look at it."""
    return Reply(described(in_state(state, reason)))


def done(operation: str) -> Reply:
    """An accepted change."""
    return Reply(f"<{operation}Response><requestId>r</requestId></{operation}Response>".encode())


MADE = Reply(run(in_state("pending")))
GONE = Reply(failed("InvalidInstanceID.NotFound"), 400)
LOST = Reply(status=None)


def gateway(endpoint: Endpoint, vpc_id: str = "", network_id: str = "subnet-0123456789abcdef0") -> Gateway:
    """A caller in an environment that leads to the endpoint."""
    environment = Environment(
        "aws1", CLOUD, url=endpoint.url, region="Aws-int/eu-west-3", vpc_id=vpc_id, network_id=network_id
    )
    network = Network(connect_timeout_seconds=2, read_timeout_seconds=2)
    return Backends(network).gateway(environment, Credentials("AKIAX", "secret"), Deadline.after(20))


def outcomes(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What the call log says."""
    return [f"{record.operation} {record.outcome}" for record in caplog.records if record.name == "cloudvm.backend"]  # type: ignore[attr-defined] # set by the trace


def test_list_vms_two_pages_are_joined_and_sorted() -> None:
    """The second is asked for with the first one's token."""
    with answering(Reply(described(instance(2), next_token="t-2")), Reply(described(instance(1)))) as endpoint:
        vms = gateway(endpoint, vpc_id="vpc-1").list_vms()
    assert [vm.name for vm in vms] == ["vm1", "vm2"]
    assert vms[0].tags == {"team": "web"}
    assert [request.get("NextToken") for request in endpoint.requests] == [None, "t-2"]
    assert endpoint.requests[0]["MaxResults"] == "1000"
    assert endpoint.requests[0]["Filter.2.Value.1"] == "vpc-1"


def test_list_vms_same_page_twice_fails() -> None:
    """A backend that gives the same token for ever must not keep us for ever."""
    with (
        answering(Reply(described(instance(2), next_token="t"))) as endpoint,
        pytest.raises(BackendFailureError, match="same page twice"),
    ):
        gateway(endpoint).list_vms()


def test_list_vms_compressed_answer_is_read() -> None:
    """It is asked for, outside of the signature, and unpacked here."""
    body = gzip.compress(described(instance(1)))
    with answering(Reply(body, headers={"Content-Encoding": "gzip"})) as endpoint:
        assert len(gateway(endpoint).list_vms()) == 1
    assert endpoint.headers[0]["accept-encoding"] == "gzip"
    assert "accept-encoding" not in endpoint.headers[0]["authorization"].lower()


@pytest.mark.parametrize(
    "reply",
    [
        Reply(b"<html>Sign in</html>"),
        Reply(described(instance(1))[:3000]),
        Reply(gzip.compress(described(instance(1)))[:200], headers={"Content-Encoding": "gzip"}),
        Reply(b"no gzip", headers={"Content-Encoding": "gzip"}),
    ],
    ids=["page", "cut-off", "gzip-cut-off", "no-gzip"],
)
def test_list_vms_answer_that_is_not_ec2s_fails(reply: Reply) -> None:
    """Never a crash, and never an empty list."""
    with answering(reply) as endpoint, pytest.raises(BackendFailureError, match="not EC2's XML") as raised:
        gateway(endpoint).list_vms()
    assert raised.value.backend is not None
    assert (raised.value.backend.operation, raised.value.backend.status) == ("DescribeInstances", 200)


def test_list_vms_compressed_error_is_understood() -> None:
    """Botocore would not unpack it."""
    body = gzip.compress(failed("AuthFailure"))
    with (
        answering(Reply(body, 401, {"Content-Encoding": "gzip"})) as endpoint,
        pytest.raises(CredentialsRejectedError),
    ):
        gateway(endpoint).list_vms()
    assert len(endpoint.requests) == 1


def test_list_vms_throttled_is_tried_three_times_and_each_is_recorded(caplog: pytest.LogCaptureFixture) -> None:
    """Each attempt is a call, once."""
    with (
        answering(Reply(failed("RequestLimitExceeded"), 503)) as endpoint,
        caplog.at_level(logging.INFO),
        trace.tracing(trace.Trace("r")) as running,
        pytest.raises(ThrottledError),
    ):
        gateway(endpoint).list_vms()
    assert len(endpoint.requests) == running.calls == 3
    assert outcomes(caplog) == ["DescribeInstances 503 RequestLimitExceeded"] * 3


def test_list_vms_proxy_error_page_is_no_refusal_by_ec2(caplog: pytest.LogCaptureFixture) -> None:
    """A 403 page of a proxy says nothing about the caller's keys."""
    with (
        answering(Reply(b"<!DOCTYPE html><html><br>Forbidden</html>", 403)) as endpoint,
        caplog.at_level(logging.INFO),
        pytest.raises(BackendFailureError, match="HTTP 403"),
    ):
        gateway(endpoint).list_vms()
    assert outcomes(caplog) == ["DescribeInstances 403 403"]


def test_list_vms_nobody_listens_is_unreachable(caplog: pytest.LogCaptureFixture) -> None:
    """The host is named."""
    endpoint = Endpoint("http://127.0.0.1:9", [])
    with caplog.at_level(logging.INFO), pytest.raises(BackendUnreachableError, match=r"127\.0\.0\.1:9"):
        gateway(endpoint).list_vms()
    assert outcomes(caplog) == ["DescribeInstances connect error"] * 3


@pytest.mark.parametrize("reply", [shown("terminated"), GONE], ids=["terminated", "unknown"])
def test_get_vm_that_is_gone_is_not_found(reply: Reply) -> None:
    """A terminated instance is shown by EC2 for a while."""
    with answering(reply) as endpoint, pytest.raises(VMNotFoundError):
        gateway(endpoint).get_vm(VM_ID)


@pytest.mark.parametrize(
    "verb",
    [
        lambda caller: caller.get_vm(VM_ID),
        lambda caller: caller.start_vm(VM_ID),
        lambda caller: caller.stop_vm(VM_ID, StopMode.FORCE, 1),
        lambda caller: caller.restart_vm(VM_ID, StopMode.FORCE, 1),
        lambda caller: caller.delete_vm(VM_ID),
    ],
    ids=["get", "start", "stop", "restart", "delete"],
)
def test_verb_outside_the_vpc_is_not_found(verb: Callable[[Gateway], object]) -> None:
    """The same keys may reach another environment's VMs; nothing is changed."""
    with answering(shown("running")) as endpoint, pytest.raises(VMNotFoundError):
        verb(gateway(endpoint, vpc_id="vpc-other"))
    assert endpoint.actions == ["DescribeInstances"]


def test_restart_vm_lost_reboot_is_not_repeated() -> None:
    """It could reboot twice."""
    with answering(shown("running"), LOST) as endpoint, pytest.raises(BackendUnreachableError, match="may still"):
        gateway(endpoint).restart_vm(VM_ID, StopMode.AUTO, 1)
    assert endpoint.actions == ["DescribeInstances", "RebootInstances"]


def test_restart_vm_stopped_is_conflict() -> None:
    """Its state is named."""
    with answering(shown("stopped")) as endpoint, pytest.raises(ConflictError, match="is stopped"):
        gateway(endpoint).restart_vm(VM_ID, StopMode.AUTO, 1)


def test_stop_vm_force_while_stopping_cuts_the_power() -> None:
    """The guest was asked before."""
    with answering(shown("stopping"), done("StopInstances"), shown("stopped")) as endpoint:
        operation = gateway(endpoint).stop_vm(VM_ID, StopMode.FORCE, 1)
    assert operation.vm is not None
    assert operation.vm.status is VMStatus.STOPPED
    assert endpoint.requests[1]["Force"] == "true"


def test_start_vm_without_capacity_fails() -> None:
    """EC2 accepts it and goes back to stopped; what may be the old state is looked at again for a while."""
    with (
        answering(
            shown("stopped"), done("StartInstances"), shown("stopping", "Server.InternalError"), GONE
        ) as endpoint,
        pytest.raises(VMNotFoundError),
    ):
        gateway(endpoint).start_vm(VM_ID)


def test_delete_vm_unknown_afterwards_is_deleted() -> None:
    """EC2 forgets it in the end."""
    with answering(shown("running"), done("TerminateInstances"), shown("shutting-down"), GONE) as endpoint:
        assert gateway(endpoint).delete_vm(VM_ID).done


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
    with answering(*replies) as endpoint, pytest.raises(BackendUnreachableError, match="removed again") as raised:
        gateway(endpoint).create_vm(SPEC)
    tokens = {request["ClientToken"] for request in endpoint.requests[:3]}
    assert {endpoint.requests[3]["Filter.1.Value.1"]} == tokens
    assert [(left.id, left.removed) for left in raised.value.leftovers] == [(VM_ID, True)]


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
def test_create_vm_impossible_spec_is_refused_before_any_call(
    spec: VMSpec, network_id: str, kind: type[ProviderError]
) -> None:
    """With the field at fault, where it is a field."""
    with answering(MADE) as endpoint, pytest.raises(kind):
        gateway(endpoint, network_id=network_id).create_vm(spec)
    assert endpoint.requests == []
