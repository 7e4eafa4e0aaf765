"""Who may do what: actions granted at a scope, and ARM's 403.

https://learn.microsoft.com/azure/role-based-access-control/resource-provider-operations
"""

from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from http import HTTPStatus
from typing import Protocol

from providers.sandbox.azure.ids import covers
from providers.sandbox.azure.wire import GatewayError

JOIN_SUBNET = "Microsoft.Network/virtualNetworks/subnets/join/action"
JOIN_NIC = "Microsoft.Network/networkInterfaces/join/action"
WRITE_NIC = "Microsoft.Network/networkInterfaces/write"
DELETE_NIC = "Microsoft.Network/networkInterfaces/delete"
WRITE_DISK = "Microsoft.Compute/disks/write"
DELETE_DISK = "Microsoft.Compute/disks/delete"
READ_IMAGE = "Microsoft.Compute/images/read"


@dataclass(frozen=True)
class Grant:
    """Actions, such as `Microsoft.Compute/virtualMachines/*`, that are granted at a scope and below."""

    actions: frozenset[str]
    scope: str

    def allows(self, action: str, resource: str) -> bool:
        """Whether it grants an action on a resource."""
        granted = any(fnmatchcase(action.lower(), one.lower()) for one in self.actions)
        return granted and covers(self.scope, resource)


class Caller(Protocol):
    """Somebody with grants."""

    client_id: str
    object_id: str
    grants: list[Grant]


def may(caller: Caller, action: str, resource: str) -> bool:
    """Whether a caller may do something to a resource."""
    return any(grant.allows(action, resource) for grant in caller.grants)


def check(caller: Caller, action: str, resource: str) -> None:
    """Refuse a caller who may not."""
    if may(caller, action, resource):
        return
    message = (
        f"The client '{caller.client_id}' with object id '{caller.object_id}' does not have authorization to perform "
        f"action '{action}' over scope '{resource}' or the scope is invalid. If access was recently granted, please "
        "refresh your credentials."
    )
    raise GatewayError(HTTPStatus.FORBIDDEN, "AuthorizationFailed", message)


def check_linked(caller: Caller, action: str, resource: str, needs: Iterable[tuple[str, str]]) -> None:
    """Refuse a caller who may do the action, but not what it needs of other resources: (action, resource) each."""
    lacking = [(needed, linked) for needed, linked in needs if not may(caller, needed, linked)]
    if not lacking:
        return
    actions, scopes = (",".join(dict.fromkeys(side)) for side in zip(*lacking, strict=True))
    message = (
        f"The client '{caller.client_id}' with object id '{caller.object_id}' has permission to perform action "
        f"'{action}' on scope '{resource}'; however, it does not have permission to perform action(s) '{actions}' on "
        f"the linked scope(s) '{scopes}' (respectively) or the linked scope(s) are invalid."
    )
    raise GatewayError(HTTPStatus.FORBIDDEN, "LinkedAuthorizationFailed", message)
