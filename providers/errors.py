"""Everything that can go wrong on the cloud side, as one tree.

    ProviderError
    ├── InvalidRequestError        a value that this cloud cannot take; found before any call
    ├── UnsupportedError           this cloud cannot do it; said before any change
    ├── CredentialsRejectedError   the cloud does not accept the credentials
    │   └── CredentialsUnusableError   they are refused for another reason than that they are wrong
    ├── PermissionDeniedError      the cloud knows the caller and refuses
    ├── VMNotFoundError            no such VM in the environment's scope
    ├── ConflictError              the VM is in the wrong state, locked or protected
    │   ├── NotOwnedError          it belongs to another create, so a clean-up leaves it alone
    │   ├── LostClaimError         it has changed while a retry was taking it over
    │   └── TemporaryConflictError the same request can succeed later
    ├── NameTakenError             another VM has the name
    ├── QuotaExceededError         the account's limit is reached
    ├── UnprocessableError         well-formed but impossible here: image, network or size missing
    ├── ThrottledError             too many requests, says the cloud
    ├── BackendFailureError        the cloud broke, or said what nobody understands
    ├── BackendTLSError            its certificate is not trusted
    ├── BackendUnreachableError    no connection
    ├── BackendTimeoutError        the deadline passed
    └── UnavailableError           a limit of our own, or no capacity for now

`AlreadyInStateError` stands apart: a driver raises it when the cloud refuses a verb because the VM is where the verb
would bring it; the gateway makes a success of it. HTTP statuses are no business of this module.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar


class ErrorCode(StrEnum):
    """The words by which programs tell errors apart; the same on every cloud."""

    INVALID_REQUEST = "invalid_request"
    ENVIRONMENT_NOT_FOUND = "environment_not_found"
    MACHINETYPE_NOT_FOUND = "machinetype_not_found"
    CREDENTIALS_MISSING = "credentials_missing"
    CREDENTIALS_MALFORMED = "credentials_malformed"
    CREDENTIALS_REJECTED = "credentials_rejected"
    PERMISSION_DENIED = "permission_denied"
    TLS_REQUIRED = "tls_required"
    CROSS_SITE = "cross_site"
    VM_NOT_FOUND = "vm_not_found"
    OPERATION_NOT_FOUND = "operation_not_found"
    NOT_FOUND = "not_found"
    METHOD_NOT_ALLOWED = "method_not_allowed"
    CONFLICT = "conflict"
    NAME_TAKEN = "name_taken"
    QUOTA_EXCEEDED = "quota_exceeded"
    UNPROCESSABLE = "unprocessable"
    THROTTLED = "throttled"
    INTERNAL_ERROR = "internal_error"
    UNSUPPORTED = "unsupported"
    BACKEND_ERROR = "backend_error"
    BACKEND_TLS = "backend_tls"
    BACKEND_UNREACHABLE = "backend_unreachable"
    UNAVAILABLE = "unavailable"
    BACKEND_TIMEOUT = "backend_timeout"


@dataclass(frozen=True)
class BackendReply:
    """What the cloud itself said: its operation, error code, HTTP status and request id, as far as known."""

    cloud: str
    operation: str
    code: str | None = None
    status: int | None = None
    request_id: str | None = None


@dataclass(frozen=True)
class FieldFault:
    """What is wrong with one field of a request."""

    field: str
    detail: str


# How many faults stand in one line; a person would not read more there.
MOST_IN_ONE_LINE = 3


def in_one_line(faults: Sequence[FieldFault]) -> str:
    """What is wrong with the fields, for people: not everybody who reads `detail` looks for `errors`."""
    told = [f"{each.field}: {each.detail.rstrip('.')}" for each in faults[:MOST_IN_ONE_LINE]]
    more = ["see `errors` for the others"] if len(faults) > MOST_IN_ONE_LINE else []
    return f"{'; '.join(told + more)}."


@dataclass(frozen=True)
class Leftover:
    """An object that a failed create had made: what it is, and whether it could be removed again."""

    kind: str
    id: str
    removed: bool


class ProviderError(Exception):
    """Something went wrong on the cloud side; `detail` says what, where, and what to do.

    Attributes:
        detail: one or two sentences for a person.
        backend: the cloud's own words, None when it was not asked.
        fields: the fields at fault.
        retry_after_seconds: when to come back, if the cloud or a limit of ours said so.
        leftovers: what a failed create had made.
        answer_lost: whether the cloud may have done what was asked, although the call failed.
        operation: the `domain.Operation` that goes on in the cloud, where it had been accepted.

    """

    code: ClassVar[ErrorCode]

    def __init__(
        self,
        detail: str,
        *,
        backend: BackendReply | None = None,
        fields: tuple[FieldFault, ...] = (),
        retry_after_seconds: float | None = None,
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.backend = backend
        self.fields = fields
        self.retry_after_seconds = retry_after_seconds
        self.leftovers: tuple[Leftover, ...] = ()
        self.answer_lost = False
        self.operation: object = None


class InvalidRequestError(ProviderError):
    """A value that this cloud cannot take; found before any call."""

    code = ErrorCode.INVALID_REQUEST


class UnsupportedError(ProviderError):
    """This cloud cannot do it; said before any change."""

    code = ErrorCode.UNSUPPORTED


class CredentialsRejectedError(ProviderError):
    """The cloud does not accept the credentials. Never answered by trying them again."""

    code = ErrorCode.CREDENTIALS_REJECTED


class CredentialsUnusableError(CredentialsRejectedError):
    """The credentials are refused, which does not prove that they are wrong.

    Their form is not the cloud's, a clock is wrong, a session has ended, or the cloud was not asked.
    """


class PermissionDeniedError(ProviderError):
    """The cloud knows the caller and refuses."""

    code = ErrorCode.PERMISSION_DENIED


class VMNotFoundError(ProviderError):
    """No such VM in the environment's scope."""

    code = ErrorCode.VM_NOT_FOUND


