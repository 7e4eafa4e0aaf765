"""The clouds that the service knows, by every name under which a file may call them."""

from __future__ import annotations

from collections.abc import Mapping
from pkgutil import resolve_name
from types import MappingProxyType

from providers import aws, azure, nutanix, proxmox, vsphere
from providers.cloud import Cloud
from providers.domain import Environment
from providers.errors import UnprocessableError

CLOUDS: tuple[Cloud, ...] = (aws.CLOUD, azure.CLOUD, nutanix.CLOUD, proxmox.CLOUD, vsphere.CLOUD)

_BY_NAME: Mapping[str, Cloud] = MappingProxyType({name: cloud for cloud in CLOUDS for name in cloud.names})


def find_cloud(name: str) -> Cloud | None:
    """The cloud of that name, in whatever case; None if there is none."""
    return _BY_NAME.get(name.lower())


def use_fault(environment: Environment) -> str | None:
    """Why an environment cannot be used, as far as its keys tell."""
    if environment.cloud.site is None:
        return None
    try:
        resolve_name(environment.cloud.site)(environment)
    except UnprocessableError as error:
        return error.detail
    return None
