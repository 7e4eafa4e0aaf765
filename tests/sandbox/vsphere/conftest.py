"""A vCenter for the tests of each module, and those who talk to it."""

from collections.abc import Iterator

import pytest

from providers.sandbox.authority import Authority
from providers.sandbox.vsphere import VSphereSandbox
from tests.sandbox.vsphere.client import Client


@pytest.fixture(scope="module")
def running(authority: Authority) -> Iterator[VSphereSandbox]:
    """One simulator for all tests of this module."""
    with VSphereSandbox(authority, task_seconds=0.02) as sandbox:
        yield sandbox


@pytest.fixture
def vcenter(running: VSphereSandbox) -> VSphereSandbox:
    """The simulator, as at its start."""
    running.reset()
    return running


@pytest.fixture
def stranger(vcenter: VSphereSandbox, authority: Authority) -> Iterator[Client]:
    """Somebody who has not logged in."""
    client = Client(vcenter, authority)
    yield client
    client.close()


@pytest.fixture
def user(stranger: Client) -> Client:
    """The sandbox's user."""
    return stranger.log_in()
