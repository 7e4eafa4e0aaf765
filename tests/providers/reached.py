"""A simulator, and the way to it through the gateway, as our callers go."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Generic, TypeVar

from providers.credentials import Credentials
from providers.deadline import Deadline
from providers.domain import Environment, Idempotency, Offer, OperatingSystem, Operation, VMSpec
from providers.gateway import Backends, Gateway
from providers.network import Network
from providers.sandbox.simulator import Simulator
from providers.work import Wish
from tests.support.limits import LIMITS
from tests.support.waiting import wait_until

USER_DATA = b"#cloud-config\npassword: correct-horse-battery\n"
AT_ONCE = Wish(patience_seconds=0.0)
NETWORK = Network(connect_timeout_seconds=5.0, read_timeout_seconds=10.0)

S = TypeVar("S", bound=Simulator)


@dataclass
class Reached(ABC, Generic[S]):
    """A simulator. All gateways share the sessions of one process, unless they are given others."""

    sandbox: S
    ca_file: str
    backends: Backends = field(default_factory=lambda: Backends(NETWORK, LIMITS), kw_only=True)
    # Who calls, unless a test says otherwise.
    demo: ClassVar[Credentials]

    @property
    @abstractmethod
    def keys(self) -> dict[str, object]:
        """What the environment says beside its `url` and `ca_file`."""

    def environment(self, **changes: object) -> Environment:
        """The environment, with other keys where a test says so."""
        keys = {"url": self.sandbox.url, "ca_file": self.ca_file, **self.keys, **changes}
        return Environment(**keys)  # type: ignore[arg-type] # a test names keys that there are

    def gateway(
        self,
        credentials: Credentials | None = None,
        *,
        seconds: float = 20.0,
        backends: Backends | None = None,
        place: Mapping[str, str] | None = None,
        **changes: object,
    ) -> Gateway:
        """A caller's verbs, until a deadline that is so many seconds away; `place` are more keys of the environment."""
        deadline = Deadline.after(seconds)
        environment = self.environment(**changes, **(place or {}))
        return (backends or self.backends).gateway(environment, credentials or self.demo, deadline)

    def operations(self) -> list[str]:
        """The calls served, in order."""
        return [call.operation for call in self.sandbox.calls.list()]

    def awaited(self, operation: Operation) -> Operation:
        """The end of an operation, waited for as the gateway does: each look goes on from the one before."""
        seen = [operation]

        def done() -> bool:
            seen[0] = self.gateway().poll(seen[0])
            return seen[0].done

        wait_until(done, pause=0.03)
        return seen[0]

    def finished(self, operation: Operation, gateway: Gateway | None = None) -> Operation:
        """The end of an operation, followed as a caller does, who holds the first handle to the last."""
        seen = [operation]

        def done() -> bool:
            seen[0] = (gateway or self.gateway()).poll(operation)
            return seen[0].done

        wait_until(done, pause=0.03)
        return seen[0]


def wanted(image: str, key: str = "", digest: str = "digest-1", **fields: Any) -> VMSpec:
    """A VM with cloud-init, 20 GiB and a start, unless told otherwise."""
    options: dict[str, Any] = {
        "name": "test1",
        "os": OperatingSystem("Linux", "Debian", 20),
        "offer": Offer("ecs.g1.c2m4", image, 2, 4096),
        "cloud_init": USER_DATA,
        "idempotency": Idempotency(key, digest) if key else None,
    }
    return VMSpec(**{**options, **fields})
