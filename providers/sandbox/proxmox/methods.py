"""Every method that is offered: its path, its parameters with their types, and the privileges that it takes.

Facts of PVE's API schema, https://pve.proxmox.com/pve-docs/api-viewer/; what is not here answers 501.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from providers.sandbox.proxmox import drives, formats
from providers.sandbox.proxmox.accounts import Caller
from providers.sandbox.proxmox.options import OPTIONS
from providers.sandbox.proxmox.schema import Schema
from providers.sandbox.proxmox.wire import DeniedError, Version

PLACE = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True)
class Check:
    """Privileges that a call takes on a path: all of them, or any. `instead` has alternatives, and is not named."""

    path: str
    privileges: tuple[str, ...]
    any: bool = False
    instead: bool = False

    def refuse(self, caller: Caller, parameters: Mapping[str, object]) -> None:
        """Refuse a caller who has not what it takes."""
        path = PLACE.sub(lambda place: str(parameters.get(place[1], "")), self.path)
        try:
            (caller.check_any if self.any else caller.check)(path, *self.privileges)
        except DeniedError:
            if self.instead:
                raise DeniedError from None
            raise


@dataclass(frozen=True)
class Method:
    """One method of one path. Without checks any user may call it, and its action looks at the rest."""

    parameters: Mapping[str, Schema] = field(default_factory=dict)
    checks: tuple[Check, ...] = ()
    checks_before: tuple[Version, tuple[Check, ...]] | None = None
    for_tokens: bool = True
    for_anybody: bool = False

    def refuse(self, caller: Caller, parameters: Mapping[str, object], version: Version) -> None:
        """Refuse a caller who has not what it takes in a version."""
        checks = self.checks
        if self.checks_before is not None and version < self.checks_before[0]:
            checks = self.checks_before[1]
        for check in checks:
            check.refuse(caller, parameters)


_FLAG = Schema("boolean")
_TEXT = Schema()
_SECONDS = Schema("integer", minimum=0)
_VM_ID = Schema("integer", format=formats.vmid, minimum=100, maximum=999999999)
_NODE = {"node": Schema(required=True, format=formats.node)}
_VM = {**_NODE, "vmid": Schema("integer", required=True, format=formats.vmid, minimum=100, maximum=999999999)}
_STORAGE_ID = Schema(format=formats.storage_id)
_STORAGE = {**_NODE, "storage": Schema(required=True, format=formats.storage_id)}
_VOLUME = {**_NODE, "storage": _STORAGE_ID, "volume": Schema(required=True)}
_TASK = {**_NODE, "upid": Schema(required=True)}
_SKIP_LOCK = {"skiplock": _FLAG}
_DISK_SLOTS = (
    *(f"{prefix}{number}" for prefix, count in drives.COUNTS.items() for number in range(count)),
    "efidisk0",
    "tpmstate0",
)
_CONFIG = {
    **_VM,
    **OPTIONS,
    **_SKIP_LOCK,
    "delete": Schema(format=formats.config_ids),
    "digest": Schema(max_length=40),
    "force": Schema("boolean", requires="delete"),
    "import-working-storage": Schema(format=formats.storage_id, since=(8, 3)),
}
_CONFIG_NOW = {name: schema for name, schema in _CONFIG.items() if name != "import-working-storage"}

_AUDIT = (Check("/vms/{vmid}", ("VM.Audit",)),)
_POWER = (Check("/vms/{vmid}", ("VM.PowerMgmt",)),)
_ALLOCATE = (Check("/vms/{vmid}", ("VM.Allocate",)),)
_CHANGE = (
    Check(
        "/vms/{vmid}",
        (
            "VM.Config.Disk",
            "VM.Config.CDROM",
            "VM.Config.CPU",
            "VM.Config.Memory",
            "VM.Config.Network",
            "VM.Config.HWType",
            "VM.Config.Options",
            "VM.Config.Cloudinit",
        ),
        any=True,
    ),
)
_LOOK = (Check("/storage/{storage}", ("Datastore.Audit", "Datastore.AllocateSpace"), any=True),)

VM = "/nodes/{node}/qemu/{vmid}"
STORAGE = "/nodes/{node}/storage/{storage}"
UPLOAD = f"POST {STORAGE}/upload"
UPLOAD_PRIVILEGE = Check("/storage/{storage}", ("Datastore.AllocateTemplate",))

METHODS: Mapping[str, Method] = {
    "POST /access/ticket": Method(
        {
            "username": Schema(required=True, max_length=64),
            "password": Schema(required=True),
            "realm": Schema(format=formats.realm, max_length=32),
            "new-format": _FLAG,
        },
        for_tokens=False,
        for_anybody=True,
    ),
    "GET /access/permissions": Method(),
    "GET /version": Method(),
    "GET /nodes": Method(),
    "GET /cluster/nextid": Method({"vmid": _VM_ID}),
    "GET /cluster/resources": Method({"type": Schema(enum=("vm", "storage", "node", "sdn"))}),
    "GET /nodes/{node}/lxc": Method(_NODE),
    "GET /nodes/{node}/qemu": Method({**_NODE, "full": _FLAG}),
    "POST /nodes/{node}/qemu": Method(
        {
            **_VM,
            **OPTIONS,
            "start": _FLAG,
            "import-working-storage": Schema(format=formats.storage_id, since=(8, 3)),
        }
    ),
    f"DELETE {VM}": Method(
        {**_VM, **_SKIP_LOCK, "purge": _FLAG, "destroy-unreferenced-disks": _FLAG},
        _ALLOCATE,
    ),
    f"GET {VM}/config": Method({**_VM, "current": _FLAG, "snapshot": Schema(max_length=40)}, _AUDIT),
    f"GET {VM}/snapshot": Method(_VM, _AUDIT),
    f"PUT {VM}/config": Method(_CONFIG_NOW, _CHANGE),
    f"POST {VM}/config": Method(_CONFIG, _CHANGE),
    f"GET {VM}/status/current": Method(_VM, _AUDIT),
    f"POST {VM}/status/start": Method({**_VM, "timeout": _SECONDS}, _POWER),
    f"POST {VM}/status/stop": Method(
        {**_VM, "timeout": _SECONDS, "overrule-shutdown": Schema("boolean", since=(8, 2))}, _POWER
    ),
    f"POST {VM}/status/shutdown": Method({**_VM, "timeout": _SECONDS, "forceStop": _FLAG}, _POWER),
    f"POST {VM}/status/reboot": Method({**_VM, "timeout": _SECONDS}, _POWER),
    f"POST {VM}/status/reset": Method(_VM, _POWER),
    f"POST {VM}/status/suspend": Method(_VM, _POWER),
    f"POST {VM}/status/resume": Method(_VM, _POWER),
    f"POST {VM}/clone": Method(
        {
            **_VM,
            "newid": Schema("integer", required=True, format=formats.vmid, minimum=100, maximum=999999999),
            "name": Schema(format=formats.dns_name),
            "description": _TEXT,
            "full": _FLAG,
            "storage": _STORAGE_ID,
            "format": Schema(enum=("raw", "qcow2", "vmdk")),
            "target": Schema(format=formats.node),
        },
        (Check("/vms/{vmid}", ("VM.Clone",)), Check("/vms/{newid}", ("VM.Allocate",), instead=True)),
    ),
    f"POST {VM}/template": Method(_VM, _ALLOCATE),
    f"PUT {VM}/resize": Method(
        {
            **_VM,
            **_SKIP_LOCK,
            "disk": Schema(required=True, enum=_DISK_SLOTS),
            "size": Schema(required=True, pattern=r"\+?\d+(\.\d+)?[KMGT]?"),
        },
        (Check("/vms/{vmid}", ("VM.Config.Disk",)),),
    ),
    f"POST {VM}/migrate": Method(
        {
            **_VM,
            "target": Schema(required=True, format=formats.node),
            "online": _FLAG,
            "force": _FLAG,
            "with-local-disks": _FLAG,
        },
        (Check("/vms/{vmid}", ("VM.Migrate",)),),
    ),
    # Privileges for the agent alone came with PVE 9, in place of the monitor's.
    f"GET {VM}/agent/network-get-interfaces": Method(
        _VM,
        (Check("/vms/{vmid}", ("VM.GuestAgent.Audit", "VM.GuestAgent.Unrestricted"), any=True),),
        ((9, 0), (Check("/vms/{vmid}", ("VM.Monitor",)),)),
    ),
    "GET /nodes/{node}/storage": Method(
        {**_NODE, "content": Schema(format=formats.content_types), "storage": _STORAGE_ID}
    ),
    f"GET {STORAGE}/status": Method(_STORAGE, _LOOK),
    f"GET {STORAGE}/content": Method(
        {**_STORAGE, "content": Schema(format=formats.content_type), "vmid": _VM_ID}, _LOOK
    ),
    UPLOAD: Method(
        {
            **_STORAGE,
            "content": Schema(required=True, format=formats.content_type, enum=("iso", "vztmpl", "import")),
            "filename": Schema(required=True, max_length=255),
            "checksum": Schema(requires="checksum-algorithm"),
            "checksum-algorithm": Schema(
                enum=("md5", "sha1", "sha224", "sha256", "sha384", "sha512"), requires="checksum"
            ),
        },
        (UPLOAD_PRIVILEGE,),
    ),
    f"GET {STORAGE}/content/{{volume}}": Method(_VOLUME),
    f"DELETE {STORAGE}/content/{{volume}}": Method(_VOLUME),
    "GET /nodes/{node}/tasks": Method(
        {
            **_NODE,
            "source": Schema(enum=("archive", "active", "all")),
            "typefilter": _TEXT,
            "vmid": _VM_ID,
            "limit": _SECONDS,
        }
    ),
    "GET /nodes/{node}/tasks/{upid}/status": Method(_TASK),
    "GET /nodes/{node}/tasks/{upid}/log": Method({**_TASK, "start": _SECONDS, "limit": _SECONDS}),
    "DELETE /nodes/{node}/tasks/{upid}": Method(_TASK),
}


@dataclass(frozen=True)
class Route:
    """Where a request goes: its operation, such as `GET /nodes/{node}/qemu`, and what its path says."""

    operation: str
    path: Mapping[str, str]


def find(method: str, path: str) -> Route | None:
    """The route of a path; None when there is no such method of it."""
    for operation, expression in _EXPRESSIONS.items():
        if operation.startswith(f"{method} ") and (match := expression.fullmatch(path)):
            return Route(operation, match.groupdict())
    return None


def _expression(operation: str) -> re.Pattern[str]:
    # A volume's name has slashes in it, and is the rest of the path.
    template = operation.partition(" ")[2]
    return re.compile(PLACE.sub(lambda place: f"(?P<{place[1]}>{'.+' if place[1] == 'volume' else '[^/]+'})", template))


_EXPRESSIONS = {operation: _expression(operation) for operation in METHODS}
