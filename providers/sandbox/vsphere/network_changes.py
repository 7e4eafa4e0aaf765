"""Which networks device changes connect a VM to."""

from collections.abc import Iterable
from typing import Any, Final

from pyVmomi import vim

from providers.sandbox.vsphere.inventory import Datacenter, Network

_CARD: Final = vim.vm.device.VirtualEthernetCard


def networks_of(changes: Iterable[Any], datacenter: Datacenter | None) -> list[Network]:
    """The networks that changes connect to, of those that there are; not what is taken out."""
    cards = [change.device for change in changes if change.operation != "remove" and isinstance(change.device, _CARD)]
    networks = datacenter.networks() if datacenter else []
    return [network for network in networks if any(backs(network, card.backing) for card in cards)]


def backs(network: Network, backing: Any) -> bool:
    """Whether it is this network that a backing names."""
    if isinstance(backing, _CARD.DistributedVirtualPortBackingInfo):
        port = backing.port
        return network.is_distributed and (port.portgroupKey, port.switchUuid) == (network.moid, network.switch_uuid)
    if isinstance(backing, _CARD.NetworkBackingInfo):
        return not network.is_distributed and backing.deviceName == network.name
    return False
