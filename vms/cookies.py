"""The sign-in cookie: the credentials for one environment, encrypted and authenticated, until half an hour unused."""

from __future__ import annotations

import hashlib
import secrets
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass
from functools import lru_cache

import orjson
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from providers.credentials import Credentials

IDLE_SECONDS = 30 * 60
# A cookie is renewed when it is used, but not by each of many requests in a row.
RENEWAL_SECONDS = 60
# What browsers keep of one cookie, its name and attributes included; they drop a larger one in silence.
LONGEST = 4096
# All of them come back in one header, of which 8 KiB are taken; a few bytes are left to others.
LONGEST_TOGETHER = 7 * 1024

_VERSION = "2."
_NONCE_BYTES = 12
_STEM = "cloudvm-in-"
_STEM_OUT = "cloudvm-out-"
# No answer is on its way for longer, and no cookie that it brings back lives longer.
_OUT_SECONDS = 2 * IDLE_SECONDS


class CookieTooLargeError(ValueError):
    """The credentials do not fit into a cookie; the text says why."""


@dataclass(frozen=True, init=False)
class SignedIn(Credentials):
    """Credentials from a cookie, which is valid from `since` until `expires` (Unix time)."""

    environment: str
    expires: float
    since: float

    def __init__(
        self, access_key: str, secret: str, environment: str = "", expires: float = 0.0, since: float = 0.0
    ) -> None:
        super().__init__(access_key, secret)
        object.__setattr__(self, "environment", environment)
        object.__setattr__(self, "expires", expires)
        object.__setattr__(self, "since", since)

    @property
    def due(self) -> bool:
        """Whether the cookie is to be renewed."""
        return self.expires - time.time() < IDLE_SECONDS - RENEWAL_SECONDS


def name_of(environment: str, *, secure: bool) -> str:
    """The name of an environment's cookie; over https with the prefix that no subdomain can set it under."""
    return _named(_STEM, environment, secure=secure)


def seal(name: str, environment: str, credentials: Credentials, expires: float, since: float | None = None) -> str:
    """The cookie's value; it means nothing under another name or for another environment."""
    since = time.time() if since is None else since
    content = orjson.dumps([expires, since, credentials.access_key, credentials.secret])
    nonce = secrets.token_bytes(_NONCE_BYTES)
    sealed = _cipher(settings.SECRET_KEY).encrypt(nonce, content, _associated(name, environment))
    return _VERSION + urlsafe_b64encode(nonce + sealed).decode().rstrip("=")


def unseal(name: str, environment: str, value: str) -> SignedIn | None:
    """What is in a cookie; None if it is not ours, was changed, has expired, or was made for something else."""
    if not value.startswith(_VERSION):
        return None
    text = value.removeprefix(_VERSION)
    try:
        raw = urlsafe_b64decode(text + "=" * (-len(text) % 4))
        content = _cipher(settings.SECRET_KEY).decrypt(
            raw[:_NONCE_BYTES], raw[_NONCE_BYTES:], _associated(name, environment)
        )
    except (ValueError, InvalidTag):
        return None
    expires, since, access_key, secret = orjson.loads(content)
    if not time.time() < expires <= time.time() + IDLE_SECONDS:
        return None
    return SignedIn(access_key, secret, environment, expires, since)


def read(request: HttpRequest, environment: str) -> SignedIn | None:
    """The credentials that the browser brings for an environment, if it is signed in there."""
    name = name_of(environment, secure=request.is_secure())
    value = request.COOKIES.get(name)
    found = None if value is None else unseal(name, environment, value)
    return None if found is None or found.since <= _signed_out(request, environment) else found


def sealed(request: HttpRequest) -> list[str]:
    """Return the values of the request's sign-in cookies, good or not."""
    return [value for name, value in request.COOKIES.items() if _STEM in name]


def brought(request: HttpRequest) -> bool:
    """Whether the request has any such cookie, good or not."""
    return any(_STEM in name for name in request.COOKIES)


def put(response: HttpResponseBase, request: HttpRequest, environment: str, credentials: Credentials) -> None:
    """Sign the browser in, or renew its cookie if the credentials are out of one.

    Raises:
        CookieTooLargeError: no browser would keep it.

    """
    secure = request.is_secure()
    name = name_of(environment, secure=secure)
    since = credentials.since if isinstance(credentials, SignedIn) else None
    value = seal(name, environment, credentials, time.time() + IDLE_SECONDS, since)
    response.set_cookie(name, value, max_age=IDLE_SECONDS, path="/", secure=secure, httponly=True, samesite="Strict")
    if len(response.cookies[name].OutputString()) > LONGEST:
        del response.cookies[name]
        raise CookieTooLargeError("are too long to be kept in a cookie; a program can use them all the same")
    others = sum(len(key) + len(other) + 3 for key, other in request.COOKIES.items() if key != name)
    if others + len(name) + len(value) > LONGEST_TOGETHER:
        del response.cookies[name]
        raise CookieTooLargeError("do not fit beside the others; sign out of another environment first")
    out = _named(_STEM_OUT, environment, secure=secure)
    if since is None and out in request.COOKIES:
        response.delete_cookie(out, path="/", samesite="Strict")


def remove(response: HttpResponseBase, request: HttpRequest, environment: str) -> None:
    """Sign the browser out.

    What stays for a while is when that was: an answer that is still on its way may bring a renewed cookie, which no
    browser can be told to refuse.
    """
    secure = request.is_secure()
    response.delete_cookie(name_of(environment, secure=secure), path="/", samesite="Strict")
    response.set_cookie(
        _named(_STEM_OUT, environment, secure=secure),
        str(time.time()),
        max_age=_OUT_SECONDS,
        path="/",
        secure=secure,
        httponly=True,
        samesite="Strict",
    )


def _signed_out(request: HttpRequest, environment: str) -> float:
    """The Unix time of the last sign-out, if it was lately; it is the browser's own word, and can only shut out."""
    try:
        return float(request.COOKIES.get(_named(_STEM_OUT, environment, secure=request.is_secure()), 0))
    except ValueError:
        return 0.0


def _named(stem: str, environment: str, *, secure: bool) -> str:
    digest = hashlib.sha256(environment.encode()).hexdigest()[:16]
    return f"{'__Host-' if secure else ''}{stem}{digest}"


def _associated(name: str, environment: str) -> bytes:
    return f"{name}\n{environment}".encode()


@lru_cache(maxsize=2)
def _cipher(secret_key: str) -> AESGCM:
    derived = HKDF(SHA256(), 32, salt=None, info=b"cloudvm sign-in cookie, version 1")
    return AESGCM(derived.derive(secret_key.encode()))
