"""How often somebody may try to sign in."""

from dataclasses import dataclass
from multiprocessing import get_context
from typing import Any

from tests.support.threads import at_once
from vms.attempts import Attempts


@dataclass
class Clock:
    """Time that passes when a test says so."""

    now: float = 1000.0

    def __call__(self) -> float:
        """The time."""
        return self.now


def quick(**options: Any) -> Attempts:
    """A counter that makes nobody wait between the tries of a window."""
    return Attempts(**{"pauses": (), **options})


def waits(attempts: Attempts, environment: str, access_key: str, count: int = 1) -> list[float]:
    """How long each of some tries, one after the other, has to wait."""
    return [attempts.admit(environment, access_key).wait for _ in range(count)]


def test_admit_refuses_the_fourth_try_and_says_how_long() -> None:
    """For this key alone."""
    attempts = quick()
    assert waits(attempts, "e", "k", 3) == [0, 0, 0]
    assert 59 < attempts.admit("e", "k").wait <= 60
    assert waits(attempts, "e", "other") == waits(attempts, "other", "k") == [0]


def test_admit_after_each_try_makes_the_next_wait_longer() -> None:
    """A second, five seconds, the rest of the minute: long enough against machines, short enough for who mistyped."""
    clock = Clock()
    attempts = Attempts(clock=clock)
    assert attempts.next_in("e", "k") == 0
    for pause in (1, 5, 54):
        assert attempts.admit("e", "k").wait == 0
        assert attempts.admit("e", "k").wait == attempts.next_in("e", "k") == pause
        clock.now += pause - 0.5
        assert attempts.admit("e", "k").wait == 0.5
        clock.now += 0.5
    assert attempts.admit("e", "k").wait == 0


def test_admit_after_the_time_allows_one_more_for_each_that_is_old() -> None:
    """A refused try does not count."""
    clock = Clock()
    attempts = quick(most=2, seconds=3.0, clock=clock)
    assert waits(attempts, "e", "k") == [0]
    clock.now += 2
    assert waits(attempts, "e", "k", 2) == [0, 1]
    clock.now += 1
    assert waits(attempts, "e", "k", 2) == [0, 2]


def test_admit_many_at_once_lets_in_three() -> None:
    """Tries that come together are no way around."""
    attempts = quick()
    assert at_once(20, lambda _: attempts.admit("e", "k").wait).count(0) == 3


def test_admit_in_another_process_of_the_server_counts_too() -> None:
    """A server's workers are forks of the process that made the counter."""
    attempts = quick()
    for _ in range(3):
        worker = get_context("fork").Process(target=attempts.admit, args=("e", "k"))
        worker.start()
        worker.join()
        assert worker.exitcode == 0
    assert attempts.admit("e", "k").wait > 0


def test_admit_when_full_refuses_rather_than_forgets() -> None:
    """Until the old ones count no more."""
    clock = Clock()
    attempts = quick(keys=2, clock=clock)
    assert waits(attempts, "e", "a") == waits(attempts, "e", "b") == [0]
    assert attempts.admit("e", "c").wait > 0
    assert attempts.next_in("e", "c") > 0
    attempts.take_back("e", "c", attempts.admit("e", "c"))
    clock.now += 61
    assert waits(attempts, "e", "c") == [0]


def test_admit_whoever_takes_the_place_of_another_begins_anew() -> None:
    """The tries of who stood there before are not his."""
    clock = Clock()
    attempts = quick(keys=1, clock=clock)
    waits(attempts, "e", "a", 3)
    clock.now += 61
    assert waits(attempts, "e", "b", 3) == [0, 0, 0]


def test_take_back_leaves_the_tries_that_were_wrong() -> None:
    """A right secret costs nothing, and gives whoever guesses at the same key no new tries."""
    attempts = quick()
    waits(attempts, "e", "k", 2)
    for _ in range(5):
        right = attempts.admit("e", "k")
        assert right.wait == 0
        attempts.take_back("e", "k", right)
    assert waits(attempts, "e", "k") == [0]
    assert attempts.admit("e", "k").wait > 0


def test_take_back_of_all_tries_leaves_no_pause() -> None:
    """Who was right at once may sign in again at once."""
    attempts = Attempts()
    attempts.take_back("e", "k", attempts.admit("e", "k"))
    assert waits(attempts, "e", "k") == [0]
