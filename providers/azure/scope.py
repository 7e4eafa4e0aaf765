"""Which VMs of the resource group are the environment's: those of its region, as this session has seen them lately.

Azure's verbs take a name and no region. A VM that this session has not seen lately, in a list or by itself, is looked
up first: it may be another region's, and what a list does not show no verb touches. Usually it has been seen, and the
verb goes out at once. What remains is a VM that others delete and make anew elsewhere within that time.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from providers.azure.attachments import Disk, NetworkInterface
from providers.azure.records import Machine
from providers.memory import Marks

MEMORY_SECONDS: Final = 300.0
MOST_NAMES: Final = 10_000


class Scope:
    """What one session has seen of its resource group; used by many threads."""

    def __init__(self, region: str) -> None:
        self._region = region
        self._seen: Marks[str] = Marks(MOST_NAMES)

    def holds(self, resource: Machine | NetworkInterface | Disk) -> bool:
        """Whether a resource is in the region."""
        return resource.region == self._region

    def saw_all(self, machines: Iterable[Machine]) -> None:
        """Remember those VMs of a list that are here."""
        for machine in machines:
            (self.saw if self.holds(machine) else self.forget)(machine.name)

    def saw(self, name: str) -> None:
        """Remember that a VM is here."""
        self._seen.mark(name.lower(), MEMORY_SECONDS)

    def forget(self, name: str) -> None:
        """A VM is elsewhere, or goes: whoever has the name next may be anywhere."""
        self._seen.remove(name.lower())

    def is_here(self, name: str) -> bool:
        """Whether a VM of that name was seen in the region lately."""
        return name.lower() in self._seen
