"""How the server stops: requests in flight are answered, and the process ends right after them."""

import json
import os
import random
import signal
import socket
import ssl
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest
import trustme

from providers.sandbox.faults import Fault
from tests.conformance.proxmox import ProxmoxHarness
from tests.conformance.vsphere import VSphereHarness
from tests.support.api import bearer
from tests.support.sandbox import free_port
from tests.support.server import Reply, Server, group_lives, start, stop, wait_until_up
from tests.support.waiting import wait_until
from tests.vms.server.conftest import Serve
from vms.server.supervisor import SIGNALS, wait_for_signal

pytestmark = pytest.mark.slow

JSON = "Content-Type: application/json"


def terminate_master(server: Server) -> None:
    """Send SIGTERM to the supervisor alone, as Docker and Kubernetes do."""
    server.process.terminate()


def terminate_group(server: Server) -> None:
    """Send SIGTERM to all processes, as systemd does."""
    os.killpg(server.process.pid, signal.SIGTERM)


def interrupt_three_times(server: Server) -> None:
    """Press Ctrl-C three times."""
    for _ in range(3):
        os.killpg(server.process.pid, signal.SIGINT)
        time.sleep(0.1)


STOPS = (terminate_master, terminate_group, interrupt_three_times)


def create(server: Server, cloud: ProxmoxHarness, name: str) -> Reply:
    """Create a VM."""
    body = json.dumps({"name": name, "environment": "main", "machinetype": "small-debian"}).encode()
    token = f"Authorization: {bearer(cloud.access_key, cloud.secret)}".strip()
    return server.request("POST", "/vm", token, JSON, f"Content-Length: {len(body)}", body=body)


def check_stop(server: Server, cloud: ProxmoxHarness, stop: Callable[[Server], None], task_seconds: float) -> float:
    """Stop the server 0.7 s into two creates, and return how long these lasted."""
    cloud.sandbox.knobs.task_seconds = task_seconds
    with ThreadPoolExecutor() as pool:
        started = time.monotonic()
        creates = [pool.submit(create, server, cloud, f"stop{number}") for number in range(2)]
        # Neither an idle connection nor half a request delays the end.
        idle = socket.create_connection(("127.0.0.1", server.port))
        half = socket.create_connection(("127.0.0.1", server.port))
        half.sendall(b"POST /vm HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\n{")
        time.sleep(0.7)
        stop(server)
        replies = [each.result() for each in creates]
        lasted = time.monotonic() - started
        assert server.process.wait(20) == 0
        ended = time.monotonic() - started - lasted
    assert half.recv(100).startswith(b"HTTP/1.1 503 ")
    assert idle.recv(100) == b""
    half.close()
    idle.close()
    assert [reply.status for reply in replies] == [201, 201]
    assert list(cloud.states().values()) == ["running", "running"]
    assert ended < 9
    log = server.log.read_text()
    counts = [int(line.partition("Waiting for ")[2].split()[0]) for line in log.splitlines() if "Waiting for" in line]
    assert sum(counts) == 2, log
    assert "Traceback" not in log
    assert not group_lives(server.process.pid)
    return lasted


@pytest.mark.parametrize("stop", STOPS)
def test_stop_answers_a_create_in_flight(serve_cloud: Serve, cloud: ProxmoxHarness, stop: Callable[..., None]) -> None:
    """The client gets its 201; then the processes end with status 0."""
    assert check_stop(serve_cloud(), cloud, stop, 0.8) > 1.5


@pytest.mark.parametrize("stop", STOPS)
def test_stop_answers_a_create_of_six_seconds(
    serve_cloud: Serve, cloud: ProxmoxHarness, stop: Callable[..., None]
) -> None:
    """The same for a request that outlasts the pauses between the three signals by far."""
    assert check_stop(serve_cloud(), cloud, stop, 2.0) > 5


def test_stop_waits_for_a_call_that_outlasts_the_deadline(serve_cloud: Serve, cloud: ProxmoxHarness) -> None:
    """A change has the whole time in which a backend may be silent, also when the deadline is nearer."""
    cloud.sandbox.faults.add(Fault("POST /nodes/{node}/qemu", delay_seconds=20.0))
    server = serve_cloud(
        CLOUDVM_REQUEST_DEADLINE_SECONDS="1", CLOUDVM_CLEAN_UP_SECONDS="1", CLOUDVM_READ_TIMEOUT_SECONDS="6"
    )
    arrived: list[str] = []
    cloud.watch_calls(arrived.append)
    with ThreadPoolExecutor() as pool:
        reply = pool.submit(create, server, cloud, "hanging")
        wait_until(lambda: "POST /nodes/{node}/qemu" in arrived)
        server.process.terminate()
        assert reply.result().status == 504
    assert server.process.wait(60) == 0


