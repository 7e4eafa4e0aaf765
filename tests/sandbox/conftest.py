"""The AWS and Azure simulators, and clients of them, for the tests of the simulators."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from mypy_boto3_ec2 import EC2Client

from providers.sandbox.authority import Authority
from providers.sandbox.aws import ACCESS_KEY, REGION, SECRET, AwsSandbox
from providers.sandbox.azure import AzureSandbox
from tests.sandbox.azure import Caller

TRANSITION_SECONDS = 0.05

ClientMaker = Callable[..., EC2Client]


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """The certificate authority of all simulators of this run."""
    folder: Path = tmp_path_factory.mktemp("authority")
    return Authority(folder / "ca.pem")


@pytest.fixture(scope="session")
def running_aws(authority: Authority) -> Iterator[AwsSandbox]:
    """One AWS simulator with TLS."""
    with AwsSandbox(authority, transition_seconds=TRANSITION_SECONDS) as sandbox:
        yield sandbox


@pytest.fixture
def aws(running_aws: AwsSandbox) -> AwsSandbox:
    """The AWS simulator, as at its start."""
    running_aws.reset()
    return running_aws


@pytest.fixture(scope="session")
def make_client(running_aws: AwsSandbox, authority: Authority) -> ClientMaker:
    """Make a boto3 client that tries once, with the sandbox's key unless another is given."""
    session = boto3.session.Session()

    def make(
        access_key: str = ACCESS_KEY,
        secret: str = SECRET,
        token: str | None = None,
        *,
        region: str = REGION,
        attempts: int = 1,
        **config: Any,
    ) -> EC2Client:
        options = Config(
            retries={"mode": "standard", "total_max_attempts": attempts}, max_pool_connections=20, **config
        )
        return session.client(
            "ec2",
            endpoint_url=running_aws.url,
            verify=str(authority.ca_file),
            region_name=region,
            aws_access_key_id=access_key,
            aws_secret_access_key=secret,
            aws_session_token=token,
            config=options,
        )

    return make


@pytest.fixture(scope="session")
def client(make_client: ClientMaker) -> EC2Client:
    """A boto3 client with the sandbox's key."""
    return make_client()


@pytest.fixture(scope="session")
def running_azure(authority: Authority) -> Iterator[AzureSandbox]:
    """One Azure simulator."""
    with AzureSandbox(authority, task_seconds=0.03) as sandbox:
        yield sandbox


@pytest.fixture
def azure(running_azure: AzureSandbox) -> AzureSandbox:
    """The Azure simulator, as at its start."""
    running_azure.reset()
    return running_azure


@pytest.fixture
def stranger(azure: AzureSandbox, authority: Authority) -> Caller:
    """Somebody without a token."""
    return Caller(azure.url, str(authority.ca_file))


@pytest.fixture
def arm(stranger: Caller) -> Caller:
    """The sandbox's principal, logged in."""
    return stranger.log_in()
