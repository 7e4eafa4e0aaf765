"""PVE's API over HTTP: who calls, planned fault, privilege, parameters, action and record, in PVE's order.

`authenticate_and_handle_request` in pve-http-server's src/PVE/APIServer/AnyEvent.pm, `auth_handler` and
`rest_handler` in pve-manager's PVE/HTTPServer.pm
"""

import json
from collections.abc import Callable, Iterable, Mapping
from http import HTTPStatus
from typing import Final
from urllib.parse import unquote, unquote_plus
from wsgiref.types import StartResponse, WSGIEnvironment

from werkzeug.wrappers import Request as HttpRequest
from werkzeug.wrappers import Response

from providers.sandbox import faults
from providers.sandbox.connection import ConnectionCutError
from providers.sandbox.faults import Calls, Fault, Faults
from providers.sandbox.proxmox import methods
from providers.sandbox.proxmox import upload as uploads
from providers.sandbox.proxmox.accounts import NOBODY, Caller
from providers.sandbox.proxmox.cluster import Cluster, Request
from providers.sandbox.proxmox.methods import METHODS, Method, Route
from providers.sandbox.proxmox.schema import Schema, verify
from providers.sandbox.proxmox.wire import (
    BareError,
    DeniedError,
    ParameterError,
    PveError,
    Value,
    answer,
    closing,
    error_answer,
)

PREFIX: Final = "/api2/json"
KNOWN: Final = frozenset({"GET", "POST", "PUT", "DELETE"})
FORMS: Final = frozenset({"", "application/x-www-form-urlencoded", "application/json"})
# pve-http-server 5.2.1 raised it from 64 KiB.
MAX_POST_BYTES: Final = 512 << 10
MAX_POST_BYTES_BEFORE: Final = 64 << 10
# From here on an error is pveproxy's own: another node, or the daemon behind it, could not be reached.
PROXY_ERRORS_FROM: Final = 590

Action = Callable[[Request], Value]


