"""Nothing around the process has any effect on how EC2 is spoken to."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from providers.aws.isolation import ec2_client, split_secret
from providers.credentials import Credentials
from providers.errors import CredentialsUnusableError
from providers.network import Network
from tests.providers.aws.documents import described
from tests.providers.aws.endpoint import Reply, answering

KEYS = Credentials("AKIAIOSFODNN7EXAMPLE", "the-secret")

CONFIG = """[default]
region = ap-south-1
endpoint_url = http://127.0.0.1:9
ca_bundle = /nowhere.pem
max_attempts = 9
use_fips_endpoint = true
services = mine
[profile evil]
region = ap-south-1
[services mine]
ec2 =
  endpoint_url = http://127.0.0.1:9
"""

VARIABLES = {
    "AWS_ACCESS_KEY_ID": "AKIAAMBIENT",
    "AWS_BEARER_TOKEN_EC2": "ambient-token",
    "AWS_CA_BUNDLE": "/nowhere.pem",
    "AWS_DATA_PATH": "/nowhere",
    "AWS_DEFAULTS_MODE": "auto",
    "AWS_DEFAULT_REGION": "ap-south-1",
    "AWS_EC2_METADATA_SERVICE_ENDPOINT": "http://127.0.0.1:9",
    "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
    "AWS_ENDPOINT_URL_EC2": "http://127.0.0.1:9",
    "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "false",
    "AWS_MAX_ATTEMPTS": "9",
    "AWS_PROFILE": "missing",
    "AWS_REGION": "ap-south-1",
    "AWS_RETRY_MODE": "legacy",
    "AWS_SECRET_ACCESS_KEY": "ambient-secret",
    "AWS_SESSION_TOKEN": "ambient-session",
    "AWS_USE_DUALSTACK_ENDPOINT": "true",
    "AWS_USE_FIPS_ENDPOINT": "true",
    "HTTPS_PROXY": "http://127.0.0.1:9",
    "HTTP_PROXY": "http://127.0.0.1:9",
    "REQUESTS_CA_BUNDLE": "/nowhere.pem",
    "https_proxy": "http://127.0.0.1:9",
    "http_proxy": "http://127.0.0.1:9",
}


@pytest.fixture
def hostile(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A process whose environment and home say everything wrong."""
    home = tmp_path / "home"
    (home / ".aws" / "models" / "ec2" / "2099-01-01").mkdir(parents=True)
    (home / ".aws" / "models" / "ec2" / "2099-01-01" / "service-2.json").write_text("{}")
    (home / ".aws" / "config").write_text(CONFIG)
    (home / ".aws" / "credentials").write_text("[default]\naws_access_key_id = AKIAFILE\naws_secret_access_key = x\n")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(home / ".aws" / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(home / ".aws" / "credentials"))
    for name, value in VARIABLES.items():
        monkeypatch.setenv(name, value)


# What a fresh process makes of its surroundings: the session is made once for each.
PROBE = """
import json, sys
from providers.aws.isolation import ec2_client, endpoint_url
from providers.credentials import Credentials
from providers.network import Network
region = sys.argv[1]
client = ec2_client(region, "", Credentials("AKIAIOSFODNN7EXAMPLE", "the-secret"), Network(), verify=True)
config = client.meta.config
print(json.dumps([client.meta.endpoint_url, endpoint_url(region), config.region_name, config.retries, config.proxies]))
"""


@pytest.mark.usefixtures("hostile")
@pytest.mark.parametrize(
    ("region", "host"),
    [
        ("eu-west-3", "ec2.eu-west-3.amazonaws.com"),
        ("us-gov-west-1", "ec2.us-gov-west-1.amazonaws.com"),
        ("cn-north-1", "ec2.cn-north-1.amazonaws.com.cn"),
    ],
)
def test_ec2_client_hostile_surroundings_keep_public_endpoint(region: str, host: str) -> None:
    """The endpoint follows from the region alone, in every partition; so do region, attempts and proxies."""
    root = Path(__file__).parents[3]
    ran = subprocess.run([sys.executable, "-c", PROBE, region], cwd=root, capture_output=True, text=True, check=True)
    attempts = {"mode": "standard", "total_max_attempts": 3}
    assert json.loads(ran.stdout) == [f"https://{host}", f"https://{host}", region, attempts, {}]


