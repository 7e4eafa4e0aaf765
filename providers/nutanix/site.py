"""What an environment's entry means on Nutanix: the API, the cluster, the network and the storage container."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from providers.domain import Environment

_UUID: Final = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


@dataclass(frozen=True)
class Site:
    """Where VMs are listed and made; each is blank where the file does not say it.

    Attributes:
        name: the environment's.
        api: v2, v3 or v4.
        cluster: uuid or name of the cluster, on a Prism Central.
        network: uuid or name.
        container: uuid of the storage container for disks.

    """

    name: str
    api: str
    cluster: str
    network: str
    container: str


def site_of(environment: Environment) -> Site:
    """What the entry means. The origin named the network in `vpc_id`."""
    return Site(
        name=environment.name,
        api=next(iter(environment.options.get("api_version", ())), ""),
        cluster=environment.project,
        network=environment.network_id or environment.vpc_id,
        container=environment.storage_external_id,
    )


def is_uuid(text: str) -> bool:
    """Whether a text is a uuid, and no name."""
    return _UUID.fullmatch(text) is not None
