"""The contract that a cloud fulfils: how one cloud means the verbs."""

from __future__ import annotations

import urllib.parse
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from typing import ClassVar, Protocol, Self

from providers.credentials import Credentials
from providers.domain import VM, Environment, LeftoverResource, Manner, Operation, VMSpec
from providers.errors import ProviderError, UnsupportedError
from providers.network import Network, port_of


class Work(Protocol):
    """What the gateway lends to a driver for one verb."""

    def finish(self, operation: Operation) -> Operation:
        """Wait until a step in between is done, in the project's one waiting loop, and return how it ended.

        Raises:
            ProviderError: the step failed, or the request's deadline passed.

        """

    def made(self, kind: str, made_id: str, remove: Callable[[], object]) -> None:
        """Tell of an object that a create has just made; `remove` is called if the create fails later on.

        Removal runs in reverse order. `remove` submits and waits itself (`finish`) where the next removal needs it. It
        raises `VMNotFoundError` if the object is gone, and `NotOwnedError` if the object belongs to another create.
        """

    def forget(self, made_id: str) -> None:
        """Take back `made`: the object turned out to be somebody else's."""


class Driver(ABC):
    """One environment seen with one caller's credentials; kept a while and used by many threads at once.

    What drivers promise to the gateway
    - A verb submits its work and returns at once with an `Operation`; only the last of several steps is left open.
    - Vendor errors pass through unharmed; `translate` says what they mean. An error that the driver finds itself is
      raised as a `ProviderError`. Either way nothing is retried that is not safe to repeat, and a log-in never.
    - What the cloud cannot do is refused with `UnsupportedError` before any change.
    - A VM outside of the environment's scope is not found, whatever the verb.
    - `CredentialsRejectedError` means that the cloud rejects the access key or the secret. The login throttle remembers
      it. A refusal for any other reason is a `CredentialsUnusableError`.
    - Each exchange with the backend is told to `providers.trace.current().call`.

    What drivers may count on
    - Ids match the cloud's pattern; a spec has passed `check_create`, credentials `check_credentials_form`.
    - `AlreadyInStateError` is made a success by the gateway.
    """

    vendor_errors: ClassVar[tuple[type[Exception], ...]]
    """What calls may raise beside `ProviderError`; everything in here can be translated."""

    @classmethod
    @abstractmethod
    def check_create(cls, environment: Environment, spec: VMSpec) -> None:
        """Refuse a spec that this cloud cannot make, before any call.

        Raises:
            InvalidRequestError, UnprocessableError, UnsupportedError

        """

    @classmethod
    def login_authority(cls, environment: Environment) -> str:
        """Return what checks the credentials: environments with the same one count failed log-ins together.

        By default, the host and port of the environment's url.
        """
        url = urllib.parse.urlsplit(environment.url)
        return f"{url.hostname}:{port_of(url)}"

    @classmethod  # noqa: B027 # not every cloud requires one
    def check_credentials_form(cls, credentials: Credentials) -> None:
        """Refuse credentials that do not have the form that the cloud requires, before anything is sent or remembered.

        Raises:
            CredentialsUnusableError: they do not.

        """

    @classmethod
    @abstractmethod
    def open(cls, environment: Environment, credentials: Credentials, network: Network) -> Self:
        """Log in where the cloud has a log-in; at most one try.

        Raises:
            CredentialsRejectedError: the cloud rejects the credentials.

        """

    @classmethod
    @abstractmethod
    def translate(cls, error: Exception) -> ProviderError:
        """What a vendor's error means, in our words; `error` is one of `vendor_errors`."""

    @abstractmethod
    def list_vms(self) -> Iterable[VM]:
        """All VMs of the environment, in any order, without templates and terminated ones."""

    def prove(self) -> None:
        """Make the cheapest call that the cloud answers only to whom it knows: for the first page of a list."""
        next(iter(self.list_vms()), None)

    @abstractmethod
    def get_vm(self, vm_id: str) -> VM:
        """One VM, asked for by its id.

        Raises:
            VMNotFoundError: not in this environment.

        """

    @abstractmethod
    def create_vm(self, spec: VMSpec, work: Work) -> Operation:
        """Make a VM; running at the end unless `spec.start` is false. Every object made is told to `work.made`."""

    @abstractmethod
    def start_vm(self, vm_id: str, work: Work) -> Operation:
        """Start a VM."""

    @abstractmethod
    def stop_vm(self, vm_id: str, work: Work, manner: Manner) -> Operation:
        """Ask the guest to shut down or, by force, cut the power, also while the guest was asked before.

        The gateway sees to it that the guest's time ends as the manner says; a cloud that can do so itself may be
        asked to, and then it happens also when nobody waits.
        """

    @abstractmethod
    def restart_vm(self, vm_id: str, work: Work, manner: Manner) -> Operation:
        """Ask the guest to reboot or, by force, take the power away and give it back.

        Raises:
            ConflictError: the VM is not running.

        """

    @abstractmethod
    def delete_vm(self, vm_id: str, work: Work) -> Operation:
        """Delete a VM, running or not, and everything that create made for it."""

    @abstractmethod
    def poll(self, operation: Operation) -> Operation:
        """Look once how a piece of work stands; a failed one comes back done, with its `failure`."""

    @abstractmethod
    def promise_removal(self, operation: Operation, work: Work) -> None:
        """Pass the objects of a failed create to `work.made`. The caller follows the create, which may be hours old.

        A removal checks that the object still bears the mark of this create and that nobody has used it since. It
        raises `NotOwnedError` for an object of another create. It raises `ConflictError` for a VM that runs, or that
        has run or was changed after the failure.
        """

    def list_leftovers(self) -> Iterable[LeftoverResource]:
        """Return what creates of this service left behind in the environment, in any order.

        A create that is still running may own some of them: callers judge by `created_at`.
        """
        return ()

    def remove_leftover(self, leftover: LeftoverResource, work: Work) -> None:  # noqa: ARG002 # see overrides
        """Remove one of `list_leftovers` and wait until it is gone. Checks first that it is still a leftover.

        Raises:
            ConflictError: it is in use by now, or `is_removable` is false.
            VMNotFoundError: it is gone.

        """
        raise UnsupportedError(f"A {leftover.kind} that was left behind cannot be removed on this cloud.")

    @abstractmethod
    def close(self) -> None:
        """Log out and close connections. Raises nothing; what fails is logged."""
