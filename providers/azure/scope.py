"""Which VMs of the resource group are the environment's: those of its region, as this session has seen them lately.

Azure's verbs take a name and no region. Whoever asks for a VM by a name that nobody has seen lately is looked up first;
in a group that has VMs of one region only, or after a look at the VM, the verb goes out at once.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from typing import Final

from providers.azure.records import Machine

MEMORY_SECONDS: Final = 300.0
MOST_NAMES: Final = 10_000


class Scope:
    """What one session has seen of its resource group; used by many threads."""

    def __init__(self, region: str) -> None:
        self._region = region
        self._lock = threading.Lock()
        self._here: dict[str, float] = {}
        self._elsewhere: frozenset[str] = frozenset()
        self._listed_at = float("-inf")

    def holds(self, machine: Machine) -> bool:
        """Whether a VM is in the region."""
        return machine.region == self._region

    def saw_all(self, machines: Iterable[Machine]) -> None:
        """Remember a whole list of the group."""
        elsewhere = frozenset(machine.name.lower() for machine in machines if not self.holds(machine))
        with self._lock:
            self._elsewhere, self._listed_at = elsewhere, time.monotonic()
            self._here = {} if not elsewhere else {n: at for n, at in self._here.items() if n not in elsewhere}

    def saw(self, name: str) -> None:
        """Remember that a VM is here."""
        with self._lock:
            if len(self._here) >= MOST_NAMES:
                self._here.clear()
            self._here[name.lower()] = time.monotonic()

    def is_here(self, name: str) -> bool:
        """Whether a VM of that name, if there is one, is known to be in the region."""
        oldest = time.monotonic() - MEMORY_SECONDS
        with self._lock:
            if name.lower() in self._elsewhere:
                return False
            return self._here.get(name.lower(), oldest) > oldest or (self._listed_at > oldest and not self._elsewhere)
