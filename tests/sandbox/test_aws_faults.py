"""Planned faults as EC2 would answer them, and how answers travel."""

import gzip
import time

import pytest
from botocore.exceptions import ConnectionClosedError, ReadTimeoutError
from botocore.parsers import ResponseParserError
from mypy_boto3_ec2 import EC2Client

from providers.sandbox.authority import Authority
from providers.sandbox.aws import IMAGE_ID, SUBNET_ID, VPC_ID, AwsSandbox
from providers.sandbox.faults import Cut, Fault
from tests.sandbox.conftest import ClientMaker
from tests.sandbox.support import call, launch, refusal


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("RequestLimitExceeded", 503),
        ("InsufficientInstanceCapacity", 500),
        ("VcpuLimitExceeded", 400),
        ("UnauthorizedOperation", 403),
        ("InternalError", 500),
    ],
)
def test_fault_with_a_code_is_answered_as_ec2_does(aws: AwsSandbox, client: EC2Client, code: str, status: int) -> None:
    """Once, for its operation only, and nothing is made."""
    aws.faults.add(Fault("RunInstances", status=status, code=code, message="Planned."))
    client.describe_instances()
    with refusal(code, status, "Planned."):
        launch(client)
    assert aws.vms() == ()
    launch(client)
    assert [item.status for item in aws.calls.list()] == [200, status, 200]


def test_fault_with_headers_sends_them(aws: AwsSandbox, authority: Authority) -> None:
    """Retry-After, for one."""
    aws.faults.add(Fault(status=503, code="RequestLimitExceeded", headers={"Retry-After": "7"}))
    answer = call(aws, authority, "DescribeInstances")
    assert (answer.status, answer.headers["Retry-After"]) == (503, "7")
    assert b"<Response><Errors><Error><Code>RequestLimitExceeded</Code><Message>" in answer.body
    assert b"</Errors><RequestID>" in answer.body


def test_throttling_is_retried_by_the_client(aws: AwsSandbox, make_client: ClientMaker) -> None:
    """boto3 knows EC2's word for it, and every try is counted."""
    aws.faults.add(Fault("DescribeInstances", status=503, code="RequestLimitExceeded", times=2))
    make_client(attempts=3).describe_instances()
    assert aws.calls.count("DescribeInstances") == 3


def test_fault_after_the_launch_leaves_the_instance(aws: AwsSandbox, client: EC2Client) -> None:
    """The launch worked, its answer is lost, and its token finds the instance again."""
    aws.faults.add(Fault("RunInstances", cut=Cut.ANSWER, after=True))
    with pytest.raises(ConnectionClosedError):
        launch(client, ClientToken="token")
    [vm] = aws.vms()
    assert launch(client, ClientToken="token") == vm.id


def test_lost_answer_is_made_up_for_by_a_retry(aws: AwsSandbox, make_client: ClientMaker) -> None:
    """boto3 sends its token again."""
    aws.faults.add(Fault("RunInstances", cut=Cut.ANSWER, after=True))
    launch(make_client(attempts=2))
    assert len(aws.vms()) == 1
    assert [item.status for item in aws.calls.list()] == [None, 200]


def test_cut_before_the_call_does_nothing(aws: AwsSandbox, client: EC2Client) -> None:
    """No answer and no instance."""
    aws.faults.add(Fault("RunInstances", cut=Cut.ANSWER))
    with pytest.raises(ConnectionClosedError):
        launch(client)
    assert aws.vms() == ()


def test_cut_in_the_body_ends_the_answer_early(aws: AwsSandbox, client: EC2Client) -> None:
    """boto3 does not count the bytes: it sees broken XML."""
    aws.seed(10)
    aws.faults.add(Fault("DescribeInstances", cut=Cut.BODY))
    with pytest.raises(ResponseParserError):
        client.describe_instances()


def test_html_instead_of_xml_is_no_answer(aws: AwsSandbox, client: EC2Client) -> None:
    """A proxy's page with status 200."""
    aws.faults.add(Fault(body=b"<html><body>Please log in<br></body>"))
    with pytest.raises(ResponseParserError):
        client.describe_instances()


