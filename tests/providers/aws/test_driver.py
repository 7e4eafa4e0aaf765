"""The driver through the gateway, against answers that no simulator gives on demand."""

from __future__ import annotations

import gzip
import logging
from collections.abc import Callable

import pytest

from providers import trace
from providers.domain import StopMode, VMStatus
from providers.errors import (
    BackendFailureError,
    BackendUnreachableError,
    ConflictError,
    CredentialsRejectedError,
    ThrottledError,
    VMNotFoundError,
)
from providers.gateway import Gateway
from tests.providers.aws.documents import described, failed, instance
from tests.providers.aws.endpoint import Endpoint, Reply, answering
from tests.providers.aws.replies import GONE, LOST, VM_ID, done, gateway, shown

GZIPPED = gzip.compress(described(instance(1)))


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


def test_list_vms_region_in_capitals_signs_for_the_region() -> None:
    """EC2 would take it for a wrong key."""
    with answering(Reply(described())) as endpoint:
        gateway(endpoint, region="Aws-int/EU-WEST-3").list_vms()
    assert "/eu-west-3/ec2/" in endpoint.headers[0]["authorization"]


def test_list_vms_asks_for_all_but_the_terminated() -> None:
    """What is on its way down is still a VM."""
    with answering(Reply(described())) as endpoint:
        gateway(endpoint).list_vms()
    [request] = endpoint.requests
    assert request["Filter.1.Name"] == "instance-state-name"
    asked = {value for key, value in request.items() if key.startswith("Filter.1.Value.")}
    assert asked == {"pending", "running", "shutting-down", "stopping", "stopped"}
    assert not any(key.startswith("Filter.2") for key in request)


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
        Reply(GZIPPED[:200], headers={"Content-Encoding": "gzip"}),
        Reply(GZIPPED[:-8], headers={"Content-Encoding": "gzip"}),
        Reply(b"no gzip", headers={"Content-Encoding": "gzip"}),
    ],
    ids=["page", "cut-off", "gzip-cut-off", "gzip-without-its-sum", "no-gzip"],
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


def test_restart_vm_force_starts_once_it_is_stopped() -> None:
    """EC2 would refuse to start what is still stopping."""
    replies = ("running", "stopping", "stopped")
    with answering(
        shown(replies[0]), done("StopInstances"), shown(replies[1]), shown(replies[2]), done("StartInstances"),
        shown("running"),
    ) as endpoint:  # fmt: skip
        gateway(endpoint).restart_vm(VM_ID, StopMode.FORCE, 1)
    look = "DescribeInstances"
    assert endpoint.actions == [look, "StopInstances", look, look, "StartInstances", look]
    assert endpoint.requests[1]["Force"] == "true"


@pytest.mark.parametrize(
    ("verb", "under_way", "end"),
    [
        (lambda caller: caller.start_vm(VM_ID), "pending", "running"),
        (lambda caller: caller.stop_vm(VM_ID, StopMode.GRACEFUL, 60), "stopping", "stopped"),
        (lambda caller: caller.delete_vm(VM_ID), "shutting-down", "terminated"),
    ],
    ids=["start", "stop", "delete"],
)
def test_verb_already_under_way_is_waited_for(verb: Callable[[Gateway], object], under_way: str, end: str) -> None:
    """Nothing more is asked of EC2, which would refuse some of it."""
    with answering(shown(under_way), shown(under_way), shown(end)) as endpoint:
        verb(gateway(endpoint))
    assert endpoint.actions == ["DescribeInstances"] * 3


def test_start_vm_unknown_afterwards_is_not_found() -> None:
    """It was deleted meanwhile, and EC2 has forgotten it."""
    with (
        answering(shown("stopped"), done("StartInstances"), shown("pending"), GONE) as endpoint,
        pytest.raises(VMNotFoundError, match=f"EC2 knows no VM {VM_ID} any more"),
    ):
        gateway(endpoint).start_vm(VM_ID)


def test_get_vm_answered_with_none_or_two_fails() -> None:
    """What was not asked for is not shown as what was."""
    for reply in (Reply(described()), Reply(described(instance(1), instance(2)))):
        with answering(reply) as endpoint, pytest.raises(BackendFailureError, match="where one was asked for"):
            gateway(endpoint).get_vm(VM_ID)


def test_delete_vm_unknown_afterwards_is_deleted() -> None:
    """EC2 forgets it in the end."""
    with answering(shown("running"), done("TerminateInstances"), shown("shutting-down"), GONE) as endpoint:
        assert gateway(endpoint).delete_vm(VM_ID).done
