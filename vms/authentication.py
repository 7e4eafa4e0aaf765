"""The Bearer token: its form, and the credentials in it. Whether they are right, only the cloud can say."""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING

from rest_framework.authentication import BaseAuthentication
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from providers import trace
from providers.credentials import Credentials
from providers.errors import ErrorCode
from vms.problems import CHALLENGE, Problem

if TYPE_CHECKING:
    # DRF's views import this module by its settings.
    from rest_framework.views import APIView

LONGEST_HEADER = 8 * 1024


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


class HasCredentials(BasePermission):
    """Lets in who brought a token; without one DRF answers with `NotAuthenticated`."""

    def has_permission(self, request: Request, view: APIView) -> bool:
        """Whether the request has credentials."""
        return isinstance(request.auth, Credentials)


def parse_header(header: str) -> Credentials:
    """The credentials in an `Authorization` header; from here on they are masked in everything that leaves us.

    Raises:
        Problem: `credentials_malformed`, saying what is wrong without quoting it.

    """
    scheme, _, token = header.partition(" ")
    token = token.strip()
    trace.current().redact.add(token)
    if len(header) > LONGEST_HEADER:
        raise _malformed(f"is longer than {LONGEST_HEADER:,} bytes")
    if scheme.lower() != "bearer":
        raise _malformed("must begin with `Bearer `")
    if "," in token:
        raise _malformed("was sent more than once, or holds a comma")
    return _parse_token(token)


def _parse_token(token: str) -> Credentials:
    try:
        text = base64.b64decode(token, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError, ValueError):
        # "from None": the cause would carry the token into a log.
        raise _malformed(
            "has no token in base64 of UTF-8 text; make it with `echo 'key:secret' | base64 -w 0`"
        ) from None
    # `echo` ends its text with one line break; anything more belongs to the secret.
    text = text.removesuffix("\n").removesuffix("\r") if text.endswith("\n") else text
    access_key, colon, secret = text.partition(":")
    trace.current().redact.add(text, secret, *secret.split(":"))
    if not colon:
        raise _malformed("has a token without a colon; it must be base64 of `<access key>:<secret>`")
    if not access_key or not secret:
        raise _malformed("has a token with an empty access key or an empty secret")
    if any(ord(character) < 32 or ord(character) == 127 for character in text):
        raise _malformed("has a token with control characters or line breaks in it")
    return Credentials(access_key, secret)


def _malformed(problem: str) -> Problem:
    return Problem(ErrorCode.CREDENTIALS_MALFORMED, f"The Authorization header {problem}.")
