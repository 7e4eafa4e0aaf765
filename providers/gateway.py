"""The portable half: all that is alike on every cloud, once. Session, limits, deadline, waiting, errors, clean-up."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pkgutil import resolve_name

from providers import trace
from providers.answer_memory import MIB, AnswerMemory
from providers.circuit_breaker import OPEN_SECONDS, CircuitBreaker
from providers.credentials import Credentials
from providers.deadline import Deadline, running
from providers.domain import VM, Environment, LeftoverResource, Manner, Operation, StopMode, Verb, VMSpec
from providers.driver import Driver
from providers.errors import (
    AlreadyInStateError,
    CredentialsRejectedError,
    FieldFault,
    InvalidRequestError,
    ProviderError,
    UnsupportedError,
    VMNotFoundError,
)
from providers.limits import Bulkhead, RequestKind
from providers.login_throttle import LoginAttempt, LoginThrottle, LoginThrottledError
from providers.network import Network
from providers.sessions import SessionStore
from providers.waiting import TRANSIENT
from providers.work import UNTIL_DONE, RunningWork, Times, Wish, translated


@dataclass(frozen=True)
class Limits:
    """How much one process does at once and keeps; the times are in seconds.

    `requests_per_environment` limits reads, `changes_per_environment` changes. `threads` is how many requests the
    server runs at once: some threads remain for reads, and for requests that need no cloud.
    """

    requests_per_environment: int = 48
    changes_per_environment: int = 128
    threads: int = 256
    answer_memory_mib: int = 512
    circuit_open_seconds: float = OPEN_SECONDS
    times: Times = field(default_factory=Times)
    sessions: int = 256
    session_idle_seconds: float = 600.0
    session_lifetime_seconds: float = 3600.0

    @property
    def changes(self) -> int:
        """How many changes run at once in all environments together; they leave room for a read."""
        return max(1, min(self.threads * 3 // 4, self.requests - 1))

    @property
    def requests(self) -> int:
        """How many requests to clouds run at once in all environments together."""
        return max(min(self.threads, 2), self.threads * 15 // 16)


class Backends:
    """The cloud side of one process: how it reaches clouds, and the sessions that it keeps."""

    def __init__(
        self, network: Network, limits: Limits | None = None, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Create the cloud side; processes forked afterwards share the login throttle, which goes by `clock`."""
        limits = limits or Limits()
        self.login_throttle = LoginThrottle(clock=clock)
        self.network = network
        self.times = limits.times
        self.bulkhead = Bulkhead(
            reads_per_environment=limits.requests_per_environment,
            changes_per_environment=limits.changes_per_environment,
            max_changes=limits.changes,
            max_requests=limits.requests,
        )
        self.circuit_breaker = CircuitBreaker(limits.circuit_open_seconds)
        self.answer_memory = AnswerMemory(limits.answer_memory_mib * MIB)
        self.sessions: SessionStore[Driver] = SessionStore(
            most=limits.sessions,
            idle_seconds=limits.session_idle_seconds,
            lifetime_seconds=limits.session_lifetime_seconds,
        )

    def gateway(
        self, environment: Environment, credentials: Credentials, deadline: Deadline, client: str = ""
    ) -> Gateway:
        """Return the verbs for one environment and one caller until the deadline. `client` is the caller's address."""
        running = trace.current()
        running.environment, running.cloud = environment.name, environment.cloud.name
        running.access_key = credentials.access_key
        return Gateway(self, environment, credentials, deadline, client)

    def evict_others(self, environments: Iterable[Environment]) -> None:
        """Log out of all environments but these; one whose definition has changed is another one."""
        self.sessions.evict_others({_definition(environment) for environment in environments})

    def close(self) -> None:
        """Log out everywhere."""
        self.sessions.close()


