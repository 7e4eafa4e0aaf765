"""Network interfaces and disks as Azure describes them, as far as it matters whether something uses them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from providers.azure.records import CREATION_TAG, as_object, own_tag, read_time
from providers.azure.site import short_region

# Azure attaches the disk of a new VM within seconds. A boot, a deallocation and another start take longer than this.
_FIRST_START: Final = timedelta(seconds=30)

# What an interface of ours never has: somebody put it to use since.
_USES: Final = ("networkSecurityGroup", "enableIPForwarding")
_ADDRESS_USES: Final = (
    "publicIPAddress",
    "loadBalancerBackendAddressPools",
    "loadBalancerInboundNatRules",
    "applicationGatewayBackendAddressPools",
    "applicationSecurityGroups",
    "virtualNetworkTaps",
)


@dataclass(frozen=True, slots=True)
class NetworkInterface:
    """A network interface.

    Attributes:
        region: in Azure's short form.
        is_free: whether no VM and no other service has it.
        is_altered: whether it has tags, a fixed or second address, a security group or something else that a create
            never gives it.

    """

    name: str
    region: str
    is_free: bool
    is_altered: bool


@dataclass(frozen=True, slots=True)
class Disk:
    """A managed disk.

    Attributes:
        region: in Azure's short form.
        is_free: whether no VM has it and nothing else reads or writes it.
        owner_changed_at: when it was last attached or detached, or its VM last started or stopped; None if never.
        creation: the mark that it got from its VM's tags; empty if it has none.

    """

    name: str
    region: str
    is_free: bool
    made_at: datetime | None
    owner_changed_at: datetime | None
    creation: str

    @property
    def was_attached_again(self) -> bool:
        """Whether its VM was deallocated or started after its first start.

        https://learn.microsoft.com/rest/api/compute/disks/get (LastOwnershipUpdateTime)
        """
        first, last = self.made_at, self.owner_changed_at
        return first is not None and last is not None and last - first > _FIRST_START


def read_nic(data: dict[str, Any]) -> NetworkInterface:
    """Read a network interface as the API describes it."""
    properties = as_object(data.get("properties"))
    owners = ("virtualMachine", "privateEndpoint", "privateLinkService")
    configurations = properties.get("ipConfigurations")
    configurations = configurations if isinstance(configurations, list) else []
    addresses = [as_object(as_object(one).get("properties")) for one in configurations]
    return NetworkInterface(
        name=str(data.get("name") or ""),
        region=short_region(str(data.get("location") or "")),
        is_free=not any(properties.get(owner) for owner in owners),
        is_altered=bool(data.get("tags")) or len(addresses) > 1 or _is_used(properties, addresses),
    )


def _is_used(properties: dict[str, Any], addresses: list[dict[str, Any]]) -> bool:
    return (
        any(properties.get(use) for use in _USES)
        or bool(as_object(properties.get("dnsSettings")).get("dnsServers"))
        or any(address.get(use) for address in addresses for use in _ADDRESS_USES)
        or any(address.get("privateIPAllocationMethod") == "Static" for address in addresses)
    )


def read_disk(data: dict[str, Any]) -> Disk:
    """Read a disk as the API describes it."""
    properties = as_object(data.get("properties"))
    is_owned = bool(data.get("managedBy") or data.get("managedByExtended"))
    return Disk(
        name=str(data.get("name") or ""),
        region=short_region(str(data.get("location") or "")),
        is_free=not is_owned and properties.get("diskState") == "Unattached",
        made_at=read_time(properties.get("timeCreated")),
        owner_changed_at=read_time(properties.get("LastOwnershipUpdateTime")),
        creation=own_tag(as_object(data.get("tags")), CREATION_TAG),
    )
