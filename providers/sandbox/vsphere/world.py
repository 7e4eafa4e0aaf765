"""The whole server's state, and a call of it: what every method works on."""

import itertools
import threading
import uuid
from dataclasses import dataclass
from typing import Any

from providers.sandbox.vsphere.accounts import Accounts
from providers.sandbox.vsphere.inventory import AnyNode, Datacenter, Datastore, Folder, Node
from providers.sandbox.vsphere.machines import Machine
from providers.sandbox.vsphere.metadata import moid_of
from providers.sandbox.vsphere.naming import SERVICE_IDS, Kind
from providers.sandbox.vsphere.refusals import not_found, refusal
from providers.sandbox.vsphere.tasks import Tasks
from providers.sandbox.vsphere.versions import Versions


@dataclass
class Knobs:
    """How long things take, in seconds, and how the server is disposed."""

    task_seconds: float = 1.0
    # How long a task waits in the queue before it runs.
    queue_seconds: float = 0.0
    # From power on until the tools answer and the address is known.
    boot_seconds: float = 0.0
    # How long a guest takes to shut down or to reboot; a task's time when None.
    shutdown_seconds: float | None = None
    # A session ends when it has been idle for so long.
    session_seconds: float = 1800.0
    # The most objects that one answer of RetrievePropertiesEx holds, whatever the client asks for.
    page_objects: int | None = None
    # Whether what ends a task in failure at its first step (a wrong power state, a name taken) is rather said
    # at once, as an answer to the call; vSphere's documents allow either.
    refuses_at_call: bool = False
    # Whether a call of a newer version of the API is refused. Mostly it is taken for one of the server's own, as
    # govmomi relies on, which names its own newest; some calls (LoginByToken) refuse it.
    refuses_newer_versions: bool = False
    # How much the server's clock is fast, for CurrentTime and the times of files.
    clock_seconds: float = 0.0
    # Whether the host has the free licence, whose API is for reading only.
    is_free_licence: bool = False


class World:
    """The inventory with all that happens in it. One call at a time works on it, under `lock`."""

    def __init__(self, kind: Kind, versions: Versions, knobs: Knobs) -> None:
        self.kind = kind
        self.versions = versions
        self.lock = threading.RLock()
        self.clear(knobs)

    def clear(self, knobs: Knobs) -> None:
        """Forget everything."""
        self.knobs = knobs
        self.accounts = Accounts()
        self.nodes: dict[str, Node] = {}
        self._numbers = itertools.count(1)
        self.tasks = Tasks(self._task_id)
        # Names in folders that VMs which are being made will have, and their references.
        self.claims: dict[tuple[Folder, str], Any] = {}
        # Where copies of disks are being written to.
        self.copies: set[tuple[Datastore, str]] = set()
        self._guests = itertools.count(10)

    # Objects.

    @property
    def is_esxi(self) -> bool:
        """Whether this is a standalone host."""
        return self.kind is Kind.ESXI

    def service_ref(self, name: str, kind: Any) -> Any:
        """The reference of a well-known object, by its property in ServiceContent."""
        return kind(SERVICE_IDS[self.kind][name])

    def number(self) -> int:
        """A number that no other object has."""
        return next(self._numbers)

    def add(self, node: AnyNode, parent: Node | None = None) -> AnyNode:
        """Take a node into the inventory, below another."""
        self.nodes[node.moid] = node
        return parent.add(node) if parent is not None else node

    def remove(self, node: Node) -> None:
        """Take a node out of the inventory."""
        node.detach()
        del self.nodes[node.moid]

    def all(self, kind: type[AnyNode]) -> "list[AnyNode]":
        """All nodes of a kind, oldest first."""
        return [node for node in self.nodes.values() if isinstance(node, kind)]

    def machines(self) -> "list[Machine]":
        """The VMs and templates, oldest first."""
        return self.all(Machine)

    def find(self, ref: Any, kind: type[AnyNode]) -> AnyNode:
        """The node of a reference; raises ManagedObjectNotFound, also when it is of another kind."""
        node = self.nodes.get(moid_of(ref)) if ref is not None else None
        if node is None or not isinstance(node, kind):
            raise not_found(ref)
        return node

    def datacenter(self, ref: Any) -> Datacenter:
        """The datacenter that a datastore path is in: a host has but one, vCenter has to be told."""
        if ref is not None:
            return self.find(ref, Datacenter)
        if not self.is_esxi:
            raise refusal("InvalidArgument", invalidProperty="datacenter")
        return self.all(Datacenter)[0]

    def datastore(self, datacenter: Datacenter | None, name: str) -> Datastore:
        """A datastore by its name; raises InvalidDatastore."""
        for datastore in datacenter.datastores() if datacenter else ():
            if datastore.name == name and datastore.is_accessible:
                return datastore
        raise refusal("InvalidDatastore", {"name": name}, name=name)

    def machine_id(self) -> str:
        """The managed object id of a new VM."""
        return str(self.number()) if self.is_esxi else f"vm-{self.number()}"

    def tell_apart(self, machine: Machine) -> None:
        """Give a VM whose instance UUID is taken another, as vCenter does (VirtualMachineConfigSpec.instanceUuid)."""
        others = (other for other in self.machines() if other is not machine)
        if not self.is_esxi and any(other.instance_uuid == machine.instance_uuid for other in others):
            machine.instance_uuid = str(uuid.uuid4())

    def new_mac(self) -> str:
        """A MAC address of the range that vCenter, or a host, gives them from."""
        number = self.number()
        start = "00:0c:29" if self.is_esxi else "00:50:56"
        return f"{start}:{number >> 16 & 0x3F:02x}:{number >> 8 & 0xFF:02x}:{number & 0xFF:02x}"

    def new_addresses(self) -> tuple[str, ...]:
        """The addresses that a new guest will have."""
        number = next(self._guests)
        return (f"10.{number >> 16 & 0xFF}.{number >> 8 & 0xFF}.{number & 0xFF}",)

    def _task_id(self, number: int, method: str) -> str:
        del method
        return f"haTask-{number}" if self.is_esxi else f"task-{number}"
