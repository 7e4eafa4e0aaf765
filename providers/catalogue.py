"""The clouds that the service knows, by every name under which a file may call them."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from providers import aws, azure, nutanix, proxmox, vsphere
from providers.cloud import Cloud

CLOUDS: tuple[Cloud, ...] = (aws.CLOUD, azure.CLOUD, nutanix.CLOUD, proxmox.CLOUD, vsphere.CLOUD)

_BY_NAME: Mapping[str, Cloud] = MappingProxyType({name: cloud for cloud in CLOUDS for name in cloud.names})


def find_cloud(name: str) -> Cloud | None:
    """The cloud of that name, in whatever case; None if there is none."""
    return _BY_NAME.get(name.lower())
