"""Proxmox VE in the suite: a new one with a password and an imported image, an old one with a token and a template."""

from dataclasses import replace
from typing import ClassVar

from providers.sandbox import proxmox
from providers.sandbox.authority import Authority
from providers.sandbox.faults import Fault
from tests.conformance.harness import Budgets, Features, Trouble
from tests.conformance.simulated import SimulatedHarness
from tests.support.api import Api
from tests.support.guests import user_data

VM = "/nodes/{node}/qemu/{vmid}"
LOG_IN = "POST /access/ticket"
REFUSALS = {
    Trouble.PERMISSION_DENIED: Fault(status=403, message="Permission check failed (/vms/100, VM.PowerMgmt)"),
    Trouble.THROTTLED: Fault(status=429, message="Too Many Requests"),
    Trouble.NO_CAPACITY: Fault(status=500, message="no space left on device"),
    Trouble.SERVER_ERROR: Fault(status=500, message="Can't call method on an undefined value"),
}


class ProxmoxHarness(SimulatedHarness[proxmox.ProxmoxSandbox]):
    """PVE 9 with a user's password; VMs are made of an image that is imported."""

    refusals = REFUSALS
    echo = Fault(status=500)
    name = "proxmox"
    cloud = "Proxmox"
    access_key = proxmox.USER
    secret = proxmox.PASSWORD
    version: ClassVar[str] = "9.0"
    image: ClassVar[str] = proxmox.IMPORT_IMAGE
    budgets = Budgets(list_page=1, list_page_size=100_000, get=2, start=1, stop=1, restart=1, delete=2, create=6)
    features = Features(tags_in_list=False, quotas=False, stops_before_delete=True)
    unknown_id = "4711"
    malformed_ids = ("1", "99", "0100", "10000000000", "vm-100", "100.conf", "qemu", "1e3")
    verb_operations = {  # noqa: RUF012 - a constant
        "list": "GET /nodes/{node}/qemu",
        "get": f"GET {VM}/config",
        "create": "POST /nodes/{node}/qemu",
        "start": f"POST {VM}/status/start",
        "stop": f"POST {VM}/status/shutdown",
        "restart": f"POST {VM}/status/reboot",
        "delete": f"DELETE {VM}",
    }
    poll_operations = frozenset({"GET /nodes/{node}/tasks/{upid}/status", f"GET {VM}/status/current"})

    def simulator(self, authority: Authority) -> proxmox.ProxmoxSandbox:
        return proxmox.ProxmoxSandbox(authority, task_seconds=0.05, version=self.version)

    def deafen(self) -> None:
        for vm in self.sandbox.vms():
            self.sandbox.ignore_shutdown(vm.id)

    def fail_boot(self, message: str = "start failed: QEMU exited with code 1") -> None:
        self.sandbox.end_next_task("qmstart", message)

    @property
    def removal_operations(self) -> frozenset[str]:
        return frozenset({f"DELETE {VM}", "DELETE /nodes/{node}/storage/{storage}/content/{volume}"})

    def leave_behind(self, api: Api) -> None:
        # A VM that Proxmox has tried to start may have run. This leaves one that is not configured, and its image.
        for operation in (f"PUT {VM}/config", *self.removal_operations):
            self.trouble(Trouble.PERMISSION_DENIED, operation)
        assert api.create("left", cloud_init="I2Nsb3VkLWNvbmZpZwo=").status >= 400

    def slow_down(self, task_seconds: float) -> None:
        self.sandbox.knobs.task_seconds = task_seconds

    def slow_log_ins(self, seconds: float) -> None:
        # PVE, too, delays refusals alone.
        self.sandbox.knobs.unauthorized_delay_seconds = seconds

    def change_secret(self, secret: str) -> None:
        self.sandbox.add_user(self.access_key, secret)
        self.sandbox.expire_tickets()

    def issued_secrets(self) -> list[str]:
        return [*self.sandbox.tickets(), *self.sandbox.csrf_tokens()]

    def rejected_log_ins(self) -> int:
        return sum(call.operation == LOG_IN and call.status == 401 for call in self.sandbox.calls.list())

    @property
    def environment(self) -> dict[str, object]:
        return {"cloud": "Proxmox", "vpc_id": "node/pve", "storage_external_id": "storage/pve/local-lvm"}

    @property
    def offer(self) -> dict[str, object]:
        return {"instance_type": "ecs.g1.c2m4", "image": self.image}

    def seed(self, count: int, *, state: str = "running") -> list[str]:
        return [str(vm_id) for vm_id in self.sandbox.seed(count, state=state)]

    def acquaint(self, api: Api) -> None:
        # A delete looks first at the configuration of a VM that was not just shown: for what to remove, and so that
        # nothing protected loses its power.
        for vm_id in self.states():
            assert api.get(vm_id).status == 200

    def seed_elsewhere(self) -> str:
        # All VMs of a cluster are reached from each of its nodes; what is no VM is outside.
        return str(proxmox.TEMPLATE_ID)

    def costly(self) -> list[str]:
        # Several tasks are waited for in the course of a create or a delete.
        return [operation for operation in self.operations() if operation not in self.poll_operations]

    def user_data(self, vm_id: str) -> bytes | None:
        return user_data(self.sandbox, vm_id)

    def objects(self) -> frozenset[str]:
        return frozenset(
            [*(f"vm {vm.id}" for vm in self.sandbox.vms()), *(volume.id for volume in self.sandbox.volumes())]
        )

    def states(self) -> dict[str, str]:
        return {str(vm.id): vm.state for vm in self.sandbox.vms()}


class ProxmoxTemplateHarness(ProxmoxHarness):
    """PVE 7 with an API token; VMs are cloned from a template."""

    name = "proxmox-7"
    access_key = proxmox.TOKEN_ID
    secret = proxmox.TOKEN_SECRET
    version = "7.4"
    image = f"template/{proxmox.TEMPLATE_ID}"
    features = replace(ProxmoxHarness.features, logs_in=False)
    verb_operations = {  # noqa: RUF012 - a constant
        **ProxmoxHarness.verb_operations,
        "create": f"POST {VM}/clone",
    }

    def change_secret(self, secret: str) -> None:
        self.sandbox.add_token(self.access_key, secret)

    def warm_up(self, api: Api) -> None:
        # A session looks at a template once, and finds out once that this PVE is too old for a parameter.
        vm_id = api.create("first").json["id"]
        assert api.delete(vm_id).status == 204
