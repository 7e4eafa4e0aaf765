"""Operations on VMs: how they begin, what the call answers, and when a VM takes none."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus

from providers.sandbox.azure import ids
from providers.sandbox.azure.operations import Operation, OperationError, Place, Work
from providers.sandbox.azure.resources import VM, Cloud
from providers.sandbox.azure.wire import ArmError, Json


@dataclass(frozen=True)
class Accepted:
    """An operation has begun; the answer leads to it."""

    operation: Operation
    status: int = HTTPStatus.ACCEPTED
    body: Json | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


def refuse_while_busy(cloud: Cloud, machine: VM, verb: str) -> None:
    """Refuse to begin something on a VM on which something runs.

    https://learn.microsoft.com/troubleshoot/azure/virtual-machines/windows/error-messages
    """
    if machine.provisioning == "Deleting":
        message = (
            f"Operation '{verb}' is not allowed on VM '{machine.name}' since the VM is marked for deletion. You can "
            "only retry the Delete operation (or wait for an ongoing one to complete)."
        )
        raise ArmError(HTTPStatus.CONFLICT, "OperationNotAllowed", message)
    if cloud.operation_of(machine) is not None:
        message = (
            "The request failed due to conflict with a concurrent request. To resolve it, please refer to "
            "https://aka.ms/activitylog to get more details on the conflicting requests."
        )
        raise ArmError(HTTPStatus.CONFLICT, "Conflict", message)


def begin(cloud: Cloud, machine: VM, kind: str, state: str, work: Callable[[Operation], Work]) -> Operation:
    """Begin an operation on a VM, which is in a provisioning state meanwhile, and fails or succeeds with it."""
    machine.provisioning, machine.failure = state, None

    def all_of_it(operation: Operation) -> Work:
        try:
            yield from work(operation)
            operation.fail_if_planned()
        except OperationError as error:
            machine.fail(error)
            raise
        machine.succeed()

    return cloud.operations.begin(kind, Place.COMPUTE, cloud.id_of(ids.VM, machine).lower(), all_of_it)
