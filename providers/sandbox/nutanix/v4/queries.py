"""v4's queries: pages, and the simple part of OData's `$filter`, `$orderby` and `$select`."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from werkzeug.wrappers import Response

from providers.sandbox.nutanix.refusals import Reason, Refusal, Violation
from providers.sandbox.nutanix.v4.envelope import metadata, page_links
from providers.sandbox.nutanix.wire import Request, answer

DEFAULT_LIMIT = 50
GREATEST_LIMIT = 100
EQUALS = re.compile(r"(?P<field>[\w/]+) eq (?P<value>'(?:[^']|'')*'|[\w.]*'\w+'|true|false|-?\d+)")
STARTS = re.compile(r"startswith\((?P<field>[\w/]+), ?(?P<value>'(?:[^']|'')*')\)")
ANY = re.compile(r"(?P<list>\w+)/any\((?P<one>\w+): ?(?P=one)/(?P<field>\w+) eq (?P<value>'(?:[^']|'')*')\)")
# What is always there, whatever is selected.
KEPT = ("$objectType", "$reserved")

Shown = Mapping[str, Any]


@dataclass(frozen=True)
class Collection:
    """What a list offers: the fields that it can be filtered and ordered by."""

    filters: frozenset[str]
    orders: frozenset[str] = frozenset({"name"})


def listed(request: Request, entities: Sequence[Any], show: Callable[[Any], Shown], offers: Collection) -> Response:
    """The page of a collection that a query asks for; entities that no filter looks at are shown only then."""
    page, limit = number(request, "$page", 0, 0, None), number(request, "$limit", DEFAULT_LIMIT, 1, GREATEST_LIMIT)
    fields = _selected(request)
    tests = _tests(request.query.get("$filter", ""), offers)
    order = _order(request.query.get("$orderby", ""), offers)
    if tests or order:
        shown = [value for value in map(show, entities) if all(test(value) for test in tests)]
        if order is not None:
            field, is_descending = order
            shown.sort(key=lambda value: _at(value, field), reverse=is_descending)
        total, found = len(shown), shown[page * limit : (page + 1) * limit]
    else:
        total, found = len(entities), [show(entity) for entity in entities[page * limit : (page + 1) * limit]]
    links = page_links(request.http, page, limit, total)
    about = metadata(request.http, is_paginated=total > limit, links=links, total=total)
    # A page without results has no data at all.
    data = {"data": [_reduced(value, fields) for value in found]} if found else {}
    return answer({"metadata": about, **data})


def number(request: Request, name: str, default: int, least: int, most: int | None) -> int:
    """A whole number of the query within its limits."""
    text = request.query.get(name)
    if text is None:
        return default
    if not re.fullmatch(r"-?\d+", text):
        raise _wrong(name, f"{text!r} is not an integer")
    value = int(text)
    if value < least or (most is not None and value > most):
        bounds = f"between {least} and {most}" if most is not None else f"at least {least}"
        raise _wrong(name, f"{value} is out of range: it must be {bounds}")
    return value


def _tests(expression: str, offers: Collection) -> Sequence[Callable[[Shown], bool]]:
    return [_test(term.strip(), offers) for term in expression.split(" and ")] if expression.strip() else []


def _test(term: str, offers: Collection) -> Callable[[Shown], bool]:
    equals, starts = EQUALS.fullmatch(term), STARTS.fullmatch(term)
    if some := ANY.fullmatch(term):
        return _any_test(some["list"], some["field"], _value(some["value"]), offers)
    found = equals or starts
    if found is None:
        raise _wrong("$filter", f"{term!r} is not understood")
    field, wanted = found["field"], _value(found["value"])
    if field not in offers.filters:
        raise _wrong("$filter", f"{field!r} cannot be filtered by")
    if equals:
        return lambda value: _at(value, field) == wanted
    return lambda value: str(_at(value, field)).startswith(str(wanted))


def _any_test(name: str, field: str, wanted: object, offers: Collection) -> Callable[[Shown], bool]:
    """Test whether one of an entity's parts has the wanted value."""
    if f"{name}/{field}" not in offers.filters:
        raise _wrong("$filter", f"{name}/{field} cannot be filtered by")
    return lambda value: any(part.get(field) == wanted for part in value.get(name, ()))


def _value(text: str) -> object:
    """A literal; an enum's is qualified by its type."""
    if text in {"true", "false"}:
        return text == "true"
    if "'" not in text:
        return int(text)
    return text[text.index("'") + 1 : -1].replace("''", "'")


def _order(expression: str, offers: Collection) -> tuple[str, bool] | None:
    if not expression:
        return None
    field, _, direction = expression.partition(" ")
    if field not in offers.orders or direction not in {"", "asc", "desc"}:
        raise _wrong("$orderby", f"{expression!r} cannot be ordered by")
    return field, direction == "desc"


def _selected(request: Request) -> frozenset[str] | None:
    text = request.query.get("$select", "*")
    return None if text == "*" else frozenset(name.strip() for name in text.split(","))


def _reduced(value: Shown, fields: frozenset[str] | None) -> Shown:
    if fields is None:
        return value
    wanted = {name.partition("/")[0] for name in fields}
    return {name: item for name, item in value.items() if name in wanted or name in KEPT}


def _at(value: Shown, field: str) -> Any:
    found: Any = value
    for name in field.split("/"):
        found = found.get(name) if isinstance(found, Mapping) else None
    return found


def _wrong(name: str, message: str) -> Refusal:
    return Refusal(Reason.BAD_QUERY, violations=[Violation(name, message)])
