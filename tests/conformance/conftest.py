"""The suite's fixtures: each test runs once for each backend."""

import json
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from pytest_django import Settings

from providers.network import Network
from tests.conformance.aws import AwsHarness
from tests.conformance.azure import AzureHarness
from tests.conformance.harness import Harness
from tests.conformance.nutanix import CentralHarness, ElementHarness, OldCentralHarness
from tests.conformance.proxmox import ProxmoxHarness, ProxmoxTemplateHarness
from tests.conformance.vcsim import EsxiHarness, VcenterHarness
from tests.conformance.vsphere import EsxiSandboxHarness, VSphereHarness
from tests.support.api import Api, bearer
from tests.support.impostor import Impostor, running_impostor
from tests.support.log_lines import recorded_lines
from vms.service import current_service

# Other people's simulators are asked in addition to our own, and take their time. Tests marked `own_simulators` leave
# them out.
SLOW_HARNESSES = {"vcsim-vcenter", "vcsim-esxi"}
HARNESSES: dict[str, Callable[[], Harness]] = {
    "aws": AwsHarness,
    "azure": AzureHarness,
    "nutanix-v2": ElementHarness,
    "nutanix-v4": CentralHarness,
    "nutanix-v3": OldCentralHarness,
    "proxmox": ProxmoxHarness,
    "proxmox-7": ProxmoxTemplateHarness,
    "vsphere": VSphereHarness,
    "esxi": EsxiSandboxHarness,
    "vcsim-vcenter": VcenterHarness,
    "vcsim-esxi": EsxiHarness,
}

# Short enough that a test of silence is quick; long enough for a busy machine.
NETWORK = Network(connect_timeout_seconds=2.0, read_timeout_seconds=10.0)


@dataclass(frozen=True)
class Files:
    """The two files of one backend's environments."""

    environments: Path
    machinetypes: Path


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run each test once for each backend."""
    if "started" in metafunc.fixturenames:
        skipped = SLOW_HARNESSES if metafunc.definition.get_closest_marker("own_simulators") else set()
        parameters = [
            pytest.param(name, marks=pytest.mark.slow if name in SLOW_HARNESSES else ())
            for name in HARNESSES
            if name not in skipped
        ]
        metafunc.parametrize("started", parameters, indirect=True, scope="session")


@pytest.fixture(scope="session")
def started(request: pytest.FixtureRequest) -> Iterator[Harness]:
    """A running backend."""
    harness = HARNESSES[request.param]()
    harness.start()
    yield harness
    harness.stop()


@pytest.fixture(scope="session")
def impostor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Impostor]:
    """A server with a good certificate for another name than the one under which it is reached."""
    with running_impostor(tmp_path_factory.mktemp("impostor")) as running:
        yield running


@pytest.fixture(scope="session")
def closed_port() -> Iterator[int]:
    """A port that refuses connections. It stays bound, so that no other process gets it."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]


@pytest.fixture(scope="session")
def files(started: Harness, impostor: Impostor, closed_port: int, tmp_path_factory: pytest.TempPathFactory) -> Files:
    """Environments on the backend: `main`, `other` (a second name for the same), and some that cannot work."""
    folder = tmp_path_factory.mktemp(started.name)
    main = {**started.environment, "url": started.url, "ca_file": started.ca_file}
    environments: list[dict[str, Any]] = [
        {**main, "name": "main"},
        {**main, "name": "other"},
        {**main, "name": "down", "url": f"https://127.0.0.1:{closed_port}"},
        {**main, "name": "untrusted", "ca_file": ""},
        {**main, "name": "careless", "ca_file": "", "tls_verify": False},
        {**main, "name": "misnamed", "url": impostor.url, "ca_file": impostor.ca_file},
    ]
    machinetypes = {
        "small-debian": {
            "os": {"os_type": "Linux", "os_distribution": "Debian", "os_disk_size_gb": 20},
            "clouds": {started.cloud: started.offer},
        },
        "elsewhere": {"os": {"os_type": "Linux"}, "clouds": {}},
    }
    files = Files(folder / "environments.json", folder / "machinetypes.json")
    files.environments.write_text(json.dumps(environments))
    files.machinetypes.write_text(json.dumps(machinetypes))
    return files


@pytest.fixture
def backend(started: Harness, files: Files, settings: Settings, request: pytest.FixtureRequest) -> Iterator[Harness]:
    """The backend, fresh, and the service set up for it."""
    for gap, reason in started.known_gaps.items():
        name, _, parameter = gap.partition(":")
        if name == request.node.originalname and parameter in request.node.name:
            pytest.skip(reason)
    settings.CLOUDVM_ENVIRONMENTS_FILE = files.environments
    settings.CLOUDVM_MACHINETYPES_FILE = files.machinetypes
    settings.CLOUDVM_NETWORK = NETWORK
    started.reset()
    yield started
    started.reset()
    current_service().backends.close()


@pytest.fixture
def api(backend: Harness) -> Api:
    """The API, as a caller whom the backend knows."""
    return Api("main", bearer(backend.access_key, backend.secret))


@pytest.fixture
def warm(api: Api, backend: Harness) -> Api:
    """The same with a session that is open; nothing is counted yet."""
    assert api.list().status == 200
    backend.forget_operations()
    return api


@pytest.fixture
def impatient(settings: Settings, backend: Harness) -> None:
    """A service that waits two seconds for a silent backend."""
    settings.CLOUDVM_NETWORK = replace(NETWORK, read_timeout_seconds=2.0)


@pytest.fixture
def lines() -> Iterator[list[str]]:
    """Every line that is logged at DEBUG or above."""
    with recorded_lines() as recorded:
        yield recorded.lines
