"""From botocore's errors to ours: what happened, where, and what to do."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from fnmatch import fnmatchcase
from typing import Any, Final

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectTimeoutError,
    HTTPClientError,
    ReadTimeoutError,
    SSLError,
)
from botocore.exceptions import ConnectionError as BotoConnectionError
from botocore.parsers import ResponseParserError
from urllib3.exceptions import HTTPError

from providers.aws.codes import ADVICE, ADVICE_BY_CODE, BY_STATUS, ERROR_CODES, STATE_REASONS
from providers.aws.exchanges import ORIGIN, Origin, hung_up_in_tls
from providers.broken import naming_proxy
from providers.errors import (
    BackendFailureError,
    BackendReply,
    BackendTimeoutError,
    BackendTLSError,
    BackendUnreachableError,
    CredentialsRejectedError,
    CredentialsUnusableError,
    PermissionDeniedError,
    ProviderError,
    ThrottledError,
    UnprocessableError,
)
from providers.excerpts import sentence
from providers.headers import whole_number

VENDOR_ERRORS: Final[tuple[type[Exception], ...]] = (BotoCoreError, ClientError, ResponseParserError)

# The canonical string that EC2 shows after a wrong signature holds the session token; an encoded authorization
# message is a kilobyte that only an administrator can decode.
_NOISE = re.compile(
    r"\s*(Encoded authorization failure message|The Canonical String|Consult the service).*", re.DOTALL | re.IGNORECASE
)
_LONGEST_MESSAGE = 500
# EC2 tolerates five minutes or more.
_TOLERATED_SKEW_SECONDS = 240.0

# urllib3 begins with the object that failed and ends with OpenSSL's line number.
_INTERNALS = re.compile(r"^(<[^>]*>|\w+\(host=[^)]*\))[:,]?\s*|\s*\(_ssl\.c:\d+\)")

# No answer of EC2's at all. The first kind that fits counts, as some are kinds of others.
_BROKEN: Final[tuple[tuple[type[Exception], type[ProviderError], str], ...]] = (
    (
        SSLError,
        BackendTLSError,
        (
            "The certificate of {host} is not trusted: {reason} For an authority of your own, name its file as "
            "`ca_file` of the environment or in REQUESTS_CA_BUNDLE."
        ),
    ),
    (ReadTimeoutError, BackendTimeoutError, "EC2 at {host} did not answer {operation} in time."),
    (
        ConnectTimeoutError,
        BackendUnreachableError,
        (
            "The connection to EC2 at {host} timed out, so {operation} was not sent. Check the environment's region "
            "and url, this server's proxy, and the firewalls between."
        ),
    ),
    (
        BotoConnectionError,
        BackendUnreachableError,
        "No connection to EC2 at {host}: {reason} Check the environment's region and url, and this server's proxy.",
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
    return meaning.answer_lost or isinstance(meaning, BackendFailureError)


def translate(error: Exception) -> ProviderError:
    """One of `VENDOR_ERRORS` as the error that it means."""
    if isinstance(error, ClientError):
        return _refused(error)
    origin = _origin(error)
    kind, detail = _broken(error, origin)
    if origin.lost and not _told_elsewhere(origin.operation):
        detail += " EC2 may have received the request, and the work may still finish: look at the VM."
    return kind(detail, backend=BackendReply("Aws", origin.operation))


def state_failure(operation: str, vm_id: str, state: str, code: str, message: str) -> ProviderError:
    """Why a VM went down while it was being made or started."""
    kind = _match(STATE_REASONS, code) or BackendFailureError
    why = f": {_sentence(message or code)}" if message or code else ", and EC2 does not say why."
    advice = ADVICE.get(kind, "")
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
    detail = _refusal(kind, code, message, origin, error.operation_name)
    if kind is CredentialsRejectedError and (skew := _clock_skew_seconds(headers.get("date", ""))):
        # EC2 refuses every signature then, with the same codes as wrong keys.
        kind = CredentialsUnusableError
        detail += f" This server's clock and EC2's differ by {skew:.0f} seconds: set this server's clock."
    return kind(
        detail,
        backend=BackendReply(
            "Aws",
            error.operation_name,
            code,
            status,
            metadata.get("RequestId") or headers.get("x-amzn-requestid"),
        ),
        retry_after_seconds=whole_number(headers.get("retry-after", "")),
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
    return BY_STATUS.get(status, UnprocessableError)


def _clock_skew_seconds(date: str) -> float:
    """Return how far this machine's clock is from an answer's `Date`, 0 if that is little or not known."""
    try:
        skew = abs(parsedate_to_datetime(date).timestamp() - time.time())
    except ValueError:
        return 0.0
    return skew if skew > _TOLERATED_SKEW_SECONDS else 0.0


def _match(table: Mapping[str, type[ProviderError]], code: str) -> type[ProviderError] | None:
    return next((kind for pattern, kind in table.items() if fnmatchcase(code, pattern)), None)


def _refusal(kind: type[ProviderError], code: str, message: str, origin: Origin, operation: str) -> str:
    if code.isdigit():
        return (
            f"{origin.place} answered {operation} with HTTP {code} and without an error of EC2's own. "
            "EC2 is in trouble, or a proxy or gateway between answered for it."
        )
    advice = ADVICE_BY_CODE.get(code) or ADVICE.get(kind, "")
    did = "failed at" if kind is BackendFailureError else "refused"
    return f"EC2 in {origin.place} {did} {operation} ({code}): {_sentence(message)} {advice}".strip()


def _broken(error: Exception, origin: Origin) -> tuple[type[ProviderError], str]:
    """EC2 did not answer, or nothing that botocore understands."""
    host = f"{origin.host} (through the proxy {origin.proxy})" if origin.proxy else origin.host
    below = _below(error)
    # Only what lies below is quoted, and only if it is about the connection: a parser's error quotes the answer,
    # a validator's the request, and http.client's about a header the session token in it.
    quoted = below if isinstance(below, OSError | HTTPError) else type(below or error).__name__
    reason = sentence(str(quoted), _LONGEST_MESSAGE, noise=_INTERNALS)
    reason = naming_proxy(reason, below, has_proxy=bool(origin.proxy))
    if isinstance(below, FileNotFoundError | PermissionError):
        return BackendTLSError, f"The file of trusted certificate authorities cannot be read: {reason}"
    raised = HTTPClientError if hung_up_in_tls(error) else type(error)
    kind, detail = next((kind, detail) for vendor, kind, detail in _BROKEN if issubclass(raised, vendor))
    return kind, detail.format(host=host, reason=reason, operation=origin.operation or "the call")


def _below(error: Exception) -> object:
    """What botocore and urllib3 have wrapped."""
    below = error.kwargs.get("error") if isinstance(error, BotoCoreError) else None
    below = getattr(below, "original_error", below)
    inside = below.args if isinstance(below, Exception) else ()
    return next((inner for inner in inside if isinstance(inner, OSError)), below)


def _origin(error: Exception) -> Origin:
    holder: Mapping[str, object] = {}
    if isinstance(error, ClientError):
        holder = error.response
    elif isinstance(error, BotoCoreError):
        holder = error.kwargs
    found = holder.get(ORIGIN)
    return found if isinstance(found, Origin) else Origin("", "this region", "its endpoint")


def _told_elsewhere(operation: str) -> bool:
    """Reading changes nothing, and what became of a VM that was to be made is looked for by the driver."""
    return operation.startswith("Describe") or operation == "RunInstances"


def _sentence(text: str) -> str:
    return sentence(text, _LONGEST_MESSAGE, noise=_NOISE)
