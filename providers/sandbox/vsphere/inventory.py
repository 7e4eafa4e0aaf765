"""The inventory tree: folders, datacenters, compute resources, hosts, pools, datastores and networks."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, TypeVar

from providers.sandbox.vsphere.files import Files
from providers.sandbox.vsphere.metadata import moid_of

GIB = 1 << 30


@dataclass(eq=False, kw_only=True)
class Node:
    """A managed entity; `ref` is its managed object reference. Pools are the children of pools, VMs of folders."""

    ref: Any
    name: str
    parent: "Node | None" = None
    children: "list[Node]" = field(default_factory=list)
    # The references of the tasks on it, oldest first.
    tasks: list[Any] = field(default_factory=list, repr=False)

    @property
    def moid(self) -> str:
        """The managed object's id."""
        return moid_of(self.ref)

    def add(self, child: "AnyNode") -> "AnyNode":
        """Hang a node below this one."""
        child.parent = self
        self.children.append(child)
        return child

    def detach(self) -> None:
        """Take this node off its parent."""
        if self.parent is not None:
            self.parent.children.remove(self)
            self.parent = None

    def below(self) -> "Iterator[Node]":
        """All nodes below this one, parents first."""
        for child in self.children:
            yield child
            yield from child.below()

    def above(self) -> "Iterator[Node]":
        """This node and its ancestors, up to the root."""
        node: Node | None = self
        while node is not None:
            yield node
            node = node.parent

    @property
    def datacenter(self) -> "Datacenter | None":
        """The datacenter that it is in."""
        return next((node for node in self.above() if isinstance(node, Datacenter)), None)


AnyNode = TypeVar("AnyNode", bound=Node)


class Holds(Enum):
    """What a folder may hold besides folders."""

    DATACENTERS = "Datacenter"
    VMS = "VirtualMachine"
    COMPUTE = "ComputeResource"
    DATASTORES = "Datastore"
    NETWORKS = "Network"


@dataclass(eq=False, kw_only=True)
class Folder(Node):
    """A folder: the root, one of a datacenter's four, or one that somebody made."""

    holds: Holds


@dataclass(eq=False, kw_only=True)
class Datacenter(Node):
    """A datacenter; its four folders are its children."""

    def folder(self, holds: Holds) -> Folder:
        """One of the four."""
        return next(child for child in self.children if isinstance(child, Folder) and child.holds is holds)

    def datastores(self) -> "list[Datastore]":
        """Its datastores, which have different names."""
        return [node for node in self.folder(Holds.DATASTORES).below() if isinstance(node, Datastore)]

    def networks(self) -> "list[Network]":
        """Its networks and port groups."""
        return [node for node in self.folder(Holds.NETWORKS).below() if isinstance(node, Network)]

    def compute(self) -> "list[Compute]":
        """Its clusters and standalone hosts."""
        return [node for node in self.folder(Holds.COMPUTE).below() if isinstance(node, Compute)]


@dataclass(eq=False, kw_only=True)
class Compute(Node):
    """A cluster, or the compute resource of a standalone host: hosts, and a root pool."""

    @property
    def hosts(self) -> "list[Host]":
        """Its hosts."""
        return [child for child in self.children if isinstance(child, Host)]

    @property
    def pool(self) -> "Pool":
        """Its root pool."""
        return next(child for child in self.children if isinstance(child, Pool))


@dataclass(eq=False, kw_only=True)
class Host(Node):
    """An ESXi host."""

    memory_bytes: int = 256 * GIB
    cores: int = 32

    @property
    def compute(self) -> Compute:
        """The compute resource that it is of."""
        assert isinstance(self.parent, Compute)  # noqa: S101 - a host is never anywhere else
        return self.parent


@dataclass(eq=False, kw_only=True)
class Pool(Node):
    """A resource pool."""

    @property
    def compute(self) -> Compute:
        """The compute resource whose resources it shares out."""
        return next(node for node in self.above() if isinstance(node, Compute))


@dataclass(eq=False, kw_only=True)
class Datastore(Node):
    """A datastore, mounted on every host of its datacenter."""

    capacity_bytes: int
    is_accessible: bool = True
    files: Files = field(default_factory=Files)

    @property
    def free_bytes(self) -> int:
        """What its files leave."""
        return max(0, self.capacity_bytes - self.files.used_bytes())


@dataclass(eq=False, kw_only=True)
class Network(Node):
    """A host network, or, with a switch, a distributed port group: one for VMs, or the switch's uplinks."""

    switch_uuid: str | None = None
    is_uplink: bool = False

    @property
    def is_distributed(self) -> bool:
        """Whether it is a port group of a distributed switch."""
        return self.switch_uuid is not None
