"""FileManager and VirtualDiskManager: folders, files and virtual disks in datastores.

https://developer.broadcom.com/xapis/vsphere-web-services-api/latest/vim.FileManager.html and vim.VirtualDiskManager
"""

import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from pyVmomi import vim

from providers.sandbox.vsphere.calls import Call
from providers.sandbox.vsphere.files import FOLDER, DatastorePath, File
from providers.sandbox.vsphere.inventory import Datastore
from providers.sandbox.vsphere.machines import Power
from providers.sandbox.vsphere.refusals import invalid_argument, refusal
from providers.sandbox.vsphere.tasks import Work


@dataclass(frozen=True)
class Place:
    """A path on a datastore, which may lead to nothing."""

    datastore: Datastore
    path: str

    @property
    def file(self) -> File | None:
        """What is there."""
        return self.datastore.files.find(self.path)

    @property
    def name(self) -> str:
        """The path as vSphere writes it."""
        return f"[{self.datastore.name}] {self.path}"

    def existing(self) -> File:
        """What is there; raises FileNotFound."""
        file = self.file
        if file is None:
            raise refusal("FileNotFound", file=self.name)
        return file

    def disk(self) -> File:
        """The virtual disk that is there; raises FileNotFound."""
        file = self.existing()
        if not file.is_disk:
            raise refusal("FileNotFound", file=self.name)
        return file

    def refuse_taken(self, *, force: bool = False) -> None:
        """Refuse a path that is taken, or in a folder that there is not."""
        if self.file is not None and not force:
            raise refusal("FileAlreadyExists", file=self.name)
        parent = self.path.rpartition("/")[0]
        if self.datastore.files.find(parent) is None:
            raise refusal("FileNotFound", file=f"[{self.datastore.name}] {parent}")

    def refuse_full(self, size_bytes: int) -> None:
        """Refuse what does not fit."""
        if size_bytes > self.datastore.free_bytes:
            raise refusal("NoDiskSpace", {}, file=self.name, datastore=self.datastore.name)

    def put(self, file: File) -> None:
        """Put a file there."""
        self.datastore.files.put(self.path, file)


def make_directory(call: Call) -> None:
    """MakeDirectory."""
    place = _place(call, "name", "datacenter")
    if place.file is not None:
        raise refusal("FileAlreadyExists", file=place.name)
    if not call["createParentDirectories"]:
        place.refuse_taken()
    place.put(FOLDER)


def delete_file(call: Call) -> Any:
    """DeleteDatastoreFile_Task: a file, or a folder with all that is in it."""
    place = _place(call, "name", "datacenter")
    if not place.path:
        raise refusal("InvalidDatastorePath", {"datastorePath": call["name"]}, datastorePath=call["name"])

    def check() -> None:
        place.existing()
        _refuse_locked(call, place)

    return _fork(call, check, lambda: place.datastore.files.remove(place.path))


def move_file(call: Call) -> Any:
    """MoveDatastoreFile_Task."""
    source = _place(call, "sourceName", "sourceDatacenter")
    target = _place(call, "destinationName", "destinationDatacenter", "sourceDatacenter")

    def check() -> None:
        source.existing()
        _refuse_locked(call, source)
        target.refuse_taken(force=bool(call["force"]))
        if target.datastore is not source.datastore:
            target.refuse_full(source.existing().size_bytes)

    def act() -> None:
        target.datastore.files.remove(target.path)
        if target.datastore is source.datastore:
            source.datastore.files.move(source.path, target.path)
            return
        for path, file in [(source.path, source.existing()), *source.datastore.files.below(source.path)]:
            target.datastore.files.put(target.path + path.removeprefix(source.path), file)
        source.datastore.files.remove(source.path)

    return _fork(call, check, act)


