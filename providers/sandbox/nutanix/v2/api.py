"""v2.0 as a whole: its two addresses, its calls, its errors.

https://www.nutanix.dev/api_reference/apis/prism_v2.html
"""

from collections.abc import Mapping, Sequence
from http import HTTPStatus

from werkzeug.wrappers import Request as HttpRequest
from werkzeug.wrappers import Response

from providers.sandbox.faults import Fault
from providers.sandbox.nutanix.estate import Estate
from providers.sandbox.nutanix.refusals import Reason, Refusal
from providers.sandbox.nutanix.v2.actions import routes
from providers.sandbox.nutanix.wire import Route, answer
from providers.sandbox.nutanix.work import Works

PREFIXES = ("/PrismGateway/services/rest/v2.0", "/api/nutanix/v2.0")
HELP = "http://my.nutanix.com"
STATUSES: Mapping[Reason, tuple[int, int]] = {
    Reason.DENIED: (HTTPStatus.FORBIDDEN, 1003),
    Reason.UNKNOWN_CALL: (HTTPStatus.NOT_FOUND, 1000),
    Reason.UNKNOWN_METHOD: (HTTPStatus.METHOD_NOT_ALLOWED, 1000),
    Reason.NOT_JSON: (HTTPStatus.UNSUPPORTED_MEDIA_TYPE, 1000),
    Reason.BAD_BODY: (HTTPStatus.BAD_REQUEST, 1101),
    Reason.BAD_QUERY: (HTTPStatus.BAD_REQUEST, 1101),
    Reason.INVALID: (HTTPStatus.INTERNAL_SERVER_ERROR, 1101),
}
NO_SUCH_ENTITY = 1202
# Tomcat's own page, as a log-in fails before the API is reached.
UNAUTHORIZED_PAGE = (
    '<!doctype html><html lang="en"><head><title>HTTP Status 401 &#8211; Unauthorized</title></head>'
    "<body><h1>HTTP Status 401 &#8211; Unauthorized</h1></body></html>"
)


class V2Api:
    """What an Element says, and the little that a Central says too."""

    name = "v2.0"

    def __init__(self, estate: Estate, works: Works) -> None:
        self._estate = estate
        self._routes = routes(estate, works)

    @property
    def routes(self) -> Sequence[Route]:
        """A Central only tells what it is."""
        if self._estate.is_central:
            return [known for known in self._routes if known.operation == "v2.0 GET /cluster"]
        return self._routes

    def covers(self, path: str) -> bool:
        """Both addresses lead to the same."""
        return path.startswith(PREFIXES)

    def is_served(self, path: str) -> bool:
        """Every Prism has its gateway."""
        del path
        return True

    def template(self, path: str) -> str:
        """The path, of which the last slash does not matter."""
        prefix = next(prefix for prefix in PREFIXES if path.startswith(prefix))
        return path.removeprefix(prefix).rstrip("/")

    def admit(self, route: Route) -> None:
        """There are no limits."""

    def refuse(self, refusal: Refusal, http: HttpRequest) -> Response:
        """A refusal, in the words of Java."""
        del http
        if refusal.reason in {Reason.NO_CREDENTIALS, Reason.BAD_CREDENTIALS}:
            headers = {"WWW-Authenticate": 'Basic realm="Prism"'}
            return Response(UNAUTHORIZED_PAGE, 401, headers, content_type="text/html;charset=utf-8")
        if refusal.reason is Reason.NO_SUCH_ENTITY:
            return error(refusal.message, self._estate.knobs.v2_not_found_status, NO_SUCH_ENTITY)
        status, code = STATUSES[refusal.reason]
        return error(_message(refusal), status, code)

    def fault(self, fault: Fault, http: HttpRequest) -> Response:
        """A planned fault; its code is a number."""
        status = fault.status or HTTPStatus.INTERNAL_SERVER_ERROR
        if status == HTTPStatus.UNAUTHORIZED:
            return self.refuse(Refusal(Reason.BAD_CREDENTIALS), http)
        response = error(fault.message or "A planned fault.", status, int(fault.code) if fault.code.isdigit() else 1000)
        response.headers.extend(fault.headers)
        return response

    def mark(self, response: Response, route: Route | None) -> None:
        """The gateway says its name."""
        del route
        response.headers["Server"] = "Nutanix Prism"


def error(message: str, status: int, code: int) -> Response:
    """An error as v2.0 writes it."""
    detail = f"com.nutanix.prism.exception.vmmanagement.VMAdministrationException: {message}"
    value = {"message": message, "detailed_message": detail, "error_code": {"code": code, "help_url": HELP}}
    return answer(value, status)


def _message(refusal: Refusal) -> str:
    if not refusal.violations:
        return refusal.message or "The request could not be processed."
    first = refusal.violations[0]
    if "unexpected" in first.message:
        name = first.path.rpartition(".")[2]
        return f'Json mapping error. Unrecognized field "{name}" ({first.path}), not marked as ignorable'
    return f"Json mapping error. {first.path}: {first.message}"
