"""What stands in the headers of clouds' answers."""

from __future__ import annotations

from typing import Final

_LONGEST_NUMBER: Final = 18


def whole_number(text: str) -> int | None:
    """A whole number, such as the seconds of a Retry-After; None for anything else, a date among it.

    `isdigit` alone also takes what no number can be read from.
    """
    return int(text) if text.isascii() and text.isdigit() and len(text) <= _LONGEST_NUMBER else None
