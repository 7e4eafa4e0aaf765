"""What becomes of the processes when one of them is killed."""

import json
import signal
import threading
import time

import pytest

from tests.conformance.proxmox import ProxmoxHarness
from tests.support.api import bearer
from tests.support.server import Reply, group_lives, stop
from tests.support.waiting import wait_until
from tests.vms.server.conftest import Serve

pytestmark = pytest.mark.slow


def test_killed_worker_is_replaced(serve: Serve) -> None:
    """The others serve meanwhile, and the log tells."""
    server = serve("--workers", "2")
    before = server.workers()
    server.kill(before[0])
    assert server.request("GET", "/environment").status == 200
    wait_until(lambda: len(set(server.workers()) - set(before)) == 1)
    assert f"Worker {before[0]} ended with status -9." in server.log.read_text()
    assert server.alive()
    assert stop(server) == 0


def test_workers_of_a_killed_master_end_with_their_requests(serve_cloud: Serve, cloud: ProxmoxHarness) -> None:
    """They answer what is in flight, and leave nobody behind who listens."""
    server = serve_cloud("--workers", "2")
    cloud.sandbox.knobs.task_seconds = 0.8
    body = json.dumps({"name": "orphan1", "environment": "main", "machinetype": "small-debian"}).encode()
    token = f"Authorization: {bearer(cloud.access_key, cloud.secret)}".strip()
    replies: list[Reply] = []

    def create() -> None:
        lines = (token, "Content-Type: application/json", f"Content-Length: {len(body)}")
        replies.append(server.request("POST", "/vm", *lines, body=body))

    thread = threading.Thread(target=create)
    thread.start()
    wait_until(lambda: bool(cloud.states()))
    server.process.send_signal(signal.SIGKILL)
    server.process.wait()
    assert thread.is_alive()
    thread.join()
    answered = time.monotonic()
    wait_until(lambda: not group_lives(server.process.pid), seconds=20)
    assert replies[0].status == 201
    assert time.monotonic() - answered < 9
