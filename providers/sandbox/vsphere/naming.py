"""The names that every part of the simulator knows: the namespace, and the ids of the well-known objects."""

from collections.abc import Mapping
from enum import Enum
from types import MappingProxyType
from typing import Final

NAMESPACE: Final = "urn:vim25"
COOKIE: Final = "vmware_soap_session"


class Kind(Enum):
    """What answers: vCenter Server, or a standalone ESXi host."""

    VCENTER = "vcenter"
    ESXI = "esxi"


# By their property in ServiceContent. A host's own ids carry `ha-` (host agent) where vCenter's don't.
_VCENTER: Final = {
    "sessionManager": "SessionManager",
    "propertyCollector": "propertyCollector",
    "viewManager": "ViewManager",
    "searchIndex": "SearchIndex",
    "fileManager": "FileManager",
    "virtualDiskManager": "virtualDiskManager",
    "taskManager": "TaskManager",
    "authorizationManager": "AuthorizationManager",
    "rootFolder": "group-d1",
}
_ESXI: Final = {
    "sessionManager": "ha-sessionmgr",
    "propertyCollector": "ha-property-collector",
    "viewManager": "ViewManager",
    "searchIndex": "ha-searchindex",
    "fileManager": "ha-nfc-file-manager",
    "virtualDiskManager": "ha-vdiskmanager",
    "taskManager": "ha-taskmgr",
    "authorizationManager": "ha-authmgr",
    "rootFolder": "ha-folder-root",
}
SERVICE_IDS: Final[Mapping[Kind, Mapping[str, str]]] = MappingProxyType({Kind.VCENTER: _VCENTER, Kind.ESXI: _ESXI})
