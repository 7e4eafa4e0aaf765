"""The simulated Azure, and somebody who may do everything there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from providers.sandbox.authority import Authority
from providers.sandbox.azure import AzureSandbox
from tests.providers.azure.recorder import Record, recording
from tests.providers.azure.simulated import Caller


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """What vouches for the simulator, and for what stands in front of it."""
    return Authority(tmp_path_factory.mktemp("azure") / "ca.pem")


@pytest.fixture(scope="session")
def running(authority: Authority) -> Iterator[AzureSandbox]:
    """The simulator."""
    with AzureSandbox(authority, task_seconds=0.05) as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(running: AzureSandbox) -> AzureSandbox:
    """The same, fresh."""
    running.reset()
    return running


@pytest.fixture
def another(sandbox: AzureSandbox, authority: Authority) -> Iterator[Callable[..., Caller]]:
    """Makes callers: `client_id`, `secret` and `url` may be given."""
    made: list[Caller] = []

    def make(**given: Any) -> Caller:
        made.append(Caller(sandbox, str(authority.ca_file), **given))
        return made[-1]

    yield make
    for one in made:
        one.backends.close()


@pytest.fixture
def caller(sandbox: AzureSandbox, another: Callable[..., Caller]) -> Caller:
    """The caller who may do everything, logged in."""
    found = another()
    found.verbs.list_vms()
    sandbox.calls.clear()
    return found


@pytest.fixture
def record(sandbox: AzureSandbox, authority: Authority) -> Iterator[Record]:
    """What goes over the wire between a caller of its `url` and the simulator."""
    with recording(sandbox, authority) as found:
        yield found
