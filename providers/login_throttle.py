"""Login throttle: keeps wrong credentials away from the clouds, which lock an account after a few of them.

- Credentials that a cloud has rejected are refused from memory for a while, longer after each rejection.
- For one access key and client, `MAX_TRIES` different credentials may be tried within `WINDOW_SECONDS`. Others must
  wait, unless the cloud has accepted them lately. Rejected ones are tried again only within the same number.
- A rejection of credentials that the cloud has accepted lately may be its own fault. The next request tries them again.
- While unknown credentials are tried for the first time, other requests with the same ones wait for the outcome.

The memory holds digests under a key that is drawn at start, never credentials. A process shares it with its forks.
Its size is fixed. A client that fills it loses its own entries, and must wait before it can lose counted tries.
"""

from __future__ import annotations

import copy
import hashlib
import hmac
import secrets
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import Final, Self

from providers.credentials import Credentials
from providers.errors import (
    CredentialsRejectedError,
    CredentialsUnusableError,
    PermissionDeniedError,
    ProviderError,
    ThrottledError,
    VMNotFoundError,
    whole_seconds,
)
from providers.shared_memory import KEY_BYTES, SharedLock, SharedTable

# How long credentials are refused from memory after their first, second and each further rejection.
PAUSES_SECONDS: Final = (5.0, 30.0, 300.0)
# Rejections count as the first ones again after this time without any.
FORGET_SECONDS: Final = 3600.0
MAX_TRIES: Final = 3
WINDOW_SECONDS: Final = 300.0
# How long accepted credentials pass whatever others are tried.
TRUST_SECONDS: Final = 30 * 24 * 3600.0
# Each of `MAX_TRIES` different credentials may be the one that was rejected `MAX_TRIES` times before the others.
_MOST_COUNTED: Final = 2 * MAX_TRIES
# How long requests wait for the first try of the same credentials, and how often they look.
TRIAL_SECONDS: Final = 15.0
_LOOK_SECONDS: Final = 0.02

# The cloud refuses these only to a caller that it knows.
_SAID_TO_KNOWN_CALLERS: Final = (PermissionDeniedError, VMNotFoundError)


class LoginThrottledError(ThrottledError):
    """Too many other credentials were tried. The cloud was not asked about these."""


@dataclass(frozen=True)
class _Record:
    """What is known of credentials: times by the throttle's clock, 0 for never."""

    accepted_at: float = 0.0
    rejected_at: float = 0.0
    rejections: float = 0.0
    trial_until: float = 0.0

    layout = struct.Struct("4d")

    @classmethod
    def unpack(cls, raw: bytes | None) -> Self:
        return cls(*cls.layout.unpack(raw)) if raw else cls()

    def pack(self) -> bytes:
        return self.layout.pack(self.accepted_at, self.rejected_at, self.rejections, self.trial_until)

    @property
    def is_doubtful(self) -> bool:
        """Whether the cloud has accepted the credentials lately, and rejected them once since."""
        return bool(self.accepted_at) and self.rejections == 1

    def is_trusted(self, now: float) -> bool:
        return bool(self.accepted_at) and not self.rejections and now < self.accepted_at + TRUST_SECONDS

    def was_rejected_since(self, since: float, now: float) -> bool:
        """Whether a request that began at `since` may have shared the last rejection."""
        return since <= self.rejected_at and now < self.rejected_at + self._pause_seconds

    def refused_seconds(self, now: float) -> float:
        """Return for how long the credentials are refused from memory; not positive if they are not."""
        return 0.0 if self.is_doubtful else self.rejected_at + self._pause_seconds - now

    def rejected(self, now: float) -> _Record:
        """Return the record after one more rejection."""
        is_first = now > self.rejected_at + FORGET_SECONDS
        accepted_at = 0.0 if self.rejections else self.accepted_at
        return _Record(accepted_at, rejected_at=now, rejections=1 if is_first else self.rejections + 1)

    @property
    def lifetime_seconds(self) -> float:
        if self.accepted_at:
            return TRUST_SECONDS
        return FORGET_SECONDS if self.rejections or self.trial_until else 0.0

    @property
    def _pause_seconds(self) -> float:
        return (0.0, *PAUSES_SECONDS)[min(int(self.rejections), len(PAUSES_SECONDS))]


@dataclass(frozen=True)
class _Try:
    """A request with credentials that were not accepted, since when it counts, and whether they were rejected."""

    credentials: bytes
    since: float
    is_rejected: bool = False

    layout = struct.Struct(f"{KEY_BYTES}sd?")


@dataclass(frozen=True)
class Caller:
    """Digests of a caller: of the credentials, of the client, and of the access key with the client.

    `target` names the cloud and the environment in errors.
    """

    credentials: bytes
    source: bytes
    client: bytes
    target: str


