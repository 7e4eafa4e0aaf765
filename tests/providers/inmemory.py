"""A cloud in memory: an honest driver for tests of what is alike on every cloud. Its troubles are data."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import ClassVar, Self

from providers.cloud import Cloud
from providers.credentials import Credentials
from providers.deadline import exchange_seconds
from providers.domain import VM, Environment, Manner, Offer, OperatingSystem, Operation, Verb, VMSpec, VMStatus
from providers.driver import Driver, Work
from providers.errors import (
    AlreadyInStateError,
    BackendFailureError,
    ConflictError,
    CredentialsRejectedError,
    CredentialsUnusableError,
    PermissionDeniedError,
    ProviderError,
    VMNotFoundError,
)
from providers.login_throttle import credentials_accepted
from providers.network import Network

SECRET = "right"
SPEC = VMSpec("test1", OperatingSystem("Linux"), Offer("small", "image"))


class VendorError(Exception):
    """What the vendor's SDK raises; its text is a code."""


MEANINGS: dict[str, type[ProviderError]] = {
    "gone": VMNotFoundError,
    "denied": PermissionDeniedError,
    "locked": ConflictError,
    "rejected": CredentialsRejectedError,
}


@dataclass
class State:
    """The cloud itself: its VMs and disks, how often it was asked, and what goes wrong.

    `trouble` has, for the name of a call, what is to be raised in order (None: nothing); `looks` is how many looks a
    piece of work takes, `boot_looks` the last one of a create; `failure` is how work on a VM ends, and `deaf` means
    that guests do not stop when they are asked. `allowed` is how long the last exchange of each name might take.
    """

    vms: dict[str, VMStatus] = field(default_factory=dict)
    disks: list[str] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)
    trouble: dict[str, list[Exception | None]] = field(default_factory=dict)
    failure: ProviderError | None = None
    looks: int = 0
    boot_looks: int = 0
    deaf: bool = False
    retry_after_seconds: float | None = None
    allowed: dict[str, float] = field(default_factory=dict)
    opened: int = 0
    closed: int = 0

    def call(self, name: str) -> None:
        """One exchange."""
        self.calls.append(name)
        self.allowed[name] = exchange_seconds(60.0)
        coming = self.trouble.get(name)
        error = coming.pop(0) if coming else None
        if error is not None:
            raise error
        if name != "login":
            credentials_accepted()


