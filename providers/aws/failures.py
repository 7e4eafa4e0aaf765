"""What EC2's errors mean in our words.

Codes: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any, Final

from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError, ReadTimeoutError, SSLError
from botocore.exceptions import ConnectionError as BotoConnectionError
from botocore.parsers import ResponseParserError

from providers.aws.exchanges import ORIGIN, Origin
from providers.errors import (
    BackendFailureError,
    BackendReply,
    BackendTimeoutError,
    BackendTLSError,
    BackendUnreachableError,
    ConflictError,
    CredentialsRejectedError,
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

VENDOR_ERRORS: Final[tuple[type[Exception], ...]] = (BotoCoreError, ClientError, ResponseParserError)

# The first pattern that matches counts, so exceptions stand before the rule.
ERROR_CODES: Final[Mapping[str, type[ProviderError]]] = {
    "AuthFailure": CredentialsRejectedError,
    "ExpiredToken*": CredentialsRejectedError,
    "IncompleteSignature": CredentialsRejectedError,
    "InvalidAccessKeyId": CredentialsRejectedError,
    "InvalidClientTokenId": CredentialsRejectedError,
    "InvalidSecurity*": CredentialsRejectedError,
    "InvalidSignature*": CredentialsRejectedError,
    "MissingAuthenticationToken": CredentialsRejectedError,
    "RequestExpired": CredentialsRejectedError,
    "SignatureDoesNotMatch": CredentialsRejectedError,
    "UnrecognizedClientException": CredentialsRejectedError,
    "AccessDenied*": PermissionDeniedError,
    "AccountDisabled": PermissionDeniedError,
    "Blocked": PermissionDeniedError,
    "OptInRequired": PermissionDeniedError,
    "PendingVerification": PermissionDeniedError,
    "UnauthorizedOperation*": PermissionDeniedError,
    "InvalidInstanceID.Malformed": InvalidRequestError,
    "InvalidInstanceID.NotFound": VMNotFoundError,
    "IdempotentInstanceTerminated": ConflictError,
    "IncorrectInstanceState": ConflictError,
    "IncorrectSpotRequestState": ConflictError,
    "IncorrectState*": ConflictError,
    "InvalidState*": ConflictError,
    "OperationNotPermitted": ConflictError,
    "RequestLimitExceeded": ThrottledError,
    "BandwidthLimitExceeded": ThrottledError,
    "EC2ThrottledException": ThrottledError,
    "RequestThrottled*": ThrottledError,
    "SlowDown": ThrottledError,
    "Throttl*": ThrottledError,
    "TooManyRequests*": ThrottledError,
    "TagLimitExceeded": UnprocessableError,
    "InsufficientFreeAddressesInSubnet": QuotaExceededError,
    "MaxSpotInstanceCountExceeded": QuotaExceededError,
    "*LimitExceeded": QuotaExceededError,
    "Insufficient*Capacity*": UnavailableError,
    "UnsupportedOperation": UnsupportedError,
    "UnsupportedHibernationConfiguration": UnsupportedError,
    "IdempotentParameterMismatch": UnprocessableError,
    "Invalid*": UnprocessableError,
    "Missing*": UnprocessableError,
    "Unknown*": UnprocessableError,
    "Unsupported*": UnprocessableError,
}

# What a code of which nobody has heard means, by its HTTP status; above it is EC2's fault.
_BY_STATUS: Final[Mapping[int, type[ProviderError]]] = {
    401: CredentialsRejectedError,
    403: PermissionDeniedError,
    429: ThrottledError,
}

# Why an instance went down while it was being made or started ("StateReason" in the API reference).
STATE_REASONS: Final[Mapping[str, type[ProviderError]]] = {
    "Client.InstanceInitiatedShutdown": ConflictError,
    "Client.UserInitiated*": ConflictError,
    "Client.VolumeLimitExceeded": QuotaExceededError,
    "Client.*": UnprocessableError,
    "Server.InsufficientInstanceCapacity": UnavailableError,
    "Server.Spot*": UnavailableError,
    "*": BackendFailureError,
}

_ADVICE: Final[Mapping[type[ProviderError], str]] = {
    CredentialsRejectedError: "Check the access key and its secret, whether they are active and, for a temporary key, "
    "not expired, and this server's clock.",
    ThrottledError: "Try again later.",
    UnavailableError: "Try again later, or with another instance type or availability zone.",
    QuotaExceededError: "Free something or ask AWS for a higher quota in this region.",
}

_ADVICE_BY_CODE: Final[Mapping[str, str]] = {
    "IdempotentParameterMismatch": "This Idempotency-Key was used before for a request with other content: "
    "use a new key for a new request.",
    "IdempotentInstanceTerminated": "The VM that was made with this Idempotency-Key was deleted: use a new key.",
    "OperationNotPermitted": "Termination or stop protection is not removed silently: switch it off in AWS first, "
    "if that is meant.",
    "OptInRequired": "An image of the AWS Marketplace needs its terms to be accepted first.",
}

# The canonical string that EC2 shows after a wrong signature holds the session token; an encoded authorization
# message is a kilobyte that only an administrator can decode.
_NOISE = re.compile(
    r"\s*(Encoded authorization failure message|The Canonical String|Consult the service).*", re.DOTALL | re.IGNORECASE
)
_LONGEST_MESSAGE = 500

# urllib3 begins with the object that failed and ends with OpenSSL's line number.
_INTERNALS = re.compile(r"^(<[^>]*>|\w+\(host=[^)]*\))[:,]?\s*|\s*\(_ssl\.c:\d+\)")

# No answer of EC2's at all. The first kind that fits counts, as some are kinds of others.
_BROKEN: Final[tuple[tuple[type[Exception], type[ProviderError], str], ...]] = (
    (
        SSLError,
        BackendTLSError,
        (
            "The certificate of {host} is not trusted: {reason} If a certificate authority of your own signed it, name "
            "its file as `ca_file` of the environment or in REQUESTS_CA_BUNDLE."
        ),
    ),
    (ReadTimeoutError, BackendTimeoutError, "EC2 at {host} did not answer {operation} in time."),
    (
        BotoConnectionError,
        BackendUnreachableError,
        (
            "No connection to EC2 at {host}: {reason} Check the environment's region and url, and whether this server "
            "reaches it, directly or through its proxy."
        ),
    ),
    (HTTPClientError, BackendUnreachableError, "The connection to EC2 at {host} broke during {operation}: {reason}"),
    (
        ResponseParserError,
        BackendFailureError,
        "EC2 at {host} answered with something that is not EC2's XML. Is there a proxy or a gateway between?",
    ),
    (Exception, BackendFailureError, "botocore could not do {operation}: {reason}"),
)


def code_of(error: Exception) -> str:
    """EC2's error code, empty for an error of another kind."""
    return str(error.response.get("Error", {}).get("Code", "")) if isinstance(error, ClientError) else ""


