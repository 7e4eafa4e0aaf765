"""v3 as a whole: its calls and its errors.

https://www.nutanix.dev/api_reference/apis/prism_v3.html
"""

from collections.abc import Mapping, Sequence
from http import HTTPStatus

from werkzeug.wrappers import Request as HttpRequest
from werkzeug.wrappers import Response

from providers.sandbox.faults import Fault
from providers.sandbox.nutanix.estate import Estate
from providers.sandbox.nutanix.refusals import Reason, Refusal
from providers.sandbox.nutanix.v3.actions import routes
from providers.sandbox.nutanix.v3.showing import API_VERSION
from providers.sandbox.nutanix.wire import Route, answer
from providers.sandbox.nutanix.work import Works

PREFIX = "/api/nutanix/v3"
# Status, reason and message; the two 401 and the 403 as recorded in public issue threads
# (nutanix.ansible pull 648, terraform-provider-nutanix issue 93).
ANSWERS: Mapping[Reason, tuple[int, str, str]] = {
    Reason.NO_CREDENTIALS: (HTTPStatus.UNAUTHORIZED, "AUTHENTICATION_REQUIRED", "Authentication required."),
    Reason.BAD_CREDENTIALS: (HTTPStatus.UNAUTHORIZED, "AUTHENTICATION_REQUIRED", "Authentication required."),
    Reason.DENIED: (HTTPStatus.FORBIDDEN, "ACCESS_DENIED", "No permission to access the resource."),
    Reason.UNKNOWN_CALL: (HTTPStatus.NOT_FOUND, "URL_NOT_FOUND", "The requested URL was not found on the server."),
    Reason.UNKNOWN_METHOD: (HTTPStatus.METHOD_NOT_ALLOWED, "METHOD_NOT_ALLOWED", "The method is not allowed."),
    Reason.NOT_JSON: (HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "UNSUPPORTED_MEDIA_TYPE", "The body must be JSON."),
    Reason.BAD_BODY: (HTTPStatus.UNPROCESSABLE_ENTITY, "INVALID_REQUEST", "Request could not be processed."),
    Reason.BAD_QUERY: (HTTPStatus.UNPROCESSABLE_ENTITY, "INVALID_REQUEST", "Request could not be processed."),
    Reason.INVALID: (HTTPStatus.UNPROCESSABLE_ENTITY, "INVALID_ARGUMENT", ""),
    Reason.NO_SUCH_ENTITY: (HTTPStatus.NOT_FOUND, "ENTITY_NOT_FOUND", ""),
    Reason.EDIT_CONFLICT: (
        HTTPStatus.CONFLICT,
        "CONCURRENT_REQUESTS_NOT_ALLOWED",
        "Edit conflict: please retry change.",
    ),
}
CHALLENGE = 'Basic realm="Intent Gateway Login Required"'


class V3Api:
    """What an older Central says, and a newer one still."""

    name = "v3"

    def __init__(self, estate: Estate, works: Works) -> None:
        self._estate = estate
        self.routes: Sequence[Route] = routes(estate, works)

    def covers(self, path: str) -> bool:
        """There is one address."""
        return path.startswith(PREFIX)

    def is_served(self, path: str) -> bool:
        """Not by the sandbox's Element."""
        del path
        return "v3" in self._estate.versions

    def template(self, path: str) -> str:
        """What comes after the address."""
        return path.removeprefix(PREFIX)

    def admit(self, route: Route) -> None:
        """There are no limits."""

    def refuse(self, refusal: Refusal, http: HttpRequest) -> Response:
        """A refusal with its reason, and details where v3 gives some."""
        status, reason, message = ANSWERS[refusal.reason]
        entry: dict[str, object] = {"reason": reason, "message": message or refusal.message}
        if refusal.reason is Reason.DENIED:
            entry["message"] = f"{message} <Request '{http.url}' [{http.method}]>"
        if details := _details(refusal):
            entry["details"] = details
        response = error(status, entry)
        if status == HTTPStatus.UNAUTHORIZED:
            response.headers["WWW-Authenticate"] = CHALLENGE
        return response

    def fault(self, fault: Fault, http: HttpRequest) -> Response:
        """A planned fault; its code is the reason."""
        status = fault.status or HTTPStatus.INTERNAL_SERVER_ERROR
        if status == HTTPStatus.UNAUTHORIZED:
            return self.refuse(Refusal(Reason.BAD_CREDENTIALS), http)
        entry = {"reason": fault.code or "INTERNAL_ERROR", "message": fault.message or "A planned fault."}
        response = error(status, entry)
        response.headers.extend(fault.headers)
        return response

    def mark(self, response: Response, route: Route | None) -> None:
        """Envoy says how long it took."""
        del route
        response.headers["X-Envoy-Upstream-Service-Time"] = "1"


def error(status: int, entry: Mapping[str, object]) -> Response:
    """An error as v3 writes it."""
    return answer({"api_version": API_VERSION, "code": int(status), "message_list": [entry], "state": "ERROR"}, status)


def _details(refusal: Refusal) -> object:
    if refusal.reason is Reason.NO_CREDENTIALS:
        return CHALLENGE
    if refusal.reason is Reason.BAD_CREDENTIALS:
        return "Invalid Credentials"
    found: dict[str, list[str]] = {}
    for violation in refusal.violations:
        where = violation.path.rpartition(".")[0] if "propert" in violation.message else violation.path
        found.setdefault(where, []).append(violation.message)
    return found
