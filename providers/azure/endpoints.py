"""Where each Azure is reached: the endpoints of Microsoft's clouds, as its SDK knows them, and those of others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from azure.core import AzureClouds
from azure.identity import AzureAuthorityHosts
from azure.mgmt.core.tools import get_arm_endpoints


@dataclass(frozen=True)
class Endpoints:
    """Where one Azure is reached; the URLs end in no slash. `cloud` is what its SDK calls it."""

    management_url: str
    authority_url: str
    scope: str
    cloud: AzureClouds = AzureClouds.AZURE_PUBLIC_CLOUD


def _known(cloud: AzureClouds, authority: str) -> Endpoints:
    found = get_arm_endpoints(cloud)
    return Endpoints(
        found["resource_manager"].rstrip("/"), f"https://{authority}", found["credential_scopes"][0], cloud
    )


_US: Final = _known(AzureClouds.AZURE_US_GOVERNMENT, AzureAuthorityHosts.AZURE_GOVERNMENT)
_KNOWN: Final[Mapping[str, Endpoints]] = {
    "AzurePublicCloud": _known(AzureClouds.AZURE_PUBLIC_CLOUD, AzureAuthorityHosts.AZURE_PUBLIC_CLOUD),
    "AzureChinaCloud": _known(AzureClouds.AZURE_CHINA_CLOUD, AzureAuthorityHosts.AZURE_CHINA),
    "AzureUSGovernment": _US,
    "AzureUSGovernmentCloud": _US,
}


def endpoints_of(url: str, authority_url: str) -> Endpoints:
    """Those of a cloud that is known by its name, or of the `url` itself; its log-in is there, too, if not named."""
    return _KNOWN.get(url) or Endpoints(url, authority_url or url, f"{url}/.default")
