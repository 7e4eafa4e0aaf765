"""The project's HTTP session as Prism wants it: the password once, then the session cookie that it has given.

A directory service behind Prism fails under many log-ins at once, and every call with a password is a log-in. So the
cookie goes instead of the password where there is one, and the first call goes alone.
"""

from __future__ import annotations

import base64
import threading
from typing import Final

import orjson
import requests

from providers.credentials import Credentials
from providers.domain import Environment
from providers.errors import BackendReply, UnprocessableError
from providers.http import Effect, HTTPSession
from providers.network import Network
from providers.nutanix.answers import Answer, answer_of
from providers.nutanix.naming import operation_of

# Whoever answers so may not have looked at the password.
_UNPROVEN: Final = frozenset({401, 429, 502, 503, 504})
_KINDS: Final = {"pc": "a Prism Central", "pe": "a Prism Element"}


class NotSpokenError(UnprocessableError):
    """The host is another kind of Prism than the one that speaks the API."""


class PrismSession:
    """Calls to one Prism as one caller; used by many threads at once.

    `expected` is what `X-Ntnx-Env` must say of the host (`pe`, `pc`), blank as long as nobody knows.
    """

    def __init__(self, environment: Environment, credentials: Credentials, network: Network) -> None:
        self.url = _root(environment.url)
        self.expected = ""
        self._environment = environment
        self._http = HTTPSession(environment, network, operation_of, keep_cookies=True)
        proof = f"{credentials.access_key}:{credentials.secret}".encode()
        self._password = f"Basic {base64.b64encode(proof).decode()}"
        self._lock = threading.Lock()
        self._log_ins = 0
        self._rejected: requests.Response | None = None

    def ask(
        self,
        method: str,
        path: str,
        body: object = None,
        headers: dict[str, str] | None = None,
        *,
        effect: Effect = Effect.CHANGE,
    ) -> Answer:
        """Make a call and return its answer. For `effect`, see `HTTPSession.send`.

        Raises:
            PrismError: Prism refuses.
            NotSpokenError: the host is another kind of Prism than the API that is spoken to it.
            BackendFailureError: the answer is not Prism's.

        """
        response = self._exchange(self._request(method, path, body, headers), effect)
        self._check_kind(response)
        return answer_of(response)

    def send(self, method: str, path: str) -> requests.Response:
        """Make a call without a body, and return the response whatever it says."""
        return self._exchange(self._request(method, path))

    def close(self) -> None:
        """Close the connections. Prism's sessions end by themselves; v4 and Basic know no log-out."""
        self._http.close()

    def _request(
        self, method: str, path: str, body: object = None, headers: dict[str, str] | None = None
    ) -> requests.Request:
        sent = {"Accept": "application/json", "User-Agent": "cloudvm", **(headers or {})}
        data = None if body is None else orjson.dumps(body)
        if data is not None:
            sent["Content-Type"] = "application/json"
        return requests.Request(method, self.url + path, data=data, headers=sent)

    def _exchange(self, request: requests.Request, effect: Effect = Effect.CHANGE) -> requests.Response:
        """Send a request, and log in again if the session has expired."""

        def attempt(*, logs_in: bool) -> requests.Response:
            return self._http.send(self._prepared(request, logs_in=logs_in), effect=effect)

        log_ins = self._log_ins
        if log_ins:
            response = attempt(logs_in=False)
            if response.status_code != 401 or "Authorization" in response.request.headers:
                return response
        # The password goes out once at a time, and never again if it is wrong.
        with self._lock:
            if self._rejected is not None:
                return self._rejected
            if self._log_ins == log_ins:
                response = attempt(logs_in=True)
                if response.status_code == 401:
                    self._rejected = response
                elif response.status_code not in _UNPROVEN or "Set-Cookie" in response.headers:
                    self._log_ins += 1
                return response
        return attempt(logs_in=False)

    def _prepared(self, request: requests.Request, *, logs_in: bool) -> requests.PreparedRequest:
        """Add the session cookie to a request, or the password if there is no cookie or the request is to log in."""
        prepared = self._http.prepare_request(request)
        if logs_in:
            prepared.headers.pop("Cookie", None)
        if "Cookie" not in prepared.headers:
            prepared.headers["Authorization"] = self._password
        return prepared

    def _check_kind(self, response: requests.Response) -> None:
        found = response.headers.get("X-Ntnx-Env", "").lower()
        if not self.expected or found not in _KINDS or found == self.expected or response.status_code == 401:
            return
        product = response.headers.get("X-Ntnx-Product", "")
        raise NotSpokenError(
            self._other_kind(f"{_KINDS[found]}{f' ({product})' if product else ''}", found),
            backend=BackendReply("Nutanix", operation_of(response.request), status=response.status_code),
        )

    def _other_kind(self, host: str, kind: str) -> str:
        name, version = self._environment.name, next(iter(self._environment.options.get("api_version", ())), "")
        if not version:
            return f"The url of environment {name!r} leads to {host} now, and did not when it was found out; try again."
        fitting = "`v4`, or `v3` for one before pc.2024.3," if kind == "pc" else "`v2`"
        return (
            f"Environment {name!r} says api_version {version!r}, and its url leads to {host}: give {fitting} as its "
            "`api_version`, or leave it out to have it found out."
        )


def _root(url: str) -> str:
    """The address without the API's path, with which some write it."""
    url = url.rstrip("/")
    for ending in ("/PrismGateway/services/rest/v2.0", "/api/nutanix/v2.0", "/api/nutanix/v3", "/api"):
        url = url.removesuffix(ending)
    return url
