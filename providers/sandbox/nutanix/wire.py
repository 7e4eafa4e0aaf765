"""What the three APIs have in common on the wire: JSON, routes, and what a call is once it has been understood."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from werkzeug.wrappers import Request as HttpRequest
from werkzeug.wrappers import Response

from providers.sandbox.faults import Fault
from providers.sandbox.nutanix.accounts import Caller
from providers.sandbox.nutanix.refusals import Reason, Refusal, Violation
from providers.sandbox.nutanix.schema import Kind

JSON = "application/json"
# What the gateway says of a path that leads nowhere, a namespace or a version that it does not serve
# (github.com/nutanix/nutanix.ansible/issues/889).
NOWHERE = (
    "The requested URL was not found on the server. "
    "If you entered the URL manually please check your spelling and try again."
)


@dataclass(frozen=True)
class Request:
    """One call: who makes it, the parameters of its path, its query, headers and body."""

    caller: Caller
    http: HttpRequest
    parameters: Mapping[str, str]
    body: Any

    @property
    def query(self) -> Mapping[str, str]:
        """The parameters of the query; the first of those that come twice."""
        return dict(self.http.args)

    def flag(self, name: str) -> bool:
        """A boolean of the query."""
        return self.http.args.get(name, "").lower() == "true"

    def header(self, name: str) -> str:
        """A header, empty when it is absent."""
        return self.http.headers.get(name, "").strip()


@dataclass(frozen=True)
class Route:
    """One call that an API knows. `right` is what its user must have, `body` what may be in it."""

    operation: str
    method: str
    pattern: re.Pattern[str]
    right: str
    action: Callable[[Request], Response]
    body: Kind | None = None
    needs_body: bool = True
    is_list: bool = False


@dataclass(frozen=True)
class Match:
    """A route, and what its path says."""

    route: Route
    parameters: Mapping[str, str]


class Api(Protocol):
    """One of the three: how it knows its calls, refuses, and marks its answers."""

    def covers(self, path: str) -> bool:
        """Whether a path is this API's, whatever it leads to."""

    def is_served(self, path: str) -> bool:
        """Whether this Prism speaks the API, in the version of the path."""

    def template(self, path: str) -> str:
        """A path without what is before the API's own."""

    @property
    def name(self) -> str:
        """What its operations' names begin with."""

    @property
    def routes(self) -> Sequence[Route]:
        """All calls that it knows."""

    def admit(self, route: Route) -> None:
        """Refuse a call above the API's limits."""

    def refuse(self, refusal: Refusal, http: HttpRequest) -> Response:
        """A refusal in the API's shape."""

    def fault(self, fault: Fault, http: HttpRequest) -> Response:
        """A planned fault in the API's shape."""

    def mark(self, response: Response, route: Route | None) -> None:
        """Add the API's own headers."""


def route(  # noqa: PLR0913 - a table of calls has these columns
    operation: str,
    right: str,
    action: Callable[[Request], Response],
    body: Kind | None = None,
    *,
    needs_body: bool = True,
    is_list: bool = False,
) -> Route:
    """A route from its name, such as `v2.0 GET /vms/{uuid}`."""
    _, method, template = operation.split(" ")
    parts = re.split(r"\{(\w+)\}", template)
    pattern = "".join(f"(?P<{part}>[^/]+)" if number % 2 else re.escape(part) for number, part in enumerate(parts))
    return Route(operation, method, re.compile(pattern), right, action, body, needs_body, is_list)


def find(routes: Sequence[Route], method: str, path: str) -> Match:
    """The route of a call; raises `Refusal`."""
    matches = [(known, found) for known in routes if (found := known.pattern.fullmatch(path))]
    for known, found in matches:
        if known.method == method:
            return Match(known, found.groupdict())
    raise Refusal(Reason.UNKNOWN_METHOD if matches else Reason.UNKNOWN_CALL, path)


def read(http: HttpRequest, known: Route) -> Any:
    """The body of a call, checked; None when there is none and none is needed."""
    data = http.get_data()
    if known.body is None or not (data or known.needs_body):
        return None
    if http.mimetype != JSON:
        raise Refusal(Reason.NOT_JSON, http.mimetype)
    try:
        value = json.loads(data)
    except ValueError as error:
        raise Refusal(Reason.BAD_BODY, violations=[Violation("", f"malformed JSON: {error}")]) from error
    violations = list(known.body.check(value, ""))
    if violations:
        raise Refusal(Reason.BAD_BODY, violations=violations)
    return value


def answer(value: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A JSON answer."""
    text = json.dumps(value, separators=(",", ":"))
    return Response(text, status, dict(headers or {}), content_type=JSON)
