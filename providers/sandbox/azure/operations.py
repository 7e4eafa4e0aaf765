"""ARM's asynchronous operations: work that goes on after the answer, until it has succeeded, failed or been canceled.

Nothing runs by itself: `settle` carries out what has become due, in the order in which it became so, before
anything is read. https://learn.microsoft.com/azure/azure-resource-manager/management/async-operations
"""

import time
import uuid
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from enum import Enum

from providers.sandbox.azure.clock import now

Work = Generator[float, None, None]


class Status(Enum):
    """Where an operation stands, in ARM's words."""

    IN_PROGRESS = "InProgress"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"
    CANCELED = "Canceled"


class Place(Enum):
    """Where operations are looked for: each provider has its own address for them."""

    COMPUTE = "Microsoft.Compute/locations/{location}/operations"
    DISK = "Microsoft.Compute/locations/{location}/DiskOperations"
    NETWORK = "Microsoft.Network/locations/{location}/operations"


class OperationError(Exception):
    """What an operation ends with when it fails."""

    def __init__(self, code: str, message: str, status: Status = Status.FAILED) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status


@dataclass(frozen=True)
class PlannedFailure:
    """How the next operation of a kind, such as `VirtualMachines_Start`, is to end."""

    kind: str
    error: OperationError


@dataclass
class Operation:
    """One operation; no end time while it runs."""

    id: str
    kind: str
    place: Place
    subject: str
    start_time: str
    planned: PlannedFailure | None = None
    status: Status = Status.IN_PROGRESS
    error: OperationError | None = None
    end_time: str | None = None

    def fail_if_planned(self, codes: frozenset[str] | None = None) -> None:
        """Raise the failure that was planned, if it has one of the codes."""
        if self.planned is not None and (codes is None or self.planned.error.code in codes):
            raise self.planned.error


@dataclass
class _Running:
    operation: Operation
    work: Work
    wake: float = field(default_factory=time.monotonic)


class Operations:
    """All operations, and what they still have to do. Not thread-safe."""

    def __init__(self) -> None:
        self.all: dict[str, Operation] = {}
        self.planned: list[PlannedFailure] = []
        self._running: dict[str, _Running] = {}

    def begin(self, kind: str, place: Place, subject: str, work: Callable[[Operation], Work]) -> Operation:
        """Begin an operation on a subject, which is a resource's id in lower case."""
        planned = next((failure for failure in self.planned if failure.kind == kind), None)
        if planned is not None:
            self.planned.remove(planned)
        operation = Operation(str(uuid.uuid4()), kind, place, subject, now(), planned)
        self.all[operation.id] = operation
        self._running[operation.id] = _Running(operation, work(operation))
        self.settle()
        return operation

    def settle(self) -> None:
        """Carry out all that is due by now, each thing as if at its own time."""
        present = time.monotonic()
        while self._running:
            first = min(self._running.values(), key=lambda running: running.wake)
            if first.wake > present:
                return
            self._advance(first)

    def finish(self) -> None:
        """Carry out all that there is to do, as if its time had come."""
        while self._running:
            self._advance(min(self._running.values(), key=lambda running: running.wake))

    def running_on(self, subject: str) -> Operation | None:
        """The operation that runs on a subject, if any."""
        found = (one.operation for one in self._running.values() if one.operation.subject == subject)
        return next(found, None)

    def preempt(self, operation: Operation) -> None:
        """Cancel an operation for a newer one."""
        self._running[operation.id].work.close()
        message = "Operation execution has been preempted by a more recent operation."
        self._end(operation, OperationError("OperationPreempted", message, Status.CANCELED))

    def _advance(self, running: _Running) -> None:
        try:
            running.wake += next(running.work)
        except StopIteration:
            self._end(running.operation, None)
        except OperationError as error:
            self._end(running.operation, error)

    def _end(self, operation: Operation, error: OperationError | None) -> None:
        del self._running[operation.id]
        operation.error = error
        operation.status = error.status if error else Status.SUCCEEDED
        operation.end_time = now()
