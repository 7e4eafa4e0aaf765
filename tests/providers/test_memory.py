"""What is remembered for a short while."""

import time
from concurrent.futures import ThreadPoolExecutor

from providers.memory import Marks, Memory


def test_recall_of_what_was_just_seen_finds_it() -> None:
    """And nothing else."""
    memory: Memory[str, int] = Memory(2, 60.0)
    memory.remember("a", 1)
    assert (memory.recall("a"), memory.recall("b")) == (1, None)


def test_recall_after_its_time_finds_nothing() -> None:
    """Seeing it again is what counts."""
    memory: Memory[str, int] = Memory(2, 0.05)
    memory.remember("a", 1)
    time.sleep(0.1)
    assert memory.recall("a") is None


def test_remember_of_too_many_drops_the_oldest() -> None:
    """Bounded, whatever comes."""
    memory: Memory[int, int] = Memory(100, 60.0)
    for number in range(101):
        memory.remember(number, number)
    assert memory.recall(0) is None
    assert all(memory.recall(number) == number for number in range(1, 101))


def test_forget_of_what_is_not_there_is_none_of_its_business() -> None:
    """Once or twice."""
    memory: Memory[str, int] = Memory(2, 60.0)
    memory.remember("a", 1)
    memory.forget("a")
    memory.forget("a")
    assert memory.recall("a") is None


def test_memory_is_used_by_many_threads() -> None:
    """Expiry and eviction while others read."""
    memory: Memory[int, int] = Memory(50, 0.001)

    def work(start: int) -> None:
        for number in range(2000):
            memory.remember((start + number) % 97, number)
            memory.recall(number % 97)
            memory.forget((number * 7) % 97)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))


def test_mark_holds_for_its_own_time() -> None:
    """One after the other goes, and another one takes it away."""
    marks: Marks[str] = Marks(3)
    for name, seconds in (("short", 0.05), ("long", 60.0), ("removed", 60.0)):
        marks.mark(name, seconds)
    marks.remove("removed")
    marks.remove("removed")
    time.sleep(0.1)
    assert [name for name in ("short", "long", "removed", "never") if name in marks] == ["long"]


def test_mark_that_is_made_again_has_the_new_time() -> None:
    """Longer or shorter."""
    marks: Marks[str] = Marks(2)
    for name, first, then in (("longer", 0.05, 60.0), ("shorter", 60.0, 0.05)):
        marks.mark(name, first)
        marks.mark(name, then)
    time.sleep(0.1)
    assert ("longer" in marks, "shorter" in marks) == (True, False)


def test_marks_on_too_many_drop_the_oldest() -> None:
    """Bounded, whatever comes."""
    marks: Marks[int] = Marks(100)
    for number in range(101):
        marks.mark(number, 60.0)
    assert 0 not in marks
    assert all(number in marks for number in range(1, 101))
