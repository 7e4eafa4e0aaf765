"""Our simulated vCenter or ESXi host, and the ways to it: by the gateway as our callers, by pyvmomi as a stranger."""

from __future__ import annotations

import base64
import gzip
import json
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

import pytest

from providers.credentials import Credentials
from providers.domain import Environment, Idempotency, Offer, OperatingSystem, Operation, VMSpec
from providers.errors import ProviderError
from providers.gateway import Backends, Gateway
from providers.network import Network
from providers.sandbox.authority import Authority
from providers.sandbox.vsphere import PASSWORD, TEMPLATE, USER, VMDK_IMAGE, VSphereSandbox
from providers.vsphere import CLOUD
from providers.waiting import Deadline
from providers.work import Wish
from tests.sandbox.vsphere.client import Client

Kind = Literal["vcenter", "esxi"]
T = TypeVar("T")

IMAGES: dict[Kind, str] = {"vcenter": TEMPLATE, "esxi": VMDK_IMAGE}
USER_DATA = b"#cloud-config\npassword: correct-horse-battery\n"
AT_ONCE = Wish(patience_seconds=0.0)
DEMO = Credentials(USER, PASSWORD)
NETWORK = Network(connect_timeout_seconds=5.0, read_timeout_seconds=10.0)
GIB = 1 << 30
TASK = "RetrievePropertiesEx of a Task"


@dataclass
class Site:
    """One simulator. All gateways share the sessions of one process, unless they are given others."""

    sandbox: VSphereSandbox
    authority: Authority
    kind: Kind
    backends: Backends = field(default_factory=lambda: Backends(NETWORK))

    @property
    def image(self) -> str:
        """What VMs are made of here: a template, or a disk."""
        return IMAGES[self.kind]

    def environment(self, **changes: object) -> Environment:
        """All that can be left blank is."""
        ca_file = str(self.authority.ca_file)
        options: dict[str, object] = {"name": "e1", "cloud": CLOUD, "url": self.sandbox.url, "ca_file": ca_file}
        return Environment(**{**options, **changes})  # type: ignore[arg-type] # a test names keys that there are

    def gateway(
        self,
        credentials: Credentials = DEMO,
        *,
        seconds: float = 20.0,
        backends: Backends | None = None,
        place: Mapping[str, str] | None = None,
        **changes: object,
    ) -> Gateway:
        """A caller's verbs, until a deadline that is so many seconds away; `place` are more keys of the environment."""
        # The first pause suits tasks of a fiftieth of a second.
        deadline = Deadline.after(seconds, first_pause_seconds=0.03)
        return (backends or self.backends).gateway(self.environment(**changes, **(place or {})), credentials, deadline)

    def spec(self, image: str = "", key: str = "", digest: str = "digest-1", **fields: Any) -> VMSpec:
        """A VM with cloud-init, a disk that has to grow and a start, unless told otherwise."""
        options: dict[str, Any] = {
            "name": "test1",
            "os": OperatingSystem("Linux", "Debian", 20),
            "offer": Offer("c2m4", image or self.image, 2, 4096),
            "cloud_init": USER_DATA,
            "idempotency": Idempotency(key, digest) if key else None,
        }
        return VMSpec(**{**options, **fields})

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

    def operations(self) -> list[str]:
        """The calls served, in order."""
        return [call.operation for call in self.sandbox.calls.list()]

    @contextmanager
    def stranger(self) -> Iterator[Client]:
        """Somebody else at vSphere's own API."""
        with closing(Client(self.sandbox, self.authority).log_in()) as client:
            yield client

    def finished(self, operation: Operation, gateway: Gateway | None = None) -> Operation:
        """The end of an operation, followed as a poller does."""
        seen = [operation]

        def done() -> bool:
            seen[0] = (gateway or self.gateway()).poll(seen[0])
            return seen[0].done

        wait_until(done, pause=0.03)
        return seen[0]

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
        site = Site(sandbox, authority, kind)
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


def wait_until(condition: Callable[[], bool], *, seconds: float = 8.0, pause: float = 0.02) -> None:
    """Wait for a condition to hold."""
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "the condition was not met in time"
        time.sleep(pause)
