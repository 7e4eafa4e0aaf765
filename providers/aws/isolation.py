"""boto3, configured here and only here: nothing in the process's environment or its user's home has any effect.

A server that passes its callers' credentials on must not mix in its own: no `AWS_*` variable, no profile, no
`~/.aws`, no instance metadata. What botocore would read is listed in `botocore.configprovider` and `botocore.loaders`.
"""

from __future__ import annotations

import threading
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any, Final

import boto3
import botocore.session
from botocore import UNSIGNED
from botocore.awsrequest import AWSHTTPConnection, AWSHTTPConnectionPool, AWSHTTPSConnection, AWSHTTPSConnectionPool
from botocore.config import Config
from botocore.loaders import Loader

from providers.credentials import Credentials
from providers.cutoff import CutConnection, CutPool, within_limit
from providers.errors import CredentialsUnusableError
from providers.network import Network

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client

# A call is tried three times in all, with pauses, when EC2 is throttling or broken or the connection was lost.
ATTEMPTS = 3
# As many as one environment may use at once, reads and changes; more would be opened and thrown away.
CONNECTIONS = 176
# 1,000 instances in full take 9 MB.
MOST_BYTES: Final = 64 * 1024 * 1024

# Sessions are not thread-safe, clients are (https://boto3.amazonaws.com/v1/documentation/api/latest/guide/session.html).
_MAKING = threading.Lock()


def ec2_client(region: str, url: str, credentials: Credentials, network: Network, *, verify: bool | str) -> EC2Client:
    """A client for EC2 in one region, with these credentials and no others.

    Raises:
        CredentialsUnusableError: a temporary key came without its session token.
        BotoCoreError, ValueError: the region or the URL has no acceptable form.

    """
    secret, session_token = split_secret(credentials)
    config = Config(
        retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
        connect_timeout=network.connect_timeout_seconds,
        read_timeout=network.read_timeout_seconds,
        # Empty means direct; None would mean that botocore reads the environment.
        proxies=network.proxies(url or endpoint_url(region)) if _has_proxy(network) else {},
        max_pool_connections=CONNECTIONS,
        tcp_keepalive=True,
        user_agent_extra="cloudvm",
    )
    with _MAKING:
        client = _session().client(
            "ec2",
            region_name=region,
            endpoint_url=url or None,
            verify=verify,
            aws_access_key_id=credentials.access_key,
            aws_secret_access_key=secret,
            aws_session_token=session_token,
            config=config,
        )
    # botocore has no other place where to say which connections are to be made.
    client._endpoint.http_session._pool_classes_by_scheme.update(_POOLS)  # type: ignore[attr-defined] # noqa: SLF001
    return client


class _Connection(CutConnection, AWSHTTPConnection):  # type: ignore[misc] # the stubs' own bases differ
    """botocore's, which can be cut off."""


class _TLSConnection(CutConnection, AWSHTTPSConnection):  # type: ignore[misc] # the stubs' own bases differ
    """The same with TLS."""


class _ShortAnswers(CutPool):
    """To be mixed into a pool: botocore would read answers of any length."""

    def urlopen(self, *arguments: Any, **options: Any) -> Any:
        """See `urllib3.HTTPConnectionPool`; the answer is read already."""
        response = super().urlopen(*arguments, **options)  # type: ignore[misc] # urllib3's
        # It lets go of the pieces with the last one.
        pieces = iter(list(within_limit(response, response.stream(), MOST_BYTES)))
        response.stream = lambda: pieces
        return response


class _Pool(_ShortAnswers, AWSHTTPConnectionPool):
    ConnectionCls = _Connection


class _TLSPool(_ShortAnswers, AWSHTTPSConnectionPool):
    ConnectionCls = _TLSConnection


_POOLS: Final = {"http": _Pool, "https": _TLSPool}


def split_secret(credentials: Credentials) -> tuple[str, str | None]:
    """The secret key and, for a temporary key (`ASIA…`), the session token that follows it after a colon.

    Raises:
        CredentialsUnusableError: a temporary key came without its session token.

    """
    if not credentials.access_key.startswith("ASIA"):
        return credentials.secret, None
    secret, _, session_token = credentials.secret.partition(":")
    if not secret or not session_token:
        raise CredentialsUnusableError(
            "This is a temporary AWS access key (ASIA…), which is valid only together with its session token: "
            "encode `key:secret:session-token`."
        )
    return secret, session_token


@lru_cache(maxsize=64)
def endpoint_url(region: str) -> str:
    """EC2's public endpoint in a region of any partition, as botocore's rules name it."""
    with _MAKING:
        client = _session().client(
            "ec2",
            region_name=region,
            verify=True,
            config=Config(signature_version=UNSIGNED, proxies={}),
        )
    return client.meta.endpoint_url


def _has_proxy(network: Network) -> bool:
    return bool(network.http_proxy or network.https_proxy)


@cache
def _session() -> boto3.Session:
    """The one session of the process; it knows no credentials. To be used under the lock."""
    variables = botocore.session.Session.SESSION_VARIABLES
    # The same defaults as botocore's, but neither a name in the config file nor variables of the environment. The
    # files' own names are such defaults too.
    blind = {name: (None, None, default, convert) for name, (_, _, default, convert) in variables.items()}
    # AWS_ENDPOINT_URL is read past the variables, but asks this one first.
    blind["ignore_configured_endpoint_urls"] = (None, None, True, None)
    blind["config_file"] = blind["credentials_file"] = (None, None, None, None)
    session = botocore.session.Session(session_vars=blind)
    # The default loader would prefer service models found in ~/.aws/models.
    session.register_component(
        "data_loader", Loader(extra_search_paths=[Loader.BUILTIN_DATA_PATH], include_default_search_paths=False)
    )
    return boto3.Session(botocore_session=session)
