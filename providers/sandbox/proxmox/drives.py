"""Drives as their property strings: `local-lvm:vm-100-disk-0,size=8G`, and what may stand in them.

https://git.proxmox.com/?p=qemu-server.git;a=blob;f=src/PVE/QemuServer/Drive.pm
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from providers.sandbox.proxmox import formats
from providers.sandbox.proxmox.schema import PropertyString, Schema

NEW_DISK = re.compile(r"((?P<storage>[^/:\s]+):)?(?P<gib>\d+(\.\d+)?)")
CLOUD_INIT = re.compile(r".*[:/](vm-\d+-)?cloudinit(\.(raw|qcow2|vmdk))?")
COUNTS = {"ide": 4, "sata": 6, "scsi": 31, "virtio": 16}
DRIVE = re.compile(r"ide[0-3]|sata[0-5]|scsi([12]?\d|30)|virtio(1[0-5]|\d)|efidisk0|tpmstate0")

_FLAG = Schema("boolean")
_TEXT = Schema()
_NUMBER = Schema("number")
_WHOLE = Schema("integer")
_ACTION = ("ignore", "report", "stop")
_FORMATS = ("raw", "qcow", "qed", "qcow2", "vmdk", "cloop")

_FILE: Mapping[str, Schema] = {
    "file": Schema(required=True, default_key=True, format=formats.volume_or_path),
    "volume": Schema(alias="file"),
    "format": Schema(enum=_FORMATS),
    "size": Schema(format=formats.disk_size),
    "import-from": Schema(format=formats.volume_or_absolute_path, since=(7, 2)),
}
_THROTTLES: Mapping[str, Schema] = {
    name: schema
    for kind in ("", "_rd", "_wr")
    for name, schema in {
        f"bps{kind}": _WHOLE,
        f"bps{kind}_max_length": Schema("integer", minimum=1),
        f"mbps{kind}": _NUMBER,
        f"mbps{kind}_max": _NUMBER,
        f"iops{kind}": _WHOLE,
        f"iops{kind}_max": _WHOLE,
        f"iops{kind}_max_length": Schema("integer", minimum=1),
    }.items()
}
_COMMON: Mapping[str, Schema] = {
    **_FILE,
    **_THROTTLES,
    "aio": Schema(enum=("native", "threads", "io_uring")),
    "backup": _FLAG,
    "cache": Schema(enum=("none", "writethrough", "writeback", "unsafe", "directsync")),
    "detect_zeroes": _FLAG,
    "discard": Schema(enum=("ignore", "on")),
    "media": Schema(enum=("cdrom", "disk")),
    "replicate": _FLAG,
    "rerror": Schema(enum=_ACTION),
    "serial": Schema(format=formats.url_encoded, max_length=60),
    "shared": _FLAG,
    "snapshot": _FLAG,
    "werror": Schema(enum=("enospc", *_ACTION)),
}
_SSD: Mapping[str, Schema] = {"ssd": _FLAG}

FORMATS: Mapping[str, PropertyString] = {
    "ide": PropertyString({**_COMMON, **_SSD, "model": Schema(format=formats.url_encoded, max_length=120)}),
    "sata": PropertyString({**_COMMON, **_SSD}),
    "scsi": PropertyString(
        {**_COMMON, **_SSD, "iothread": _FLAG, "queues": Schema("integer", minimum=2), "ro": _FLAG, "scsiblock": _FLAG}
    ),
    "virtio": PropertyString({**_COMMON, "iothread": _FLAG, "ro": _FLAG}),
    "efidisk": PropertyString({**_FILE, "efitype": Schema(enum=("2m", "4m")), "pre-enrolled-keys": _FLAG}),
    "tpmstate": PropertyString(
        {**_FILE, "format": Schema(enum=("raw", "qcow2", "vmdk")), "version": Schema(enum=("v1.2", "v2.0"))}
    ),
}


@dataclass(frozen=True)
class Drive:
    """One drive: where it is plugged (`scsi0`), what is in it, and the rest of its options."""

    slot: str
    file: str
    options: Mapping[str, str]

    @property
    def is_cdrom(self) -> bool:
        """Whether it is a CD drive; a cloud-init drive is one too."""
        return self.options.get("media") == "cdrom" or self.is_cloud_init

    @property
    def is_cloud_init(self) -> bool:
        """Whether PVE writes a cloud-init image into it."""
        return self.file == "cloudinit" or CLOUD_INIT.fullmatch(self.file) is not None

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing in it that the storage knows."""
        return self.file in {"none", "cdrom"} or self.file.startswith("/")

    @property
    def new_disk(self) -> "re.Match[str] | None":
        """The storage and the size of a disk that is yet to be made."""
        return None if self.is_cdrom else NEW_DISK.fullmatch(self.file)

    @property
    def size_bytes(self) -> int:
        """The size that its option says."""
        return formats.size_in_bytes(self.options.get("size", "0"))

    def holding(self, file: str, *, size_bytes: int | None = None) -> "Drive":
        """The same drive with another volume in it, as it is kept once the volume exists."""
        options = {key: value for key, value in self.options.items() if key not in {"format", "import-from", "size"}}
        if size_bytes is not None:
            options["size"] = formats.size_text(size_bytes)
        return replace(self, file=file, options=options)

    def as_cdrom(self) -> "Drive":
        """The same drive as a CD drive."""
        return replace(self, options={**self.options, "media": "cdrom"})

    def __str__(self) -> str:
        return _format(self.slot).write({"file": self.file, **self.options})


def is_slot(name: str) -> bool:
    """Whether an option of a VM is a drive."""
    return DRIVE.fullmatch(name) is not None


def parse(slot: str, text: str) -> Drive:
    """A drive from its property string; raises `FormatError`."""
    values = _format(slot)(text, slot)
    return Drive(slot, values.pop("file"), values)


def drives(options: Mapping[str, str]) -> list[Drive]:
    """All drives among a VM's options, in the order of their names."""
    return [parse(name, options[name]) for name in sorted(options) if is_slot(name)]


def _format(slot: str) -> PropertyString:
    return FORMATS[slot.rstrip("0123456789")]
