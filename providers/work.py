"""One verb at work: waiting for its steps, forcing a guest whose time is over, removing what a failed create made."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from providers.deadline import Deadline, delays, reconnect_from_now_on, running
from providers.domain import FORCED, Operation, Verb
from providers.driver import Driver
from providers.errors import (
    AlreadyInStateError,
    BackendTimeoutError,
    Leftover,
    NotOwnedError,
    ProviderError,
    VMNotFoundError,
)
from providers.waiting import FIRST_DELAY_SECONDS, NOT_SEEN, POLL_SECONDS, TRANSIENT, wait_until_done

_logger = logging.getLogger("cloudvm.gateway")

# How long removing what a failed create made may take, beyond the request's own deadline.
CLEAN_UP_SECONDS = 60.0


@dataclass(frozen=True)
class Times:
    """How a process waits for clouds, in seconds.

    `first_poll_delay_seconds`: the pause before the first poll. `clean_up_seconds`: how long removing what a failed
    create made may take.
    """

    first_poll_delay_seconds: float = FIRST_DELAY_SECONDS
    clean_up_seconds: float = CLEAN_UP_SECONDS


@dataclass(frozen=True)
class Wish:
    """What the caller wants to wait for.

    `patience_seconds`: how long to wait for the end; None waits for it (until the deadline, which is then a
    `BackendTimeoutError`); 0 returns as soon as the cloud has accepted the last step. `representation`: whether
    the VM is to be shown afterwards.
    """

    patience_seconds: float | None = None
    representation: bool = False


UNTIL_DONE = Wish()


class StillGoingOnError(BackendTimeoutError):
    """The deadline passed while the cloud was at work on `operation`, which goes on without us."""

    operation: Operation

    def __init__(self, operation: Operation) -> None:
        super().__init__(
            f"The cloud accepted the {operation.verb} of VM {operation.vm_id} and had not finished when the request's "
            "deadline passed. It may still finish: look at the VM, or follow the operation."
        )
        self.operation = operation


@dataclass(frozen=True, eq=False)
class _Made:
    """An object that a create has made, and how it is removed."""

    kind: str
    id: str
    remove: Callable[[], object]


class RunningWork:
    """One verb at work: waits for its steps and remembers what it made. Lent to drivers as `driver.Work`."""

    def __init__(self, driver: Driver, deadline: Deadline, times: Times) -> None:
        self._driver = driver
        self._deadline = deadline
        self._times = times
        self._made: list[_Made] = []
        self._failures: tuple[type[Exception], ...] = (ProviderError, *driver.vendor_errors)

    def finish(self, operation: Operation) -> Operation:
        """See `driver.Work`."""
        reconnect_from_now_on()
        operation = self._wait(operation, self.look, self._deadline)
        if operation.failure is not None:
            raise operation.failure
        if not operation.done:
            raise BackendTimeoutError("The request's deadline passed before the last step could be started.")
        return operation

    def made(self, kind: str, made_id: str, remove: Callable[[], object]) -> None:
        """See `driver.Work`."""
        reconnect_from_now_on()
        self._made.append(_Made(kind, made_id, remove))

    def forget(self, made_id: str) -> None:
        """See `driver.Work`."""
        self._made = [made for made in self._made if made.id != made_id]

    def awaited(self, operation: Operation, wish: Wish) -> Operation:
        """Wait for the last step as long as the caller wishes.

        Raises:
            ProviderError: the work failed; or, with `operation` set, it goes on and cannot be seen or takes too long.

        """
        until = self._patience(wish)
        accepted = operation
        try:
            operation = self._wait(operation, self.look, until)
            if wish.representation:
                operation = self.represented(operation, until)
        except NOT_SEEN as error:
            error.operation = accepted
            error.detail += f" The cloud had accepted the {accepted.verb} of VM {accepted.vm_id}. It may still finish."
            raise
        if operation.failure is not None:
            raise operation.failure
        if not operation.done and wish.patience_seconds is None:
            raise StillGoingOnError(operation)
        return operation

    def look(self, operation: Operation) -> Operation:
        """Look once; a guest whose time is over is forced, or given up, as the caller asked."""
        if not operation.handle:
            # The work was done when it was asked for. It is followed because its VM could not be shown.
            return replace(operation, done=True)
        try:
            seen = self._driver.poll(operation)
            if not seen.done and seen.guest_until is not None and time.time() >= seen.guest_until:
                return self._guest_overdue(seen)
        except self._driver.vendor_errors as error:
            raise self._driver.translate(error) from error
        return seen

    def represented(self, operation: Operation, until: Deadline) -> Operation:
        """Return a done operation with its VM.

        Where the VM cannot be shown before `until`, a create comes back as not done, any other verb without a VM.
        """
        if not operation.done or operation.failure or operation.vm or operation.verb is Verb.DELETE:
            return operation
        try:
            with running(until, POLL_SECONDS):
                shown = self._shown(operation)
        except TRANSIENT:
            shown = self._wait(replace(operation, done=False), self._shown, until)
        return shown if shown.done or operation.verb is Verb.CREATE else operation

    def _wait(self, operation: Operation, poll: Callable[[Operation], Operation], until: Deadline) -> Operation:
        return wait_until_done(operation, poll, until, self._times.first_poll_delay_seconds)

    def _shown(self, operation: Operation) -> Operation:
        try:
            vm = self._driver.get_vm(operation.vm_id) if operation.vm_id else None
        except self._driver.vendor_errors as error:
            raise self._driver.translate(error) from error
        return replace(operation, done=True, vm=vm)

    def remove_made(self) -> tuple[Leftover, ...]:
        """Remove what the failed create made, newest first, and return what became of each object.

        This has a deadline of its own. Failed removals are repeated in rounds until then, so that no object uses up
        the time of the others. An object that belongs to another create is left alone and left out.
        """
        made, self._made = self._made[::-1], []
        if not made:
            return ()
        self._deadline = Deadline.after(self._times.clean_up_seconds)
        with running(self._deadline):
            failures = self._remove_all(made)
        owned = [one for one in made if not isinstance(failures.get(one), NotOwnedError)]
        for one in owned:
            if one in failures:
                _logger.warning("a failed create leaves %s %s behind: %s", one.kind, one.id, failures[one].detail)
        return tuple(Leftover(one.kind, one.id, removed=one not in failures) for one in owned)

    def keep_made(self) -> None:
        """What was made stays: the create has succeeded, or goes on in the cloud."""
        self._made.clear()

    def _remove_all(self, made: list[_Made]) -> dict[_Made, ProviderError]:
        """Remove objects in this order, and return why some are still there."""
        failures: dict[_Made, ProviderError] = {}
        for delay in delays(self._times.first_poll_delay_seconds):
            # A disk that is in use may not be after the next round.
            left = [one for one in made if not failures or one in failures]
            failures = {one: failure for one in left if (failure := self._removal_failure(one)) is not None}
            transient = [failure for failure in failures.values() if isinstance(failure, TRANSIENT)]
            pause = max((failure.retry_after_seconds or delay for failure in transient), default=math.inf)
            if pause >= self._deadline.remaining_seconds:
                break
            time.sleep(pause)
        return failures

    def _removal_failure(self, made: _Made) -> ProviderError | None:
        """Try to remove an object; None means that it is gone."""
        try:
            made.remove()
        except self._failures as error:
            failure = translated(self._driver, error)
            return None if isinstance(failure, VMNotFoundError) else failure
        return None

    def _patience(self, wish: Wish) -> Deadline:
        if wish.patience_seconds is None:
            return self._deadline
        return Deadline.after(min(wish.patience_seconds, self._deadline.remaining_seconds))

    def _guest_overdue(self, operation: Operation) -> Operation:
        vm_id = operation.vm_id or ""
        if not operation.then_force:
            return replace(operation, done=True, failure=_guest_did_not_obey(operation))
        try:
            # A change has its time, also within a look.
            with running(self._deadline):
                if operation.verb is Verb.RESTART:
                    return self._driver.restart_vm(vm_id, self, FORCED)
                return self._driver.stop_vm(vm_id, self, FORCED)
        except AlreadyInStateError:
            return replace(operation, done=True)


def translated(driver: Driver | type[Driver], error: Exception) -> ProviderError:
    """A vendor's error in our words; one of ours as it is."""
    return error if isinstance(error, ProviderError) else driver.translate(error)


def _guest_did_not_obey(operation: Operation) -> BackendTimeoutError:
    return BackendTimeoutError(
        f"The guest of VM {operation.vm_id} was asked to {operation.verb} and did not within its time. "
        "It may still do so. Use mode=auto or mode=force to cut its power."
    )
