"""The `Prefer` header (RFC 7240): how long the caller waits, and whether the VM is to be shown afterwards."""

from __future__ import annotations

import re
from dataclasses import dataclass

from providers.work import Wish

LONGEST_WAIT_SECONDS = 86_400

# What stands between commas; a comma within quotes separates nothing. No way back in here: it takes time in
# proportion to the header, whatever that holds.
PART = re.compile(r'(?:[^,"]|"(?:[^"\\]|\\.)*+"?)++')


@dataclass(frozen=True)
class Preferences:
    """What the caller prefers, as far as it is understood; RFC 7240 has the rest ignored."""

    respond_async: bool = False
    wait_seconds: int | None = None
    representation: bool = False

    def wish(self, *, always_show: bool = False) -> Wish:
        """The same for the gateway. `wait` bounds what `respond-async` would not wait for at all."""
        patience = float(self.wait_seconds) if self.wait_seconds is not None else None
        if self.respond_async and patience is None:
            patience = 0.0
        return Wish(patience_seconds=patience, representation=self.representation or always_show)

    def applied(self, *, accepted: bool, shown: bool) -> str:
        """The value of `Preference-Applied`: what had an effect on this answer; empty for nothing."""
        honoured = [
            "respond-async" if self.respond_async and accepted else "",
            f"wait={self.wait_seconds}" if self.wait_seconds is not None else "",
            "return=representation" if self.representation and shown else "",
        ]
        return ", ".join(word for word in honoured if word)


def parse_prefer(header: str) -> Preferences:
    """The preferences in a `Prefer` header; of one that comes twice the first counts."""
    first: dict[str, str] = {}
    for part in PART.findall(header):
        name, _, value = part.partition(";")[0].partition("=")
        first.setdefault(name.strip().lower(), value.strip().strip('"'))
    wait = first.get("wait", "")
    return Preferences(
        respond_async="respond-async" in first,
        wait_seconds=min(int(wait), LONGEST_WAIT_SECONDS) if re.fullmatch(r"[0-9]{1,9}", wait) else None,
        representation=first.get("return", "").lower() == "representation",
    )
