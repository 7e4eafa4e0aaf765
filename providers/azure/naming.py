"""What things are called on the wire: operations as the vendor documents them, and paths."""

from __future__ import annotations

import re
import urllib.parse
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import requests

# The ids of operations in the vendor's own description of its API (azure-rest-api-specs).
LIST: Final = "VirtualMachines_List"
LIST_ALL: Final = "VirtualMachines_ListAll"
GET: Final = "VirtualMachines_Get"
CREATE: Final = "VirtualMachines_CreateOrUpdate"
DELETE: Final = "VirtualMachines_Delete"
START: Final = "VirtualMachines_Start"
RESTART: Final = "VirtualMachines_Restart"
DEALLOCATE: Final = "VirtualMachines_Deallocate"
POWER_OFF: Final = "VirtualMachines_PowerOff"
NICS: Final = "NetworkInterfaces_List"
DELETE_NIC: Final = "NetworkInterfaces_Delete"
GET_DISK: Final = "Disks_Get"
DELETE_DISK: Final = "Disks_Delete"
DISKS: Final = "Disks_ListByResourceGroup"
# These two have none.
POLL: Final = "GET operation"
TOKEN: Final = "POST /oauth2/v2.0/token"  # noqa: S105 - the name of an operation
DISCOVERY: Final = "GET /v2.0/.well-known/openid-configuration"

_VMS: Final = "/providers/microsoft.compute/virtualmachines"
_GROUP: Final = "/subscriptions/[^/]+/resourcegroups/[^/]+"
_OPERATIONS: Final = tuple(
    (method, re.compile(pattern, re.IGNORECASE), operation)
    for method, pattern, operation in (
        ("GET", rf"{_GROUP}{_VMS}", LIST),
        ("GET", rf"/subscriptions/[^/]+{_VMS}", LIST_ALL),
        ("GET", rf"{_GROUP}{_VMS}/[^/]+", GET),
        ("PUT", rf"{_GROUP}{_VMS}/[^/]+", CREATE),
        ("DELETE", rf"{_GROUP}{_VMS}/[^/]+", DELETE),
        ("POST", rf"{_GROUP}{_VMS}/[^/]+/start", START),
        ("POST", rf"{_GROUP}{_VMS}/[^/]+/restart", RESTART),
        ("POST", rf"{_GROUP}{_VMS}/[^/]+/deallocate", DEALLOCATE),
        ("POST", rf"{_GROUP}{_VMS}/[^/]+/powerOff", POWER_OFF),
        ("GET", rf"{_GROUP}/providers/microsoft.network/networkinterfaces", NICS),
        ("DELETE", rf"{_GROUP}/providers/microsoft.network/networkinterfaces/[^/]+", DELETE_NIC),
        ("GET", rf"{_GROUP}/providers/microsoft.compute/disks", DISKS),
        ("GET", rf"{_GROUP}/providers/microsoft.compute/disks/[^/]+", GET_DISK),
        ("DELETE", rf"{_GROUP}/providers/microsoft.compute/disks/[^/]+", DELETE_DISK),
        ("GET", r"/subscriptions/[^/]+/providers/[^/]+/locations/.+", POLL),
        ("POST", r"/[^/]+/oauth2/v2.0/token", TOKEN),
        ("GET", r"/[^/]+/v2.0/\.well-known/openid-configuration", DISCOVERY),
    )
)


def operation_of(request: requests.PreparedRequest) -> str:
    """The operation that a request is."""
    return operation_named(request.method or "", request.url or "")


def operation_named(method: str, url: str) -> str:
    """The same by method and URL."""
    path = urllib.parse.urlsplit(url).path
    found = (name for verb, pattern, name in _OPERATIONS if verb == method and pattern.fullmatch(path))
    return next(found, POLL if method == "GET" else method)


def vm_path(group_path: str, name: str = "") -> str:
    """The path of a VM, or of all of a group."""
    path = f"{group_path}/providers/Microsoft.Compute/virtualMachines"
    return f"{path}/{urllib.parse.quote(name, safe='')}" if name else path
