"""Entra ID's side: applications with their secrets, tokens for them, and whose a token is."""

import base64
import itertools
import secrets
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hmac import compare_digest
from http import HTTPStatus

import orjson

from providers.sandbox.azure.access import Grant
from providers.sandbox.azure.wire import GatewayError

SUFFIX = "/.default"
# A token for either is good for ARM of the public cloud; the sandbox's own address stands for a private one.
AUDIENCES = frozenset({"https://management.azure.com", "https://management.core.windows.net"})


class EntraError(Exception):
    """A refused token, with Entra's AADSTS number.

    https://learn.microsoft.com/entra/identity-platform/reference-error-codes
    """

    def __init__(self, status: int, error: str, number: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.error = error
        self.number = number
        self.message = message


@dataclass
class Principal:
    """An application: what it logs in with and what it may do."""

    client_id: str
    secret: str = field(repr=False)
    grants: list[Grant]
    secret_expired: bool = False
    object_id: str = field(default_factory=lambda: str(uuid.uuid4()))


@dataclass
class Token:
    """A token that was given, and until when it is good, in seconds since the epoch."""

    principal: Principal
    expires: float


class Entra:
    """One tenant's applications and their tokens. Not thread-safe."""

    def __init__(self, tenant: str) -> None:
        self.tenant = tenant
        self.principals: dict[str, Principal] = {}
        self.tokens: dict[str, Token] = {}
        self.given = 0
        self.refused = 0
        self._numbers = itertools.count(1)

    def refuse_unknown_tenant(self, tenant: str) -> None:
        """Refuse a tenant that is not this one."""
        if tenant.lower() != self.tenant.lower():
            message = (
                f"Tenant '{tenant}' not found. Check to make sure you have the correct tenant ID and are signing into "
                "the correct cloud. Check with your subscription administrator, this may happen if there are no "
                "active subscriptions for the tenant."
            )
            raise EntraError(HTTPStatus.BAD_REQUEST, "invalid_request", 90002, message)

    def log_in(self, form: Mapping[str, str], origin: str, seconds: int) -> str:
        """A token for an application's id and secret; `origin` is ARM's own address here."""
        if form.get("grant_type") != "client_credentials":
            raise _bad_grant(form.get("grant_type"))
        principal = self._principal(form)
        audience = _audience(form.get("scope", ""), origin, self.tenant)
        return self._give(principal, audience, seconds)

    def _principal(self, form: Mapping[str, str]) -> Principal:
        client_id, secret = form.get("client_id", ""), form.get("client_secret")
        if not client_id:
            raise _missing("client_id", 900144)
        principal = self.principals.get(client_id.lower())
        if principal is None:
            raise _unknown_application(client_id, self.tenant)
        if not secret:
            message = "The request body must contain the following parameter: 'client_assertion' or 'client_secret'."
            raise EntraError(HTTPStatus.UNAUTHORIZED, "invalid_client", 7000218, message)
        if not compare_digest(secret.encode(), principal.secret.encode()):
            raise _wrong_secret(client_id)
        if principal.secret_expired:
            raise _expired_secret(client_id)
        return principal

    def _give(self, principal: Principal, audience: str, seconds: int) -> str:
        moment = int(time.time())
        claims = {
            "aud": audience,
            "iss": f"https://sts.windows.net/{self.tenant}/",
            "iat": moment,
            "exp": moment + seconds,
            "appid": principal.client_id,
            "oid": principal.object_id,
            "tid": self.tenant,
            "uti": str(next(self._numbers)),
            "ver": "1.0",
        }
        parts = [orjson.dumps({"typ": "JWT", "alg": "RS256"}), orjson.dumps(claims), secrets.token_bytes(32)]
        token = ".".join(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in parts)
        self.tokens[token] = Token(principal, moment + seconds)
        return token

    def caller(self, authorization: str, origin: str) -> Principal:
        """Whose bearer token a call brings; raises ARM's 401."""
        if not authorization:
            message = "Authentication failed. The 'Authorization' header is missing."
            raise self._unauthorized("AuthenticationFailed", message, origin)
        scheme, _, text = authorization.partition(" ")
        token = self.tokens.get(text.strip()) if scheme.lower() == "bearer" else None
        if token is None:
            raise self._unauthorized("InvalidAuthenticationToken", "The access token is invalid.", origin)
        if token.expires <= time.time():
            expired, present = (_moment(seconds) for seconds in (token.expires, time.time()))
            message = f"The access token expiry UTC time '{expired}' is earlier than current UTC time '{present}'."
            raise self._unauthorized("ExpiredAuthenticationToken", message, origin)
        return token.principal

    def expire_tokens(self) -> None:
        """Let every token given so far be too old."""
        for token in self.tokens.values():
            token.expires = min(token.expires, time.time() - 1)

    def _unauthorized(self, code: str, message: str, origin: str) -> GatewayError:
        challenge = (
            f'Bearer authorization_uri="{origin}/{self.tenant}", error="invalid_token", error_description="{message}"'
        )
        return GatewayError(HTTPStatus.UNAUTHORIZED, code, message, {"WWW-Authenticate": challenge})


def _moment(seconds: float) -> str:
    moment = datetime.fromtimestamp(seconds, UTC)
    return f"{moment.month}/{moment.day}/{moment.year} {moment:%I:%M:%S %p}"


def _audience(scope: str, origin: str, tenant: str) -> str:
    if not scope:
        raise _missing("scope", 900144)
    resource = scope.removesuffix(SUFFIX).rstrip("/")
    if not scope.endswith(SUFFIX):
        message = (
            f"The provided value for scope {scope} is not valid. Client credential flows must have a scope value "
            "with /.default suffixed to the resource identifier (application ID URI)."
        )
        raise EntraError(HTTPStatus.BAD_REQUEST, "invalid_scope", 1002012, message)
    if resource not in AUDIENCES | {origin}:
        message = (
            f"The resource principal named {resource} was not found in the tenant named {tenant}. This can happen if "
            "the application has not been installed by the administrator of the tenant or consented to by any user "
            "in the tenant. You might have sent your authentication request to the wrong tenant."
        )
        raise EntraError(HTTPStatus.BAD_REQUEST, "invalid_resource", 500011, message)
    return resource


def _missing(name: str, number: int) -> EntraError:
    message = f"The request body must contain the following parameter: '{name}'."
    return EntraError(HTTPStatus.BAD_REQUEST, "invalid_request", number, message)


def _bad_grant(grant: str | None) -> EntraError:
    if not grant:
        return _missing("grant_type", 900144)
    message = f"The app requested an unsupported grant type '{grant}'."
    return EntraError(HTTPStatus.BAD_REQUEST, "unsupported_grant_type", 70003, message)


def _unknown_application(client_id: str, tenant: str) -> EntraError:
    message = (
        f"Application with identifier '{client_id}' was not found in the directory '{tenant}'. This can happen if the "
        "application has not been installed by the administrator of the tenant or consented to by any user in the "
        "tenant. You may have sent your authentication request to the wrong tenant."
    )
    return EntraError(HTTPStatus.BAD_REQUEST, "unauthorized_client", 700016, message)


def _wrong_secret(client_id: str) -> EntraError:
    message = (
        "Invalid client secret provided. Ensure the secret being sent in the request is the client secret value, not "
        f"the client secret ID, for a secret added to app '{client_id}'."
    )
    return EntraError(HTTPStatus.UNAUTHORIZED, "invalid_client", 7000215, message)


def _expired_secret(client_id: str) -> EntraError:
    message = (
        f"The provided client secret keys for app '{client_id}' are expired. Visit the Azure portal to create new "
        "keys for your app: https://aka.ms/NewClientSecret, or consider using certificate credentials for added "
        "security: https://aka.ms/certCreds."
    )
    return EntraError(HTTPStatus.UNAUTHORIZED, "invalid_client", 7000222, message)
