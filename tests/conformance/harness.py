"""What a cloud must offer so that the suite can be run on it."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType
from typing import ClassVar

from tests.support.api import Api


class Trouble(Enum):
    """What can go wrong with a backend, in words that mean something on every cloud."""

    PERMISSION_DENIED = "the caller may not do this"
    THROTTLED = "too many requests, come back after a time that the backend names"
    QUOTA = "the account's limit is reached"
    NO_CAPACITY = "no room for another VM just now"
    SERVER_ERROR = "an error 500 in the backend's own form"
    HTML = "a page of HTML with status 200"
    GATEWAY = "a gateway's error 503, while the backend behind it is away"
    CUT = "the connection is dropped"
    LOST_ANSWER = "the call takes effect, and the connection is dropped before the answer"
    SLOW = "no answer for a long time"
    BOOT_FAILS = "a VM is accepted, and fails before it runs"
    GUEST_DEAF = "guests do not react to being asked to stop"
    SLOW_WORK = "accepted work takes half a second"
    SLOW_LOG_IN = "log-ins take a second"


@dataclass(frozen=True)
class Budgets:
    """The most backend calls that a request may cost with a warm session, polls aside."""

    list_page: int
    list_page_size: int
    get: int
    start: int
    stop: int
    restart: int
    delete: int
    create: int


@dataclass(frozen=True)
class Features:
    """What a cloud can and cannot do, as far as tests must know it; the contract's words, no cloud's name.

    `cloud_init_limit_bytes` is that of the backend, where its cloud has several with limits of their own.
    `logs_in`: a session begins with a log-in, so that not every call proves who the caller is.
    `shares_creates`: repeated creates of one session wait for the first one's VM instead of getting a conflict.
    """

    unique_names: bool = False
    tags_in_list: bool = True
    quotas: bool = True
    stops_before_delete: bool = False
    cloud_init_limit_bytes: int | None = None
    logs_in: bool = True
    shares_creates: bool = True


class Harness(ABC):
    """One backend: a simulator, or a peer that others wrote.

    `verb_operations` names the backend's operation by which each verb (and `list`, `get`) does its work;
    `poll_operations` are those by which it looks how work stands. `prelude` are those that come before a log-in and
    carry no credentials. `known_gaps` names tests that the backend cannot pass, and why: `test_name`, or
    `test_name:word` for those of its parameters that hold the word.
    """

    name: ClassVar[str]
    cloud: ClassVar[str]
    access_key: ClassVar[str]
    secret: ClassVar[str]
    budgets: ClassVar[Budgets]
    features: ClassVar[Features]
    unknown_id: ClassVar[str]
    malformed_ids: ClassVar[tuple[str, ...]]
    verb_operations: ClassVar[Mapping[str, str]]
    poll_operations: ClassVar[frozenset[str]]
    prelude: ClassVar[frozenset[str]] = frozenset()
    known_gaps: ClassVar[Mapping[str, str]] = MappingProxyType({})

    @abstractmethod
    def start(self) -> None:
        """Start the backend."""

    @abstractmethod
    def stop(self) -> None:
        """Stop it; leaves nothing behind."""

    @abstractmethod
    def reset(self) -> None:
        """Back to the start: no VM, no trouble, nothing counted."""

    @property
    @abstractmethod
    def url(self) -> str:
        """Where it listens, by https."""

    @property
    @abstractmethod
    def ca_file(self) -> str:
        """The certificate authority that vouches for it."""

    @property
    @abstractmethod
    def environment(self) -> dict[str, object]:
        """The environment's entry in the file, without `name`, `url` and `ca_file`."""

    @property
    @abstractmethod
    def offer(self) -> dict[str, object]:
        """The machine type's entry for the cloud."""

    @abstractmethod
    def seed(self, count: int, *, state: str = "running") -> list[str]:
        """Make VMs behind the API's back and return their ids."""

    def warm_up(self, api: Api) -> None:  # noqa: B027 - most backends have nothing to do here
        """Let the caller's session do what a session does only once, beyond the log-in."""

    def let_time_pass(self) -> None:  # noqa: B027 - most backends tell a first start by other facts than its time
        """Let a minute pass for the VMs that there are."""

    def acquaint(self, api: Api) -> None:  # noqa: B027 - to most backends an id says all
        """Let the caller's session see the VMs that there are, where one that it has not seen costs a look more."""

    @abstractmethod
    def seed_elsewhere(self) -> str:
        """Make a VM outside of the environment's scope, reachable with the same credentials, and return its id."""

    @abstractmethod
    def trouble(self, trouble: Trouble, operation: str = "*", *, times: int | None = None, skip: int = 0) -> None:
        """Let something go wrong with an operation (of `verb_operations`) from now on."""

    @abstractmethod
    def reset_trouble(self) -> None:
        """No trouble from now on; the VMs stay."""

    @abstractmethod
    def retry_after(self, seconds: int) -> None:
        """Let throttled calls be told to come back after this time, instead of after 7 seconds."""

    @abstractmethod
    def change_secret(self, secret: str) -> None:
        """Give the caller's access key another secret and end its sessions."""

    @abstractmethod
    def rejected_log_ins(self) -> int:
        """How many log-ins were refused so far."""

    def admit(self, secret: str) -> str:
        """Let a caller in with this secret, and return the access key."""
        self.change_secret(secret)
        return self.access_key

    def issued_secrets(self) -> list[str]:
        """Return what log-ins have given so far: tickets, cookies and tokens."""
        return []

    @abstractmethod
    def echo_in_errors(self, text: str, operation: str = "*") -> None:
        """Let every call (of one operation) be refused with an error that quotes this text."""

    @abstractmethod
    def fail_boot(self, message: str = "") -> None:
        """Let the next VM that is made fail before it runs, with this message."""

    @abstractmethod
    def operations(self) -> list[str]:
        """The backend's operations that were called, in order; each attempt counts."""

    def has_accepted(self, verb: str) -> bool:
        """Whether the backend has begun a verb's work."""
        return self.verb_operations[verb] in self.operations()

    @abstractmethod
    def forget_operations(self) -> None:
        """Count anew."""

    @property
    def waiting_operations(self) -> frozenset[str]:
        """The operations that a create repeats, one after the other, while it waits."""
        return self.poll_operations

    @abstractmethod
    def calls_answered(self) -> int:
        """Return how many calls were answered since they were last forgotten."""

    @abstractmethod
    def watch_calls(self, on_arrival: Callable[[str], None] | None) -> None:
        """Call `on_arrival` with the operation of each call before the backend carries it out; None ends this."""

    @abstractmethod
    def connections(self) -> int:
        """How many connections were made to the backend so far."""

    @property
    def removal_operations(self) -> frozenset[str]:
        """The operations that remove what creates left behind."""
        return frozenset({self.verb_operations["delete"]})

    def leave_behind(self, api: Api) -> None:
        """Let a create fail before its VM is finished, and then its clean-up; leaves the trouble in place."""
        self.trouble(Trouble.BOOT_FAILS)
        for operation in self.removal_operations:
            self.trouble(Trouble.PERMISSION_DENIED, operation)
        assert api.create("left").status >= 400

    @abstractmethod
    def user_data(self, vm_id: str) -> bytes | None:
        """What the guest's cloud-init finds."""

    @abstractmethod
    def objects(self) -> frozenset[str]:
        """Everything that costs money or space: VMs, disks, network interfaces, images made for one VM."""

    @abstractmethod
    def states(self) -> dict[str, str]:
        """`running` or `stopped` (or another word while in between) for each VM, by id."""

    def costly(self) -> list[str]:
        """The operations that count for a budget: all but the polls after the last that is none."""
        called = self.operations()
        while called and called[-1] in self.poll_operations:
            called.pop()
        return called
