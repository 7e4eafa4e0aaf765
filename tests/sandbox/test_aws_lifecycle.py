"""States that take time, and what EC2 refuses in each."""

import time
from collections.abc import Sequence
from typing import Any

import pytest
from mypy_boto3_ec2 import EC2Client

from providers.sandbox.aws import AwsSandbox
from tests.sandbox.conftest import TRANSITION_SECONDS
from tests.sandbox.support import described, launch, refusal, state_of, wait_for_state


def change_of(answer: Sequence[Any]) -> tuple[str, str]:
    """Previous and current state of the only instance of an answer."""
    return answer[0]["PreviousState"]["Name"], answer[0]["CurrentState"]["Name"]


@pytest.fixture
def slow(aws: AwsSandbox) -> AwsSandbox:
    """The simulator, with transitions that last for the whole test."""
    aws.transition_seconds = 60
    return aws


def test_launch_passes_through_pending(aws: AwsSandbox, client: EC2Client) -> None:
    """A new instance runs after a while."""
    started = time.monotonic()
    vm_id = launch(client)
    wait_for_state(client, vm_id, "running")
    assert time.monotonic() - started >= TRANSITION_SECONDS
    assert aws.vm(vm_id).state == "running"


def test_stop_and_start_pass_through_their_states(slow: AwsSandbox, client: EC2Client) -> None:
    """Both are accepted at once and done later."""
    [vm_id] = slow.seed(1)
    address = described(client, vm_id)["PrivateIpAddress"]
    assert change_of(client.stop_instances(InstanceIds=[vm_id])["StoppingInstances"]) == (
        "running",
        "stopping",
    )
    assert state_of(client, vm_id) == "stopping"
    slow.hurry()
    assert state_of(client, vm_id) == "stopped"
    assert described(client, vm_id)["StateReason"]["Code"] == "Client.UserInitiatedShutdown"
    assert change_of(client.start_instances(InstanceIds=[vm_id])["StartingInstances"]) == (
        "stopped",
        "pending",
    )
    assert state_of(client, vm_id) == "pending"
    slow.hurry()
    assert state_of(client, vm_id) == "running"
    assert described(client, vm_id)["PrivateIpAddress"] == address


def test_start_changes_the_launch_time_only(aws: AwsSandbox, client: EC2Client) -> None:
    """The attachment of the primary interface keeps the time of the first launch."""
    [vm_id] = aws.seed(1, state="stopped")
    aws.age(60)
    before = described(client, vm_id)
    client.start_instances(InstanceIds=[vm_id])
    after = described(client, vm_id)
    assert (after["LaunchTime"] - before["LaunchTime"]).total_seconds() >= 59
    first, again = (one["NetworkInterfaces"][0]["Attachment"]["AttachTime"] for one in (before, after))
    assert again == first


def test_terminate_passes_through_shutting_down_and_takes_all_along(slow: AwsSandbox, client: EC2Client) -> None:
    """The instance stays listed as terminated; its disk and its interface are gone."""
    vm_id = launch(client)
    assert len(slow.volumes()) == len(slow.network_interfaces()) == 1
    answer = client.terminate_instances(InstanceIds=[vm_id])["TerminatingInstances"]
    assert change_of(answer) == ("pending", "shutting-down")
    assert state_of(client, vm_id) == "shutting-down"
    slow.hurry()
    assert state_of(client, vm_id) == "terminated"
    assert (slow.vms(), slow.volumes(), slow.network_interfaces()) == ((), (), ())
    assert not {"VpcId", "SubnetId", "PrivateIpAddress"} & set(described(client, vm_id))
    assert change_of(client.terminate_instances(InstanceIds=[vm_id])["TerminatingInstances"]) == (
        "terminated",
        "terminated",
    )


def test_start_a_running_instance_changes_nothing(aws: AwsSandbox, client: EC2Client) -> None:
    """As the service does, where others refuse."""
    [vm_id] = aws.seed(1)
    answer = client.start_instances(InstanceIds=[vm_id])["StartingInstances"]
    assert change_of(answer) == ("running", "running")


