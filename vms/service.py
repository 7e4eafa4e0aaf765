"""The one thing that a process keeps: its registries and its cloud side, made from the settings when first needed."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from django.conf import settings
from rest_framework.request import Request

from providers.credentials import Credentials
from providers.deadline import Deadline
from providers.domain import Environment, MachineType
from providers.errors import ErrorCode
from providers.gateway import Backends, Gateway, Limits
from providers.network import Network
from vms.attempts import Attempts
from vms.problems import Problem
from vms.registries import Registries, load_registries


@dataclass(frozen=True)
class Service:
    """Looks names up and leads to the cloud side."""

    registries: Registries
    backends: Backends
    attempts: Attempts = field(default_factory=Attempts)

    def environment(self, name: str, *, status: int | None = None) -> Environment:
        """The environment of that name; `status` is the HTTP status if there is none, where it is not the usual one.

        Raises:
            Problem: `environment_not_found`.

        """
        found = self.registries.environments.get(name)
        if found is None:
            raise Problem(
                ErrorCode.ENVIRONMENT_NOT_FOUND,
                f"There is no environment {name[:80]!r}. `GET /environment` lists those that are configured.",
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
                f"There is no machine type {name[:80]!r}. `GET /machinetype` lists those that are configured.",
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
        assert isinstance(request.auth, Credentials)  # noqa: S101 - the permission class has let only those in
        return self.gateway_of(environment, request.auth)

    def gateway_of(self, environment: Environment, credentials: Credentials) -> Gateway:
        """The verbs, with these credentials and a request's deadline."""
        deadline = Deadline.after(settings.CLOUDVM_REQUEST_DEADLINE_SECONDS)
        return self.backends.gateway(environment, credentials, deadline)


def current_service() -> Service:
    """The service as the settings describe it, made once for each.

    Raises:
        RegistryError: the files cannot be used.

    """
    return _make(
        settings.CLOUDVM_ENVIRONMENTS_FILE,
        settings.CLOUDVM_MACHINETYPES_FILE,
        settings.CLOUDVM_NETWORK,
        settings.CLOUDVM_LIMITS,
    )


@lru_cache(maxsize=8)
def _make(environments_file: Path, machinetypes_file: Path, network: Network, limits: Limits) -> Service:
    return Service(load_registries(environments_file, machinetypes_file), Backends(network, limits))
