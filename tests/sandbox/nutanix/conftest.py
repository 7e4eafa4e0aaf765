"""The Prism of each module, as at its start, and the one who calls it."""

import pytest

from providers.sandbox.authority import Authority
from providers.sandbox.nutanix import NutanixSandbox
from tests.sandbox.nutanix.client import Caller


@pytest.fixture
def prism(running: NutanixSandbox) -> NutanixSandbox:
    """The simulator that the module runs, as at its start."""
    running.reset()
    running.knobs.guest_seconds = 0.02
    return running


@pytest.fixture
def user(prism: NutanixSandbox, authority: Authority) -> Caller:
    """The sandbox's user."""
    return Caller(prism.url, str(authority.ca_file))
