"""A simulated cluster, and the ways to it: through the gateway as our callers, over PVE's own API as a stranger."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from providers.credentials import Credentials
from providers.domain import Environment, Idempotency, Offer, OperatingSystem, Operation, VMSpec
from providers.gateway import Backends, Gateway
from providers.network import Network
from providers.proxmox import CLOUD
from providers.sandbox.authority import Authority
from providers.sandbox.proxmox import IMPORT_IMAGE, ISO_IMAGE, PASSWORD, TEMPLATE_ID, TOKEN_ID, TOKEN_SECRET, USER
from providers.sandbox.proxmox import ProxmoxSandbox as Sandbox
from providers.waiting import Deadline
from providers.work import Wish
from tests.sandbox.proxmox import Caller

VM = "/nodes/{node}/qemu/{vmid}"
VMS = "/nodes/{node}/qemu"
STORAGE = "/nodes/{node}/storage/{storage}"
TASK = "GET /nodes/{node}/tasks/{upid}/status"
QEMU = "/nodes/pve/qemu"

BY_TOKEN = Credentials(TOKEN_ID, TOKEN_SECRET)
BY_PASSWORD = Credentials(USER, PASSWORD)
TEMPLATE_IMAGE = f"template/{TEMPLATE_ID}"
IMAGES = (IMPORT_IMAGE, TEMPLATE_IMAGE, ISO_IMAGE)
USER_DATA = b"#cloud-config\npassword: correct-horse-battery\n"
AT_ONCE = Wish(patience_seconds=0.0)

NETWORK = Network(connect_timeout_seconds=5.0, read_timeout_seconds=10.0)


@dataclass
class Pve:
    """The cluster. All gateways share the sessions of one process, unless they are given others."""

    sandbox: Sandbox
    ca_file: str
    backends: Backends = field(default_factory=lambda: Backends(NETWORK))

    def environment(self, **changes: object) -> Environment:
        """Its first node, with disks on local-lvm."""
        options: dict[str, object] = {
            "name": "pve1",
            "cloud": CLOUD,
            "url": self.sandbox.url,
            "ca_file": self.ca_file,
            "vpc_id": "node/pve",
            "storage_external_id": "storage/pve/local-lvm",
        }
        return Environment(**{**options, **changes})  # type: ignore[arg-type] # a test names keys that there are

    def gateway(
        self,
        credentials: Credentials = BY_TOKEN,
        *,
        seconds: float = 20.0,
        backends: Backends | None = None,
        **changes: object,
    ) -> Gateway:
        """A caller's verbs, until a deadline that is so many seconds away."""
        # The first pause suits tasks of a fiftieth of a second.
        deadline = Deadline.after(seconds, first_pause_seconds=0.03)
        return (backends or self.backends).gateway(self.environment(**changes), credentials, deadline)

    def stranger(self) -> Caller:
        """Somebody else at PVE's own API."""
        return Caller(self.sandbox.url, self.ca_file).with_token()

    def create(self, image: str = IMPORT_IMAGE, gateway: Gateway | None = None, **fields: Any) -> str:
        """Make a VM; its id."""
        vm_id = (gateway or self.gateway()).create_vm(spec(image, **fields)).vm_id
        assert vm_id is not None
        return vm_id

    def made(self) -> tuple[list[int], list[str]]:
        """The VMs and the volumes that came after the start."""
        vms = [vm.id for vm in self.sandbox.vms()]
        return vms, [volume.id for volume in self.sandbox.volumes()]

    def rest(self) -> None:
        """Wait until no task runs any more."""
        wait_until(lambda: all(task.exit_status is not None for task in self.sandbox.tasks()))

    def operations(self) -> list[str]:
        """The calls served, in order."""
        return [call.operation for call in self.sandbox.calls.list()]

    def finished(self, operation: Operation, gateway: Gateway | None = None) -> Operation:
        """The end of an operation, followed as a caller does, who holds the first handle to the last."""
        seen = [operation]

        def done() -> bool:
            seen[0] = (gateway or self.gateway()).poll(operation)
            return seen[0].done

        wait_until(done, pause=0.03)
        return seen[0]


@contextmanager
def running_pve(authority: Authority, task_seconds: float = 0.02) -> Iterator[Pve]:
    """A cluster of one's own, for what goes on beside others."""
    with Sandbox(authority, task_seconds=task_seconds) as sandbox:
        pve = Pve(sandbox, str(authority.ca_file))
        try:
            yield pve
        finally:
            pve.backends.close()


def spec(image: str = IMPORT_IMAGE, key: str = "", digest: str = "digest-1", **fields: Any) -> VMSpec:
    """A VM with cloud-init, 20 GiB and a start, unless told otherwise."""
    options: dict[str, Any] = {
        "name": "test1",
        "os": OperatingSystem("Linux", "Debian", 20),
        "offer": Offer("ecs.g1.c2m4", image, 2, 4096),
        "cloud_init": USER_DATA,
        "idempotency": Idempotency(key, digest) if key else None,
    }
    return VMSpec(**{**options, **fields})


def wait_until(condition: Callable[[], bool], *, seconds: float = 30.0, pause: float = 0.02) -> None:
    """Wait for a condition to hold."""
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "the condition was not met in time"
        time.sleep(pause)


def seeded(pve: Pve, state: str = "running") -> str:
    """One VM that nobody has made by this project."""
    return str(pve.sandbox.seed(1, state=state)[0])
