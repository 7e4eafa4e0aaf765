"""Every error as an RFC 9457 problem document; the only table of HTTP statuses."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from types import MappingProxyType

from django.http import HttpRequest, HttpResponse
from rest_framework import exceptions
from rest_framework.request import Request

from providers import trace
from providers.domain import Operation
from providers.errors import ErrorCode, FieldFault, ProviderError, TemporaryConflictError, in_one_line, whole_seconds
from vms import operations
from vms.renderers import to_json

_logger = logging.getLogger("cloudvm.request")

MEDIA_TYPE = "application/problem+json"
CHALLENGE = 'Bearer realm="cloudvm"'

# Where a Retry-After must stand and nobody named one, and the most that is passed on of what a cloud names.
DEFAULT_RETRY_SECONDS = 5
LONGEST_RETRY_SECONDS = 24 * 3600

# The longest name of a field that is told; no field that we know has a longer one.
LONGEST_FIELD = 200


@dataclass(frozen=True)
class Kind:
    """One kind of error: HTTP status, title, and whether the same request may succeed later."""

    status: int
    title: str
    retryable: bool = False


KINDS: Mapping[ErrorCode, Kind] = MappingProxyType(
    {
        ErrorCode.INVALID_REQUEST: Kind(400, "Invalid request"),
        ErrorCode.ENVIRONMENT_NOT_FOUND: Kind(400, "Environment not found"),
        ErrorCode.MACHINETYPE_NOT_FOUND: Kind(400, "Machine type not found"),
        ErrorCode.CREDENTIALS_MISSING: Kind(401, "Credentials missing"),
        ErrorCode.CREDENTIALS_MALFORMED: Kind(401, "Credentials malformed"),
        ErrorCode.CREDENTIALS_REJECTED: Kind(401, "Credentials rejected"),
        ErrorCode.PERMISSION_DENIED: Kind(403, "Permission denied"),
        ErrorCode.TLS_REQUIRED: Kind(403, "TLS required"),
        ErrorCode.CROSS_SITE: Kind(403, "Cross-site request"),
        ErrorCode.VM_NOT_FOUND: Kind(404, "VM not found"),
        ErrorCode.OPERATION_NOT_FOUND: Kind(404, "Operation not found"),
        ErrorCode.NOT_FOUND: Kind(404, "Not found"),
        ErrorCode.METHOD_NOT_ALLOWED: Kind(405, "Method not allowed"),
        ErrorCode.CONFLICT: Kind(409, "Conflict"),
        ErrorCode.NAME_TAKEN: Kind(409, "Name taken"),
        ErrorCode.QUOTA_EXCEEDED: Kind(409, "Quota exceeded"),
        ErrorCode.UNPROCESSABLE: Kind(422, "Unprocessable"),
        ErrorCode.THROTTLED: Kind(429, "Throttled", retryable=True),
        ErrorCode.INTERNAL_ERROR: Kind(500, "Internal error"),
        ErrorCode.UNSUPPORTED: Kind(501, "Unsupported"),
        ErrorCode.BACKEND_ERROR: Kind(502, "Backend error", retryable=True),
        ErrorCode.BACKEND_TLS: Kind(502, "Backend certificate not trusted"),
        ErrorCode.BACKEND_UNREACHABLE: Kind(502, "Backend unreachable", retryable=True),
        ErrorCode.UNAVAILABLE: Kind(503, "Unavailable", retryable=True),
        ErrorCode.BACKEND_TIMEOUT: Kind(504, "Backend timeout", retryable=True),
    }
)


# Statuses that some errors have besides their kind's own: a name in the path that does not exist is a 404, a request
# that arrives too slowly a 408, a body that is too large a 413.
_OTHER_STATUSES: Mapping[int, tuple[ErrorCode, ...]] = MappingProxyType(
    {
        404: (ErrorCode.ENVIRONMENT_NOT_FOUND, ErrorCode.MACHINETYPE_NOT_FOUND),
        408: (ErrorCode.INVALID_REQUEST,),
        413: (ErrorCode.INVALID_REQUEST,),
    }
)

CODES_BY_STATUS: Mapping[int, tuple[ErrorCode, ...]] = MappingProxyType(
    {
        status: tuple(code for code in KINDS if KINDS[code].status == status or code in _OTHER_STATUSES.get(status, ()))
        for status in sorted({*_OTHER_STATUSES, *(kind.status for kind in KINDS.values())})
    }
)


class Problem(Exception):  # noqa: N818 - RFC 9457's own word
    """One thing that went wrong with a request, raised anywhere in the HTTP side.

    `status` is given where it differs from the kind's.
    """

    def __init__(
        self, code: ErrorCode, detail: str, fields: tuple[FieldFault, ...] = (), *, status: int | None = None
    ) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.fields = fields
        self.status = status


def exception_handler(error: Exception, context: Mapping[str, object]) -> HttpResponse:
    """DRF's hook: whatever a view raised, as an answer."""
    request = context["request"]
    assert isinstance(request, Request)  # noqa: S101 - DRF's promise, told to the type checker
    if isinstance(error, ProviderError):
        return provider_response(error, request._request)  # noqa: SLF001 - DRF's documented way to Django's request
    return problem_response(_problem(error), request._request)  # noqa: SLF001


