"""The settings of a production start, read from an environment that is the same on every machine."""

import os

_OURS = {"CLOUDVM_LIVE_TOKEN", "CLOUDVM_LIVE_ENVIRONMENTS_FILE", "CLOUDVM_LIVE_MACHINETYPES_FILE"}
_NETWORK = {"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"}

for _name in list(os.environ):
    if (_name.startswith(("CLOUDVM_", "AWS_")) and _name not in _OURS) or _name.upper() in _NETWORK:
        del os.environ[_name]
os.environ.update(
    CLOUDVM_SECRET_KEY="a key for tests, which signs nothing that anybody else reads",
    CLOUDVM_ALLOWED_HOSTS="testserver,localhost,127.0.0.1",
    CLOUDVM_LOG_LEVEL="DEBUG",
)

from cloudvm_project.settings import *  # noqa: E402, F403 - these are the settings, once the environment is set