def test_stop_a_stopped_instance_changes_nothing(aws: AwsSandbox, client: EC2Client) -> None:
    """As the service does, where others refuse."""
    [vm_id] = aws.seed(1, state="stopped")
    answer = client.stop_instances(InstanceIds=[vm_id])["StoppingInstances"]
    assert change_of(answer) == ("stopped", "stopped")


def test_start_a_stopping_instance_is_refused(slow: AwsSandbox, client: EC2Client) -> None:
    """It has to be stopped first."""
    [vm_id] = slow.seed(1)
    client.stop_instances(InstanceIds=[vm_id])
    with refusal("IncorrectInstanceState", 400, f"'{vm_id}' is not in a state from which it can be started."):
        client.start_instances(InstanceIds=[vm_id])


def test_stop_a_new_instance_is_refused_until_it_runs(slow: AwsSandbox, client: EC2Client) -> None:
    """EC2 does not stop what has never run, by force or without."""
    vm_id = launch(client)
    for force in (False, True):
        with refusal("IncorrectInstanceState", 400, "cannot be stopped as it has never reached the 'running'"):
            client.stop_instances(InstanceIds=[vm_id], Force=force)


def test_stop_a_starting_instance_succeeds(slow: AwsSandbox, client: EC2Client) -> None:
    """What ran before may be stopped while it is pending again."""
    [vm_id] = slow.seed(1, state="stopped")
    client.start_instances(InstanceIds=[vm_id])
    assert change_of(client.stop_instances(InstanceIds=[vm_id])["StoppingInstances"]) == (
        "pending",
        "stopping",
    )


@pytest.mark.parametrize("verb", ["start_instances", "stop_instances"])
def test_verb_on_a_terminated_instance_is_refused(aws: AwsSandbox, client: EC2Client, verb: str) -> None:
    """The end is final."""
    [vm_id] = aws.seed(1, state="terminated")
    with refusal("IncorrectInstanceState"):
        getattr(client, verb)(InstanceIds=[vm_id])


def test_reboot_a_stopped_instance_is_refused(aws: AwsSandbox, client: EC2Client) -> None:
    """Only what runs can be rebooted."""
    running, stopped = aws.seed(1)[0], aws.seed(1, state="stopped")[0]
    client.reboot_instances(InstanceIds=[running])
    with refusal("IncorrectInstanceState"):
        client.reboot_instances(InstanceIds=[stopped])
    assert (aws.vm(running).reboots, aws.vm(stopped).reboots) == (1, 0)


def test_reboot_a_terminated_instance_is_ignored(aws: AwsSandbox, client: EC2Client) -> None:
    """The API reference says so."""
    client.reboot_instances(InstanceIds=aws.seed(1, state="terminated"))


def test_stop_an_ignoring_guest_hangs_until_forced(aws: AwsSandbox, client: EC2Client) -> None:
    """A guest that ignores the request keeps its instance stopping; force does not wait."""
    stubborn, tame = aws.seed(2)
    aws.ignore_stop(stubborn)
    client.stop_instances(InstanceIds=[stubborn, tame])
    wait_for_state(client, tame, "stopped")
    assert state_of(client, stubborn) == "stopping"
    client.stop_instances(InstanceIds=[stubborn])
    assert state_of(client, stubborn) == "stopping"
    client.stop_instances(InstanceIds=[stubborn], Force=True)
    assert state_of(client, stubborn) == "stopped"


def test_stop_with_all_guests_ignoring_hangs(aws: AwsSandbox, client: EC2Client) -> None:
    """The same for all guests at once, until the reset."""
    aws.ignore_stop()
    [vm_id] = aws.seed(1)
    client.stop_instances(InstanceIds=[vm_id])
    aws.hurry()
    assert state_of(client, vm_id) == "stopping"
    client.terminate_instances(InstanceIds=[vm_id])
    wait_for_state(client, vm_id, "terminated")


