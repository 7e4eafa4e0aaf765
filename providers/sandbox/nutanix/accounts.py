"""Who calls: users, what they may do, and the sessions that their log-ins have opened."""

import binascii
import secrets
import threading
from base64 import b64decode
from collections.abc import Collection
from dataclasses import dataclass

from providers.sandbox.nutanix.refusals import Reason, Refusal

RIGHTS = frozenset({"view", "create", "update", "power", "delete"})
SESSION_COOKIE = "NTNX_IGW_SESSION"
GATEWAY_COOKIE = "JSESSIONID"


@dataclass(frozen=True)
class Caller:
    """A user; `rights` are some of `RIGHTS`."""

    name: str
    rights: frozenset[str]

    def check(self, right: str) -> None:
        """Refuse what the user may not do."""
        if right not in self.rights:
            raise Refusal(Reason.DENIED, f"No permission to {right} the resource.")


@dataclass(frozen=True)
class Session:
    """What a log-in opens: one secret for two cookies."""

    cookie: str
    caller: Caller


class Accounts:
    """Users and sessions. Thread-safe by itself, as log-ins go on beside each other."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._passwords: dict[str, str] = {}
        self._callers: dict[str, Caller] = {}
        self._sessions: dict[str, Caller] = {}
        self._under_way = 0
        self.logins = 0
        self.failed_logins = 0

    def add_user(self, name: str, password: str, rights: Collection[str] = RIGHTS) -> None:
        """Add a user, or give one another password or other rights."""
        if unknown := set(rights) - RIGHTS:
            raise ValueError(f"no such rights: {sorted(unknown)}")
        with self._lock:
            self._passwords[name] = password
            self._callers[name] = Caller(name, frozenset(rights))

    def drop_sessions(self) -> None:
        """Let every session be over."""
        with self._lock:
            self._sessions.clear()

    def cookies(self) -> tuple[str, ...]:
        """Return the cookies of all sessions, oldest first."""
        with self._lock:
            return tuple(self._sessions)

    def by_cookie(self, cookie: str | None) -> Caller | None:
        """Whose session this is."""
        with self._lock:
            return self._sessions.get(cookie or "")

    def begin(self, limit: int | None) -> None:
        """Begin a log-in; a directory service refuses those above its limit."""
        with self._lock:
            if limit is not None and self._under_way >= limit:
                self.failed_logins += 1
                raise Refusal(Reason.BAD_CREDENTIALS)
            self._under_way += 1

    def end(self) -> None:
        """End a log-in, which went well or not."""
        with self._lock:
            self._under_way -= 1

    def log_in(self, authorization: str) -> Session:
        """Open a session for what a Basic header says."""
        name, password = credentials(authorization)
        with self._lock:
            known = self._passwords.get(name, "")
            if name not in self._callers or not secrets.compare_digest(known.encode(), password.encode()):
                self.failed_logins += 1
                raise Refusal(Reason.BAD_CREDENTIALS)
            self.logins += 1
            session = Session(secrets.token_urlsafe(32), self._callers[name])
            self._sessions[session.cookie] = session.caller
            return session


def credentials(authorization: str) -> tuple[str, str]:
    """The user and the password of a Basic header."""
    scheme, _, encoded = authorization.partition(" ")
    if scheme.lower() != "basic":
        raise Refusal(Reason.NO_CREDENTIALS)
    try:
        name, colon, password = b64decode(encoded, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError) as error:
        raise Refusal(Reason.BAD_CREDENTIALS) from error
    if not colon:
        raise Refusal(Reason.BAD_CREDENTIALS)
    return name, password
