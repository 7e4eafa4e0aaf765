"""Simulated Prisms, and the way to them: through the gateway, as our callers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from providers.credentials import Credentials
from providers.domain import VMSpec
from providers.gateway import Gateway
from providers.nutanix import CLOUD
from providers.sandbox.authority import Authority
from providers.sandbox.nutanix import CLUSTER, IMAGE_NAME, NETWORK, PASSWORD, USER, NutanixSandbox
from tests.providers.reached import Reached, wanted

API = Literal["v2", "v3", "v4"]
APIS: tuple[API, ...] = ("v2", "v3", "v4")
DEMO = Credentials(USER, PASSWORD)

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
class Prism(Reached[NutanixSandbox]):
    """One Prism, and the API that is spoken with it."""

    api: API
    demo: ClassVar[Credentials] = DEMO

    @property
    def keys(self) -> dict[str, object]:
        """The cluster, with its API named."""
        return {
            "name": "prism1",
            "cloud": CLOUD,
            "network_id": NETWORK,
            "project": "" if self.api == "v2" else CLUSTER,
            "options": {"api_version": (self.api,)},
        }

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


def spec(image: str = IMAGE_NAME, **fields: Any) -> VMSpec:
    """A VM with cloud-init, 20 GiB and a start, unless told otherwise."""
    return wanted(image, **fields)