def copy_disk(call: Call) -> Any:
    """CopyVirtualDisk_Task."""
    source = _place(call, "sourceName", "sourceDatacenter")
    target = _place(call, "destName", "destDatacenter", "sourceDatacenter")
    spec = call["destSpec"]
    is_thin = spec is not None and spec.diskType in {"thin", "sparse2Gb"}

    def copied() -> File:
        file = source.disk()
        size = file.size_bytes if is_thin else file.capacity_bytes or 0
        return replace(file, size_bytes=size, is_thin=is_thin, uuid=str(uuid.uuid4()), is_equipment=False)

    def check() -> None:
        source.disk()
        target.refuse_taken(force=bool(call["force"]))
        target.refuse_full(copied().size_bytes)

    def work() -> Work:
        claim = (target.datastore, target.path)
        call.world.copies.add(claim)
        try:
            yield call.world.knobs.task_seconds
            check()
            target.put(copied())
        finally:
            call.world.copies.discard(claim)

    return call.fork(None, work(), check=check, is_cancelable=True)


def extend_disk(call: Call) -> Any:
    """ExtendVirtualDisk_Task; a disk does not shrink."""
    place, capacity = _place(call, "name", "datacenter"), call["newCapacityKb"] * 1024

    def check() -> None:
        disk = place.disk()
        _refuse_locked(call, place)
        if capacity < (disk.capacity_bytes or 0):
            raise invalid_argument("newCapacityKb")
        place.refuse_full(disk.extended(capacity).size_bytes - disk.size_bytes)

    return _fork(call, check, lambda: place.put(place.disk().extended(capacity)))


def create_disk(call: Call) -> Any:
    """CreateVirtualDisk_Task."""
    place, spec = _place(call, "name", "datacenter"), call["spec"]
    if not isinstance(spec, vim.VirtualDiskManager.FileBackedVirtualDiskSpec) or spec.capacityKb <= 0:
        raise invalid_argument("spec.capacityKb")
    is_thin, capacity = spec.diskType == "thin", spec.capacityKb * 1024
    new = File(0 if is_thin else capacity, capacity, is_thin=is_thin, uuid=str(uuid.uuid4()))

    def check() -> None:
        place.refuse_taken()
        place.refuse_full(new.size_bytes)

    return _fork(call, check, lambda: place.put(new))


def delete_disk(call: Call) -> Any:
    """DeleteVirtualDisk_Task."""
    place = _place(call, "name", "datacenter")

    def check() -> None:
        place.disk()
        _refuse_locked(call, place)

    return _fork(call, check, lambda: place.datastore.files.remove(place.path))


def disk_uuid(call: Call) -> str:
    """QueryVirtualDiskUuid: written as pairs of digits, as vSphere does."""
    digits = uuid.UUID(_place(call, "name", "datacenter").disk().uuid).hex
    pairs = [digits[at : at + 2] for at in range(0, 32, 2)]
    return f"{' '.join(pairs[:8])}-{' '.join(pairs[8:])}"


def _place(call: Call, name: str, *datacenters: str) -> Place:
    """The place that an argument names, in the first datacenter that was given."""
    given = [call[datacenter] for datacenter in datacenters]
    datacenter = call.world.datacenter(next((ref for ref in given if ref is not None), None))
    path = DatastorePath.parse(call[name])
    datastore = call.world.datastore(datacenter, path.datastore)
    call.check(datastore, "Datastore.FileManagement")
    return Place(datastore, path.path)


def _refuse_locked(call: Call, place: Place) -> None:
    """Refuse to touch files of a VM that runs, and those that a copy is being written to."""
    for datastore, path in call.world.copies:
        if datastore is place.datastore and f"{path}/".startswith(f"{place.path}/"):
            raise refusal("FileLocked", file=f"[{datastore.name}] {path}")
    for machine in call.world.machines():
        if machine.power is Power.OFF:
            continue
        for datastore, path in machine.files():
            if datastore is place.datastore and f"{path}/".startswith(f"{place.path}/"):
                raise refusal("FileLocked", file=f"[{datastore.name}] {path}")


def _fork(call: Call, check: Callable[[], None], act: Callable[[], None]) -> Any:
    def work() -> Work:
        yield call.world.knobs.task_seconds
        # What was true at the start need not be true any more.
        check()
        act()

    return call.fork(None, work(), check=check, is_cancelable=True)
