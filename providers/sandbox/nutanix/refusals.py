"""What a Prism refuses, apart from how each API says it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto


class Reason(Enum):
    """Why a call is refused."""

    NO_CREDENTIALS = auto()
    BAD_CREDENTIALS = auto()
    DENIED = auto()
    UNKNOWN_CALL = auto()
    UNKNOWN_METHOD = auto()
    NOT_JSON = auto()
    BAD_BODY = auto()
    BAD_QUERY = auto()
    INVALID = auto()
    NO_SUCH_ENTITY = auto()
    EDIT_CONFLICT = auto()
    REQUEST_ID_MISSING = auto()
    ETAG_MISSING = auto()
    ETAG_MALFORMED = auto()
    ETAG_STALE = auto()
    THROTTLED = auto()


@dataclass(frozen=True)
class Violation:
    """One thing that is wrong with a body or a query, and where."""

    path: str
    message: str


class Refusal(Exception):  # noqa: N818 - it is an answer, not an accident
    """A call that is refused, before anything has happened."""

    def __init__(
        self,
        reason: Reason,
        message: str = "",
        *,
        violations: Sequence[Violation] = (),
        details: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message or reason.name)
        self.reason = reason
        self.message = message
        self.violations = tuple(violations)
        self.details = details or {}


class NoSuchEntityError(Refusal):
    """There is no VM, image, subnet, … with this uuid."""

    def __init__(self, kind: str, uuid: str) -> None:
        super().__init__(Reason.NO_SUCH_ENTITY, f"{kind} {uuid} does not exist", details={"kind": kind, "uuid": uuid})
        self.kind = kind
        self.uuid = uuid


@dataclass(frozen=True)
class Trouble:
    """What went wrong in a task: Acropolis's number and words, and v4's code and group."""

    detail: str
    number: int = 1
    code: str = "VMM-10000"
    group: str = "INTERNAL_ERROR"
    arguments: Mapping[str, str] = field(default_factory=dict)


class TaskFailure(Exception):  # noqa: N818 - an outcome of a task
    """What ends a task in failure."""

    def __init__(self, trouble: Trouble) -> None:
        super().__init__(trouble.detail)
        self.trouble = trouble


def invalid_state(state: str) -> TaskFailure:
    """A transition that the VM's power state does not allow, in Acropolis's words (its number is 17)."""
    detail = f"InvalidVmState: Cannot complete request in state {state.capitalize()}"
    return TaskFailure(Trouble(detail, 17, "VMM-30200", "VM_INVALID_POWER_STATE", {"power_state": state}))


def no_host_resources() -> TaskFailure:
    """No host has room for the VM."""
    detail = "NoHostResources: No host has enough available memory for VM"
    return TaskFailure(Trouble(detail, 2, "VMM-30201", "VM_NO_HOST_RESOURCES"))


def no_space() -> TaskFailure:
    """The storage container has no room for the disk."""
    return TaskFailure(Trouble("NoSpace: Storage container is out of space", 3, "VMM-30202", "VM_DISK_NO_SPACE"))


def missing(kind: str, uuid: str) -> TaskFailure:
    """What the task's VM should be made of is not there."""
    detail = f"NotFound: {kind} {uuid} does not exist"
    return TaskFailure(Trouble(detail, 5, "VMM-30203", f"{kind.upper()}_NOT_FOUND", {"uuid": uuid}))


def stale_timestamp(given: int, current: int) -> Trouble:
    """The VM has changed since its logical timestamp was read."""
    return Trouble(f"InvalidArgument: VM logical timestamp {given} does not match the current {current}", 7)


def stale_etag(given: str, current: str) -> Trouble:
    """The VM has changed since the ETag was read (VMM-30303, as the vendor's Terraform provider knows it)."""
    detail = (
        f"Failed to perform the operation on the VM with the If-Match header value passed '{given}' "
        f"because it doesn't match the current value in the server '{current}'."
    )
    return Trouble(detail, 4, "VMM-30303", "VM_ETAG_MISMATCH")
