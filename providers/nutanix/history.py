"""What a VM's tasks tell of its past: a VM whose tasks are its creation and nothing else has never run."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from providers.nutanix.records import TaskStatus

# v2.0 says `VmCreate`, v4 `CreateVm`. A copy has another word.
_CREATION: Final = re.compile(r"vm_?create|create_?vm", re.IGNORECASE)


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


def shows_only_creation(tasks: Sequence[PastTask]) -> bool:
    """Whether all of a VM's tasks have ended, and none but its creation, or a part of it, has had an effect.

    Prism forgets old tasks. As the creation is the oldest, a list that holds it holds all later ones.
    """
    creation = {task.id for task in tasks if task.is_creation}
    others = [task for task in tasks if task.id not in creation]
    for _ in others:
        creation |= {task.id for task in others if task.parent in creation}
    has_ended = all(task.status is not TaskStatus.RUNNING for task in tasks)
    had_effect = any(task.status is not TaskStatus.FAILED for task in others if task.id not in creation)
    return bool(creation) and has_ended and not had_effect
