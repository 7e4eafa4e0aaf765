"""How often somebody may try to sign in."""

import time
from multiprocessing import get_context

from tests.support.threads import at_once
from vms.attempts import Attempts


def test_admit_refuses_the_fourth_try_and_says_how_long() -> None:
    """For this key alone."""
    attempts = Attempts()
    assert [attempts.admit("e", "k") for _ in range(3)] == [0, 0, 0]
    assert 59 < attempts.admit("e", "k") <= 60
    assert attempts.admit("e", "other") == attempts.admit("other", "k") == 0


def test_admit_after_the_time_allows_one_more_for_each_that_is_old() -> None:
    """A refused try does not count."""
    attempts = Attempts(most=2, seconds=0.3)
    assert attempts.admit("e", "k") == 0
    time.sleep(0.2)
    assert attempts.admit("e", "k") == 0
    assert attempts.admit("e", "k") > 0
    time.sleep(0.15)
    assert attempts.admit("e", "k") == 0
    assert attempts.admit("e", "k") > 0


def test_admit_many_at_once_lets_in_three() -> None:
    """Tries that come together are no way around."""
    attempts = Attempts()
    assert at_once(20, lambda _: attempts.admit("e", "k")).count(0) == 3


def test_admit_in_another_process_of_the_server_counts_too() -> None:
    """A server's workers are forks of the process that made the counter."""
    attempts = Attempts()
    for _ in range(3):
        worker = get_context("fork").Process(target=attempts.admit, args=("e", "k"))
        worker.start()
        worker.join()
        assert worker.exitcode == 0
    assert attempts.admit("e", "k") > 0


def test_admit_when_full_refuses_rather_than_forgets() -> None:
    """Until the old ones count no more."""
    attempts = Attempts(seconds=0.2, keys=2)
    assert attempts.admit("e", "a") == attempts.admit("e", "b") == 0
    assert attempts.admit("e", "c") > 0
    time.sleep(0.21)
    assert attempts.admit("e", "c") == 0


def test_admit_whoever_takes_the_place_of_another_begins_anew() -> None:
    """The tries of who stood there before are not his."""
    attempts = Attempts(seconds=0.2, keys=1)
    for _ in range(3):
        attempts.admit("e", "a")
    time.sleep(0.21)
    assert [attempts.admit("e", "b") for _ in range(3)] == [0, 0, 0]


def test_forget_lets_whoever_was_right_try_anew() -> None:
    """A right secret locks nothing; nobody else is forgotten."""
    attempts = Attempts(most=1)
    attempts.admit("e", "k")
    attempts.admit("e", "other")
    attempts.forget("e", "k")
    attempts.forget("e", "unknown")
    assert attempts.admit("e", "k") == 0
    assert attempts.admit("e", "other") > 0
