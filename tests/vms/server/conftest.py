"""Real servers: each test starts `manage.py serve` and ends it."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.conformance.proxmox import ProxmoxHarness
from tests.support.sandbox import free_port
from tests.support.server import Server, group_lives, start, wait_until_up

Serve = Callable[..., Server]


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Return a function that starts a server with these arguments and variables, and waits until it answers."""
    servers: list[Server] = []

    def start_and_wait(*arguments: str, **variables: str) -> Server:
        folder = tmp_path / f"server-{len(servers)}"
        folder.mkdir()
        servers.append(start(folder, *arguments, port=free_port(), **variables))
        wait_until_up(servers[-1])
        return servers[-1]

    yield start_and_wait
    for server in servers:
        if group_lives(server.process.pid):
            os.killpg(server.process.pid, signal.SIGKILL)
        server.process.wait()


@pytest.fixture
def serve_cloud(serve: Serve, cloud: ProxmoxHarness, tmp_path: Path) -> Serve:
    """Return the same for a server whose environments `main` and `other` are on a simulated Proxmox."""

    def start_and_wait(*arguments: str, **variables: str) -> Server:
        files = {
            "CLOUDVM_ENVIRONMENTS_FILE": str(tmp_path / "environments.json"),
            "CLOUDVM_MACHINETYPES_FILE": str(tmp_path / "machinetypes.json"),
        }
        return serve(*arguments, **files, **variables)

    return start_and_wait
