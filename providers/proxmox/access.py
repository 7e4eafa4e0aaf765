"""How a caller proves who they are: by an API token on each request, or by a ticket that a password has bought.

https://pve.proxmox.com/wiki/Proxmox_VE_API#Authentication
"""

from __future__ import annotations

import re
import threading
import urllib.parse
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

import requests

from providers import trace
from providers.credentials import Credentials, Secret
from providers.deadline import unhurried
from providers.errors import CredentialsRejectedError, CredentialsUnusableError

_NAME: Final = r"[^\s\x00-\x1f\x7f:/!@]+"
USER: Final = re.compile(rf"{_NAME}(@{_NAME})*@[A-Za-z][A-Za-z0-9._-]+")
TOKEN: Final = re.compile(rf"{USER.pattern}![A-Za-z][A-Za-z0-9._-]+")
# What may stand in a header; a token's secret is a UUID.
_VISIBLE: Final = re.compile(r"[\x21-\x7e]+")


@dataclass(frozen=True)
class Ticket:
    """What a log-in gives: a cookie, and the token that requests which change something carry as well."""

    cookie: Secret
    csrf: Secret


def read_ticket(answer: Mapping[str, Any]) -> Ticket:
    """The ticket in the answer to a log-in."""
    cookie, csrf = answer["ticket"], answer["CSRFPreventionToken"]
    if not (isinstance(cookie, str) and cookie and isinstance(csrf, str)):
        raise TypeError
    return Ticket(Secret(cookie), Secret(csrf))


class Access(Protocol):
    """Puts the proof on a request."""

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """The request with the proof."""

    def renewed(self, refused: requests.PreparedRequest) -> bool:
        """Whether there is another proof now than the one that was refused with 401."""


class TokenAccess:
    """An API token: no log-in, nothing to renew."""

    def __init__(self, credentials: Credentials) -> None:
        self._value = f"PVEAPIToken={credentials.access_key}={credentials.secret}"

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """The request with the token."""
        request.headers["Authorization"] = self._value
        return request

    def renewed(self, refused: requests.PreparedRequest) -> bool:  # noqa: ARG002 # see `Access`
        """Never: the token is what it is."""
        return False


class TicketAccess:
    """A ticket, bought once and once more when PVE says that it is too old (after two hours); used by many threads.

    `log_in` tries the password once. When that fails nobody tries it again: accounts lock.
    """

    def __init__(self, log_in: Callable[[], Ticket]) -> None:
        self._log_in = log_in
        self._lock = threading.Lock()
        self._failure: CredentialsRejectedError | None = None
        self._ticket = log_in()

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """The request with the ticket."""
        ticket = self._ticket
        # Also where the CSRF token is not sent: the ticket may be of an earlier request.
        trace.current().redact.add(ticket.cookie.reveal(), ticket.csrf.reveal())
        request.headers["Cookie"] = _cookie(ticket)
        if request.method != "GET":
            request.headers["CSRFPreventionToken"] = ticket.csrf.reveal()
        return request

    def renewed(self, refused: requests.PreparedRequest) -> bool:
        """Buy a new ticket, unless another thread has meanwhile.

        Raises:
            CredentialsRejectedError: the password is not accepted any more.

        """
        with self._lock:
            if self._failure is not None:
                # One of its own for each thread: its request adds to it what became of a create.
                raise CredentialsRejectedError(self._failure.detail, backend=self._failure.backend)
            if refused.headers.get("Cookie") == _cookie(self._ticket):
                try:
                    with unhurried():
                        self._ticket = self._log_in()
                except CredentialsRejectedError as error:
                    self._failure = error
                    raise
        return True


def check_form(credentials: Credentials) -> bool:
    """Whether the access key is an API token's (True) or a user's (False).

    Raises:
        CredentialsUnusableError: it is neither; nothing has been sent.

    """
    if TOKEN.fullmatch(credentials.access_key) and _VISIBLE.fullmatch(credentials.access_key):
        if not _VISIBLE.fullmatch(credentials.secret):
            raise CredentialsUnusableError("The secret of a Proxmox API token is a UUID; this one holds other signs.")
        return True
    if USER.fullmatch(credentials.access_key):
        return False
    raise CredentialsUnusableError(
        "On Proxmox the access key is a user with its realm, such as `root@pam`, or an API token, such as "
        "`root@pam!automation`; this one is neither."
    )


def _cookie(ticket: Ticket) -> str:
    return f"PVEAuthCookie={urllib.parse.quote(ticket.cookie.reveal(), safe='')}"
