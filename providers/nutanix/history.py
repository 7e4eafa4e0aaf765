"""What a VM's tasks tell of its past: a VM whose tasks are its creation and nothing else has never run."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from providers.nutanix.records import TaskStatus

# v2.0 says `VmCreate`, v4 `CreateVm`. A copy has another word.
_CREATION: Final = re.compile(r"vm_?create|create_?vm", re.IGNORECASE)
# `VmUpdate` and `UpdateVm`, as other tries with the same key leave them.
_UPDATE: Final = re.compile(r"vm_?update|update_?vm", re.IGNORECASE)
_COPY: Final = re.compile(r"clone|restore", re.IGNORECASE)


@dataclass(frozen=True)
class PastTask:
    """A task in a list of tasks; `parent` is the task of which it is a part, if any."""

    id: str
    operation: str
    status: TaskStatus
    parent: str = ""

    @property
    def is_creation(self) -> bool:
        """Whether it makes a VM, and not as a copy of another."""
        return _CREATION.search(self.operation) is not None


def was_made(tasks: Sequence[PastTask]) -> bool | None:
    """Whether a VM was made, and not copied; None if its tasks do not tell."""
    if any(task.is_creation for task in tasks):
        return True
    return False if any(_COPY.search(task.operation) for task in tasks) else None


def shows_only_creation(tasks: Sequence[PastTask], claims: int = 0) -> bool:
    """Whether all of a VM's tasks have ended, and none but its creation, or a part of it, has had an effect.

    Prism forgets old tasks. As the creation is the oldest, a list that holds it holds all later ones. As many updates
    as `claims` do not count.
    """
    return bool(tasks) and all(task.status is not TaskStatus.RUNNING for task in tasks) and shows_no_use(tasks, claims)


def shows_no_use(tasks: Sequence[PastTask], claims: int = 0) -> bool:
    """The same for a VM on which somebody may be at work."""
    creation = [task for task in tasks if task.is_creation]
    updates = [task for task in tasks if _UPDATE.search(task.operation) and task.status is TaskStatus.SUCCEEDED]
    known = _with_parts([*creation, *updates], tasks)
    others = [task for task in tasks if task.id not in known and task.status is TaskStatus.SUCCEEDED]
    return bool(creation) and len(updates) <= claims and not others


def _with_parts(roots: Sequence[PastTask], tasks: Sequence[PastTask]) -> set[str]:
    """Return the ids of tasks and of all their parts."""
    found = {task.id for task in roots}
    for _ in tasks:
        found |= {task.id for task in tasks if task.parent in found}
    return found
