"""A retry with the same Idempotency-Key finishes what an earlier try left half-made, against the simulator."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import pytest

from providers.aws import CLOUD
from providers.credentials import Credentials
from providers.deadline import Deadline
from providers.domain import Environment, Idempotency, Offer, OperatingSystem, StopMode, VMSpec
from providers.errors import ConflictError, ProviderError, UnprocessableError
from providers.gateway import Backends, Gateway
from providers.network import Network
from providers.sandbox import aws
from providers.sandbox.aws import AwsSandbox
from providers.sandbox.faults import Cut, Fault
from providers.work import Wish
from tests.support.arrivals import at_call
from tests.support.limits import LIMITS
from tests.support.threads import at_once

SPEC = VMSpec(
    "vm1", OperatingSystem("linux"), Offer("t3.micro", aws.IMAGE_ID), idempotency=Idempotency("key-1", "digest-1")
)
STOPPED = replace(SPEC, start=False)
AT_ONCE = Wish(patience_seconds=0)
BROKEN = Fault(times=None, status=403, code="UnauthorizedOperation", message="No.")


@dataclass
class Caller:
    """A process with sessions of its own."""

    sandbox: AwsSandbox
    backends: Backends

    @property
    def verbs(self) -> Gateway:
        """The verbs, with a deadline of their own."""
        environment = Environment(
            "aws1", CLOUD, url=self.sandbox.url, region=aws.REGION, vpc_id=aws.VPC_ID, network_id=aws.SUBNET_ID
        )
        return self.backends.gateway(environment, Credentials(aws.ACCESS_KEY, aws.SECRET), Deadline.after(20))

    def fails(self, spec: VMSpec = SPEC) -> ProviderError:
        """The error of a create that does not work."""
        with pytest.raises(ProviderError) as raised:
            self.verbs.create_vm(spec)
        return raised.value

    def the_one_vm(self) -> tuple[str, str]:
        """Id and state of the only VM, once nothing is under way."""
        self.sandbox.hurry()
        (vm,) = self.sandbox.vms()
        return vm.id, vm.state


@pytest.fixture(scope="module")
def running() -> Iterator[AwsSandbox]:
    """The simulator."""
    with AwsSandbox(transition_seconds=0.05) as sandbox:
        yield sandbox


@pytest.fixture
def caller(running: AwsSandbox) -> Iterator[Caller]:
    """A caller of the simulator, which is fresh."""
    running.reset()
    backends = Backends(Network(connect_timeout_seconds=5, read_timeout_seconds=10), LIMITS)
    yield Caller(running, backends)
    backends.close()


def test_retry_after_a_failed_boot_makes_another_vm(caller: Caller) -> None:
    """EC2 refuses the first one's client token for good."""
    caller.sandbox.fail_next_boot()
    assert all(one.removed for one in caller.fails().leftovers)
    made = caller.verbs.create_vm(SPEC)
    assert caller.the_one_vm() == (made.vm_id, "running")
    assert caller.verbs.create_vm(SPEC).vm_id == made.vm_id


def test_retry_after_a_clean_up_makes_another_vm(caller: Caller) -> None:
    """The instance ran, and the create gave it up: its tag says so."""
    for _ in range(3):
        caller.sandbox.faults.add(Fault("StopInstances", status=403, code="UnauthorizedOperation", message="No."))
        assert [one.removed for one in caller.fails(STOPPED).leftovers] == [True]
    made = caller.verbs.create_vm(STOPPED)
    assert caller.the_one_vm() == (made.vm_id, "stopped")


def test_retry_after_a_failure_that_was_followed_makes_another_vm(caller: Caller) -> None:
    """The poll of the operation cleaned up."""
    caller.sandbox.fail_next_boot()
    begun = caller.verbs.create_vm(SPEC, AT_ONCE)
    caller.sandbox.hurry()
    assert caller.verbs.poll(begun).failure is not None
    made = caller.verbs.create_vm(SPEC)
    assert caller.the_one_vm() == (made.vm_id, "running")


