"""Answers: JSON by orjson, which takes plain values, datetimes and frozen mappings as they come."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

import orjson
from django.http import HttpRequest
from rest_framework.exceptions import NotAcceptable
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request

# What a header says of a form that is not wanted at all.
_REFUSED = re.compile(r";\s*q=0(?:\.0{0,3})?\s*(?:;|$)", re.IGNORECASE)

_OPTIONS = orjson.OPT_UTC_Z | orjson.OPT_NAIVE_UTC | orjson.OPT_OMIT_MICROSECONDS


def to_json(data: object) -> bytes:
    """Data as JSON, whatever a cloud has put into it."""
    try:
        return orjson.dumps(data, default=_plain, option=_OPTIONS)
    except orjson.JSONEncodeError:
        # Half of a surrogate pair in a name, or a number beyond 64 bits: orjson refuses the whole, this does not.
        return json.dumps(data, default=_plain, ensure_ascii=False).encode(errors="replace")


class JSONRenderer(BaseRenderer):
    """Plain values as JSON."""

    media_type = "application/json"
    format = "json"
    # JSON is UTF-8 by its own standard (RFC 8259); a charset parameter has no meaning there.
    charset = None

    def render(
        self,
        data: object,
        accepted_media_type: str | None = None,
        renderer_context: Mapping[str, object] | None = None,
    ) -> bytes:
        """Data as JSON; nothing at all for None, as in a 204."""
        return b"" if data is None else to_json(data)


class PageRenderer(BaseRenderer):
    """The page of an endpoint for a person at a browser; the endpoint says which template and what goes into it."""

    media_type = "text/html"
    format = "page"
    charset = "utf-8"

    def render(
        self,
        data: object,
        accepted_media_type: str | None = None,
        renderer_context: Mapping[str, Any] | None = None,
    ) -> str:
        """The page."""
        assert renderer_context is not None  # noqa: S101 - DRF's promise
        view, request = renderer_context["view"], renderer_context["request"]
        return str(view.page(request, data))


def wants_page(request: HttpRequest) -> bool:
    """Whether a person at a browser asks: text/html is named, JSON is not, and there is no token.

    Some programs name text/html without meaning it; what they do not do is to be without a token where it matters.
    """
    parts = [part for part in request.headers.get("Accept", "").split(",") if not _REFUSED.search(part)]
    accepted = [part.partition(";")[0].strip().lower() for part in parts]
    return "text/html" in accepted and "application/json" not in accepted and "Authorization" not in request.headers


class LenientNegotiation(DefaultContentNegotiation):
    """What the caller accepts if we have it, else JSON all the same: better than a refusal that explains nothing."""

    def select_renderer(
        self, request: Request, renderers: Iterable[BaseRenderer], format_suffix: str | None = None
    ) -> tuple[BaseRenderer, str]:
        """The renderer and its media type."""
        asked = request._request  # noqa: SLF001 - DRF's documented way to Django's request
        available = [each for each in renderers if not isinstance(each, PageRenderer) or wants_page(asked)] or [
            *renderers
        ]
        try:
            chosen: tuple[BaseRenderer, str] = super().select_renderer(request, available, format_suffix)
        except NotAcceptable:
            chosen = available[0], available[0].media_type
        return chosen


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, datetime):
        in_utc = value.astimezone(UTC) if value.tzinfo else value
        return in_utc.isoformat(timespec="seconds").removesuffix("+00:00") + "Z"
    raise TypeError(f"{type(value).__name__} has no form in JSON")
