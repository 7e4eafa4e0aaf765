"""What the property collector is asked, and what it answers: many properties of many objects in one call.

https://developer.broadcom.com/xapis/vsphere-web-services-api/latest/vmodl.query.PropertyCollector.html
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from pyVmomi import VmomiSupport, vmodl

from providers.vsphere.soap import FaultError

Ref: TypeAlias = VmomiSupport.ManagedObject
Paths: TypeAlias = Mapping[type[Ref], Sequence[str]]

_Collector = vmodl.query.PropertyCollector
# vCenter reads a page from its database in one go and keeps the rest of a result until it is asked for.
PAGE_SIZE = 1000
# `ManagedEntity.name` in the API reference.
_ESCAPES: Final[Mapping[str, str]] = {"%25": "%", "%2f": "/", "%5c": "\\"}
_ESCAPE = re.compile("|".join(_ESCAPES), re.IGNORECASE)


@dataclass(frozen=True)
class Found:
    """One object with those of its properties that are set and may be seen; `refusal` is why others may not."""

    ref: Ref
    values: Mapping[str, Any]
    refusal: vmodl.MethodFault | None = None

    @property
    def name(self) -> str:
        """Its name, as people wrote it: the server escapes slashes, backslashes and percent signs."""
        return _ESCAPE.sub(lambda escape: _ESCAPES[escape[0].lower()], str(self.values.get("name", "")))


@dataclass(frozen=True)
class Way:
    """A step from each object of a kind to those that one of its properties names, which may be of several kinds."""

    kind: type[Ref]
    path: str
    ends: tuple[type[Ref], ...]

    @property
    def name(self) -> str:
        """Its name within a question."""
        return f"{self.kind.__name__}.{self.path}"


def moref(ref: Ref) -> str:
    """The id under which a server knows a managed object."""
    return str(ref._moId)  # noqa: SLF001 # pyvmomi's public accessor reads the same


def escaped(name: str) -> str:
    """A name that people wrote, as the server writes it."""
    for escape, plain in _ESCAPES.items():
        name = name.replace(plain, escape)
    return name


def about(refs: Iterable[Ref], paths: Paths) -> vmodl.query.PropertyCollector.FilterSpec:
    """A question about these very objects."""
    return _Collector.FilterSpec(
        objectSet=[_Collector.ObjectSpec(obj=ref, skip=False) for ref in refs], propSet=_wanted(paths)
    )


def below(root: Ref, ways: Sequence[Way], paths: Paths) -> vmodl.query.PropertyCollector.FilterSpec:
    """A question about everything that can be reached from `root` by the ways, each from the ends of another."""
    steps = [
        _Collector.TraversalSpec(name=way.name, type=way.kind, path=way.path, skip=False, selectSet=_onward(way, ways))
        for way in ways
    ]
    return _Collector.FilterSpec(
        objectSet=[_Collector.ObjectSpec(obj=root, skip=False, selectSet=steps)], propSet=_wanted(paths)
    )


def _onward(way: Way, ways: Sequence[Way]) -> list[vmodl.query.PropertyCollector.SelectionSpec]:
    return [_Collector.SelectionSpec(name=other.name) for other in ways if other.kind in way.ends]


def pages(
    collector: vmodl.query.PropertyCollector, *questions: vmodl.query.PropertyCollector.FilterSpec
) -> Iterator[Found]:
    """What the server knows, one call for each page, and one page in memory at a time."""
    options = _Collector.RetrieveOptions(maxObjects=PAGE_SIZE)
    result = collector.RetrievePropertiesEx(list(questions), options)
    while result is not None:
        yield from map(_found, result.objects)
        token = result.token
        if not token:
            return
        del result
        result = collector.ContinueRetrievePropertiesEx(token)


def only(collector: vmodl.query.PropertyCollector, ref: Ref, paths: Sequence[str], place: str) -> Found:
    """One object.

    Raises:
        FaultError: `ManagedObjectNotFound`; `NoPermission`, where not one of the properties may be seen.

    """
    options = _Collector.RetrieveOptions()
    result = collector.RetrievePropertiesEx([about([ref], {type(ref): paths})], options)
    contents = result.objects if result else []
    if not contents:
        raise FaultError(vmodl.fault.ManagedObjectNotFound(obj=ref), "RetrievePropertiesEx", place)
    found = _found(contents[0])
    if found.refusal is not None and not found.values:
        raise FaultError(found.refusal, "RetrievePropertiesEx", place)
    return found


def _wanted(paths: Paths) -> list[vmodl.query.PropertyCollector.PropertySpec]:
    return [_Collector.PropertySpec(type=kind, all=False, pathSet=list(names)) for kind, names in paths.items()]


def _found(content: vmodl.query.PropertyCollector.ObjectContent) -> Found:
    refusal = content.missingSet[0].fault if content.missingSet else None
    return Found(content.obj, {one.name: one.val for one in content.propSet}, refusal)
