"""How the production server stops its workers."""

from __future__ import annotations

import multiprocessing
import signal
import sys
import time
from multiprocessing.synchronize import Event

from granian.server.mp import WorkerProcess

from vms.management.commands.serve import StubbornServer


def miss_the_first(ready: Event) -> None:
    """A worker that does not hear it the first time when it is told to stop."""
    told: list[int] = []

    def note(number: int, frame: object) -> None:
        told.append(number)
        if len(told) > 1:
            sys.exit(0)

    signal.signal(signal.SIGTERM, note)
    ready.set()
    while True:
        time.sleep(0.05)


def test_stop_tells_a_worker_again_that_did_not_hear_it() -> None:
    """It ends by itself, long before it would be killed."""
    server = StubbornServer("cloudvm_project.wsgi:application", workers_kill_timeout=60)
    ready = multiprocessing.get_context("fork").Event()
    worker = WorkerProcess(server, 0, miss_the_first, (ready,))  # type: ignore[no-untyped-call] # granian's own
    worker.start()  # type: ignore[no-untyped-call] # granian's own
    server.wrks.append(worker)
    assert ready.wait(30)
    server._stop_workers()
    assert worker.inner.exitcode == 0
