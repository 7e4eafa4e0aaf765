"""How a piece of work stands, judged by Azure's operation or, where it gave none, by the VM.

https://learn.microsoft.com/azure/azure-resource-manager/management/async-operations
"""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import Final

from azure.core.exceptions import HttpResponseError

from providers.azure.client import Answer, AzureClient
from providers.azure.failures import Refusal, operation_failure, read_refusal, refusal_of
from providers.azure.marks import began_at, is_nic_named
from providers.azure.records import STATUSES, shown
from providers.domain import VM, Operation, Verb
from providers.errors import BackendReply, ConflictError, ProviderError, VMNotFoundError

# How long to look for a VM whose making was not answered: the request may still be on its way.
SEARCH_SECONDS: Final = 6.0
_ENDED_BADLY: Final = frozenset({"failed", "canceled", "cancelled"})
# A link of `Location` answers so for work that has failed; what else is refused there is the look.
_WORK_FAILED: Final = frozenset({400, 409, 412, 422})


class Way(StrEnum):
    """By what work is followed."""

    STATUS = "status"
    """The link of `Azure-AsyncOperation`, whose JSON has a `status`."""
    LOCATION = "location"
    """The link of `Location`, which answers 202 as long as the work goes on."""
    VM = "vm"
    """No link: by the VM's own provisioning state."""
    SEARCH = "search"
    """By whether a VM of this create appears at all."""
    NIC = "nic"
    """By whether its network interface appears at all."""


@dataclass(frozen=True)
class Step:
    """One operation of Azure's, and what it is to lead to; `Operation.handle` is its text.

    Attributes:
        operation: what was asked for, in the vendor's words.
        way: by what it is followed.
        link: path and query of the operation on the management endpoint; empty without one.
        goal: the power state that it leads to, where it is known.
        creation: the mark of the create that this is a part of, empty for other verbs.
        until: when a search ends (Unix time).

    """

    operation: str
    way: Way = Way.VM
    link: str = ""
    goal: str = ""
    creation: str = ""
    until: float = 0.0

    @classmethod
    def read(cls, handle: str) -> Step:
        """The step in a handle."""
        content = json.loads(handle)
        return cls(**{**content, "way": Way(content["way"])})

    def __str__(self) -> str:
        return json.dumps({key: value for key, value in asdict(self).items() if value}, separators=(",", ":"))


