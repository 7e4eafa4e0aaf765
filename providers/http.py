"""The one way to speak plain HTTP to a cloud: time limits, proxy, trust, no redirects, nothing ambient, a record.

What breaks an exchange leaves here as a `ProviderError` with the library's error as its cause; what a cloud answers,
whatever its status, is returned.
"""

from __future__ import annotations

import re
import socket
import time
import urllib.parse
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.cookiejar import DefaultCookiePolicy
from typing import Any, Final

import requests
import urllib3.connection
import urllib3.connectionpool
from requests.adapters import HTTPAdapter
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

from providers import trace
from providers.cutoff import CutConnection, CutPool
from providers.deadline import exchange_seconds
from providers.domain import Environment
from providers.errors import (
    BackendFailureError,
    BackendReply,
    BackendTimeoutError,
    BackendTLSError,
    BackendUnreachableError,
    ProviderError,
)
from providers.network import Network

# As many as there are threads to use them; more would be opened and thrown away.
CONNECTIONS_KEPT = 64

# urllib3 sets it for direct connections only; through a proxy a request with a body would wait 40 ms for an
# acknowledgement.
_AT_ONCE = [*urllib3.connection.HTTPConnection.default_socket_options, (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)]

# What urllib3 and OpenSSL put around their words.
_INTERNALS = re.compile(r"<[^>]*>[:,]?\s*|\w+\(host=[^)]*\)[:,]?\s*|\s*\(_ssl\.c:\d+\)")
_LONGEST_REASON = 300
_REPEATABLE = {"GET", "HEAD"}

# Ten thousand VMs in one answer take 50 MB on the most talkative cloud.
_MOST_BYTES: Final = 256 * 1024 * 1024
_PIECE_BYTES: Final = 64 * 1024


class HTTPSession(requests.Session):
    """Connections to one environment's backend, used by many threads at once.

    `operation_of` names a request for people and for the log, in the words of the cloud's own documentation.
    Requests that only read are repeated once when their connection breaks: a backend may close one that is idle.
    """

    def __init__(
        self,
        environment: Environment,
        network: Network,
        operation_of: Callable[[requests.PreparedRequest], str],
        *,
        keep_cookies: bool = False,
    ) -> None:
        super().__init__()
        self.trust_env = False
        self.verify = network.verify(environment)
        self.proxies = network.proxies(environment.url)
        self._cloud = environment.cloud.name
        self._operation_of = operation_of
        self._cutoff = network.cutoff
        self._timeout = (network.connect_timeout_seconds, network.read_timeout_seconds)
        if not keep_cookies:
            self.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        self.mount("https://", _Adapter())
        self.mount("http://", _Adapter())

    def send(self, request: requests.PreparedRequest, **options: Any) -> requests.Response:
        """Send a request and read the whole answer; `timeout` shortens how long the backend may be silent.

        Raises:
            BackendTLSError, BackendUnreachableError, BackendTimeoutError, BackendFailureError

        """
        options["allow_redirects"] = False
        options["timeout"] = self._limits(options.get("timeout"))
        try:
            return self._exchange(request, options)
        except ProviderError as error:
            is_cut = isinstance(error, BackendUnreachableError) and error.answer_lost
            if not is_cut or request.method not in _REPEATABLE:
                raise
            return self._exchange(request, options)

    def get_redirect_target(self, _resp: requests.Response) -> None:
        """None: requests would read the answer for itself, of any length, and judge where it leads."""

    def _limits(self, wanted: object) -> tuple[float, float]:
        connect, read = self._timeout
        return (connect, min(read, wanted)) if isinstance(wanted, int | float) else (connect, read)

    def _exchange(self, request: requests.PreparedRequest, options: dict[str, Any]) -> requests.Response:
        operation, begun = self._operation_of(request), time.perf_counter()
        try:
            response = self._answered(request, options)
        except OSError as error:
            failure, outcome = self._broken(error, operation, request.url or "")
            trace.current().call(operation, begun, outcome=outcome)
            raise failure from error
        trace.current().call(operation, begun, outcome=str(response.status_code))
        if 300 <= response.status_code < 400:
            raise self._redirected(response, operation)
        return response

    def _answered(self, request: requests.PreparedRequest, options: dict[str, Any]) -> requests.Response:
        """The whole answer, if it comes before the exchange's time is over; requests' errors if not."""
        _, silence_seconds = self._timeout
        with self._cutoff.after(exchange_seconds(silence_seconds)) as exchange:
            try:
                response = super().send(request, **{**options, "stream": True})
                # Where requests itself keeps an answer that it has read whole.
                response._content = b"".join(_within_limit(response))  # noqa: SLF001
            except OSError as error:
                if exchange.is_over:
                    raise ReadTimeout from error
                raise
        if exchange.is_over:
            # An answer without a length ends with its connection, also with one that was cut.
            raise ReadTimeout
        return response

    def _redirected(self, response: requests.Response, operation: str) -> ProviderError:
        host = urllib.parse.urlsplit(response.url).netloc
        return BackendFailureError(
            f"{self._cloud} at {host} answered {operation} with a redirect, which is not followed: credentials go to "
            "the environment's own url only. Put the address that is meant into the environment's url.",
            backend=BackendReply(self._cloud, operation, status=response.status_code),
        )

    def _broken(self, error: OSError, operation: str, url: str) -> tuple[ProviderError, str]:
        """What an exchange that gave no answer means, and the word for it in the log."""
        place = f"{self._cloud} at {urllib.parse.urlsplit(url).netloc}"
        proxy = urllib.parse.urlsplit(next(iter(self.proxies.values()), "")).netloc.rpartition("@")[2]
        if proxy:
            place += f" (through the proxy {proxy})"
        below = _below(error)
        broken = next(
            broken for broken in _BROKEN if isinstance(error, broken.errors) or isinstance(below, broken.below)
        )
        detail = broken.detail.format(place=place, operation=operation, cloud=self._cloud, reason=_sentence(below))
        failure = broken.kind(detail, backend=BackendReply(self._cloud, operation))
        failure.answer_lost = broken.lost
        return failure, broken.outcome


