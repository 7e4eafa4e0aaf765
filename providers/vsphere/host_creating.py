"""How a VM is made on a standalone ESXi host: a folder, a disk in it, the VM, its start.

Each step can be taken by one request only, or twice without harm, so that a retry with the same Idempotency-Key can go
on where an earlier try was cut off, also while that one is still at work:

- The folder's name follows from the key. Who finds it made waits for the VM, and then goes on in it.
- Each try has a disk of its own. A disk of another try may be a copy that nobody finished.
- The VM's configuration file has one name in the folder, so one try registers the VM. Another that comes later removes
  its own disk and starts the VM if that is still to be done.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import cast

from pyVmomi import vim

from providers.domain import Operation, Verb
from providers.errors import BackendFailureError, ProviderError, UnprocessableError, UnsupportedError
from providers.vsphere import placement, retries
from providers.vsphere.creating import FAILURES, Creator, done_with
from providers.vsphere.devices import KIB_PER_GIB
from providers.vsphere.failures import code_of
from providers.vsphere.files import parted
from providers.vsphere.images import File, file_of
from providers.vsphere.placement import Placement
from providers.vsphere.progress import Goal
from providers.vsphere.properties import moref
from providers.vsphere.soap import FaultError
from providers.vsphere.specs import host_spec

# How a host says that it knows a VM of that file already.
_TAKEN = frozenset({"FileAlreadyExists", "AlreadyExists", "DuplicateName"})


class HostCreator(Creator):
    """Makes a VM of a disk, or of a CD, step by step."""

    _folder = ""
    _disk = ""
    # The task that works on the disk: it must have ended before the disk can be removed.
    _disk_task = ""
    # Whether a task works on the disk whose id is not known.
    _has_lost_task = False
    _has_taken_over = False

    def _make(self) -> Operation:
        draft = self._draft
        image = file_of(draft.spec.offer.image)
        if image is None:
            raise UnsupportedError(
                f"The standalone ESXi host at {self._client.session.place} has no templates to clone: on it the "
                "machine type's image must be the path of a disk or of a CD, `[datastore] folder/file.vmdk` or `.iso`."
            )
        place = placement.for_host(self._environment, self._client.inventory.places(), draft.key)
        capacity_kib = self._client.files.capacity_kib(image, self._work)
        store = place.datastore.name if place.datastore else ""
        self._folder = f"[{store}] {draft.folder_name}"
        self._disk = f"{self._folder}/{draft.spec.name}.vmdk"
        earlier = self._make_folder()
        if earlier is not None:
            return earlier
        if image.is_disk:
            self._copy_disk(image, capacity_kib)
        return self._register(image, place)

    # The folder.

    def _make_folder(self) -> Operation | None:
        """Make the VM's folder; return the VM of an earlier try with the same key where that one made both."""
        files, datacenter = self._client.session.files, self._datacenter.ref
        try:
            files.MakeDirectory(self._folder, datacenter, createParentDirectories=False)
        except FaultError as error:
            if not self._draft.is_keyed or not isinstance(error.fault, vim.fault.FileAlreadyExists):
                raise
            return self._take_over()
        except ProviderError as error:
            if error.answer_lost and not self._is_of_another():
                self._made_folder(time.time())
            raise
        self._made_folder()
        return None

    def _take_over(self) -> Operation | None:
        """Go on in the folder of an earlier try, unless that one makes the VM after all.

        Raises:
            TemporaryConflictError: the earlier try's disk is still being copied.

        """
        goal = Goal("MakeDirectory", vm=self._draft.uuid)
        self._work.finish(Operation(Verb.CREATE, None, str(goal)))
        earlier = self._earlier()
        if earlier is not None:
            return earlier
        if self._is_being_copied():
            raise retries.still_at_work()
        self._has_taken_over = True
        self._disk = f"{self._folder}/{self._draft.spec.name}-{self._draft.creation[:8]}.vmdk"
        return None

    def _is_being_copied(self) -> bool:
        """Whether a disk is being copied by a task that may be the earlier try's."""
        store = self._client.files.store_of(self._folder)
        if store is None:
            return False
        found = self._client.files.folders(store, self._draft.folder_name, self._work.finish)
        return self._client.has_disk_tasks(near=next((one.modification for one in found), None))

    def _is_of_another(self) -> bool:
        """Whether another try with the same key works in the folder: then there are files."""
        if self._draft.is_keyed:
            with suppress(*FAILURES):
                return bool(self._client.files.names_in(self._folder, self._work.finish))
        return False

    def _made_folder(self, asked_at: float | None = None) -> None:
        def remove() -> None:
            self._refuse_lost_task()
            self._remover.remove_folder(self._folder, self._disk_task, own_disk=self._disk, made_at=asked_at)

        self._work.made("folder", self._folder, remove)

    # The disk.

    def _copy_disk(self, image: File, capacity_kib: int | None) -> None:
        """Copy the image's disk in a form that VMs run from, and let it grow."""
        if self._has_taken_over:
            self._work.made("disk", self._disk, self._remove_disk)
        disks, datacenter = self._client.session.disks, self._datacenter.ref
        form = vim.VirtualDiskManager.VirtualDiskSpec(diskType="thin", adapterType="lsiLogic")
        self._work_on_disk(
            "CopyVirtualDisk_Task",
            lambda: disks.CopyVirtualDisk(str(image), datacenter, self._disk, datacenter, form, force=False),
        )
        wanted_kib = (self._draft.spec.os.disk_gib or 0) * KIB_PER_GIB
        if wanted_kib > (capacity_kib or 0):
            self._extend_disk(wanted_kib)

    def _extend_disk(self, wanted_kib: int) -> None:
        """Let the disk grow. A call that is repeated may be refused because the disk has grown already."""
        disks, datacenter = self._client.session.disks, self._datacenter.ref
        try:
            self._work_on_disk(
                "ExtendVirtualDisk_Task",
                lambda: disks.ExtendVirtualDisk(self._disk, datacenter, wanted_kib, eagerZero=False),
            )
        except (FaultError, UnprocessableError):
            if not self._is_as_large(wanted_kib):
                raise

    def _is_as_large(self, wanted_kib: int) -> bool:
        disk = file_of(self._disk)
        with suppress(*FAILURES):
            return disk is not None and (self._client.files.capacity_kib(disk, self._work) or 0) >= wanted_kib
        return False

    def _work_on_disk(self, call: str, submit: Callable[[], vim.Task]) -> None:
        try:
            task = submit()
        except ProviderError as error:
            self._has_lost_task = error.answer_lost
            raise
        self._disk_task = moref(task)
        self._finish(call, task)

    def _remove_disk(self) -> None:
        self._refuse_lost_task()
        self._remover.remove_disk(self._disk, self._disk_task)

    def _refuse_lost_task(self) -> None:
        """Refuse to remove a disk on which a task may be at work that was not answered."""
        if self._has_lost_task and self._client.has_disk_tasks():
            raise BackendFailureError(f"A task that was not answered may still be writing to {self._disk}.")

    # The VM.

    def _register(self, image: File, place: Placement) -> Operation:
        """Make the VM of the files, and start it if that is wanted."""
        spec = host_spec(self._draft, image, self._folder, self._disk, place)
        pool, host = cast("vim.ResourcePool", place.pool), cast("vim.HostSystem | None", place.host)
        try:
            task = cast("vim.Folder", place.folder).CreateVm(spec, pool, host)
        except FAILURES as error:
            if self._is_taken(error):
                return self._leave_to_another()
            self._cope_with_loss(error, "CreateVM_Task", place, lasting=False)
            raise
        self._made_vm(moref(task))
        if self._draft.is_keyed:
            return self._registered_with_key(task)
        if not self._draft.spec.start:
            return self._last_step("CreateVM_Task", task, files=self._folder, disk=self._disk)
        return self._started(self._registered(task), self._folder, self._disk)

    def _registered(self, task: vim.Task) -> vim.VirtualMachine:
        return self._client.vm(Goal.read(self._finish("CreateVM_Task", task).handle).vm)

    def _registered_with_key(self, task: vim.Task) -> Operation:
        try:
            made = self._registered(task)
        except ProviderError as error:
            if self._is_taken(error):
                return self._leave_to_another()
            raise
        earlier = self._left_to_first(made)
        if earlier is not None:
            return earlier
        if self._has_taken_over:
            self._remover.remove_other_disks(self._folder, {self._disk})
        if not self._draft.spec.start:
            return done_with(self._client.machine(made))
        return self._started(made, self._folder, self._disk)

    def _is_taken(self, error: Exception) -> bool:
        """Whether another try with the same key has registered the VM."""
        if not self._draft.is_keyed:
            return False
        if isinstance(error, FaultError):
            return code_of(error.fault) in _TAKEN
        return isinstance(error, ProviderError) and error.backend is not None and error.backend.code in _TAKEN

    def _left_to_first(self, made: vim.VirtualMachine) -> Operation | None:
        """Return the VM of another try that has made one first, on another datastore, after removing this one."""
        if len(self._client.inventory.places().of(vim.Datastore)) == 1 or self._environment.storage_external_id:
            return None
        found = self._client.session.search.FindAllByUuid(
            self._datacenter.ref, self._draft.uuid, vmSearch=True, instanceUuid=True
        )
        first = min(map(moref, found), key=lambda one: (len(one), one), default=moref(made))
        if first == moref(made):
            return None
        self._remover.destroy_stopped(self._client.machine(made))
        self._work.forget(self._draft.uuid)
        self._remover.remove_folder(self._folder, own_disk=self._disk)
        self._work.forget(self._folder)
        return self._completed(self._client.machine(self._client.vm(first)))

    def _remove_unused(self, used: Sequence[str]) -> None:
        folders = {path.rpartition("/")[0] for path in used if path.endswith(".vmx")}
        for folder in folders:
            if parted(folder)[1] == self._draft.folder_name:
                self._remover.remove_other_disks(folder, used)

    def _leave_to_another(self) -> Operation:
        """Return the VM of another try with the same key, which has registered it first."""
        self._work.forget(self._draft.uuid)
        with suppress(*FAILURES):
            self._remover.remove_disk(self._disk)
            self._work.forget(self._disk)
        self._work.forget(self._folder)
        earlier = self._earlier()
        if earlier is None:
            raise retries.still_at_work()
        return earlier
