"""Who calls: users with tickets, API tokens, and what each of them may do where.

https://pve.proxmox.com/wiki/User_Management, https://pve.proxmox.com/wiki/Proxmox_VE_API#Authentication
"""

import secrets
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from http import HTTPStatus

from providers.sandbox.proxmox.wire import BareError, DeniedError, PveError

Privileges = Mapping[str, Collection[str]]

TICKET_SECONDS = 7200.0
EVERYTHING: Privileges | None = None


@dataclass(frozen=True)
class Caller:
    """One user or token. `privileges` are by path, and hold below it too; None is all of them, everywhere."""

    id: str
    privileges: Privileges | None = EVERYTHING

    @property
    def user(self) -> str:
        """The user, without the token's name."""
        return self.id.partition("!")[0]

    @property
    def is_token(self) -> bool:
        """Whether it is a token that calls."""
        return "!" in self.id

    def held(self, path: str) -> Collection[str] | None:
        """The privileges on a path: those given on it, or on the nearest path above it; None is all."""
        if self.privileges is None:
            return None
        while path not in self.privileges and path != "/":
            path = path.rpartition("/")[0] or "/"
        return self.privileges.get(path, ())

    def may(self, path: str, *privileges: str) -> bool:
        """Whether it has all of these privileges on a path."""
        held = self.held(path)
        return held is None or set(privileges) <= set(held)

    def check(self, path: str, *privileges: str) -> None:
        """Refuse what it has not all of these privileges for; PVE names the first that is missing."""
        for privilege in privileges:
            if not self.may(path, privilege):
                raise DeniedError(f"{path}, {privilege}")

    def check_any(self, path: str, *privileges: str) -> None:
        """Refuse what it has none of these privileges for."""
        if not any(self.may(path, privilege) for privilege in privileges):
            raise DeniedError(f"{path}, {'|'.join(privileges)}")


NOBODY = Caller("", {})


@dataclass(frozen=True)
class Ticket:
    """What a log-in gives: the cookie, the token for writes, and until when (monotonic seconds) both are good."""

    user: str
    cookie: str
    csrf: str
    expires: float


class Accounts:
    """The users and tokens that there are, and the tickets that are good. Not thread-safe."""

    def __init__(self) -> None:
        self.ticket_seconds = TICKET_SECONDS
        self.tickets: dict[str, Ticket] = {}
        self.logins = 0
        self._passwords: dict[str, str] = {}
        self._callers: dict[str, Caller] = {}
        self._secrets: dict[str, str] = {}

    def add_user(self, user: str, password: str, privileges: Privileges | None = EVERYTHING) -> None:
        """Add a user, or give one another password or other privileges."""
        self._passwords[user] = password
        self._callers[user] = Caller(user, privileges)

    def add_token(self, token: str, secret: str, privileges: Privileges | None = EVERYTHING) -> None:
        """Add a token, such as `demo@sandbox!demo`."""
        self._secrets[token] = secret
        self._callers[token] = Caller(token, privileges)

    def log_in(self, user: str, password: str) -> Ticket:
        """A new ticket for a password or for a ticket that is still good; PVE does not say what was wrong."""
        if self._passwords.get(user) != password and self._ticket_user(password) != user:
            raise PveError("authentication failure", HTTPStatus.UNAUTHORIZED)
        ticket = self._new_ticket(user)
        self.tickets[ticket.cookie] = ticket
        self.logins += 1
        return ticket

    def caller(self, user: str) -> Caller:
        """A user that there is."""
        return self._callers[user]

    def by_ticket(self, cookie: str, csrf: str | None, *, writes: bool) -> Caller:
        """Whose ticket this is; a write takes the ticket's CSRF token too."""
        user = self._ticket_user(cookie)
        if user is None:
            raise BareError("permission denied - invalid PVE ticket", HTTPStatus.UNAUTHORIZED)
        if writes and csrf != self.tickets[cookie].csrf:
            raise BareError("Permission denied - invalid csrf token", HTTPStatus.UNAUTHORIZED)
        return self._callers[user]

    def by_token(self, text: str) -> Caller:
        """Whose API token this is, of the form `user@realm!name=secret`."""
        token, equals, secret = text.rpartition("=")
        if not equals:
            raise BareError("no tokenid specified", HTTPStatus.UNAUTHORIZED)
        if token not in self._secrets:
            user, _, name = token.partition("!")
            raise BareError(f"no such token '{name}' for user '{user}'", HTTPStatus.UNAUTHORIZED)
        if not secrets.compare_digest(self._secrets[token].encode(), secret.encode()):
            raise BareError("invalid token value!", HTTPStatus.UNAUTHORIZED)
        return self._callers[token]

    def _ticket_user(self, cookie: str) -> str | None:
        ticket = self.tickets.get(cookie)
        return ticket.user if ticket and ticket.expires > time.monotonic() else None

    def _new_ticket(self, user: str) -> Ticket:
        stamp = f"{int(time.time()):08X}"
        signature = secrets.token_urlsafe(256).replace("-", "+").replace("_", "/")
        return Ticket(
            user,
            f"PVE:{user}:{stamp}::{signature}==",
            f"{stamp}:{secrets.token_urlsafe(32)}",
            time.monotonic() + self.ticket_seconds,
        )
