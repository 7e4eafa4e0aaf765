"""How often somebody may try to sign in."""

import time
from multiprocessing import get_context
from typing import Any

from tests.support.threads import at_once
from vms.attempts import Attempts


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
    """A second, five seconds, the rest of the minute; here a hundredth of that."""
    attempts = Attempts(seconds=0.6, pauses=(0.01, 0.05))
    assert attempts.next_in("e", "k") == 0
    for pause in (0.01, 0.05, 0.6):
        assert attempts.admit("e", "k").wait == 0
        early = attempts.admit("e", "k").wait
        assert pause * 0.5 < early <= pause
        assert attempts.next_in("e", "k") <= early
        time.sleep(early)
    assert attempts.admit("e", "k").wait == 0


def test_admit_by_default_pauses_one_and_five_seconds() -> None:
    """Long enough against machines, short enough for who has mistyped."""
    attempts = Attempts()
    attempts.admit("e", "k")
    assert 0.9 < attempts.next_in("e", "k") <= 1
    time.sleep(1)
    attempts.admit("e", "k")
    assert 4.9 < attempts.next_in("e", "k") <= 5


def test_admit_after_the_time_allows_one_more_for_each_that_is_old() -> None:
    """A refused try does not count."""
    attempts = quick(most=2, seconds=0.3)
    assert waits(attempts, "e", "k") == [0]
    time.sleep(0.2)
    assert waits(attempts, "e", "k") == [0]
    assert attempts.admit("e", "k").wait > 0
    time.sleep(0.15)
    assert waits(attempts, "e", "k") == [0]
    assert attempts.admit("e", "k").wait > 0


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
    attempts = quick(seconds=0.2, keys=2)
    assert waits(attempts, "e", "a") == waits(attempts, "e", "b") == [0]
    assert attempts.admit("e", "c").wait > 0
    assert attempts.next_in("e", "c") > 0
    attempts.take_back("e", "c", attempts.admit("e", "c"))
    time.sleep(0.21)
    assert waits(attempts, "e", "c") == [0]


def test_admit_whoever_takes_the_place_of_another_begins_anew() -> None:
    """The tries of who stood there before are not his."""
    attempts = quick(seconds=0.2, keys=1)
    waits(attempts, "e", "a", 3)
    time.sleep(0.21)
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
