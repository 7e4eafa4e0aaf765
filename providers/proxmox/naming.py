"""What things are called on the wire: operations as the vendor documents them, places, ISO images of ours."""

from __future__ import annotations

import hashlib
import re
import urllib.parse
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import requests

API: Final = "/api2/json"

# https://pve.proxmox.com/pve-docs/api-viewer/ names what varies in a path so.
_PLACES: Final = (
    (re.compile(r"^/nodes/[^/]+"), "/nodes/{node}"),
    (re.compile(r"/content/.+$"), "/content/{volume}"),
    (re.compile(r"/qemu/[^/]+"), "/qemu/{vmid}"),
    (re.compile(r"/storage/[^/]+"), "/storage/{storage}"),
    (re.compile(r"/tasks/[^/]+"), "/tasks/{upid}"),
)

# Version 1.0 wrote names without a scope.
OUR_ISO: Final = r"[^:/,]+:iso/cloudvm-(?:[0-9a-f]{8}-)?[0-9a-f]{32}\.iso"


@dataclass(frozen=True)
class Place:
    """A VM's id and the node that it is on."""

    node: str
    vm_id: str


def operation_of(request: requests.PreparedRequest) -> str:
    """The operation that a request is, such as `GET /nodes/{node}/qemu`."""
    path = urllib.parse.unquote(urllib.parse.urlsplit(request.url or "").path).partition(API)[2]
    for pattern, place in _PLACES:
        path = pattern.sub(place, path)
    return f"{request.method} {path}"


def iso_scope(url: str) -> str:
    """Return 8 hexadecimal digits for the cluster at `url`. Clusters may share a storage for images."""
    return hashlib.sha256(url.rstrip("/").removesuffix(API).lower().encode()).hexdigest()[:8]


def iso_file(scope: str, token: str) -> str:
    """Return the file name of the image that carries one VM's cloud-init."""
    return f"cloudvm-{scope}-{token}.iso"


def iso_volume(storage: str, scope: str, token: str) -> str:
    """Return the volume id of the image that carries one VM's cloud-init."""
    return f"{storage}:iso/{iso_file(scope, token)}"


def is_our_iso(volume: str) -> bool:
    """Whether a volume's name is that of an image with cloud-init, of any cluster."""
    return re.fullmatch(OUR_ISO, volume) is not None


def is_iso_of(volume: str, token: str) -> bool:
    """Whether a volume is the image with this token, on whatever storage."""
    return is_our_iso(volume) and volume.endswith(f"-{token}.iso")
