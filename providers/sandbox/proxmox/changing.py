"""What else befalls a VM: growing, moving, becoming a template, and its end.

`resize_vm`, `migrate_vm`, `template` and `destroy_vm` in qemu-server's src/PVE/API2/Qemu.pm
"""

import re

from providers.sandbox.proxmox import drives, formats
from providers.sandbox.proxmox.cluster import NODES, Cluster, Request
from providers.sandbox.proxmox.configuring import refuse_root_only
from providers.sandbox.proxmox.machines import Machine
from providers.sandbox.proxmox.tasks import Hold, Task, TaskError, Work
from providers.sandbox.proxmox.wire import ParameterError, PveError, Value

# Until then a resize was done before the answer (qemu-server 7.4 answers null).
RESIZES_IN_A_TASK = (8, 0)


class Changing:
    """Resize, migrate, template and destroy."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    def resize(self, request: Request) -> Value:
        """Grow a disk; PVE looks at everything in the task."""
        refuse_root_only(request, "skiplock")

        def work(task: Task) -> Work:
            del task
            yield Hold(request.vm_id)
            machine = self._cluster.machines.in_task(request.node, request.vm_id)
            machine.refuse_locked()
            grown = self._grown(request, machine)
            yield self._cluster.knobs.task_seconds / 2
            self._grow(machine, request.parameters["disk"], grown)

        if self._cluster.version >= RESIZES_IN_A_TASK:
            return self._cluster.fork(request, "resize", request.vm_id, work)
        machine = self._cluster.machines.on(request.node, request.vm_id)
        machine.refuse_locked()
        try:
            self._grow(machine, request.parameters["disk"], self._grown(request, machine))
        except TaskError as error:
            raise PveError(str(error)) from error
        return None

    def destroy(self, request: Request) -> Value:
        """Destroy a stopped VM with its disks, and with `destroy-unreferenced-disks` those it has forgotten."""
        refuse_root_only(request, "skiplock")
        self._check_destroy(request)

        def work(task: Task) -> Work:
            yield Hold(request.vm_id)
            machine = self._check_destroy(request)
            machine.refuse_locked(but_for="suspended")
            yield self._cluster.knobs.task_seconds
            for volume_id in self._disks(machine):
                if self._cluster.storages.find(machine.node, volume_id) is None:
                    task.warn(f"Could not remove disk '{volume_id}', check manually: no such volume")
                self._cluster.storages.remove(machine.node, volume_id)
            if request.flag("destroy-unreferenced-disks"):
                for volume in self._cluster.storages.owned(machine.node, machine.id):
                    self._cluster.storages.remove(machine.node, volume.id)
            # Nothing else is left of it until it has left the jobs and lists that name it.
            machine.config = {"lock": "destroyed"}
            yield self._cluster.knobs.purge_seconds
            del self._cluster.machines.all[machine.id]

        return self._cluster.fork(request, "qmdestroy", request.vm_id, work)

    def make_template(self, request: Request) -> Value:
        """Turn a stopped VM into a template."""
        machine = self._check_template(request)

        def work(task: Task) -> Work:
            del task
            yield Hold(machine.id)
            yield self._cluster.knobs.task_seconds
            machine.config["template"] = "1"
            for drive in machine.drives():
                if not drive.is_cdrom and not drive.is_empty:
                    self._make_base(machine, drive)

        return self._cluster.fork(request, "qmtemplate", machine.id, work)

    def migrate(self, request: Request) -> Value:
        """Move a VM to the other node, with its disks."""
        refuse_root_only(request, "force")
        machine = self._check_migrate(request)
        target = request.parameters["target"]

        def work(task: Task) -> Work:
            del task
            yield Hold(machine.id)
            machine.refuse_locked()
            machine.config["lock"] = "migrate"
            try:
                yield self._cluster.knobs.task_seconds
            finally:
                machine.config.pop("lock", None)
            self.move(machine, target)

        return self._cluster.fork(request, "qmigrate", machine.id, work)

    def move(self, machine: Machine, target: str) -> None:
        """Move a VM at once."""
        self._cluster.storages.move(machine.id, machine.node, target)
        machine.node = target

    def _grown(self, request: Request, machine: Machine) -> int:
        slot, size = request.parameters["disk"], request.parameters["size"]
        if slot not in machine.config:
            raise TaskError(f"disk '{slot}' does not exist")
        drive = drives.parse(slot, machine.config[slot])
        if drive.is_cdrom:
            raise TaskError("you can't resize a cdrom")
        request.caller.check(f"/storage/{drive.file.partition(':')[0]}", "Datastore.AllocateSpace")
        volume = self._cluster.storages.find(machine.node, drive.file)
        if volume is None:
            raise TaskError(f"Could not determine current size of volume '{drive.file}'")
        wanted = formats.size_in_bytes(size.removeprefix("+"))
        wanted += volume.size_bytes if size.startswith("+") else 0
        if wanted < volume.size_bytes:
            raise TaskError("shrinking disks is not supported")
        return wanted

    def _grow(self, machine: Machine, slot: str, size_bytes: int) -> None:
        drive = drives.parse(slot, machine.config[slot])
        volume = self._cluster.storages.find(machine.node, drive.file)
        if volume is not None:
            volume.size_bytes = size_bytes
        machine.config[slot] = str(drive.holding(drive.file, size_bytes=size_bytes))

    def _check_destroy(self, request: Request) -> Machine:
        machine = self._cluster.machines.on(request.node, request.vm_id)
        machine.refuse_protected(f"can't remove VM {machine.id}")
        if machine.ha_managed and not request.flag("purge"):
            raise PveError(f"unable to remove VM {machine.id} - used in HA resources and purge parameter not set.")
        if machine.runs:
            raise PveError(f"VM {machine.id} is running - destroy failed")
        return machine

    def _check_template(self, request: Request) -> Machine:
        machine = self._cluster.machines.on(request.node, request.vm_id)
        machine.refuse_locked()
        if machine.is_template:
            raise PveError("you can't convert a template to a template")
        if machine.runs:
            raise PveError("you can't convert a VM to template if VM is running")
        return machine

    def _make_base(self, machine: Machine, drive: drives.Drive) -> None:
        volume = self._cluster.storages.find(machine.node, drive.file)
        if volume is None:
            raise TaskError(f"volume '{drive.file}' does not exist")
        self._cluster.storages.remove(machine.node, volume.id)
        volume.id = re.sub(r"\bvm-(?=\d+-disk)", "base-", volume.id)
        self._cluster.storages.add(machine.node, volume)
        machine.config[drive.slot] = str(drive.holding(volume.id, size_bytes=volume.size_bytes))

    def _check_migrate(self, request: Request) -> Machine:
        target = request.parameters["target"]
        if target == request.node:
            raise ParameterError({"target": "target is local node."})
        if target not in NODES:
            raise PveError(f"no such cluster node '{target}'")
        machine = self._cluster.machines.on(request.node, request.vm_id)
        machine.refuse_locked()
        if machine.runs and not request.flag("online"):
            raise PveError("can't migrate running VM without --online")
        return machine

    def _disks(self, machine: Machine) -> list[str]:
        """The volumes that are the VM's own: what is in its CD drives is not, but for PVE's cloud-init image."""
        drives_of = [drive for drive in machine.drives() if not drive.is_empty]
        volumes = [drive.file for drive in drives_of if drive.is_cloud_init or not drive.is_cdrom]
        volumes += [value for name, value in machine.config.items() if name.startswith("unused")]
        return [volume for volume in volumes if self._cluster.storages.content_of(volume)[1] == machine.id]
