"""Storages and what is on them: listed, uploaded, deleted.

pve-storage's src/PVE/API2/Storage/Status.pm and Content.pm
"""

import hashlib
import re
from collections.abc import Mapping

from providers.sandbox.proxmox import formats
from providers.sandbox.proxmox.cluster import NODES, Cluster, Request
from providers.sandbox.proxmox.disks import Disks
from providers.sandbox.proxmox.storages import FILE_NAMES, QCOW2_MAGIC, Storage, Volume
from providers.sandbox.proxmox.tasks import Task, TaskError, Work
from providers.sandbox.proxmox.wire import ParameterError, PveError, Value

NOT_SAFE = re.compile(r"[^a-zA-Z0-9_.-]")
UPLOADS = re.compile(r"[a-zA-Z0-9_.-]+\.(ova|qcow2|raw|vmdk)")
UPLOADS_BEFORE = re.compile(r"[a-zA-Z0-9_.-]+\.ova")
# pve-storage 8.3.5 takes disk images as imports; 8.2.9 took .ova alone, and before there was no such content.
UPLOADS_IMAGES = (8, 4)
COMPLAINTS = {"import": "invalid filename or wrong extension"}


class Content:
    """The actions below /nodes/{node}/storage."""

    def __init__(self, cluster: Cluster, disks: Disks) -> None:
        self._cluster = cluster
        self._disks = disks

    def storages(self, request: Request) -> Value:
        """The storages that the caller may see, of those that take a content if one is asked for."""
        wanted = set(formats.split_list(request.text("content") or ""))
        return [
            self._status(request.node, storage)
            for storage in self._cluster.storages.all.values()
            if request.text("storage") in {None, storage.id}
            and (not wanted or wanted & set(self._contents(storage)))
            and (
                request.caller.may(f"/storage/{storage.id}", "Datastore.Audit")
                or request.caller.may(f"/storage/{storage.id}", "Datastore.AllocateSpace")
            )
        ]

    def storage(self, request: Request) -> Value:
        """One storage's state."""
        values = self._status(request.node, self._cluster.storages.get(request.parameters["storage"]))
        return {name: value for name, value in values.items() if name not in {"storage", "used_fraction"}}

    def list(self, request: Request) -> Value:
        """The volumes that the caller may use."""
        storage = self._cluster.storages.get(request.parameters["storage"])
        return [
            _entry(volume)
            for volume in self._cluster.storages.on(request.node, storage.id)
            if request.text("content") in {None, volume.content}
            and request.text("vmid") in {None, str(volume.vm_id)}
            and self._is_usable(request, volume)
        ]

    def show(self, request: Request) -> Value:
        """One volume."""
        volume_id = self._volume_id(request)
        self._disks.check_volume(request.caller, None, volume_id)
        volume = self._cluster.storages.find(request.node, volume_id)
        if volume is None:
            raise PveError(f"volume_size_info on '{volume_id}' failed - no format")
        path = self._cluster.storages.path_of(volume)
        return {"path": path, "size": volume.size_bytes, "used": volume.size_bytes, "format": volume.format}

    def upload(self, request: Request) -> Value:
        """Take a file in; one of the same name is replaced. The task is the serving node's, whatever the path's."""
        storage = self._cluster.storages.get(request.parameters["storage"])
        if storage.path is None:
            raise PveError(f"can't upload to storage type '{storage.type}'")
        content = request.parameters["content"]
        name = NOT_SAFE.sub("_", re.sub(r"^.*[/\\]", "", request.parameters["filename"]))
        self._check_name(content, name)
        if content not in self._contents(storage):
            raise PveError(f"storage '{storage.id}' does not support '{content}' content")
        data = request.upload or b""

        def work(task: Task) -> Work:
            yield self._cluster.knobs.task_seconds / 2
            _check_sum(request.parameters, data)
            image_format = name.rpartition(".")[2] if content == "import" else "raw"
            if image_format == "qcow2" and data[:4] != QCOW2_MAGIC:
                raise TaskError("Image is not in qcow2 format")
            task.lines.append("finished file import successfully")
            shown = "iso" if content == "iso" else image_format
            volume = Volume(f"{storage.id}:{content}/{name}", None, content, shown, len(data), data=data)
            self._cluster.storages.add(request.node, volume)

        return self._cluster.fork(request, "imgcopy", "", work, NODES[0])

    def delete(self, request: Request) -> Value:
        """Delete a volume; one that is not there is only a line of the log (`free_image` in Storage/Plugin.pm)."""
        volume_id = self._volume_id(request)
        storage_id = volume_id.partition(":")[0]
        _, owner = self._cluster.storages.content_of(volume_id)
        request.caller.check(f"/storage/{storage_id}", "Datastore.Allocate")

        def work(task: Task) -> Work:
            yield self._cluster.knobs.task_seconds / 2
            if self._cluster.storages.find(request.node, volume_id) is None:
                task.lines.append(f"disk image '{volume_id}' does not exist")
            self._cluster.storages.remove(request.node, volume_id)
            task.lines.append(f"Removed volume '{volume_id}'")

        subject = storage_id if owner is None else f"{owner}@{storage_id}"
        return self._cluster.fork(request, "imgdel", subject, work)

    def _status(self, node: str, storage: Storage) -> dict[str, Value]:
        used = self._cluster.storages.used_bytes(node, storage.id)
        return {
            "storage": storage.id,
            "type": storage.type,
            "content": ",".join(self._contents(storage)),
            "active": 1,
            "enabled": 1,
            "shared": int(storage.shared),
            "total": storage.total_bytes,
            "used": used,
            "avail": storage.total_bytes - used,
            "used_fraction": used / storage.total_bytes,
        }

    def _contents(self, storage: Storage) -> tuple[str, ...]:
        return tuple(name for name in storage.content if name != "import" or self._cluster.version >= (8, 3))

    def _is_usable(self, request: Request, volume: Volume) -> bool:
        try:
            self._disks.check_volume(request.caller, None, volume.id)
        except PveError:
            return False
        return True

    def _volume_id(self, request: Request) -> str:
        storage_id, volume = request.parameters["storage"], request.parameters["volume"]
        if ":" not in volume:
            return f"{storage_id}:{volume}"
        if volume.partition(":")[0] != storage_id:
            raise ParameterError({"volume": f"storage ID mismatch ({volume.partition(':')[0]} != {storage_id})\n"})
        return volume

    def _check_name(self, content: str, name: str) -> None:
        if content == "import":
            expression = UPLOADS if self._cluster.version >= UPLOADS_IMAGES else UPLOADS_BEFORE
        else:
            expression = FILE_NAMES[content]
        if not expression.fullmatch(name):
            raise ParameterError({"filename": COMPLAINTS.get(content, "wrong file extension")})


def _entry(volume: Volume) -> dict[str, Value]:
    values: dict[str, Value] = {
        "volid": volume.id,
        "content": volume.content,
        "format": volume.format,
        "size": volume.size_bytes,
        "ctime": volume.created,
    }
    if volume.vm_id is not None:
        values["vmid"] = volume.vm_id
    if volume.parent is not None:
        values["parent"] = volume.parent
    return values


def _check_sum(parameters: Mapping[str, str], data: bytes) -> None:
    algorithm, expected = parameters.get("checksum-algorithm"), parameters.get("checksum")
    if algorithm is None or expected is None:
        return
    got = hashlib.new(algorithm, data, usedforsecurity=False).hexdigest()
    if got != expected.lower():
        raise TaskError(f"checksum mismatch: got '{got}' != expect '{expected}'")
