"""The mark of a create, in the tag of its VM and in the names of the objects that it makes."""

from __future__ import annotations

import re
import secrets
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

# Eight digits are the time: an inline network interface can carry no tag, and Azure tells no time of its creation.
_TIME_LENGTH: Final = 8
_LENGTH: Final = 16
_LONGEST_STEM: Final = 36
# Marks of 12 digits hold no time (version 1.0.0). Azure may append eight digits to the name of a network interface.
_NAME: Final = re.compile(r".+-(?P<kind>nic|os)-(?P<mark>[0-9a-f]{16}|[0-9a-f]{12})(-[0-9a-f]{8})?", re.IGNORECASE)
_FIRST_YEAR: Final = 2026


@dataclass(frozen=True)
class Made:
    """The names of what one create makes."""

    name: str
    creation: str

    @property
    def disk(self) -> str:
        """The system disk's name."""
        return f"{self.name[:_LONGEST_STEM]}-os-{self.creation[:_LENGTH]}"

    @property
    def nic(self) -> str:
        """The network interface's name, to which Azure may append something."""
        return f"{self.name[:_LONGEST_STEM]}-nic-{self.creation[:_LENGTH]}"


@dataclass(frozen=True)
class Mark:
    """The beginning of a creation, as the name of a network interface or disk holds it."""

    kind: str
    text: str

    @property
    def made_at(self) -> datetime | None:
        """When the create began; None for marks without a time."""
        return began_at(self.text) if len(self.text) == _LENGTH else None

    def is_of(self, creation: str) -> bool:
        """Return whether this is the mark of a creation."""
        return creation.lower().startswith(self.text)


def new_creation() -> str:
    """Return 32 hexadecimal digits: the time, then random ones."""
    return f"{int(time.time()):0{_TIME_LENGTH}x}{secrets.token_hex(12)}"


def began_at(creation: str) -> datetime | None:
    """Return when a create began; None for a text that holds no time."""
    try:
        return datetime.fromtimestamp(int(creation[:_TIME_LENGTH], 16), UTC)
    except ValueError:
        return None


def is_nic_named(shown: str, wanted: str) -> bool:
    """Return whether an interface is the one that was to be named so. Azure may append to it, and change its case."""
    return f"{shown}-".lower().startswith(f"{wanted}-".lower())


def read_mark(name: str) -> Mark | None:
    """Return the mark in the name of a network interface or disk; None where it is not one of ours."""
    found = _NAME.fullmatch(name)
    if found is None:
        return None
    mark = Mark(found["kind"].lower(), found["mark"].lower())
    # A time that cannot be right: somebody else's name, which only looks alike.
    if mark.made_at is not None and not _FIRST_YEAR <= mark.made_at.year <= datetime.now(UTC).year + 1:
        return None
    return mark