def answer_lost(error: Exception, meaning: ProviderError) -> bool:
    """Whether EC2 may have done what was asked, although the call failed with `error`, which means `meaning`."""
    if isinstance(error, ClientError | BotoCoreError) and _origin(error).lost:
        return True
    return isinstance(meaning, BackendFailureError)


def translate(error: Exception) -> ProviderError:
    """One of `VENDOR_ERRORS` as the error that it means."""
    if isinstance(error, ClientError):
        return _refused(error)
    origin = _origin(error)
    kind, detail = _broken(error, origin)
    if origin.lost and not _only_reads(origin.operation):
        detail += " EC2 may have received the request, and the work may still finish: look at the VM."
    return kind(detail, backend=BackendReply("Aws", origin.operation))


def state_failure(operation: str, vm_id: str, state: str, code: str, message: str) -> ProviderError:
    """Why a VM went down while it was being made or started."""
    kind = _match(STATE_REASONS, code) or BackendFailureError
    why = f": {_sentence(message or code)}" if message or code else ", and EC2 does not say why."
    advice = _ADVICE.get(kind, "")
    detail = f"VM {vm_id} went to the state {state!r} instead of running{why} {advice}".strip()
    return kind(detail, backend=BackendReply("Aws", operation, code=code or None))


def _refused(error: ClientError) -> ProviderError:
    """EC2 answered, with an error."""
    code, origin = code_of(error), _origin(error)
    response: Mapping[str, Any] = error.response
    metadata = response.get("ResponseMetadata", {})
    status, headers = metadata.get("HTTPStatusCode"), metadata.get("HTTPHeaders", {})
    message = str(response.get("Error", {}).get("Message") or "")
    kind = _kind(code, status, message, error.operation_name)
    return kind(
        _refusal(kind, code, message, origin, error.operation_name),
        backend=BackendReply(
            "Aws",
            error.operation_name,
            code,
            status,
            metadata.get("RequestId") or headers.get("x-amzn-requestid"),
        ),
        retry_after_seconds=_retry_after(headers),
    )


