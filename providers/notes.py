"""What we remember of a VM in its own notes, on clouds without key-value tags: one line of JSON, marked as ours.

Other lines of the notes are people's, and are left alone.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

import orjson

from providers.domain import NOTHING

MARK = "cloudvm"
# The longest deadline that can be set for a request, and an hour for clocks that differ.
LONGEST_CREATE_SECONDS = 86_400 + 3_600


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
        is_unfinished: whether the create still has to configure the VM. Removed before the first start.
        is_abandoned: whether a failed create is removing the VM.
        claims: how often another try with the same key has taken the VM over.

    """

    tags: Mapping[str, str] = field(default_factory=lambda: NOTHING)
    creation: str = ""
    vm_id: str = ""
    request_key: str = ""
    request_digest: str = ""
    created_at: int = 0
    start: bool = False
    is_unfinished: bool = False
    is_abandoned: bool = False
    claims: int = 0

    @property
    def may_be_removed(self) -> bool:
        """Whether the create may still be running, and remove the VM when it fails."""
        return time.time() - self.created_at < LONGEST_CREATE_SECONDS


# The end of the year 9999, after which there is no `datetime`.
_LATEST = 253_402_300_799

_TEXTS = ("creation", "vm_id", "request_key", "request_digest")
_NUMBERS = ("created_at", "claims")
_FLAGS = ("start", "is_unfinished", "is_abandoned")


def write(notes: Notes) -> str:
    """The line for notes; ASCII, without a line break."""
    content = {name: getattr(notes, name) for name in (*_TEXTS, *_NUMBERS, *_FLAGS)}
    content["tags"] = dict(notes.tags)
    return json.dumps({MARK: {name: value for name, value in content.items() if value}}, separators=(",", ":"))


def read(text: str) -> Notes:
    """What our line in a VM's notes says; people may have changed it, so what is not of the right form is nothing."""
    return next((_read(line) for line in text.splitlines() if _is_ours(line)), Notes())


def without_unfinished(text: str) -> str:
    """Return a VM's notes without `is_unfinished`; lines that people have added stay."""
    return _changed(text, lambda notes: replace(notes, is_unfinished=False))


def abandoned(text: str) -> str:
    """Return a VM's notes with the mark that a failed create is removing the VM."""
    return _changed(text, lambda notes: replace(notes, is_abandoned=True))


def claimed(text: str, creation: str, vm_id: str) -> str:
    """Return a VM's notes after another try with the same key has taken the VM over."""
    return _changed(
        text,
        lambda notes: replace(notes, creation=creation, vm_id=vm_id, claims=notes.claims + 1, is_abandoned=False),
    )


def _changed(text: str, change: Callable[[Notes], Notes]) -> str:
    return "\n".join(write(change(_read(line))) if _is_ours(line) else line for line in text.splitlines())


def _is_ours(line: str) -> bool:
    return line.strip().startswith(f'{{"{MARK}"')


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
    created_at, claims = content.get("created_at"), content.get("claims")
    return Notes(
        tags=MappingProxyType(words),
        created_at=created_at if type(created_at) is int and 0 < created_at <= _LATEST else 0,
        claims=claims if type(claims) is int and claims > 0 else 0,
        start=content.get("start") is True,
        is_unfinished=content.get("is_unfinished") is True,
        is_abandoned=content.get("is_abandoned") is True,
        **texts,
    )
