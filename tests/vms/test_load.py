"""The whole service under load: one environment hangs, and answers are large."""

from __future__ import annotations

import http.client
import json
import os
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.api import bearer
from tests.support.hanging import hanging
from tests.support.large_backend import MIB, backend, vms
from tests.support.sandbox import ROOT, clean_environment, free_port
from tests.support.threads import at_once
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

TOKEN = bearer("demo@pve!ci", "12345678-1234-1234-1234-123456789012")
CALLERS = 200
MEASURED_SECONDS = 6.0
# Other tests use the same machine, so a measurement may be spoilt.
MEASUREMENTS = 3

# Callers in a process of their own, so that they do not slow down what is measured here. Each one waits as long as
# Retry-After says, until standard input is closed. Prints how often each status came, and how long refusals took.
RETRYING = """
import asyncio, collections, json, sys, time

port, callers, token = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
request = (
    "GET /vm?environment=hangs HTTP/1.1\\r\\nHost: localhost\\r\\nConnection: close\\r\\n"
    f"Authorization: {token}\\r\\n\\r\\n"
).encode()
statuses, refusals = collections.Counter(), []

async def ask():
    begun = time.monotonic()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    head = (await reader.readuntil(b"\\r\\n\\r\\n")).decode("latin-1").lower()
    writer.close()
    status = int(head.split()[1])
    statuses[status] += 1
    if status == 503:
        refusals.append(time.monotonic() - begun)
    return float(head.partition("retry-after: ")[2].partition("\\r\\n")[0] or 0)

async def call():
    while True:
        await asyncio.sleep(await ask())

async def main():
    tasks = [asyncio.create_task(call()) for _ in range(callers)]
    await asyncio.to_thread(sys.stdin.read)
    for task in tasks:
        if task.done():
            task.result()

asyncio.run(main())
print(json.dumps({"statuses": statuses, "refusals": refusals}))
"""


@contextmanager
def service(folder: Path, *arguments: str, urls: dict[str, str], **variables: str) -> Iterator[tuple[int, int]]:
    """Run the service by its own command; yield its port and the group of its processes."""
    environments = [
        {"name": name, "cloud": "Proxmox", "url": url, "vpc_id": "node/pve", "region": "Proxmox/1"}
        for name, url in urls.items()
    ]
    (folder / "environments.json").write_text(json.dumps(environments))
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "manage.py", "serve", "--port", str(port), "--quiet", *arguments],
        cwd=ROOT,
        env={
            **clean_environment(),
            "CLOUDVM_SECRET_KEY": "a key for tests of the service under load",
            "CLOUDVM_ENVIRONMENTS_FILE": str(folder / "environments.json"),
            "CLOUDVM_LOG_LEVEL": "WARNING",
            **variables,
        },
        start_new_session=True,
    )
    try:
        wait_until(lambda: answers(port))
        yield port, process.pid
    finally:
        # Requests to a cloud that hangs are not waited for.
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def answers(port: int) -> bool:
    """Whether the service is up."""
    try:
        return get(port, "/livez") == 200
    except OSError:
        return False


def get(port: int, target: str) -> int:
    """Return the status of a request over a new connection."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=200)
    try:
        connection.request("GET", target, headers={"Authorization": TOKEN, "Host": "localhost"})
        response = connection.getresponse()
        while response.read(MIB):
            pass
    finally:
        connection.close()
    return response.status


def durations(ask: Callable[[], int]) -> list[float]:
    """Ask again and again, and return how long each answer took."""
    until, taken = time.monotonic() + MEASURED_SECONDS, []
    while time.monotonic() < until:
        begun = time.monotonic()
        assert ask() == 200
        taken.append(time.monotonic() - begun)
        time.sleep(0.02)
    return taken


def is_quick(taken: list[float]) -> bool:
    """Whether answers took less than 100 ms at the median and 1 s at the worst."""
    return statistics.median(taken) < 0.1 and max(taken) < 1.0


def test_environment_that_hangs_slows_nothing_else_down(tmp_path: Path) -> None:
    """200 callers retry on it as Retry-After says; probes and other environments are as quick as ever."""
    with (
        hanging() as hangs,
        backend(vms(100)) as good,
        service(tmp_path, urls={"hangs": hangs, "good": good.url}) as (port, _),
    ):
        command = [sys.executable, "-c", RETRYING, str(port), str(CALLERS), TOKEN]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as callers:
            time.sleep(3.0)
            asked = [lambda: get(port, "/livez"), lambda: get(port, "/vm?environment=good")]
            for _ in range(MEASUREMENTS):
                measured = [durations(ask) for ask in asked]
                if all(map(is_quick, measured)):
                    break
            told = json.loads(callers.communicate(timeout=30)[0])
    for taken in measured:
        assert statistics.median(taken) < 0.1
        assert max(taken) < 1.0
    # None of them has waited for a slot; the others still wait for the cloud.
    assert set(told["statuses"]) == {"503"}
    assert len(told["refusals"]) > CALLERS
    assert statistics.median(told["refusals"]) < 0.5


def resident_mib(group: int) -> int:
    """Return the memory of a group of processes."""
    listed = subprocess.run(["ps", "-o", "rss=", "-g", str(group)], capture_output=True, text=True, check=True)
    return sum(map(int, listed.stdout.split())) // 1024


def level_mib(group: int) -> int:
    """Wait until a group of processes has started completely, and return its memory."""
    seen = [0]

    def is_level() -> bool:
        seen.append(resident_mib(group))
        return abs(seen[-1] - seen[-2]) < 2

    wait_until(is_level, pause=2.0)
    return seen[-1]


def test_large_answers_have_a_limit_and_leave_no_memory_behind(tmp_path: Path) -> None:
    """Three answers of 30 MiB are too much at a time, one is not; soon little more memory is used than before."""
    with (
        backend(vms(30 * MIB)) as large,
        service(tmp_path, "--workers", "1", urls={"large": large.url}, CLOUDVM_ANSWER_MEMORY_MIB="75") as (
            port,
            group,
        ),
    ):
        assert get(port, "/vm?environment=unknown") == 400
        before = level_mib(group)
        statuses = at_once(3, lambda _: get(port, "/vm?environment=large"))
        # Those that reach the limit at the same moment are all refused.
        assert {503} <= set(statuses) <= {200, 503}
        assert get(port, "/vm?environment=large") == 200
        wait_until(lambda: resident_mib(group) < before + 60, seconds=60, pause=0.5)
