"""The one way to speak plain HTTP to a cloud: time limits, proxy, trust, no redirects, nothing ambient, a record.

What breaks an exchange leaves here as a `ProviderError` with the library's error as its cause; what a cloud answers,
whatever its status, is returned.
"""

from __future__ import annotations

import time
import urllib.parse
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import Enum
from http.cookiejar import DefaultCookiePolicy
from io import BytesIO
from itertools import count
from typing import Any, ClassVar, Final

import requests
from requests.exceptions import ReadTimeout

from providers import trace
from providers.broken import ERRORS, meaning_of
from providers.connections import Adapter
from providers.cutoff import Exchange, within_limit
from providers.deadline import exchange_seconds, reconnect_delay_seconds
from providers.domain import Environment
from providers.errors import (
    BackendFailureError,
    BackendReply,
    BackendTimeoutError,
    BackendUnreachableError,
    ProviderError,
    UnavailableError,
)
from providers.login_throttle import credentials_accepted
from providers.network import Network
from providers.redaction import cookie_secrets, header_secrets

_READS = {"GET", "HEAD"}
# Headers that carry credentials, or what a log-in has given for them.
_PROOFS = {"Authorization", "Cookie"}

# Ten thousand VMs in one answer take 50 MB on the most talkative cloud.
_MOST_BYTES: Final = 256 * 1024 * 1024
_PIECE_BYTES: Final = 64 * 1024


class Effect(Enum):
    """What a request does to the backend, which says whether it may be sent again."""

    READ = "nothing"
    REPEATABLE = "the same, however often it is sent"
    CHANGE = "something else each time it is sent"


class HTTPSession(requests.Session):
    """Connections to one environment's backend, used by many threads at once.

    `operation_of` names a request for people and for the log, in the words of the cloud's own documentation.
    Requests that only read are repeated once when their connection breaks: a backend may close one that is idle.
    Where `providers.deadline.reconnect_from_now_on` says so, requests are repeated until the deadline: those that were
    not sent, and repeatable ones that got no answer, or one of `away_statuses`.
    """

    # What proxies and load balancers answer for a backend that is away.
    away_statuses: ClassVar[frozenset[int]] = frozenset({502, 503, 504})

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
        self.mount("https://", Adapter())
        self.mount("http://", Adapter())

    def send(
        self, request: requests.PreparedRequest, *, effect: Effect = Effect.CHANGE, **options: Any
    ) -> requests.Response:
        """Send a request and read the whole answer; `timeout` shortens how long the backend may be silent.

        `effect` is `READ` for all GET and HEAD requests.

        Raises:
            BackendTLSError, BackendUnreachableError, BackendTimeoutError, BackendFailureError, UnavailableError

        """
        options["allow_redirects"] = False
        options["timeout"] = self._limits(options.get("timeout"))
        if request.method in _READS:
            effect = Effect.READ
        is_repeatable = effect is not Effect.CHANGE
        is_lost = False
        for attempt in count(1):
            try:
                response = self._exchange(request, options)
                is_away = response.status_code in self.away_statuses and is_repeatable
                delay = reconnect_delay_seconds(attempt) if is_away else None
                if delay is None:
                    return response
            except (BackendUnreachableError, BackendTimeoutError) as error:
                may_repeat = not error.answer_lost or is_repeatable
                delay = reconnect_delay_seconds(attempt) if may_repeat else None
                if delay is None:
                    is_cut = error.answer_lost and isinstance(error, BackendUnreachableError)
                    if not is_cut or attempt > 1 or effect is not Effect.READ:
                        # The backend may have carried out an earlier attempt.
                        error.answer_lost = error.answer_lost or is_lost
                        raise
                    delay = 0.0
                is_lost = is_lost or error.answer_lost
            time.sleep(delay)
        raise AssertionError("unreachable")

    def get_redirect_target(self, _resp: requests.Response) -> None:
        """None: requests would read the answer for itself, of any length, and judge where it leads."""

    def _limits(self, wanted: object) -> tuple[float, float]:
        connect, read = self._timeout
        return (connect, min(read, wanted)) if isinstance(wanted, int | float) else (connect, read)

    def _exchange(self, request: requests.PreparedRequest, options: dict[str, Any]) -> requests.Response:
        operation, begun = self._operation_of(request), time.perf_counter()
        redact = trace.current().redact
        # Tickets, cookies and tokens that a log-in has given are secrets as well, also those of an earlier request.
        redact.add(*header_secrets(request.headers))
        with self._cutoff.after(exchange_seconds(self._timeout[1])) as exchange:
            try:
                response = self._answered(request, options, exchange)
            except UnavailableError as error:
                trace.current().call(operation, begun, outcome="no memory left")
                error.backend, error.answer_lost = BackendReply(self._cloud, operation), True
                raise
            except ERRORS as error:
                place = self._place(request.url or "")
                failure, outcome = meaning_of(
                    error, cloud=self._cloud, place=place, operation=operation, has_proxy=bool(self.proxies)
                )
                failure.answer_lost = failure.answer_lost and exchange.is_sent
                trace.current().call(operation, begun, outcome=outcome)
                raise failure from error
        redact.add(*cookie_secrets(cookie.value or "" for cookie in response.cookies))
        trace.current().call(operation, begun, outcome=str(response.status_code))
        _note_clock(response)
        if response.status_code < 300 and not request.headers.keys().isdisjoint(_PROOFS):
            credentials_accepted()
        if 300 <= response.status_code < 400:
            raise self._redirected(response, operation)
        return response

    def _answered(
        self, request: requests.PreparedRequest, options: dict[str, Any], exchange: Exchange
    ) -> requests.Response:
        """The whole answer, if it comes before the exchange's time is over; requests' errors if not."""
        try:
            response = super().send(request, **{**options, "stream": True})
            content = BytesIO()
            content.writelines(within_limit(response, response.iter_content(_PIECE_BYTES), _MOST_BYTES))
            # Where requests itself keeps an answer that it has read. BytesIO makes no second copy, as join would.
            response._content = content.getvalue()  # noqa: SLF001
        except ERRORS as error:
            if exchange.is_over and exchange.is_sent:
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

    def _place(self, url: str) -> str:
        """Who was spoken to, for people."""
        parts = urllib.parse.urlsplit(url)
        place = f"{self._cloud} at {parts.netloc}" + (" (without TLS)" if parts.scheme == "http" else "")
        proxy = urllib.parse.urlsplit(next(iter(self.proxies.values()), "")).netloc.rpartition("@")[2]
        return f"{place} (through the proxy {proxy})" if proxy else place


def _note_clock(response: requests.Response) -> None:
    """Note how far the backend's clock is ahead of ours, if it says what time it is."""
    # A date without a zone is naive.
    with suppress(ValueError, TypeError):
        backend_time = parsedate_to_datetime(response.headers.get("Date", ""))
        trace.current().clock_difference = backend_time - datetime.now(UTC)
