"""Around every request: its id, its trace, its log line, and what must be refused before anything else looks at it."""

from __future__ import annotations

import logging
import re
import secrets
from collections.abc import Callable, Iterator

from django.conf import settings
from django.core.exceptions import DisallowedHost, TooManyFieldsSent
from django.http import HttpRequest, HttpResponse, QueryDict

from providers.errors import ErrorCode
from providers.trace import Trace, tracing
from vms.authentication import LONGEST_HEADER, register_secrets
from vms.catalogue import TEXTS
from vms.client_address import is_trusted_proxy
from vms.pages import Page, problem_page
from vms.problems import MEDIA_TYPE, Problem, problem_response, unexpected
from vms.renderers import wants_page
from vms.service import pinned_service

_logger = logging.getLogger("cloudvm.request")

# Asked by whoever watches the process, by address and without TLS as often as not.
PROBES = frozenset({"/livez", "/readyz"})
# The variable of the WSGI environ that holds the `Problem` of a request that the server refuses.
REFUSAL = "cloudvm.refusal"
REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
# What an error means that was not written by us, where its status says more than whose fault it is.
_CODES = {404: ErrorCode.NOT_FOUND, 405: ErrorCode.METHOD_NOT_ALLOWED}
CONTENT_SECURITY_POLICY = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"


class RequestMiddleware:
    """The outermost layer: everything that the service answers has passed here."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Answer a request, with its trace as the current one."""
        with tracing(Trace("-")) as trace:
            register_secrets(request)
            trace.request_id = _request_id(request, trace)
            if _came_by_tls(request):
                request.META["wsgi.url_scheme"] = "https"
            with pinned_service():
                response = self._get_response(request)
            _add_headers(response, trace)
            _log(request, response, trace)
            return response

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse:
        """Answer for a view outside of DRF that failed."""
        return unexpected(error, request)


class GuardMiddleware:
    """Refuses what nobody should look at, and sees to it that every error is told in the same way.

    It stands within those that add headers for browsers, so that its own answers have them, too.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Pass a request on, or say what is wrong with it."""
        problem = request.META.get(REFUSAL) or next(_objections(request), None)
        if problem is not None:
            response = problem_response(problem, request)
        else:
            response = _as_problem(self._get_response(request), request)
        if response.headers.get("Content-Type") == MEDIA_TYPE and wants_page(request):
            return problem_page(response, request)
        return response


def _request_id(request: HttpRequest, trace: Trace) -> str:
    """Return the caller's own id if it can be logged and echoed safely, else a new one."""
    given = request.headers.get("X-Request-ID", "")
    is_safe = REQUEST_ID.fullmatch(given) and trace.redact(given) == given
    return given if is_safe else secrets.token_hex(8)


def _objections(request: HttpRequest) -> Iterator[Problem]:
    """What is wrong with a request before anybody looks at what it wants."""
    for name, value in request.META.items():
        # `Authorization` is judged where it is read, with an error of its own.
        if name.startswith("HTTP_") and name != "HTTP_AUTHORIZATION" and len(value) > LONGEST_HEADER:
            header = name.removeprefix("HTTP_").replace("_", "-").title()
            yield Problem(ErrorCode.INVALID_REQUEST, f"The header {header} is longer than {LONGEST_HEADER:,} bytes.")
    try:
        _ = request.GET
    except TooManyFieldsSent:
        # The page that tells it reads the query, too.
        request.GET = QueryDict()
        yield Problem(ErrorCode.INVALID_REQUEST, "The query has too many parameters.")
    if request.path in PROBES:
        return
    try:
        request.get_host()
    except DisallowedHost:
        yield Problem(
            ErrorCode.INVALID_REQUEST,
            "This server does not answer under this host name; CLOUDVM_ALLOWED_HOSTS lists its names.",
        )
    if settings.CLOUDVM_REQUIRE_HTTPS and not request.is_secure():
        yield Problem(
            ErrorCode.TLS_REQUIRED,
            "This server takes requests over https only. A token that was sent over plain http should be replaced.",
        )


def _as_problem(response: HttpResponse, request: HttpRequest) -> HttpResponse:
    """The answer, made a problem document if Django or a library of ours wrote an error in its own way."""
    if response.status_code < 400 or isinstance(response, Page) or response.headers.get("Content-Type") == MEDIA_TYPE:
        return response
    at_fault = ErrorCode.INVALID_REQUEST if response.status_code < 500 else ErrorCode.INTERNAL_ERROR
    code = _CODES.get(response.status_code, at_fault)
    problem = problem_response(Problem(code, TEXTS[code].meaning), request)
    if "Allow" in response.headers:
        problem["Allow"] = response["Allow"]
    return problem


def _came_by_tls(request: HttpRequest) -> bool:
    """Whether a proxy that we trust says that it got the request over TLS."""
    return request.headers.get("X-Forwarded-Proto", "").lower() == "https" and is_trusted_proxy(request)


def _add_headers(response: HttpResponse, trace: Trace) -> None:
    backend_ms = trace.backend_seconds * 1000
    app_ms = max(0.0, trace.elapsed_seconds * 1000 - backend_ms)
    calls = f"{trace.calls} call" + ("" if trace.calls == 1 else "s")
    response["X-Request-ID"] = trace.request_id
    response["Server-Timing"] = f'backend;dur={backend_ms:.1f};desc="{calls}", app;dur={app_ms:.1f}'
    response.headers.setdefault("Cache-Control", "no-store")
    response.headers.setdefault("Content-Security-Policy", CONTENT_SECURITY_POLICY)
    # Other sites' pages cannot have it as a picture or a script either, not even to measure it.
    response.headers.setdefault("Cross-Origin-Resource-Policy", "same-origin")


def _log(request: HttpRequest, response: HttpResponse, trace: Trace) -> None:
    # A token is as long as a page and says nothing to a reader.
    path = "/operation/…" if request.path.startswith("/operation/") else request.path
    _logger.info(
        "%s %s %s",
        request.method,
        path,
        response.status_code,
        extra={
            "method": request.method,
            "path": path,
            "status": response.status_code,
            "environment": trace.environment,
            "duration_ms": round(trace.elapsed_seconds * 1000, 1),
            "backend_ms": round(trace.backend_seconds * 1000, 1),
            "backend_calls": trace.calls,
        },
    )
