"""govmomi's simulator and our own, each in both modes, and gateways to them, for what is peculiar to vSphere."""

from collections.abc import Callable, Iterator
from typing import TypeVar

import pytest

from providers.credentials import Credentials
from providers.deadline import Deadline
from providers.domain import Environment, Offer, OperatingSystem, VMSpec
from providers.gateway import Backends, Gateway
from providers.network import Network
from providers.sandbox.authority import Authority
from providers.sandbox.vsphere import VSphereSandbox
from providers.vsphere import CLOUD
from tests.conformance.vcsim import EsxiHarness, VcenterHarness, VcsimHarness
from tests.providers.vsphere.site import Kind, Site
from tests.support.limits import LIMITS

NETWORK = Network(connect_timeout_seconds=2.0, read_timeout_seconds=10.0)
MakeGateway = Callable[..., Gateway]
# Of our own simulator's tasks.
TASK_SECONDS = 0.02
H = TypeVar("H", bound=VcsimHarness)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Function]) -> None:
    """Mark what needs govmomi's simulator as slow."""
    for item in items:
        if {"running_vcenter", "running_esxi"} & set(item.fixturenames):
            item.add_marker(pytest.mark.slow)


def running(harness: H) -> Iterator[H]:
    """Started, and stopped in the end."""
    harness.start()
    yield harness
    harness.stop()


@pytest.fixture(scope="session")
def running_vcenter() -> Iterator[VcsimHarness]:
    """A vCenter."""
    yield from running(VcenterHarness())


@pytest.fixture(scope="session")
def running_esxi() -> Iterator[EsxiHarness]:
    """A standalone host."""
    yield from running(EsxiHarness())


@pytest.fixture
def vcenter(running_vcenter: VcsimHarness) -> VcsimHarness:
    """The vCenter as at its start."""
    running_vcenter.reset()
    return running_vcenter


@pytest.fixture
def esxi(running_esxi: EsxiHarness) -> EsxiHarness:
    """The host as at its start."""
    running_esxi.reset()
    return running_esxi


@pytest.fixture
def backends() -> Iterator[Backends]:
    """The cloud side of a process; logged out in the end."""
    made = Backends(NETWORK, LIMITS)
    yield made
    made.close()


@pytest.fixture
def gateway(backends: Backends) -> MakeGateway:
    """Make a gateway to a backend, with some keys of its environment changed."""

    def make(harness: VcsimHarness, secret: str = "", seconds: float = 30.0, **changed: str) -> Gateway:
        keys = {key: str(value) for key, value in harness.environment.items() if key != "cloud"}
        environment = Environment("e", CLOUD, url=harness.url, ca_file=harness.ca_file, **{**keys, **changed})  # type: ignore[arg-type] # texts
        credentials = Credentials(harness.access_key, secret or harness.secret)
        return backends.gateway(environment, credentials, Deadline.after(seconds))

    return make


def spec_of(harness: VcsimHarness, name: str = "web1", disk_gib: int | None = None, **changed: object) -> VMSpec:
    """A VM of the backend's image."""
    image = str(changed.pop("image", harness.offer["image"]))
    return VMSpec(name, OperatingSystem("Linux", disk_gib=disk_gib), Offer("c1m1", image, 1, 1024), **changed)  # type: ignore[arg-type] # as given


# ---- Our own simulator


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """The certificate authority of our own simulators."""
    return Authority(tmp_path_factory.mktemp("authority") / "ca.pem")


@pytest.fixture(scope="session")
def sandboxes(authority: Authority) -> Iterator[dict[Kind, VSphereSandbox]]:
    """One of each kind for all tests."""
    vcenter = VSphereSandbox(authority, task_seconds=TASK_SECONDS)
    with vcenter, VSphereSandbox(authority, kind="esxi", task_seconds=TASK_SECONDS) as esxi:
        yield {"vcenter": vcenter, "esxi": esxi}


def _site(sandboxes: dict[Kind, VSphereSandbox], authority: Authority, kind: Kind) -> Iterator[Site]:
    sandbox = sandboxes[kind]
    sandbox.reset()
    site = Site(sandbox, str(authority.ca_file), authority, kind)
    yield site
    site.backends.close()
    sandbox.reset()


@pytest.fixture(params=["vcenter", "esxi"])
def site(request: pytest.FixtureRequest, sandboxes: dict[Kind, VSphereSandbox], authority: Authority) -> Iterator[Site]:
    """A vCenter, and then a standalone host; as at its start, with no session open."""
    yield from _site(sandboxes, authority, request.param)


@pytest.fixture
def center(sandboxes: dict[Kind, VSphereSandbox], authority: Authority) -> Iterator[Site]:
    """The vCenter only."""
    yield from _site(sandboxes, authority, "vcenter")


@pytest.fixture
def host(sandboxes: dict[Kind, VSphereSandbox], authority: Authority) -> Iterator[Site]:
    """The standalone host only."""
    yield from _site(sandboxes, authority, "esxi")
