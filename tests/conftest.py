"""What every test stands on: settings of a production start, read before Django is set up."""

import os

# The machine's own settings must not decide what tests see.
for _name in [name for name in os.environ if name.startswith(("CLOUDVM_", "AWS_"))]:
    if _name not in {"CLOUDVM_LIVE_TOKEN", "CLOUDVM_LIVE_ENVIRONMENTS_FILE", "CLOUDVM_LIVE_MACHINETYPES_FILE"}:
        del os.environ[_name]
os.environ.update(
    CLOUDVM_SECRET_KEY="a key for tests, which signs nothing that anybody else reads",
    CLOUDVM_ALLOWED_HOSTS="testserver,localhost,127.0.0.1",
    CLOUDVM_LOG_LEVEL="DEBUG",
)
for _name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
    os.environ.pop(_name, None)
    os.environ.pop(_name.lower(), None)
