"""The settings of a production start, read from an environment that is the same on every machine."""

import os

_given = dict(os.environ)
# What is for tests alone, and no setting: what to run or to write anew, a token, where programs of others are.
_KEPT = {
    "CLOUDVM_FRESH_CLONE",
    "CLOUDVM_LIVE_TOKEN",
    "CLOUDVM_NTNX_PYTHON",
    "CLOUDVM_OAV",
    "CLOUDVM_PICTURES",
    "CLOUDVM_REQUIRE_CHROMIUM",
    "CLOUDVM_REQUIRE_VCSIM",
    "CLOUDVM_REQUIRE_VENDOR",
    "CLOUDVM_SOAK_SECONDS",
    "CLOUDVM_SOAK_SEED",
    "CLOUDVM_VCSIM",
    "CLOUDVM_VENDOR_FOLDER",
}
_NETWORK = {"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"}

for _name in list(os.environ):
    if (_name.startswith(("CLOUDVM_", "AWS_")) and _name not in _KEPT) or _name.upper() in _NETWORK:
        del os.environ[_name]
os.environ.update(
    CLOUDVM_SECRET_KEY="a key for tests, which signs nothing that anybody else reads",
    CLOUDVM_ALLOWED_HOSTS="testserver,localhost,127.0.0.1",
    CLOUDVM_LOG_LEVEL="DEBUG",
    CLOUDVM_FIRST_POLL_DELAY_SECONDS="0.03",
    CLOUDVM_CLEAN_UP_SECONDS="10",
)

from cloudvm_project.settings import *  # noqa: E402, F403 - these are the settings, once the environment is set
from providers.network import network_from  # noqa: E402 - as above

# The live tests go through the proxies and trust the authorities that the machine's own environment names.
CLOUDVM_LIVE_NETWORK = network_from(
    _given,
    connect_timeout_seconds=CLOUDVM_CONNECT_TIMEOUT_SECONDS,  # noqa: F405 - from production's settings
    read_timeout_seconds=CLOUDVM_READ_TIMEOUT_SECONDS,  # noqa: F405 - from production's settings
)
