"""PVE's answers: what is under `data`, and what it says when it refuses.

A reason stands in the status line, since PVE 8.4 in the body too, which is not cut at its first line break.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

import orjson
import requests

from providers.errors import BackendFailureError, BackendReply
from providers.excerpts import excerpt
from providers.headers import whole_number
from providers.proxmox.naming import operation_of

LONGEST_MESSAGE: Final = 500
_UPID: Final = re.compile(r"UPID:[^:/\s]+(:[0-9A-Fa-f]+){3}:[^:\s]+:[^:\s]*:[^:\s]+:")

T = TypeVar("T")


@dataclass(frozen=True)
class Refusal:
    """Why PVE refuses: a message, and a reason for each parameter that is wrong.

    proxmoxer keeps this as `ResourceException.errors`.
    """

    operation: str
    host: str
    message: str
    parameters: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    retry_after_seconds: float | None = None


class Answers:
    """What proxmoxer calls a serializer: reads bodies, and takes nothing for an answer that is none."""

    def loads(self, response: requests.Response) -> Any:
        """The `data` of an answer.

        Raises:
            BackendFailureError: the answer is not PVE's.

        """
        content = _json(response)
        if not isinstance(content, dict) or "data" not in content:
            operation = operation_of(response.request)
            failure = BackendFailureError(
                f"{_host(response)} answered {operation} with something that is not Proxmox VE's JSON. Is there a "
                "proxy or a gateway between, or does the environment's url lead elsewhere?",
                backend=BackendReply("Proxmox", operation, status=response.status_code),
            )
            failure.answer_lost = True
            raise failure
        return content["data"]

    def loads_errors(self, response: requests.Response) -> Refusal:
        """What an answer with an error says."""
        content = _json(response)
        said = content if isinstance(content, dict) else {}
        return Refusal(
            operation=operation_of(response.request),
            host=_host(response),
            message=excerpt(str(said.get("message") or _reason(response)), LONGEST_MESSAGE),
            parameters=_parameters(said.get("errors")),
            retry_after_seconds=whole_number(response.headers.get("Retry-After", "")),
        )


def read(operation: str, reader: Callable[[], T]) -> T:
    """What an answer says; one that has not the form of it is the backend's fault, not ours."""
    try:
        return reader()
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise nonsense(operation) from error


def upid_of(answer: object, operation: str) -> str:
    """The UPID that a call has answered with. Without one nobody knows what PVE has begun."""
    if not isinstance(answer, str) or not _UPID.fullmatch(answer):
        failure = nonsense(operation)
        failure.answer_lost = True
        raise failure
    return answer


def entries(answer: Any) -> list[dict[str, Any]]:
    """The entries of a list."""
    if not isinstance(answer, list):
        raise TypeError
    return answer


def nonsense(operation: str) -> BackendFailureError:
    """The error of an answer in PVE's envelope that holds something else than it should."""
    return BackendFailureError(
        f"Proxmox VE answered {operation} with something that has not the form of its answers.",
        backend=BackendReply("Proxmox", operation, status=200),
    )


def _parameters(errors: object) -> dict[str, str]:
    """Return what is wrong with each parameter."""
    if not isinstance(errors, dict):
        return {}
    return {excerpt(name, LONGEST_MESSAGE): excerpt(str(said), LONGEST_MESSAGE) for name, said in errors.items()}


def _json(response: requests.Response) -> Any:
    try:
        return orjson.loads(response.content)
    except orjson.JSONDecodeError:
        return None


def _host(response: requests.Response) -> str:
    return urlsplit(response.url).netloc


def _reason(response: requests.Response) -> str:
    """The status line's text. PVE writes UTF-8 there, which http.client reads as Latin-1."""
    reason = response.reason or ""
    try:
        return reason.encode("latin-1").decode()
    except UnicodeError:
        return reason