class InMemoryDriver(Driver):
    """Its environment's `url` names the state."""

    vendor_errors: ClassVar[tuple[type[Exception], ...]] = (VendorError,)
    states: ClassVar[dict[str, State]] = {}

    def __init__(self, state: State) -> None:
        self._state = state
        state.opened += 1

    @classmethod
    def check_create(cls, environment: Environment, spec: VMSpec) -> None:
        """Everything can be made here."""

    @classmethod
    def check_credentials_form(cls, credentials: Credentials) -> None:
        """A secret has no blanks."""
        if " " in credentials.secret:
            raise CredentialsUnusableError("A secret has no blanks here.")

    @classmethod
    def open(cls, environment: Environment, credentials: Credentials, network: Network) -> Self:  # noqa: ARG003 - the contract's signature
        """A log-in, by secret."""
        state = cls.states[environment.url]
        state.call("login")
        if credentials.secret != SECRET:
            raise VendorError("rejected")
        return cls(state)

    @classmethod
    def translate(cls, error: Exception) -> ProviderError:
        """By a table."""
        return MEANINGS.get(str(error), BackendFailureError)(f"The cloud says: {error}")

    def list_vms(self) -> Iterable[VM]:
        self._state.call("list")
        return [self._vm(vm_id) for vm_id in self._state.vms]

    def get_vm(self, vm_id: str) -> VM:
        self._state.call("get")
        return self._vm(vm_id)

    def create_vm(self, spec: VMSpec, work: Work) -> Operation:
        state = self._state
        for disk in ("disk-1", "disk-2"):
            state.call(f"create {disk}")
            state.disks.append(disk)
            work.made("disk", disk, self._removal("disk", disk, state.disks.remove))
            work.finish(self._begun(Verb.CREATE, None))
        state.call("create vm")
        state.vms["vm-1"] = VMStatus.STOPPED
        work.made("vm", "vm-1", self._removal("vm", "vm-1", state.vms.pop))
        state.call("boot")
        state.vms["vm-1"] = VMStatus.RUNNING
        looks = max(state.looks, state.boot_looks)
        return Operation(
            Verb.CREATE, "vm-1", str(looks), done=looks == 0, retry_after_seconds=state.retry_after_seconds
        )

    def start_vm(self, vm_id: str, work: Work) -> Operation:
        self._state.call("start")
        if self._vm(vm_id).status is VMStatus.RUNNING:
            raise AlreadyInStateError
        self._state.vms[vm_id] = VMStatus.RUNNING
        return self._begun(Verb.START, vm_id)

    def stop_vm(self, vm_id: str, work: Work, manner: Manner) -> Operation:
        self._state.call("force stop" if manner.forced else "stop")
        if self._vm(vm_id).status is VMStatus.STOPPED:
            raise AlreadyInStateError
        if manner.forced or not self._state.deaf:
            self._state.vms[vm_id] = VMStatus.STOPPED
        return replace(self._begun(Verb.STOP, vm_id), done=True) if manner.forced else self._begun(Verb.STOP, vm_id)

    def restart_vm(self, vm_id: str, work: Work, manner: Manner) -> Operation:
        self._state.call("force restart" if manner.forced else "restart")
        operation = self._begun(Verb.RESTART, vm_id)
        if manner.forced:
            return replace(operation, done=True)
        return replace(operation, handle="deaf") if self._state.deaf else operation

    def delete_vm(self, vm_id: str, work: Work) -> Operation:
        self._state.call("delete")
        self._vm(vm_id)
        del self._state.vms[vm_id]
        return self._begun(Verb.DELETE, vm_id)

    def poll(self, operation: Operation) -> Operation:
        self._state.call("poll")
        if operation.handle == "deaf" or (
            operation.verb is Verb.STOP and self._vm(operation.vm_id or "").status is not VMStatus.STOPPED
        ):
            return replace(operation, retry_after_seconds=self._state.retry_after_seconds)
        left = int(operation.handle) - 1
        if left > 0:
            return replace(operation, handle=str(left), retry_after_seconds=self._state.retry_after_seconds)
        # Steps in between have no VM, and go well.
        return replace(operation, done=True, failure=self._state.failure if operation.vm_id else None)

    def promise_removal(self, operation: Operation, work: Work) -> None:
        vm_id = operation.vm_id or ""

        def remove() -> None:
            if self._vm(vm_id).status is VMStatus.RUNNING:
                raise ConflictError(f"VM {vm_id} runs.")
            self.delete_vm(vm_id, work)

        work.made("vm", vm_id, remove)

    def close(self) -> None:
        self._state.closed += 1

    def _vm(self, vm_id: str) -> VM:
        if vm_id not in self._state.vms:
            raise VendorError("gone")
        return VM(vm_id, f"name of {vm_id}", self._state.vms[vm_id], self._state.vms[vm_id].value)

    def _begun(self, verb: Verb, vm_id: str | None) -> Operation:
        looks = self._state.looks
        done = looks == 0 and not (self._state.deaf and verb in {Verb.STOP, Verb.RESTART})
        return Operation(verb, vm_id, str(looks), done=done, retry_after_seconds=self._state.retry_after_seconds)

    def _removal(self, kind: str, made_id: str, remove: Callable[[str], object]) -> Callable[[], object]:
        def removal() -> None:
            self._state.call(f"remove {made_id}")
            remove(made_id)

        return removal


CLOUD = Cloud(
    name="Memory",
    driver=f"{__name__}.InMemoryDriver",
    vm_id_pattern=re.compile(r"vm-[0-9]+"),
    vm_id_example="vm-1",
    cloud_init_limit_bytes=1024,
)
