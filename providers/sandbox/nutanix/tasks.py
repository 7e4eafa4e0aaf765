"""Tasks: work that goes on after the answer, one at a time on each VM.

Nothing runs by itself: `settle` carries out what has become due, in the order in which it became so, before anything
is read.
"""

import time
import uuid
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from enum import Enum

from providers.sandbox.nutanix.refusals import TaskFailure, Trouble


class Operation(Enum):
    """What a task does."""

    CREATE = "create"
    CLONE = "clone"
    UPDATE = "update"
    DELETE = "delete"
    ON = "on"
    OFF = "off"
    SHUTDOWN = "shutdown"
    GUEST_SHUTDOWN = "guest_shutdown"
    REBOOT = "reboot"
    GUEST_REBOOT = "guest_reboot"
    RESET = "reset"
    POWER_CYCLE = "power_cycle"
    PAUSE = "pause"
    SUSPEND = "suspend"
    RESUME = "resume"


class Status(Enum):
    """How far a task is."""

    QUEUED = "QUEUED"
    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"


# What a task's work yields: how many seconds pass before its next step.
Work = Generator[float, None, None]


@dataclass
class Task:
    """One task. `subject` is the VM that it is about."""

    operation: Operation
    subject: str
    cluster: str
    user: str
    uuid: str = field(default_factory=lambda: str(uuid.uuid4()))
    status: Status = Status.QUEUED
    created: float = field(default_factory=time.time)
    started: float | None = None
    completed: float | None = None
    trouble: Trouble | None = None

    @property
    def is_over(self) -> bool:
        """Whether it has ended, well or not."""
        return self.status in {Status.SUCCEEDED, Status.FAILED}

    @property
    def percent(self) -> int:
        """How much of it is done."""
        return {Status.QUEUED: 0, Status.RUNNING: 40}.get(self.status, 100)


@dataclass(eq=False)
class _Running:
    work: Work
    wake: float
    task: Task | None = None


@dataclass(frozen=True)
class PlannedFailure:
    """A step that is to fail: `create`, `clone`, `update`, `delete` or `power`."""

    step: str
    trouble: Trouble
    work_done: bool = False


class Tasks:
    """All tasks, and what they still have to do. Not thread-safe."""

    def __init__(self) -> None:
        self.all: dict[str, Task] = {}
        self.planned: list[PlannedFailure] = []
        self._running: list[_Running] = []
        self._clock: float | None = None

    def submit(self, task: Task, work: Work, *, after: float) -> Task:
        """Begin a task, which runs after some seconds and after the VM's earlier tasks."""
        self.all[task.uuid] = task
        self._running.append(_Running(work, self._now() + after, task))
        return task

    def later(self, seconds: float, action: Callable[[], None]) -> None:
        """Do something later that no task tells of: what a guest does."""
        self._running.append(_Running(_wait(action), self._now() + seconds))

    def settle(self) -> None:
        """Carry out all that is due by now, each thing as if at its own time."""
        now = time.monotonic()
        while True:
            due = [running for running in self._running if running.wake <= now and not self._is_blocked(running)]
            if not due:
                return
            self._advance(min(due, key=lambda running: running.wake))

    def take_failure(self, step: str) -> PlannedFailure | None:
        """The failure that was planned for this step, if any."""
        planned = next((failure for failure in self.planned if failure.step == step), None)
        if planned is not None:
            self.planned.remove(planned)
        return planned

    def _now(self) -> float:
        return time.monotonic() if self._clock is None else self._clock

    def _is_blocked(self, running: _Running) -> bool:
        if running.task is None:
            return False
        same = (other for other in self._running if other.task and other.task.subject == running.task.subject)
        return next(same) is not running

    def _advance(self, running: _Running) -> None:
        self._clock = running.wake
        try:
            if running.task and running.task.started is None:
                running.task.status, running.task.started = Status.RUNNING, self._wall()
            running.wake += next(running.work)
        except StopIteration:
            self._end(running, None)
        except TaskFailure as failure:
            self._end(running, failure.trouble)
        finally:
            self._clock = None

    def _end(self, running: _Running, trouble: Trouble | None) -> None:
        self._running.remove(running)
        task = running.task
        if task is None:
            return
        task.status = Status.FAILED if trouble else Status.SUCCEEDED
        task.trouble, task.completed = trouble, self._wall()
        for other in self._running:
            if other.task and other.task.subject == task.subject:
                other.wake = max(other.wake, running.wake)

    def _wall(self) -> float:
        return time.time() - time.monotonic() + self._now()


def _wait(action: Callable[[], None]) -> Work:
    action()
    yield from ()
