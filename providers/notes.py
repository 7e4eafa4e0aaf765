"""What we remember of a VM in its own notes, on clouds without key-value tags: one line of JSON, marked as ours.

Other lines of the notes are people's, and are left alone.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import orjson

from providers.domain import NOTHING

MARK = "cloudvm"


@dataclass(frozen=True)
class Notes:
    """What the line holds; each is empty where nothing is known.

    Attributes:
        tags: the caller's tags.
        creation: drawn for the one create that made the VM, so that it is known again whatever becomes of its id.
        vm_id: the VM for which this was written, where the cloud lets us choose ids. A copy of the VM that somebody
            made in the cloud has the notes, too, and another id.
        request_key: `VMSpec.request_key` of the create.
        request_digest: `VMSpec.request_digest` of the create.
        created_at: when the create began, Unix time in seconds.
        start: whether the create was to start the VM.

    """

    tags: Mapping[str, str] = field(default_factory=lambda: NOTHING)
    creation: str = ""
    vm_id: str = ""
    request_key: str = ""
    request_digest: str = ""
    created_at: int = 0
    start: bool = False


# The end of the year 9999, after which there is no `datetime`.
_LATEST = 253_402_300_799

_TEXTS = ("creation", "vm_id", "request_key", "request_digest")


def write(notes: Notes) -> str:
    """The line for notes; ASCII, without a line break."""
    content = {name: getattr(notes, name) for name in (*_TEXTS, "created_at", "start")}
    content["tags"] = dict(notes.tags)
    return json.dumps({MARK: {name: value for name, value in content.items() if value}}, separators=(",", ":"))


def read(text: str) -> Notes:
    """What our line in a VM's notes says; people may have changed it, so what is not of the right form is nothing."""
    for line in text.splitlines():
        if line.strip().startswith(f'{{"{MARK}"'):
            return _read(line)
    return Notes()


def _read(line: str) -> Notes:
    try:
        content: Any = orjson.loads(line)[MARK]
    except (ValueError, KeyError, TypeError):
        return Notes()
    if not isinstance(content, dict):
        return Notes()
    texts = {name: content[name] for name in _TEXTS if isinstance(content.get(name), str)}
    tags = content.get("tags")
    words = {key: value for key, value in tags.items() if isinstance(value, str)} if isinstance(tags, dict) else {}
    created_at = content.get("created_at")
    return Notes(
        tags=MappingProxyType(words),
        created_at=created_at if type(created_at) is int and 0 < created_at <= _LATEST else 0,
        start=content.get("start") is True,
        **texts,
    )
