"""Nutanix in the suite: a Prism Element by v2.0, a Prism Central by v4, and one by v3."""

import uuid
from collections.abc import Mapping
from typing import ClassVar, Literal

from providers.sandbox import nutanix
from providers.sandbox.authority import Authority
from providers.sandbox.faults import Fault
from tests.conformance.harness import Budgets, Features, Trouble
from tests.conformance.simulated import SimulatedHarness
from tests.support.api import Api
from tests.support.guests import user_data

REFUSALS = {
    Trouble.PERMISSION_DENIED: Fault(status=403, message="No permission to access the resource."),
    Trouble.THROTTLED: Fault(status=429, message="Too many requests."),
    Trouble.NO_CAPACITY: Fault(status=500, message="NoHostResources: No host has enough available memory for VM"),
    Trouble.SERVER_ERROR: Fault(status=500, message="An unexpected error has occurred."),
}
STATES = {"ON": "running", "OFF": "stopped"}
SEEDED = {"running": "ON", "stopped": "OFF"}


RIVALS = {"test_vm_that_a_second_try_answered_with_survives_the_failure_of_the_first": "tries in a session queue up"}


class NutanixHarness(SimulatedHarness[nutanix.NutanixSandbox]):
    """What the three have in common."""

    refusals = REFUSALS
    echo = Fault(status=500)
    cloud = "Nutanix"
    access_key = nutanix.USER
    secret = nutanix.PASSWORD
    features = Features(quotas=False)
    unknown_id = "00000000-0000-4000-8000-000000000000"
    malformed_ids = ("1", "vm-1", "5021c8f53b1a4a5e9a526d1b9c1f0d11", "g021c8f5-3b1a-4a5e-9a52-6d1b9c1f0d11")
    known_gaps: ClassVar[Mapping[str, str]] = RIVALS
    kind: ClassVar[Literal["element", "central"]]
    versions: ClassVar[tuple[str, ...] | None] = None
    clusters: ClassVar[int] = 1

    def simulator(self, authority: Authority) -> nutanix.NutanixSandbox:
        return nutanix.NutanixSandbox(
            authority, kind=self.kind, versions=self.versions, clusters=self.clusters, task_seconds=0.05
        )

    def deafen(self) -> None:
        for vm in self.sandbox.vms():
            self.sandbox.ignore_shutdown(vm.uuid)

    def fail_boot(self, message: str = "InternalException: qemu-kvm exited with code 1") -> None:
        self.sandbox.fail_next_task("power", message)

    def slow_down(self, task_seconds: float) -> None:
        self.sandbox.knobs.task_seconds = task_seconds

    def slow_log_ins(self, seconds: float) -> None:
        self.sandbox.knobs.login_seconds = seconds

    def change_secret(self, secret: str) -> None:
        self.sandbox.add_user(self.access_key, secret)
        self.sandbox.drop_sessions()

    def issued_secrets(self) -> list[str]:
        return list(self.sandbox.session_cookies())

    def rejected_log_ins(self) -> int:
        return self.sandbox.failed_logins

    def start(self) -> None:
        self._turn_knobs()
        super().start()

    def reset(self) -> None:
        super().reset()
        self._turn_knobs()

    def _turn_knobs(self) -> None:
        self.sandbox.knobs.task_seconds = 0.05
        self.sandbox.knobs.guest_seconds = 0.1

    @property
    def offer(self) -> dict[str, object]:
        return {"instance_type": "ecs.g1.c2m4", "image": nutanix.IMAGE_NAME}

    def seed(self, count: int, *, state: str = "running") -> list[str]:
        return self.sandbox.seed(count, state=SEEDED[state])

    def warm_up(self, api: Api) -> None:
        # A session looks at an image and a network once in a while.
        vm_id = api.create("first").json["id"]
        assert api.delete(vm_id).status == 204

    def costly(self) -> list[str]:
        # Several tasks are waited for in the course of a create, and the goal of a stop is seen at the VM.
        called = [operation for operation in self.operations() if operation not in self.poll_operations]
        while called and called[-1] == self.verb_operations["get"] and len(called) > 1:
            called.pop()
        return called

    @property
    def waiting_operations(self) -> frozenset[str]:
        return self.poll_operations | {self.verb_operations["list"], self.verb_operations["get"]}

    def user_data(self, vm_id: str) -> bytes | None:
        return user_data(self.sandbox, vm_id)

    def objects(self) -> frozenset[str]:
        disks = (f"disk {disk.uuid}" for disk in self.sandbox.disks())
        unmade = (f"intent {one}" for one in self.sandbox.unmade())
        return frozenset([*(f"vm {vm.uuid}" for vm in self.sandbox.vms()), *disks, *unmade])

    def states(self) -> dict[str, str]:
        return {vm.uuid: STATES.get(vm.state, vm.state) for vm in self.sandbox.vms()}


