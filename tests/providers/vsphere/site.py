"""Our simulated vCenter or ESXi host, and the ways to it: by the gateway as our callers, by pyvmomi as a stranger."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, TypeVar

import pytest
from pyVmomi import vim

from providers.credentials import Credentials
from providers.domain import VMSpec
from providers.errors import ProviderError
from providers.gateway import Gateway
from providers.sandbox.authority import Authority
from providers.sandbox.vsphere import PASSWORD, TEMPLATE, USER, VMDK_IMAGE, VSphereSandbox
from providers.vsphere import CLOUD
from tests.providers.reached import Reached, wanted
from tests.sandbox.vsphere.client import Client
from tests.support.waiting import wait_until

Kind = Literal["vcenter", "esxi"]
T = TypeVar("T")

IMAGES: dict[Kind, str] = {"vcenter": TEMPLATE, "esxi": VMDK_IMAGE}
DEMO = Credentials(USER, PASSWORD)
GIB = 1 << 30
TASK = "RetrievePropertiesEx of a Task"


@dataclass
class Site(Reached[VSphereSandbox]):
    """One simulator, and which of the two it is."""

    authority: Authority
    kind: Kind
    demo: ClassVar[Credentials] = DEMO

    @property
    def image(self) -> str:
        """What VMs are made of here: a template, or a disk."""
        return IMAGES[self.kind]

    @property
    def keys(self) -> dict[str, object]:
        """All that can be left blank is."""
        return {"name": "e1", "cloud": CLOUD}

    def spec(self, image: str = "", **fields: Any) -> VMSpec:
        """A VM with cloud-init, a disk that has to grow and a start, unless told otherwise."""
        return wanted(image or self.image, **fields)

    def create(self, image: str = "", gateway: Gateway | None = None, **fields: Any) -> str:
        """Make a VM; its id."""
        vm_id = (gateway or self.gateway()).create_vm(self.spec(image, **fields)).vm_id
        assert vm_id is not None
        return vm_id

    def failed(self, image: str = "", *, seconds: float = 20.0, **fields: Any) -> ProviderError:
        """Why a create fails; on return no task is at work any more."""
        with pytest.raises(ProviderError) as caught:
            self.gateway(seconds=seconds).create_vm(self.spec(image, **fields))
        self.rest()
        return caught.value

    def made(self) -> list[str]:
        """Names of VMs, and files, that came after the start."""
        return [*(vm.name for vm in self.sandbox.vms()), *self.sandbox.files()]

    def rest(self) -> None:
        """Wait until no task is at work any more."""
        wait_until(lambda: all(task.state in {"success", "error"} for task in self.sandbox.tasks()))

    @contextmanager
    def stranger(self) -> Iterator[Client]:
        """Somebody else at vSphere's own API."""
        with closing(Client(self.sandbox, self.authority).log_in()) as client:
            yield client

    def attach_the_disk_elsewhere(self) -> str:
        """Attach the only disk to a new VM, as somebody else; return its path."""
        (disk,) = (file for file in self.sandbox.files() if file.endswith(".vmdk"))
        backing = vim.vm.device.VirtualDisk.FlatVer2BackingInfo(fileName=disk, diskMode="persistent")
        controller = vim.vm.device.VirtualLsiLogicController(key=1000, busNumber=0, sharedBus="noSharing")
        attached = vim.vm.device.VirtualDisk(key=-1, controllerKey=1000, unitNumber=0, backing=backing)
        changes = [vim.vm.device.VirtualDeviceSpec(operation="add", device=device) for device in (controller, attached)]
        with self.stranger() as stranger:
            stranger.done(stranger.create("theirs", deviceChange=changes))
        return disk

    def told(self, vm_id: str, name: str) -> bytes | None:
        """What a guest finds under a `guestinfo` name."""
        found = self.sandbox.guestinfo(vm_id)
        if name not in found:
            return None
        assert found[f"{name}.encoding"] == "gzip+base64"
        return gzip.decompress(base64.b64decode(found[name], validate=True))

    def metadata(self, vm_id: str) -> Any:
        """What a guest knows of itself."""
        return json.loads(self.told(vm_id, "metadata") or b"null")


@contextmanager
def running_site(authority: Authority, kind: Kind, task_seconds: float = 0.02) -> Iterator[Site]:
    """A simulator of one's own, for what goes on beside others."""
    with VSphereSandbox(authority, kind=kind, task_seconds=task_seconds) as sandbox:
        site = Site(sandbox, str(authority.ca_file), authority, kind)
        try:
            yield site
        finally:
            site.backends.close()


def side_by_side(authority: Authority, cases: list[tuple[Kind, T]], check: Callable[[Site, T], str]) -> None:
    """Check all cases, each on a simulator of its own; `check` says what is wrong."""

    def run(case: tuple[Kind, T]) -> str:
        with running_site(authority, case[0]) as site:
            return check(site, case[1])

    with ThreadPoolExecutor(24) as pool:
        wrong = [complaint for complaint in pool.map(run, cases) if complaint]
    assert not wrong, "\n".join(wrong)
