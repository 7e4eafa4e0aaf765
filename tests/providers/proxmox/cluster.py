"""A simulated cluster, and the ways to it: through the gateway as our callers, over PVE's own API as a stranger."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

from providers.credentials import Credentials
from providers.domain import VMSpec
from providers.gateway import Gateway
from providers.proxmox import CLOUD
from providers.sandbox.authority import Authority
from providers.sandbox.proxmox import IMPORT_IMAGE, ISO_IMAGE, PASSWORD, TEMPLATE_ID, TOKEN_ID, TOKEN_SECRET, USER
from providers.sandbox.proxmox import ProxmoxSandbox as Sandbox
from tests.providers.reached import Reached, wanted
from tests.sandbox.proxmox import Caller
from tests.support.waiting import wait_until

VM = "/nodes/{node}/qemu/{vmid}"
VMS = "/nodes/{node}/qemu"
STORAGE = "/nodes/{node}/storage/{storage}"
TASK = "GET /nodes/{node}/tasks/{upid}/status"
QEMU = "/nodes/pve/qemu"

BY_TOKEN = Credentials(TOKEN_ID, TOKEN_SECRET)
BY_PASSWORD = Credentials(USER, PASSWORD)
TEMPLATE_IMAGE = f"template/{TEMPLATE_ID}"
IMAGES = (IMPORT_IMAGE, TEMPLATE_IMAGE, ISO_IMAGE)


class Pve(Reached[Sandbox]):
    """The cluster."""

    demo: ClassVar[Credentials] = BY_TOKEN

    @property
    def keys(self) -> dict[str, object]:
        """Its first node, with disks on local-lvm."""
        return {
            "name": "pve1",
            "cloud": CLOUD,
            "vpc_id": "node/pve",
            "storage_external_id": "storage/pve/local-lvm",
        }

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


@contextmanager
def running_pve(authority: Authority, task_seconds: float = 0.02) -> Iterator[Pve]:
    """A cluster of one's own, for what goes on beside others."""
    with Sandbox(authority, task_seconds=task_seconds) as sandbox:
        pve = Pve(sandbox, str(authority.ca_file))
        try:
            yield pve
        finally:
            pve.backends.close()


def spec(image: str = IMPORT_IMAGE, **fields: Any) -> VMSpec:
    """A VM with cloud-init, 20 GiB and a start, unless told otherwise."""
    return wanted(image, **fields)


def seeded(pve: Pve, state: str = "running") -> str:
    """One VM that nobody has made by this project."""
    return str(pve.sandbox.seed(1, state=state)[0])
