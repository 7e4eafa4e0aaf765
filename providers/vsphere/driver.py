"""vSphere: what the verbs mean on vCenter and on standalone ESXi hosts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import ClassVar, Self

from pyVmomi import vim, vmodl

from providers.credentials import Credentials
from providers.domain import VM, Environment, Manner, Operation, StopMode, Verb, VMSpec
from providers.driver import Driver, Work
from providers.errors import (
    AlreadyInStateError,
    BackendFailureError,
    BackendReply,
    ConflictError,
    ProviderError,
    UnprocessableError,
    UnsupportedError,
)
from providers.network import Network
from providers.vsphere import guestinfo, retries
from providers.vsphere.client import Look, VSphereClient
from providers.vsphere.creating import Creator
from providers.vsphere.failures import VENDOR_ERRORS, meaning, translate
from providers.vsphere.machines import Machine
from providers.vsphere.progress import Goal
from providers.vsphere.properties import moref
from providers.vsphere.removing import Remover
from providers.vsphere.soap import CLOUD_NAME, FaultError

ON, OFF = "poweredOn", "poweredOff"


class VSphereDriver(Driver):
    """The VMs of one datacenter, of vCenter or of a standalone ESXi host."""

    vendor_errors: ClassVar[tuple[type[Exception], ...]] = VENDOR_ERRORS

    def __init__(self, environment: Environment, client: VSphereClient) -> None:
        self._environment = environment
        self._client = client

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
        return Creator(self._environment, self._client, spec, work).begin()

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
        goal = Goal.read(operation.handle)
        if goal.name:
            return retries.search(self._client, operation, goal)
        if not goal.task:
            return self._judged_by_state(operation, goal)
        look = self._client.look(goal.task, goal.vm)
        if look.is_under_way:
            return self._under_way(operation, goal, look.machine)
        match look.state:
            case "success":
                return self._succeeded(operation, goal, look)
            case "error":
                return self._failed(operation, goal, look.fault)
            case _:
                return self._forgotten(operation, goal)

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
            if operation.verb is not Verb.RESTART and _is_in_state(error.fault, goal.state):
                raise AlreadyInStateError from error
            self._raise_if_template(operation, ref, error)
            raise
        return replace(operation, handle=str(replace(goal, task=moref(task), vm=moref(ref))))

    def _asked(self, operation: Operation, ref: vim.VirtualMachine, ask: Callable[[], None], manner: Manner) -> bool:
        """Ask the guest; False if it cannot be asked and may be forced instead."""
        try:
            ask()
        except FaultError as error:
            if operation.verb is Verb.STOP and _is_in_state(error.fault, OFF):
                raise AlreadyInStateError from error
            self._raise_if_template(operation, ref, error)
            return not self._may_force(operation, error, manner)
        return True

    @staticmethod
    def _may_force(operation: Operation, error: FaultError, manner: Manner) -> bool:
        """Whether a guest that could not be asked is forced at once.

        A suspended guest hears nothing either; to reset one, or one that is off, is no restart.
        """
        deaf = isinstance(error.fault, vim.fault.ToolsUnavailable) or (
            operation.verb is Verb.STOP and _is_in_state(error.fault, "suspended")
        )
        if not deaf:
            raise error
        if manner.mode is StopMode.AUTO:
            return True
        failure = translate(error)
        raise ConflictError(
            f"The guest of VM {operation.vm_id} cannot be asked to {operation.verb}. {failure.detail} With mode=auto "
            "or mode=force its power is cut.",
            backend=failure.backend,
        ) from error

    def _raise_if_template(self, operation: Operation, ref: vim.VirtualMachine, error: FaultError) -> None:
        """A template is no VM; vSphere says of it that this is not supported."""
        if isinstance(error.fault, vmodl.fault.NotSupported):
            self._checked(operation.vm_id or "", ref)

    def _under_way(self, operation: Operation, goal: Goal, machine: Machine | None) -> Operation:
        """A VM that asks a question waits for its answer for ever."""
        if machine is None or not machine.question:
            return operation
        failure = ConflictError(
            f"VM {operation.vm_id} does not go on before somebody answers its question in vSphere: {machine.question}",
            backend=BackendReply(CLOUD_NAME, goal.call, "QuestionPending"),
        )
        return replace(operation, done=True, failure=failure)

    def _succeeded(self, operation: Operation, goal: Goal, look: Look) -> Operation:
        result, machine = look.result, look.machine
        if operation.verb is not Verb.CREATE:
            vm = machine.vm if machine is not None and machine.power == goal.state else None
            return replace(operation, done=True, vm=vm)
        if isinstance(result, vim.VirtualMachine):
            goal = replace(goal, vm=moref(result))
        if not goal.creation:
            return replace(operation, done=True, handle=str(goal))
        return self._created(operation, goal, machine or self._client.machine(self._client.vm(goal.vm)))

    def _created(self, operation: Operation, goal: Goal, machine: Machine) -> Operation:
        """The VM is made. With a key it has the UUID that the key stands for, unless another VM has it."""
        created = replace(operation, done=True, vm_id=machine.uuid, vm=machine.vm)
        if goal.digest and machine.uuid != operation.vm_id:
            failure = UnprocessableError(
                "This Idempotency-Key was used at the same time for a request with other content: use a new key."
            )
            return replace(created, failure=failure, vm=None)
        return created

    def _failed(self, operation: Operation, goal: Goal, fault: vmodl.MethodFault | None) -> Operation:
        fault = fault or vmodl.fault.SystemError(reason="The task failed, and vSphere does not say why")
        if operation.verb in {Verb.START, Verb.STOP} and goal.state and _is_in_state(fault, goal.state):
            return replace(operation, done=True)
        failure = meaning(fault, goal.call, self._client.session.place)
        if not goal.digest or operation.vm_id is None:
            # The UUID was drawn for this create, so whatever has it was made by it.
            return replace(operation, done=True, failure=failure)
        if isinstance(fault, vim.fault.DuplicateName):
            return self._duplicate(operation, goal, failure)
        return replace(operation, done=True, failure=failure, vm_id=self._left_behind(operation.vm_id, goal))

    def _duplicate(self, operation: Operation, goal: Goal, failure: ProviderError) -> Operation:
        """The name is taken: by the VM of an earlier request with the same key, or by another."""
        try:
            earlier = retries.existing(self._client, operation.vm_id or "", goal.digest)
        except ProviderError as error:
            return replace(operation, done=True, failure=error, vm_id=None)
        return earlier or replace(operation, done=True, failure=failure, vm_id=None)

    def _left_behind(self, vm_id: str, goal: Goal) -> str | None:
        """The VM that a failed create with a key has left, unless it is another create's with the same key."""
        ref = self._client.find(vm_id)
        machine = self._client.machine(ref) if ref is not None else None
        return machine.uuid if machine is not None and machine.notes.creation == goal.creation else None

    def _judged_by_state(self, operation: Operation, goal: Goal) -> Operation:
        """A guest was asked, which is no task: the VM's power state tells."""
        machine = self._client.machine(self._client.vm(goal.vm))
        return replace(operation, done=machine.power == goal.state, vm=machine.vm)

    def _forgotten(self, operation: Operation, goal: Goal) -> Operation:
        """The server keeps tasks for some minutes after their end; then the VM itself tells how it ended."""
        ref = self._client.find(operation.vm_id) if operation.vm_id else None
        machine = self._client.machine(ref) if ref is not None else None
        is_there = machine is not None
        if operation.verb is Verb.DELETE and not is_there:
            return replace(operation, done=True)
        if machine is not None and operation.verb is not Verb.DELETE and goal.state in {"", machine.power}:
            return replace(operation, done=True, vm=machine.vm)
        failure = BackendFailureError(
            f"{CLOUD_NAME} at {self._client.session.place} no longer knows the task of {goal.call}, and VM "
            f"{operation.vm_id} {'is not as it should be after it' if is_there else 'is not there'}.",
            backend=BackendReply(CLOUD_NAME, goal.call),
        )
        return replace(operation, done=True, failure=failure)


def _is_in_state(fault: vmodl.MethodFault, state: str) -> bool:
    """Whether a verb was refused because the VM is in this power state."""
    return isinstance(fault, vim.fault.InvalidPowerState) and str(fault.existingState) == state
