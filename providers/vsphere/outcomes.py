"""How a piece of work stands, judged by its task, or by the VM where there is no task."""

from __future__ import annotations

from dataclasses import replace

from pyVmomi import vim, vmodl

from providers.domain import Operation, Verb
from providers.errors import (
    BackendFailureError,
    BackendReply,
    ConflictError,
    ProviderError,
    UnprocessableError,
    VMNotFoundError,
)
from providers.vsphere import retries
from providers.vsphere.client import Look, VSphereClient
from providers.vsphere.failures import is_in_state, meaning
from providers.vsphere.history import history
from providers.vsphere.machines import Machine
from providers.vsphere.progress import Goal
from providers.vsphere.properties import moref
from providers.vsphere.soap import CLOUD_NAME, FaultError


class Outcomes:
    """Looks at the work of one session."""

    def __init__(self, client: VSphereClient) -> None:
        self._client = client

    def look(self, operation: Operation) -> Operation:
        """Look once; a piece of work that failed comes back done, with its `failure`."""
        goal = Goal.read(operation.handle)
        if not goal.task:
            return self._without_task(operation, goal)
        try:
            look = self._client.look(goal.task, goal.vm)
        except FaultError as error:
            if operation.verb is not Verb.CREATE or not isinstance(error.fault, vmodl.fault.ManagedObjectNotFound):
                raise
            failure = ConflictError(
                f"VM {operation.vm_id} was removed by somebody else while it was being made.",
                backend=BackendReply(CLOUD_NAME, goal.call),
            )
            return replace(operation, done=True, failure=failure)
        if look.is_under_way:
            return self._under_way(operation, goal, look.machine)
        match look.state:
            case "success":
                return self._succeeded(operation, goal, look)
            case "error":
                return self._failed(operation, goal, look)
            case _:
                return self._forgotten(operation, goal)

    def _without_task(self, operation: Operation, goal: Goal) -> Operation:
        if goal.call == "MakeDirectory":
            return retries.wait_for_earlier(self._client, operation, goal)
        if goal.name:
            return retries.search(self._client, operation, goal)
        return self._judged_by_state(operation, goal)

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

    def _failed(self, operation: Operation, goal: Goal, look: Look) -> Operation:
        fault = look.fault or vmodl.fault.SystemError(reason="The task failed, and vSphere does not say why")
        if operation.verb in {Verb.START, Verb.STOP} and goal.state and is_in_state(fault, goal.state):
            return replace(operation, done=True)
        if look.machine is not None and look.machine.is_template:
            # No VM for us; vSphere says of it that this is not supported.
            return replace(operation, done=True, failure=self._client.not_found(operation.vm_id or ""))
        started = self._started_before(operation, goal, fault)
        if started is not None:
            return started
        failure = meaning(fault, goal.call, self._client.session.place)
        if not goal.digest or operation.vm_id is None:
            # The UUID was drawn for this create, so whatever has it was made by it.
            return replace(operation, done=True, failure=failure)
        if isinstance(fault, vim.fault.DuplicateName):
            return self._duplicate(operation, goal, fault, failure)
        return replace(operation, done=True, failure=failure, vm_id=self._left_behind(operation.vm_id, goal))

    def _duplicate(
        self, operation: Operation, goal: Goal, fault: vim.fault.DuplicateName, failure: ProviderError
    ) -> Operation:
        """The name is taken: by the VM of an earlier request with the same key, or by another."""
        try:
            earlier = retries.of_that_name(self._client, operation.vm_id or "", goal.digest, fault)
            if earlier is not None and self._is_to_be_started(earlier, goal):
                raise retries.still_at_work()
        except ProviderError as error:
            return replace(operation, done=True, failure=error, vm_id=None)
        if earlier is None:
            return replace(operation, done=True, failure=failure, vm_id=None)
        return replace(operation, done=True, vm_id=earlier.uuid, vm=earlier.vm)

    def _is_to_be_started(self, machine: Machine, goal: Goal) -> bool:
        return machine.power != goal.state and history(self._client.session, machine.ref).never_ran

    def _started_before(self, operation: Operation, goal: Goal, fault: vmodl.MethodFault) -> Operation | None:
        """Return the outcome of a create whose VM was started before.

        Another try with the same key has started it or is about to, or the same call was sent twice.
        """
        if operation.verb is not Verb.CREATE or goal.call != "PowerOnVM_Task":
            return None
        if is_in_state(fault, goal.state):
            return self._created(operation, goal, self._client.machine(self._client.vm(goal.vm)))
        if goal.digest and isinstance(fault, vim.fault.TaskInProgress):
            kept = replace(goal, files="", disk="")
            return replace(operation, done=True, failure=retries.still_at_work(), vm_id=None, handle=str(kept))
        return None

    def _left_behind(self, vm_id: str, goal: Goal) -> str | None:
        """The VM that a failed create with a key has left, unless it is another create's with the same key."""
        ref = self._client.find(vm_id)
        machine = self._client.machine(ref) if ref is not None else None
        return machine.uuid if machine is not None and machine.notes.creation == goal.creation else None

    def _judged_by_state(self, operation: Operation, goal: Goal) -> Operation:
        """A guest was asked, which is no task: the VM's power state tells.

        A create waits so for an earlier try with the same key, which may be about to start the VM.
        """
        machine = self._client.machine(self._client.vm(goal.vm))
        has_waited = operation.verb is Verb.CREATE and goal.age_seconds > retries.TAKEOVER_SECONDS
        return replace(operation, done=has_waited or machine.power == goal.state, vm=machine.vm)

    def _forgotten(self, operation: Operation, goal: Goal) -> Operation:
        """The server keeps tasks for some minutes after their end; then the VM itself tells how it ended."""
        machine = self._found(operation.vm_id) if operation.vm_id else None
        if _is_as_wanted(operation.verb, goal, machine):
            return replace(operation, done=True, vm=machine.vm if machine is not None else None)
        failure = BackendFailureError(
            f"{CLOUD_NAME} at {self._client.session.place} no longer knows the task of {goal.call}, and VM "
            f"{operation.vm_id} {'is not there' if machine is None else 'is not as it should be after it'}.",
            backend=BackendReply(CLOUD_NAME, goal.call),
        )
        if operation.verb is not Verb.CREATE:
            return replace(operation, done=True, failure=failure)
        # Whether it was made, and has got elsewhere since, nobody can tell: nothing is removed.
        return replace(operation, done=True, failure=failure, vm_id=None, handle=str(replace(goal, files="", disk="")))

    def _found(self, vm_id: str) -> Machine | None:
        """The VM of an id, which may be a BIOS UUID."""
        try:
            return self._client.machine(self._client.find_vm(vm_id))
        except VMNotFoundError:
            return None


def _is_as_wanted(verb: Verb, goal: Goal, machine: Machine | None) -> bool:
    """Whether a VM is as the work would have left it; one that was made may have been stopped since."""
    if machine is None or verb is Verb.DELETE:
        return machine is None and verb is Verb.DELETE
    return verb is Verb.CREATE or goal.state in {"", machine.power}
