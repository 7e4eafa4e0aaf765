"""What passes between the three clients and the driver: VMs, tasks, images and VMs to be made, as frozen values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum, StrEnum
from math import prod
from typing import Any, Final

from providers import notes
from providers.domain import VM, VMStatus
from providers.excerpts import excerpt
from providers.notes import Notes

# `power_state` of v2.0's get.dto.uhura.VmConfigDTO, which has the words of the other two and more.
STATES: Final[Mapping[str, VMStatus]] = {
    "ON": VMStatus.RUNNING,
    "OFF": VMStatus.STOPPED,
    "PAUSED": VMStatus.SUSPENDED,
    "SUSPENDED": VMStatus.SUSPENDED,
    "POWERING_ON": VMStatus.STARTING,
    "RESUMING": VMStatus.STARTING,
    "SHUTTING_DOWN": VMStatus.STOPPING,
    "POWERING_OFF": VMStatus.STOPPING,
    "PAUSING": VMStatus.STOPPING,
    "SUSPENDING": VMStatus.STOPPING,
    "RESETTING": VMStatus.RESTARTING,
    "MIGRATING": VMStatus.RUNNING,
    # What v3 says of an intent that is not carried out yet, or has come to nothing.
    "PENDING": VMStatus.CREATING,
    "DELETE_PENDING": VMStatus.DELETING,
    "ERROR": VMStatus.ERROR,
}


# No text of a Prism is read further: a traceback in place of a message would be searched for words for minutes.
LONGEST_MESSAGE: Final = 500


# How much later than the beginning of a create its VM may be made, clocks that differ included.
MOST_QUEUED_SECONDS: Final = 3600.0


class Action(StrEnum):
    """What can be done to a VM's power."""

    ON = "on"
    RESUME = "resume"
    OFF = "off"
    SHUTDOWN = "shutdown"
    REBOOT = "reboot"
    RESET = "reset"

    @property
    def goal(self) -> VMStatus:
        """Where it brings a VM."""
        return VMStatus.STOPPED if self in {Action.OFF, Action.SHUTDOWN} else VMStatus.RUNNING


@dataclass(frozen=True)
class Machine:
    """One VM as a Prism describes it; `word` is its power state in the API's own word.

    `cluster` is blank on Prism Element, which has but one. v2.0 and v3 tell `version`, which each change of the VM
    raises. v3 and v4 tell `is_copy`, whether it was made of another VM. Only v3 tells `updates`, how often its
    specification was changed, and `is_failed_create`: the VM was never made, and what was asked for is still shown.
    """

    id: str
    name: str
    word: str
    description: str = ""
    cluster: str = ""
    cpus: int | None = None
    memory_mib: int | None = None
    ip_addresses: tuple[str, ...] = ()
    created_at: datetime | None = None
    version: int | None = None
    updates: int = 0
    is_failed_create: bool = False
    is_copy: bool = False

    @property
    def status(self) -> VMStatus:
        """The status in our words."""
        return STATES.get(self.word.upper(), VMStatus.UNKNOWN)

    @property
    def notes(self) -> Notes:
        """What we have noted of the VM."""
        return notes.read(self.description)

    def is_of_key(self, key: str) -> bool:
        """Whether a try with a key has made it. What has come to nothing is removed by the try that it belongs to."""
        return self.notes.request_key == key and self.status is not VMStatus.ERROR and not self.has_copied_note

    @property
    def is_original(self) -> bool:
        """Whether the VM was made when its note was written. A copy made later has the note, too."""
        return bool(self.notes.created_at) and not self.has_copied_note

    @property
    def has_copied_note(self) -> bool:
        """Whether the VM is known to be a copy of that for which its note was written."""
        notes = self.notes
        if self.is_copy or notes.vm_id not in {"", self.id}:
            return True
        if not notes.created_at or self.created_at is None:
            return False
        return abs(self.created_at.timestamp() - notes.created_at) >= MOST_QUEUED_SECONDS

    @property
    def vm(self) -> VM:
        """The VM as answers show it."""
        return VM(
            id=self.id,
            name=self.name,
            status=self.status,
            provider_status=self.word,
            cpus=self.cpus,
            memory_mib=self.memory_mib,
            ip_addresses=self.ip_addresses,
            created_at=self.created_at,
            tags=self.notes.tags,
        )


def cpus_of(sockets: Any, *per_socket: Any) -> int | None:
    """All CPUs of a VM: None if a Prism tells no sockets, and one of whatever else it does not tell."""
    return None if sockets is None else int(sockets) * prod(int(one or 1) for one in per_socket)


def moment_of(text: Any) -> datetime | None:
    """A moment as v3 and v4 write it, if it is told."""
    return datetime.fromisoformat(text) if text else None


class TaskStatus(Enum):
    """How far a task is."""

    RUNNING = "it has not ended"
    SUCCEEDED = "it ended well"
    FAILED = "it failed, or somebody has cancelled it"


@dataclass(frozen=True)
class TaskState:
    """A task: how far it is, the VM that it is about (blank if untold), and why it failed."""

    status: TaskStatus
    vm_id: str = ""
    code: str = ""
    message: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "code", excerpt(self.code, LONGEST_MESSAGE))
        object.__setattr__(self, "message", excerpt(self.message, LONGEST_MESSAGE))


@dataclass(frozen=True)
class Submitted:
    """A VM whose making was accepted: the task, and the VM's id where it is told at once."""

    task: str
    vm_id: str = ""


@dataclass(frozen=True)
class Image:
    """A disk image; `disk` is the virtual disk that v2.0 clones, `size_bytes` None where it is not told."""

    id: str
    name: str
    is_disk: bool = True
    disk: str = ""
    size_bytes: int | None = None


@dataclass(frozen=True)
class Place:
    """A network or a cluster; `cluster` is the one that a network belongs to, blank if it is not told."""

    id: str
    name: str
    cluster: str = ""


@dataclass(frozen=True)
class NewMachine:
    """A VM to be made. `start` says whether it is to run; `request` is a uuid that is the same for each try."""

    name: str
    cpus: int
    memory_mib: int
    image: Image
    network: str
    description: str
    cluster: str = ""
    container: str = ""
    disk_bytes: int | None = None
    user_data: bytes | None = field(default=None, repr=False)
    start: bool = True
    request: str = ""