def test_retries_at_once_after_a_clean_up_make_one_vm(caller: Caller) -> None:
    """All of them go on to the same client token."""
    caller.sandbox.fail_next_boot()
    caller.fails()
    made = set(at_once(6, lambda _: caller.verbs.create_vm(SPEC).vm_id))
    assert made == {caller.the_one_vm()[0]}


def test_retry_does_not_bring_back_a_vm_that_was_deleted(caller: Caller) -> None:
    """The create had finished, so the deletion was intended."""
    made = caller.verbs.create_vm(SPEC)
    assert made.vm_id is not None
    caller.verbs.delete_vm(made.vm_id)
    error = caller.fails()
    assert isinstance(error, ConflictError)
    assert "use a new key" in error.detail
    assert caller.sandbox.vms() == ()


def test_retry_does_not_bring_back_a_vm_that_was_deleted_while_it_was_made(caller: Caller) -> None:
    """The clean-up finds it going, and does not mark it."""
    caller.sandbox.transition_seconds = 0.5
    begun = caller.verbs.create_vm(SPEC, AT_ONCE)
    assert begun.vm_id is not None
    caller.verbs.delete_vm(begun.vm_id, AT_ONCE)
    assert isinstance(caller.verbs.poll(begun).failure, ConflictError)
    caller.sandbox.hurry()
    assert isinstance(caller.fails(), ConflictError)


def test_retry_after_a_clean_up_that_died_terminates_what_it_marked(caller: Caller) -> None:
    """Between the mark and the end of the instance."""
    caller.sandbox.faults.add(replace(BROKEN, operation="StopInstances"))
    caller.sandbox.faults.add(replace(BROKEN, operation="TerminateInstances"))
    assert [one.removed for one in caller.fails(STOPPED).leftovers] == [False]
    caller.sandbox.faults.clear()
    (given_up,) = caller.sandbox.vms()
    made = caller.verbs.create_vm(STOPPED)
    assert made.vm_id != given_up.id
    assert caller.the_one_vm() == (made.vm_id, "stopped")


def test_leftover_is_a_vm_that_was_given_up(caller: Caller) -> None:
    """Its tag says so; without it, it stays."""
    used = caller.verbs.create_vm(replace(SPEC, idempotency=None)).vm_id
    for operation in ("StopInstances", "TerminateInstances"):
        caller.sandbox.faults.add(replace(BROKEN, operation=operation))
    (given_up,) = caller.fails(STOPPED).leftovers
    caller.sandbox.faults.clear()
    (leftover,) = caller.verbs.list_leftovers()
    assert (leftover.kind, leftover.id, leftover.name) == ("vm", given_up.id, "vm1")
    assert leftover.created_at is not None
    with pytest.raises(ConflictError, match="not marked"):
        caller.verbs.remove_leftover(replace(leftover, id=used or ""))
    caller.verbs.remove_leftover(leftover)
    caller.verbs.remove_leftover(leftover)
    assert caller.the_one_vm() == (used, "running")
    assert caller.verbs.list_leftovers() == []


def test_retry_after_a_clean_up_without_the_mark_is_refused(caller: Caller) -> None:
    """Without the right to tag, nothing tells the instance from one that somebody deleted."""
    caller.sandbox.faults.add(replace(BROKEN, operation="CreateTags"))
    caller.sandbox.faults.add(Fault("StopInstances", status=403, code="UnauthorizedOperation", message="No."))
    assert [one.removed for one in caller.fails(STOPPED).leftovers] == [True]
    assert isinstance(caller.fails(STOPPED), ConflictError)


