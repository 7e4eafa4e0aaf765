"""From a VM that is wanted to the options that PVE is asked for, by the kind of image, and what it could never make.

https://pve.proxmox.com/pve-docs/qm.conf.5.html
"""

from __future__ import annotations

import hashlib
import re
import secrets
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import Enum
from typing import Final

from providers import notes
from providers.domain import Environment, VMSpec
from providers.errors import FieldFault, InvalidRequestError, UnprocessableError
from providers.notes import Notes
from providers.proxmox.client import Options
from providers.proxmox.records import Config
from providers.proxmox.site import DEFAULT_BRIDGE, Site, site_of

# What Proxmox's own form proposes for a new disk; an installer brings no size of its own.
INSTALLER_DISK_GIB: Final = 32
SYSTEM_DISK: Final = "scsi0"
INSTALLER_SLOT: Final = "ide2"
# `description` in PVE's API: at most 8 KiB.
MOST_NOTES: Final = 8192

_OS_TYPES: Final = {"Windows": "win11", "Linux": "l26"}
_STORAGE: Final = r"[A-Za-z][A-Za-z0-9._-]*"
_NAME: Final = r"[A-Za-z0-9_+][A-Za-z0-9_.+-]*"


class ImageKind(Enum):
    """How a VM gets its system."""

    IMPORT = "a disk image, copied into a disk of the VM's own"
    TEMPLATE = "a template, cloned"
    INSTALLER = "an installer on a CD, and an empty disk"


@dataclass(frozen=True)
class Image:
    """An image as the machine type names it: a volume, or a template's id."""

    kind: ImageKind
    name: str


_IMAGES: Final = (
    (ImageKind.TEMPLATE, re.compile(r"(?:template/)?([1-9]\d{2,8})")),
    (ImageKind.INSTALLER, re.compile(rf"({_STORAGE}:iso/{_NAME}\.(?:iso|img))", re.IGNORECASE)),
    (ImageKind.IMPORT, re.compile(rf"({_STORAGE}:(?:{_NAME}/)*{_NAME})")),
)


