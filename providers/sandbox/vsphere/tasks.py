"""Tasks: work that goes on while clients look at it, each step carried out when its time has come."""

import itertools
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import Enum
from typing import Any

from pyVmomi import VmomiSupport, vim, vmodl

from providers.sandbox.vsphere.inventory import Node
from providers.sandbox.vsphere.metadata import moid_of
from providers.sandbox.vsphere.naming import NAMESPACE
from providers.sandbox.vsphere.refusals import refusal

Work = Generator[float, None, Any]


class TaskState(Enum):
    """Where a task stands, in vSphere's own words."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCESS = "success"
    ERROR = "error"


@dataclass(eq=False)
class Task:
    """One task of a method such as `CloneVM_Task`, on an entity; its work yields the seconds that a step takes."""

    ref: Any
    method: str
    entity: Node | None
    user: str
    session: str
    work: Work
    wake: float
    queued_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    started_at: datetime | None = None
    ended_at: datetime | None = None
    state: TaskState = TaskState.QUEUED
    result: Any = None
    error: Any = None
    planned: Any = None
    is_cancelled: bool = False
    is_cancelable: bool = False
    busy: list[Node] = field(default_factory=list)
    step_began: float = 0.0

    @property
    def moid(self) -> str:
        """The managed object's id."""
        return moid_of(self.ref)

    @property
    def entity_name(self) -> str | None:
        """The entity's name."""
        return self.entity.name if self.entity else None

    @property
    def is_over(self) -> bool:
        """Whether it has ended."""
        return self.ended_at is not None

    @property
    def progress(self) -> int | None:
        """Per cent of the present step, while it runs."""
        if self.state is not TaskState.RUNNING:
            return None
        length = self.wake - self.step_began
        return min(99, max(0, int(100 * (time.monotonic() - self.step_began) / length))) if length > 0 else 0

    @property
    def description_id(self) -> str:
        """What the task does, such as `VirtualMachine.clone`."""
        info = VmomiSupport.GetWsdlMethod(NAMESPACE, self.method).info
        name = {"ReconfigVM_Task": "reconfigure", "CreateVM_Task": "createVm"}.get(self.method, info.name)
        kind = VmomiSupport.GetVmodlName(info.type).removeprefix("vim.")
        return f"{kind}.{VmomiSupport.Uncapitalize(name)}"


class Tasks:
    """All tasks, what they still have to do, and which VMs they work on. Not thread-safe."""

    def __init__(self, new_id: Callable[[int, str], str]) -> None:
        self.all: dict[str, Task] = {}
        self.planned: list[tuple[str, Any]] = []
        self._new_id = new_id
        self._running: list[Task] = []
        self._background: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = itertools.count(1)

    def fork(  # noqa: PLR0913 - a task is of a method, on an entity, by somebody
        self,
        method: str,
        entity: Node | None,
        work: Work,
        *,
        user: str,
        session: str,
        delay: float = 0.0,
        busy: tuple[Node, ...] = (),
        is_cancelable: bool = False,
    ) -> Task:
        """Begin a task; `busy` are the nodes that no other task may work on meanwhile."""
        moid = self._new_id(next(self._numbers), method)
        task = Task(vim.Task(moid), method, entity, user, session, work, time.monotonic() + delay)
        task.is_cancelable = is_cancelable
        task.planned = self._take_planned(method)
        task.busy = list(busy)
        self.all[moid] = task
        self._running.append(task)
        if entity is not None:
            entity.tasks.append(task.ref)
        self.settle()
        return task

    def later(self, seconds: float, action: Callable[[], None]) -> None:
        """Do something after a while, without a task that anybody sees."""
        self._background.append((time.monotonic() + seconds, next(self._numbers), action))

    def settle(self) -> None:
        """Carry out all that is due by now, in the order of its time."""
        now = time.monotonic()
        while True:
            tasks = [(task.wake, number, task) for number, task in enumerate(self._running) if task.wake <= now]
            actions = [action for action in self._background if action[0] <= now]
            if not tasks and not actions:
                return
            if not tasks or (actions and min(actions)[0] <= min(tasks)[0]):
                self._act(min(actions))
            else:
                self._advance(min(tasks)[2])

    def holder(self, node: Node) -> Task | None:
        """The task that works on a node, if any."""
        return next((task for task in self._running if node in task.busy), None)

    def cancel(self, task: Task) -> None:
        """Break a task off; what it made so far it undoes."""
        task.is_cancelled = True
        self._throw(task, refusal("RequestCanceled"))

    def _act(self, due: tuple[float, int, Callable[[], None]]) -> None:
        self._background.remove(due)
        due[2]()

    def _take_planned(self, method: str) -> Any:
        for planned in self.planned:
            if planned[0] == method:
                self.planned.remove(planned)
                return planned[1]
        return None

    def _advance(self, task: Task) -> None:
        if task.state is TaskState.RUNNING and task.planned is not None:
            self._throw(task, task.planned)
            return
        if task.state is TaskState.QUEUED:
            task.state, task.started_at = TaskState.RUNNING, datetime.now(UTC)
        try:
            step = next(task.work)
        except StopIteration as stop:
            # A planned failure befalls a task that has no second step at its end.
            self._end(task, stop.value, task.planned)
        except vmodl.MethodFault as fault:
            self._end(task, None, fault)
        else:
            task.step_began, task.wake = task.wake, task.wake + step

    def _throw(self, task: Task, fault: Any) -> None:
        try:
            task.work.throw(fault)
        except (vmodl.MethodFault, StopIteration):
            self._end(task, None, fault)
        else:
            task.work.close()
            self._end(task, None, fault)

    def _end(self, task: Task, result: Any, error: Any) -> None:
        self._running.remove(task)
        task.ended_at = datetime.now(UTC)
        task.state = TaskState.SUCCESS if error is None else TaskState.ERROR
        task.result, task.error = (result if error is None else None), error
