"""Environments that one authority checks the credentials of count failed log-ins together, and no others do."""

from pkgutil import resolve_name
from types import MappingProxyType
from typing import Any

import pytest

from providers.catalogue import CLOUDS, find_cloud
from providers.domain import Environment
from providers.driver import Driver

TENANT = "d9007062-1aae-4619-abb0-320699664975"
SUBSCRIPTION = "54e30869-75a2-47ed-8b32-1057e61707f0"
ENTRIES: dict[str, dict[str, Any]] = {
    "Aws": {"region": "eu-west-3"},
    "Azure": {"region": "westeurope", "project": "vms", "vpc_id": f"{TENANT}/{SUBSCRIPTION}"},
    "Nutanix": {"url": "https://prism.example.com:9440"},
    "Proxmox": {"url": "https://pve.example.com:8006", "vpc_id": "node/pve"},
    "vSphere": {"url": "https://vcenter.example.com"},
}


def authority(cloud: str, name: str = "one", **changes: Any) -> str:
    """The authority of an environment that differs from its cloud's entry above."""
    found = find_cloud(cloud)
    assert found is not None
    assert found.driver is not None
    driver: type[Driver] = resolve_name(found.driver)
    return driver.login_authority(Environment(name, found, **{**ENTRIES[cloud], **changes}))


SAME: list[tuple[str, dict[str, Any]]] = [
    *((cloud.name, {"name": "two", "tls_verify": False, "network_id": ""}) for cloud in CLOUDS),
    ("Aws", {"region": "EU-WEST-3", "vpc_id": "vpc-0123456789abcdef0"}),
    ("Azure", {"vpc_id": f"{TENANT.upper()}/{TENANT}", "region": "northeurope", "url": "AzurePublicCloud"}),
    ("Nutanix", {"url": "https://PRISM.example.com:9440/api/nutanix/v3", "project": "cluster"}),
    ("Proxmox", {"url": "https://pve.example.com:8006/", "vpc_id": "node/pve2"}),
    ("vSphere", {"url": "https://vcenter.example.com:443/sdk", "project": "datacenter"}),
]
OTHER: list[tuple[str, dict[str, Any]]] = [
    ("Aws", {"region": "ap-east-1"}),
    ("Aws", {"url": "https://ec2.example.com"}),
    ("Azure", {"vpc_id": f"{SUBSCRIPTION}/{SUBSCRIPTION}"}),
    ("Azure", {"url": "AzureChinaCloud"}),
    ("Azure", {"url": "https://management.example.com"}),
    (
        "Azure",
        {
            "url": "https://management.example.com",
            "options": MappingProxyType({"authority_url": ("https://login.example.com",)}),
        },
    ),
    ("Nutanix", {"url": "https://prism2.example.com:9440"}),
    ("Proxmox", {"url": "https://pve.example.com:8007"}),
    ("vSphere", {"url": "http://vcenter.example.com"}),
]


@pytest.mark.parametrize(("cloud", "changes"), SAME)
def test_environments_that_log_in_at_the_same_place_have_one_authority(cloud: str, changes: dict[str, Any]) -> None:
    """Whatever else differs between them."""
    assert authority(cloud, **changes) == authority(cloud)


@pytest.mark.parametrize(("cloud", "changes"), OTHER)
def test_environments_that_log_in_elsewhere_have_another_authority(cloud: str, changes: dict[str, Any]) -> None:
    """The same secret may be right there."""
    assert authority(cloud, **changes) != authority(cloud)