@dataclass(frozen=True)
class Recipe:
    """One VM to be made. `creation` is drawn, and marks what this create makes; `begun_at` is when it began."""

    site: Site
    spec: VMSpec
    image: Image
    creation: str = field(default_factory=lambda: secrets.token_hex(16))
    begun_at: datetime = field(default_factory=lambda: datetime.now(UTC))

    @property
    def request_key(self) -> str:
        """See `VMSpec.request_key`."""
        return self.spec.request_key(self.site.name)

    @property
    def image_token(self) -> str:
        """What stands for the image with cloud-init; see `image_token`."""
        return image_token(self._notes(""))

    def notes(self, vm_id: str) -> str:
        """Return what goes into the notes of a VM that is not finished yet."""
        return notes.write(self._notes(vm_id))

    def _notes(self, vm_id: str) -> Notes:
        return Notes(
            tags=self.spec.tags,
            creation=self.creation,
            vm_id=vm_id,
            request_key=self.request_key,
            request_digest=self.spec.request_digest,
            created_at=int(self.begun_at.timestamp()),
            is_unfinished=True,
        )

    def new(self, vm_id: str, iso: str) -> Options:
        """The options of a VM that is made of an image or with an installer; `iso` is its cloud-init, if any."""
        os_type = self.spec.os.os_type
        options: dict[str, str | int] = {
            **self._size(),
            "name": self.spec.name,
            "description": self.notes(vm_id),
            "cpu": self.site.cpu_type or "host",
            "ostype": _OS_TYPES.get(os_type, "other"),
            "scsihw": "virtio-scsi-single",
            "agent": 1,
            "net0": f"virtio,bridge={self.site.network or DEFAULT_BRIDGE}",
            **self._drives(iso),
        }
        if os_type == "Linux":
            # Cloud images write their console there, and some wait for it.
            options["serial0"] = "socket"
        return options

    def cloned(self, vm_id: str, template_node: str) -> Options:
        """How the template is cloned; a full clone where the environment names the storage."""
        options: dict[str, str | int] = {"name": self.spec.name, "description": self.notes(vm_id)}
        if self.site.disk_storage:
            options |= {"full": 1, "storage": self.site.disk_storage}
        if template_node != self.site.node:
            options["target"] = self.site.node
        return options

    def changed(self, template: Config, iso: str) -> Options:
        """What a clone is to have otherwise than its template.

        A drive with cloud-init must go when there is an image of this VM's own: a guest that finds two takes either.
        """
        options: dict[str, str | int] = self._size()
        if self.site.cpu_type:
            options["cpu"] = self.site.cpu_type
        if not template.agent_is_on:
            options["agent"] = 1
        if self.site.network or "net0" not in template.options:
            options["net0"] = f"virtio,bridge={self.site.network or DEFAULT_BRIDGE}"
        unwanted = ["vcpus"] if "vcpus" in template.options else []
        if int(template.options.get("balloon", 0)) > int(options["memory"]):
            # PVE refuses memory below the least that the balloon may leave, also where that goes in the same request.
            options["balloon"] = options["memory"]
        if iso:
            slot = template.free_cdrom_slot()
            options[slot] = f"{iso},media=cdrom"
            unwanted += [other for other in template.cloud_init_drives if other != slot]
        if unwanted:
            options["delete"] = ",".join(unwanted)
        return options

    def is_applied(self, config: Config, iso: str) -> bool:
        """Whether a clone has been given its size and its cloud-init."""
        sized = all(config.options.get(name) == str(value) for name, value in self._size().items())
        return sized and (not iso or iso in config.volumes.values())

    def _size(self) -> dict[str, str | int]:
        return {"sockets": 1, "cores": self.spec.offer.cpus or 1, "memory": self.spec.offer.memory_mib or 512}

    def _drives(self, iso: str) -> dict[str, str | int]:
        storage = self.site.disk_storage
        if self.image.kind is ImageKind.IMPORT:
            drives = {SYSTEM_DISK: f"{storage}:0,import-from={self.image.name}", "boot": f"order={SYSTEM_DISK}"}
            return {**drives, **({"ide2": f"{iso},media=cdrom"} if iso else {})}
        return {
            SYSTEM_DISK: f"{storage}:{self.spec.os.disk_gib or INSTALLER_DISK_GIB}",
            INSTALLER_SLOT: f"{self.image.name},media=cdrom",
            "boot": f"order={SYSTEM_DISK};{INSTALLER_SLOT}",
            **({"ide3": f"{iso},media=cdrom"} if iso else {}),
        }


def recipe_for(environment: Environment, spec: VMSpec) -> Recipe:
    """The recipe for a VM.

    Raises:
        InvalidRequestError: the tags don't fit.
        UnprocessableError: the environment or the machine type is at fault.

    """
    site, image = site_of(environment), _image(spec.offer.image)
    if image.kind is not ImageKind.TEMPLATE and not site.disk_storage:
        raise UnprocessableError(
            f"No VM can be made of an image in environment {environment.name!r}: fill in the storage for its disk, "
            "such as storage/pve/local-lvm, as its `storage_external_id`."
        )
    recipe = Recipe(site, spec, image)
    length = len(recipe.notes("999999999"))
    if length > MOST_NOTES:
        fault = f"take {length:,} characters in the VM's notes; Proxmox has room for {MOST_NOTES:,}"
        raise InvalidRequestError(f"Proxmox cannot take these tags: they {fault}.", fields=(FieldFault("tags", fault),))
    return recipe


def image_token(written: Notes) -> str:
    """32 hexadecimal digits for the name of a VM's image with cloud-init: drawn, or the same for each try with a key.

    Tries of the same request at the same time share one image, of which only one must be removed some day.
    """
    if not written.request_key:
        return written.creation
    return hashlib.sha256(f"{written.request_key} {written.request_digest}".encode()).hexdigest()[:32]


def _image(text: str) -> Image:
    for kind, pattern in _IMAGES:
        if found := pattern.fullmatch(text):
            return Image(kind, found[1])
    raise UnprocessableError(
        f"The machine type's image on Proxmox is {text!r}. It must be a disk image (local:import/debian-12.qcow2), a "
        "template (template/9000) or an installer (local:iso/debian12.iso)."
    )
