"""Taking VMs, and what a failed create made, away again."""

from __future__ import annotations

import time
from collections.abc import Collection
from contextlib import suppress
from typing import Final

from pyVmomi import vim, vmodl

from providers.domain import Operation, Verb
from providers.driver import Work
from providers.errors import BackendFailureError, ConflictError, NotOwnedError, ProviderError
from providers.vsphere.client import VSphereClient
from providers.vsphere.failures import code_of, translate
from providers.vsphere.history import history
from providers.vsphere.machines import Machine
from providers.vsphere.progress import Goal
from providers.vsphere.properties import about, moref, only, pages
from providers.vsphere.retries import SEARCH_SECONDS
from providers.vsphere.soap import FaultError
from providers.waiting import TRANSIENT

_FAILURES: Final = (ProviderError, FaultError)
# How vSphere says that a file is not there.
_NO_FILE: Final = frozenset({"FileNotFound", "ManagedObjectNotFound"})
# And that the power of a VM, or of a template, cannot be cut, as it is off.
_NOT_RUNNING: Final = frozenset({"InvalidPowerState", "NotSupported"})
_TASK_END: Final = ("info.state", "info.completeTime")


class Remover:
    """Removes within one verb, waiting by its `Work`."""

    def __init__(self, client: VSphereClient, work: Work) -> None:
        self._client = client
        self._work = work

    def destroy(self, vm_id: str, ref: vim.VirtualMachine) -> Operation:
        """Destroy a VM with its disks and files; running or not."""
        was_running = self.power_off(vm_id, ref)
        try:
            task = ref.Destroy()
        except FaultError as error:
            if was_running and not isinstance(error.fault, vmodl.fault.ManagedObjectNotFound):
                raise self._started_again(ref, error) from error
            raise
        return Operation(Verb.DELETE, vm_id, str(Goal("Destroy_Task", moref(task))))

    @staticmethod
    def _started_again(ref: vim.VirtualMachine, error: FaultError) -> ProviderError:
        """A VM that is not destroyed after all is left as it was, as far as that can be."""
        failure = translate(error)
        outcome = "it is off now"
        with suppress(*_FAILURES):
            ref.PowerOn(None)
            outcome = "it has been started again"
        detail = f"{failure.detail} The VM's power had been cut for that; {outcome}."
        return type(failure)(detail, backend=failure.backend)

    def power_off(self, vm_id: str, ref: vim.VirtualMachine) -> bool:
        """See that a VM does not run, before it is destroyed; whether it did.

        Without a look before: one that runs is no template, and the look would cost a call for each. Where it does
        not run, it is looked at, as a template must not be destroyed.

        Raises:
            VMNotFoundError: it is a template.

        """
        try:
            task = ref.PowerOff()
            self._work.finish(Operation(Verb.STOP, vm_id, str(Goal("PowerOffVM_Task", moref(task)))))
        except FaultError as error:
            if code_of(error.fault) not in _NOT_RUNNING:
                raise
        except ProviderError as error:
            if error.backend is None or error.backend.code not in _NOT_RUNNING:
                raise
        else:
            return True
        if self._client.machine(ref).is_template:
            raise self._client.not_found(vm_id)
        return False

    def remove_created(self, uuid: str, creation: str, task: str = "", *, is_keyed: bool, start_task: str = "") -> None:
        """Remove the VM that a create made, and nobody else's: it is known by the create's own mark.

        Another try with the same key may have started it by now: such a VM stays, also where it was stopped since. On
        a standalone host `start_task` tells the create's own start from others, and a VM that is not to run is
        finished as soon as it is made, and stays, too. Where a VM with a key cannot be destroyed, it runs
        again if it did, so that a retry finds it as it should be.

        Raises:
            VMNotFoundError: there is none.
            NotOwnedError: it was made by another create.
            ConflictError: another try has finished it.

        """
        made = self._end(task)
        ref = made or self._client.find(uuid)
        machine = self._client.machine(ref) if ref is not None else None
        if machine is None:
            raise NotOwnedError(f"VM {uuid} was not made.") if self._is_refused(task) else self._client.not_found(uuid)
        if not _is_made_by(machine, uuid, creation, is_keyed=is_keyed):
            raise _not_owned(machine)
        is_host = self._client.session.is_host
        if is_keyed and is_host and not (machine.notes.start and self._is_unused(machine, start_task)):
            raise _in_use(machine)
        was_running = False
        if not is_keyed or (made is not None and not is_host):
            # If looking is what failed, destroying may still succeed; a VM that runs cannot be destroyed.
            with suppress(*_FAILURES):
                self._end_all(machine.ref)
            with suppress(*_FAILURES):
                was_running = self.power_off(machine.uuid, machine.ref)
        try:
            self.destroy_stopped(machine)
        except _FAILURES:
            if is_keyed and was_running:
                with suppress(*_FAILURES):
                    machine.ref.PowerOn(None)
            raise

    def remove_unused(self, uuid: str, goal: Goal) -> None:
        """Remove the VM of a create that failed a while ago, unless somebody has used it since.

        Raises:
            VMNotFoundError: there is none.
            NotOwnedError: it was made by another create.
            ConflictError: it may have been used.

        """
        ref = self._client.find(uuid)
        machine = self._client.machine(ref) if ref is not None else None
        if machine is None:
            raise self._client.not_found(uuid)
        if machine.notes.creation not in {"", goal.creation}:
            raise _not_owned(machine)
        if not machine.notes.creation or machine.is_template:
            raise _in_use(machine)
        if not self._is_unused(machine, goal.task):
            raise _in_use(machine)
        if machine.power == "poweredOn":
            self.power_off(uuid, machine.ref)
        self.destroy_stopped(machine)

    def _is_unused(self, machine: Machine, task: str) -> bool:
        """Whether a VM has never run, except by the last task of its create."""
        return history(self._client.session, machine.ref).never_ran or self._is_last_task(machine, task)

    def _is_last_task(self, machine: Machine, task: str) -> bool:
        """Whether nothing was begun on a VM after a task had ended. False where the server has forgotten the task.

        A start that fails can leave the traces of a run. If the VM runs, the task must have started it.
        """
        session = self._client.session
        if not task:
            return False
        recent = only(session.collector, machine.ref, ("recentTask",), session.place).values.get("recentTask", ())
        others = [one for one in recent if moref(one) != task]
        try:
            last = only(session.collector, vim.Task(task, session), _TASK_END, session.place)
            found = pages(session.collector, about(others, {vim.Task: ("info.queueTime",)})) if others else ()
            begun = [one.values.get("info.queueTime") for one in found]
        except FaultError as error:
            if isinstance(error.fault, vmodl.fault.ManagedObjectNotFound):
                return False
            raise
        state, ended_at = (last.values.get(path) for path in _TASK_END)
        if machine.power != "poweredOff" and state != "success":
            return False
        return ended_at is not None and all(time is not None and time <= ended_at for time in begun)

    def _is_refused(self, task: str) -> bool:
        """Whether a task has made nothing, as another VM has the name."""
        return bool(task) and isinstance(self._client.look(task).fault, vim.fault.DuplicateName)

    def destroy_stopped(self, machine: Machine) -> None:
        """Destroy a VM and wait until it is gone; vSphere refuses it for one that runs."""
        destroyed = machine.ref.Destroy()
        self._work.finish(Operation(Verb.DELETE, machine.uuid, str(Goal("Destroy_Task", moref(destroyed)))))

    def remove_folder(self, path: str, task: str = "", *, own_disk: str = "", made_at: float | None = None) -> None:
        """Remove a folder of a datastore with all that is in it; one that is not there is removed.

        Args:
            path: `[datastore] folder`.
            task: works on the disk in it; it is ended first.
            own_disk: the create's own disk. The folder stays while there is more in it: its VM, or what another try
                with the same key has made.
            made_at: when (Unix time) the folder's making was asked for without an answer. It may still appear, so
                "not there" is believed only some seconds later.

        Raises:
            ConflictError: it stays.
            BackendFailureError: it may still appear: look again.

        """
        self._end(task)
        try:
            if own_disk and self._is_used_by_others(path, own_disk):
                if not self._is_in_use(path, own_disk):
                    self.remove_disk(own_disk)
                raise ConflictError(f"The folder {path} stays: it is used by a VM, or by another try.")
            deleting = self._client.session.files.DeleteFile(path, self._datacenter)
            self._finish("DeleteDatastoreFile_Task", deleting)
        except _FAILURES as error:
            if not _is_not_there(error):
                raise
            if made_at is not None and time.time() - made_at < SEARCH_SECONDS:
                raise BackendFailureError(f"The folder {path} is not there yet.") from error

    def remove_disk(self, path: str, task: str = "") -> None:
        """Remove a disk of a datastore; one that is not there is removed."""
        self._end(task)
        try:
            deleting = self._client.session.disks.DeleteVirtualDisk(path, self._datacenter)
            self._finish("DeleteVirtualDisk_Task", deleting)
        except _FAILURES as error:
            if not _is_not_there(error):
                raise

    def remove_other_disks(self, folder: str, kept: Collection[str]) -> None:
        """Remove the disks that earlier tries left in a VM's folder, as far as that can be done.

        Args:
            folder: `[datastore] folder`.
            kept: the paths of all files that the VM uses.

        """
        with suppress(*_FAILURES):
            names = self._client.files.names_in(folder, self._work.finish)
            for name in names:
                path = f"{folder}/{name}"
                if name.endswith(".vmdk") and not name.endswith("-flat.vmdk") and path not in kept:
                    with suppress(*_FAILURES):
                        self.remove_disk(path)

    def _is_used_by_others(self, folder: str, own_disk: str) -> bool:
        own = own_disk.rpartition("/")[2].removesuffix(".vmdk")
        names = self._client.files.names_in(folder, self._work.finish)
        return any(_is_of_vm(name) and name not in {f"{own}.vmdk", f"{own}-flat.vmdk"} for name in names)

    def _is_in_use(self, folder: str, disk: str) -> bool:
        """Whether a VM in a folder uses a disk, or may do so."""
        names = self._client.files.names_in(folder, self._work.finish)
        for name in names:
            if name.endswith(".vmx"):
                ref = self._client.session.search.FindByDatastorePath(self._datacenter, f"{folder}/{name}")
                if ref is None or disk in history(self._client.session, ref).files:
                    return True
        return False

    @property
    def _datacenter(self) -> vim.Datacenter:
        return self._client.inventory.datacenter().ref

    def _finish(self, call: str, task: vim.Task) -> None:
        self._work.finish(Operation(Verb.DELETE, None, str(Goal(call, moref(task)))))

    def _end_all(self, ref: vim.VirtualMachine) -> None:
        """Let what is at work on a VM come to its end: its start may have been accepted and not answered."""
        found = only(self._client.session.collector, ref, ("recentTask",), self._client.session.place)
        for task in found.values.get("recentTask", ()):
            self._end(moref(task))

    def _end(self, task: str) -> vim.VirtualMachine | None:
        """Cancel a task that may still be at work, and wait for its end; the VM that it has made, if it tells.

        Raises:
            ProviderError, FaultError: the task cannot be seen just now; it may still be at work.

        """
        if not task:
            return None
        try:
            return self._ended(task)
        except _FAILURES as error:
            failure = translate(error) if isinstance(error, FaultError) else error
            if isinstance(failure, TRANSIENT):
                raise
            return None

    def _ended(self, task: str) -> vim.VirtualMachine | None:
        look = self._client.look(task)
        if look.is_under_way:
            with suppress(*_FAILURES):
                vim.Task(task, self._client.session).Cancel()
            self._work.finish(Operation(Verb.DELETE, None, str(Goal("CancelTask", task))))
            look = self._client.look(task)
        return look.result if isinstance(look.result, vim.VirtualMachine) else None


def _is_made_by(machine: Machine, uuid: str, creation: str, *, is_keyed: bool) -> bool:
    """Whether a VM is the one that this very create made: by its mark or, without a key, by the UUID drawn for it."""
    return machine.notes.creation == creation or (not is_keyed and machine.uuid == uuid)


def _not_owned(machine: Machine) -> NotOwnedError:
    return NotOwnedError(f"VM {machine.uuid} was made by another create.")


def _in_use(machine: Machine) -> ConflictError:
    return ConflictError(f"VM {machine.uuid} stays: another request has finished it, or somebody may use it.")


def _is_of_vm(name: str) -> bool:
    """Whether a file is a VM's configuration, or a disk."""
    return name.endswith((".vmx", ".vmdk"))


def _is_not_there(error: Exception) -> bool:
    if isinstance(error, FaultError):
        return code_of(error.fault) in _NO_FILE
    return isinstance(error, ProviderError) and error.backend is not None and error.backend.code in _NO_FILE
