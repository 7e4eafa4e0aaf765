"""What EC2's errors become, and what their details tell."""

from __future__ import annotations

import socket
import threading
import time
from email.utils import formatdate
from http.client import RemoteDisconnected

import pytest
from botocore.exceptions import (
    ClientError,
    ConnectionClosedError,
    EndpointConnectionError,
    HTTPClientError,
)
from botocore.parsers import ResponseParserError
from urllib3.exceptions import ProtocolError

from providers.aws import CLOUD
from providers.aws.client import AwsClient
from providers.aws.failures import answer_lost, state_failure, translate
from providers.aws.isolation import ATTEMPTS
from providers.credentials import Credentials
from providers.deadline import Deadline
from providers.domain import Environment
from providers.errors import (
    BackendFailureError,
    BackendTLSError,
    BackendUnreachableError,
    ConflictError,
    CredentialsRejectedError,
    CredentialsUnusableError,
    InvalidRequestError,
    PermissionDeniedError,
    ProviderError,
    QuotaExceededError,
    ThrottledError,
    UnavailableError,
    UnprocessableError,
    UnsupportedError,
    VMNotFoundError,
)
from providers.gateway import Backends
from providers.network import Network
from tests.support.limits import LIMITS
from tests.support.listener import listening

CALLER = Credentials("AKIAX", "secret")


def refused(
    code: str,
    status: int = 400,
    message: str = "EC2's own words",
    operation: str = "StopInstances",
    retry: str = "",
    *,
    date: str = "",
) -> ProviderError:
    """What an error answer becomes."""
    headers = {name: value for name, value in (("retry-after", retry), ("date", date)) if value}
    metadata = {"HTTPStatusCode": status, "RequestId": "req-1", "HTTPHeaders": headers}
    return translate(
        ClientError(
            {"Error": {"Code": code, "Message": message}, "ResponseMetadata": metadata},  # type: ignore[typeddict-item] # fewer keys
            operation,
        )
    )


@pytest.mark.parametrize(
    ("code", "status", "kind"),
    [
        ("AuthFailure", 401, CredentialsRejectedError),
        ("InvalidClientTokenId", 403, CredentialsRejectedError),
        ("SignatureDoesNotMatch", 403, CredentialsRejectedError),
        ("ExpiredToken", 400, CredentialsRejectedError),
        ("RequestExpired", 400, CredentialsRejectedError),
        ("UnauthorizedOperation", 403, PermissionDeniedError),
        ("AccessDenied", 403, PermissionDeniedError),
        ("OptInRequired", 401, PermissionDeniedError),
        ("InvalidInstanceID.NotFound", 400, VMNotFoundError),
        ("InvalidInstanceID.Malformed", 400, InvalidRequestError),
        ("IncorrectInstanceState", 400, ConflictError),
        ("OperationNotPermitted", 400, ConflictError),
        ("IdempotentInstanceTerminated", 400, ConflictError),
        ("InstanceLimitExceeded", 400, QuotaExceededError),
        ("VcpuLimitExceeded", 400, QuotaExceededError),
        ("RequestLimitExceeded", 503, ThrottledError),
        ("ThrottlingException", 400, ThrottledError),
        ("InsufficientInstanceCapacity", 500, UnavailableError),
        ("InvalidAMIID.NotFound", 400, UnprocessableError),
        ("InvalidSubnetID.NotFound", 400, UnprocessableError),
        ("InvalidParameterValue", 400, UnprocessableError),
        ("IdempotentParameterMismatch", 400, UnprocessableError),
        ("Unsupported", 400, UnprocessableError),
        ("UnsupportedOperation", 400, UnsupportedError),
        ("InternalError", 500, BackendFailureError),
        ("Unavailable", 503, BackendFailureError),
        ("NeverHeardOf", 400, UnprocessableError),
        ("NeverHeardOf", 401, CredentialsRejectedError),
        ("NeverHeardOf", 403, PermissionDeniedError),
        ("NeverHeardOf", 429, ThrottledError),
        ("NeverHeardOf", 500, BackendFailureError),
        ("403", 403, BackendFailureError),
        ("429", 429, ThrottledError),
    ],
)
def test_translate_code_gives_kind(code: str, status: int, kind: type[ProviderError]) -> None:
    """By the table, and by the status where nobody has heard of the code."""
    failure = refused(code, status)
    assert type(failure) is kind
    assert failure.backend is not None
    assert (failure.backend.code, failure.backend.status) == (code, status)
    assert (failure.backend.operation, failure.backend.request_id) == ("StopInstances", "req-1")


@pytest.mark.parametrize("code", ["AuthFailure", "RequestExpired", "SignatureDoesNotMatch"])
@pytest.mark.parametrize(("minutes", "is_skewed"), [(-6, True), (6, True), (1, False), (0, False)])
def test_translate_rejection_with_a_wrong_clock_is_no_wrong_key(code: str, minutes: int, *, is_skewed: bool) -> None:
    """EC2 has no code for that alone; the `Date` of its answer shows it."""
    failure = refused(code, 401, date=formatdate(time.time() + 60 * minutes, usegmt=True))
    assert type(failure) is (CredentialsUnusableError if is_skewed else CredentialsRejectedError)
    assert ("set this server's clock" in failure.detail) is is_skewed


@pytest.mark.parametrize("date", ["", "soon", "0"])
def test_translate_rejection_without_a_readable_date_is_a_wrong_key(date: str) -> None:
    """Nothing else is known."""
    assert type(refused("AuthFailure", 401, date=date)) is CredentialsRejectedError


def test_translate_image_not_shared_is_no_wrong_key() -> None:
    """EC2 says AuthFailure for that, too; the caller's session must not be thrown away."""
    failure = refused("AuthFailure", 403, "Not authorized for images: [ami-0123456789abcdef0]", "RunInstances")
    assert type(failure) is PermissionDeniedError


