"""What goes around v4's answers: types, times, flags, links."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from werkzeug.wrappers import Request as HttpRequest


def typed(name: str) -> dict[str, Any]:
    """What every object has: its type, and the version of its fields."""
    family = "v1.r0" if name.startswith("common.") else "v4.r0"
    return {"$objectType": name, "$reserved": {"$fv": family}}


def moment(seconds: float) -> str:
    """A time as v4 writes it."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def metadata(
    http: HttpRequest,
    *,
    has_error: bool = False,
    is_paginated: bool = False,
    links: Sequence[tuple[str, str]] = (),
    total: int | None = None,
) -> Mapping[str, object]:
    """What goes with an answer: flags, links, and how many results there are."""
    flags = [("hasError", has_error), ("isPaginated", is_paginated), ("isTruncated", False)]
    value: dict[str, object] = {
        **typed("common.v1.response.ApiResponseMetadata"),
        "flags": [{**typed("common.v1.config.Flag"), "name": name, "value": flag} for name, flag in flags],
        "links": [
            {**typed("common.v1.response.ApiLink"), "href": href, "rel": rel}
            for rel, href in [*links, ("self", http.url)]
        ],
    }
    if total is not None:
        value["totalAvailableResults"] = total
    return value


def page_links(http: HttpRequest, page: int, limit: int, total: int) -> Sequence[tuple[str, str]]:
    """The ways to other pages."""
    last = max(-(-total // limit) - 1, 0)
    pages = {"first": 0, "last": last}
    if page > 0:
        pages["prev"] = min(page - 1, last)
    if page < last:
        pages["next"] = page + 1
    kept = {name: value for name, value in http.args.items() if name not in {"$page", "$limit"}}

    def address(number: int) -> str:
        query = {**kept, "$page": str(number), "$limit": str(limit)}
        return f"{http.base_url}?" + "&".join(f"{name}={quote(value)}" for name, value in query.items())

    return [(rel, address(number)) for rel, number in pages.items()]
