"""Taking VMs, and what a failed create made, away again."""

from __future__ import annotations

from contextlib import suppress
from typing import Final

from pyVmomi import vim, vmodl

from providers.domain import Operation, Verb
from providers.driver import Work
from providers.errors import ProviderError
from providers.vsphere.client import VSphereClient
from providers.vsphere.drafts import Draft
from providers.vsphere.failures import code_of, translate
from providers.vsphere.machines import Machine
from providers.vsphere.progress import Goal
from providers.vsphere.properties import moref, only
from providers.vsphere.soap import FaultError

_FAILURES: Final = (ProviderError, FaultError)
# How vSphere says that a file is not there.
_NO_FILE: Final = frozenset({"FileNotFound", "ManagedObjectNotFound"})
# And that the power of a VM, or of a template, cannot be cut, as it is off.
_NOT_RUNNING: Final = frozenset({"InvalidPowerState", "NotSupported"})


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

    def remove_created(self, draft: Draft, task: str = "") -> None:
        """Remove the VM that a create made, and nobody else's: it is known by the create's own mark.

        Raises:
            VMNotFoundError: there is none.

        """
        ref = self._end(task) or self._client.find(draft.uuid)
        machine = self._client.machine(ref) if ref is not None else None
        if machine is None or not is_made_by(machine, draft):
            raise self._client.not_found(draft.uuid)
        # If looking is what failed, destroying may still succeed; a VM that runs cannot be destroyed.
        with suppress(*_FAILURES):
            self._end_all(machine.ref)
        with suppress(*_FAILURES):
            self.power_off(machine.uuid, machine.ref)
        destroyed = machine.ref.Destroy()
        self._work.finish(Operation(Verb.DELETE, machine.uuid, str(Goal("Destroy_Task", moref(destroyed)))))

    def remove_folder(self, path: str, task: str = "") -> None:
        """Remove a folder of a datastore with all that is in it; one that is not there is removed."""
        self._end(task)
        datacenter = self._client.inventory.datacenter().ref
        try:
            deleting = self._client.session.files.DeleteFile(path, datacenter)
            self._work.finish(Operation(Verb.DELETE, None, str(Goal("DeleteDatastoreFile_Task", moref(deleting)))))
        except FaultError as error:
            if code_of(error.fault) not in _NO_FILE:
                raise
        except ProviderError as error:
            if error.backend is None or error.backend.code not in _NO_FILE:
                raise

    def _end_all(self, ref: vim.VirtualMachine) -> None:
        """Let what is at work on a VM come to its end: its start may have been accepted and not answered."""
        found = only(self._client.session.collector, ref, ("recentTask",), self._client.session.place)
        for task in found.values.get("recentTask", ()):
            self._end(moref(task))

    def _end(self, task: str) -> vim.VirtualMachine | None:
        """Cancel a task that may still be at work, and wait for its end; the VM that it has made, if it tells."""
        if not task:
            return None
        with suppress(*_FAILURES):
            look = self._client.look(task)
            if look.is_under_way:
                with suppress(*_FAILURES):
                    vim.Task(task, self._client.session).Cancel()
                self._work.finish(Operation(Verb.DELETE, None, str(Goal("CancelTask", task))))
                look = self._client.look(task)
            return look.result if isinstance(look.result, vim.VirtualMachine) else None
        return None


def is_made_by(machine: Machine, draft: Draft) -> bool:
    """Whether a VM is the one that this very create made: by its mark or, without a key, by the UUID drawn for it."""
    return machine.notes.creation == draft.creation or (not draft.is_keyed and machine.uuid == draft.uuid)
