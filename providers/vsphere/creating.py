"""How a VM is made: on vCenter as a copy of a template, by one task; on a standalone host step by step."""

from __future__ import annotations

from contextlib import suppress
from typing import Final, cast

from pyVmomi import vim, vmodl

from providers.domain import Environment, Operation, Verb, VMSpec
from providers.driver import Work
from providers.errors import ProviderError, UnprocessableError, UnsupportedError
from providers.vsphere import placement, retries
from providers.vsphere.client import VSphereClient
from providers.vsphere.devices import KIB_PER_GIB
from providers.vsphere.drafts import Draft
from providers.vsphere.images import File, file_of
from providers.vsphere.placement import Placement
from providers.vsphere.progress import Goal
from providers.vsphere.properties import moref
from providers.vsphere.removing import Remover
from providers.vsphere.soap import FaultError
from providers.vsphere.specs import clone_spec, disk_path, host_spec

_FAILURES: Final = (ProviderError, FaultError)
_REPEAT = "Repeat the request with the same Idempotency-Key: if the VM was made, it is returned."


class Creator:
    """One create at work."""

    def __init__(self, environment: Environment, client: VSphereClient, spec: VMSpec, work: Work) -> None:
        self._environment = environment
        self._client = client
        self._draft = Draft.of(environment, spec)
        self._work = work
        self._remover = Remover(client, work)
        self._datacenter = client.inventory.datacenter()
        # The task that works on the disk in the folder: it must have ended before the folder can be removed.
        self._at_disk = ""

    def begin(self) -> Operation:
        """Make the VM; the last step is left open."""
        earlier = self._earlier() if self._draft.is_keyed else None
        if earlier is not None:
            return earlier
        try:
            return self._on_host() if self._client.session.is_host else self._on_vcenter()
        except (UnprocessableError, FaultError):
            # What was missing may be there by the next try, which must not be refused by what was kept.
            self._client.inventory.forget()
            raise

    def _on_vcenter(self) -> Operation:
        try:
            return self._clone()
        except FaultError as error:
            if not isinstance(error.fault, vmodl.fault.ManagedObjectNotFound):
                raise
        # A look-up that was kept is out of date: templates, for one, are made anew under the same name.
        self._client.inventory.forget()
        self._client.templates.forget()
        return self._clone()

    def _clone(self) -> Operation:
        draft, image = self._draft, self._draft.spec.offer.image
        if file_of(image) is not None:
            raise UnprocessableError(
                f"The machine type's image {image!r} is a file, which only a standalone ESXi host makes VMs of: for "
                "this vCenter it must be the name or the inventory path of a template."
            )
        place = placement.for_clone(self._environment, self._client.inventory.places())
        template = self._client.templates.find(image)
        folder = cast("vim.Folder", place.folder)
        try:
            task = template.ref.Clone(folder, draft.spec.name, clone_spec(draft, template, place))
        except _FAILURES as error:
            self._cope_with_loss(error, "CloneVM_Task", place, lasting=draft.is_keyed)
            earlier = self._of_that_name(error) if draft.is_keyed else None
            if earlier is not None:
                return earlier
            raise
        self._made_vm(moref(task))
        return self._last_step("CloneVM_Task", task)

    def _on_host(self) -> Operation:
        draft = self._draft
        image = file_of(draft.spec.offer.image)
        if image is None:
            raise UnsupportedError(
                f"The standalone ESXi host at {self._client.session.place} has no templates to clone: on it the "
                "machine type's image must be the path of a disk or of a CD, `[datastore] folder/file.vmdk` or `.iso`."
            )
        place = placement.for_host(self._environment, self._client.inventory.places())
        capacity_kib = self._client.files.capacity_kib(image, self._work)
        store = place.datastore.name if place.datastore else ""
        folder = f"[{store}] {draft.folder_name}"
        earlier = self._make_folder(folder, place)
        if earlier is not None:
            return earlier
        if image.is_disk:
            self._copy_disk(image, folder, capacity_kib)
        return self._register(image, folder, place)

    def _make_folder(self, folder: str, place: Placement) -> Operation | None:
        """Make the VM's folder; if another request with the same key has made it, what became of that one."""
        try:
            self._client.session.files.MakeDirectory(folder, self._datacenter.ref, createParentDirectories=False)
        except FaultError as error:
            if not self._draft.is_keyed or not isinstance(error.fault, vim.fault.FileAlreadyExists):
                raise
            earlier = self._earlier()
            if earlier is None:
                raise retries.still_at_work() from error
            return earlier
        except ProviderError as error:
            if error.answer_lost and self._is_ours(folder, place):
                self._made_folder(folder)
            raise
        self._made_folder(folder)
        return None

    def _is_ours(self, folder: str, place: Placement) -> bool:
        """Whether a folder whose making was not answered may be removed.

        Without a key its name is drawn, and nobody else can have made it. With one, another request with the same key
        may have, and be at work in it: then there are files.
        """
        if not self._draft.is_keyed:
            return True
        with suppress(*_FAILURES):
            return place.datastore is not None and self._client.files.is_empty(place.datastore, folder, self._work)
        return False

    def _copy_disk(self, image: File, folder: str, capacity_kib: int | None) -> None:
        """Copy the image's disk in a form that VMs run from, and let it grow."""
        disks, datacenter = self._client.session.disks, self._datacenter.ref
        path = disk_path(folder, self._draft.spec.name)
        form = vim.VirtualDiskManager.VirtualDiskSpec(diskType="thin", adapterType="lsiLogic")
        task = disks.CopyVirtualDisk(str(image), datacenter, path, datacenter, form, force=False)
        self._at_disk = moref(task)
        self._finish("CopyVirtualDisk_Task", task)
        wanted_kib = (self._draft.spec.os.disk_gib or 0) * KIB_PER_GIB
        if wanted_kib > (capacity_kib or 0):
            grown = disks.ExtendVirtualDisk(path, datacenter, wanted_kib, eagerZero=False)
            self._at_disk = moref(grown)
            self._finish("ExtendVirtualDisk_Task", grown)

    def _register(self, image: File, folder: str, place: Placement) -> Operation:
        """Make the VM of the files, and start it if that is wanted."""
        spec = host_spec(self._draft, image, folder, place)
        pool, host = cast("vim.ResourcePool", place.pool), cast("vim.HostSystem | None", place.host)
        try:
            task = cast("vim.Folder", place.folder).CreateVm(spec, pool, host)
        except _FAILURES as error:
            self._cope_with_loss(error, "CreateVM_Task", place, lasting=False)
            raise
        self._made_vm(moref(task))
        if not self._draft.spec.start:
            return self._last_step("CreateVM_Task", task, files=folder)
        made = Goal.read(self._finish("CreateVM_Task", task).handle)
        starting = self._client.vm(made.vm).PowerOn(None)
        return self._last_step("PowerOnVM_Task", starting, made.vm, folder)

    def _finish(self, call: str, task: vim.Task) -> Operation:
        """Wait for a step in between."""
        return self._work.finish(Operation(Verb.CREATE, None, str(Goal(call, moref(task)))))

    def _last_step(self, call: str, task: vim.Task, vm: str = "", files: str = "") -> Operation:
        draft = self._draft
        state = "poweredOn" if draft.spec.start else "poweredOff"
        goal = Goal(call, moref(task), vm, state, draft.creation, draft.digest, files=files)
        return Operation(Verb.CREATE, draft.uuid, str(goal))

    def _earlier(self) -> Operation | None:
        """What an earlier request with the same key has made."""
        return retries.existing(self._client, self._draft.uuid, self._draft.digest)

    def _of_that_name(self, error: Exception) -> Operation | None:
        """The same, if a create was refused because it has the name."""
        if not isinstance(error, FaultError) or not isinstance(error.fault, vim.fault.DuplicateName):
            return None
        return retries.of_that_name(self._client, self._draft.uuid, self._draft.digest, error.fault)

    def _made_vm(self, task: str = "") -> None:
        self._work.made("vm", self._draft.uuid, lambda: self._remover.remove_created(self._draft, task))

    def _made_folder(self, folder: str) -> None:
        self._work.made("folder", folder, lambda: self._remover.remove_folder(folder, self._at_disk))

    def _cope_with_loss(self, error: Exception, call: str, place: Placement, *, lasting: bool) -> None:
        """If the answer to the making got lost, see that no VM is left behind; a `lasting` one is for the next try."""
        if not isinstance(error, ProviderError) or not error.answer_lost:
            return
        advice = _REPEAT if lasting else self._search_lost(call, place)
        raise type(error)(f"{error.detail} {advice}", backend=error.backend) from error

    def _search_lost(self, call: str, place: Placement) -> str:
        """Look for the VM whose making was not answered, so that it is removed; what to tell the caller."""
        try:
            is_made = self._was_made(call, place)
        except _FAILURES:
            self._work.made("vm", self._draft.uuid, lambda: self._remove_lost(call, place))
            return "Whether a VM was made could not be found out: look for it before you try again."
        if not is_made:
            return "No VM was made."
        self._made_vm()
        return "The VM that was made is removed again."

    def _was_made(self, call: str, place: Placement) -> bool:
        """Whether there is a VM of this create, although nobody said so; waits for one that is being made."""
        operation = retries.searched(call, self._draft, moref(place.folder))
        found = retries.search(self._client, operation, Goal.read(operation.handle))
        return (found if found.done else self._work.finish(found)).vm_id is not None

    def _remove_lost(self, call: str, place: Placement) -> None:
        """Remove a VM that may not have been there when time ran out, and may have come since."""
        if self._was_made(call, place):
            self._remover.remove_created(self._draft)
