"""Storages and the volumes on them; a storage that is not shared has volumes of its own on each node.

https://git.proxmox.com/?p=pve-storage.git;a=blob;f=src/PVE/Storage.pm
"""

import re
import struct
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from providers.sandbox.proxmox import formats
from providers.sandbox.proxmox.wire import PveError

GIB = 1 << 30
QCOW2_MAGIC = b"QFI\xfb"
ISO_NAME = re.compile(r"(?i)[^/]+\.(?:iso|img)")
TEMPLATE_NAME = re.compile(r"(?i)[^/]+\.tar(\.(gz|xz|zst|bz2))?")
IMPORT_NAME = re.compile(r"[a-zA-Z0-9_.+=:-]+\.(?P<format>ova|ovf|qcow2|raw|vmdk)")
FILE_NAMES = {"iso": ISO_NAME, "vztmpl": TEMPLATE_NAME, "import": IMPORT_NAME}
FOLDERS = {"iso": "template/iso", "vztmpl": "template/cache", "import": "import", "images": "images"}
IMAGE = re.compile(r"((?P<folder>\d+)/)?(?:vm|base)-(?P<vmid>\d+)-[^./]+(\.(?P<format>raw|qcow2|vmdk))?")


@dataclass(frozen=True)
class Storage:
    """One storage; with a `path` it keeps files, without one it has block devices."""

    id: str
    type: str
    content: tuple[str, ...]
    shared: bool = False
    path: str | None = None
    total_bytes: int = 500 * GIB


@dataclass
class Volume:
    """One volume. `node` is None on a shared storage; `data` is what was uploaded."""

    id: str
    node: str | None
    content: str
    format: str
    size_bytes: int
    vm_id: int | None = None
    parent: str | None = None
    data: bytes | None = None
    created: int = field(default_factory=lambda: int(time.time()))

    @property
    def storage(self) -> str:
        """The storage's id."""
        return self.id.partition(":")[0]

    @property
    def name(self) -> str:
        """What is after the storage's id."""
        return self.id.partition(":")[2]


@dataclass(frozen=True)
class NewDisk:
    """A disk to be made."""

    storage: str
    vm_id: int
    size_bytes: int
    format: str = "raw"
    name: str = ""


class Storages:
    """The cluster's storages with their volumes. Not thread-safe."""

    def __init__(self, storages: tuple[Storage, ...]) -> None:
        self.all = {storage.id: storage for storage in storages}
        self._volumes: dict[tuple[str | None, str], Volume] = {}

    def get(self, storage_id: str) -> Storage:
        """A storage that there is."""
        if storage_id not in self.all:
            raise PveError(f"storage '{storage_id}' does not exist")
        return self.all[storage_id]

    def volumes(self) -> tuple[Volume, ...]:
        """All volumes of all nodes."""
        return tuple(self._volumes.values())

    def on(self, node: str, storage_id: str) -> Iterator[Volume]:
        """The volumes of a storage as a node sees them."""
        place = self._place(storage_id, node)
        return (
            volume for (where, _), volume in self._volumes.items() if where == place and volume.storage == storage_id
        )

    def find(self, node: str, volume_id: str) -> Volume | None:
        """A volume as a node sees it."""
        storage_id = volume_id.partition(":")[0]
        return self._volumes.get((self._place(storage_id, node), volume_id))

    def add(self, node: str, volume: Volume) -> Volume:
        """Put a volume where its storage keeps it for a node; one of the same name is replaced."""
        volume.node = self._place(volume.storage, node)
        self._volumes[volume.node, volume.id] = volume
        return volume

    def remove(self, node: str, volume_id: str) -> None:
        """Remove a volume; none is left, whether there was one or not."""
        self._volumes.pop((self._place(volume_id.partition(":")[0], node), volume_id), None)

    def allocate(self, node: str, disk: NewDisk) -> Volume:
        """Make an empty disk for a VM, with the next free number unless it has a name."""
        storage = self.get(disk.storage)
        names = [disk.name] if disk.name else [f"vm-{disk.vm_id}-disk-{number}" for number in range(100)]
        for name in names:
            full = f"{disk.vm_id}/{name}.{disk.format}" if storage.path else name
            volume_id = f"{disk.storage}:{full}"
            if self.find(node, volume_id) is None:
                return self.add(node, Volume(volume_id, None, "images", disk.format, disk.size_bytes, disk.vm_id))
        raise PveError(f"unable to allocate an image name for VM {disk.vm_id} in storage '{disk.storage}'")

    def owned(self, node: str, vm_id: int) -> list[Volume]:
        """All disks of a VM that a node sees, in its configuration or not."""
        return [volume for volume in self._volumes.values() if volume.vm_id == vm_id and volume.node in {None, node}]

    def move(self, vm_id: int, source: str, target: str) -> None:
        """Move a VM's disks on storages that are not shared to another node."""
        for volume in self.owned(source, vm_id):
            if volume.node == source:
                del self._volumes[source, volume.id]
                self.add(target, volume)

    def content_of(self, volume_id: str) -> tuple[str, int | None]:
        """The content type and the owner that a volume's name says, whether there is such a volume or not."""
        match = formats.VOLUME_ID.fullmatch(volume_id)
        if match is None:
            raise PveError(f"unable to parse volume ID '{volume_id}'")
        storage, name = self.get(match["storage"]), match["name"]
        folder, _, rest = name.partition("/")
        if storage.path and folder in FILE_NAMES and FILE_NAMES[folder].fullmatch(rest):
            return folder, None
        image = IMAGE.fullmatch(name)
        if image is not None and (image["folder"] is not None) == (storage.path is not None):
            return "images", int(image["vmid"])
        kind = "directory" if storage.path else "lvm"
        raise PveError(f"unable to parse {kind} volume name '{name}'")

    def path_of(self, volume: Volume) -> str:
        """Where a node keeps a volume."""
        storage = self.get(volume.storage)
        if storage.path is None:
            return f"/dev/pve/{volume.name}"
        folder, _, rest = volume.name.partition("/")
        return f"{storage.path}/{FOLDERS[volume.content]}/{rest if folder in FILE_NAMES else volume.name}"

    def used_bytes(self, node: str, storage_id: str) -> int:
        """How much of a storage is used."""
        return sum(volume.size_bytes for volume in self.on(node, storage_id))

    def _place(self, storage_id: str, node: str) -> str | None:
        return None if self.get(storage_id).shared else node


def virtual_bytes(data: bytes) -> int:
    """The size of the disk that an image file holds: a qcow2 file says it in its header."""
    if data[:4] == QCOW2_MAGIC:
        return int(struct.unpack_from(">Q", data, 24)[0])
    return len(data)


def qcow2(size_bytes: int) -> bytes:
    """An image of version 3 with nothing on it: the header alone, as `qemu-img info` would read it."""
    header = struct.pack(">4sIQIIQIIQQIIQ", QCOW2_MAGIC, 3, 0, 0, 16, size_bytes, 0, 1, 0x30000, 0x10000, 1, 0, 0)
    return (header + struct.pack(">QQQII", 0, 0, 0, 4, 104)).ljust(1 << 16, b"\0")
