"""Who asks: by a Bearer token, or by a browser's cookie. Whether credentials are right, only the cloud can say."""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING, Protocol, cast

from django.http import HttpRequest
from rest_framework.authentication import BaseAuthentication
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from providers import trace
from providers.credentials import Credentials
from providers.errors import ErrorCode
from vms import cookies, csrf
from vms.problems import CHALLENGE, Problem

if TYPE_CHECKING:
    # DRF's views import this module by its settings.
    from rest_framework.views import APIView

LONGEST_HEADER = 8 * 1024
_SCHEMES = frozenset({"bearer", "basic"})


class CloudTokenAuthentication(BaseAuthentication):
    """`Authorization: Bearer BASE64(<access key>:<secret>)`. There is no user: `request.auth` has the credentials."""

    def authenticate(self, request: Request) -> tuple[None, Credentials] | None:
        """The credentials of the request; None when it brings no token."""
        header = request.META.get("HTTP_AUTHORIZATION")
        if header is None:
            return None
        credentials = parse_header(header)
        return None, credentials

    def authenticate_header(self, request: Request) -> str:
        """The challenge that goes with a 401."""
        return CHALLENGE


class SignInView(Protocol):
    """What a view must say so that a cookie can count for it."""

    @property
    def takes_sign_in(self) -> bool:
        """Whether a browser's cookie counts for the running action."""

    def named_environment(self, request: Request) -> str | None:
        """The environment that a request names, whose cookie counts then."""


class SignInAuthentication(BaseAuthentication):
    """The cookie of a browser that is signed in, for the one environment that the request names.

    Only where no token was sent, and only for what one of our own pages asked for: `csrf` says how that is known.
    """

    def authenticate(self, request: Request) -> tuple[None, cookies.SignedIn] | None:
        """The credentials of the cookie; None when there is none that counts here.

        Raises:
            Problem: `cross_site`, when something is to be changed and it is not known that our pages ask for it.

        """
        asked = request._request  # noqa: SLF001 - DRF's documented way to Django's request
        view = cast("SignInView", request.parser_context["view"])
        if "HTTP_AUTHORIZATION" in request.META or not view.takes_sign_in or not cookies.brought(asked):
            return None
        if csrf.looks_ahead(asked):
            return None
        if asked.method in csrf.SAFE_METHODS and not csrf.from_own_pages(asked):
            return None
        environment = view.named_environment(request)
        signed_in = None if environment is None else cookies.read(asked, environment)
        if signed_in is None:
            return None
        _mask(signed_in)
        if asked.method not in csrf.SAFE_METHODS:
            csrf.enforce(asked)
        return None, signed_in

    def authenticate_header(self, request: Request) -> str:
        """The challenge that goes with a 401."""
        return CHALLENGE


class HasCredentials(BasePermission):
    """Lets in who brought a token; without one DRF answers with `NotAuthenticated`."""

    def has_permission(self, request: Request, view: APIView) -> bool:
        """Whether the request has credentials."""
        return isinstance(request.auth, Credentials)


def parse_header(header: str) -> Credentials:
    """Return the credentials in an `Authorization` header.

    Raises:
        Problem: `credentials_malformed`, saying what is wrong without quoting it.

    """
    _register_header(header)
    scheme, _, token = header.partition(" ")
    token = token.strip()
    if len(header) > LONGEST_HEADER:
        raise _malformed(f"is longer than {LONGEST_HEADER:,} bytes")
    if scheme.lower() != "bearer":
        raise _malformed("must begin with `Bearer `")
    if not token:
        raise _malformed("has no token behind `Bearer`; a variable may be empty")
    if "," in token:
        raise _malformed("was sent more than once, or holds a comma")
    return _parse_token(token)


def register_secrets(request: HttpRequest) -> None:
    """Mask the credentials that a request brings, in all texts about it, whether they are ever used or not."""
    _register_header(request.META.get("HTTP_AUTHORIZATION", ""))
    trace.current().redact.add(*cookies.sealed(request))


def _register_header(header: str) -> None:
    """Mask the credentials in an `Authorization` header, also in one that is malformed."""
    for token in header.replace(",", " ").split():
        if token.lower() not in _SCHEMES:
            trace.current().redact.add(token, *_secrets_in(_decoded(token)))


def _decoded(token: str) -> str:
    """Return what may be in a token, also in one that is malformed."""
    try:
        raw = base64.b64decode(token + "==", altchars="-_")
    except ValueError:
        return ""
    return _without_line_break(raw.decode(errors="replace"))


def _secrets_in(text: str) -> list[str]:
    """Return what is secret in the text of a token: `key:secret`, the secret, and its parts."""
    secret = text.partition(":")[2]
    return [text, secret, *secret.split(":")]


def _without_line_break(text: str) -> str:
    """Return a token's text without the line break that `echo` adds; anything more belongs to the secret."""
    return text.removesuffix("\n").removesuffix("\r") if text.endswith("\n") else text


def typed_credentials(access_key: str, secret: str) -> Credentials:
    """Credentials as somebody typed or pasted them; masked from here on.

    Raises:
        Problem: `credentials_malformed`, saying what is wrong without quoting it.

    """
    credentials = Credentials(access_key.strip(), secret)
    _mask(credentials)
    if not credentials.access_key or not secret:
        raise Problem(ErrorCode.CREDENTIALS_MALFORMED, "Both halves of the credentials are needed.")
    if ":" in credentials.access_key:
        raise Problem(ErrorCode.CREDENTIALS_MALFORMED, "The first half of the credentials cannot have a colon in it.")
    if any(ord(character) < 32 or ord(character) == 127 for character in credentials.access_key + secret):
        raise Problem(
            ErrorCode.CREDENTIALS_MALFORMED, "The credentials have control characters or line breaks in them."
        )
    return credentials


def _mask(credentials: Credentials) -> None:
    text = f"{credentials.access_key}:{credentials.secret}"
    trace.current().redact.add(credentials.secret, *_secrets_in(text))


def _parse_token(token: str) -> Credentials:
    try:
        text = base64.b64decode(token, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError, ValueError):
        # "from None": the cause would carry the token into a log.
        raise _malformed(
            "has no token in base64 of UTF-8 text; make it with `echo 'key:secret' | base64 -w 0`"
        ) from None
    text = _without_line_break(text)
    access_key, colon, secret = text.partition(":")
    if not colon:
        raise _malformed("has a token without a colon; it must be base64 of `<access key>:<secret>`")
    if not access_key or not secret:
        raise _malformed("has a token with an empty access key or an empty secret")
    if any(ord(character) < 32 or ord(character) == 127 for character in text):
        raise _malformed("has a token with control characters or line breaks in it")
    return Credentials(access_key, secret)


def _malformed(problem: str) -> Problem:
    return Problem(ErrorCode.CREDENTIALS_MALFORMED, f"The Authorization header {problem}.")
