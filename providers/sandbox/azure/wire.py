"""How ARM writes answers and errors.

https://github.com/cloud-and-ai-microsoft/resource-provider-contract (v1.0, common API details)
"""

import uuid
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import orjson
from werkzeug.wrappers import Response

Json = dict[str, Any]
CONTENT_TYPE = "application/json; charset=utf-8"


class ArmError(Exception):
    """A call that ARM or a resource provider refuses."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        target: str = "",
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.target = target
        self.headers = dict(headers or {})

    @property
    def body(self) -> Json:
        """The error as it is in the answer's body."""
        error: Json = {"code": self.code, "message": self.message}
        if self.target:
            error["target"] = self.target
        return error


class GatewayError(ArmError):
    """An error of ARM itself, before the resource provider is asked; its answers say so in a header."""

    def __init__(self, status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(status, code, message, headers={"x-ms-failure-cause": "gateway", **(headers or {})})


class InvalidParameterError(ArmError):
    """A value that the compute provider does not take; `target` is the parameter."""

    def __init__(self, target: str, message: str) -> None:
        super().__init__(HTTPStatus.BAD_REQUEST, "InvalidParameter", message, target=target)


class MissingParameterError(InvalidParameterError):
    """A value that the compute provider must have."""

    def __init__(self, target: str) -> None:
        super().__init__(target, f"Required parameter '{target.rpartition('.')[2]}' is missing (null).")


def answer(body: Json | None, status: int = HTTPStatus.OK, headers: Mapping[str, str] | None = None) -> Response:
    """An answer of a resource provider; without a body, an empty one."""
    if body is None:
        response = Response(b"", status)
        del response.headers["Content-Type"]
    else:
        response = Response(orjson.dumps(body), status, content_type=CONTENT_TYPE)
    response.headers.extend(headers or {})
    return response


def error_answer(error: ArmError) -> Response:
    """An error in ARM's shape."""
    return answer({"error": error.body}, error.status, error.headers)


def mark(response: Response, location: str, *, writes: bool) -> Response:
    """Give an answer the headers that all of ARM's have."""
    request_id = str(uuid.uuid4())
    kind, left = ("writes", 2999) if writes else ("reads", 3749)
    marks = {
        "Cache-Control": "no-cache",
        "Pragma": "no-cache",
        "Expires": "-1",
        f"x-ms-ratelimit-remaining-subscription-global-{kind}": str(left),
        "x-ms-request-id": request_id,
        "x-ms-correlation-request-id": request_id,
        "x-ms-routing-request-id": f"{location.upper()}::{request_id}",
        "Strict-Transport-Security": "max-age=31536000; includeSubDomains",
        "X-Content-Type-Options": "nosniff",
    }
    for name, value in marks.items():
        response.headers.setdefault(name, value)
    return response
