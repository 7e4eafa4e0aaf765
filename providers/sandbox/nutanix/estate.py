"""The whole state behind the three APIs. One call at a time works on it, under `lock`."""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from providers.sandbox.nutanix.accounts import Accounts, Caller
from providers.sandbox.nutanix.inventory import Inventory, equipment
from providers.sandbox.nutanix.knobs import Knobs
from providers.sandbox.nutanix.machines import Machine
from providers.sandbox.nutanix.refusals import NoSuchEntityError
from providers.sandbox.nutanix.tasks import Operation, Task, Tasks, Work


@dataclass
class Intent:
    """What v3 was told about a VM: the tasks that pursue it, and the spec until there is a VM."""

    tasks: list[str]
    spec: Mapping[str, Any]
    owner: str


@dataclass
class Estate:
    """One Prism: an Element with its cluster, or a Central with one or two. `versions` are the APIs that it speaks."""

    is_central: bool
    cluster_count: int
    versions: frozenset[str]
    knobs: Knobs = field(default_factory=Knobs)
    inventory: Inventory = field(default_factory=Inventory)
    machines: dict[str, Machine] = field(default_factory=dict)
    tasks: Tasks = field(default_factory=Tasks)
    intents: dict[str, Intent] = field(default_factory=dict)
    # The task of each request id of each user (NTNX-Request-Id).
    requests: dict[tuple[str, str], str] = field(default_factory=dict)
    # How often each operation of v4 was called in its latest second, which comes first.
    calls: dict[str, tuple[int, int]] = field(default_factory=dict)
    accounts: Accounts = field(default_factory=Accounts)
    lock: threading.RLock = field(default_factory=threading.RLock)

    def clear(self, knobs: Knobs) -> None:
        """Everything as at the start, without users."""
        self.knobs = knobs
        self.inventory = equipment(self.cluster_count, central=self.is_central)
        self.machines, self.tasks = {}, Tasks()
        self.intents, self.requests, self.calls = {}, {}, {}
        self.accounts = Accounts()

    @property
    def v4_versions(self) -> list[str]:
        """The minor versions of v4 that it speaks, oldest first."""
        return sorted(version for version in self.versions if version.startswith("v4"))

    @property
    def product(self) -> str:
        """What it calls itself; a Central without v4 is an old one."""
        if not self.is_central:
            return "el8.5-release-6.10"
        return "pc.2024.3.1.1" if self.v4_versions else "pc.2022.6.0.1"

    def machine(self, uuid: str) -> Machine:
        """The VM with a uuid; Prism does not mind its case."""
        machine = self.machines.get(uuid.lower())
        if machine is None:
            raise NoSuchEntityError("vm", uuid)
        return machine

    def task(self, uuid: str) -> Task:
        """The task with a uuid."""
        task = self.tasks.all.get(uuid.lower())
        if task is None:
            raise NoSuchEntityError("task", uuid)
        return task

    def submit(
        self, operation: Operation, subject: str, cluster: str, caller: Caller, work: Callable[[], Work]
    ) -> Task:
        """Begin a task of the caller's about a VM."""
        task = Task(operation, subject, cluster, caller.name)
        return self.tasks.submit(task, work(), after=self.knobs.queue_seconds)
