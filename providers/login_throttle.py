"""Login throttle: keeps wrong credentials away from the clouds, which lock an account after a few of them.

- Credentials that a cloud has rejected are refused from memory for a while, longer after each rejection.
- For one access key and client, `MAX_UNPROVEN` different credentials may be tried within `WINDOW_SECONDS`. Others
  must wait, unless the cloud has accepted them lately.
- While unknown credentials are tried for the first time, other requests with the same ones wait for the outcome.

The memory holds digests under a key that is drawn at start, never credentials. A process shares it with its forks.
"""

from __future__ import annotations

import copy
import hashlib
import hmac
import math
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
)
from providers.shared_memory import KEY_BYTES, SharedLock, SharedTable

# How long credentials are refused from memory after their first, second and each further rejection.
PAUSES_SECONDS: Final = (5.0, 30.0, 300.0)
# Rejections count as the first ones again after this time without any.
FORGET_SECONDS: Final = 3600.0
MAX_UNPROVEN: Final = 3
WINDOW_SECONDS: Final = 300.0
# How long accepted credentials pass whatever others are tried.
TRUST_SECONDS: Final = 24 * 3600.0
# How long requests wait for the first try of the same credentials, and how often they look.
TRIAL_SECONDS: Final = 15.0
_LOOK_SECONDS: Final = 0.02

# The cloud refuses these only to a caller that it knows.
_SAID_TO_KNOWN_CALLERS: Final = (PermissionDeniedError, VMNotFoundError)


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

    def is_trusted(self, now: float) -> bool:
        return bool(self.accepted_at) and now < self.accepted_at + TRUST_SECONDS

    def refused_seconds(self, now: float) -> float:
        """Return for how long the credentials are refused from memory; not positive if they are not."""
        if not self.rejections:
            return 0.0
        return self.rejected_at + PAUSES_SECONDS[min(int(self.rejections), len(PAUSES_SECONDS)) - 1] - now


@dataclass(frozen=True)
class _Try:
    """Credentials that were let through and not accepted, and since when they count."""

    credentials: bytes
    since: float

    layout = struct.Struct(f"{KEY_BYTES}sd")


@dataclass(frozen=True)
class Caller:
    """Digests of a caller: of the credentials, and of the access key with the client that sent it."""

    credentials: bytes
    source: bytes


