"""From a managed object reference to what it is of, and to the properties that it has."""

from functools import cache
from typing import Any, Final

from pyVmomi import vim

from providers.sandbox.vsphere.accounts import Session
from providers.sandbox.vsphere.entity_views import browser_ref
from providers.sandbox.vsphere.inventory import Network
from providers.sandbox.vsphere.inventory_views import NODE_SHAPES, switch_ref
from providers.sandbox.vsphere.machine_views import MACHINE
from providers.sandbox.vsphere.metadata import moid_of
from providers.sandbox.vsphere.naming import SERVICE_IDS
from providers.sandbox.vsphere.refusals import not_found
from providers.sandbox.vsphere.service_views import SERVICE_SHAPES, SERVICE_TYPES, Service
from providers.sandbox.vsphere.shapes import Reader, Shape
from providers.sandbox.vsphere.world import World

SHAPES: Final = {
    kind: Shape(kind, properties)
    for kind, properties in {**NODE_SHAPES, **SERVICE_SHAPES, vim.VirtualMachine: MACHINE}.items()
}


@cache
def reader(kind: Any, version: str) -> Reader:
    """What reads the properties of a managed type; one that is not simulated has none."""
    return Reader(SHAPES.get(kind, Shape(kind, {})), version)


def subject(world: World, session: Session | None, ref: Any) -> Any:
    """What a reference is of; raises ManagedObjectNotFound."""
    moid = moid_of(ref)
    found = world.nodes.get(moid) or world.tasks.all.get(moid) or _of_session(session, moid)
    found = found or _derived(world, ref) or _service(world, session, ref)
    if found is None:
        raise not_found(ref)
    return found


def own_ref(found: Any, ref: Any) -> Any:
    """The reference as the server itself writes it, whatever supertype the client named."""
    return ref if isinstance(found, Service) or isinstance(ref, _DERIVED) else found.ref


_DERIVED: Final = (vim.host.DatastoreBrowser, vim.dvs.VmwareDistributedVirtualSwitch)


def _of_session(session: Session | None, moid: str) -> Any:
    return session.views.get(moid) if session is not None else None


def _derived(world: World, ref: Any) -> Any:
    for node in world.nodes.values() if isinstance(ref, _DERIVED) else ():
        if browser_ref(node) == ref or (isinstance(node, Network) and node.is_distributed and switch_ref(node) == ref):
            return node
    return None


def _service(world: World, session: Session | None, ref: Any) -> Service | None:
    if isinstance(ref, vim.ServiceInstance) and moid_of(ref) == "ServiceInstance":
        return Service(world, session)
    for name, moid in SERVICE_IDS[world.kind].items():
        if moid == moid_of(ref) and isinstance(ref, SERVICE_TYPES[name]):
            return Service(world, session)
    return None
