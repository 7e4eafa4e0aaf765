"""The service of a process: its registries and its cloud side; started once, reloaded at will."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace

from django.conf import settings
from rest_framework.request import Request

from providers.credentials import Credentials
from providers.deadline import Deadline
from providers.domain import Environment, MachineType
from providers.errors import ErrorCode
from providers.excerpts import excerpt
from providers.gateway import Backends, Gateway
from vms.client_address import client_network
from vms.problems import Problem
from vms.registries import Registries, load_registries


@dataclass(frozen=True)
class Service:
    """Looks names up and leads to the cloud side."""

    registries: Registries
    backends: Backends

    def environment(self, name: str, *, status: int | None = None) -> Environment:
        """The environment of that name; `status` is the HTTP status if there is none, where it is not the usual one.

        Raises:
            Problem: `environment_not_found`.

        """
        found = self.registries.environments.get(name)
        if found is None:
            raise Problem(
                ErrorCode.ENVIRONMENT_NOT_FOUND,
                f"There is no environment {excerpt(name, 80)!r}. `GET /environment` lists those that are configured.",
                status=status,
            )
        return found

    def machine_type(self, name: str, *, status: int | None = None) -> MachineType:
        """The machine type of that name.

        Raises:
            Problem: `machinetype_not_found`.

        """
        found = self.registries.machine_types.get(name)
        if found is None:
            raise Problem(
                ErrorCode.MACHINETYPE_NOT_FOUND,
                f"There is no machine type {excerpt(name, 80)!r}. `GET /machinetype` lists those that are configured.",
                status=status,
            )
        return found

    def offered(self, name: str, environment: Environment) -> MachineType:
        """The machine type of that name, which the environment must offer.

        Raises:
            Problem: `machinetype_not_found`.

        """
        found = self.machine_type(name)
        offered = self.registries.offered(environment)
        if found not in offered:
            names = ", ".join(machine_type.name for machine_type in offered) or "none at all"
            raise Problem(
                ErrorCode.MACHINETYPE_NOT_FOUND,
                f"Environment {environment.name!r} does not offer the machine type {name!r}; it offers {names}.",
            )
        return found

    def gateway(self, environment: Environment, request: Request) -> Gateway:
        """The verbs, with the request's credentials and deadline."""
        return self.gateway_of(environment, credentials_of(request), client_network(request))

    def gateway_of(self, environment: Environment, credentials: Credentials, client: str = "") -> Gateway:
        """Return the verbs with these credentials and a new deadline. `client` is the caller's address."""
        deadline = Deadline.after(settings.CLOUDVM_REQUEST_DEADLINE_SECONDS)
        return self.backends.gateway(environment, credentials, deadline, client)


def credentials_of(request: Request) -> Credentials:
    """Return the credentials that authenticated a request."""
    assert isinstance(request.auth, Credentials)  # noqa: S101 - the permission class has let only those in
    return request.auth


def read_registries() -> Registries:
    """Read the files that the settings name.

    Raises:
        RegistryError: with every fault of both files.

    """
    return load_registries(settings.CLOUDVM_ENVIRONMENTS_FILE, settings.CLOUDVM_MACHINETYPES_FILE)


def start_service(threads: int | None = None) -> Service:
    """Make the service of this process from the settings. Call this before the first request.

    `threads` is how many requests the server runs at once, if that is known.

    Worker processes should be forks of the process that calls it: they share the login throttle then.

    Raises:
        RegistryError: the files cannot be used.

    """
    limits = settings.CLOUDVM_LIMITS
    limits = replace(limits, threads=threads) if threads else limits
    _process.service = Service(read_registries(), Backends(settings.CLOUDVM_NETWORK, limits))
    return _process.service


def reload_service() -> Service:
    """Read the files again and use them from the next request on. Keep sessions of unchanged environments.

    Raises:
        RegistryError: the files cannot be used; the service stays as it is.

    """
    # Of two reloads at once, the one that reads last must be the one that counts.
    with _process.lock:
        registries = read_registries()
        service = _process.service = replace(_started_service(), registries=registries)
    service.backends.evict_others(registries.environments.values())
    return service


def current_service() -> Service:
    """Return the service of the current request, or of the process outside of requests."""
    return _pinned.get() or _started_service()


@contextmanager
def pinned_service() -> Iterator[None]:
    """Let the current request keep its registries when the files are reloaded meanwhile."""
    token = _pinned.set(_started_service())
    try:
        yield
    finally:
        _pinned.reset(token)


def _started_service() -> Service:
    if _process.service is None:
        raise RuntimeError("start_service was not called in this process")
    return _process.service


@dataclass
class _Process:
    """The service of this process, once it is started. The lock serialises reloads."""

    service: Service | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)


_process = _Process()
_pinned: ContextVar[Service | None] = ContextVar("cloudvm_service", default=None)