def _kind(code: str, status: int | None, message: str, operation: str) -> type[ProviderError]:
    if code.isdigit():
        # No error of EC2's but the bare HTTP status: a proxy or a load balancer answered, and what it refuses says
        # nothing about the caller's keys.
        return ThrottledError if code == "429" else BackendFailureError
    if code == "AuthFailure" and message.startswith("Not authorized for"):
        # The keys are good, but an image of another account is not shared with theirs.
        return PermissionDeniedError
    if code == "UnsupportedOperation" and operation == "RunInstances":
        # Image, size and options do not go together.
        return UnprocessableError
    found = _match(ERROR_CODES, code)
    if found is not None:
        return found
    if status is None or status >= 500:
        return BackendFailureError
    return _BY_STATUS.get(status, UnprocessableError)


def _match(table: Mapping[str, type[ProviderError]], code: str) -> type[ProviderError] | None:
    return next((kind for pattern, kind in table.items() if fnmatchcase(code, pattern)), None)


def _refusal(kind: type[ProviderError], code: str, message: str, origin: Origin, operation: str) -> str:
    if code.isdigit():
        return (
            f"{origin.place} answered {operation} with HTTP {code} and without an error of EC2's own. "
            "EC2 is in trouble, or a proxy or gateway between answered for it."
        )
    advice = _ADVICE_BY_CODE.get(code) or _ADVICE.get(kind, "")
    return f"EC2 in {origin.place} refused {operation} ({code}): {_sentence(message)} {advice}".strip()


def _broken(error: Exception, origin: Origin) -> tuple[type[ProviderError], str]:
    """EC2 did not answer, or nothing that botocore understands."""
    host = f"{origin.host} (through the proxy {origin.proxy})" if origin.proxy else origin.host
    below = error.kwargs.get("error") if isinstance(error, BotoCoreError) else None
    # Only what lies below is quoted: a parser's error quotes the answer, and a validator's the request.
    reason = _sentence(_INTERNALS.sub("", str(below or type(error).__name__)))
    if isinstance(below, FileNotFoundError | PermissionError):
        return BackendTLSError, f"The file of trusted certificate authorities cannot be read: {reason}"
    kind, detail = next((kind, detail) for vendor, kind, detail in _BROKEN if isinstance(error, vendor))
    return kind, detail.format(host=host, reason=reason, operation=origin.operation or "the call")


def _origin(error: Exception) -> Origin:
    holder: Mapping[str, object] = {}
    if isinstance(error, ClientError):
        holder = error.response
    elif isinstance(error, BotoCoreError):
        holder = error.kwargs
    found = holder.get(ORIGIN)
    return found if isinstance(found, Origin) else Origin("", "this region", "its endpoint")


def _only_reads(operation: str) -> bool:
    return operation.startswith("Describe")


def _sentence(text: str) -> str:
    text = _NOISE.sub("", text).strip()[:_LONGEST_MESSAGE]
    return text if text.endswith((".", "!", "?")) else f"{text}."


def _retry_after(headers: Mapping[str, str]) -> float | None:
    value = headers.get("retry-after", "")
    return float(value) if value.isdigit() else None
