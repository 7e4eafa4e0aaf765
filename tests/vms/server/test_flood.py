"""Connections that send nothing, or half a request: they stop nobody, and do not live long."""

from __future__ import annotations

import asyncio
import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field

import pytest

from tests.vms.server.conftest import Serve

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

POST = b"POST /vm HTTP/1.1\r\nHost: localhost\r\n"
CLOSED_WITHIN_SECONDS = 64


@dataclass(frozen=True)
class Stall:
    """What a connection sends at once, and whether a byte follows each second."""

    sent: bytes
    trickles: bool = False


HALF_REQUESTS = (
    Stall(POST + b"Transfer-Encoding: chunked\r\n\r\n"),
    Stall(POST + b"Content-Length: 10\r\n\r\n"),
    Stall(POST + b"Content-Length: 1000\r\n\r\n", trickles=True),
    Stall(b"GET /environment HTTP/1.1\r\nHost: localhost\r\nX-A: ", trickles=True),
)
SILENT = Stall(b"")


@dataclass
class Flood:
    """A flood of connections, and callers who are to be served meanwhile. Times are in seconds."""

    port: int
    lifetimes: list[float] = field(default_factory=list)
    latencies: dict[str, list[float]] = field(default_factory=dict)

    async def run(self, stalls: list[Stall]) -> None:
        """Open all connections, and call until the last is closed."""
        callers = [asyncio.create_task(self._call(path)) for path in ("/livez", "/environment")]
        await asyncio.gather(*(self._stall(stall) for stall in stalls))
        for caller in callers:
            caller.cancel()
        await asyncio.wait(callers)
        for caller in callers:
            if not caller.cancelled():
                caller.result()

    async def _stall(self, stall: Stall) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        started = time.monotonic()
        trickle = asyncio.create_task(self._trickle(writer)) if stall.trickles else None
        with suppress(ConnectionError):
            writer.write(stall.sent)
            async with asyncio.timeout(CLOSED_WITHIN_SECONDS + 10):
                await reader.read()
        self.lifetimes.append(time.monotonic() - started)
        if trickle:
            trickle.cancel()
        writer.close()

    async def _trickle(self, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while True:
                await asyncio.sleep(1)
                writer.write(b"1")
                await writer.drain()

    async def _call(self, path: str) -> None:
        seen = self.latencies.setdefault(path, [])
        while True:
            started = time.monotonic()
            async with asyncio.timeout(20):
                reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
                try:
                    writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
                    assert (await reader.read()).startswith(b"HTTP/1.1 200 OK")
                finally:
                    writer.close()
            seen.append(time.monotonic() - started)
            await asyncio.sleep(0.1)


def test_stalled_connections_stop_nobody(serve: Serve) -> None:
    """300 half requests and 1,000 silent connections; the server has 8 threads in each of two processes."""
    server = serve("--workers", "2", "--threads", "8", CLOUDVM_LOG_LEVEL="WARNING")
    flood = Flood(server.port)
    # In a thread of its own: tests in a browser leave an event loop in this one.
    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, flood.run([*HALF_REQUESTS * 75, *[SILENT] * 1000])).result()
    assert len(flood.lifetimes) == 1300
    assert max(flood.lifetimes) < CLOSED_WITHIN_SECONDS
    for seen in flood.latencies.values():
        assert len(seen) > 100
        assert statistics.median(seen) < 0.1
    server.process.terminate()
    assert server.process.wait(10) == 0
