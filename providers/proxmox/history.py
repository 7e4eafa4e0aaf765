"""What a node's task log tells of a VM's past.

PVE shows tasks of other users only to callers with Sys.Audit on the node, and throws old tasks away.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from providers.notes import Notes
from providers.proxmox.inventory import PastTask

# A create's own tasks begin a little after its mark was written, and clocks differ.
CLOCK_DIFFERENCE: Final = timedelta(minutes=5)
# The tasks of a create that was not finished. Any other task shows that somebody has worked with the VM.
CREATE_TASKS: Final = frozenset({"qmcreate", "resize", "qmdestroy"})
# A VM has run if one of these has succeeded. The HA manager starts a VM after `hastart`.
START_TASKS: Final = frozenset({"qmstart", "hastart"})


def created_at(notes: Notes) -> datetime | None:
    """Return when a VM's create began, as its notes say."""
    return datetime.fromtimestamp(notes.created_at, UTC) if notes.created_at else None


def reaches_back(tasks: Sequence[PastTask], to: datetime | None) -> bool:
    """Whether a node's tasks include all since the moment `to`."""
    return to is not None and any(task.begun_at <= to + CLOCK_DIFFERENCE for task in tasks)


def tasks_of(tasks: Sequence[PastTask], vm_id: str) -> Iterator[PastTask]:
    """Yield the tasks of a VM, newest first. Those before the last removal were another VM's of the same id."""
    for task in tasks:
        if task.vm_id == vm_id:
            if task.kind == "qmdestroy" and task.succeeded:
                return
            yield task


def has_never_run(tasks: Sequence[PastTask], vm_id: str, notes: Notes) -> bool:
    """Whether a node's tasks show that a VM was never started."""
    is_complete = reaches_back(tasks, created_at(notes))
    return is_complete and not any(task.kind in START_TASKS and task.succeeded for task in tasks_of(tasks, vm_id))


def use_since_creation(tasks: Sequence[PastTask], vm_id: str, *, failed_start: bool = False) -> str:
    """Say by which task a VM was used, or may be in use; empty if there is none.

    `failed_start` allows starts that have failed, as those of its create.
    """
    for task in tasks_of(tasks, vm_id):
        if task.is_running:
            return f"a task works on it ({task.kind})"
        is_failed_start = task.kind in START_TASKS and not task.succeeded
        if task.kind not in CREATE_TASKS and not (failed_start and is_failed_start):
            return f"somebody has worked with it ({task.kind})"
    return ""