@pytest.mark.usefixtures("hostile")
def test_ec2_client_hostile_surroundings_sign_with_given_keys_only() -> None:
    """What reaches the wire bears the caller's key, and no other token."""
    with answering(Reply(described())) as endpoint:
        ec2_client("eu-west-3", endpoint.url, KEYS, Network(), verify=True).describe_instances()
    sent = endpoint.headers[0]
    assert "Credential=AKIAIOSFODNN7EXAMPLE/" in sent["authorization"]
    assert "/eu-west-3/ec2/" in sent["authorization"]
    assert "x-amz-security-token" not in sent
    assert "ambient" not in str(sent)


def test_ec2_client_temporary_key_sends_session_token() -> None:
    """The third part of the token travels in EC2's own header."""
    keys = Credentials("ASIAIOSFODNN7EXAMPLE", "the-secret:the/session+token==")
    with answering(Reply(described())) as endpoint:
        ec2_client("eu-west-3", endpoint.url, keys, Network(), verify=True).describe_instances()
    assert endpoint.headers[0]["x-amz-security-token"] == "the/session+token=="


def test_ec2_client_proxy_given_is_used_unless_bypassed() -> None:
    """Proxies come from `Network` only, and its NO_PROXY is matched against the region's own endpoint."""
    proxied = Network(https_proxy="http://proxy.example:3128")
    bypassed = Network(https_proxy="http://proxy.example:3128", no_proxy=".amazonaws.com.cn")
    client = ec2_client("cn-north-1", "", KEYS, proxied, verify=True)
    assert client.meta.config.proxies == {"https": "http://proxy.example:3128"}  # type: ignore[attr-defined] # not in the stubs
    client = ec2_client("cn-north-1", "", KEYS, bypassed, verify=True)
    assert client.meta.config.proxies == {}  # type: ignore[attr-defined] # not in the stubs


def test_ec2_client_keeps_the_time_limits_and_connections_for_all_threads() -> None:
    """What the settings say; a pool smaller than the server's threads would drop connections."""
    network = Network(connect_timeout_seconds=3, read_timeout_seconds=17)
    config = ec2_client("eu-west-3", "", KEYS, network, verify=True).meta.config
    assert (config.connect_timeout, config.read_timeout) == (3, 17)  # type: ignore[attr-defined] # not in the stubs
    assert config.max_pool_connections >= 64  # type: ignore[attr-defined] # not in the stubs


@pytest.mark.parametrize(
    ("access_key", "secret", "parts"),
    [
        ("AKIAX", "secret", ("secret", None)),
        ("AKIAX", "se:cret", ("se:cret", None)),
        ("ASIAX", "secret:token", ("secret", "token")),
        ("ASIAX", "secret:to:ken", ("secret", "to:ken")),
    ],
)
def test_split_secret_by_kind_of_key(access_key: str, secret: str, parts: tuple[str, str | None]) -> None:
    """Only a temporary key's secret has two parts."""
    assert split_secret(Credentials(access_key, secret)) == parts


@pytest.mark.parametrize("secret", ["secret", "secret:", ":token"])
def test_split_secret_temporary_key_without_session_token_is_rejected(secret: str) -> None:
    """The answer says which form is meant, and shows no secret."""
    with pytest.raises(CredentialsUnusableError, match="key:secret:session-token") as raised:
        split_secret(Credentials("ASIAX", secret))
    assert secret not in raised.value.detail.replace("key:secret:session-token", "")