class LoginThrottle:
    """Memory of accepted and rejected credentials. It keeps at most `entries` of them; `clock` counts seconds."""

    def __init__(self, *, entries: int = 8192, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._hmac_key = secrets.token_bytes(32)
        self._lock = SharedLock()
        self._records = SharedTable(_Record.layout.size, entries, clock)
        self._windows = SharedTable(_Try.layout.size * _MOST_COUNTED, entries, clock)

    @contextmanager
    def attempt(
        self, authority: str, credentials: Credentials, client: str, target: str = "The cloud"
    ) -> Iterator[LoginAttempt]:
        """Let a request use its credentials.

        Its end proves nothing: it may have asked the cloud nothing. Only `accept` and `reject` are remembered.

        Args:
            authority: what checks the credentials, however many environments lead to it.
            credentials: the caller's.
            client: address of the client, empty if there is none.
            target: the cloud and the environment, for errors.

        Raises:
            CredentialsUnusableError: the cloud has rejected them lately.
            LoginThrottledError: too many others were tried from this client.

        """
        caller = self.caller(authority, credentials, client, target)
        attempt = LoginAttempt(self, caller, self._clock())
        is_trial = self.begin(caller)
        token = _current.set(attempt)
        try:
            yield attempt
        finally:
            _current.reset(token)
            if is_trial:
                self.end_trial(caller)

    def caller(self, authority: str, credentials: Credentials, client: str, target: str = "The cloud") -> Caller:
        """Return the digests of a caller; for the arguments see `attempt`."""
        return Caller(
            self._digest("credentials", authority, credentials.access_key, credentials.secret),
            # Many clouds take `Admin` and `admin` for one account.
            self._digest("source", authority, credentials.access_key.casefold(), client),
            self._digest("client", client),
            target,
        )

    def begin(self, caller: Caller) -> bool:
        """Let credentials through, after another request that tries the same ones. Return whether this is a trial.

        Raises:
            CredentialsUnusableError, LoginThrottledError: as in `attempt`.

        """
        with self._lock.acquire():
            now, record = self._clock(), self._record(caller)
            if record.is_trusted(now):
                return False
            self._count(caller, record, now)
            trial_until = record.trial_until
            if trial_until <= now:
                self._write(caller, replace(record, trial_until=now + TRIAL_SECONDS))
                return True
        while self._clock() < trial_until and self._is_tried(caller):
            time.sleep(_LOOK_SECONDS)
        self.check(caller, now)
        return False

    def check(self, caller: Caller, since: float) -> None:
        """Refuse credentials that the cloud has rejected since then, or so often that they have to wait.

        Raises:
            CredentialsUnusableError: it has.

        """
        with self._lock.acquire():
            now, record = self._clock(), self._record(caller)
            wait = self._refused_seconds(caller, record, self._tries(caller, now), now)
            if wait > 0 or record.rejected_at >= since:
                raise _refusal(caller, max(wait, 1.0))

    def accept(self, caller: Caller) -> None:
        """Remember that the cloud has accepted the credentials."""
        with self._lock.acquire():
            self._write(caller, _Record(accepted_at=self._clock()))
            self._drop_tries(caller)

    def reject(self, caller: Caller, since: float) -> float:
        """Remember that the cloud has rejected the credentials, and return for how long they are refused.

        Requests that share one log-in count once: a recent rejection after `since`, when this request began, was
        theirs.
        """
        with self._lock.acquire():
            now, record = self._clock(), self._record(caller)
            is_shared = record.was_rejected_since(since, now)
            if not is_shared:
                record = record.rejected(now)
                self._write(caller, record)
            tries = self._tries(caller, now)
            own = _of(caller, tries)
            if own and not is_shared:
                # It may have begun long ago, with a request that asked the cloud nothing.
                tries.remove(own[-1])
            if not own or not is_shared:
                tries.append(_Try(caller.credentials, now))
            tries = [replace(one, is_rejected=True) if one in _of(caller, tries) else one for one in tries]
            self._write_tries(caller, tries)
            return self._refused_seconds(caller, record, tries, now)

    def end_trial(self, caller: Caller) -> None:
        """Let the requests go on that wait for the first try of these credentials, whatever became of it."""
        with self._lock.acquire():
            record = self._record(caller)
            if record.trial_until:
                self._write(caller, replace(record, trial_until=0.0))

    def _is_tried(self, caller: Caller) -> bool:
        with self._lock.acquire():
            return self._record(caller).trial_until > self._clock()

    def _count(self, caller: Caller, record: _Record, now: float) -> None:
        """Count a try, unless the same credentials are being tried, or count already and were not rejected.

        Raises:
            CredentialsUnusableError, LoginThrottledError: as in `attempt`.

        """
        tries = self._tries(caller, now)
        wait = self._refused_seconds(caller, record, tries, now)
        if wait > 0:
            raise _refusal(caller, wait)
        own = _of(caller, tries)
        if own and (record.trial_until > now or not own[-1].is_rejected):
            return
        latest = {one.credentials: one.since for one in tries}
        if not own and not record.is_doubtful and len(latest) >= MAX_TRIES:
            # One that is being tried may be right, and count no more then.
            is_open = any(_Record.unpack(self._records.get(one)).trial_until > now for one in latest)
            wait = 1.0 if is_open else min(latest.values()) + WINDOW_SECONDS - now
            raise _too_many(f"{MAX_TRIES} different secrets for this access key", wait)
        if not self._write_tries(caller, [*tries, _Try(caller.credentials, now)]) and not record.is_doubtful:
            raise _too_many("Too many different access keys", WINDOW_SECONDS)

    def _refused_seconds(self, caller: Caller, record: _Record, tries: list[_Try], now: float) -> float:
        """Return for how long rejected credentials must wait: for their own pause, and while too many tries count."""
        wait, own = record.refused_seconds(now), _of(caller, tries)
        if len(tries) < MAX_TRIES or record.is_doubtful or not own or not own[-1].is_rejected:
            return wait
        return max(wait, tries[-MAX_TRIES].since + WINDOW_SECONDS - now)

    def _record(self, caller: Caller) -> _Record:
        return _Record.unpack(self._records.get(caller.credentials))

    def _write(self, caller: Caller, record: _Record) -> None:
        expires_at = self._clock() + record.lifetime_seconds
        self._records.put(caller.credentials, record.pack(), caller.client, expires_at)

    def _tries(self, caller: Caller, now: float) -> list[_Try]:
        """Return the tries from the caller's source that count, oldest first."""
        raw = self._windows.get(caller.source) or b""
        found = (_Try(*fields) for fields in _Try.layout.iter_unpack(raw))
        return [one for one in found if one.since and now < one.since + WINDOW_SECONDS]

    def _write_tries(self, caller: Caller, tries: list[_Try]) -> bool:
        """Write the tries from the caller's source. Return False if its client has no room for one more source."""
        tries = tries[-_MOST_COUNTED:]
        expires_at = tries[-1].since + WINDOW_SECONDS if tries else 0.0
        packed = b"".join(_Try.layout.pack(one.credentials, one.since, one.is_rejected) for one in tries)
        value = packed.ljust(_Try.layout.size * _MOST_COUNTED, b"\0")
        return self._windows.put(caller.source, value, caller.client, expires_at, evict_own=False)

    def _drop_tries(self, caller: Caller) -> None:
        tries = self._tries(caller, self._clock())
        own = _of(caller, tries)
        if own:
            self._write_tries(caller, [one for one in tries if one not in own])

    def _digest(self, *parts: str) -> bytes:
        digest = hmac.new(self._hmac_key, digestmod=hashlib.sha256)
        for part in parts:
            raw = part.encode()
            # The length keeps ("ab", "c") and ("a", "bc") apart.
            digest.update(len(raw).to_bytes(4, "big") + raw)
        return digest.digest()[:KEY_BYTES]


class LoginAttempt:
    """One request's use of its credentials."""

    def __init__(self, throttle: LoginThrottle, caller: Caller, began_at: float) -> None:
        self._throttle = throttle
        self._caller = caller
        self._began_at = began_at
        self._is_accepted = False

    def check(self) -> None:
        """Refuse the credentials if the cloud has rejected them meanwhile, in another request.

        Raises:
            CredentialsUnusableError: it has.

        """
        self._throttle.check(self._caller, self._began_at)

    def accept(self) -> None:
        """Remember that the cloud has accepted the credentials."""
        if not self._is_accepted:
            self._is_accepted = True
            self._throttle.accept(self._caller)

    def judge(self, failure: ProviderError) -> ProviderError:
        """Remember what a failed request says of its credentials, and return the error for its caller."""
        if isinstance(failure, _SAID_TO_KNOWN_CALLERS):
            self.accept()
        if not isinstance(failure, CredentialsRejectedError) or isinstance(failure, CredentialsUnusableError):
            return failure
        pause = self._throttle.reject(self._caller, self._began_at)
        if pause <= 0:
            return failure
        # Other requests may have got the same error object from a log-in that they shared.
        told = copy.copy(failure)
        told.detail += f" The cloud is not asked about these credentials again for {_in_words(pause)}."
        told.retry_after_seconds = pause
        return told


_current: ContextVar[LoginAttempt | None] = ContextVar("cloudvm_login_attempt", default=None)


def credentials_accepted() -> None:
    """Report that the backend has answered a call that carried the running request's credentials."""
    attempt = _current.get()
    if attempt is not None:
        attempt.accept()


def _of(caller: Caller, tries: list[_Try]) -> list[_Try]:
    """Return the tries of the caller's credentials."""
    return [one for one in tries if one.credentials == caller.credentials]


def _refusal(caller: Caller, wait: float) -> CredentialsUnusableError:
    return CredentialsUnusableError(
        f"{caller.target} rejected these credentials lately; the answer then said why. It was not asked again, as it "
        "might lock the account. Check the access key and the secret. The same ones can be tried again in "
        f"{_in_words(wait)}.",
        retry_after_seconds=wait,
    )


def _too_many(what: str, wait: float) -> LoginThrottledError:
    return LoginThrottledError(
        f"{what} were tried from this address lately. The cloud was not asked about another one, as it might lock the "
        f"account. Try again in {_in_words(wait)}. Credentials that were accepted lately go on working.",
        retry_after_seconds=wait,
    )


def _in_words(seconds: float) -> str:
    whole = whole_seconds(seconds)
    return f"{whole} second{'' if whole == 1 else 's'}"