def test_stop_answers_creates_that_arrive_just_after_it(serve_cloud: Serve, cloud: ProxmoxHarness) -> None:
    """On connections that were idle at the stop; the creates outlast the time in which clients read responses."""
    cloud.sandbox.knobs.task_seconds = 5.0
    for _ in range(5):
        server = serve_cloud("--workers", "1")
        kept = [socket.create_connection(("127.0.0.1", server.port), timeout=60) for _ in range(4)]
        for connection in kept:
            connection.sendall(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert connection.recv(15) == b"HTTP/1.1 200 OK"
        server.process.terminate()
        wait_until(lambda server=server: "Waiting for 0 requests" in server.log.read_text(), pause=0.001)  # type: ignore[misc]
        for number, connection in enumerate(kept):
            with suppress(ConnectionError):
                connection.sendall(create_request(cloud, f"late{number}"))
        replies = [read_all(connection) for connection in kept]
        assert server.process.wait(20) == 0
        assert sum(b"HTTP/1.1 201 " in reply for reply in replies) == len(cloud.states())
        if cloud.states():
            break
    assert set(cloud.states().values()) == {"running"}


def create_request(cloud: ProxmoxHarness, name: str) -> bytes:
    """Return the bytes of a request that creates a VM."""
    body = json.dumps({"name": name, "environment": "main", "machinetype": "small-debian"}).encode()
    token = f"Authorization: {bearer(cloud.access_key, cloud.secret)}".strip()
    lines = ("POST /vm HTTP/1.1", "Host: localhost", token, JSON, f"Content-Length: {len(body)}", "", "")
    return "\r\n".join(lines).encode() + body


def read_all(connection: socket.socket) -> bytes:
    """Return what comes until the server closes the connection, in whichever way."""
    received = b""
    with connection, suppress(ConnectionError):
        while data := connection.recv(65536):
            received += data
    return received


def test_stop_goes_before_reloads() -> None:
    """SIGHUP has a lower number, which the system delivers first: a stop would wait for the end of a flood of it."""
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        for number in (signal.SIGHUP, signal.SIGTERM):
            signal.pthread_kill(threading.get_ident(), number)
        received = [wait_for_signal(until=0.0) for _ in range(3)]
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
    assert received == [signal.SIGTERM, signal.SIGHUP, None]


def test_stop_kills_requests_at_the_timeout(serve_cloud: Serve, cloud: ProxmoxHarness) -> None:
    """`--stop-timeout` bounds the wait; the exit status and the log tell."""
    server = serve_cloud("--workers", "1", "--stop-timeout", "1")
    cloud.sandbox.knobs.task_seconds = 4.0
    with ThreadPoolExecutor() as pool:
        pool.submit(create, server, cloud, "slow1")
        time.sleep(0.5)
        stopped = time.monotonic()
        server.process.terminate()
        assert server.process.wait(20) == 1
        assert 0.9 < time.monotonic() - stopped < 15
    assert "Killing workers that did not stop in time" in server.log.read_text()


def test_stop_begins_with_the_shutdown_delay(serve: Serve) -> None:
    """Load balancers see /readyz fail before connections are refused; other requests are served meanwhile."""
    server = serve("--workers", "1", "--shutdown-delay", "5")
    assert server.request("GET", "/readyz").status == 200
    stopped = time.monotonic()
    server.process.terminate()
    wait_until(lambda: server.request("GET", "/readyz").status != 200, seconds=4)
    not_ready = server.request("GET", "/readyz")
    assert (not_ready.status, not_ready.code) == (503, "unavailable")
    assert int(not_ready.headers["retry-after"]) > 0
    assert server.request("GET", "/environment").status == 200
    assert server.request("GET", "/livez").status == 200
    assert server.process.wait(20) == 0
    assert 4.9 < time.monotonic() - stopped < 20


def test_stop_does_not_wait_for_idle_tls_connections(serve_tls: Serve, authority: trustme.CA) -> None:
    """Before the handshake, after it, and after a response."""
    server = serve_tls()
    context = ssl.create_default_context()
    authority.configure_trust(context)
    connections = [socket.create_connection(("127.0.0.1", server.port), timeout=10) for _ in range(6)]
    over_tls = [context.wrap_socket(each, server_hostname="localhost") for each in connections[2:]]
    for each in over_tls[2:]:
        each.sendall(b"GET /environment HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert each.recv(15) == b"HTTP/1.1 200 OK"
    started = time.monotonic()
    server.process.terminate()
    assert server.process.wait(15) == 0
    assert time.monotonic() - started < 9
    for connection in [*connections[:2], *over_tls]:
        connection.close()


def test_stop_logs_out_of_the_clouds(serve: Serve, tmp_path: Path) -> None:
    """A vCenter allows a limited number of sessions."""
    harness = VSphereHarness()
    harness.start()
    try:
        main = {**harness.environment, "url": harness.url, "ca_file": harness.ca_file, "name": "main"}
        (tmp_path / "e.json").write_text(json.dumps([main]))
        server = serve(CLOUDVM_ENVIRONMENTS_FILE=str(tmp_path / "e.json"))
        token = f"Authorization: {bearer(harness.access_key, harness.secret)}"
        assert server.request("GET", "/vm?environment=main", token).status == 200
        assert len(harness.sandbox.sessions()) == 1
        server.process.terminate()
        assert server.process.wait(10) == 0
        assert harness.sandbox.sessions() == ()
    finally:
        harness.stop()


def test_stop_is_not_held_up_by_clouds_that_hang(serve: Serve, tmp_path: Path) -> None:
    """All log-outs together take as long as one, and each that fails is logged."""
    harness = VSphereHarness()
    harness.start()
    try:
        one = {**harness.environment, "url": harness.url, "ca_file": harness.ca_file}
        names = [f"e{number}" for number in range(6)]
        (tmp_path / "e.json").write_text(json.dumps([{**one, "name": name} for name in names]))
        server = serve("--workers", "1", CLOUDVM_ENVIRONMENTS_FILE=str(tmp_path / "e.json"))
        token = f"Authorization: {bearer(harness.access_key, harness.secret)}"
        for name in names:
            assert server.request("GET", f"/vm?environment={name}", token).status == 200
        assert len(harness.sandbox.sessions()) == 6
        harness.sandbox.faults.add(Fault(operation="*", times=None, delay_seconds=300.0))
        stopped = time.monotonic()
        server.process.terminate()
        assert server.process.wait(60) == 0
        # One after another they would take 48 s.
        assert time.monotonic() - stopped < 30
        assert server.log.read_text().count("log-out at") == 6
    finally:
        harness.sandbox.faults.clear()
        harness.stop()


def test_stop_at_any_moment_of_a_start_ends_it(tmp_path: Path) -> None:
    """No signal is lost between the start and the first request: each of 20 starts ends at once, with status 0."""
    moments = random.Random(15)  # noqa: S311 - moments, not keys
    for number in range(20):
        server = start(tmp_path, port=free_port())
        # A signal before Python runs manage.py ends the process in the usual way.
        until_python_runs(server)
        time.sleep(moments.uniform(0, 1.2) if number else 0)
        STOPS[number % 2](server)
        # A lost signal would leave it running for ever.
        assert server.process.wait(30) == 0, (number, server.log.read_text())
        assert not group_lives(server.process.pid)
        assert "Traceback" not in server.log.read_text()


def until_python_runs(server: Server) -> None:
    """Wait until manage.py blocks SIGTERM."""
    status = Path(f"/proc/{server.process.pid}/status")
    while True:
        (mask,) = [line for line in status.read_text().splitlines() if line.startswith("SigBlk")]
        if int(mask.split()[1], 16) & 1 << (signal.SIGTERM - 1):
            return
        time.sleep(0.001)


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_stop_by_a_signal_leaves_no_process_behind(tmp_path: Path, how: signal.Signals) -> None:
    """Ctrl-C, and what an init system sends; the port is free again at once."""
    running = start(tmp_path, "--workers", "2", port=free_port())
    wait_until_up(running)
    assert stop(running, how) == 0
    assert "Traceback" not in running.log.read_text()
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("127.0.0.1", running.port))