class Gateway:
    """The verbs of one caller in one environment, in the same words for every cloud.

    Every verb raises `ProviderError` and nothing else for what a cloud did.
    """

    def __init__(
        self, backends: Backends, environment: Environment, credentials: Credentials, deadline: Deadline, client: str
    ) -> None:
        self._backends = backends
        self._environment = environment
        self._credentials = credentials
        self._deadline = deadline
        self._client = client
        self._driver_class = _driver_class(environment)
        self._failures: tuple[type[Exception], ...] = (ProviderError, *self._driver_class.vendor_errors)

    def list_vms(self) -> list[VM]:
        """All VMs of the environment, ordered by name, then id."""
        with self._session(RequestKind.READ) as driver:
            return sorted(driver.list_vms(), key=lambda vm: (vm.name, vm.id))

    def prove(self) -> None:
        """Let the cloud say whether it knows the caller, by the cheapest call."""
        with self._session(RequestKind.READ) as driver:
            driver.prove()

    def get_vm(self, vm_id: str) -> VM:
        """One VM."""
        self._check_id(vm_id)
        with self._session(RequestKind.READ) as driver:
            return driver.get_vm(vm_id)

    def create_vm(self, spec: VMSpec, wish: Wish = UNTIL_DONE) -> Operation:
        """Make a VM. When it fails, everything that it made is removed, and the error's `leftovers` lists it."""
        self._driver_class.check_create(self._environment, spec)
        with self._session(RequestKind.CHANGE) as driver:
            work = self._work(driver)
            try:
                operation = work.awaited(driver.create_vm(spec, work), wish)
                work.keep_made()
            except self._failures as error:
                failure = translated(driver, error)
                if failure.operation is not None:
                    work.keep_made()
                failure.leftovers = work.remove_made()
                if failure is error:
                    raise
                raise failure from error
            finally:
                # Also after a fault of our own, which nobody has foreseen.
                work.remove_made()
            return operation

    def start_vm(self, vm_id: str, wish: Wish = UNTIL_DONE) -> Operation:
        """Start a VM; one that runs already is a success."""
        return self._change(Verb.START, vm_id, lambda driver, work: driver.start_vm(vm_id, work), wish)

    def stop_vm(self, vm_id: str, mode: StopMode, timeout_seconds: float, wish: Wish = UNTIL_DONE) -> Operation:
        """Stop a VM; one that is stopped already is a success. `timeout_seconds` is how long the guest may take."""
        manner = Manner(mode, timeout_seconds)
        return self._change(
            Verb.STOP, vm_id, lambda driver, work: _bounded(driver.stop_vm(vm_id, work, manner), manner), wish
        )

    def restart_vm(self, vm_id: str, mode: StopMode, timeout_seconds: float, wish: Wish = UNTIL_DONE) -> Operation:
        """Restart a running VM, in the same modes as a stop."""
        manner = Manner(mode, timeout_seconds)
        return self._change(
            Verb.RESTART, vm_id, lambda driver, work: _bounded(driver.restart_vm(vm_id, work, manner), manner), wish
        )

    def delete_vm(self, vm_id: str, wish: Wish = UNTIL_DONE) -> Operation:
        """Delete a VM, running or not, and everything that create made for it."""
        return self._change(Verb.DELETE, vm_id, lambda driver, work: driver.delete_vm(vm_id, work), wish)

    def list_leftovers(self) -> list[LeftoverResource]:
        """Return what creates of this service left behind, ordered by kind, name and id."""
        with self._session(RequestKind.READ) as driver:
            return sorted(driver.list_leftovers(), key=lambda found: (found.kind, found.name, found.id))

    def remove_leftover(self, leftover: LeftoverResource) -> None:
        """Remove a leftover; one that is gone is a success."""
        with self._session(RequestKind.CHANGE) as driver, suppress(VMNotFoundError):
            driver.remove_leftover(leftover, self._work(driver))

    def poll(self, operation: Operation) -> Operation:
        """Poll an operation once. One that failed comes back done, with its `failure`.

        This also does what the verb promised: it forces a stop whose guest was given its time, and removes what a
        failed create made. A poll that fails in passing changes nothing.
        """
        try:
            return self._polled(operation)
        except LoginThrottledError:
            raise
        except TRANSIENT as error:
            return replace(operation, retry_after_seconds=error.retry_after_seconds)

    def _polled(self, operation: Operation) -> Operation:
        with self._session(RequestKind.READ) as driver:
            work = self._work(driver)
            if not operation.handle and operation.verb is Verb.DELETE:
                # Nothing below calls the cloud, which must know the caller all the same.
                driver.prove()
            operation = work.look(operation)
            if operation.failure is not None and operation.verb is Verb.CREATE:
                driver.promise_removal(operation, work)
                operation.failure.leftovers = work.remove_made()
            # Whoever follows an operation polls again: a VM that cannot be shown now is not waited for.
            return work.represented(operation, Deadline.after(0))

    def _change(
        self, verb: Verb, vm_id: str, submit: Callable[[Driver, RunningWork], Operation], wish: Wish
    ) -> Operation:
        self._check_id(vm_id)
        with self._session(RequestKind.CHANGE) as driver:
            work = self._work(driver)
            try:
                operation = submit(driver, work)
            except AlreadyInStateError:
                operation = Operation(verb, vm_id, done=True)
            return work.awaited(operation, wish)

    @contextmanager
    def _session(self, kind: RequestKind) -> Iterator[Driver]:
        """Lend the driver of this caller, within all limits; what it raises leaves here as `ProviderError`."""
        name, backends = self._environment.name, self._backends
        with (
            backends.bulkhead.acquire(name, kind),
            backends.circuit_breaker.request(name),
            backends.answer_memory.request(),
            running(self._deadline),
            self._driver() as driver,
        ):
            yield driver

    @contextmanager
    def _driver(self) -> Iterator[Driver]:
        """Lend the driver unless the login throttle refuses the credentials, and tell it how the request ends."""
        self._driver_class.check_credentials_form(self._credentials)
        backends, definition = self._backends, _definition(self._environment)
        authority = f"{self._environment.cloud.name} {self._driver_class.login_authority(self._environment)}"
        target = f"{self._environment.cloud.name} in environment {self._environment.name!r}"
        with backends.login_throttle.attempt(authority, self._credentials, self._client, target) as attempt:
            try:
                with backends.sessions.lease(definition, self._credentials, lambda: self._open(attempt)) as driver:
                    yield driver
            except self._failures as error:
                failure = attempt.judge(translated(self._driver_class, error))
                if isinstance(failure, CredentialsRejectedError):
                    backends.sessions.evict(definition, self._credentials)
                if failure is error:
                    raise
                raise failure from error

    def _work(self, driver: Driver) -> RunningWork:
        return RunningWork(driver, self._deadline, self._backends.times)

    def _open(self, attempt: LoginAttempt) -> Driver:
        # A request that came in time for the throttle may come too late for the log-in that was refused meanwhile.
        attempt.check()
        try:
            return self._driver_class.open(self._environment, self._credentials, self._backends.network)
        except self._failures as error:
            # Before the next request can open a session.
            attempt.judge(translated(self._driver_class, error))
            raise

    def _check_id(self, vm_id: str) -> None:
        cloud = self._environment.cloud
        if not cloud.vm_id_pattern.fullmatch(vm_id):
            raise InvalidRequestError(
                f"This is not the id of a VM on {cloud.name}; one looks like {cloud.vm_id_example}.",
                fields=(FieldFault("id", f"must look like {cloud.vm_id_example}"),),
            )


def _bounded(operation: Operation, manner: Manner) -> Operation:
    """The operation with the time that the guest is given, unless it was forced."""
    if manner.forced or operation.done:
        return operation
    guest_until = time.time() + manner.guest_seconds
    return replace(operation, guest_until=guest_until, then_force=manner.mode is StopMode.AUTO)


def _definition(environment: Environment) -> str:
    """Everything that the file says about an environment: a session must not outlive a change of it."""
    return repr(environment)


def _driver_class(environment: Environment) -> type[Driver]:
    """The cloud's driver, imported when first needed: SDKs are slow to import.

    Raises:
        UnsupportedError: this version has none.

    """
    cloud = environment.cloud
    if cloud.driver is None:
        raise UnsupportedError(
            f"Environment {environment.name!r} is on {cloud.name}, which this version of the service does not support."
        )
    found: type[Driver] = resolve_name(cloud.driver)
    return found
