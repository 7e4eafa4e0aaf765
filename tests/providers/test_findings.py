"""What is looked up once and kept."""

from __future__ import annotations

import threading
import time

import pytest

from providers.errors import Leftover, UnavailableError
from providers.findings import Findings
from tests.support.threads import at_once


class Look:
    """Answers with a number of its own each time, or fails; `begun` tells that somebody looks, who waits for `go`."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.times = 0
        self.begun, self.go = threading.Event(), threading.Event()
        self.go.set()

    def __call__(self) -> int:
        self.times += 1
        self.begun.set()
        assert self.go.wait(30)
        if self.errors:
            raise self.errors.pop(0)
        return self.times


def failure(findings: Findings[str, int], look: Look) -> Exception | None:
    """How a look fails."""
    try:
        findings.find("a", look)
    except (UnavailableError, OSError) as error:
        return error
    return None


def test_find_by_sixteen_at_once_looks_once() -> None:
    """The others wait; another key is another matter."""
    findings: Findings[str, int] = Findings(2)
    look = Look()
    assert at_once(16, lambda _: findings.find("a", look)) == [1] * 16
    assert (findings.find("b", look), findings.find("a", look), len(findings)) == (2, 1, 2)


def test_find_after_its_time_looks_again() -> None:
    """What was found is kept for a while."""
    findings: Findings[str, int] = Findings(2, seconds=0.05)
    look = Look()
    findings.find("a", look)
    time.sleep(0.1)
    assert findings.find("a", look) == 2


def test_find_of_too_many_drops_the_least_recently_used() -> None:
    """Bounded, whatever comes."""
    findings: Findings[str, int] = Findings(2)
    look = Look()
    for key in ("a", "b", "a", "c", "a", "b"):
        findings.find(key, look)
    assert (look.times, len(findings)) == (4, 2)


def test_find_of_nothing_is_kept_too() -> None:
    """None is an answer."""
    findings: Findings[str, None] = Findings(2)
    times: list[int] = []
    for _ in range(2):
        assert findings.find("a", lambda: times.append(1)) is None
    assert times == [1]


def waited(look: Look, count: int) -> list[Exception | None]:
    """How `count` callers fare who all wait for the one that looks."""
    findings: Findings[str, int] = Findings(2)
    look.go.clear()
    waiting = threading.Barrier(count + 1)

    def caller(number: int) -> Exception | None:
        if number == count:
            # By then all others wait for the first.
            waiting.wait(30)
            time.sleep(0.1)
            look.go.set()
            return None
        waiting.wait(30)
        return failure(findings, look)

    return at_once(count + 1, caller)[:count]


def test_failure_of_ours_is_shared_by_those_who_waited_each_with_an_error_of_their_own() -> None:
    """Eight callers of a host that does not answer wait once; leftovers of one are not the others'."""
    look = Look(*[UnavailableError("No answer.") for _ in range(8)])
    errors = waited(look, 8)
    assert look.times == 1
    assert [str(error) for error in errors] == ["No answer."] * 8
    assert len({id(error) for error in errors}) == 8
    first = errors[0]
    assert isinstance(first, UnavailableError)
    first.leftovers = (Leftover("disk", "1", removed=False),)
    assert [getattr(error, "leftovers", None) for error in errors[1:]] == [()] * 7


def test_failure_of_the_clouds_is_one_callers_own() -> None:
    """The next one looks itself."""
    look = Look(OSError("You may not see this."))
    errors = waited(look, 8)
    assert (look.times, errors.count(None)) == (2, 7)


def test_failure_is_not_kept() -> None:
    """The next request looks again."""
    findings: Findings[str, int] = Findings(2)
    look = Look(UnavailableError("Busy."))
    with pytest.raises(UnavailableError):
        findings.find("a", look)
    assert findings.find("a", look) == 2


def test_forget_keeps_what_somebody_else_has_found_since() -> None:
    """Only what has proved to be gone goes."""
    findings: Findings[str, int] = Findings(2)
    look = Look()
    findings.find("a", look)
    findings.forget("a", 7)
    findings.forget("b", 1)
    assert findings.find("a", look) == 1
    findings.forget("a", 1)
    assert findings.find("a", look) == 2


def test_clear_makes_those_who_come_later_look_again() -> None:
    """Also while somebody looks, who may see what is gone already."""
    findings: Findings[str, int] = Findings(2)
    look = Look()
    look.go.clear()
    slow = threading.Thread(target=findings.find, args=("a", look))
    slow.start()
    assert look.begun.wait(30)
    findings.clear()
    look.go.set()
    assert findings.find("a", look) == 2
    slow.join(30)
    assert findings.find("a", look) == 2