class Progress:
    """Begins and looks at work."""

    def __init__(self, client: AzureClient) -> None:
        self._client = client

    def begun(self, verb: Verb, vm_id: str, answer: Answer, *, goal: str = "", creation: str = "") -> Operation:
        """The work that an answer has accepted.

        Raises:
            BackendFailureError: its link leads to another host, or it is a page of a proxy.

        """
        step = Step(answer.operation, goal=goal, creation=creation)
        for name, way in (("Azure-AsyncOperation", Way.STATUS), ("Location", Way.LOCATION)):
            if url := answer.headers.get(name):
                step = replace(step, way=way, link=self._client.link(url))
                break
        # 200 without a link has done it; a create's answer is its VM, which may not be ready.
        done = not step.link and answer.status in {200, 204} and verb is not Verb.CREATE
        if done and answer.content:
            # A page of a proxy says nothing about the VM.
            answer.object()
        return Operation(verb, vm_id, str(step), done=done, retry_after_seconds=answer.retry_after_seconds)

    def look(self, operation: Operation) -> Operation:
        """The operation as one look shows it."""
        step = Step.read(operation.handle)
        match step.way:
            case Way.SEARCH:
                return self._searched(operation, step)
            case Way.NIC:
                appeared = any(is_nic_named(nic.name, step.goal) for nic in self._client.list_nics())
                return replace(operation, done=appeared or time.time() > step.until)
            case Way.VM:
                return self._by_vm(operation, step)
            case _:
                return self._by_link(operation, step)

    def _by_link(self, operation: Operation, step: Step) -> Operation:
        try:
            answer = self._client.follow(step.link)
        except HttpResponseError as error:
            if error.status_code in {404, 410}:
                # Azure forgets operations after a while.
                return self._by_vm(operation, replace(step, way=Way.VM, link=""))
            if step.way is not Way.LOCATION or error.status_code not in _WORK_FAILED:
                raise
            return _failed(operation, step, refusal_of(error))
        operation = replace(operation, retry_after_seconds=answer.retry_after_seconds)
        if step.way is Way.LOCATION:
            # It ends without a body or with the resource; a page of a proxy is no end.
            if answer.content:
                answer.object()
            return operation if answer.status == 202 else _arrived(operation, step)
        content = answer.object()
        status = str(content.get("status") or "").lower()
        if status == "succeeded":
            return _arrived(operation, step)
        refusal = read_refusal(content)
        if status in _ENDED_BADLY or refusal.codes:
            return _failed(operation, step, refusal)
        return operation

    def _by_vm(self, operation: Operation, step: Step) -> Operation:
        operation = replace(operation, handle=str(step), retry_after_seconds=None)
        vm_id = operation.vm_id or ""
        machine = self._client.machine_or_none(vm_id)
        if machine is None and operation.verb is Verb.CREATE and _is_new(step.creation):
            # Azure may not show yet what it has just accepted.
            return operation
        # A create's own bears its mark; another of that name has been made since.
        if machine is None or (step.creation and machine.creation != step.creation):
            return replace(operation, done=True, failure=_gone(operation, step), vm=None)
        if machine.provisioning == "Failed" and operation.verb is not Verb.DELETE:
            return _failed(operation, step, machine.failure)
        done = machine.provisioning == "Succeeded" and operation.verb is not Verb.DELETE
        # A verb on a VM's power leaves what it is to lead to; a create's VM may have been stopped since.
        arrived = operation.verb is Verb.CREATE or not step.goal or machine.power == step.goal
        return replace(operation, done=done and arrived, vm=shown(machine))

    def _searched(self, operation: Operation, step: Step) -> Operation:
        """Done with the VM's id when a VM of this create is there, and without it when none has come in time."""
        machine = self._client.machine_or_none(step.goal)
        if machine is not None and machine.creation == step.creation:
            return replace(operation, vm_id=machine.name, done=True)
        return replace(operation, done=machine is not None or time.time() > step.until)


def search_for(
    name: str, creation: str, operation: str, *, way: Way = Way.SEARCH, seconds: float = SEARCH_SECONDS
) -> Operation:
    """Return the work of looking for something that may have been made, for some seconds."""
    step = Step(operation, way, goal=name, creation=creation, until=time.time() + seconds)
    return Operation(Verb.CREATE, None, str(step))


def _is_new(creation: str) -> bool:
    began = began_at(creation)
    return began is not None and abs(time.time() - began.timestamp()) < SEARCH_SECONDS


def not_found(vm_id: str, operation: str) -> VMNotFoundError:
    """No VM of that name in the environment's resource group and region."""
    return VMNotFoundError(
        f"There is no VM {vm_id} in this environment's resource group and region.",
        backend=BackendReply("Azure", operation),
    )


def _gone(operation: Operation, step: Step) -> ProviderError | None:
    """What it means that the VM is not there any more: a delete wants just that."""
    match operation.verb:
        case Verb.DELETE:
            return None
        case Verb.CREATE:
            return ConflictError(
                f"VM {operation.vm_id} was removed by somebody else while it was being made.",
                backend=BackendReply("Azure", step.operation),
            )
        case _:
            return not_found(operation.vm_id or "", step.operation)


def _failed(operation: Operation, step: Step, refusal: Refusal) -> Operation:
    failure = operation_failure(step.operation, operation.vm_id or "", refusal)
    return replace(operation, done=True, failure=failure, vm=None)


def _arrived(operation: Operation, step: Step) -> Operation:
    return replace(operation, done=True, vm=_in_state(operation.vm, step.goal))


def _in_state(vm: VM | None, power: str) -> VM | None:
    """What a create knows of its VM, in the state that the operation has led to."""
    return vm and replace(vm, status=STATUSES[power], provider_status=power) if power else vm
