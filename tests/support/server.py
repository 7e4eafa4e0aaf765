"""A running `manage.py serve`, and requests made by hand."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tests.support.sandbox import ROOT, SERVER_KEY
from tests.vms.conftest import ENVIRONMENTS, MACHINE_TYPES

START_SECONDS = 20.0


@dataclass(frozen=True)
class Reply:
    """A response as it came over the wire; status 0 if the connection was closed without one."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def code(self) -> str:
        """The problem's code."""
        assert self.headers["content-type"] == "application/problem+json"
        assert self.headers["x-content-type-options"] == "nosniff"
        problem = json.loads(self.body)
        assert problem["status"] == self.status
        assert problem["request_id"] == self.headers["x-request-id"]
        return str(problem["code"])


@dataclass(frozen=True)
class Server:
    """A running server."""

    process: subprocess.Popen[str]
    port: int
    log: Path

    def send(self, data: bytes) -> Reply:
        """Send bytes as they are, and read one answer to its end."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=60) as connection:
            # What is refused before all was read has its answer all the same.
            with suppress(ConnectionError):
                connection.sendall(data)
            return read_reply(connection)

    def request(
        self, method: str, target: str, *headers: str, body: bytes = b"", host: str = "localhost", version: str = "1.1"
    ) -> Reply:
        """A request made by hand."""
        lines = [f"{method} {target} HTTP/{version}", *([f"Host: {host}"] if host else []), "Connection: close"]
        return self.send("\r\n".join([*lines, *headers, "", ""]).encode("latin-1") + body)

    def workers(self) -> list[int]:
        """Return the ids of the worker processes that live."""
        found = subprocess.run(
            ["ps", "-o", "pid=,stat=", "--ppid", str(self.process.pid)], capture_output=True, text=True, check=False
        )
        rows = [line.split() for line in found.stdout.splitlines()]
        return [int(pid) for pid, state in rows if not state.startswith("Z")]

    def kill(self, pid: int) -> None:
        """Kill one of its processes."""
        os.kill(pid, signal.SIGKILL)

    def alive(self) -> bool:
        """Whether it still answers."""
        return self.request("GET", "/livez").status == 200


def read_reply(connection: socket.socket) -> Reply:
    """Read a response until the server closes the connection."""
    received = b""
    with suppress(ConnectionError):
        while data := connection.recv(65536):
            received += data
    if not received:
        return Reply(0, {}, b"")
    head, _, body = received.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    if headers.get("transfer-encoding") == "chunked":
        body = _unchunked(body)
    return Reply(int(first.split(" ")[1]), headers, body)


def _unchunked(data: bytes) -> bytes:
    body = b""
    while data:
        size, _, data = data.partition(b"\r\n")
        body, data = body + data[: int(size, 16)], data[int(size, 16) + 2 :]
    return body


def start(folder: Path, *arguments: str, port: int, **variables: str) -> Server:
    """Start a server in a process group of its own; whether it comes up is the caller's to see."""
    (folder / "environments.json").write_text(json.dumps(ENVIRONMENTS))
    (folder / "machinetypes.json").write_text(json.dumps(MACHINE_TYPES))
    settings = {
        "CLOUDVM_SECRET_KEY": SERVER_KEY,
        "CLOUDVM_ENVIRONMENTS_FILE": str(folder / "environments.json"),
        "CLOUDVM_MACHINETYPES_FILE": str(folder / "machinetypes.json"),
        **variables,
    }
    inherited = {key: value for key, value in os.environ.items() if not key.startswith(("CLOUDVM_", "DJANGO_"))}
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "manage.py", "serve", "--port", str(port), *arguments],
            cwd=ROOT,
            env={**inherited, **settings},
            stdout=log,
            stderr=log,
            text=True,
            start_new_session=True,
        )
    return Server(process, port, folder / "log")


def wait_until_up(server: Server) -> None:
    """Wait until it answers."""
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until:
        assert server.process.poll() is None, server.log.read_text()
        try:
            if server.alive():
                return
        except ConnectionError:
            time.sleep(0.05)
    raise AssertionError(server.log.read_text())


def stop(server: Server, how: signal.Signals = signal.SIGTERM) -> int:
    """Stop it, and return its exit code once the whole process group has gone."""
    server.process.send_signal(how)
    try:
        code = server.process.wait(timeout=15)
        until = time.monotonic() + 5
        while group_lives(server.process.pid) and time.monotonic() < until:
            time.sleep(0.05)
        assert not group_lives(server.process.pid)
    finally:
        if group_lives(server.process.pid):
            os.killpg(server.process.pid, signal.SIGKILL)
    return code


def group_lives(group: int) -> bool:
    """Whether any process of a group is left."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True
