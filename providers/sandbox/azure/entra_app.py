"""Entra ID over HTTP: discovery, and tokens for an application's secret.

https://learn.microsoft.com/entra/identity-platform/v2-oauth2-client-creds-grant-flow
"""

import re
import uuid
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from http import HTTPStatus

import orjson
from werkzeug.wrappers import Request as HttpRequest
from werkzeug.wrappers import Response

from providers.sandbox.azure.entra import EntraError
from providers.sandbox.azure.resources import Cloud
from providers.sandbox.azure.wire import CONTENT_TYPE, Json
from providers.sandbox.faults import Fault

TOKEN = "Token"  # noqa: S105 - an operation's name
CONFIGURATION = "OpenIdConfiguration"
DISCOVERY = "InstanceDiscovery"
_PATHS: Mapping[str, tuple[str, re.Pattern[str]]] = {
    CONFIGURATION: ("GET", re.compile(r"/(?P<tenant>[^/]+)/v2\.0/\.well-known/openid-configuration")),
    TOKEN: ("POST", re.compile(r"/(?P<tenant>[^/]+)/oauth2/v2\.0/token")),
    DISCOVERY: ("GET", re.compile(r"/common/discovery/instance")),
}
_NUMBER = re.compile(r"(?:AADSTS)?(\d+)")
FORM = "application/x-www-form-urlencoded"


def find(method: str, path: str) -> str | None:
    """The operation of a path, if it is one of Entra's."""
    for operation, (known, expression) in _PATHS.items():
        if method == known and expression.fullmatch(path):
            return operation
    return None


class EntraApp:
    """What Entra answers."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self._actions: Mapping[str, Callable[[HttpRequest, str], Json]] = {
            TOKEN: self._token,
            CONFIGURATION: self._configuration,
            DISCOVERY: self._discovery,
        }

    def answer(self, operation: str, http: HttpRequest) -> Response:
        """Carry an operation out."""
        match = _PATHS[operation][1].fullmatch(http.path)
        tenant = (match.groupdict() if match else {}).get("tenant", "")
        try:
            with self._cloud.lock:
                return _json(self._actions[operation](http, tenant), HTTPStatus.OK)
        except EntraError as error:
            return self.error_answer(error, http)

    def error_answer(self, error: EntraError, http: HttpRequest) -> Response:
        """An error in Entra's shape, in which the text tells once more what the fields say."""
        moment = f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S}Z"
        trace, correlation = str(uuid.uuid4()), http.headers.get("client-request-id") or str(uuid.uuid4())
        description = (
            f"AADSTS{error.number}: {error.message} Trace ID: {trace} Correlation ID: {correlation} Timestamp: {moment}"
        )
        body = {
            "error": error.error,
            "error_description": description,
            "error_codes": [error.number],
            "timestamp": moment,
            "trace_id": trace,
            "correlation_id": correlation,
            "error_uri": f"{_origin(http)}/error?code={error.number}",
        }
        response = _json(body, error.status)
        response.headers["x-ms-clitelem"] = f"1,{error.number},0,,"
        return response

    def write_fault(self, fault: Fault, http: HttpRequest) -> Response:
        """A planned error; its code is the AADSTS number."""
        status = fault.status or HTTPStatus.INTERNAL_SERVER_ERROR
        number = _NUMBER.fullmatch(fault.code)
        kind = "temporarily_unavailable" if status >= HTTPStatus.INTERNAL_SERVER_ERROR else "invalid_request"
        if status == HTTPStatus.UNAUTHORIZED:
            kind = "invalid_client"
        error = EntraError(status, kind, int(number[1]) if number else 90033, fault.message or "A planned fault.")
        response = self.error_answer(error, http)
        response.headers.extend(fault.headers)
        return response

    def _token(self, http: HttpRequest, tenant: str) -> Json:
        entra, seconds = self._cloud.entra, self._cloud.knobs.token_seconds
        try:
            entra.refuse_unknown_tenant(tenant)
            form = http.form if http.mimetype == FORM else {}
            token = entra.log_in(dict(form.items()), _origin(http), seconds)
        except EntraError:
            entra.refused += 1
            raise
        entra.given += 1
        return {"token_type": "Bearer", "expires_in": seconds, "ext_expires_in": seconds, "access_token": token}

    def _configuration(self, http: HttpRequest, tenant: str) -> Json:
        self._cloud.entra.refuse_unknown_tenant(tenant)
        origin = f"{_origin(http)}/{tenant}"
        return {
            "token_endpoint": f"{origin}/oauth2/v2.0/token",
            "token_endpoint_auth_methods_supported": ["client_secret_post", "private_key_jwt", "client_secret_basic"],
            "jwks_uri": f"{origin}/discovery/v2.0/keys",
            "response_modes_supported": ["query", "fragment", "form_post"],
            "subject_types_supported": ["pairwise"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "response_types_supported": ["code", "id_token", "code id_token", "id_token token"],
            "scopes_supported": ["openid", "profile", "email", "offline_access"],
            "issuer": f"{origin}/v2.0",
            "request_uri_parameter_supported": False,
            "authorization_endpoint": f"{origin}/oauth2/v2.0/authorize",
            "device_authorization_endpoint": f"{origin}/oauth2/v2.0/devicecode",
            "http_logout_supported": True,
            "frontchannel_logout_supported": True,
            "end_session_endpoint": f"{origin}/oauth2/v2.0/logout",
            "claims_supported": ["sub", "iss", "aud", "exp", "iat", "acr", "nonce", "name", "tid", "ver"],
            "tenant_region_scope": "EU",
            "cloud_instance_name": http.host,
        }

    def _discovery(self, http: HttpRequest, tenant: str) -> Json:
        del tenant
        return {
            "tenant_discovery_endpoint": f"{_origin(http)}/{self._cloud.tenant}/v2.0/.well-known/openid-configuration",
            "api-version": "1.1",
            "metadata": [{"preferred_network": http.host, "preferred_cache": http.host, "aliases": [http.host]}],
        }


def _origin(http: HttpRequest) -> str:
    return http.host_url.rstrip("/")


def _json(body: Json, status: int) -> Response:
    headers = {"Cache-Control": "no-store, no-cache", "Pragma": "no-cache", "X-XSS-Protection": "0"}
    return Response(orjson.dumps(body), status, headers, content_type=CONTENT_TYPE)