class ElementHarness(NutanixHarness):
    """A Prism Element, whose API is found out."""

    name = "nutanix-v2"
    kind = "element"
    budgets = Budgets(list_page=1, list_page_size=100_000, get=1, start=1, stop=1, restart=1, delete=1, create=3)
    verb_operations = {  # noqa: RUF012 - a constant
        "list": "v2.0 GET /vms",
        "get": "v2.0 GET /vms/{uuid}",
        "create": "v2.0 POST /vms",
        "start": "v2.0 POST /vms/{uuid}/set_power_state",
        "stop": "v2.0 POST /vms/{uuid}/set_power_state",
        "restart": "v2.0 POST /vms/{uuid}/set_power_state",
        "delete": "v2.0 DELETE /vms/{uuid}",
    }
    poll_operations = frozenset({"v2.0 GET /tasks/{uuid}"})

    @property
    def environment(self) -> dict[str, object]:
        return {"cloud": "nutanix", "project": "", "region": "Nutanix/1", "vpc_id": nutanix.NETWORK}

    def seed_elsewhere(self) -> str:
        # A Prism Element has but one cluster, and shows nothing of others.
        return str(uuid.uuid4())


class CentralHarness(NutanixHarness):
    """A Prism Central of today, with two clusters of which the environment names one."""

    name = "nutanix-v4"
    kind = "central"
    clusters = 2
    features = Features(quotas=False, cloud_init_limit_bytes=96_000)
    budgets = Budgets(list_page=1, list_page_size=100, get=1, start=2, stop=2, restart=2, delete=2, create=3)
    verb_operations = {  # noqa: RUF012 - a constant
        "list": "v4 GET /ahv/config/vms",
        "get": "v4 GET /ahv/config/vms/{extId}",
        "create": "v4 POST /ahv/config/vms",
        "start": "v4 POST /ahv/config/vms/{extId}/$actions/power-on",
        "stop": "v4 POST /ahv/config/vms/{extId}/$actions/shutdown",
        "restart": "v4 POST /ahv/config/vms/{extId}/$actions/reboot",
        "delete": "v4 DELETE /ahv/config/vms/{extId}",
    }
    poll_operations = frozenset({"v4 GET /config/tasks/{extId}"})

    @property
    def environment(self) -> dict[str, object]:
        return {
            "cloud": "Nutanix",
            "api_version": "v4",
            "project": nutanix.CLUSTER,
            "network_id": nutanix.NETWORK,
            "storage_external_id": nutanix.CONTAINER,
        }

    def _turn_knobs(self) -> None:
        super()._turn_knobs()
        self.sandbox.knobs.enforces_rate_limits = False

    def seed_elsewhere(self) -> str:
        return self.sandbox.seed(1, prefix="elsewhere", cluster=nutanix.SECOND_CLUSTER)[0]


class OldCentralHarness(CentralHarness):
    """A Prism Central that is too old for v4."""

    name = "nutanix-v3"
    known_gaps = {  # noqa: RUF012 - a constant
        **RIVALS,
        "test_vm_that_a_retry_answered_with_survives_the_poll_of_the_failed_create": "a keyed create waits for its VM",
    }
    versions = ("v3",)
    budgets = Budgets(list_page=1, list_page_size=500, get=1, start=2, stop=2, restart=2, delete=2, create=2)
    verb_operations = {  # noqa: RUF012 - a constant
        "list": "v3 POST /vms/list",
        "get": "v3 GET /vms/{uuid}",
        "create": "v3 POST /vms",
        "start": "v3 PUT /vms/{uuid}",
        "stop": "v3 POST /vms/{uuid}/acpi_shutdown",
        "restart": "v3 POST /vms/{uuid}/acpi_reboot",
        "delete": "v3 DELETE /vms/{uuid}",
    }
    poll_operations = frozenset({"v3 GET /tasks/{uuid}"})

    @property
    def environment(self) -> dict[str, object]:
        return {**super().environment, "api_version": "v3"}