class ConflictError(ProviderError):
    """The VM is in the wrong state, locked or protected."""

    code = ErrorCode.CONFLICT


class NotOwnedError(ConflictError):
    """The object belongs to another create by now, so a clean-up neither removes nor reports it."""


class LostClaimError(ConflictError):
    """The VM of another try has changed while this try was taking it over."""


class TemporaryConflictError(ConflictError):
    """The conflict ends by itself, so the same request can succeed later."""


class NameTakenError(ProviderError):
    """Another VM has the name."""

    code = ErrorCode.NAME_TAKEN


class QuotaExceededError(ProviderError):
    """The account's limit is reached."""

    code = ErrorCode.QUOTA_EXCEEDED


class UnprocessableError(ProviderError):
    """Well-formed but impossible here: image, network or size missing, or an idempotency key used for other content."""

    code = ErrorCode.UNPROCESSABLE


class ThrottledError(ProviderError):
    """Too many requests, says the cloud."""

    code = ErrorCode.THROTTLED


class BackendFailureError(ProviderError):
    """The cloud broke, or answered what nobody understands."""

    code = ErrorCode.BACKEND_ERROR


class BackendTLSError(ProviderError):
    """The certificate of the cloud's endpoint is not trusted."""

    code = ErrorCode.BACKEND_TLS


class BackendUnreachableError(ProviderError):
    """No connection to the cloud's endpoint, or it broke."""

    code = ErrorCode.BACKEND_UNREACHABLE


class BackendTimeoutError(ProviderError):
    """The deadline passed; `detail` says whether the work may still finish."""

    code = ErrorCode.BACKEND_TIMEOUT


class UnavailableError(ProviderError):
    """A limit of our own, or the cloud has no capacity for now."""

    code = ErrorCode.UNAVAILABLE


class AlreadyInStateError(Exception):
    """The VM is already where the verb would bring it: a success, told by a cloud as an error."""


def whole_seconds(seconds: float) -> int:
    """Round a wait up to whole seconds, at least one."""
    return max(1, math.ceil(seconds))


def key_reused(vm_id: str) -> UnprocessableError:
    """An idempotency key comes with other content than in the request that made a VM."""
    return UnprocessableError(
        f"This Idempotency-Key was used before for a request with other content, which made VM {vm_id}: use a new key "
        "for a new request."
    )
