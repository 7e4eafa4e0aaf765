"""The drives of a VM to be: who may attach what, and the making of the disks.

`$check_storage_access`, `$check_drive_param` and `create_disks` in qemu-server's src/PVE/API2/Qemu.pm, and
`check_volume_access` in pve-storage's src/PVE/Storage.pm
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from providers.sandbox.proxmox import drives
from providers.sandbox.proxmox.accounts import Caller
from providers.sandbox.proxmox.cluster import Cluster
from providers.sandbox.proxmox.drives import Drive
from providers.sandbox.proxmox.storages import GIB, NewDisk, Volume, virtual_bytes
from providers.sandbox.proxmox.tasks import TaskError
from providers.sandbox.proxmox.wire import ParameterError, PveError

CLOUD_INIT_BYTES = 4 << 20
# What has a size of its own, whatever number is asked for.
FIXED_BYTES = {"efidisk0": 528 << 10, "tpmstate0": 4 << 20}


@dataclass
class Made:
    """The drives as they are kept, and the volumes that were made for them."""

    options: dict[str, str] = field(default_factory=dict)
    volumes: list[Volume] = field(default_factory=list)


class Disks:
    """Checks and makes the drives of VMs."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    def check_access(self, caller: Caller, vm_id: int, options: Mapping[str, str]) -> None:
        """Refuse drives that the caller may not attach, or that cannot be one."""
        for drive in drives.drives(options):
            self._check_drive_access(caller, vm_id, drive)
            source = drive.options.get("import-from")
            if source is not None:
                self._check_source(caller, vm_id, drive.slot, source)

    def check_parameters(self, options: Mapping[str, str]) -> None:
        """Refuse drives that contradict themselves."""
        for drive in drives.drives(options):
            new = drive.new_disk
            if "import-from" in drive.options and (new is None or float(new["gib"]) != 0):
                syntax = "use <storage ID>:0,import-from=<source>"
                raise ParameterError({drive.slot: f"'import-from' requires special syntax - {syntax}"})
            if new is None and not drive.is_empty and not drive.is_cloud_init and not drive.is_cdrom:
                content, _ = self._cluster.storages.content_of(drive.file)
                if content == "iso":
                    raise ParameterError({drive.slot: "explicit 'media=cdrom' is required for iso images"})

    def check_volume(self, caller: Caller, vm_id: int | None, volume_id: str) -> None:
        """Refuse a volume that the caller may not use."""
        if volume_id.startswith("/"):
            raise PveError("Only root can pass arbitrary filesystem paths.")
        content, owner = self._cluster.storages.content_of(volume_id)
        storage = f"/storage/{volume_id.partition(':')[0]}"
        if caller.may(storage, "Datastore.Allocate"):
            return
        if content != "images":
            caller.check_any(storage, "Datastore.AllocateSpace", "Datastore.Audit")
        elif owner != vm_id:
            caller.check(storage, "Datastore.Audit")
            caller.check(f"/vms/{owner}", "VM.Config.Disk")

    def create(self, node: str, vm_id: int, wanted: Iterable[Drive]) -> Made:
        """Make what drives need; when one cannot be made, what was made for the others is gone again."""
        made = Made()
        try:
            for drive in wanted:
                made.options[drive.slot] = str(self._create(node, vm_id, drive, made.volumes))
        except PveError as error:
            self.free(node, made.volumes)
            raise TaskError(error.message) from error
        except TaskError:
            self.free(node, made.volumes)
            raise
        return made

    def free(self, node: str, volumes: Iterable[Volume]) -> None:
        """Remove volumes."""
        for volume in volumes:
            self._cluster.storages.remove(node, volume.id)

    def _check_drive_access(self, caller: Caller, vm_id: int, drive: Drive) -> None:
        new = drive.new_disk
        if drive.file == "none" or drive.is_cloud_init:
            return
        if drive.file == "cdrom":
            caller.check("/", "Sys.Console")
        elif new is not None:
            storage_id = self._storage_of(drive)
            caller.check(f"/storage/{storage_id}", "Datastore.AllocateSpace")
            if "images" not in self._cluster.storages.get(storage_id).content:
                raise ParameterError({"storage": f"storage '{storage_id}' does not support vm images"})
        else:
            self.check_volume(caller, vm_id, drive.file)
            content, _ = self._cluster.storages.content_of(drive.file)
            if content not in {"images", "iso"}:
                raise ParameterError({drive.slot: "content type needs to be 'images' or 'iso'"})

    def _check_source(self, caller: Caller, vm_id: int, slot: str, source: str) -> None:
        if source.startswith("/"):
            self.check_volume(caller, vm_id, source)
        content, owner = self._cluster.storages.content_of(source)
        if content not in {"images", "import"}:
            raise ParameterError({slot: f"{source} has wrong type '{content}' - needs to be 'images' or 'import'"})
        if owner is not None:
            caller.check(f"/vms/{owner}", "VM.Clone")
        else:
            self.check_volume(caller, vm_id, source)

    def _create(self, node: str, vm_id: int, drive: Drive, volumes: list[Volume]) -> Drive:
        if drive.file.endswith("cloudinit"):
            return self._create_cloud_init(node, vm_id, drive, volumes)
        new = drive.new_disk
        if new is not None:
            size = FIXED_BYTES.get(drive.slot, int(float(new["gib"]) * GIB))
            source = drive.options.get("import-from")
            if source is not None:
                size = self._source_bytes(node, source)
            image_format = drive.options.get("format", "raw")
            volume = self._cluster.storages.allocate(node, NewDisk(self._storage_of(drive), vm_id, size, image_format))
            volumes.append(volume)
            return drive.holding(volume.id, size_bytes=size)
        if drive.is_empty:
            return drive.holding(drive.file)
        existing = self._cluster.storages.find(node, drive.file)
        if existing is None:
            raise TaskError(f"volume {drive.file} does not exist")
        return drive.holding(drive.file, size_bytes=existing.size_bytes)

    def _create_cloud_init(self, node: str, vm_id: int, drive: Drive, volumes: list[Volume]) -> Drive:
        storage = self._cluster.storages.get(self._storage_of(drive))
        image_format = drive.options.get("format", "qcow2" if storage.path else "raw")
        name = f"vm-{vm_id}-cloudinit"
        disk = NewDisk(storage.id, vm_id, CLOUD_INIT_BYTES, image_format, name)
        volume = self._cluster.storages.allocate(node, disk)
        volumes.append(volume)
        return drive.holding(volume.id).as_cdrom()

    def _source_bytes(self, node: str, source: str) -> int:
        volume = self._cluster.storages.find(node, source)
        if volume is None:
            raise TaskError(f"cannot import from '{source}' - could not get size of {source}")
        return virtual_bytes(volume.data) if volume.data is not None else volume.size_bytes

    def _storage_of(self, drive: Drive) -> str:
        storage_id = drive.file.partition(":")[0] if ":" in drive.file else ""
        if not storage_id:
            raise PveError("no storage ID specified (and no default storage)")
        return storage_id
