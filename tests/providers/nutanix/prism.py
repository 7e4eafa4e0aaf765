"""Simulated Prisms, and the way to them: through the gateway, as our callers."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

from providers.credentials import Credentials
from providers.domain import Environment, Idempotency, Offer, OperatingSystem, Operation, VMSpec
from providers.gateway import Backends, Gateway
from providers.network import Network
from providers.nutanix import CLOUD
from providers.sandbox.authority import Authority
from providers.sandbox.nutanix import CLUSTER, IMAGE_NAME, NETWORK, PASSWORD, USER, NutanixSandbox
from providers.waiting import Deadline
from providers.work import Wish

API = Literal["v2", "v3", "v4"]
APIS: tuple[API, ...] = ("v2", "v3", "v4")
DEMO = Credentials(USER, PASSWORD)
USER_DATA = b"#cloud-config\npassword: correct-horse-battery\n"
REACHED = Network(connect_timeout_seconds=5.0, read_timeout_seconds=10.0)
AT_ONCE = Wish(patience_seconds=0.0)

LIST = {"v2": "v2.0 GET /vms", "v3": "v3 POST /vms/list", "v4": "v4 GET /ahv/config/vms"}
GET = {"v2": "v2.0 GET /vms/{uuid}", "v3": "v3 GET /vms/{uuid}", "v4": "v4 GET /ahv/config/vms/{extId}"}
CREATE = {"v2": "v2.0 POST /vms", "v3": "v3 POST /vms", "v4": "v4 POST /ahv/config/vms"}
DELETE = {"v2": "v2.0 DELETE /vms/{uuid}", "v3": "v3 DELETE /vms/{uuid}", "v4": "v4 DELETE /ahv/config/vms/{extId}"}
TASK = {"v2": "v2.0 GET /tasks/{uuid}", "v3": "v3 GET /tasks/{uuid}", "v4": "v4 GET /config/tasks/{extId}"}
START = {
    "v2": "v2.0 POST /vms/{uuid}/set_power_state",
    "v3": "v3 PUT /vms/{uuid}",
    "v4": "v4 POST /ahv/config/vms/{extId}/$actions/power-on",
}


@dataclass
class Prism:
    """One Prism. All gateways share the sessions of one process, unless they are given others."""

    sandbox: NutanixSandbox
    ca_file: str
    api: API
    backends: Backends = field(default_factory=lambda: Backends(REACHED))

    def environment(self, **changes: object) -> Environment:
        """The cluster, with its API named."""
        options: dict[str, object] = {
            "name": "prism1",
            "cloud": CLOUD,
            "url": self.sandbox.url,
            "ca_file": self.ca_file,
            "network_id": NETWORK,
            "project": "" if self.api == "v2" else CLUSTER,
            "options": {"api_version": (self.api,)},
        }
        return Environment(**{**options, **changes})  # type: ignore[arg-type] # a test names keys that there are

    def gateway(
        self,
        credentials: Credentials = DEMO,
        *,
        seconds: float = 20.0,
        backends: Backends | None = None,
        **changes: object,
    ) -> Gateway:
        """A caller's verbs, until a deadline that is so many seconds away."""
        deadline = Deadline.after(seconds, first_pause_seconds=0.03)
        return (backends or self.backends).gateway(self.environment(**changes), credentials, deadline)

    def create(self, gateway: Gateway | None = None, **fields: Any) -> str:
        """Make a VM; its id."""
        vm_id = (gateway or self.gateway()).create_vm(spec(**fields)).vm_id
        assert vm_id is not None
        return vm_id

    def states(self) -> dict[str, str]:
        """Each VM's state, by id."""
        return {vm.uuid: vm.state for vm in self.sandbox.vms()}

    def remains(self) -> list[str]:
        """All that a create could have made."""
        vms, disks = self.sandbox.vms(), self.sandbox.disks()
        return [*(vm.uuid for vm in vms), *(disk.uuid for disk in disks), *self.sandbox.unmade()]

    def operations(self) -> list[str]:
        """The calls served, in order."""
        return [call.operation for call in self.sandbox.calls.list()]

    def finished(self, operation: Operation) -> Operation:
        """The end of an operation, followed as a poller does."""
        seen = [operation]

        def done() -> bool:
            seen[0] = self.gateway().poll(seen[0])
            return seen[0].done

        wait_until(done, pause=0.03)
        return seen[0]


@contextmanager
def running_prism(
    authority: Authority, api: API, *, clusters: int = 1, versions: tuple[str, ...] | None = None
) -> Iterator[Prism]:
    """A Prism that speaks an API."""
    old = ("v3",) if api == "v3" else None
    kind: Literal["element", "central"] = "element" if api == "v2" else "central"
    sandbox = NutanixSandbox(authority, kind=kind, versions=versions or old, clusters=clusters, task_seconds=0.02)
    with sandbox:
        quicken(sandbox)
        prism = Prism(sandbox, str(authority.ca_file), api)
        try:
            yield prism
        finally:
            prism.backends.close()


def quicken(sandbox: NutanixSandbox) -> None:
    """Let a Prism do in moments what takes seconds."""
    sandbox.knobs.task_seconds = 0.02
    sandbox.knobs.guest_seconds = 0.05


def spec(key: str = "", digest: str = "digest-1", image: str = IMAGE_NAME, **fields: Any) -> VMSpec:
    """A VM with cloud-init, 20 GiB and a start, unless told otherwise."""
    options: dict[str, Any] = {
        "name": "test1",
        "os": OperatingSystem("Linux", "Debian", 20),
        "offer": Offer("ecs.g1.c2m4", image, 2, 4096),
        "cloud_init": USER_DATA,
        "idempotency": Idempotency(key, digest) if key else None,
    }
    return VMSpec(**{**options, **fields})


def wait_until(condition: Callable[[], bool], *, seconds: float = 8.0, pause: float = 0.02) -> None:
    """Wait for a condition to hold."""
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "the condition was not met in time"
        time.sleep(pause)
