"""Prism over HTTP: who calls, planned fault, right, body, action and record, alike for the three APIs."""

from collections.abc import Iterable, Sequence
from wsgiref.types import StartResponse, WSGIEnvironment

from werkzeug.wrappers import Request as HttpRequest
from werkzeug.wrappers import Response

from providers.sandbox import faults
from providers.sandbox.connection import ConnectionCutError
from providers.sandbox.faults import Calls, Faults
from providers.sandbox.nutanix.accounts import GATEWAY_COOKIE, SESSION_COOKIE, Caller, Session
from providers.sandbox.nutanix.estate import Estate
from providers.sandbox.nutanix.refusals import Reason, Refusal
from providers.sandbox.nutanix.wire import NOWHERE, Api, Match, Request, answer, find, read


class PrismApp:
    """The WSGI application in front of the APIs."""

    def __init__(self, estate: Estate, apis: Sequence[Api], planned: Faults, calls: Calls) -> None:
        self._estate = estate
        self._apis = apis
        self._faults = planned
        self._calls = calls

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Serve one request, as WSGI has it."""
        http = HttpRequest(environ)
        api = next((api for api in self._apis if api.covers(http.path)), None)
        match = self._match(api, http)
        name = match.route.operation if isinstance(match, Match) else f"{http.method} {http.path}"
        record = self._calls.begin(name)
        try:
            response = self._answer(api, match, http)
        except ConnectionCutError:
            record(None)
            raise
        record(response.status_code)
        return self._marked(response)(environ, start_response)

    def _match(self, api: Api | None, http: HttpRequest) -> Match | Refusal:
        if api is None or not api.is_served(http.path):
            return Refusal(Reason.UNKNOWN_CALL)
        try:
            return find(api.routes, http.method, api.template(http.path))
        except Refusal as refusal:
            return refusal

    def _answer(self, api: Api | None, match: Match | Refusal, http: HttpRequest) -> Response:
        if api is None:
            return answer({"message": NOWHERE}, 404)
        session: Session | None = None
        try:
            caller, session = self._authenticate(http)
            response = self._serve(api, match, http, caller)
        except Refusal as refusal:
            response = api.refuse(refusal, http)
        api.mark(response, match.route if isinstance(match, Match) else None)
        if session is not None:
            _give_cookies(response, session, http.path)
        return response

    def _authenticate(self, http: HttpRequest) -> tuple[Caller, Session | None]:
        accounts, knobs = self._estate.accounts, self._estate.knobs
        for name in (SESSION_COOKIE, GATEWAY_COOKIE):
            caller = accounts.by_cookie(http.cookies.get(name))
            if caller is not None:
                return caller, None
        authorization = http.headers.get("Authorization")
        if authorization is None:
            raise Refusal(Reason.NO_CREDENTIALS)
        accounts.begin(knobs.parallel_logins)
        try:
            self._faults.pause(knobs.login_seconds)
            session = accounts.log_in(authorization)
        finally:
            accounts.end()
        return session.caller, session

    def _serve(self, api: Api, match: Match | Refusal, http: HttpRequest, caller: Caller) -> Response:
        if isinstance(match, Refusal):
            if not api.is_served(http.path):
                return answer({"message": NOWHERE}, 404)
            raise match
        api.admit(match.route)
        return faults.answer(
            self._faults,
            match.route.operation,
            lambda: self._perform(api, match, http, caller),
            lambda fault: api.fault(fault, http),
        )

    def _perform(self, api: Api, match: Match, http: HttpRequest, caller: Caller) -> Response:
        try:
            caller.check(match.route.right)
            request = Request(caller, http, match.parameters, read(http, match.route))
            with self._estate.lock:
                self._estate.tasks.settle()
                return match.route.action(request)
        except Refusal as refusal:
            return api.refuse(refusal, http)

    def _marked(self, response: Response) -> Response:
        response.headers["X-Ntnx-Env"] = "pc" if self._estate.is_central else "pe"
        response.headers["X-Ntnx-Product"] = self._estate.product
        response.headers["X-Frame-Options"] = "SAMEORIGIN"
        response.headers["Cache-Control"] = "no-cache, no-store, max-age=0"
        return response


def _give_cookies(response: Response, session: Session, path: str) -> None:
    response.headers.add("Set-Cookie", f"{SESSION_COOKIE}={session.cookie}; Path=/; Secure; HttpOnly; SameSite=Lax")
    if path.startswith("/PrismGateway"):
        response.headers.add("Set-Cookie", f"{GATEWAY_COOKIE}={session.cookie}; Path=/PrismGateway; Secure; HttpOnly")
