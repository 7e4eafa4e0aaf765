"""Worker process: one event loop that serves requests until it is told to stop."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Callable
from dataclasses import dataclass

import uvloop

from vms.server.front import Front
from vms.server.http import HTTPServer
from vms.server.supervisor import SIGNALS

_logger = logging.getLogger("cloudvm.server")

# Time in which clients can read the last responses.
FLUSH_SECONDS = 10.0


@dataclass(frozen=True)
class Worker:
    """Body of a worker process.

    Attributes:
        make_server: makes the server; called on the event loop.
        on_start: called on the event loop when the process serves.
        reload: called on SIGHUP, in a thread.
        on_end: called when all requests are answered, in a thread.
        shutdown_delay_seconds: time between the end of readiness and the closing of the listener.

    """

    make_server: Callable[[], tuple[Front, HTTPServer]]
    on_start: Callable[[], None]
    reload: Callable[[], object]
    on_end: Callable[[], None]
    shutdown_delay_seconds: float

    def __call__(self, supervisor: int) -> None:
        """Serve until SIGTERM arrives or the supervisor dies.

        Args:
            supervisor: file descriptor that reaches its end when the supervisor dies.

        """
        # SIGTERM ends the process at once until the event loop handles it. SIGHUP stays blocked until then. A
        # terminal sends Ctrl-C to all processes; the supervisor alone decides what it means.
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS - {signal.SIGHUP})
        uvloop.run(self._serve(supervisor))

    async def _serve(self, supervisor: int) -> None:
        loop = asyncio.get_running_loop()
        front, server = self.make_server()
        stop = asyncio.Event()
        loop.add_reader(supervisor, _end_reader, loop, supervisor, stop)
        loop.add_signal_handler(signal.SIGTERM, stop.set)
        reload_requested = asyncio.Event()
        loop.add_signal_handler(signal.SIGHUP, reload_requested.set)
        reloading = asyncio.ensure_future(self._reload_when(reload_requested))
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})
        serving = asyncio.ensure_future(server.serve())
        loop.call_soon(self.on_start)
        stopping = asyncio.ensure_future(stop.wait())
        await asyncio.wait((serving, stopping), return_when=asyncio.FIRST_COMPLETED)
        if not stop.is_set():
            # The server has failed.
            await serving
            return
        reloading.cancel()
        front.end_readiness()
        await asyncio.sleep(self.shutdown_delay_seconds)
        _logger.info("Stopping. Waiting for %d requests.", front.requests_in_flight)
        front.stop_reading()
        server.stop()
        while True:
            while front.requests_in_flight:
                await asyncio.sleep(0.05)
            # A client that does not read its response must not keep the process.
            await server.wait_closed(FLUSH_SECONDS)
            # A request may still have arrived on a connection that was open.
            if not front.requests_in_flight:
                break
        await loop.run_in_executor(None, self.on_end)

    async def _reload_when(self, requested: asyncio.Event) -> None:
        """Reload one at a time, so that the last one counts; signals that arrive meanwhile need only one more."""
        while True:
            await requested.wait()
            requested.clear()
            try:
                await asyncio.get_running_loop().run_in_executor(None, self.reload)
            except Exception:
                # The server goes on with what it has.
                _logger.exception("The reload has failed.")


def _end_reader(loop: asyncio.AbstractEventLoop, descriptor: int, stop: asyncio.Event) -> None:
    loop.remove_reader(descriptor)
    stop.set()
