"""How a piece of work on a VM stands, judged by its task and, where a task tells only half, by the VM."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from providers.domain import VM, Operation, Verb, VMStatus
from providers.errors import ConflictError, ProviderError, VMNotFoundError
from providers.nutanix.client import PrismClient
from providers.nutanix.codes import STALE, WRONG_STATE
from providers.nutanix.failures import FAILURES, failure_of, is_missing, task_failure
from providers.nutanix.records import Action, Machine, TaskState, TaskStatus
from providers.nutanix.searches import Searches
from providers.nutanix.steps import CLAIM, CREATE, DELETE, OFF_TO_DELETE, Step

# A task that is queued has checked its VM's version when it begins, which may be after another's change.
FRESH_TRIES: Final = 3


class Progress:
    """Looks at work."""

    def __init__(self, client: PrismClient) -> None:
        self._client = client
        self._searches = Searches(client).by_step

    def look(self, operation: Operation) -> Operation:
        """Poll the operation once. A create never fails because its VM is not found: somebody has deleted it."""
        try:
            seen = self._seen(operation)
        except FAILURES as error:
            if operation.verb is not Verb.CREATE or not is_missing(error):
                raise
            return replace(operation, done=True, failure=deleted_meanwhile(operation.vm_id, failure_of(error)))
        if seen.verb is Verb.CREATE and isinstance(seen.failure, VMNotFoundError):
            return replace(seen, failure=deleted_meanwhile(seen.vm_id, seen.failure))
        return seen

    def _seen(self, operation: Operation) -> Operation:
        step = Step.read(operation.handle)
        if step.do in self._searches:
            return self._searches[step.do](operation, step)
        if not step.task:
            return self._obeyed(operation)
        task = self._client.task(step.task)
        if task.status is TaskStatus.RUNNING:
            return operation
        if task.status is TaskStatus.FAILED:
            return self._failed(operation, step, task)
        return self._succeeded(operation, step, task)

    def _succeeded(self, operation: Operation, step: Step, task: TaskState) -> Operation:
        if step.do == OFF_TO_DELETE:
            return self._deleted(operation)
        if step.action is Action.SHUTDOWN:
            # The button is pressed. Whether the guest heeds it is seen at the VM alone.
            return self._obeyed(replace(operation, handle=str(replace(step, task=""))))
        vm_id = operation.vm_id or task.vm_id or None
        return replace(operation, done=True, vm_id=vm_id, vm=self._in_goal(operation, step))

    def _deleted(self, operation: Operation) -> Operation:
        """Delete a VM whose power was cut. It is gone if the answer to an earlier poll's request was lost."""
        try:
            task_id = self._client.delete_vm(operation.vm_id or "")
        except FAILURES as error:
            if is_missing(error):
                return replace(operation, done=True)
            raise
        return replace(operation, handle=str(Step(DELETE, task_id, cut=True)))

    def _in_goal(self, operation: Operation, step: Step) -> VM | None:
        """What a create knows of its VM, with the state that it is in now."""
        if operation.vm is None or step.action is None:
            return operation.vm
        return replace(operation.vm, status=VMStatus.RUNNING, provider_status=self._client.on)

    def _obeyed(self, operation: Operation) -> Operation:
        machine = self._client.get_vm(operation.vm_id or "")
        return replace(operation, done=machine.status is VMStatus.STOPPED)

    def _failed(self, operation: Operation, step: Step, task: TaskState) -> Operation:
        said = f"{task.code} {task.message}"
        if WRONG_STATE.search(said) and step.do == DELETE and not step.cut:
            return self._at_vm(operation, lambda machine: self._off_to_delete(operation, machine))
        if WRONG_STATE.search(said) and step.action is not None:
            return self._in_wrong_state(operation, step, step.action, task)
        if STALE.search(said) and step.do not in {CREATE, CLAIM} and step.again < FRESH_TRIES:
            return self._at_vm(operation, lambda machine: self._anew(operation, step, machine))
        failure = self._failure(operation, step, task)
        if step.do == DELETE and (step.cut or step.again) and is_missing(failure):
            # An earlier poll has asked for the same, and its answer was lost.
            return replace(operation, done=True)
        return replace(operation, done=True, failure=failure)

    def _at_vm(self, operation: Operation, go_on: Callable[[Machine], Operation]) -> Operation:
        """Go on as the VM is now: a caller who follows an operation holds its first handle to the last.

        What a look before has asked for anew may be done by now; for a delete that is seen by the VM's absence.
        """
        try:
            machine = self._client.get_vm(operation.vm_id or "")
        except FAILURES as error:
            if operation.verb is Verb.DELETE and is_missing(error):
                return replace(operation, done=True)
            raise
        return go_on(machine)

    def _anew(self, operation: Operation, step: Step, machine: Machine) -> Operation:
        """The same asked for again: somebody has changed the VM while the task was waiting for its turn."""
        if step.do == DELETE:
            task_id = self._client.delete_vm(machine.id)
        elif step.action is not None and operation.verb is not Verb.RESTART and machine.status is step.action.goal:
            return replace(operation, done=True, vm=self._in_goal(operation, step))
        else:
            task_id = self._client.power(machine.id, step.action or Action.OFF, again=step.task)
        # A look before may have asked for it.
        return self._seen(replace(operation, handle=str(replace(step, task=task_id, again=step.again + 1))))

    def _off_to_delete(self, operation: Operation, machine: Machine) -> Operation:
        if machine.status is VMStatus.STOPPED:
            return replace(operation, handle=str(Step(DELETE, self._client.delete_vm(machine.id), cut=True)))
        task_id = self._client.power(machine.id, Action.OFF)
        return replace(operation, handle=str(Step(OFF_TO_DELETE, task_id)))

    def _in_wrong_state(self, operation: Operation, step: Step, action: Action, task: TaskState) -> Operation:
        """The VM is not in a state for this: it may be where it shall be, or has to be resumed to get there."""
        machine = self._client.get_vm(operation.vm_id or "")
        failure = self._failure(operation, step, task)
        if operation.verb is Verb.RESTART and machine.status is not VMStatus.RUNNING:
            return replace(operation, done=True, failure=not_running(machine, failure))
        if operation.verb is not Verb.RESTART and machine.status is action.goal:
            return replace(operation, done=True, vm=self._in_goal(operation, step))
        if action is Action.ON and machine.status is VMStatus.SUSPENDED and self._client.resumes:
            task_id = self._client.power(machine.id, Action.RESUME)
            return replace(operation, handle=str(replace(step, do=Action.RESUME, task=task_id)))
        if action is Action.SHUTDOWN and machine.status is VMStatus.SUSPENDED:
            # Its guest does not run, and cannot obey. Its time is what the caller gave it.
            return replace(operation, handle=str(replace(step, task="")))
        return replace(operation, done=True, failure=failure)

    def _failure(self, operation: Operation, step: Step, task: TaskState) -> ProviderError:
        return task_failure(self._name(step), operation.vm_id or task.vm_id, task)

    def _name(self, step: Step) -> str:
        if step.action is not None:
            return self._client.power_operation(step.action)
        operations = {CREATE: self._client.create_operation, CLAIM: self._client.update_operation}
        return operations.get(step.do, self._client.delete_operation)


class DeletedMeanwhileError(ConflictError):
    """Somebody else has deleted the VM of a create."""


def deleted_meanwhile(vm_id: str | None, failure: ProviderError) -> DeletedMeanwhileError:
    """Return the error of a create whose VM somebody else deletes."""
    return DeletedMeanwhileError(
        f"VM {vm_id or 'of this request'} was deleted before it could be started; try again.", backend=failure.backend
    )


def not_running(machine: Machine, failure: ProviderError | None = None) -> ConflictError:
    """The VM is to be restarted, and does not run."""
    return ConflictError(
        f"VM {machine.id} is not running ({machine.word}), and cannot be restarted: start it.",
        backend=failure.backend if failure else None,
    )
