"""What an environment's entry means on Azure: tenant, subscription, resource group, region, subnet and endpoints."""

from __future__ import annotations

import re
import urllib.parse
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Final

from providers.domain import Environment
from providers.errors import UnprocessableError

if TYPE_CHECKING:
    from providers.azure.endpoints import Endpoints

PUBLIC: Final = "AzurePublicCloud"
KNOWN_CLOUDS: Final = (PUBLIC, "AzureChinaCloud", "AzureUSGovernment", "AzureUSGovernmentCloud")
DEFAULT_ADMIN: Final = "azureuser"

_GUID: Final = r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
_DOMAIN: Final = r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?)+"
_ACCOUNT: Final = re.compile(rf"(?P<tenant>{_GUID}|{_DOMAIN})/(?P<subscription>{_GUID})")
# https://learn.microsoft.com/azure/azure-resource-manager/management/resource-name-rules
_GROUP: Final = re.compile(r"[\w().-]{0,89}[\w()-]")
_REGION: Final = re.compile(r"[A-Za-z][A-Za-z0-9 ]{1,60}")
_NAME: Final = r"[A-Za-z0-9][A-Za-z0-9_.-]{0,79}"
_SUBNET: Final = re.compile(
    rf"/subscriptions/{_GUID}/resourceGroups/[\w().-]{{1,90}}"
    rf"/providers/Microsoft\.Network/virtualNetworks/{_NAME}/subnets/{_NAME}",
    re.IGNORECASE,
)

_URL: Final = re.compile(r"https://[^/?#@\s{}]+")


@dataclass(frozen=True)
class Site:
    """Where VMs are listed and made.

    `region` is in Azure's short form, `subnet_id` may be empty; `url` and `authority_url` as for `endpoints_of`.
    """

    name: str
    tenant: str
    subscription: str
    group: str
    region: str
    subnet_id: str
    admin: str
    url: str
    authority_url: str

    @cached_property
    def endpoints(self) -> Endpoints:
        """Where that Azure is reached."""
        # By the SDK, which takes a tenth of a second to import: whether an entry has a good form is told without.
        from providers.azure.endpoints import endpoints_of  # noqa: PLC0415

        return endpoints_of(self.url, self.authority_url)

    @property
    def group_path(self) -> str:
        """The resource group, as paths begin with it."""
        return f"/subscriptions/{self.subscription}/resourceGroups/{urllib.parse.quote(self.group, safe='()')}"


def site_of(environment: Environment) -> Site:
    """What the entry means.

    Raises:
        UnprocessableError: a key has no acceptable form.

    """
    account = _ACCOUNT.fullmatch(environment.vpc_id)
    if account is None:
        allowed = "the ids of the tenant and of the subscription with a slash between, <tenant>/<subscription>"
        raise _fault(environment, "vpc_id", environment.vpc_id, allowed)
    if not _GROUP.fullmatch(environment.project):
        raise _fault(environment, "project", environment.project, "the name of a resource group")
    region = environment.region.rpartition("/")[2]
    if not _REGION.fullmatch(region):
        raise _fault(environment, "region", environment.region, "the name of a region, such as westeurope")
    if environment.network_id and not _SUBNET.fullmatch(environment.network_id):
        allowed = (
            "the full id of a subnet: /subscriptions/<subscription>/resourceGroups/<group>/providers/"
            "Microsoft.Network/virtualNetworks/<network>/subnets/<subnet>"
        )
        raise _fault(environment, "network_id", environment.network_id, allowed)
    url, authority_url = _urls(environment)
    return Site(
        name=environment.name,
        tenant=account["tenant"],
        subscription=account["subscription"].lower(),
        group=environment.project,
        region=short_region(region),
        subnet_id=environment.network_id,
        admin=_option(environment, "admin_username") or DEFAULT_ADMIN,
        url=url,
        authority_url=authority_url,
    )


def short_region(name: str) -> str:
    """A region's name as Azure compares it: `West Europe` and `westeurope` are one."""
    return name.replace(" ", "").lower()


def _urls(environment: Environment) -> tuple[str, str]:
    """A cloud's name or the management endpoint's URL, and that of the log-in if it is named; without a slash."""
    url, authority = environment.url.rstrip("/") or PUBLIC, _option(environment, "authority_url").rstrip("/")
    if url in KNOWN_CLOUDS:
        if authority:
            raise _fault(environment, "authority_url", authority, f"left out, as the url is {url}")
    elif not _URL.fullmatch(url):
        raise _fault(environment, "url", url, f"an https URL without a path, or one of {', '.join(KNOWN_CLOUDS)}")
    return url, authority


def _option(environment: Environment, name: str) -> str:
    return next(iter(environment.options.get(name, ())), "")


def _fault(environment: Environment, key: str, value: str, allowed: str) -> UnprocessableError:
    return UnprocessableError(
        f"Environment {environment.name!r} cannot be used: its `{key}` is {value!r} and must be {allowed}."
    )