def test_translate_unsupported_create_is_unprocessable() -> None:
    """Image and type do not go together."""
    assert type(refused("UnsupportedOperation", operation="RunInstances")) is UnprocessableError


def test_translate_throttled_keeps_retry_after() -> None:
    """Where EC2 says when to come back."""
    assert refused("RequestLimitExceeded", 503, retry="7").retry_after_seconds == 7.0


@pytest.mark.parametrize("retry", ["", "soon", "-1", "7²", "Wed, 21 Oct 2026 07:28:00 GMT"])
def test_translate_throttled_without_a_number_of_seconds_says_no_time(retry: str) -> None:
    """A proxy may say anything; `²` is a digit to Python, and no number."""
    assert refused("RequestLimitExceeded", 503, retry=retry).retry_after_seconds is None


def test_translate_wrong_signature_shows_no_session_token() -> None:
    """The canonical string in EC2's message holds it."""
    message = (
        "The request signature we calculated does not match the signature you provided. Check your key. "
        "Consult the service documentation for details.\n\nThe Canonical String for this request should have been\n"
        "'POST\n/\n\nx-amz-security-token:THE-TOKEN\n'"
    )
    detail = refused("SignatureDoesNotMatch", 403, message).detail
    assert "THE-TOKEN" not in detail
    assert "does not match" in detail


def test_translate_broken_cloud_is_not_said_to_refuse() -> None:
    """Refused is what a caller can mend."""
    assert "failed at StopInstances (InternalError)" in refused("InternalError", 500).detail
    assert "refused StopInstances (IncorrectInstanceState)" in refused("IncorrectInstanceState").detail


def test_translate_broken_connection_says_why_without_python() -> None:
    """urllib3 wraps the reason in a pair."""
    below = ProtocolError("Connection aborted.", RemoteDisconnected("Remote end closed connection without response"))
    detail = translate(ConnectionClosedError(error=below, endpoint_url="https://x")).detail
    assert detail.endswith("broke during the call: Remote end closed connection without response.")


def test_translate_header_that_cannot_be_sent_is_not_quoted() -> None:
    """http.client quotes it, and the session token is in one."""
    failure = translate(HTTPClientError(error=ValueError("Invalid header value b'THE-\\nTOKEN'")))
    assert type(failure) is BackendUnreachableError
    assert "TOKEN" not in failure.detail


def test_translate_unreadable_authorities_are_named_as_such() -> None:
    """It is no fault of the connection."""
    failure = translate(HTTPClientError(error=FileNotFoundError(2, "No such file or directory")))
    assert type(failure) is BackendTLSError
    assert "authorities cannot be read" in failure.detail


def test_translate_reused_key_says_what_to_do() -> None:
    """In the API's words, not in EC2's."""
    assert "Idempotency-Key was used before" in refused("IdempotentParameterMismatch").detail


def test_translate_unparsable_answer_is_not_quoted() -> None:
    """It may hold anything."""
    failure = translate(ResponseParserError("invalid XML received: <secret/>"))
    assert type(failure) is BackendFailureError
    assert "secret" not in failure.detail


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("Client.VolumeLimitExceeded", QuotaExceededError),
        ("Client.InstanceInitiatedShutdown", ConflictError),
        ("Client.InvalidSnapshot.NotFound", UnprocessableError),
        ("Client.InternalError", UnprocessableError),
        ("Server.InsufficientInstanceCapacity", UnavailableError),
        ("Server.InternalError", BackendFailureError),
        ("", BackendFailureError),
    ],
)
def test_state_failure_reason_gives_kind(code: str, kind: type[ProviderError]) -> None:
    """By the reason that EC2 gives."""
    assert type(state_failure("RunInstances", "i-1", "terminated", code, code)) is kind


def test_answer_lost_broken_cloud_may_have_worked() -> None:
    """A 500 leaves it open whether EC2 did it; a refusal does not."""
    error = ClientError({"Error": {"Code": "InternalError"}, "ResponseMetadata": {"HTTPStatusCode": 500}}, "X")  # type: ignore[typeddict-item] # fewer keys
    assert answer_lost(error, translate(error))
    error = ClientError({"Error": {"Code": "InvalidAMIID.NotFound"}, "ResponseMetadata": {"HTTPStatusCode": 400}}, "X")  # type: ignore[typeddict-item] # fewer keys
    assert not answer_lost(error, translate(error))


def test_answer_lost_by_one_attempt_counts_whatever_comes_after() -> None:
    """The first attempt may have worked though the next found nobody to connect to."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def take_one() -> None:
            caller, _ = listener.accept()
            with caller:
                caller.recv(65536)
                listener.close()

        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        client = AwsClient.open(Environment("aws1", CLOUD, url=url, region="eu-west-3"), CALLER, Network())
        thread = threading.Thread(target=take_one)
        thread.start()
        with pytest.raises(EndpointConnectionError) as raised:
            client.terminate("i-00000000000000001")
        thread.join()
        client.close()
    failure = translate(raised.value)
    assert answer_lost(raised.value, failure)
    assert "may still finish" in failure.detail


def test_list_from_an_ec2_that_hangs_up_in_the_handshake_is_unreachable() -> None:
    """It has shown no certificate that could be distrusted."""
    with listening(lambda caller: caller.recv(65536)) as (url, heard):
        environment = Environment("aws1", CLOUD, url=url, region="eu-west-3")
        gateway = Backends(Network(), LIMITS).gateway(environment, CALLER, Deadline.after(60))
        with pytest.raises(BackendUnreachableError, match=r"No connection to EC2 .*EOF"):
            gateway.list_vms()
    assert len(heard) == ATTEMPTS
