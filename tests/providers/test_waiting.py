"""The one waiting loop."""

import time
from collections.abc import Callable
from dataclasses import replace

import pytest

from providers.deadline import Deadline
from providers.domain import Operation, Verb
from providers.errors import (
    BackendFailureError,
    BackendTimeoutError,
    BackendUnreachableError,
    ConflictError,
    ProviderError,
    ThrottledError,
    UnavailableError,
)
from providers.trace import Trace, tracing
from providers.waiting import wait_until_done

WORK = Operation(Verb.START, "vm-1")
DONE = replace(WORK, done=True)


def looks(*outcomes: Operation | Exception) -> tuple[Callable[[Operation], Operation], list[float]]:
    """A look with these outcomes in order, and the times at which it was asked."""
    coming = list(outcomes)
    times: list[float] = []

    def look(operation: Operation) -> Operation:
        times.append(time.monotonic())
        outcome = coming.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    return look, times


def test_wait_for_what_is_done_does_not_look() -> None:
    """Nor sleep, whatever the deadline."""
    look, times = looks()
    assert wait_until_done(DONE, look, Deadline.after(0)) is DONE
    assert times == []


def test_wait_pauses_longer_each_time() -> None:
    """From 0.2 s on."""
    look, times = looks(WORK, WORK, WORK, DONE)
    begun = time.monotonic()
    assert wait_until_done(WORK, look, Deadline.after(10)).done
    pauses = [later - earlier for earlier, later in zip([begun, *times], times, strict=False)]
    # A busy machine may oversleep; it does not wake up too early.
    assert all(pause >= least for pause, least in zip(pauses, (0.2, 0.3, 0.45, 0.675), strict=True))


def test_wait_follows_the_clouds_own_word() -> None:
    """Its Retry-After goes before our pauses, shorter or longer."""
    look, times = looks(replace(WORK, retry_after_seconds=0.8), DONE)
    begun = time.monotonic()
    wait_until_done(replace(WORK, retry_after_seconds=0.01), look, Deadline.after(60), first_delay_seconds=20)
    assert times[0] - begun < 15
    assert 0.8 <= times[1] - times[0] < 15


def test_wait_for_a_cloud_that_names_no_time_keeps_our_pauses() -> None:
    """`Retry-After: 0` is no leave to ask as fast as the network can."""
    at_once_ = replace(WORK, retry_after_seconds=0.0)
    look, times = looks(*[at_once_] * 100)
    wait_until_done(at_once_, look, Deadline.after(0.5))
    assert len(times) <= 3


def test_wait_after_a_throttled_look_follows_what_came_with_it() -> None:
    """It is newer than what the last answer said; looking on at the old pace would keep the cloud throttling."""
    look, times = looks(ThrottledError("Too many.", retry_after_seconds=0.6), DONE)
    wait_until_done(replace(WORK, retry_after_seconds=0.01), look, Deadline.after(10))
    assert times[1] - times[0] >= 0.6


def test_wait_ends_at_the_deadline_with_what_was_seen_last() -> None:
    """No later, whatever the cloud asks for."""
    later = replace(WORK, handle="later", retry_after_seconds=1e9)
    look, _ = looks(later, later, later)
    begun = time.monotonic()
    seen = wait_until_done(WORK, look, Deadline.after(0.5))
    assert 0.5 <= time.monotonic() - begun < 15
    assert (seen.done, seen.handle) == (False, "later")


@pytest.mark.parametrize(
    "error",
    [ThrottledError, UnavailableError, BackendUnreachableError, BackendFailureError, BackendTimeoutError],
)
def test_wait_with_failed_polls_goes_on(error: type[ProviderError]) -> None:
    """A failed poll says nothing about the work, however many there are."""
    failed = [error("failed", retry_after_seconds=0.01) for _ in range(30)]
    soon = replace(WORK, retry_after_seconds=0.01)
    look, times = looks(*failed, soon, *failed, DONE)
    assert wait_until_done(soon, look, Deadline.after(20)).done
    assert len(times) == 2 * len(failed) + 2


def test_wait_with_failed_polls_ends_at_the_deadline() -> None:
    """The operation comes back as it was last seen."""
    seen = replace(WORK, handle="seen")
    look, _ = looks(seen, *[BackendUnreachableError("away")] * 99)
    assert wait_until_done(WORK, look, Deadline.after(1.0), first_delay_seconds=0.05) == seen


def test_wait_with_failed_polls_pauses_longer_each_time() -> None:
    """A backend in trouble is not asked at the first pace."""
    look, times = looks(*[BackendUnreachableError("away")] * 99)
    wait_until_done(WORK, look, Deadline.after(1.0), first_delay_seconds=0.1)
    assert len(times) <= 5


def test_wait_with_another_error_raises_it_at_once() -> None:
    """Looking again would not help."""
    look, times = looks(ConflictError("locked"))
    with pytest.raises(ConflictError):
        wait_until_done(WORK, look, Deadline.after(20))
    assert len(times) == 1


def test_wait_counts_as_time_of_the_backend() -> None:
    """`Server-Timing` tells the caller whose time it was."""
    look, _ = looks(DONE)
    with tracing(Trace("test")) as trace:
        wait_until_done(WORK, look, Deadline.after(5))
    assert 0.2 <= trace.backend_seconds <= trace.elapsed_seconds


def test_deadline_that_has_passed_leaves_no_time() -> None:
    """Never a negative one, which `sleep` would refuse."""
    assert Deadline.after(-5).remaining_seconds == 0
    assert 4 < Deadline.after(5).remaining_seconds <= 5
