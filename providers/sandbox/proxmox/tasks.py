"""PVE's tasks: work that goes on after the answer, known by its UPID, until it ends in `OK`, warnings or an error.

Nothing runs by itself: `settle` carries out what has become due, in the order in which it became so, before
anything is read. https://git.proxmox.com/?p=pve-common.git;a=blob;f=src/PVE/UPID.pm
"""

import itertools
import re
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass, field

from providers.sandbox.proxmox.wire import PveError

UPID = re.compile(
    r"UPID:(?P<node>[a-zA-Z0-9]([a-zA-Z0-9-]*[a-zA-Z0-9])?):[0-9A-Fa-f]{8}:[0-9A-Fa-f]{8,9}:[0-9A-Fa-f]{8}"
    r":[^:\s/]+:[^:\s/]*:[^:\s/]+:"
)
# How long a task waits for a VM that another task works on (`lock_config` in pve-guest-common).
LOCK_SECONDS = 10.0
# The same for one that makes a VM (`lock_config_full` in `create_vm` and `clone_vm`).
MAKING_LOCK_SECONDS = 1.0


class TaskError(Exception):
    """What ends a task in failure; the text is its exit status."""


@dataclass(frozen=True)
class Hold:
    """What a task's work yields to have a VM for itself until its end; `seconds` where it waits shorter than usual."""

    vm_id: int
    seconds: float | None = None


Work = Generator[float | Hold, None, None]


def no_lock(vm_id: int) -> str:
    """What PVE says when it has waited for a VM in vain."""
    return f"can't lock file '/var/lock/qemu-server/lock-{vm_id}.conf' - got timeout"


@dataclass
class Task:
    """One task. `exit_status` is None while it runs."""

    upid: str
    node: str
    type: str
    id: str
    user: str
    pid: int
    process_start: int
    start_time: int
    lines: list[str] = field(default_factory=list)
    warnings: int = 0
    exit_status: str | None = None
    end_time: int | None = None

    def warn(self, text: str) -> None:
        """Note a warning: the task will end in `WARNINGS: n`."""
        self.warnings += 1
        self.lines.append(f"WARN: {text}")


@dataclass(frozen=True)
class PlannedEnd:
    """How the next task of a type is to end, with its work done or not."""

    type: str
    exit_status: str
    work_done: bool


@dataclass
class _Running:
    """A task with its work and the time of its next step; `wants` is the VM that it waits for until `gives_up`."""

    task: Task
    work: Work
    wake: float
    planned: PlannedEnd | None
    slept: bool = False
    thrown: bool = False
    wants: Hold | None = None
    gives_up: float = 0.0


class Tasks:
    """All tasks, and what they still have to do. Not thread-safe."""

    def __init__(self) -> None:
        self.all: dict[str, Task] = {}
        self.planned: list[PlannedEnd] = []
        self.lock_seconds = LOCK_SECONDS
        self._running: list[_Running] = []
        self._held: dict[int, _Running] = {}
        self._numbers = itertools.count(1)

    def fork(self, node: str, kind: str, subject: object, user: str, work: Callable[[Task], Work]) -> str:
        """Begin a task, and return its UPID."""
        task = self._new_task(node, kind, str(subject), user)
        self.all[task.upid] = task
        planned = next((end for end in self.planned if end.type == kind), None)
        if planned is not None:
            self.planned.remove(planned)
        self._running.append(_Running(task, work(task), time.monotonic(), planned))
        self.settle()
        return task.upid

    def background(self, work: Callable[[Task], Work]) -> None:
        """Begin what PVE does without a task that anybody sees: qmeventd's and the HA manager's work."""
        task = self._new_task("-", "background", "", "root@pam")
        self._running.append(_Running(task, work(task), time.monotonic(), None))

    def settle(self) -> None:
        """Carry out all that is due by now, each thing as if at its own time."""
        now = time.monotonic()
        while self._running:
            first = min(self._running, key=self._due)
            if self._due(first) > now:
                return
            self._advance(first)

    def abort(self, upid: str, text: str = "received interrupt") -> None:
        """End a task that still runs, as `kill` would."""
        for running in [running for running in self._running if running.task.upid == upid]:
            running.wake = time.monotonic()
            running.work.close()
            self._end(running, text)

    def holds(self, vm_id: int) -> bool:
        """Whether a task has a VM for itself."""
        return vm_id in self._held

    def running(self, kind: str, subject: object) -> list[Task]:
        """The tasks of a type and about a subject that still run."""
        wanted = (kind, str(subject))
        return [running.task for running in self._running if (running.task.type, running.task.id) == wanted]

    def _new_task(self, node: str, kind: str, subject: str, user: str) -> Task:
        number, now = next(self._numbers), int(time.time())
        pid, start = 0xABCD0 + number, 0x01000000 + number
        upid = f"UPID:{node}:{pid:08X}:{start:08X}:{now:08X}:{kind}:{subject}:{user}:"
        return Task(upid, node, kind, subject, user, pid, start, now)

    def _due(self, running: _Running) -> float:
        if running.wants is None or running.wants.vm_id not in self._held:
            return running.wake
        return running.gives_up

    def _advance(self, running: _Running) -> None:
        error = self._error_before(running)
        try:
            step = running.work.throw(error) if error else next(running.work)
        except StopIteration:
            self._end(running, None)
        except (TaskError, PveError) as ending:
            self._end(running, str(ending))
        else:
            self._wait(running, step)

    def _error_before(self, running: _Running) -> TaskError | None:
        """What keeps a task from its next step: a VM that is not free, or its planned end."""
        if running.wants is not None:
            vm_id, running.wants = running.wants.vm_id, None
            if vm_id in self._held:
                running.wake = running.gives_up
                return TaskError(no_lock(vm_id))
            self._held[vm_id] = running
            return None
        if running.slept and running.planned is not None and not running.planned.work_done:
            running.thrown = True
            return TaskError(running.planned.exit_status)
        return None

    def _wait(self, running: _Running, step: float | Hold) -> None:
        if isinstance(step, Hold):
            patience = self.lock_seconds if step.seconds is None else min(step.seconds, self.lock_seconds)
            running.wants, running.gives_up = step, running.wake + patience
        else:
            running.slept = True
            running.wake += step

    def _end(self, running: _Running, error: str | None) -> None:
        self._running.remove(running)
        task = running.task
        planned = running.planned.exit_status if running.planned else None
        if running.thrown:
            error = planned
        task.exit_status = error or planned or (f"WARNINGS: {task.warnings}" if task.warnings else "OK")
        task.end_time = int(time.time() - time.monotonic() + running.wake)
        succeeded = task.exit_status == "OK" or task.exit_status.startswith("WARNINGS: ")
        task.lines.append(f"TASK {'' if succeeded else 'ERROR: '}{task.exit_status}")
        self._release(running)

    def _release(self, running: _Running) -> None:
        for vm_id in [vm_id for vm_id, holder in self._held.items() if holder is running]:
            del self._held[vm_id]
            for other in self._running:
                if other.wants is not None and other.wants.vm_id == vm_id:
                    other.wake = max(other.wake, running.wake)
