"""Every operation that is offered: its name in Azure's OpenAPI, method, path, API versions and the action it takes.

https://learn.microsoft.com/azure/role-based-access-control/permissions/compute
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from providers.sandbox.azure import catalogue, ids

SUBSCRIPTION = "/subscriptions/{subscription}"
GROUP = f"{SUBSCRIPTION}/resourceGroups/{{group}}"
VM = f"{GROUP}/providers/{ids.VM}/{{name}}"
NIC = f"{GROUP}/providers/{ids.NIC}/{{name}}"
DISK = f"{GROUP}/providers/{ids.DISK}/{{name}}"
NETWORK = f"{GROUP}/providers/{ids.NETWORK}/{{name}}"
COMPUTE_LOCATION = f"{SUBSCRIPTION}/providers/Microsoft.Compute/locations/{{location}}"
NETWORK_LOCATION = f"{SUBSCRIPTION}/providers/Microsoft.Network/locations/{{location}}"
POLL = "Operations_Get"
_PLACE = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True)
class Route:
    """One method of one path. Without an action it takes a token alone: links to operations are secret enough."""

    operation: str
    method: str
    path: str
    versions: tuple[str, ...]
    action: str = ""

    @cached_property
    def expression(self) -> re.Pattern[str]:
        """What a path of it looks like; case does not matter to ARM."""
        return re.compile(_PLACE.sub(lambda place: f"(?P<{place[1]}>[^/]+)", self.path), re.IGNORECASE)

    @property
    def type(self) -> str:
        """The resource type that an error names."""
        return self.action.rpartition("/")[0].removesuffix("/start").removesuffix("/instanceView")


def _routes(versions: tuple[str, ...], *rows: tuple[str, str, str, str]) -> tuple[Route, ...]:
    return tuple(Route(operation, method, path, versions, action) for operation, method, path, action in rows)


ROUTES = (
    *_routes(
        catalogue.COMPUTE_VERSIONS,
        ("VirtualMachines_ListAll", "GET", f"{SUBSCRIPTION}/providers/{ids.VM}", f"{ids.VM}/read"),
        ("VirtualMachines_List", "GET", f"{GROUP}/providers/{ids.VM}", f"{ids.VM}/read"),
        ("VirtualMachines_Get", "GET", VM, f"{ids.VM}/read"),
        ("VirtualMachines_InstanceView", "GET", f"{VM}/instanceView", f"{ids.VM}/instanceView/read"),
        ("VirtualMachines_CreateOrUpdate", "PUT", VM, f"{ids.VM}/write"),
        ("VirtualMachines_Delete", "DELETE", VM, f"{ids.VM}/delete"),
        ("VirtualMachines_Start", "POST", f"{VM}/start", f"{ids.VM}/start/action"),
        ("VirtualMachines_Deallocate", "POST", f"{VM}/deallocate", f"{ids.VM}/deallocate/action"),
        ("VirtualMachines_PowerOff", "POST", f"{VM}/powerOff", f"{ids.VM}/powerOff/action"),
        ("VirtualMachines_Restart", "POST", f"{VM}/restart", f"{ids.VM}/restart/action"),
        (POLL, "GET", f"{COMPUTE_LOCATION}/operations/{{operation}}", ""),
    ),
    *_routes(
        catalogue.DISK_VERSIONS,
        ("Disks_List", "GET", f"{SUBSCRIPTION}/providers/{ids.DISK}", f"{ids.DISK}/read"),
        ("Disks_ListByResourceGroup", "GET", f"{GROUP}/providers/{ids.DISK}", f"{ids.DISK}/read"),
        ("Disks_Get", "GET", DISK, f"{ids.DISK}/read"),
        ("Disks_Delete", "DELETE", DISK, f"{ids.DISK}/delete"),
        (POLL, "GET", f"{COMPUTE_LOCATION}/DiskOperations/{{operation}}", ""),
    ),
    *_routes(
        catalogue.NETWORK_VERSIONS,
        ("NetworkInterfaces_ListAll", "GET", f"{SUBSCRIPTION}/providers/{ids.NIC}", f"{ids.NIC}/read"),
        ("NetworkInterfaces_List", "GET", f"{GROUP}/providers/{ids.NIC}", f"{ids.NIC}/read"),
        ("NetworkInterfaces_Get", "GET", NIC, f"{ids.NIC}/read"),
        ("NetworkInterfaces_Delete", "DELETE", NIC, f"{ids.NIC}/delete"),
        ("VirtualNetworks_Get", "GET", NETWORK, f"{ids.NETWORK}/read"),
        ("Subnets_Get", "GET", f"{NETWORK}/subnets/{{subnet}}", f"{ids.NETWORK}/subnets/read"),
        (POLL, "GET", f"{NETWORK_LOCATION}/operations/{{operation}}", ""),
    ),
    *_routes(
        catalogue.RESOURCES_VERSIONS,
        ("ResourceGroups_Get", "GET", GROUP, "Microsoft.Resources/subscriptions/resourceGroups/read"),
    ),
)


@dataclass(frozen=True)
class Match:
    """Where a request goes, and what its path says."""

    route: Route
    path: Mapping[str, str]

    @property
    def scope(self) -> str:
        """The id of what the call is about: a resource, or what a list is of."""
        above, found, below = self.route.path.partition("/providers/")
        if not found or "{name}" not in below:
            return _filled(above, self.path)
        kind, _, _ = below.partition("/{name}")
        child = "/subnets/{subnet}" if "{subnet}" in below else ""
        return _filled(f"{above}/providers/{kind}/{{name}}{child}", self.path)


def find(method: str, path: str) -> Match | None:
    """Where a request goes; None when there is no such method of its path."""
    for route in ROUTES:
        if route.method == method and (match := route.expression.fullmatch(path)):
            return Match(route, match.groupdict())
    return None


def knows(path: str) -> bool:
    """Whether there is another method of a path."""
    return any(route.expression.fullmatch(path) for route in ROUTES)


def _filled(template: str, path: Mapping[str, str]) -> str:
    return _PLACE.sub(lambda place: path[place[1]], template)