class PveApp:
    """The WSGI application in front of the cluster's actions."""

    def __init__(self, cluster: Cluster, actions: Mapping[str, Action], planned: Faults, calls: Calls) -> None:
        self._cluster = cluster
        self._actions = actions
        self._faults = planned
        self._calls = calls

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Serve one request, as WSGI has it."""
        http = HttpRequest(environ)
        path = http.path.removeprefix(PREFIX)
        route = methods.find(http.method, path) if http.path.startswith(PREFIX) else None
        record = self._calls.begin(route.operation if route else f"{http.method} {path}")
        try:
            response = self._answer(http, path, route)
            if response.status_code == HTTPStatus.UNAUTHORIZED:
                self._faults.pause(self._cluster.knobs.unauthorized_delay_seconds)
        except ConnectionCutError:
            record(None)
            raise
        record(response.status_code)
        response.headers["Server"] = "pve-api-daemon/3.0"
        response.headers["Cache-Control"] = "max-age=0"
        return response(environ, start_response)

    def _answer(self, http: HttpRequest, path: str, route: Route | None) -> Response:
        try:
            _refuse_unknown(http)
            caller = self._authenticate(http, route)
            self._refuse_body(http, route)
            if route is None:
                return error_answer(_not_implemented(http.method, path), self._cluster.version)
            return faults.answer(
                self._faults, route.operation, lambda: self._perform(http, caller, route), self._write_fault
            )
        except PveError as error:
            return error_answer(error, self._cluster.version)

    def _authenticate(self, http: HttpRequest, route: Route | None) -> Caller:
        if route is not None and METHODS[route.operation].for_anybody:
            return NOBODY
        accounts, is_upload = self._cluster.accounts, route is not None and route.operation == methods.UPLOAD
        authorization = http.headers.get("Authorization", "")
        cookie = unquote(http.cookies.get("PVEAuthCookie", "")) or _value(authorization, "PVEAuthCookie")
        token = _value(authorization, "PVEAPIToken")
        with self._cluster.lock:
            if cookie:
                # A browser's form could not send the CSRF token, so that an upload goes without.
                writes = http.method != "GET" and not is_upload
                caller = accounts.by_ticket(cookie, http.headers.get("CSRFPreventionToken"), writes=writes)
            elif token:
                caller = accounts.by_token(token)
            else:
                raise BareError("No ticket", HTTPStatus.UNAUTHORIZED)
        if is_upload and route is not None:
            try:
                methods.UPLOAD_PRIVILEGE.refuse(caller, route.path)
            except DeniedError as error:
                raise BareError(error.message, error.status) from error
        return caller

    def _refuse_body(self, http: HttpRequest, route: Route | None) -> None:
        if not http.content_length:
            return
        if http.method not in {"PUT", "POST"}:
            raise BareError(f"Unexpected content for method '{http.method}'", HTTPStatus.NOT_IMPLEMENTED)
        if route is not None and route.operation == methods.UPLOAD:
            return
        limit = MAX_POST_BYTES if self._cluster.version >= (8, 4) else MAX_POST_BYTES_BEFORE
        if http.content_length > limit:
            raise BareError("for data too large", HTTPStatus.NOT_IMPLEMENTED)
        if http.mimetype not in FORMS:
            message = f"upload 'Content-Type '{http.headers['Content-Type']}' not implemented"
            raise BareError(message, HTTPStatus.VARIANT_ALSO_NEGOTIATES)

    def _perform(self, http: HttpRequest, caller: Caller, route: Route) -> Response:
        try:
            with self._cluster.lock:
                self._cluster.tasks.settle()
                response = answer(self._call(http, caller, route))
        except PveError as error:
            return error_answer(error, self._cluster.version)
        return closing(response) if route.operation == methods.UPLOAD else response

    def _call(self, http: HttpRequest, caller: Caller, route: Route) -> Value:
        method = METHODS[route.operation]
        given, data = self._parameters(http, route)
        parameters = _joined(route.path, given)
        if caller.is_token and not method.for_tokens:
            raise DeniedError(f"URI '{http.path}' not available with API token, need proper ticket.\n")
        if not method.for_anybody:
            method.refuse(caller, parameters, self._cluster.version)
        if "node" in route.path:
            self._cluster.refuse_unknown_node(route.path["node"])
        texts = verify(parameters, self._schemas(method, route), self._cluster.version)
        return self._actions[route.operation](Request(caller, texts, data))

    def _schemas(self, method: Method, route: Route) -> Mapping[str, Schema]:
        if route.operation == methods.UPLOAD and self._cluster.version < (8, 3):
            content = Schema(required=True, enum=("iso", "vztmpl"))
            return {**method.parameters, "content": content}
        return method.parameters

    def _parameters(self, http: HttpRequest, route: Route) -> tuple[Mapping[str, object], bytes | None]:
        query = _decode(http.query_string)
        if route.operation == methods.UPLOAD:
            boundary = uploads.boundary_of(http.headers.get("Content-Type", ""))
            if boundary is None:
                raise BareError(f"upload 'Content-Type '{http.headers.get('Content-Type')}' not implemented")
            upload = uploads.read(http.get_data(), boundary, self._cluster.version)
            return {**upload.parameters, **query}, upload.data
        if http.method in {"PUT", "POST"} and http.mimetype == "application/json":
            return {**_decode_json(http.get_data()), **query}, None
        body = _decode(http.get_data()) if http.method in {"PUT", "POST"} else {}
        return {name: value for name, value in {**body, **query}.items() if name != "_dc"}, None

    def _write_fault(self, fault: Fault) -> Response:
        status = fault.status or HTTPStatus.INTERNAL_SERVER_ERROR
        message = fault.message or "A planned fault."
        error = PveError(message, status, {fault.code: message} if fault.code else None)
        if fault.code:
            error.message = "Parameter verification failed."
        elif status >= PROXY_ERRORS_FROM:
            error = BareError(message, status)
        response = error_answer(error, self._cluster.version)
        response.headers.extend(fault.headers)
        return response


def _refuse_unknown(http: HttpRequest) -> None:
    if http.method not in KNOWN:
        raise BareError(f"method '{http.method}' not available", HTTPStatus.NOT_IMPLEMENTED)
    if not http.path.startswith(f"{PREFIX}/"):
        raise BareError(f"no such file '{http.path}'", HTTPStatus.NOT_FOUND)


def _not_implemented(method: str, path: str) -> PveError:
    return PveError(f"Method '{method} {path}' not implemented", HTTPStatus.NOT_IMPLEMENTED)


def _value(header: str, name: str) -> str:
    """What follows `name=` in a header (`extract_auth_value` in pve-http-server)."""
    _, found, rest = header.partition(f"{name}=")
    return unquote(rest.partition(";")[0].strip()) if found else ""


def _joined(path: Mapping[str, str], given: Mapping[str, object]) -> dict[str, object]:
    for name, value in path.items():
        if name in given and str(given[name]) != value:
            complaint = "duplicate parameter (already defined in URI) with conflicting values!"
            raise ParameterError({name: complaint})
    return {**given, **path}


def _decode(data: bytes) -> dict[str, object]:
    """A form's fields as Perl reads them (`decode_urlencoded`).

    A semicolon parts fields too, what follows a second equals sign is lost, a name that comes twice is a list, and
    an empty value is none at all.
    """
    values: dict[str, object] = {}
    for part in data.decode("utf-8", "replace").replace(";", "&").split("&"):
        name, value = (unquote_plus(side) for side in [*part.split("="), ""][:2])
        if name:
            values[name] = [values[name], value] if values.get(name) else value or None
    return values


def _decode_json(data: bytes) -> Mapping[str, object]:
    try:
        values = json.loads(data)
    except ValueError as error:
        raise BareError(f"malformed JSON string: {error}") from error
    return values if isinstance(values, dict) else {}