def problem_response(problem: Problem, request: HttpRequest) -> HttpResponse:
    """The answer for a problem of the HTTP side."""
    return _response(_document(problem.code, problem.detail, problem.fields, request, problem.status))


def provider_response(error: ProviderError, request: HttpRequest) -> HttpResponse:
    """The answer for what happened on the cloud side."""
    response = _response(provider_document(error, request))
    if error.retry_after_seconds is not None:
        response["Retry-After"] = retry_after(error.retry_after_seconds)
    elif isinstance(error, TemporaryConflictError):
        response["Retry-After"] = retry_after(DEFAULT_RETRY_SECONDS)
    return response


def retry_after(seconds: float) -> str:
    """A value for `Retry-After`: from one second to a day."""
    return str(whole_seconds(min(seconds, LONGEST_RETRY_SECONDS)))


def provider_document(error: ProviderError, request: HttpRequest) -> dict[str, object]:
    """The problem document for what happened on the cloud side."""
    redact = trace.current().redact
    document = _document(error.code, error.detail, error.fields, request, None)
    if isinstance(error, TemporaryConflictError):
        document["retryable"] = True
    if error.backend is not None:
        said = {key: redact(value) if isinstance(value, str) else value for key, value in asdict(error.backend).items()}
        document["backend"] = said
    if error.leftovers:
        document["leftovers"] = [asdict(leftover) for leftover in error.leftovers]
    if isinstance(error.operation, Operation):
        running = trace.current()
        document["operation"] = operations.location(error.operation, running.environment, running.access_key)
    return document


def unexpected(error: Exception, request: HttpRequest) -> HttpResponse:
    """The answer for a fault of our own: the log tells all, the caller gets an id to ask with."""
    _logger.error("unexpected %s", type(error).__name__, exc_info=error)
    return problem_response(_internal(), request)


def _problem(error: Exception) -> Problem:
    """What DRF's and our own exceptions mean."""
    match error:
        case Problem():
            problem = error
        case exceptions.NotAuthenticated():
            advice = "Send `Authorization: Bearer BASE64(<access key>:<secret>)`."
            problem = Problem(ErrorCode.CREDENTIALS_MISSING, advice)
        case exceptions.MethodNotAllowed():
            problem = Problem(ErrorCode.METHOD_NOT_ALLOWED, str(error.detail))
        case exceptions.UnsupportedMediaType():
            advice = "The body must be JSON, sent as `Content-Type: application/json`."
            problem = Problem(ErrorCode.INVALID_REQUEST, advice)
        case exceptions.ValidationError():
            faults = _field_faults(error.detail)
            problem = Problem(ErrorCode.INVALID_REQUEST, in_one_line(faults), faults)
        case exceptions.ParseError():
            problem = Problem(ErrorCode.INVALID_REQUEST, str(error.detail), status=error.status_code)
        case _:
            _logger.error("unexpected %s", type(error).__name__, exc_info=error)
            problem = _internal()
    return problem


def _internal() -> Problem:
    return Problem(
        ErrorCode.INTERNAL_ERROR,
        "The service failed, which is a fault of its own. Its log has the details under this answer's request id.",
    )


def _field_faults(detail: object, path: str = "") -> tuple[FieldFault, ...]:
    """A serializer's nested errors, one for each field, named by its path (`tags.team`)."""
    if isinstance(detail, Mapping):
        nested = ((f"{path}.{key}" if path else str(key), value) for key, value in detail.items())
        return tuple(fault for inner, value in nested for fault in _field_faults(value, inner))
    if isinstance(detail, list):
        return tuple(fault for value in detail for fault in _field_faults(value, path))
    redact = trace.current().redact
    field = redact(path.removeprefix("non_field_errors") or "body")
    return (FieldFault(field[:LONGEST_FIELD], redact(str(detail))),)


def _document(
    code: ErrorCode, detail: str, fields: tuple[FieldFault, ...], request: HttpRequest, status: int | None
) -> dict[str, object]:
    kind = KINDS[code]
    running = trace.current()
    document: dict[str, object] = {
        "type": f"/problems/{code}",
        "title": kind.title,
        "status": status or kind.status,
        "detail": running.redact(detail),
        "instance": running.redact(request.path),
        "code": code,
        "request_id": running.request_id,
        "retryable": kind.retryable,
    }
    if fields:
        document["errors"] = [
            {"field": running.redact(fault.field)[:LONGEST_FIELD], "detail": running.redact(fault.detail)}
            for fault in fields
        ]
    return document


def _response(document: dict[str, object]) -> HttpResponse:
    response = HttpResponse(to_json(document), status=int(str(document["status"])), content_type=MEDIA_TYPE)
    if response.status_code == 401:
        response["WWW-Authenticate"] = CHALLENGE
    if response.status_code in {429, 503}:
        response["Retry-After"] = retry_after(DEFAULT_RETRY_SECONDS)
    return response
