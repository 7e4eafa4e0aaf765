"""What a VM is, on every cloud: the frozen values that pass between the HTTP side, the gateway and the drivers."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType

from providers.cloud import Cloud
from providers.credentials import Secret, SecretBytes
from providers.errors import ProviderError

NOTHING: Mapping[str, str] = MappingProxyType({})


class VMStatus(StrEnum):
    """Where a VM is in its life; a cloud's word that we don't know is `UNKNOWN`, never an error."""

    CREATING = "creating"
    STARTING = "starting"
    RUNNING = "running"
    STOPPING = "stopping"
    STOPPED = "stopped"
    SUSPENDED = "suspended"
    RESTARTING = "restarting"
    DELETING = "deleting"
    ERROR = "error"
    UNKNOWN = "unknown"


class StopMode(StrEnum):
    """How a VM is stopped or restarted.

    AUTO asks the guest and cuts the power after a while; GRACEFUL only asks; FORCE cuts at once.
    """

    AUTO = "auto"
    GRACEFUL = "graceful"
    FORCE = "force"


@dataclass(frozen=True, slots=True)
class Manner:
    """How a VM is to be stopped or restarted; `guest_seconds` is how long its guest may take where it is asked."""

    mode: StopMode
    guest_seconds: float = 0.0

    @property
    def forced(self) -> bool:
        """Whether the power is cut without asking the guest."""
        return self.mode is StopMode.FORCE


FORCED = Manner(StopMode.FORCE)


class Verb(StrEnum):
    """What can be done to a VM; the same words in the API, in operation tokens and in logs."""

    CREATE = "create"
    START = "start"
    STOP = "stop"
    RESTART = "restart"
    DELETE = "delete"


@dataclass(frozen=True, slots=True)
class VM:
    """One VM as its cloud last described it. What the cloud did not tell is None or empty."""

    id: str
    name: str
    status: VMStatus
    provider_status: str
    instance_type: str | None = None
    cpus: int | None = None
    memory_mib: int | None = None
    ip_addresses: tuple[str, ...] = ()
    created_at: datetime | None = None
    tags: Mapping[str, str] = field(default_factory=lambda: NOTHING)


@dataclass(frozen=True)
class Environment:
    """One place where VMs live, as the file describes it; blank means not given.

    What `network_id`, `vpc_id`, `project` and `storage_external_id` mean is each cloud's affair and stands in
    the README. `ca_file` is an absolute path. `options` holds the keys that the cloud itself adds, each a tuple
    of one or more texts.
    """

    name: str
    cloud: Cloud
    url: str = ""
    region: str = ""
    network_id: str = ""
    vpc_id: str = ""
    project: str = ""
    storage_external_id: str = ""
    account_id: str = ""
    subscription_id: str = ""
    tls_verify: bool = True
    ca_file: str = ""
    options: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True)
class OperatingSystem:
    """What runs on a machine type. `disk_gib` is the least size of the system disk; None means the image's own."""

    os_type: str
    distribution: str = ""
    disk_gib: int | None = None


@dataclass(frozen=True)
class Offer:
    """What a machine type is on one cloud: the cloud's own size, or CPUs and memory, and the image."""

    instance_type: str
    image: str
    cpus: int | None = None
    memory_mib: int | None = None


@dataclass(frozen=True)
class MachineType:
    """A size and a system under one name, with an offer for each cloud that has it (by `Cloud.name`)."""

    name: str
    os: OperatingSystem
    offers: Mapping[str, Offer]


@dataclass(frozen=True)
class Idempotency:
    """A caller's promise that requests with this key are one request; `digest` stands for the content."""

    key: str
    digest: str


@dataclass(frozen=True)
class VMSpec:
    """A VM to be made. `cloud_init` (decoded) and `admin_password` are secrets that `vars` and `repr` do not show."""

    name: str
    os: OperatingSystem
    offer: Offer
    cloud_init: bytes | None = None
    tags: Mapping[str, str] = field(default_factory=lambda: NOTHING)
    start: bool = True
    idempotency: Idempotency | None = None
    admin_password: Secret | None = None

    def __post_init__(self) -> None:
        """Hide cloud-init, which callers give as plain bytes."""
        if self.cloud_init is not None:
            object.__setattr__(self, "cloud_init", SecretBytes(self.cloud_init))

    def request_key(self, environment: str) -> str:
        """What stands for the caller's key, which is a promise about one VM in one environment.

        64 hexadecimal digits, and empty without a key.
        """
        if self.idempotency is None:
            return ""
        return hashlib.sha256(json.dumps([self.idempotency.key, environment]).encode()).hexdigest()

    @property
    def request_digest(self) -> str:
        """What stands for the content of a request with a key; empty without one."""
        return self.idempotency.digest if self.idempotency else ""


@dataclass(frozen=True)
class LeftoverResource:
    """An object in a cloud that a create of this service left behind, and that no finished VM uses.

    Attributes:
        kind: what it is: `vm`, `disk`, `nic`, `folder`, `iso`.
        id: the cloud's id, by which `Driver.remove_leftover` finds it again.
        name: the name that people see in the cloud.
        created_at: when it was made; None where neither the cloud nor our mark says so.
        detail: how it is known to be a leftover, for people.
        is_removable: whether removing it is known to be safe. A VM that may have run since is listed only.

    """

    kind: str
    id: str
    name: str
    created_at: datetime | None
    detail: str
    is_removable: bool = True


@dataclass(frozen=True)
class Operation:
    """One piece of work that a cloud has accepted.

    Attributes:
        verb: what is being done.
        vm_id: the VM, None as long as the cloud has not named it.
        handle: the driver's own words by which `Driver.poll` finds the work again; never a secret. Empty if the work
            was done when it was asked for.
        done: whether nothing more is to come.
        failure: why it failed, when it is done and failed.
        vm: the VM as the last look showed it, where looking shows it.
        retry_after_seconds: how long the cloud asks to wait before the next look.
        guest_until: Unix time until which the guest may take to obey; None where no guest is asked.
        then_force: whether it is forced after that time; otherwise it is given up.

    """

    verb: Verb
    vm_id: str | None
    handle: str = ""
    done: bool = False
    failure: ProviderError | None = None
    vm: VM | None = None
    retry_after_seconds: float | None = None
    guest_until: float | None = None
    then_force: bool = False
