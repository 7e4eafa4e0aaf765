"""Memory and a lock that a process shares with its forks."""

import math
import os
import signal
import time
from multiprocessing import get_context
from multiprocessing.process import BaseProcess

import pytest

from providers.shared_memory import KEY_BYTES, SharedLock, SharedTable
from tests.support.clock import Clock
from tests.support.threads import at_once


def key(number: int) -> bytes:
    """A key whose entries begin at `number`."""
    return number.to_bytes(8) + number.to_bytes(KEY_BYTES - 8)


def started(process: BaseProcess) -> BaseProcess:
    """The process, started."""
    process.start()
    return process


ONE, TWO = b"1" * KEY_BYTES, b"2" * KEY_BYTES


def put(table: SharedTable, number: int, value: bytes, owner: bytes = ONE, expires_at: float = math.inf) -> None:
    """Write the value of a key, which must succeed."""
    assert table.put(key(number), value, owner, expires_at)


def test_get_returns_what_was_put_last() -> None:
    """Keys that begin at the same entry do not meet."""
    table = SharedTable(1, 8)
    for number in (3, 11, 19):
        put(table, number, bytes([number]))
    put(table, 11, b"x")
    assert [table.get(key(number)) for number in (3, 11, 19, 27)] == [b"\x03", b"x", b"\x13", None]


def test_put_into_a_full_table_replaces_an_expired_entry() -> None:
    """Whoever owns it."""
    clock = Clock()
    table = SharedTable(1, 3, clock)
    put(table, 1, b"v", expires_at=clock.now + 1)
    put(table, 2, b"v", TWO, expires_at=clock.now + 3)
    put(table, 3, b"v", TWO, expires_at=clock.now + 2)
    clock.now += 1
    put(table, 4, b"w", TWO)
    assert [table.get(key(number)) for number in (1, 2, 3, 4)] == [None, b"v", b"v", b"w"]


def test_put_into_a_full_table_replaces_the_next_to_expire_of_the_owner_with_most_entries() -> None:
    """The others stay."""
    clock = Clock()
    table = SharedTable(1, 4, clock)
    put(table, 1, b"v", TWO, expires_at=clock.now + 1)
    for number in (2, 3, 4):
        put(table, number, b"v", ONE, expires_at=clock.now + 6 - number)
    put(table, 2, b"w", ONE, expires_at=clock.now + 6)
    put(table, 5, b"v", TWO)
    assert [table.get(key(number)) for number in (1, 2, 3, 4, 5)] == [b"v", b"w", b"v", None, b"v"]


def test_put_that_evicts_nothing_of_its_owner_fails_where_that_one_has_most_entries() -> None:
    """Another owner's entry is written, and one that is there already."""
    table = SharedTable(1, 3)
    for number in (1, 2, 3):
        put(table, number, b"v", ONE)
    assert not table.put(key(4), b"v", ONE, math.inf, evict_own=False)
    assert table.put(key(3), b"w", ONE, math.inf, evict_own=False)
    assert table.put(key(5), b"v", TWO, math.inf, evict_own=False)
    assert [table.get(key(number)) is None for number in (1, 2, 3, 4, 5)].count(True) == 2


def test_put_in_a_fork_is_seen_by_all() -> None:
    """Workers are forks of the process that made the table."""
    table = SharedTable(1, 8)
    worker = started(get_context("fork").Process(target=put, args=(table, 1, b"v")))
    worker.join()
    assert worker.exitcode == 0
    assert table.get(key(1)) == b"v"


def add_slowly(lock: SharedLock, table: SharedTable) -> None:
    """Add one to a number, with time for others between reading and writing."""
    with lock.acquire():
        number = (table.get(key(1)) or b"\0")[0]
        time.sleep(0.01)
        put(table, 1, bytes([number + 1]))


def test_lock_keeps_threads_and_forks_apart() -> None:
    """No addition is lost."""
    lock, table = SharedLock(), SharedTable(1, 8)
    workers = [started(get_context("fork").Process(target=add_slowly, args=(lock, table))) for _ in range(4)]
    at_once(4, lambda _: add_slowly(lock, table))
    for worker in workers:
        worker.join()
    assert table.get(key(1)) == bytes([8])


def hold(lock: SharedLock, table: SharedTable) -> None:
    """Hold the lock for ever."""
    with lock.acquire():
        put(table, 1, b"h")
        signal.pause()


@pytest.mark.timeout(60)
def test_lock_of_a_process_that_is_killed_is_free_at_once() -> None:
    """The kernel releases it."""
    lock, table = SharedLock(), SharedTable(1, 8)
    holder = started(get_context("fork").Process(target=hold, args=(lock, table)))
    while table.get(key(1)) is None:
        time.sleep(0.01)
    assert holder.pid is not None
    os.kill(holder.pid, signal.SIGKILL)
    holder.join()
    with lock.acquire():
        assert table.get(key(1)) == b"h"
