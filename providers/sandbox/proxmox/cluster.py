"""The whole cluster's state, and a request to it: what every action works on."""

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from providers.sandbox.proxmox.accounts import Accounts, Caller
from providers.sandbox.proxmox.machines import Machines, status
from providers.sandbox.proxmox.storages import GIB, Storage, Storages
from providers.sandbox.proxmox.tasks import Task, Tasks, Work
from providers.sandbox.proxmox.wire import PveError, Value, Version

NODES = ("pve", "pve2")
BRIDGES = frozenset({"vmbr0", "vmbr1"})
STORAGES = (
    Storage("local", "dir", ("iso", "vztmpl", "backup", "import"), path="/var/lib/vz"),
    Storage("local-lvm", "lvmthin", ("images", "rootdir")),
    Storage("nfs", "nfs", ("images", "iso", "import"), shared=True, path="/mnt/pve/nfs", total_bytes=2000 * GIB),
)


@dataclass
class Knobs:
    """How long things take, in seconds."""

    task_seconds: float = 1.0
    # pvestatd collects what /cluster/resources shows every ten seconds; only id, node, lock and tags are always true.
    resources_lag_seconds: float = 10.0
    # The HA manager acts on its next round, which comes every ten seconds.
    ha_seconds: float = 2.0
    # Between the end of a VM's disks and its own, while it leaves the firewall, the jobs and the HA manager.
    purge_seconds: float = 0.0
    # Between a clone's first check and the taking of its id; two clones may have the same id in mind.
    clone_window_seconds: float = 0.0
    # PVE holds every answer of status 401 back for three seconds.
    unauthorized_delay_seconds: float = 0.0


@dataclass(frozen=True)
class Request:
    """One call of the API with its verified parameters; `upload` is the file that came with it."""

    caller: Caller
    parameters: Mapping[str, str]
    upload: bytes | None = None

    @property
    def node(self) -> str:
        """The node of the path."""
        return self.parameters["node"]

    @property
    def vm_id(self) -> int:
        """The VM of the path, or the new one's."""
        return int(self.parameters["vmid"])

    def text(self, name: str) -> str | None:
        """A parameter, if it was given."""
        return self.parameters.get(name)

    def flag(self, name: str) -> bool:
        """A boolean parameter, false when absent."""
        return self.parameters.get(name) == "1"

    def number(self, name: str, default: int) -> int:
        """A whole number, or what it is by default."""
        return int(self.parameters.get(name, default))


@dataclass
class Cluster:
    """Two nodes and what is on them. One call at a time works on it, under `lock`."""

    version: Version
    knobs: Knobs
    accounts: Accounts = field(default_factory=Accounts)
    tasks: Tasks = field(default_factory=Tasks)
    machines: Machines = field(default_factory=Machines)
    storages: Storages = field(default_factory=lambda: Storages(STORAGES))
    lock: threading.RLock = field(default_factory=threading.RLock)
    equipment: frozenset[tuple[str | None, str]] = frozenset()
    _seen: dict[int, dict[str, Value]] = field(default_factory=dict)
    _seen_at: float = 0.0

    def clear(self, knobs: Knobs) -> None:
        """Forget everything."""
        self.knobs = knobs
        self.accounts, self.tasks, self.machines = Accounts(), Tasks(), Machines()
        self.storages = Storages(STORAGES)
        self.equipment = frozenset()
        self.collect()

    def fork(self, request: Request, kind: str, subject: object, work: Callable[[Task], Work], node: str = "") -> str:
        """Begin a task of the caller's, on the request's node unless another is named."""
        return self.tasks.fork(node or request.node, kind, subject, request.caller.id, work)

    def refuse_unknown_node(self, node: str) -> None:
        """Refuse to proxy to a node that there is not."""
        if node not in NODES:
            reason = f"failed to get address info for: {node}: Name or service not known"
            raise PveError(f"hostname lookup '{node}' failed - {reason}")

    def seen(self, vm_id: int) -> dict[str, Value]:
        """What pvestatd last saw of a VM: nothing of one that is younger."""
        now = time.monotonic()
        if now - self._seen_at >= self.knobs.resources_lag_seconds:
            self._seen = {machine.id: status(machine) for machine in self.machines.all.values()}
            self._seen_at = now
        return self._seen.get(vm_id, {})

    def collect(self) -> None:
        """Have pvestatd collect at once."""
        self._seen_at = float("-inf")
