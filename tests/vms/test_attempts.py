"""How often somebody may try to sign in."""

import time

from tests.support.threads import at_once
from vms.attempts import Attempts


def test_admit_refuses_the_fourth_try_and_says_how_long() -> None:
    """For this key alone."""
    attempts = Attempts()
    assert [attempts.admit(("e", "k")) for _ in range(3)] == [0, 0, 0]
    assert 59 < attempts.admit(("e", "k")) <= 60
    assert attempts.admit(("e", "other")) == attempts.admit(("other", "k")) == 0


def test_admit_after_the_time_allows_one_more_for_each_that_is_old() -> None:
    """A refused try does not count."""
    attempts = Attempts(most=2, seconds=0.2)
    attempts.admit(("e", "k"))
    attempts.admit(("e", "k"))
    assert attempts.admit(("e", "k")) > 0
    time.sleep(0.21)
    assert attempts.admit(("e", "k")) == 0


def test_admit_many_at_once_lets_in_three() -> None:
    """Tries that come together are no way around."""
    attempts = Attempts()
    assert at_once(20, lambda _: attempts.admit(("e", "k"))).count(0) == 3


def test_admit_when_full_refuses_rather_than_forgets() -> None:
    """Until the old ones count no more."""
    attempts = Attempts(seconds=0.2, keys=2)
    assert attempts.admit(("e", "a")) == attempts.admit(("e", "b")) == 0
    assert attempts.admit(("e", "c")) > 0
    time.sleep(0.21)
    assert attempts.admit(("e", "c")) == 0


def test_forget_lets_whoever_was_right_try_anew() -> None:
    """A right secret locks nothing."""
    attempts = Attempts(most=1)
    attempts.admit(("e", "k"))
    attempts.forget(("e", "k"))
    assert attempts.admit(("e", "k")) == 0
