"""New VMs, made of options or cloned, and the race for their ids.

`create_vm` and `clone_vm` in qemu-server's src/PVE/API2/Qemu.pm, `create_and_lock_config` in pve-guest-common's
src/PVE/AbstractConfig.pm
"""

import time
import uuid
from collections.abc import Mapping

from providers.sandbox.proxmox import drives, options
from providers.sandbox.proxmox.accounts import Caller
from providers.sandbox.proxmox.cluster import NODES, Cluster, Request
from providers.sandbox.proxmox.configuring import Configuring, net_text, new_mac, with_macs
from providers.sandbox.proxmox.disks import Disks
from providers.sandbox.proxmox.drives import Drive
from providers.sandbox.proxmox.machines import Machine
from providers.sandbox.proxmox.power import Power
from providers.sandbox.proxmox.storages import NewDisk, Volume
from providers.sandbox.proxmox.tasks import MAKING_LOCK_SECONDS, Hold, Task, TaskError, Work, no_lock
from providers.sandbox.proxmox.wire import DeniedError, ParameterError, PveError, Value

# Storages whose snapshots a linked clone can be made of, when the disk is a template's.
LINKED = frozenset({"dir", "nfs", "lvmthin", "zfspool", "rbd"})


class Creating:
    """The creation of VMs."""

    def __init__(self, cluster: Cluster, disks: Disks, configuring: Configuring, power: Power) -> None:
        self._cluster = cluster
        self._disks = disks
        self._configuring = configuring
        self._power = power

    def create(self, request: Request) -> Value:
        """Create a VM: its id is taken before the answer, its disks are made in the task."""
        wanted = {name: value for name, value in request.parameters.items() if name in options.OPTIONS}
        self._check_create(request, wanted)
        wanted = with_macs(wanted)
        try:
            self._refuse_held(request)
            self._cluster.machines.refuse_taken(request.vm_id)
        except PveError as error:
            raise PveError(f"unable to create VM {request.vm_id} - {error.message}") from error
        machine = Machine(request.vm_id, request.node, {"lock": "create"})
        self._cluster.machines.all[machine.id] = machine

        def work(task: Task) -> Work:
            yield Hold(machine.id, MAKING_LOCK_SECONDS)
            try:
                yield self._cluster.knobs.task_seconds
                made = self._disks.create(machine.node, machine.id, drives.drives(wanted))
            except TaskError as error:
                self._forget(machine)
                raise TaskError(f"unable to create VM {machine.id} - {error}") from error
            except GeneratorExit:
                self._forget(machine)
                raise
            machine.config = {**_own_marks(), **wanted, **made.options}
            order = _default_boot(machine.config)
            if order:
                machine.config.setdefault("boot", f"order={order}")
            task.lines.extend(f"{slot}: successfully created disk '{text}'" for slot, text in made.options.items())
            if request.flag("start"):
                self._cluster.fork(request, "qmstart", machine.id, self._power.starting(machine.node, machine.id))

        return self._cluster.fork(request, "qmcreate", machine.id, work)

    def clone(self, request: Request) -> Value:
        """Clone a VM: its new id is looked at before the answer, and taken in the task."""
        source = self._check_clone(request)
        new_id, full = request.number("newid", 0), self._is_full(request, source)
        target = request.text("target") or source.node

        def work(task: Task) -> Work:
            del task
            if self._cluster.knobs.clone_window_seconds:
                yield self._cluster.knobs.clone_window_seconds
            yield Hold(new_id, MAKING_LOCK_SECONDS)
            self._refuse_existing(source.node, new_id)
            self._refuse_elsewhere(source.node, new_id)
            machine = Machine(new_id, source.node, {"lock": "clone", "description": "qmclone temporary file\n"})
            self._cluster.machines.all[new_id] = machine
            volumes: list[Volume] = []
            try:
                yield self._cluster.knobs.task_seconds
                machine.config = self._cloned(request, source, volumes, full=full)
            except TaskError as error:
                self._disks.free(source.node, volumes)
                self._forget(machine)
                raise TaskError(f"clone failed: {error}") from error
            except GeneratorExit:
                self._forget(machine)
                raise
            machine.node = target

        return self._cluster.fork(request, "qmclone", source.id, work)

    def _check_create(self, request: Request, wanted: Mapping[str, str]) -> None:
        caller, vm_id = request.caller, request.vm_id
        if request.flag("start"):
            caller.check(f"/vms/{vm_id}", "VM.PowerMgmt")
        if not caller.may(f"/vms/{vm_id}", "VM.Allocate"):
            raise DeniedError
        self._disks.check_access(caller, vm_id, wanted)
        self._configuring.check_privileges(caller, vm_id, wanted)
        self._configuring.check_serial(caller, vm_id, wanted)
        self._configuring.check_bridges(caller, wanted)
        self._disks.check_parameters(wanted)

    def _forget(self, machine: Machine) -> None:
        if self._cluster.machines.all.get(machine.id) is machine:
            del self._cluster.machines.all[machine.id]

    def _check_clone(self, request: Request) -> Machine:
        storage, target = request.text("storage"), request.text("target")
        self._cluster.machines.refuse_unknown(request.node, request.vm_id)
        if target is not None and target not in NODES:
            raise PveError(f"no such cluster node '{target}'")
        if storage is not None:
            self._check_storage(storage, away=target not in {None, request.node})
        source = self._cluster.machines.on(request.node, request.vm_id)
        source.refuse_locked()
        full = self._is_full(request, source)
        for name in ("storage", "format"):
            if request.text(name) is not None and not full:
                raise PveError(f"parameter '{name}' not allowed for linked clones")
        self._check_storages(request.caller, source, storage)
        self._configuring.check_bridges(request.caller, source.config)
        if target not in {None, source.node} and not self._is_shared(source):
            raise PveError(f"can't clone VM to node '{target}' (VM uses local storage)")
        self._refuse_existing(source.node, request.number("newid", 0))
        self._check_linked(source, full=full)
        return source

    def _is_full(self, request: Request, source: Machine) -> bool:
        return request.flag("full") if request.text("full") is not None else not source.is_template

    def _check_storages(self, caller: Caller, source: Machine, storage: str | None) -> None:
        for drive in source.drives():
            if not drive.is_cdrom and not drive.is_empty:
                caller.check(f"/storage/{storage or drive.file.partition(':')[0]}", "Datastore.AllocateSpace")

    def _is_shared(self, source: Machine) -> bool:
        volumes = [drive.file for drive in source.drives() if not drive.is_empty]
        return all(self._cluster.storages.get(volume.partition(":")[0]).shared for volume in volumes)

    def _check_linked(self, source: Machine, *, full: bool) -> None:
        for drive in source.drives():
            if full or drive.is_cdrom:
                continue
            storage = self._cluster.storages.get(drive.file.partition(":")[0])
            if not source.is_template or storage.type not in LINKED:
                raise PveError(f"Linked clone feature is not supported for '{drive.file}' ({drive.slot})")

    def _check_storage(self, storage_id: str, *, away: bool) -> None:
        storage = self._cluster.storages.get(storage_id)
        if "images" not in storage.content:
            raise ParameterError({"storage": f"storage '{storage_id}' does not support vm images"})
        if away and not storage.shared:
            raise PveError(f"can't clone to non-shared storage '{storage_id}'")

    def _refuse_held(self, request: Request) -> None:
        """Refuse an id whose VM is worked on: PVE waits five seconds for it before it looks whether it is free."""
        machine = self._cluster.machines.all.get(request.vm_id)
        if self._cluster.tasks.holds(request.vm_id) and (machine is None or machine.node == request.node):
            raise PveError(no_lock(request.vm_id))

    def _refuse_existing(self, node: str, new_id: int) -> None:
        """Refuse the id of a VM on the node: a clone does not look any further before it begins."""
        machine = self._cluster.machines.all.get(new_id)
        if machine is not None and machine.node == node:
            raise PveError(f"unable to create VM {new_id}: config file already exists")

    def _refuse_elsewhere(self, node: str, new_id: int) -> None:
        """Refuse the id of another node's VM, or a container's, as the cluster's file system does."""
        if self._cluster.machines.taken(new_id):
            path = f"/etc/pve/nodes/{node}/qemu-server/{new_id}.conf"
            raise TaskError(f"close (rename) atomic file '{path}' failed: File exists")

    def _cloned(self, request: Request, source: Machine, volumes: list[Volume], *, full: bool) -> dict[str, str]:
        config = {
            name: value
            for name, value in source.config.items()
            if name not in {"template", "lock", "parent"} and not name.startswith("unused")
        }
        config["name"] = request.text("name") or f"Copy-of-VM-{source.config.get('name', source.id)}"
        if request.text("description") is not None:
            config["description"] = request.text("description") or ""
        config["smbios1"] = f"uuid={uuid.uuid4()}"
        config["vmgenid"] = str(uuid.uuid4())
        for name in [name for name in config if name.startswith("net")]:
            config[name] = net_text({**options.NET(config[name]), "macaddr": new_mac()})
        for drive in source.drives():
            if drive.is_cloud_init or not (drive.is_cdrom or drive.is_empty):
                config[drive.slot] = str(self._copied(request, source, drive, volumes, full=full))
        return config

    def _copied(self, request: Request, source: Machine, drive: Drive, volumes: list[Volume], *, full: bool) -> Drive:
        original = self._cluster.storages.find(source.node, drive.file)
        if original is None:
            raise TaskError(f"volume '{drive.file}' does not exist")
        new_id = request.number("newid", 0)
        storage = request.text("storage") or original.storage
        name = f"vm-{new_id}-cloudinit" if drive.is_cloud_init else ""
        image_format = request.text("format") or original.format
        disk = NewDisk(storage, new_id, original.size_bytes, image_format, name)
        copy = self._cluster.storages.allocate(source.node, disk)
        copy.parent = None if full or drive.is_cloud_init else original.name
        volumes.append(copy)
        cloned = drive.holding(copy.id, size_bytes=copy.size_bytes)
        return cloned.as_cdrom() if drive.is_cloud_init else cloned


def _own_marks() -> dict[str, str]:
    """What PVE writes into every new configuration."""
    return {
        "meta": f"creation-qemu=9.2.0,ctime={int(time.time())}",
        "smbios1": f"uuid={uuid.uuid4()}",
        "vmgenid": str(uuid.uuid4()),
    }


def _default_boot(config: Mapping[str, str]) -> str:
    """The order when none is given: the first disk, the first CD drive, the first network device."""
    found = drives.drives(config)
    disks = [drive.slot for drive in found if not drive.is_cdrom and drive.slot not in {"efidisk0", "tpmstate0"}]
    cdroms = [drive.slot for drive in found if drive.is_cdrom]
    nets = sorted(name for name in config if name.startswith("net"))
    return ";".join([*disks[:1], *cdroms[:1], *nets[:1]])
