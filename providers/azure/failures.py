"""From what Azure and its log-in refuse, and operations that failed, to our errors: what, where, what to do."""

from __future__ import annotations

import re
import urllib.parse
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import Any, Final

import orjson
import requests
from azure.core.exceptions import AzureError, HttpResponseError
from azure.core.rest import HttpResponse

from providers.azure.codes import ADVICE, ADVICE_BY_CODE, BY_STATUS, ERROR_CODES, LOG_IN_CODES, VAGUE
from providers.azure.naming import CREATE, DISKS, LIST, LIST_ALL, NICS, TOKEN, operation_named
from providers.errors import (
    BackendFailureError,
    BackendReply,
    CredentialsRejectedError,
    CredentialsUnusableError,
    ProviderError,
    QuotaExceededError,
    ThrottledError,
    UnprocessableError,
    VMNotFoundError,
)
from providers.excerpts import excerpt, sentence
from providers.headers import whole_number

VENDOR_ERRORS: Final[tuple[type[Exception], ...]] = (AzureError,)

_NOT_ABOUT_ONE_VM: Final = frozenset({CREATE, LIST, LIST_ALL, NICS, DISKS})
_LONGEST_MESSAGE: Final = 600
# Ids and times that stand elsewhere, and links of a screen's length that lead to a form.
_NOISE: Final = re.compile(
    r"\s*\b(Trace ID|Correlation ID|Timestamp): \S+( \S+Z)?"
    r"|\s*The tracking id is '[^']*'\."
    r"|\s*See inner errors for details\."
    r"|\s*Submit a request for Quota increase at \S+( by specifying[^.]*\.)?"
    r"|\s*Please read more about quota limits at \S+"
    r"|\s*For more (details|information)[^.]*? (go to|see|visit|refer to) https?://\S+"
)
# Names in a message are not Azure's words.
_QUOTED: Final = re.compile(r"'[^']*'")
_TRACE_ID: Final = re.compile(r"Trace ID: ([0-9a-fA-F-]{36})")
_LOG_IN_CODE: Final = re.compile(r"AADSTS\d+")


@dataclass(frozen=True)
class Refusal:
    """What Azure said of a call, or of an operation: `codes` from the outermost to the innermost, often only one.

    Both are empty where the answer has not Azure's form.
    """

    codes: tuple[str, ...] = ()
    message: str = ""

    @property
    def code(self) -> str:
        """The code that tells most."""
        return next((code for code in self.codes if code not in VAGUE), self.codes[0] if self.codes else "")


@dataclass(frozen=True)
class _Exchange:
    """A call that was refused: what it was, where to, and what came back beside the body."""

    operation: str
    url: str
    status: int
    headers: Mapping[str, str]


def read_refusal(content: Any) -> Refusal:
    """The refusal in an answer's JSON, in the `error` of a resource or operation, or none."""
    error = content.get("error", content) if isinstance(content, dict) else None
    if not isinstance(error, dict) or not isinstance(error.get("code"), str):
        return Refusal()
    parts = list(_parts(error))
    messages = dict.fromkeys(text for _, text in parts if text)
    return Refusal(tuple(code for code, _ in parts if code), " ".join(map(_sentence, messages)))


def refusal_of(error: HttpResponseError) -> Refusal:
    """The refusal that an error of azure-core carries."""
    if not isinstance(error.response, HttpResponse):
        return Refusal()
    try:
        return read_refusal(orjson.loads(error.response.content))
    except orjson.JSONDecodeError:
        return Refusal()


def translate(error: Exception) -> ProviderError:
    """One of `VENDOR_ERRORS` as the error that it means."""
    if not isinstance(error, HttpResponseError) or not isinstance(error.response, HttpResponse):
        cause = error.__cause__
        return cause if isinstance(cause, ProviderError) else BackendFailureError(_odd(error))
    request, response = error.response.request, error.response
    operation = operation_named(request.method, request.url)
    return _refused(_Exchange(operation, request.url, response.status_code, response.headers), refusal_of(error))


def operation_failure(operation: str, vm_id: str, refusal: Refusal) -> ProviderError:
    """Why an operation that Azure had accepted failed later on."""
    kind = _kind(refusal, None, operation)
    said = refusal.message or "Azure does not say why."
    code = f" ({refusal.code})" if refusal.code else ""
    detail = f"Azure accepted {operation} for VM {vm_id}, and it failed{code}: {said} {_advice(kind, refusal.code)}"
    return kind(detail.strip(), backend=BackendReply("Azure", operation, refusal.code or None))