class LoginThrottle:
    """Memory of accepted and rejected credentials. It keeps at most `entries` of them; `clock` counts seconds."""

    def __init__(self, *, entries: int = 8192, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._hmac_key = secrets.token_bytes(32)
        self._lock = SharedLock()
        self._records = SharedTable(_Record.layout.size, entries, clock)
        self._windows = SharedTable(_Try.layout.size * MAX_UNPROVEN, entries, clock)

    @contextmanager
    def attempt(self, environment: str, credentials: Credentials, client: str) -> Iterator[LoginAttempt]:
        """Let a request use its credentials in an environment.

        Args:
            environment: everything that defines the environment.
            credentials: the caller's.
            client: address of the client, empty if there is none.

        Raises:
            CredentialsUnusableError: the cloud has rejected them lately.
            ThrottledError: too many others were tried from this client.

        """
        caller = self.caller(environment, credentials, client)
        attempt = LoginAttempt(self, caller, self._clock())
        is_trial = self.begin(caller)
        token = _current.set(attempt)
        try:
            yield attempt
            attempt.accept()
        finally:
            _current.reset(token)
            if is_trial:
                self.end_trial(caller)

    def caller(self, environment: str, credentials: Credentials, client: str) -> Caller:
        """Return the digests of a caller; for the arguments see `attempt`."""
        return Caller(
            self._digest("credentials", environment, credentials.access_key, credentials.secret),
            self._digest("source", environment, credentials.access_key, client),
        )

    def begin(self, caller: Caller) -> bool:
        """Let credentials through, after another request that tries the same ones. Return whether this is a trial.

        Raises:
            CredentialsUnusableError, ThrottledError: as in `attempt`.

        """
        with self._lock.acquire():
            now, record = self._clock(), self._record(caller)
            if record.is_trusted(now):
                return False
            _refuse(record, now)
            self._count(caller, now)
            trial_until = record.trial_until
            if trial_until <= now:
                self._write(caller, replace(record, trial_until=now + TRIAL_SECONDS))
                return True
        while self._clock() < trial_until and self._is_tried(caller):
            time.sleep(_LOOK_SECONDS)
        self.check(caller)
        return False

    def check(self, caller: Caller) -> None:
        """Refuse credentials that the cloud has rejected lately.

        Raises:
            CredentialsUnusableError: it has.

        """
        with self._lock.acquire():
            _refuse(self._record(caller), self._clock())

    def accept(self, caller: Caller) -> None:
        """Remember that the cloud has accepted the credentials."""
        with self._lock.acquire():
            self._write(caller, _Record(accepted_at=self._clock()))
            tries = self._tries(caller)
            left = [one for one in tries if one.credentials != caller.credentials]
            if len(left) != len(tries):
                self._write_tries(caller, left)

    def reject(self, caller: Caller, since: float) -> float:
        """Remember that the cloud has rejected the credentials, and return for how long they are refused.

        Requests that share one log-in count once: a recent rejection after `since`, when this request began, was
        theirs.
        """
        with self._lock.acquire():
            now, record = self._clock(), self._record(caller)
            if record.rejected_at < since or record.refused_seconds(now) <= 0:
                forgotten = now > record.rejected_at + FORGET_SECONDS
                record = _Record(rejected_at=now, rejections=1 if forgotten else record.rejections + 1)
                self._write(caller, record)
            return record.refused_seconds(now)

    def end_trial(self, caller: Caller) -> None:
        """Let the requests go on that wait for the first try of these credentials, whatever became of it."""
        with self._lock.acquire():
            record = self._record(caller)
            if record.trial_until:
                self._write(caller, replace(record, trial_until=0.0))

    def _is_tried(self, caller: Caller) -> bool:
        with self._lock.acquire():
            return self._record(caller).trial_until > self._clock()

    def _count(self, caller: Caller, now: float) -> None:
        """Count a try of credentials that nobody has accepted, unless they count already."""
        tries = [one for one in self._tries(caller) if now < one.since + WINDOW_SECONDS]
        if any(one.credentials == caller.credentials for one in tries):
            return
        if len(tries) >= MAX_UNPROVEN:
            wait = tries[0].since + WINDOW_SECONDS - now
            if any(_Record.unpack(self._records.get(one.credentials)).trial_until > now for one in tries):
                # Those may be right, and count no more then.
                wait = 1.0
            raise ThrottledError(
                f"{MAX_UNPROVEN} different secrets for this access key were tried from this address lately. The cloud "
                f"was not asked about another one, as it might lock the account. Try again in {_in_words(wait)}. "
                "Credentials that were accepted lately go on working.",
                retry_after_seconds=wait,
            )
        self._write_tries(caller, [*tries, _Try(caller.credentials, now)])

    def _record(self, caller: Caller) -> _Record:
        return _Record.unpack(self._records.get(caller.credentials))

    def _write(self, caller: Caller, record: _Record) -> None:
        self._records.put(caller.credentials, record.pack())

    def _tries(self, caller: Caller) -> list[_Try]:
        """Return the tries from the caller's source, oldest first."""
        raw = self._windows.get(caller.source) or b""
        return [one for one in (_Try(*fields) for fields in _Try.layout.iter_unpack(raw)) if one.since]

    def _write_tries(self, caller: Caller, tries: list[_Try]) -> None:
        packed = (_Try.layout.pack(one.credentials, one.since) for one in tries)
        self._windows.put(caller.source, b"".join(packed).ljust(_Try.layout.size * MAX_UNPROVEN, b"\0"))

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
        self._throttle.check(self._caller)

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


def _refuse(record: _Record, now: float) -> None:
    wait = record.refused_seconds(now)
    if wait > 0:
        raise CredentialsUnusableError(
            f"The cloud rejected these credentials {_in_words(now - record.rejected_at)} ago; the answer then said "
            f"why. It was not asked again, as it might lock the account. It is asked again in {_in_words(wait)}.",
            retry_after_seconds=wait,
        )


def _in_words(seconds: float) -> str:
    whole = max(1, math.ceil(seconds))
    return f"{whole} second{'' if whole == 1 else 's'}"
