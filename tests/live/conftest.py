"""Points the tests at an environment that the caller names, with the caller's own files and token."""

import os
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest
from pytest_django import Settings

from tests.support.api import Api
from vms.service import current_service, read_registries


def pytest_addoption(parser: pytest.Parser) -> None:
    """The options by which the account is chosen."""
    live = parser.getgroup("live", "tests on a real account")
    live.addoption("--environment", help="name of the environment to test")
    live.addoption("--machinetype", help="machine type to make (default: the first that the environment offers)")
    live.addoption("--environments-file", type=Path, help="default: fixtures/environments.json")
    live.addoption("--machinetypes-file", type=Path, help="default: fixtures/machinetypes.json")


@pytest.fixture
def api(request: pytest.FixtureRequest, settings: Settings) -> Iterator[Api]:
    """The API, as the caller whose token is in CLOUDVM_LIVE_TOKEN."""
    environment = request.config.getoption("environment")
    token = os.environ.get("CLOUDVM_LIVE_TOKEN")
    if not environment:
        pytest.skip("needs --environment NAME and the token in CLOUDVM_LIVE_TOKEN")
    if not token:
        pytest.fail("CLOUDVM_LIVE_TOKEN is not set, although --environment is given.", pytrace=False)
    settings.CLOUDVM_NETWORK = settings.CLOUDVM_LIVE_NETWORK
    for option, setting in (
        ("environments_file", "CLOUDVM_ENVIRONMENTS_FILE"),
        ("machinetypes_file", "CLOUDVM_MACHINETYPES_FILE"),
    ):
        if file := request.config.getoption(option):
            setattr(settings, setting, file.absolute())
    names = read_registries().environments
    if environment not in names:
        pytest.fail(
            f"There is no environment {environment!r}. {settings.CLOUDVM_ENVIRONMENTS_FILE} has: {', '.join(names)}.",
            pytrace=False,
        )
    yield Api(environment, f"Bearer {token}")
    current_service().backends.close()


@pytest.fixture
def machinetype(request: pytest.FixtureRequest, api: Api) -> str:
    """The machine type to make."""
    offered = api.call("GET", f"/environment/{api.environment}").json["machinetypes"]
    return str(request.config.getoption("machinetype") or offered[0])


@pytest.fixture
def name(api: Api) -> Iterator[str]:
    """A name that marks a VM as made by these tests; what still bears it afterwards is deleted."""
    name = f"cloudvm-live-{secrets.token_hex(4)}"
    yield name
    for vm in api.list(name=name).json:
        assert api.delete(vm["id"]).status == 204, f"VM {vm['id']} ({name}) is left: delete it by hand"
