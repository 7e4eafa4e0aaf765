"""What all entities' properties have in common."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from pyVmomi import vim

from providers.sandbox.vsphere.inventory import Node
from providers.sandbox.vsphere.machines import Machine
from providers.sandbox.vsphere.shapes import Getter, Shape

# How many are recent, vSphere does not say.
RECENT_TASKS: Final = 10

Properties = Mapping[str, Getter | Shape]


def browser_ref(node: Node) -> Any:
    """The reference of the file browser of a datastore or host."""
    return vim.host.DatastoreBrowser(f"datastoreBrowser-{node.moid}")


def machines_around(node: Node) -> list[Machine]:
    """All VMs of the inventory that the node is in."""
    root = list(node.above())[-1]
    return [below for below in root.below() if isinstance(below, Machine)]


def refs(nodes: Iterable[Node]) -> list[Any]:
    """The references of nodes."""
    return [node.ref for node in nodes]


def fixed(value: Any) -> Getter:
    """What reads the same of everything."""
    return lambda _: value


ENTITY: Final[Properties] = {
    "name": lambda node: node.name,
    "parent": lambda node: node.parent.ref if node.parent else None,
    "recentTask": lambda node: node.tasks[-RECENT_TASKS:],
    "overallStatus": fixed("green"),
    "configStatus": fixed("green"),
}
