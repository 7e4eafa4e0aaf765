"""A simulated Proxmox VE over TLS for the tests of its driver."""

from collections.abc import Iterator

import pytest

from providers.sandbox.authority import Authority
from providers.sandbox.proxmox import ProxmoxSandbox
from tests.providers.proxmox.cluster import Pve

TASK_SECONDS = 0.02


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """The certificate authority of the simulator."""
    return Authority(tmp_path_factory.mktemp("authority") / "ca.pem")


@pytest.fixture(scope="session")
def running(authority: Authority) -> Iterator[ProxmoxSandbox]:
    """One simulator for all tests."""
    with ProxmoxSandbox(authority, task_seconds=TASK_SECONDS) as sandbox:
        yield sandbox


@pytest.fixture
def pve(running: ProxmoxSandbox, authority: Authority) -> Iterator[Pve]:
    """The cluster, as at its start, with no session open."""
    running.reset()
    pve = Pve(running, str(authority.ca_file))
    yield pve
    pve.backends.close()
    running.reset()
