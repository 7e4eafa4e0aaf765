"""Simulated Prisms over TLS for the tests of the driver."""

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from providers.gateway import Backends
from providers.nutanix.known import KNOWN
from providers.sandbox.authority import Authority
from tests.providers.nutanix.prism import API, APIS, Prism, quicken, running_prism
from tests.providers.reached import NETWORK
from tests.support.limits import LIMITS


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """The certificate authority of the simulators."""
    return Authority(tmp_path_factory.mktemp("authority") / "ca.pem")


@pytest.fixture(scope="session")
def running(authority: Authority) -> Iterator[dict[API, Prism]]:
    """One Prism for each API."""
    with ExitStack() as stack:
        yield {
            api: stack.enter_context(running_prism(authority, api, clusters=1 if api == "v2" else 2)) for api in APIS
        }


def fresh(prism: Prism) -> Iterator[Prism]:
    """A Prism as at its start, with no session open, of which nothing is known."""
    KNOWN.clear()
    prism.sandbox.reset()
    quicken(prism.sandbox)
    prism.backends = Backends(NETWORK, LIMITS)
    yield prism
    prism.backends.close()
    prism.sandbox.reset()


@pytest.fixture(params=APIS)
def prism(request: pytest.FixtureRequest, running: dict[API, Prism]) -> Iterator[Prism]:
    """Each of the three."""
    yield from fresh(running[request.param])


@pytest.fixture
def element(running: dict[API, Prism]) -> Iterator[Prism]:
    """A Prism Element."""
    yield from fresh(running["v2"])


@pytest.fixture
def central(running: dict[API, Prism]) -> Iterator[Prism]:
    """A Prism Central with v4."""
    yield from fresh(running["v4"])


@pytest.fixture
def old_central(running: dict[API, Prism]) -> Iterator[Prism]:
    """A Prism Central with v3."""
    yield from fresh(running["v3"])
