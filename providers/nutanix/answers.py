"""Prism's answers: their JSON, what their headers tell, and what each API says when it refuses.

v2.0: `{"message", "detailed_message", "error_code": {"code"}}`; v3: `{"state": "ERROR", "code", "message_list"}`;
v4: `{"data": {"error": [{"code", "errorGroup", "message"}]}}`, and from its gateway `{"code", "message"}`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

import orjson
import requests

from providers.errors import BackendFailureError, BackendReply
from providers.excerpts import excerpt
from providers.headers import whole_number
from providers.nutanix.naming import operation_of
from providers.nutanix.records import LONGEST_MESSAGE

_LONGEST_WAIT_SECONDS: Final = 3600.0

T = TypeVar("T")


@dataclass(frozen=True)
class Rate:
    """How many calls of a kind Prism allows in a period, and how many of them were left at this answer."""

    limit: int
    period_seconds: float
    remaining: int | None = None


@dataclass(frozen=True)
class Answer:
    """A good answer. `content` is for the clients alone."""

    operation: str
    content: Any
    etag: str = ""
    rate: Rate | None = None

    def read(self, reader: Callable[[Any], T]) -> T:
        """What the answer says; one that has not the form of it is the backend's fault, not ours."""
        try:
            return reader(self.content)
        except (AttributeError, IndexError, KeyError, OverflowError, TypeError, ValueError) as error:
            failure = _nonsense(
                f"Nutanix answered {self.operation} with something that has not the form of its answers.",
                self.operation,
                200,
            )
            raise failure from error


@dataclass(frozen=True)
class Refusal:
    """Why Prism refuses. `code` and `group` are the API's own words, blank where it has none."""

    operation: str
    host: str
    status: int
    message: str
    code: str = ""
    group: str = ""
    product: str = ""
    retry_after_seconds: float | None = None

    @property
    def text(self) -> str:
        """All its words."""
        return " ".join(word for word in (self.code, self.group, self.message) if word)


class PrismError(Exception):
    """What Prism refuses."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(f"{refusal.operation}: {refusal.status} {refusal.text}")
        self.refusal = refusal

    @property
    def status(self) -> int:
        """The HTTP status."""
        return self.refusal.status


def answer_of(response: requests.Response) -> Answer:
    """A response's answer.

    Raises:
        PrismError: Prism refuses.
        BackendFailureError: the answer is not Prism's.

    """
    operation = operation_of(response.request)
    content = _json(response)
    if response.status_code >= 400:
        raise PrismError(refusal_of(response, content))
    if not isinstance(content, dict):
        raise _nonsense(
            f"{_host(response)} answered {operation} with something that is not Prism's JSON. Is there a proxy or a "
            "log-in page between, or does the environment's url lead elsewhere?",
            operation,
            response.status_code,
        )
    return Answer(operation, content, response.headers.get("Etag", ""), _rate(response.headers))


def refusal_of(response: requests.Response, content: Any) -> Refusal:
    """What a response with an error says."""
    code, group, message = next(_said(content), ("", "", ""))
    return Refusal(
        operation=operation_of(response.request),
        host=_host(response),
        status=response.status_code,
        message=excerpt(message, LONGEST_MESSAGE),
        code=excerpt(code, LONGEST_MESSAGE),
        group=excerpt(group, LONGEST_MESSAGE),
        product=response.headers.get("X-Ntnx-Product", ""),
        retry_after_seconds=_seconds(response.headers.get("Retry-After", "")),
    )


def _said(content: Any) -> Iterator[tuple[str, str, str]]:
    """Code, group and message of an error, in the first of the forms that fits."""
    if not isinstance(content, dict):
        return
    errors = content["data"].get("error") if isinstance(content.get("data"), dict) else None
    for one in _objects(errors if isinstance(errors, list) else [errors]):
        yield _word(one.get("code")), _word(one.get("errorGroup")), _message(one)
    for one in _objects(content.get("message_list")):
        yield "", _word(one.get("reason")), _with_details(one)
    code = content.get("error_code")
    if isinstance(code, dict):
        yield _word(code.get("code")), "", _word(content.get("message"))
    yield _word(content.get("code")), "", _word(content.get("message"))


def _message(error: Mapping[str, Any]) -> str:
    """The message of one of v4's errors; its schema validation has a list of its own."""
    parts = [_word(error.get("message") or error.get("error"))]
    parts += [
        " ".join(_word(one.get(key)) for key in ("location", "attributePath", "message")).strip()
        for one in _objects(error.get("validationErrorMessages"))
    ]
    return " ".join(part for part in parts if part)


def _with_details(error: Mapping[str, Any]) -> str:
    """The message of one of v3's errors, with what it says of single fields."""
    details = error.get("details")
    if isinstance(details, dict):
        shown = "; ".join(
            f"{name} {', '.join(str(one) for one in what) if isinstance(what, list) else what}".strip()
            for name, what in details.items()
        )
        return f"{_word(error.get('message'))} {shown}".strip()
    return _word(error.get("message"))


def _objects(value: object) -> list[Mapping[str, Any]]:
    """The objects of a list; nothing where a proxy or a broken service says something else."""
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _word(value: object) -> str:
    return "" if value is None else str(value)


def _json(response: requests.Response) -> Any:
    try:
        return orjson.loads(response.content)
    except orjson.JSONDecodeError:
        return None


def _nonsense(detail: str, operation: str, status: int) -> BackendFailureError:
    failure = BackendFailureError(detail, backend=BackendReply("Nutanix", operation, status=status))
    failure.answer_lost = True
    return failure


def _host(response: requests.Response) -> str:
    return urlsplit(response.url).netloc


def _seconds(value: str) -> float | None:
    """Seconds, or the time until a date (RFC 9110); no longer than anybody would wait."""
    seconds = whole_number(value)
    if seconds is not None:
        return min(seconds, _LONGEST_WAIT_SECONDS)
    try:
        until = parsedate_to_datetime(value).timestamp() - time.time()
    except (OverflowError, ValueError):
        return None
    return min(max(until, 0.0), _LONGEST_WAIT_SECONDS)


def _rate(headers: Mapping[str, str]) -> Rate | None:
    limit = whole_number(headers.get("X-Api-Ratelimit-Limit", ""))
    period = whole_number(headers.get("X-Api-Ratelimit-Refresh-Period-Seconds", ""))
    if not limit or not period:
        return None
    left = whole_number(headers.get("X-Api-Ratelimit-Remaining", ""))
    return Rate(limit, min(period, _LONGEST_WAIT_SECONDS), left)