class _Adapter(HTTPAdapter):
    """Connections that are kept, tried once, and send at once."""

    def __init__(self) -> None:
        super().__init__(pool_connections=2, pool_maxsize=CONNECTIONS_KEPT, max_retries=0)

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        super().init_poolmanager(*args, socket_options=_AT_ONCE, **options)
        self.poolmanager.pool_classes_by_scheme = _POOLS

    def proxy_manager_for(self, proxy: str, **options: Any) -> Any:
        manager = super().proxy_manager_for(proxy, socket_options=_AT_ONCE, **options)
        manager.pool_classes_by_scheme = _POOLS
        return manager


class _Connection(CutConnection, urllib3.connection.HTTPConnection):
    """urllib3's, which can be cut off."""


class _TLSConnection(CutConnection, urllib3.connection.HTTPSConnection):
    """The same with TLS."""


class _Pool(CutPool, urllib3.connectionpool.HTTPConnectionPool):
    ConnectionCls = _Connection


class _TLSPool(CutPool, urllib3.connectionpool.HTTPSConnectionPool):
    ConnectionCls = _TLSConnection


_POOLS: Final = {"http": _Pool, "https": _TLSPool}


class _TooLongError(RequestException):
    """The answer takes more room than any list of VMs."""


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


# The first that fits counts, as some are kinds of others.
_BROKEN: Final = (
    _Broken(BackendUnreachableError, "connect error", "No connection to {place}: {reason}", errors=(ProxyError,)),
    _Broken(
        BackendTLSError,
        "TLS error",
        "The certificate of {place} is not trusted: {reason} For an authority of your own, name its file as `ca_file` "
        "of the environment or in REQUESTS_CA_BUNDLE.",
        errors=(SSLError,),
    ),
    _Broken(
        BackendTimeoutError,
        "timeout",
        "{place} did not answer {operation} in time.",
        errors=(ReadTimeout,),
        below=(ReadTimeoutError,),
        lost=True,
    ),
    _Broken(
        BackendUnreachableError,
        "connect error",
        "No connection to {place}: {reason} Check the environment's url, and this server's proxy.",
        errors=(ConnectTimeout,),
        below=(NewConnectionError, ConnectTimeoutError),
    ),
    _Broken(
        BackendUnreachableError,
        "connection lost",
        "The connection to {place} broke during {operation}: {reason}",
        errors=(requests.ConnectionError, ChunkedEncodingError, ContentDecodingError),
        lost=True,
    ),
    _Broken(
        BackendFailureError,
        "too long",
        "{place} answered {operation} with more than 256 MiB, which is no answer of {cloud}. Is there a proxy or a "
        "gateway between, or does the environment's url lead elsewhere?",
        errors=(_TooLongError,),
        lost=True,
    ),
    _Broken(
        BackendFailureError,
        "not sent",
        "{operation} could not be sent to {place}: {reason}",
        errors=(RequestException,),
    ),
    # requests raises no kind of its own for a file of authorities that is not there.
    _Broken(
        BackendTLSError,
        "TLS error",
        "The file of trusted certificate authorities cannot be read: {reason}",
        errors=(OSError,),
    ),
)


def _within_limit(response: requests.Response) -> Iterator[bytes]:
    """The answer as it was before compression, piece by piece."""
    size = 0
    for piece in response.iter_content(_PIECE_BYTES):
        size += len(piece)
        if size > _MOST_BYTES:
            response.close()
            raise _TooLongError
        yield piece


def _below(error: Exception) -> Exception:
    """The innermost of the errors that requests and urllib3 have wrapped."""
    inner = getattr(error, "reason", None) or next(
        (argument for argument in reversed(error.args) if isinstance(argument, Exception)), None
    )
    return _below(inner) if isinstance(inner, Exception) else error


def _sentence(error: Exception) -> str:
    text = _INTERNALS.sub("", str(error) or type(error).__name__).strip()[:_LONGEST_REASON]
    return text if text.endswith((".", "!", "?")) else f"{text}."