def test_delay_slows_the_call_only(aws: AwsSandbox, make_client: ClientMaker, client: EC2Client) -> None:
    """A slow call holds nobody else up, and times out for the impatient."""
    aws.faults.add(Fault("DescribeInstances", delay_seconds=0.2))
    started = time.monotonic()
    client.describe_instances()
    assert time.monotonic() - started >= 0.2
    aws.faults.add(Fault("DescribeInstances", delay_seconds=30))
    with pytest.raises(ReadTimeoutError):
        make_client(read_timeout=0.1).describe_instances()
    started = time.monotonic()
    client.describe_instances()
    assert time.monotonic() - started < 20


def test_answer_is_compressed_when_asked_for(aws: AwsSandbox, authority: Authority) -> None:
    """As EC2 does; without asking it is not, and boto3 does not ask."""
    aws.seed(20)
    plain = call(aws, authority, "DescribeInstances")
    assert "Content-Encoding" not in plain.headers
    compressed = call(aws, authority, "DescribeInstances", {"Accept-Encoding": "gzip, deflate"})
    assert compressed.headers["Content-Encoding"] == "gzip"
    assert len(compressed.body) < len(plain.body) / 5
    assert gzip.decompress(compressed.body).count(b"<instanceId>") == 20


def test_other_actions_are_moto_s(aws: AwsSandbox, client: EC2Client) -> None:
    """The network that the environments name is there."""
    assert VPC_ID in [vpc["VpcId"] for vpc in client.describe_vpcs()["Vpcs"]]
    [subnet] = client.describe_subnets(SubnetIds=[SUBNET_ID])["Subnets"]
    assert (subnet["VpcId"], subnet["AvailabilityZone"]) == (VPC_ID, "eu-west-3a")
    [vm_id] = aws.seed(1)
    [status] = client.describe_instance_status(InstanceIds=[vm_id])["InstanceStatuses"]
    assert status["InstanceState"]["Name"] == "running"
    [volume] = client.describe_volumes()["Volumes"]
    assert volume["Attachments"][0]["InstanceId"] == vm_id
    with refusal("InvalidVpcID.NotFound"):
        client.describe_vpcs(VpcIds=["vpc-0123456789abcdef0"])


def test_unknown_action_is_refused(aws: AwsSandbox, authority: Authority) -> None:
    """Whether nobody knows it, moto does not, or there is none."""
    for action, code in (
        ("MakeTea", b"InvalidAction"),
        ("CreateIpam", b"UnsupportedOperation"),
        ("", b"MissingParameter"),
    ):
        answer = call(aws, authority, action)
        assert answer.status == 400
        assert b"<Code>%s</Code>" % code in answer.body


def test_request_id_is_in_header_and_body(aws: AwsSandbox, authority: Authority) -> None:
    """The two are the same, in answers and in errors, ours and moto's."""
    for action in ("DescribeInstances", "DescribeVpcs", "RunInstances", "DeleteVpc"):
        answer = call(aws, authority, action, VpcId="vpc-0123456789abcdef0")
        request_id = answer.headers["x-amzn-RequestId"].encode()
        assert b">%s</" % request_id in answer.body, action


def test_reset_forgets_all_but_the_network(aws: AwsSandbox, client: EC2Client) -> None:
    """A test finds nothing of the one before."""
    aws.transition_seconds = 60
    aws.ignore_stop()
    aws.fail_next_boot()
    launch(client, ClientToken="token")
    aws.faults.add(Fault(code="Any"))
    aws.reset()
    assert (aws.vms(), aws.volumes(), aws.network_interfaces(), aws.calls.count()) == ((), (), (), 0)
    launch(client, ClientToken="token", InstanceType="t3.large")
    assert client.describe_images(ImageIds=[IMAGE_ID])["Images"]
    assert aws.transition_seconds < 1


def test_two_sandboxes_share_nothing(aws: AwsSandbox, client: EC2Client) -> None:
    """Each is an account of its own; the second one speaks plain HTTP."""
    aws.seed(1)
    with AwsSandbox() as other:
        assert other.url.startswith("http://127.0.0.1:")
        assert other.vms() == ()
        other.seed(2)
    assert len(aws.vms()) == 1


def test_calls_on_a_kept_connection_need_no_second_handshake(aws: AwsSandbox, make_client: ClientMaker) -> None:
    """What a kept client saves can be counted."""
    client = make_client()
    before = (aws.server.connections, aws.server.handshakes)
    for _ in range(5):
        client.describe_instances()
    assert (aws.server.connections - before[0], aws.server.handshakes - before[1]) == (1, 1)
    client.close()
