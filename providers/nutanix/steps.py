"""What an operation's handle holds: one task, or one search in a list of VMs."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from typing import Final

from providers.nutanix.records import Action

CREATE: Final = "create"
CLAIM: Final = "claim"
DELETE: Final = "delete"
# The power is cut because a running VM could not be deleted.
OFF_TO_DELETE: Final = "off to delete"
# See `searches`.
SETTLE: Final = "settle"
FIND: Final = "find"
SOLE: Final = "sole"
SETTLE_INTENT: Final = "settle intent"


@dataclass(frozen=True)
class Step:
    """One task, or what is waited for. `Operation.handle` is its text: the next poll may be another process's.

    Attributes:
        do: one of the constants above, or an `Action`.
        task: the task; empty where the VM itself is polled.
        again: how often the same was asked for before.
        cut: whether the VM's power was cut so that it can be deleted.
        name: the name of the VM that is searched for.
        mark: the creation, or the request key, of the VM. The VM of a create that has none stays if the step fails.
        seconds_left: how long the search goes on, not counting time in which Prism cannot be reached.
        seen_at: when the search last got an answer, on the monotonic clock.

    """

    do: str
    task: str = ""
    again: int = 0
    cut: bool = False
    name: str = ""
    mark: str = ""
    seconds_left: float = 0.0
    seen_at: float = 0.0

    @classmethod
    def read(cls, handle: str) -> Step:
        """Return the step that a handle holds, also one of an older version."""
        known = {one.name for one in fields(cls)}
        return cls(**{name: value for name, value in json.loads(handle).items() if name in known})

    def __str__(self) -> str:
        return json.dumps({key: value for key, value in asdict(self).items() if value}, separators=(",", ":"))

    @property
    def action(self) -> Action | None:
        """The change of the VM's power, if the step is one."""
        return Action(self.do) if self.do in set(Action) else None