def log_in_failure(operation: str, response: requests.Response) -> ProviderError:
    """What Entra ID's refusal means."""
    exchange = _Exchange(operation, response.url, response.status_code, response.headers)
    try:
        content = response.json()
        said = str(content.get("error_description") or content["error"])
    except (ValueError, KeyError, AttributeError):
        return _refused(exchange, Refusal())
    code, trace_id = _LOG_IN_CODE.search(said), _TRACE_ID.search(said)
    word = code[0] if code else str(content.get("error"))
    refusal = Refusal((word,), _sentence(said.removeprefix(f"{word}: ")))
    failure = _refused(
        exchange, refusal, LOG_IN_CODES.get(refusal.code) or _log_in_kind(operation, response.status_code)
    )
    if trace_id and failure.backend:
        failure.backend = replace(failure.backend, request_id=trace_id[1])
    return failure


def not_understood(operation: str, host: str, status: int | None = 200) -> BackendFailureError:
    """The answer has not the form of Azure's."""
    return BackendFailureError(
        f"Azure at {host} answered {operation} with something that is not Azure's. Is there a proxy or a gateway "
        "between?",
        backend=BackendReply("Azure", operation, status=status),
    )


def _refused(exchange: _Exchange, refusal: Refusal, kind: type[ProviderError] | None = None) -> ProviderError:
    operation, status, headers = exchange.operation, exchange.status, exchange.headers
    kind = kind or _kind(refusal, status, operation)
    failure = kind(
        _detail(exchange, refusal, kind),
        backend=BackendReply("Azure", operation, refusal.code or str(status), status, _request_id(headers)),
        retry_after_seconds=whole_number(headers.get("Retry-After", "")),
    )
    failure.answer_lost = status >= 500
    return failure


def _detail(exchange: _Exchange, refusal: Refusal, kind: type[ProviderError]) -> str:
    operation, host = exchange.operation, urllib.parse.urlsplit(exchange.url).netloc
    if not refusal.codes:
        return (
            f"{host} answered {operation} with HTTP {exchange.status} and without an error of Azure's own. Azure is in "
            "trouble, or a proxy or gateway between answered for it."
        )
    code = refusal.code
    return f"Azure at {host} refused {operation} ({code}): {refusal.message} {_advice(kind, code)}".strip()


def _kind(refusal: Refusal, status: int | None, operation: str) -> type[ProviderError]:
    kind = _known_kind(refusal, status)
    # What a create does not find is what it was told to use, and what a list does not find is no VM.
    return UnprocessableError if kind is VMNotFoundError and operation in _NOT_ABOUT_ONE_VM else kind


def _known_kind(refusal: Refusal, status: int | None) -> type[ProviderError]:
    if status == 429:
        return ThrottledError
    if not refusal.codes and status is not None:
        # Not Azure but a proxy or a load balancer: what it refuses says nothing about the caller's credentials.
        return BackendFailureError
    if "OperationNotAllowed" in refusal.codes and "quota" in _QUOTED.sub("", refusal.message).lower():
        return QuotaExceededError
    for code in sorted(refusal.codes, key=VAGUE.__contains__):
        found = next((kind for pattern, kind in ERROR_CODES.items() if fnmatchcase(code, pattern)), None)
        if found is not None:
            return found
    if status is None or status >= 500:
        return BackendFailureError
    return BY_STATUS.get(status, UnprocessableError)


def _log_in_kind(operation: str, status: int) -> type[ProviderError]:
    if status == 429:
        return ThrottledError
    if status >= 500:
        return BackendFailureError
    # Only the token's request carries the secret.
    return CredentialsRejectedError if operation == TOKEN else CredentialsUnusableError


def _advice(kind: type[ProviderError], code: str) -> str:
    return ADVICE_BY_CODE.get(code) or ADVICE.get(kind, "")


def _parts(error: dict[str, Any], depth: int = 0) -> Iterator[tuple[str, str]]:
    """Code and message of an error and of those that it holds; a message may be another error, written as JSON."""
    message = error.get("message")
    text = message if isinstance(message, str) else ""
    inner = [error.get("innererror"), *(details if isinstance(details := error.get("details"), list) else [])]
    if text.startswith("{"):
        inner.append(_parsed(text))
        text = ""
    yield str(error.get("code") or ""), excerpt(text, _LONGEST_MESSAGE, noise=_NOISE, fold_blanks=True)
    for one in inner:
        if isinstance(one, dict) and depth < 4:
            yield from _parts(one.get("error", one) if isinstance(one.get("error"), dict) else one, depth + 1)


def _parsed(text: str) -> object:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return None


def _request_id(headers: Mapping[str, str]) -> str | None:
    return headers.get("x-ms-request-id") or headers.get("x-ms-correlation-request-id")


def _odd(error: Exception) -> str:
    return f"The SDK of Azure could not do the call: {type(error).__name__}."


def _sentence(text: str) -> str:
    return sentence(text, _LONGEST_MESSAGE, noise=_NOISE, fold_blanks=True)
