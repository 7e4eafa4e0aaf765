"""Checks AWS Signature Version 4 as EC2 does, for the sandbox's two keys.

Written from https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html.
The errors are EC2's, other services have others: an unknown key and a wrong secret are both `AuthFailure`,
no key at all is `MissingParameter` (aws-sdk-java-v2#120), an expired session is `RequestExpired`
(aws-sdk-go-v2#1674).
"""

import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qsl, quote

from providers.sandbox.aws.wire import Ec2Error

ALGORITHM = "AWS4-HMAC-SHA256"
SERVICE = "ec2"
TERMINATOR = "aws4_request"
# "more than 15 minutes after the date stamp on the request": RequestExpired among EC2's common client errors.
TOLERANCE = timedelta(minutes=15)
AUTHORIZATION = re.compile(
    rf"{ALGORITHM}\s+Credential=(?P<credential>[^,\s]+),\s*SignedHeaders=(?P<headers>[^,\s]+),"
    r"\s*Signature=(?P<signature>[0-9a-f]{64})"
)


@dataclass(frozen=True)
class AccessKey:
    """A key that the sandbox knows; a temporary one has a session token, and maybe one that has expired."""

    secret: str
    session_token: str | None = None
    expired_session_token: str | None = None


@dataclass(frozen=True)
class SignedRequest:
    """What a signature covers; header names are in lower case."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes


def check(request: SignedRequest, keys: Mapping[str, AccessKey], region: str) -> None:
    """Raise EC2's error unless the request is signed now, for this region, by a known key."""
    header = request.headers.get("authorization")
    if header is None:
        raise Ec2Error("MissingParameter", "The request must contain the parameter AWSAccessKeyId")
    match = AUTHORIZATION.fullmatch(header)
    if match is None:
        raise _auth_failure("Authorization header requires 'Credential', 'SignedHeaders' and 'Signature' parameters.")
    access_key, date = _scope(match["credential"], region)
    timestamp = _timestamp(request.headers, date)
    key = keys.get(access_key)
    if key is None:
        raise _auth_failure()
    signed = match["headers"].split(";")
    _check_session(request.headers, signed, key)
    expected = _signature(request, signed, key.secret, timestamp, f"{date}/{region}/{SERVICE}/{TERMINATOR}")
    if "host" not in signed or not hmac.compare_digest(expected, match["signature"]):
        raise _auth_failure()


def _scope(credential: str, region: str) -> tuple[str, str]:
    elements = credential.split("/")
    if len(elements) != 5:
        raise _auth_failure(
            "Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term"
        )
    access_key, date, signed_region, service, terminator = elements
    if signed_region != region:
        raise _auth_failure(f"Credential should be scoped to a valid region, not '{signed_region}'.")
    if (service, terminator) != (SERVICE, TERMINATOR):
        raise _auth_failure(f"Credential should be scoped to correct service: '{SERVICE}'.")
    return access_key, date


def _timestamp(headers: Mapping[str, str], date: str) -> str:
    timestamp = headers.get("x-amz-date", "")
    try:
        signed_at = datetime.strptime(timestamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    except ValueError as error:
        raise _auth_failure("Authorization header requires existence of a valid 'X-Amz-Date' header.") from error
    if abs(datetime.now(UTC) - signed_at) > TOLERANCE:
        raise Ec2Error("RequestExpired", "Request has expired.")
    if not timestamp.startswith(date):
        raise _auth_failure("Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP.")
    return timestamp


def _check_session(headers: Mapping[str, str], signed: list[str], key: AccessKey) -> None:
    token = headers.get("x-amz-security-token")
    if token is not None and token == key.expired_session_token:
        raise Ec2Error("RequestExpired", "Request has expired.")
    if token != key.session_token or (token is not None and "x-amz-security-token" not in signed):
        raise _auth_failure()


def _signature(request: SignedRequest, signed: list[str], secret: str, timestamp: str, scope: str) -> str:
    canonical = _digest(_canonical(request, signed).encode())
    to_sign = f"{ALGORITHM}\n{timestamp}\n{scope}\n{canonical}"
    key = f"AWS4{secret}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    return hmac.digest(key, to_sign.encode(), "sha256").hex()


def _canonical(request: SignedRequest, signed: list[str]) -> str:
    pairs = sorted((_encode(name), _encode(value)) for name, value in parse_qsl(request.query, keep_blank_values=True))
    lines = [f"{name}:{' '.join(request.headers.get(name, '').split())}" for name in signed]
    return "\n".join(
        (
            request.method,
            quote(request.path, safe="/-_.~") or "/",
            "&".join(f"{name}={value}" for name, value in pairs),
            *lines,
            "",
            ";".join(signed),
            _digest(request.body),
        )
    )


def _encode(text: str) -> str:
    return quote(text, safe="-_.~")


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _auth_failure(
    message: str = "AWS was not able to validate the provided access credentials",
) -> Ec2Error:
    return Ec2Error("AuthFailure", message, 401)
