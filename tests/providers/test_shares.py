"""Each environment's share of the process."""

import sys
import threading
import time
from collections.abc import Iterator

import pytest

from providers.errors import UnavailableError
from providers.shares import Shares
from tests.support.threads import at_once


@pytest.fixture
def restless() -> Iterator[None]:
    """Threads that take turns as often as they can."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)


def test_share_that_is_taken_is_refused_after_a_while_and_free_afterwards() -> None:
    """With a time to come back."""
    shares = Shares(most=1, patience_seconds=0.1)
    with shares.taken("a"):
        begun = time.monotonic()
        with pytest.raises(UnavailableError, match="'a'") as caught, shares.taken("a"):
            pass
        assert time.monotonic() - begun >= 0.1
        assert caught.value.retry_after_seconds
        with shares.taken("b"):
            pass
    with shares.taken("a"):
        pass


def test_share_is_given_back_when_its_holder_fails() -> None:
    """Or it would be used up one day."""
    shares = Shares(most=1, patience_seconds=0)
    for _ in range(3):
        with pytest.raises(KeyError), shares.taken("a"):
            raise KeyError


@pytest.mark.usefixtures("restless")
def test_share_that_many_take_first_is_one_share() -> None:
    """Of those who come at the same moment to a fresh environment, only as many as are allowed get in."""
    shares = Shares(most=1, patience_seconds=0)
    refused = threading.Semaphore(0)

    def take(name: str) -> bool:
        try:
            with shares.taken(name):
                # Held until all the others have been told.
                return all(refused.acquire(timeout=5) for _ in range(7))
        except UnavailableError:
            refused.release()
            return False

    for attempt in range(20):
        assert sum(at_once(8, lambda _, name=str(attempt): take(name))) == 1  # type: ignore[misc] # a default binds it