def test_force_stop_does_not_wait(slow: AwsSandbox, client: EC2Client) -> None:
    """A forced stop cuts the power."""
    [vm_id] = slow.seed(1)
    answer = client.stop_instances(InstanceIds=[vm_id], Force=True)["StoppingInstances"]
    assert change_of(answer) == ("running", "stopping")
    assert state_of(client, vm_id) == "stopped"


def test_terminate_a_protected_instance_is_refused_for_all(aws: AwsSandbox, client: EC2Client) -> None:
    """Nothing is terminated when one of the instances may not be; protection can be taken off again."""
    free, protected = aws.seed(2)
    client.modify_instance_attribute(InstanceId=protected, DisableApiTermination={"Value": True})
    with refusal("OperationNotPermitted", 400, "disableApiTermination"):
        client.terminate_instances(InstanceIds=[free, protected])
    assert {vm.state for vm in aws.vms()} == {"running"}
    client.modify_instance_attribute(InstanceId=protected, DisableApiTermination={"Value": False})
    client.terminate_instances(InstanceIds=[free, protected])


def test_terminate_an_instance_launched_protected_is_refused(aws: AwsSandbox, client: EC2Client) -> None:
    """The launch itself can protect, and so can a test."""
    [seeded] = aws.seed(1)
    aws.protect(seeded)
    for vm_id in (launch(client, DisableApiTermination=True), seeded):
        with refusal("OperationNotPermitted"):
            client.terminate_instances(InstanceIds=[vm_id])


def test_launch_that_fails_later_ends_terminated(slow: AwsSandbox, client: EC2Client) -> None:
    """An accepted launch may still come to nothing, and leaves nothing."""
    slow.fail_next_boot("Client.VolumeLimitExceeded", "Volume limit exceeded")
    vm_id = launch(client)
    assert state_of(client, vm_id) == "pending"
    slow.hurry()
    assert state_of(client, vm_id) == "terminated"
    assert described(client, vm_id)["StateReason"] == {
        "Code": "Client.VolumeLimitExceeded",
        "Message": "Client.VolumeLimitExceeded: Volume limit exceeded",
    }
    assert slow.volumes() == ()
    again = launch(client)
    slow.hurry()
    assert state_of(client, again) == "running"


def test_start_that_fails_later_ends_stopped(aws: AwsSandbox, client: EC2Client) -> None:
    """A start that fails leaves the instance and its disk."""
    [vm_id] = aws.seed(1, state="stopped")
    aws.fail_next_boot()
    client.start_instances(InstanceIds=[vm_id])
    wait_for_state(client, vm_id, "stopped")
    assert described(client, vm_id)["StateReason"]["Code"] == "Server.InternalError"
    assert len(aws.volumes()) == 1


@pytest.mark.parametrize(
    "verb",
    ["describe_instances", "start_instances", "stop_instances", "terminate_instances", "reboot_instances"],
)
def test_verb_on_an_unknown_instance_is_refused(aws: AwsSandbox, client: EC2Client, verb: str) -> None:
    """Unknown and malformed ids have codes of their own, and spoil the whole call."""
    call, [known] = getattr(client, verb), aws.seed(1)
    with refusal("InvalidInstanceID.NotFound", 400, "'i-0123456789abcdef0' does not exist"):
        call(InstanceIds=[known, "i-0123456789abcdef0"])
    with refusal("InvalidInstanceID.Malformed", 400, 'Invalid id: "i-xyz"'):
        call(InstanceIds=[known, "i-xyz"])
    assert aws.vm(known).state == "running"


def test_dry_run_of_a_stop_changes_nothing(aws: AwsSandbox, client: EC2Client) -> None:
    """A dry run is checked and refused in the end."""
    [vm_id] = aws.seed(1)
    with refusal("DryRunOperation", 412):
        client.stop_instances(InstanceIds=[vm_id], DryRun=True)
    assert aws.vm(vm_id).state == "running"
