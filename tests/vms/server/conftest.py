"""Real servers: each test starts `manage.py serve` and ends it."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import trustme

from tests.conformance.proxmox import ProxmoxHarness
from tests.support.sandbox import free_port
from tests.support.server import Server, group_lives, start, wait_until_up
from tests.support.waiting import wait_until

Serve = Callable[..., Server]


def write_certificate(folder: Path, authority: trustme.CA) -> None:
    """Issue a certificate."""
    issued = authority.issue_cert("localhost")
    issued.private_key_pem.write_to_path(folder / "key.pem")
    for number, pem in enumerate(issued.cert_chain_pems):
        pem.write_to_path(folder / "cert.pem", append=number > 0)


@pytest.fixture
def authority() -> trustme.CA:
    """Return a certificate authority."""
    return trustme.CA()


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


@pytest.fixture
def serve_tls(tmp_path: Path, authority: trustme.CA) -> Iterator[Serve]:
    """Return the same for a server that speaks https, with the certificate in `tmp_path`."""
    write_certificate(tmp_path, authority)
    files = ("--tls-cert", str(tmp_path / "cert.pem"), "--tls-key", str(tmp_path / "key.pem"))
    servers: list[Server] = []

    def start_and_wait(*arguments: str) -> Server:
        servers.append(start(tmp_path, *files, *arguments, port=free_port()))
        wait_until(lambda: _listens(servers[-1].port))
        return servers[-1]

    yield start_and_wait
    for server in servers:
        if group_lives(server.process.pid):
            os.killpg(server.process.pid, signal.SIGKILL)
        server.process.wait()


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
    except ConnectionRefusedError:
        return False
    return True
