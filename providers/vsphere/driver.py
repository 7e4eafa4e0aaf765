"""vSphere: what the verbs mean on vCenter and on standalone ESXi hosts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import ClassVar, Self

from pyVmomi import vim, vmodl

from providers.credentials import Credentials
from providers.domain import VM, Environment, LeftoverResource, Manner, Operation, StopMode, Verb, VMSpec
from providers.driver import Driver, Work
from providers.errors import (
    AlreadyInStateError,
    ConflictError,
    ProviderError,
    UnprocessableError,
    UnsupportedError,
)
from providers.network import Network
from providers.vsphere import guestinfo
from providers.vsphere.client import VSphereClient
from providers.vsphere.creating import OFF, ON, VCenterCreator
from providers.vsphere.failures import VENDOR_ERRORS, is_in_state, translate
from providers.vsphere.host_creating import HostCreator
from providers.vsphere.leftovers import Leftovers
from providers.vsphere.machines import Machine
from providers.vsphere.outcomes import Outcomes
from providers.vsphere.progress import Goal
from providers.vsphere.properties import moref
from providers.vsphere.removing import Remover
from providers.vsphere.soap import FaultError


class VSphereDriver(Driver):
    """The VMs of one datacenter, of vCenter or of a standalone ESXi host."""

    vendor_errors: ClassVar[tuple[type[Exception], ...]] = VENDOR_ERRORS

    def __init__(self, environment: Environment, client: VSphereClient) -> None:
        self._environment = environment
        self._client = client
        self._outcomes = Outcomes(client)

    @classmethod
    def check_create(cls, environment: Environment, spec: VMSpec) -> None:  # noqa: ARG003 # alike everywhere
        """See `Driver`."""
        if spec.offer.image.lower().startswith("library:"):
            raise UnsupportedError("An item of a content library cannot be deployed: name a template as the image.")
        if spec.offer.memory_mib is not None and spec.offer.memory_mib % 4:
            raise UnprocessableError(
                f"The machine type has {spec.offer.memory_mib} MiB of memory; vSphere takes multiples of 4."
            )
        guestinfo.check(spec.cloud_init)

    @classmethod
    def open(cls, environment: Environment, credentials: Credentials, network: Network) -> Self:
        """See `Driver`."""
        return cls(environment, VSphereClient.open(environment, credentials, network))

    @classmethod
    def translate(cls, error: Exception) -> ProviderError:
        """See `Driver`."""
        return translate(error)

    def list_vms(self) -> Iterator[VM]:
        """See `Driver`. One call for each thousand.

        A VM of which vSphere knows no instance UUID cannot be named, so it is not shown: one whose making has only
        begun, or whose files cannot be read and of which nothing else is remembered.
        """
        return (machine.vm for machine in self._client.machines() if machine.uuid and not machine.is_template)

    def get_vm(self, vm_id: str) -> VM:
        """See `Driver`."""
        return self._checked(vm_id, self._client.find_vm(vm_id)).vm

    def create_vm(self, spec: VMSpec, work: Work) -> Operation:
        """See `Driver`."""
        creator = HostCreator if self._client.session.is_host else VCenterCreator
        return creator(self._environment, self._client, spec, work).begin()

    def start_vm(self, vm_id: str, work: Work) -> Operation:  # noqa: ARG002 # one step
        """See `Driver`."""
        ref = self._client.find_vm(vm_id)
        return self._task(
            Operation(Verb.START, vm_id), ref, lambda: ref.PowerOn(None), Goal("PowerOnVM_Task", state=ON)
        )

    def stop_vm(self, vm_id: str, work: Work, manner: Manner) -> Operation:  # noqa: ARG002 # one step
        """See `Driver`. A guest that cannot be asked, as its Tools do not run, is cut off at once unless `graceful`."""
        ref = self._client.find_vm(vm_id)
        stop = Operation(Verb.STOP, vm_id)
        if not manner.forced and self._asked(stop, ref, ref.ShutdownGuest, manner):
            return replace(stop, handle=str(Goal("ShutdownGuest", vm=moref(ref), state=OFF)))
        return self._task(stop, ref, ref.PowerOff, Goal("PowerOffVM_Task", state=OFF))

    def restart_vm(self, vm_id: str, work: Work, manner: Manner) -> Operation:  # noqa: ARG002 # one step
        """See `Driver`. vSphere does not tell when a guest has rebooted, so that is done once it is accepted."""
        ref = self._client.find_vm(vm_id)
        restart = Operation(Verb.RESTART, vm_id)
        if not manner.forced and self._asked(restart, ref, ref.RebootGuest, manner):
            return replace(restart, done=True)
        return self._task(restart, ref, ref.Reset, Goal("ResetVM_Task", state=ON))

    def delete_vm(self, vm_id: str, work: Work) -> Operation:
        """See `Driver`. Disks and files go with the VM."""
        return Remover(self._client, work).destroy(vm_id, self._client.find_vm(vm_id))

    def poll(self, operation: Operation) -> Operation:
        """See `Driver`."""
        return self._outcomes.look(operation)

    def promise_removal(self, operation: Operation, work: Work) -> None:
        """See `Driver`. On a standalone host the folder that the create made goes after the VM."""
        goal, remover = Goal.read(operation.handle), Remover(self._client, work)
        vm_id = operation.vm_id

        def remove_folder() -> None:
            Leftovers(self._client).check_unused(goal.files)
            remover.remove_folder(goal.files, own_disk=goal.disk)

        if goal.files:
            work.made("folder", goal.files, remove_folder)
        if vm_id is not None:
            work.made("vm", vm_id, lambda: remover.remove_unused(vm_id, goal))

    def list_leftovers(self) -> Iterator[LeftoverResource]:
        """See `Driver`."""
        return Leftovers(self._client).list()

    def remove_leftover(self, leftover: LeftoverResource, work: Work) -> None:
        """See `Driver`."""
        Leftovers(self._client).remove(leftover, work)

    def close(self) -> None:
        """See `Driver`."""
        self._client.close()

    def _checked(self, vm_id: str, ref: vim.VirtualMachine) -> Machine:
        machine = self._client.machine(ref)
        if machine.is_template:
            raise self._client.not_found(vm_id)
        return machine

    def _task(
        self, operation: Operation, ref: vim.VirtualMachine, submit: Callable[[], vim.Task], goal: Goal
    ) -> Operation:
        """Submit a task that brings a VM to a power state."""
        try:
            task = submit()
        except FaultError as error:
            if operation.verb is not Verb.RESTART and is_in_state(error.fault, goal.state):
                raise AlreadyInStateError from error
            self._raise_if_template(operation, ref, error)
            raise
        return replace(operation, handle=str(replace(goal, task=moref(task), vm=moref(ref))))

    def _asked(self, operation: Operation, ref: vim.VirtualMachine, ask: Callable[[], None], manner: Manner) -> bool:
        """Ask the guest; False if it cannot be asked and is to be forced instead, at once.

        A suspended guest hears nothing either; to reset one, or one that is off, is no restart.
        """
        try:
            ask()
        except FaultError as error:
            if self._is_stopped(operation, ref, error.fault):
                raise AlreadyInStateError from error
            self._raise_if_template(operation, ref, error)
            is_suspended = operation.verb is Verb.STOP and is_in_state(error.fault, "suspended")
            if not is_suspended and not isinstance(error.fault, vim.fault.ToolsUnavailable):
                raise
            if manner.mode is not StopMode.AUTO:
                raise _cannot_be_asked(operation, error) from error
            return False
        return True

    def _is_stopped(self, operation: Operation, ref: vim.VirtualMachine, fault: vmodl.MethodFault) -> bool:
        """Whether a guest could not be asked to stop because its VM is off; it may be said of its Tools, too."""
        if operation.verb is not Verb.STOP:
            return False
        no_tools = isinstance(fault, vim.fault.ToolsUnavailable)
        return self._client.machine(ref).power == OFF if no_tools else is_in_state(fault, OFF)

    def _raise_if_template(self, operation: Operation, ref: vim.VirtualMachine, error: FaultError) -> None:
        """A template is no VM; vSphere says of it that this is not supported."""
        if isinstance(error.fault, vmodl.fault.NotSupported):
            self._checked(operation.vm_id or "", ref)


def _cannot_be_asked(operation: Operation, error: FaultError) -> ConflictError:
    failure = translate(error)
    return ConflictError(
        f"The guest of VM {operation.vm_id} cannot be asked to {operation.verb}. {failure.detail} With mode=auto or "
        "mode=force its power is cut.",
        backend=failure.backend,
    )
