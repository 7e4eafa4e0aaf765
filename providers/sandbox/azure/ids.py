"""ARM's resource ids: made, taken apart, and compared without regard to case."""

import re
from dataclasses import dataclass

VM = "Microsoft.Compute/virtualMachines"
DISK = "Microsoft.Compute/disks"
IMAGE = "Microsoft.Compute/images"
NIC = "Microsoft.Network/networkInterfaces"
NETWORK = "Microsoft.Network/virtualNetworks"

_RESOURCE = re.compile(
    r"/subscriptions/(?P<subscription>[^/]+)/resourceGroups/(?P<group>[^/]+)"
    r"/providers/(?P<type>[^/]+/[^/]+)/(?P<name>[^/]+)(?P<child>/.+)?",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class ResourceId:
    """A resource in a group; `child` is the rest of the id, such as `/subnets/default`."""

    subscription: str
    group: str
    type: str
    name: str
    child: str = ""

    def is_a(self, kind: str) -> bool:
        """Whether it is of a type."""
        return self.type.lower() == kind.lower()


def parse(text: str) -> ResourceId | None:
    """What an id says, None when it is not one."""
    match = _RESOURCE.fullmatch(text)
    return ResourceId(**{key: value or "" for key, value in match.groupdict().items()}) if match else None


def subscription_id(subscription: str) -> str:
    """A subscription's id."""
    return f"/subscriptions/{subscription}"


def group_id(subscription: str, group: str) -> str:
    """A resource group's id."""
    return f"{subscription_id(subscription)}/resourceGroups/{group}"


def resource_id(subscription: str, group: str, kind: str, name: str) -> str:
    """A resource's id."""
    return f"{group_id(subscription, group)}/providers/{kind}/{name}"


def covers(scope: str, resource: str) -> bool:
    """Whether a scope is a resource's own id or stands above it."""
    above, below = scope.rstrip("/").lower() + "/", resource.rstrip("/").lower() + "/"
    return below.startswith(above)
