"""vSphere's API over HTTP: the list of versions, and SOAP at /sdk; who calls, planned fault, method and record."""

import gzip
from collections.abc import Iterable
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import unquote
from wsgiref.types import StartResponse, WSGIEnvironment

from pyVmomi import vmodl
from werkzeug.wrappers import Request as HttpRequest
from werkzeug.wrappers import Response

from providers.sandbox import faults
from providers.sandbox.connection import ConnectionCutError
from providers.sandbox.faults import Calls, Fault, Faults
from providers.sandbox.vsphere import wire
from providers.sandbox.vsphere.calls import Call, PendingError
from providers.sandbox.vsphere.methods import METHODS
from providers.sandbox.vsphere.naming import COOKIE
from providers.sandbox.vsphere.refusals import invalid_request, named, not_found, refusal
from providers.sandbox.vsphere.wire import Invocation
from providers.sandbox.vsphere.world import World

SDK: Final = "/sdk"
VERSIONS: Final = "/sdk/vimServiceVersions.xml"
XML: Final = 'text/xml; charset="utf-8"'
QUOTE: Final = '"'
# How often a call that waits for a change looks for one.
LOOK_SECONDS: Final = 0.02
# Shorter answers are not worth compressing.
GZIP_FROM_BYTES: Final = 4096


class VimApp:
    """The WSGI application in front of the methods."""

    def __init__(self, world: World, planned: Faults, calls: Calls) -> None:
        self._world = world
        self._faults = planned
        self._calls = calls
        # Set while the server stops: a call that waits for a change would hold it up.
        self.is_closing = False

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Serve one request, as WSGI has it."""
        http = HttpRequest(environ)
        path = http.path.rstrip("/")
        is_call = path == SDK and http.method == "POST"
        body = http.get_data() if is_call else b""
        operation = wire.operation_of(body) if is_call else f"{http.method} {http.path}"
        record = self._calls.begin(operation)
        try:
            response = faults.answer(
                self._faults,
                operation,
                lambda: self._serve(http, body) if is_call else self._page(http, path),
                lambda fault: self._write_fault(http, body, fault),
            )
        except ConnectionCutError:
            record(None)
            raise
        record(response.status_code)
        return _compressed(http, response)(environ, start_response)

    def _page(self, http: HttpRequest, path: str) -> Response:
        if path == VERSIONS and http.method in {"GET", "HEAD"}:
            return Response(self._world.versions.document(), content_type="text/xml")
        status = HTTPStatus.METHOD_NOT_ALLOWED if path == SDK else HTTPStatus.NOT_FOUND
        return Response(
            f"<html><body><h1>{status} {status.phrase}</h1></body></html>", status, content_type="text/html"
        )

    def _serve(self, http: HttpRequest, body: bytes) -> Response:
        action = http.headers.get("SOAPAction", "")
        version = self._world.versions.of_action(action)
        if version is None and self._world.knobs.refuses_newer_versions:
            fault = invalid_request(f'Unsupported version URI "{action.strip(QUOTE)}"')
            return _answer(wire.write_fault(fault, self._world.versions.own, "VersionMismatchFaultCode"), failed=True)
        version = version or self._world.versions.own
        try:
            return self._perform(http, wire.read(body, version))
        except vmodl.MethodFault as fault:
            return _answer(wire.write_fault(fault, version), failed=True)

    def _perform(self, http: HttpRequest, invocation: Invocation) -> Response:
        call = self._call(http, invocation)
        result = self._result(call)
        response = _answer(wire.write_result(invocation, result), failed=False)
        if call.new_cookie is not None:
            response.headers["Set-Cookie"] = f'{COOKIE}="{call.new_cookie}"; Path=/; HttpOnly; Secure;'
        return response

    def _result(self, call: Call) -> Any:
        """What the method returns; one that waits is tried again in a while."""
        while True:
            try:
                with self._world.lock:
                    self._world.tasks.settle()
                    return self._carry_out(call)
            except PendingError:
                if self.is_closing:
                    raise ConnectionCutError from None
                self._faults.pause(LOOK_SECONDS)

    def _carry_out(self, call: Call) -> Any:
        method = METHODS.get(call.method)
        if method is None:
            raise wire.unresolved(call.method)
        call.session = self._world.accounts.session(call.cookie, self._world.knobs.session_seconds)
        if call.session is not None:
            call.session.touch()
        elif not method.is_public:
            raise refusal("NotAuthenticated", object=call.this, privilegeId="System.View")
        if method.writes and self._world.knobs.is_free_licence:
            raise refusal("RestrictedVersion")
        _refuse_other_type(call)
        return method.function(call)

    def _call(self, http: HttpRequest, invocation: Invocation) -> Call:
        cookie = unquote(http.cookies.get(COOKIE, "")).strip('"')
        return Call(
            self._world,
            invocation.method,
            invocation.this,
            invocation.arguments,
            invocation.version,
            None,
            cookie,
            http.remote_addr or "",
            http.headers.get("User-Agent", ""),
        )

    def _write_fault(self, http: HttpRequest, body: bytes, fault: Fault) -> Response:
        """A planned fault: a fault of vSphere by its name, or a status of the proxy in front of it."""
        if fault.code:
            version = self._world.versions.of_action(http.headers.get("SOAPAction", "")) or self._world.versions.own
            planned = named(fault.code, fault.message, wire.this_of(body))
            response = _answer(wire.write_fault(planned, version), failed=True)
            response.status_code = fault.status or response.status_code
        else:
            status = HTTPStatus(fault.status or HTTPStatus.SERVICE_UNAVAILABLE)
            response = Response(f"{status} {status.phrase}", status, content_type="text/plain")
        response.headers.extend(dict(fault.headers))
        return response


def _refuse_other_type(call: Call) -> None:
    """Refuse a method of an object that is not of the method's type, such as a VM's method of a folder."""
    if call.method != wire.FETCH and not isinstance(call.this, wire.receiver_of(call.method)):
        raise not_found(call.this)


def _answer(body: bytes, *, failed: bool) -> Response:
    status = HTTPStatus.INTERNAL_SERVER_ERROR if failed else HTTPStatus.OK
    response = Response(body, status, content_type=XML)
    response.headers["Cache-Control"] = "no-cache"
    return response


def _compressed(http: HttpRequest, response: Response) -> Response:
    is_long = len(response.get_data()) >= GZIP_FROM_BYTES
    if is_long and "gzip" in http.headers.get("Accept-Encoding", ""):
        response.set_data(gzip.compress(response.get_data(), 1, mtime=0))
        response.headers["Content-Encoding"] = "gzip"
    return response
