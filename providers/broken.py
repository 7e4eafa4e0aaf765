"""What an exchange that gave no answer means: the errors of requests, urllib3 and OpenSSL in our words."""

from __future__ import annotations

import re
import ssl
from dataclasses import dataclass, replace
from typing import Final

import requests
from requests.exceptions import (
    ChunkedEncodingError,
    ConnectTimeout,
    ContentDecodingError,
    ProxyError,
    ReadTimeout,
    RequestException,
    SSLError,
)
from urllib3.exceptions import ConnectTimeoutError, NewConnectionError, ReadTimeoutError

from providers.cutoff import TooLongError
from providers.errors import (
    BackendFailureError,
    BackendReply,
    BackendTimeoutError,
    BackendTLSError,
    BackendUnreachableError,
    ProviderError,
)
from providers.excerpts import sentence

# What urllib3 and OpenSSL put around their words.
_INTERNALS = re.compile(r"<[^>]*>[:,]?\s*|\w+\(host=[^)]*\)[:,]?\s*|\s*\(_ssl\.c:\d+\)")
_LONGEST_REASON = 300

# What requests and the libraries below it raise.
ERRORS: Final = (OSError, ValueError)


@dataclass(frozen=True)
class _Broken:
    """One way in which an exchange breaks: known by the library's error or by what lies below it.

    `lost` tells that the backend may have done what was asked.
    """

    kind: type[ProviderError]
    outcome: str
    detail: str
    errors: tuple[type[Exception], ...] = ()
    below: tuple[type[Exception], ...] = ()
    lost: bool = False


_DISTRUSTED: Final = _Broken(
    BackendTLSError,
    "TLS error",
    "The certificate of {place} is not trusted: {reason} For an authority of your own, name its file as `ca_file` "
    "of the environment or in REQUESTS_CA_BUNDLE.",
    errors=(SSLError,),
    below=(ssl.SSLCertVerificationError,),
)
_LOST: Final = _Broken(
    BackendUnreachableError,
    "connection lost",
    "The connection to {place} broke during {operation}: {reason}",
    errors=(requests.ConnectionError, ChunkedEncodingError, ContentDecodingError),
    lost=True,
)
# The first that fits counts, as some are kinds of others.
_BROKEN: Final = (
    _Broken(
        BackendUnreachableError,
        "connect error",
        "No connection to {place}: {reason} Check the environment's url, and this server's proxy.",
        below=(NewConnectionError,),
    ),
    _Broken(
        BackendUnreachableError,
        "connect timeout",
        "The connection to {place} timed out, so {operation} was not sent. Check the environment's url, this server's "
        "proxy, and the firewalls between.",
        errors=(ConnectTimeout,),
        below=(ConnectTimeoutError,),
    ),
    _Broken(BackendUnreachableError, "connect error", "No connection to {place}: {reason}", errors=(ProxyError,)),
    # Who hangs up within TLS, or instead of it, has shown no certificate that could be judged.
    replace(_LOST, errors=(), below=(ssl.SSLEOFError, ssl.SSLZeroReturnError)),
    replace(_DISTRUSTED, errors=()),
    _Broken(
        BackendTLSError,
        "TLS error",
        "{place} does not speak TLS as it should: {reason} Is it the right port, and the right scheme, in the "
        "environment's url?",
        below=(ssl.SSLError,),
        lost=True,
    ),
    _DISTRUSTED,
    _Broken(
        BackendTimeoutError,
        "timeout",
        "{place} did not answer {operation} in time.",
        errors=(ReadTimeout,),
        below=(ReadTimeoutError,),
        lost=True,
    ),
    _LOST,
    _Broken(
        BackendFailureError,
        "too long",
        "{place} answered {operation} with more than 256 MiB, which is no answer of {cloud}. Is there a proxy or a "
        "gateway between, or does the environment's url lead elsewhere?",
        errors=(TooLongError,),
        lost=True,
    ),
    _Broken(
        BackendFailureError,
        "not sent",
        "{operation} could not be sent to {place}: {reason}",
        errors=(RequestException,),
    ),
    # What urllib3 does not foresee, such as a chunk of a negative length. Its words may quote what was sent.
    _Broken(
        BackendFailureError,
        "not understood",
        "{place} answered {operation} with something that is not HTTP.",
        errors=(ValueError,),
        lost=True,
    ),
    # requests raises no kind of its own for a file of authorities that is not there.
    _Broken(
        BackendTLSError,
        "TLS error",
        "The file of trusted certificate authorities cannot be read: {reason}",
        errors=(OSError,),
    ),
)


def meaning_of(
    error: Exception, *, cloud: str, place: str, operation: str, has_proxy: bool
) -> tuple[ProviderError, str]:
    """What one of `ERRORS` means, and the word for it in the log."""
    below = _below(error)
    reason = naming_proxy(_sentence(below), below, has_proxy=has_proxy)
    broken = next(broken for broken in _BROKEN if isinstance(error, broken.errors) or isinstance(below, broken.below))
    detail = broken.detail.format(place=place, operation=operation, cloud=cloud, reason=reason)
    failure = broken.kind(detail, backend=BackendReply(cloud, operation))
    failure.answer_lost = broken.lost
    return failure, broken.outcome


def naming_proxy(reason: str, cause: object, *, has_proxy: bool) -> str:
    """Return why a backend was not reached. With a proxy, a refused connection is the proxy's."""
    is_proxy = has_proxy and isinstance(cause, NewConnectionError)
    return f"The proxy cannot be reached. {reason}" if is_proxy else reason


def _below(error: Exception) -> Exception:
    """The innermost of the errors that requests and urllib3 have wrapped."""
    inner = getattr(error, "reason", None) or next(
        (argument for argument in reversed(error.args) if isinstance(argument, Exception)), None
    )
    return _below(inner) if isinstance(inner, Exception) else error


def _sentence(error: Exception) -> str:
    return sentence(str(error) or type(error).__name__, _LONGEST_REASON, noise=_INTERNALS)
