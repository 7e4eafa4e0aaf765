"""The service with two files of its own, of which every cloud's address is a port where nobody listens."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pytest_django import Settings

from tests.conformance.proxmox import ProxmoxHarness
from tests.support.api import Api, bearer
from tests.support.browser import Browser
from tests.support.log_lines import Lines, recorded_lines
from vms.service import current_service

ENVIRONMENTS: list[dict[str, Any]] = [
    {
        "name": "aws-one",
        "cloud": "Aws",
        "url": "http://127.0.0.1:9",
        "region": "Aws-int/eu-west-3",
        "vpc_id": "vpc-0123456789abcdef0",
        "network_id": "subnet-0123456789abcdef0",
        "account_id": "123456789012",
    },
    {
        "name": "azure-one",
        "cloud": "azure",
        "url": "AzurePublicCloud",
        "region": "Azure-int/westeurope",
        "project": "group-1",
        "vpc_id": "11111111-1111-1111-1111-111111111111/22222222-2222-2222-2222-222222222222",
        "subscription_id": "33333333-3333-3333-3333-333333333333",
    },
    {"name": "esxi-one", "cloud": "VMware", "url": "https://127.0.0.1:9", "storage_external_id": "datastore-77"},
]
MACHINE_TYPES: dict[str, Any] = {
    "small-debian": {
        "os": {"os_type": "Linux", "os_distribution": "Debian", "os_disk_size_gb": 20},
        "clouds": {
            "Aws": {"instance_type": "t3.micro", "image": "ami-0123456789abcdef0"},
            "esxi": {"instance_type": "x.c2m4", "image": "debian12"},
        },
    },
    "tiny": {"os": {"os_type": "linux"}, "clouds": {"AZURE": {"instance_type": "Standard_B1s", "image": "a/b/c/d"}}},
}


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The two files."""
    folder = tmp_path_factory.mktemp("files")
    environments, machinetypes = folder / "environments.json", folder / "machinetypes.json"
    environments.write_text(json.dumps(ENVIRONMENTS))
    machinetypes.write_text(json.dumps(MACHINE_TYPES))
    return environments, machinetypes


@pytest.fixture
def api(files: tuple[Path, Path], settings: Settings) -> Iterator[Api]:
    """The API, as a caller whose token has the right form."""
    settings.CLOUDVM_ENVIRONMENTS_FILE, settings.CLOUDVM_MACHINETYPES_FILE = files
    yield Api("aws-one", bearer("demo@sandbox", "canary-s3cr3t"))
    current_service().backends.close()


@pytest.fixture
def stranger(api: Api) -> Api:
    """The API, as a caller without a token."""
    return Api("aws-one", None)


@pytest.fixture(scope="session")
def pve() -> Iterator[ProxmoxHarness]:
    """A cloud that answers."""
    harness = ProxmoxHarness()
    harness.start()
    yield harness
    harness.stop()


@pytest.fixture
def cloud(pve: ProxmoxHarness, tmp_path: Path, settings: Settings) -> Iterator[ProxmoxHarness]:
    """The service with two environments on it, `main` and `other`, and a cloud without a VM."""
    pve.reset()
    main = {**pve.environment, "url": pve.url, "ca_file": pve.ca_file}
    files = tmp_path / "environments.json", tmp_path / "machinetypes.json"
    files[0].write_text(json.dumps([{**main, "name": "main"}, {**main, "name": "other"}]))
    os = {"os_type": "Linux", "os_distribution": "Debian", "os_disk_size_gb": 20}
    files[1].write_text(json.dumps({"small-debian": {"os": os, "clouds": {pve.cloud: pve.offer}}}))
    settings.CLOUDVM_ENVIRONMENTS_FILE, settings.CLOUDVM_MACHINETYPES_FILE = files
    yield pve
    current_service().backends.close()


@pytest.fixture
def browser(cloud: ProxmoxHarness) -> Browser:
    """A browser that is not signed in."""
    return Browser()


@pytest.fixture
def signed_in(browser: Browser, cloud: ProxmoxHarness) -> Browser:
    """A browser that is signed in to `main`."""
    assert browser.sign_in("main", cloud.access_key, cloud.secret).leads_to == "/vm?environment=main"
    return browser


@pytest.fixture
def lines() -> Iterator[Lines]:
    """Every line that is logged at DEBUG or above."""
    with recorded_lines() as recorded:
        yield recorded
