"""Limits on the requests of one process."""

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from providers.errors import UnavailableError
from providers.gateway import Limits
from providers.limits import Bulkhead, RequestKind
from tests.support.threads import at_once

READ, CHANGE = RequestKind.READ, RequestKind.CHANGE


def bulkhead(*, reads: int = 1, changes: int = 2, max_changes: int = 3, max_requests: int = 5) -> Bulkhead:
    """Return a bulkhead with small limits."""
    return Bulkhead(
        reads_per_environment=reads,
        changes_per_environment=changes,
        max_changes=max_changes,
        max_requests=max_requests,
    )


@pytest.fixture
def frequent_switches() -> Iterator[None]:
    """Make threads switch as often as they can."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)


def refusal(full: Bulkhead, environment: str, kind: RequestKind) -> UnavailableError | None:
    """Return the error for a further request, None if it is accepted."""
    try:
        with full.acquire(environment, kind):
            return None
    except UnavailableError as error:
        return error


def test_request_beyond_the_limit_of_its_environment_is_refused_at_once() -> None:
    """The error names the environment, the limit and a time to retry; the slot is free afterwards."""
    one = bulkhead()
    with one.acquire("a", READ):
        begun = time.monotonic()
        refused = refusal(one, "a", READ)
        assert time.monotonic() - begun < 0.5
        assert refused is not None
        assert refused.detail.startswith("Environment 'a' has 1 reads in progress")
        assert refused.retry_after_seconds == 1
        assert refusal(one, "b", READ) is None
    assert refusal(one, "a", READ) is None


def test_changes_leave_room_for_reads_and_reads_for_changes() -> None:
    """Each kind has a limit of its own."""
    one = bulkhead()
    with one.acquire("a", CHANGE), one.acquire("a", CHANGE):
        refused = refusal(one, "a", CHANGE)
        assert refused is not None
        assert "'a' has 2 changes in progress" in refused.detail
        assert refused.retry_after_seconds == 5
        with one.acquire("a", READ):
            assert refusal(one, "a", READ) is not None
            assert refusal(one, "b", CHANGE) is None


def test_changes_of_all_environments_have_a_sum() -> None:
    """So that threads remain for reads, however many environments are slow."""
    one = bulkhead()
    with one.acquire("a", CHANGE), one.acquire("a", CHANGE), one.acquire("b", CHANGE):
        refused = refusal(one, "c", CHANGE)
        assert refused is not None
        assert refused.detail.startswith("This process has 3 changes in progress in all environments")
        assert refusal(one, "c", READ) is None


def test_requests_of_all_environments_have_a_sum() -> None:
    """So that threads remain for what needs no cloud."""
    one = bulkhead()
    with ExitStack() as running:
        for environment in "abcde":
            running.enter_context(one.acquire(environment, READ))
        refused = refusal(one, "f", READ)
        assert refused is not None
        assert refused.detail.startswith("This process has 5 requests in progress in all environments")


def test_slot_is_released_when_its_request_fails() -> None:
    """Otherwise the slots would be used up one day."""
    one = bulkhead()
    for _ in range(3):
        with pytest.raises(KeyError), one.acquire("a", READ):
            raise KeyError


@pytest.mark.usefixtures("frequent_switches")
def test_simultaneous_requests_do_not_exceed_the_limit() -> None:
    """Of eight requests that start at the same moment in a new environment, one is accepted."""
    one = bulkhead()
    refused = threading.Semaphore(0)

    def take(name: str) -> bool:
        try:
            with one.acquire(name, READ):
                # Held until all the others have been refused.
                return all(refused.acquire(timeout=5) for _ in range(7))
        except UnavailableError:
            refused.release()
            return False

    for attempt in range(20):
        assert sum(at_once(8, lambda _, name=str(attempt): take(name))) == 1  # type: ignore[misc] # a default binds it


@pytest.mark.parametrize(
    ("threads", "changes", "requests"),
    [(256, 192, 240), (64, 48, 60), (5, 3, 4), (4, 2, 3), (3, 1, 2), (2, 1, 2), (1, 1, 1)],
)
def test_limits_leave_threads_for_reads_and_probes(threads: int, changes: int, requests: int) -> None:
    """A quarter of the server's threads takes no changes, a sixteenth no requests to clouds, and one is for a read."""
    limits = Limits(threads=threads)
    assert (limits.changes, limits.requests) == (changes, requests)
