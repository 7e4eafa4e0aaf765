"""RetrievePropertiesEx and its kin: what filters select, whole or in pages."""

import secrets
from dataclasses import dataclass
from typing import Any, Final

from pyVmomi import vim, vmodl

from providers.sandbox.vsphere.calls import Call
from providers.sandbox.vsphere.collecting import Found, Selection
from providers.sandbox.vsphere.inventory import Node
from providers.sandbox.vsphere.refusals import invalid_argument, refusal

_COLLECTOR: Final = vmodl.query.PropertyCollector
# What may be looked at before the log-in: where everything is, and whether there is a session.
_PUBLIC: Final = (vim.ServiceInstance, vim.SessionManager)


@dataclass
class _Page:
    """What is left of an answer; objects that go meanwhile are left out."""

    items: list[tuple[Selection, Found]]
    size: int | None


def retrieve_ex(call: Call) -> Any:
    """RetrievePropertiesEx: None when nothing is selected."""
    options = call["options"]
    sizes = [size for size in (options.maxObjects, call.world.knobs.page_objects) if size is not None]
    if any(size <= 0 for size in sizes):
        raise invalid_argument("options.maxObjects")
    return _next(call, _Page(_selected(call), min(sizes, default=None)))


def retrieve(call: Call) -> list[Any]:
    """RetrieveProperties: all at once."""
    return [selection.content(found) for selection, found in _selected(call)]


def proceed(call: Call) -> Any:
    """ContinueRetrievePropertiesEx: the next page; each token is good once, in its session."""
    return _next(call, _take(call))


def cancel(call: Call) -> None:
    """CancelRetrievePropertiesEx: forget the rest."""
    _take(call)


def fetch(call: Call) -> Any:
    """Fetch: one property of one object, as pyVmomi reads an attribute."""
    selection = Selection(call.world, call.session, call.version, _filter_of(call.this, call["prop"]))
    _refuse_stranger(call, [selection.spec])
    selection.check()
    (found,) = selection.objects()
    content = selection.content(found)
    for missing in content.missingSet:
        raise missing.fault
    return next((changed.val for changed in content.propSet), None)


def _is_there(selection: Selection, found: Found) -> bool:
    """Whether an object is still there since it was selected."""
    return not isinstance(found.subject, Node) or found.subject.moid in selection.world.nodes


def _selected(call: Call) -> list[tuple[Selection, Found]]:
    specs = call["specSet"]
    _refuse_stranger(call, specs)
    items = []
    for spec in specs:
        selection = Selection(call.world, call.session, call.version, spec)
        selection.check()
        items += [(selection, found) for found in selection.objects()]
    return items


def _refuse_stranger(call: Call, specs: Any) -> None:
    starts = [object_spec.obj for spec in specs for object_spec in spec.objectSet]
    if call.session is None and not all(isinstance(start, _PUBLIC) for start in starts):
        raise refusal("NotAuthenticated", object=call.this, privilegeId="System.View")


def _next(call: Call, page: _Page) -> Any:
    size = page.size or len(page.items)
    now, rest = page.items[:size], page.items[size:]
    if not now:
        return None
    token = None
    if rest:
        token = secrets.token_hex(8)
        call.caller.pages[token] = _Page(rest, page.size)
    there = [selection.content(found) for selection, found in now if _is_there(selection, found)]
    return _COLLECTOR.RetrieveResult(token=token, objects=there) if there or token else None


def _take(call: Call) -> _Page:
    page: _Page | None = call.caller.pages.pop(call["token"], None)
    if page is None:
        raise invalid_argument("token")
    return page


def _filter_of(ref: Any, path: str) -> Any:
    return _COLLECTOR.FilterSpec(
        objectSet=[_COLLECTOR.ObjectSpec(obj=ref)],
        propSet=[_COLLECTOR.PropertySpec(type=type(ref), pathSet=[path])],
    )
