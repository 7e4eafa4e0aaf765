"""What a piece of work waits for, written into `Operation.handle` so that any process can look how it stands."""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass, field


@dataclass(frozen=True)
class Goal:
    """The end of a piece of work.

    Attributes:
        call: the API's name for what was asked, for messages.
        task: the server's id of the task that does it; blank where there is none.
        vm: the server's id of the VM, where it is known.
        state: the power state at the end.
        creation: the create that this is the last step of; see `Draft`.
        digest: what stands for the content of that create, if it has an Idempotency-Key.
        files: the folder on a datastore that the create has made for the VM, if it has made one.
        disk: the create's own disk in that folder.
        name, folder: where to search for the VM of a create that was not answered.
        since: since when (Unix time).

    """

    call: str
    task: str = ""
    vm: str = ""
    state: str = ""
    creation: str = ""
    digest: str = ""
    files: str = ""
    disk: str = ""
    name: str = ""
    folder: str = ""
    since: float = field(default_factory=lambda: round(time.time(), 1))

    @classmethod
    def read(cls, handle: str) -> Goal:
        """The goal in a handle."""
        return cls(**json.loads(handle))

    def __str__(self) -> str:
        return json.dumps({key: value for key, value in asdict(self).items() if value}, separators=(",", ":"))

    @property
    def age_seconds(self) -> float:
        """Time since the work began."""
        return time.time() - self.since
