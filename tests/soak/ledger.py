"""What a client was told about one VM that it asked for."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Any


class Fate(Enum):
    """What must be true of a VM by the answers so far."""

    NONE = "no VM was made"
    EXISTS = "told as created and not as deleted"
    GONE = "told as deleted"
    UNKNOWN = "a delete failed, so either is possible"


@dataclass
class Record:
    """One VM that a client asked for, by one request or by several with the same key.

    Attributes:
        environment: the environment's name.
        name: the VM's name, which no other request has.
        key: the `Idempotency-Key`, if any.
        vm_id: the ID that was told when the VM was created.
        left: IDs of objects that were told as left behind.
        removed: IDs of objects that were told as removed.
        pending: the operation that has not finished yet, and its verb.
        answers: the answers in short, for a report.

    """

    environment: str
    name: str
    key: str | None = None
    fate: Fate = Fate.NONE
    vm_id: str | None = None
    left: set[str] = field(default_factory=set)
    removed: set[str] = field(default_factory=set)
    pending: tuple[str, str] | None = None
    answers: list[str] = field(default_factory=list)

    def created(self, vm: dict[str, Any]) -> None:
        """Record a VM that was told as created."""
        self.vm_id = vm["id"]
        self.fate = Fate.EXISTS
        self.removed.discard(vm["id"])
        self.left.discard(vm["id"])

    def failed(self, verb: str, problem: dict[str, Any]) -> None:
        """Record an error; its leftovers may name one object twice, of which the last word counts."""
        for leftover in problem.get("leftovers", []):
            told, other = (self.removed, self.left) if leftover["removed"] else (self.left, self.removed)
            told.add(leftover["id"])
            other.discard(leftover["id"])
        if verb == "delete" and self.fate is Fate.EXISTS:
            self.fate = Fate.UNKNOWN

    def done(self, verb: str, vm: dict[str, Any] | None) -> None:
        """Record work that was told as done."""
        if verb == "create" and vm is not None:
            self.created(vm)
        elif verb == "delete":
            self.fate = Fate.GONE

    def told(self, vm_id: str, name: str) -> bool:
        """Whether a VM with this ID and name was told to the client."""
        return (vm_id == self.vm_id and name == self.name) or any(vm_id in left for left in self.left)

    def __str__(self) -> str:
        return f"{self.environment} {self.name} key={self.key} {self.fate.name} {self.vm_id}: {'; '.join(self.answers)}"
