"""What a search for leftovers reads: volumes of a storage, past tasks of a node, privileges of the caller."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any


@dataclass(frozen=True)
class Volume:
    """A volume of a storage; `created_at` is None where its file system does not tell."""

    id: str
    created_at: datetime | None


@dataclass(frozen=True)
class PastTask:
    """A task in a node's list; `vm_id` is empty where it is not about one VM."""

    kind: str
    vm_id: str
    begun_at: datetime
    is_running: bool
    succeeded: bool


@dataclass(frozen=True)
class Privileges:
    """The caller's privileges by path, each with whether it holds below the path, too."""

    by_path: Mapping[str, Mapping[str, bool]]

    def has_below(self, path: str, privilege: str) -> bool:
        """Whether the caller has a privilege on everything below a path."""
        return self.by_path.get(path, {}).get(privilege, False)

    def has(self, path: str, privilege: str) -> bool:
        """Whether the caller has a privilege on a path, by itself or from the path above it."""
        if path in self.by_path:
            return privilege in self.by_path[path]
        return self.has_below(path.rpartition("/")[0] or "/", privilege)


def read_volume(entry: Mapping[str, Any]) -> Volume:
    """Read an entry of a storage's content."""
    created = entry.get("ctime")
    return Volume(str(entry["volid"]), datetime.fromtimestamp(int(created), UTC) if created else None)


def read_past_task(entry: Mapping[str, Any]) -> PastTask:
    """Read an entry of a node's tasks, whose `status` is the exit status once it has ended."""
    status = str(entry.get("status") or "RUNNING")
    return PastTask(
        kind=str(entry.get("type", "")),
        vm_id=str(entry.get("id") or ""),
        begun_at=datetime.fromtimestamp(int(entry["starttime"]), UTC),
        is_running=status == "RUNNING",
        succeeded=status == "OK" or status.startswith("WARNINGS:"),
    )


def read_privileges(answer: Mapping[str, Any]) -> Privileges:
    """Read the answer of `GET /access/permissions`. A path without any privilege is not in it."""
    return Privileges(
        {
            str(path): {str(name): bool(int(propagates)) for name, propagates in held.items()}
            for path, held in answer.items()
        }
    )
