"""Filters that are kept, and WaitForUpdatesEx: what has changed since the version that a client has seen.

https://developer.broadcom.com/xapis/vsphere-web-services-api/latest/vmodl.query.PropertyCollector.html
"""

import time
import uuid
from dataclasses import dataclass, field
from typing import Any, Final

from pyVmomi import vmodl

from providers.sandbox.vsphere.calls import Call, PendingError
from providers.sandbox.vsphere.collecting import Selection
from providers.sandbox.vsphere.metadata import moid_of
from providers.sandbox.vsphere.naming import SERVICE_IDS
from providers.sandbox.vsphere.refusals import not_found, refusal

_COLLECTOR: Final[Any] = vmodl.query.PropertyCollector
_UPDATE: Final = _COLLECTOR.ObjectUpdate.Kind


@dataclass
class Watch:
    """One filter, and what was last said of each object that it selects, as text to compare by."""

    ref: Any
    selection: Selection
    said: dict[Any, dict[str, str]] = field(default_factory=dict)

    def update(self) -> Any:
        """What has changed since the last time; None when nothing has."""
        now = {found.ref: self.selection.content(found) for found in self._objects()}
        updates = [self._change(ref, content) for ref, content in now.items()]
        updates += [_COLLECTOR.ObjectUpdate(kind=_UPDATE.leave, obj=ref) for ref in self.said if ref not in now]
        self.said = {ref: _said(content) for ref, content in now.items()}
        objects = [update for update in updates if update is not None]
        return _COLLECTOR.FilterUpdate(filter=self.ref, objectSet=objects) if objects else None

    def _objects(self) -> list[Any]:
        try:
            return self.selection.objects()
        except vmodl.fault.ManagedObjectNotFound:
            return []

    def _change(self, ref: Any, content: Any) -> Any:
        before, after = self.said.get(ref), _said(content)
        if before == after:
            return None
        known = before or {}
        changes = [
            _COLLECTOR.Change(name=changed.name, op="assign", val=changed.val)
            for changed in content.propSet
            if known.get(changed.name) != after[changed.name]
        ]
        changes += [_COLLECTOR.Change(name=name, op="assign", val=None) for name in known if name not in after]
        kind = _UPDATE.enter if before is None else _UPDATE.modify
        return _COLLECTOR.ObjectUpdate(kind=kind, obj=ref, changeSet=changes, missingSet=content.missingSet)


@dataclass
class Collector:
    """A session's property collector: its filters, and the version that was last told."""

    ref: Any
    watches: dict[str, Watch] = field(default_factory=dict)
    version: int = 0

    def updates(self, seen: str | None) -> Any:
        """What has changed since a version; None when nothing has."""
        if seen and seen != str(self.version):
            raise refusal("InvalidCollectorVersion")
        if not seen:
            for watch in self.watches.values():
                watch.said = {}
        changed = [update for watch in self.watches.values() if (update := watch.update()) is not None]
        if not changed:
            return None
        self.version += 1
        return _COLLECTOR.UpdateSet(version=str(self.version), filterSet=changed, truncated=False)


def create_filter(call: Call) -> Any:
    """CreateFilter: keep a filter."""
    collector = _collector(call)
    selection = Selection(call.world, call.caller, call.version, call["spec"])
    selection.check()
    selection.objects()
    moid = f"session[{call.caller.key}]{uuid.uuid4()}"
    watch = Watch(_COLLECTOR.Filter(moid), selection)
    collector.watches[moid] = watch
    return watch.ref


def destroy_filter(call: Call) -> None:
    """DestroyPropertyFilter: forget a filter."""
    moid = moid_of(call.this)
    for collector in call.caller.collectors.values():
        if collector.watches.pop(moid, None) is not None:
            return
    raise not_found(call.this)


def create_collector(call: Call) -> Any:
    """CreatePropertyCollector: another collector for this session, with filters of its own."""
    ref = _COLLECTOR(f"session[{call.caller.key}]{uuid.uuid4()}")
    call.caller.collectors[moid_of(ref)] = Collector(ref)
    return ref


def destroy_collector(call: Call) -> None:
    """DestroyPropertyCollector: forget it with its filters."""
    if call.caller.collectors.pop(moid_of(call.this), None) is None:
        raise not_found(call.this)


def wait_ex(call: Call) -> Any:
    """WaitForUpdatesEx: what has changed, as soon as something has; None when the time is up."""
    options = call["options"]
    limit = options.maxWaitSeconds if options is not None else None
    updates = _collector(call).updates(call["version"])
    if updates is None and (limit is None or time.monotonic() - call.began < limit):
        raise PendingError
    return updates


def wait(call: Call) -> Any:
    """WaitForUpdates: what has changed, as soon as something has."""
    updates = _collector(call).updates(call["version"])
    if updates is None:
        raise PendingError
    return updates


def check(call: Call) -> Any:
    """CheckForUpdates: what has changed; None when nothing has."""
    return _collector(call).updates(call["version"])


def _collector(call: Call) -> Collector:
    moid = moid_of(call.this)
    collectors = call.caller.collectors
    if moid == SERVICE_IDS[call.world.kind]["propertyCollector"]:
        return collectors.setdefault(moid, Collector(call.this))  # type: ignore[no-any-return] # a session's own
    if moid not in collectors:
        raise not_found(call.this)
    return collectors[moid]  # type: ignore[no-any-return] # as above


def _said(content: Any) -> dict[str, str]:
    return {changed.name: str(changed.val) for changed in content.propSet}
