"""What the tests of the AWS simulator say often."""

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from email.message import Message
from http.client import HTTPSConnection
from typing import Any
from urllib.parse import urlencode

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError
from mypy_boto3_ec2 import EC2Client

from providers.sandbox.authority import Authority
from providers.sandbox.aws import ACCESS_KEY, IMAGE_ID, REGION, SECRET, SUBNET_ID, AwsSandbox
from tests.support.waiting import wait_until

FORM = "application/x-www-form-urlencoded; charset=utf-8"


def launch(client: EC2Client, **parameters: Any) -> str:
    """Launch one instance and return its id."""
    return str(launched(client, **parameters)["InstanceId"])


def launched(client: EC2Client, **parameters: Any) -> Any:
    """Launch one instance and return what RunInstances says of it."""
    defaults = {
        "ImageId": IMAGE_ID,
        "InstanceType": "t3.medium",
        "SubnetId": SUBNET_ID,
        "MinCount": 1,
        "MaxCount": 1,
    }
    return client.run_instances(**{**defaults, **parameters})["Instances"][0]


def described(client: EC2Client, vm_id: str) -> Any:
    """What DescribeInstances says of one instance."""
    return client.describe_instances(InstanceIds=[vm_id])["Reservations"][0]["Instances"][0]


def state_of(client: EC2Client, vm_id: str) -> str:
    """The state's name."""
    return str(described(client, vm_id)["State"]["Name"])


def wait_for_state(client: EC2Client, vm_id: str, state: str) -> None:
    """Wait for an instance to be in a state."""
    wait_until(lambda: state_of(client, vm_id) == state)


@dataclass(frozen=True)
class RawAnswer:
    """An answer as it came."""

    status: int
    headers: Message
    body: bytes


def call(
    aws: AwsSandbox,
    authority: Authority,
    action: str,
    headers: dict[str, str] | None = None,
    **parameters: str,
) -> RawAnswer:
    """Make a signed call without boto3's serialising and parsing."""
    body = urlencode({"Action": action, "Version": "2016-11-15", **parameters}).encode()
    request = AWSRequest("POST", f"{aws.url}/", {"Content-Type": FORM}, body)
    SigV4Auth(Credentials(ACCESS_KEY, SECRET), "ec2", REGION).add_auth(request)
    return send(aws, authority, body, {**dict(request.headers.items()), **(headers or {})})


def send(aws: AwsSandbox, authority: Authority, body: bytes, headers: dict[str, str]) -> RawAnswer:
    """Send a request as it is."""
    context = ssl.create_default_context(cafile=str(authority.ca_file))
    connection = HTTPSConnection("127.0.0.1", aws.server.port, context=context, timeout=10)
    connection.request("POST", "/", body, {"Content-Type": FORM, **headers})
    with connection.getresponse() as response:
        answer = RawAnswer(response.status, response.headers, response.read())
    connection.close()
    return answer


@contextmanager
def refusal(code: str, status: int = 400, message: str = "") -> Iterator[None]:
    """Expect EC2's error."""
    with pytest.raises(ClientError) as caught:
        yield
    response = caught.value.response
    assert response["Error"]["Code"] == code
    assert response["ResponseMetadata"]["HTTPStatusCode"] == status
    assert message in response["Error"]["Message"]
    assert response["ResponseMetadata"]["RequestId"]
