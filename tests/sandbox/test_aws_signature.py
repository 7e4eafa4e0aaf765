"""Who is let in: AWS's signatures, and EC2's answers to wrong ones."""

from datetime import UTC, datetime, timedelta

import pytest
from botocore.awsrequest import AWSPreparedRequest
from mypy_boto3_ec2 import EC2Client

from providers.sandbox.authority import Authority
from providers.sandbox.aws import (
    EXPIRED_SESSION_TOKEN,
    SECRET,
    SESSION_ACCESS_KEY,
    SESSION_TOKEN,
    AwsSandbox,
)
from providers.sandbox.aws.signature import AccessKey, SignedRequest, check
from providers.sandbox.aws.wire import Ec2Error
from tests.sandbox.conftest import ClientMaker
from tests.sandbox.support import refusal, send

NOT_VALIDATED = "AWS was not able to validate the provided access credentials"


def test_call_with_the_key_succeeds(aws: AwsSandbox, client: EC2Client) -> None:
    """boto3's signature of text in all alphabets is accepted."""
    client.create_tags(Resources=aws.seed(1), Tags=[{"Key": "näme&=+ ~*", "Value": "日本 %41/~"}])
    assert aws.vms()[0].tags["näme&=+ ~*"] == "日本 %41/~"


@pytest.mark.parametrize(("access_key", "secret"), [("AKIANOBODY", SECRET), ("demo@sandbox", "wrong")])
def test_call_with_a_wrong_key_or_secret_is_refused(
    aws: AwsSandbox, make_client: ClientMaker, access_key: str, secret: str
) -> None:
    """EC2 does not tell which of the two is wrong."""
    with refusal("AuthFailure", 401, NOT_VALIDATED):
        make_client(access_key, secret).describe_instances()
    assert [call.status for call in aws.calls.list()] == [401]


def test_call_with_a_session_token_succeeds(aws: AwsSandbox, make_client: ClientMaker) -> None:
    """A temporary key is good together with its token."""
    assert make_client(SESSION_ACCESS_KEY, SECRET, SESSION_TOKEN).describe_instances()["Reservations"] == []


@pytest.mark.parametrize("token", [None, "other"])
def test_call_with_a_wrong_session_token_is_refused(make_client: ClientMaker, token: str | None) -> None:
    """A temporary key is nothing without its token."""
    with refusal("AuthFailure", 401, NOT_VALIDATED):
        make_client(SESSION_ACCESS_KEY, SECRET, token).describe_instances()


def test_call_with_an_expired_session_is_refused(make_client: ClientMaker) -> None:
    """EC2 has its own word for it, and status 400."""
    with refusal("RequestExpired", 400, "Request has expired"):
        make_client(SESSION_ACCESS_KEY, SECRET, EXPIRED_SESSION_TOKEN).describe_instances()


def test_call_for_another_region_is_refused(make_client: ClientMaker) -> None:
    """A signature is good for one region."""
    with refusal("AuthFailure", 401, "us-east-1"):
        make_client(region="us-east-1").describe_instances()


def test_call_without_a_signature_is_refused(running_aws: AwsSandbox, authority: Authority) -> None:
    """EC2 misses a parameter by its old name."""
    response = send(running_aws, authority, b"Action=DescribeInstances", {})
    assert response.status == 400
    assert b"<Code>MissingParameter</Code>" in response.body
    assert b"AWSAccessKeyId" in response.body


@pytest.mark.parametrize("part", ["body", "header"])
def test_call_changed_after_signing_is_refused(make_client: ClientMaker, part: str) -> None:
    """The signature covers the body and the signed headers."""
    client = make_client()

    def change(request: AWSPreparedRequest) -> None:
        if part == "body":
            assert isinstance(request.body, str)
            request.body = request.body.replace("DescribeInstances", "DescribeAddresses")
        else:
            request.headers["X-Amz-Date"] = (datetime.now(UTC) - timedelta(minutes=3)).strftime("%Y%m%dT%H%M%SZ")

    client.meta.events.register("before-send.ec2", lambda request, **_: change(request))
    with refusal("AuthFailure", 401):
        client.describe_instances()


def test_check_an_old_date_is_refused() -> None:
    """A request is good for fifteen minutes."""
    old = (datetime.now(UTC) - timedelta(minutes=16)).strftime("%Y%m%dT%H%M%SZ")
    headers = {
        "host": "localhost",
        "x-amz-date": old,
        "authorization": f"AWS4-HMAC-SHA256 Credential=key/{old[:8]}/eu-west-3/ec2/aws4_request, "
        f"SignedHeaders=host;x-amz-date, Signature={'0' * 64}",
    }
    with pytest.raises(Ec2Error, match="RequestExpired"):
        check(SignedRequest("POST", "/", "", headers, b""), {"key": AccessKey("secret")}, "eu-west-3")
