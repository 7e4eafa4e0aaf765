"""Memory and a lock that a process shares with its forks."""

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


def test_get_returns_what_was_put_last() -> None:
    """Keys that begin at the same entry do not meet."""
    table = SharedTable(1, 8)
    for number in (3, 11, 19):
        table.put(key(number), bytes([number]))
    table.put(key(11), b"x")
    assert [table.get(key(number)) for number in (3, 11, 19, 27)] == [b"\x03", b"x", b"\x13", None]


def test_put_into_a_full_table_replaces_the_entry_that_was_written_the_longest_ago() -> None:
    """The others stay."""
    clock = Clock()
    table = SharedTable(1, 3, clock)
    for number in (1, 2, 3):
        table.put(key(number), b"v")
        clock.now += 1
    table.put(key(1), b"w")
    table.put(key(4), b"v")
    assert [table.get(key(number)) for number in (1, 2, 3, 4)] == [b"w", None, b"v", b"v"]


def test_put_in_a_fork_is_seen_by_all() -> None:
    """Workers are forks of the process that made the table."""
    table = SharedTable(1, 8)
    worker = started(get_context("fork").Process(target=table.put, args=(key(1), b"v")))
    worker.join()
    assert worker.exitcode == 0
    assert table.get(key(1)) == b"v"


def add_slowly(lock: SharedLock, table: SharedTable) -> None:
    """Add one to a number, with time for others between reading and writing."""
    with lock.acquire():
        number = (table.get(key(1)) or b"\0")[0]
        time.sleep(0.01)
        table.put(key(1), bytes([number + 1]))


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
        table.put(key(1), b"h")
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