@pytest.mark.parametrize("operation", ["CreateTags", "TerminateInstances", "DescribeInstances"])
@pytest.mark.parametrize("after", [True, False], ids=["answer-lost", "never-sent"])
def test_one_lost_call_of_a_clean_up_does_not_burn_the_key(caller: Caller, operation: str, *, after: bool) -> None:
    """It is repeated."""
    caller.sandbox.faults.add(Fault("StopInstances", status=403, code="UnauthorizedOperation", message="No."))
    skip = 1 if operation == "DescribeInstances" else 0
    caller.sandbox.faults.add(Fault(operation, skip=skip, cut=Cut.ANSWER, after=after))
    assert [one.removed for one in caller.fails(STOPPED).leftovers] == [True]
    made = caller.verbs.create_vm(STOPPED)
    assert caller.the_one_vm() == (made.vm_id, "stopped")


def test_retry_with_other_content_after_a_clean_up_is_refused(caller: Caller) -> None:
    """The instance is gone, and its digest is still there."""
    caller.sandbox.fail_next_boot()
    caller.fails()
    with pytest.raises(UnprocessableError):
        caller.verbs.create_vm(replace(SPEC, idempotency=Idempotency("key-1", "digest-2")))


def test_retry_without_start_leaves_a_vm_whose_launch_is_later_than_its_making(caller: Caller) -> None:
    """Its last launch is not its first. Its user may have started it a few seconds after the stop."""
    made = caller.verbs.create_vm(STOPPED)
    caller.sandbox.age(10)
    caller.verbs.start_vm(made.vm_id or "", AT_ONCE)
    again = caller.verbs.create_vm(STOPPED)
    assert again.vm_id == made.vm_id
    assert caller.the_one_vm() == (made.vm_id, "running")


def test_clean_up_keeps_a_vm_that_was_stopped(caller: Caller) -> None:
    """Another try may have stopped it and answered with it. Here the answer to the own stop is lost."""
    caller.sandbox.faults.add(Fault("StopInstances", times=None, cut=Cut.ANSWER, after=True))
    assert [one.removed for one in caller.fails(STOPPED).leftovers] == [False]
    caller.sandbox.faults.clear()
    made = caller.verbs.create_vm(STOPPED)
    assert caller.the_one_vm() == (made.vm_id, "stopped")


def test_clean_up_takes_its_mark_back_from_a_vm_that_another_try_has_finished(caller: Caller) -> None:
    """The other one finishes between the look at the instance and the mark."""
    made: list[str | None] = []

    def finish() -> None:
        made.append(caller.verbs.create_vm(STOPPED).vm_id)

    caller.sandbox.faults.add(Fault("StopInstances", status=403, code="UnauthorizedOperation", message="No."))
    with at_call(caller.sandbox.calls, "CreateTags", finish):
        leftovers = caller.fails(STOPPED).leftovers
    assert [(one.id, one.removed) for one in leftovers] == [(made[0], False)]
    assert caller.verbs.create_vm(STOPPED).vm_id == made[0]
    assert caller.the_one_vm() == (made[0], "stopped")
    assert caller.verbs.list_leftovers() == []


def test_clean_up_removes_a_vm_without_a_key_that_was_stopped(caller: Caller) -> None:
    """Nobody else knows it."""
    caller.sandbox.faults.add(Fault("StopInstances", times=None, cut=Cut.ANSWER, after=True))
    assert [one.removed for one in caller.fails(replace(STOPPED, idempotency=None)).leftovers] == [True]
    caller.sandbox.hurry()
    assert caller.sandbox.vms() == ()


@pytest.mark.parametrize("state", ["pending", "running", "stopping"])
def test_retry_without_start_finishes_what_died(caller: Caller, state: str) -> None:
    """Before the stop was asked for, or after."""
    begun = caller.verbs.create_vm(SPEC, AT_ONCE)
    if state != "pending":
        caller.sandbox.hurry()
    if state == "stopping":
        caller.sandbox.transition_seconds = 0.5
        caller.verbs.stop_vm(begun.vm_id or "", StopMode.GRACEFUL, 60, AT_ONCE)
    caller.sandbox.transition_seconds = 0.05
    made = caller.verbs.create_vm(STOPPED)
    assert caller.the_one_vm() == (made.vm_id, "stopped")
