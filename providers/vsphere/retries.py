"""What became of an earlier create: found by an Idempotency-Key, or searched when its answer got lost."""

from __future__ import annotations

from dataclasses import replace

from pyVmomi import vim, vmodl

from providers.domain import Operation, Verb
from providers.errors import TemporaryConflictError, key_reused
from providers.vsphere.client import VSphereClient
from providers.vsphere.drafts import Draft
from providers.vsphere.machines import Machine
from providers.vsphere.progress import Goal
from providers.vsphere.properties import moref
from providers.vsphere.soap import FaultError

# How long to look for a VM whose making was not answered; the server may not show it at once.
SEARCH_SECONDS = 6.0
# How long a retry waits for an earlier try that may be between two steps, before it finishes the work itself: the
# longest pause between two polls.
TAKEOVER_SECONDS = 5.0


def existing(client: VSphereClient, uuid: str, digest: str) -> Machine | None:
    """Return the VM that an earlier request with the same key made.

    A VM whose notes have lost the mark has the key's UUID all the same.

    Raises:
        UnprocessableError: the earlier request had other content.
        TemporaryConflictError: the VM is still being made.

    """
    ref = client.find(uuid)
    try:
        machine = client.machine(ref) if ref is not None else None
    except FaultError as error:
        if isinstance(error.fault, vmodl.fault.ManagedObjectNotFound):
            return None
        raise
    if machine is None:
        return None
    if not machine.has_config:
        raise still_at_work()
    if machine.notes.request_digest not in {"", digest}:
        raise key_reused(machine.uuid)
    return machine


def of_that_name(client: VSphereClient, uuid: str, digest: str, fault: vim.fault.DuplicateName) -> Machine | None:
    """Return the VM of the earlier request where a create was refused because the name is taken.

    Raises:
        UnprocessableError, TemporaryConflictError: as `existing`; a VM that is not finished can be told from no other.

    """
    if isinstance(fault.object, vim.VirtualMachine) and not _is_finished(client, moref(fault.object)):
        raise still_at_work()
    return existing(client, uuid, digest)


def wait_for_earlier(client: VSphereClient, operation: Operation, goal: Goal) -> Operation:
    """Look once whether an earlier try with the same key has made its VM; done also when it had time enough."""
    return replace(operation, done=client.find(goal.vm) is not None or goal.age_seconds > TAKEOVER_SECONDS)


def _is_finished(client: VSphereClient, vm: str) -> bool:
    try:
        return client.machine(client.vm(vm)).has_config
    except FaultError as error:
        if isinstance(error.fault, vmodl.fault.ManagedObjectNotFound):
            return False
        raise


def still_at_work() -> TemporaryConflictError:
    """The error for a retry that comes while the first request is at work."""
    return TemporaryConflictError(
        "An earlier request with this Idempotency-Key is still making the VM, or was cut off while it did: repeat the "
        "request in a while. If it stays so, look at what the earlier one left in vSphere, or use a new key."
    )


def search(client: VSphereClient, operation: Operation, goal: Goal) -> Operation:
    """Look once for the VM of a create that was not answered; done without an id if there is none.

    By its name, as a copy that is not finished is not found by its UUID.
    """
    machine = _named(client, goal)
    if machine is None:
        return replace(operation, done=goal.age_seconds > SEARCH_SECONDS)
    if not machine.has_config or not machine.uuid:
        return operation
    if machine.notes.creation == goal.creation or (not goal.digest and machine.uuid == goal.vm):
        return replace(operation, vm_id=machine.uuid, done=True)
    return replace(operation, done=True)


def searched(call: str, draft: Draft, folder: str) -> Operation:
    """The search for a draft's VM in a folder."""
    name = draft.spec.name
    goal = Goal(call, vm=draft.uuid, creation=draft.creation, digest=draft.digest, name=name, folder=folder)
    return Operation(Verb.CREATE, None, str(goal))


def _named(client: VSphereClient, goal: Goal) -> Machine | None:
    ref = client.find(goal.vm)
    if ref is None:
        child = client.session.search.FindChild(vim.Folder(goal.folder, client.session), goal.name)
        ref = child if isinstance(child, vim.VirtualMachine) else None
    return client.machine(ref) if ref is not None else None
