"""EC2 over HTTP: signature, planned fault, action, record and compression, in this order."""

import gzip
from collections.abc import Iterable, Mapping
from urllib.parse import unquote
from wsgiref.types import StartResponse, WSGIEnvironment

from werkzeug.wrappers import Request, Response

from providers.sandbox import faults
from providers.sandbox.aws import signature
from providers.sandbox.aws.actions import Ec2
from providers.sandbox.aws.backend import REGION
from providers.sandbox.aws.wire import Ec2Error, Ec2Request, error_answer
from providers.sandbox.connection import ConnectionCutError
from providers.sandbox.faults import Calls, Fault, Faults

COMPRESSED_FROM_BYTES = 1024


class Ec2App:
    """The WSGI application in front of EC2's actions."""

    def __init__(self, ec2: Ec2, keys: Mapping[str, signature.AccessKey], planned: Faults, calls: Calls) -> None:
        self._ec2 = ec2
        self._keys = keys
        self._faults = planned
        self._calls = calls

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Serve one request, as WSGI has it."""
        http = Request(environ)
        body = http.get_data(cache=True)
        request = _parse(http)
        record = self._calls.begin(request.action)
        try:
            response = self._answer(http, body, request)
        except ConnectionCutError:
            record(None)
            raise
        record(response.status_code)
        _compress(http, response)
        return response(environ, start_response)

    def _answer(self, http: Request, body: bytes, request: Ec2Request) -> Response:
        try:
            signature.check(_signed(http, body), self._keys, REGION)
        except Ec2Error as error:
            return error_answer(error.code, error.message, error.status)
        return faults.answer(self._faults, request.action, lambda: self._perform(request), _write_fault)

    def _perform(self, request: Ec2Request) -> Response:
        try:
            request.required("Action")
            return self._ec2.perform(request)
        except Ec2Error as error:
            return error_answer(error.code, error.message, error.status)


def _parse(http: Request) -> Ec2Request:
    parameters = {**http.args.to_dict(), **http.form.to_dict()}
    return Ec2Request(parameters.get("Action", ""), parameters)


def _signed(http: Request, body: bytes) -> signature.SignedRequest:
    path = unquote(http.environ["RAW_URI"].partition("?")[0])
    headers = {name.lower(): value for name, value in http.headers.items()}
    return signature.SignedRequest(http.method, path, http.environ["QUERY_STRING"], headers, body)


def _write_fault(fault: Fault) -> Response:
    code = fault.code or "InternalError"
    return error_answer(code, fault.message or "A planned fault.", fault.status or 500, fault.headers)


def _compress(http: Request, response: Response) -> None:
    response.headers["Vary"] = "accept-encoding"
    body = response.get_data()
    if http.accept_encodings.quality("gzip") and len(body) >= COMPRESSED_FROM_BYTES:
        response.set_data(gzip.compress(body, compresslevel=1))
        response.headers["Content-Encoding"] = "gzip"
