"""How PVE answers: everything under `data`, and an error's reason in the status line, where most clients read it.

https://git.proxmox.com/?p=pve-http-server.git;a=blob;f=src/PVE/APIServer/Formatter/Standard.pm
"""

import json
from collections.abc import Mapping, Sequence
from http import HTTPStatus

from werkzeug.wrappers import Response

CONTENT_TYPE = "application/json;charset=UTF-8"

Version = tuple[int, int]
Value = str | int | float | bool | None | Mapping[str, "Value"] | Sequence["Value"]

# pve-http-server 5.2.0 writes the reason into the body too; until then it is in the status line alone.
REASON_IN_BODY: Version = (8, 4)


class PveError(Exception):
    """What PVE answers with: most of what Perl's `die` says is a 500."""

    def __init__(
        self, message: str, status: int = HTTPStatus.INTERNAL_SERVER_ERROR, errors: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.status = int(status)
        self.errors = errors or {}


class ParameterError(PveError):
    """A request with parameters that the schema does not allow: a reason for each."""

    def __init__(self, errors: Mapping[str, str]) -> None:
        super().__init__("Parameter verification failed.", HTTPStatus.BAD_REQUEST, errors)


class DeniedError(PveError):
    """A request without the privilege for it; `what` is the path and the privilege."""

    def __init__(self, what: str = "") -> None:
        super().__init__("Permission check failed" + (f" ({what})" if what else ""), HTTPStatus.FORBIDDEN)


class BareError(PveError):
    """An error of the HTTP server itself, before the API has been asked: not in the API's envelope."""


def answer(value: Value) -> Response:
    """A successful answer."""
    return Response(json.dumps({"data": value}), 200, content_type=CONTENT_TYPE)


def error_answer(error: PveError, version: Version) -> Response:
    """An error, after which PVE closes the connection, whatever the client would like."""
    told = version >= REASON_IN_BODY
    if isinstance(error, BareError):
        return _closing(Response(error.message if told else "", _status_line(error), content_type="text/plain"))
    body: dict[str, Value] = {"data": None}
    if error.errors:
        body["errors"] = error.errors
    if told:
        # Perl's messages end in a newline; it is in the body, not in the status line.
        body["message"] = error.message + "\n"
    return _closing(Response(json.dumps(body), _status_line(error), content_type=CONTENT_TYPE))


def closing(response: Response) -> Response:
    """The same answer, the last on its connection."""
    return _closing(response)


def _closing(response: Response) -> Response:
    response.headers["Connection"] = "close"
    return response


def _status_line(error: PveError) -> str:
    reason = error.message.partition("\n")[0].encode("latin-1", "replace").decode("latin-1")
    return f"{error.status} {reason}"
