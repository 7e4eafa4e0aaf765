"""The property collector: which objects a filter selects, and what is read of each.

https://developer.broadcom.com/xapis/vsphere-web-services-api/latest/vmodl.query.PropertyCollector.html
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from pyVmomi import vmodl

from providers.sandbox.vsphere.accounts import Session, reading_privilege
from providers.sandbox.vsphere.inventory import Node
from providers.sandbox.vsphere.lookup import own_ref, reader, subject
from providers.sandbox.vsphere.metadata import moid_of
from providers.sandbox.vsphere.refusals import invalid_argument, no_permission
from providers.sandbox.vsphere.world import World

_COLLECTOR: Final = vmodl.query.PropertyCollector


@dataclass(frozen=True)
class Found:
    """An object that a filter selects, with its reference."""

    ref: Any
    subject: Any


@dataclass
class Selection:
    """One filter, in one session: the objects that it selects, and the properties that it asks for."""

    world: World
    session: Session | None
    version: str
    spec: Any
    _found: dict[Any, Found] = field(default_factory=dict)
    _walked: set[tuple[Any, int]] = field(default_factory=set)
    _named: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for object_spec in self.spec.objectSet:
            self._name(object_spec.selectSet)
        self._paths: dict[Any, list[tuple[str, Any]]] = {}

    def objects(self) -> list[Found]:
        """What is selected, each object once; raises ManagedObjectNotFound for a start that there is not."""
        self._found, self._walked = {}, set()
        for object_spec in self.spec.objectSet:
            start = subject(self.world, self.session, object_spec.obj)
            ref = own_ref(start, object_spec.obj)
            if not object_spec.skip:
                self._take(ref, start)
            self._walk(ref, start, object_spec.selectSet)
        return list(self._found.values())

    def content(self, found: Found) -> Any:
        """What is read of an object: the properties that are set, and those that the caller may not read."""
        properties, missing = [], []
        for path, getter in self._getters(type(found.ref)):
            refusal = self._refusal(found.subject, path)
            if refusal is not None:
                missing.append(_COLLECTOR.MissingProperty(path=path, fault=refusal))
                continue
            value = getter(found.subject)
            if value is not None:
                properties.append(vmodl.DynamicProperty(name=path, val=value))
        return _COLLECTOR.ObjectContent(obj=found.ref, propSet=properties, missingSet=missing)

    def check(self) -> None:
        """Refuse paths that no type has, before anything is read."""
        for wanted in self.spec.propSet:
            if wanted.type is None:
                raise invalid_argument("specSet.propSet.type")
            for path in wanted.pathSet:
                reader(wanted.type, self.version).getter(path)

    def _getters(self, kind: Any) -> list[tuple[str, Any]]:
        if kind not in self._paths:
            read = reader(kind, self.version)
            wanted = [spec for spec in self.spec.propSet if issubclass(kind, spec.type)]
            paths = [path for spec in wanted for path in (read.all() if spec.all else spec.pathSet)]
            self._paths[kind] = [(path, read.getter(path)) for path in dict.fromkeys(paths)]
        return self._paths[kind]

    def _refusal(self, found: Any, path: str) -> Any:
        if not isinstance(found, Node) or self.session is None:
            return None
        privilege = reading_privilege(path)
        return None if self.session.user.may(found, privilege) else no_permission(found.ref, privilege)

    def _name(self, selections: Any) -> None:
        for selection in selections:
            if isinstance(selection, _COLLECTOR.TraversalSpec):
                if selection.name:
                    self._named[selection.name] = selection
                self._name(selection.selectSet)

    def _take(self, ref: Any, found: Any) -> None:
        if ref not in self._found and any(isinstance(ref, spec.type) for spec in self.spec.propSet):
            self._found[ref] = Found(ref, found)

    def _walk(self, ref: Any, found: Any, selections: Any) -> None:
        for traversal in self._traversals(selections):
            step = (ref, id(traversal))
            if not isinstance(ref, traversal.type) or step in self._walked:
                continue
            self._walked.add(step)
            for next_ref, next_found in self._reached(ref, found, traversal.path):
                if not traversal.skip:
                    self._take(next_ref, next_found)
                self._walk(next_ref, next_found, traversal.selectSet)

    def _traversals(self, selections: Any) -> Iterator[Any]:
        for selection in selections:
            traversal = selection
            if not isinstance(selection, _COLLECTOR.TraversalSpec):
                traversal = self._named.get(selection.name)
                if traversal is None:
                    raise invalid_argument("specSet.objectSet.selectSet.name")
            yield traversal

    def _reached(self, ref: Any, found: Any, path: str) -> Iterator[tuple[Any, Any]]:
        kind: Any = type(ref)
        value = reader(kind, self.version).getter(path)(found)
        for reached in value if isinstance(value, list) else [] if value is None else [value]:
            node = self.world.nodes.get(moid_of(reached)) or self._other(reached)
            if node is not None and self._may_see(node):
                yield reached, node

    def _other(self, ref: Any) -> Any:
        """What a reference is of that is no entity; None when a list names what is no more."""
        try:
            return subject(self.world, self.session, ref)
        except vmodl.fault.ManagedObjectNotFound:
            return None

    def _may_see(self, found: Any) -> bool:
        return not isinstance(found, Node) or self.session is None or self.session.user.may(found, "System.View")
