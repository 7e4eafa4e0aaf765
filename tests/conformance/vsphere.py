"""vSphere in the suite, by our own simulator: a vCenter, and a standalone ESXi host."""

from collections.abc import Mapping
from dataclasses import replace
from typing import ClassVar, Literal

from providers.sandbox import vsphere
from providers.sandbox.authority import Authority
from providers.sandbox.faults import Fault
from tests.conformance.harness import Features, Trouble
from tests.conformance.simulated import SimulatedHarness
from tests.conformance.vcsim import (
    CHANGES,
    HOST_GAPS,
    SEARCHES,
    VSPHERE_GAPS,
    EsxiHarness,
    VcenterHarness,
    as_if_to_run,
)
from tests.support.api import Api
from tests.support.guests import user_data

ELSEWHERE = "Elsewhere"
TASK_LOOKS = "RetrievePropertiesEx of a Task"
LOOKS = frozenset({"RetrievePropertiesEx", TASK_LOOKS})
WORDS = {"poweredOn": "running", "poweredOff": "stopped"}
REFUSALS = {
    Trouble.PERMISSION_DENIED: Fault(code="NoPermission", message="Permission to perform this operation was denied."),
    Trouble.QUOTA: Fault(code="NotEnoughLicenses", message="There are not enough licenses to perform the operation."),
    Trouble.SERVER_ERROR: Fault(code="SystemError", message="A general system error occurred."),
    Trouble.THROTTLED: Fault(status=429),
}


class VSphereHarness(SimulatedHarness[vsphere.VSphereSandbox]):
    """A vCenter with two datacenters; VMs are cloned from a template."""

    refusals = REFUSALS
    echo = Fault(code="SystemError")
    name = "vsphere"
    cloud = "vSphere"
    access_key = vsphere.USER
    secret = vsphere.PASSWORD
    kind: ClassVar[Literal["vcenter", "esxi"]] = "vcenter"
    boot: ClassVar[str] = "CloneVM_Task"
    budgets = replace(VcenterHarness.budgets, create=1)
    features = Features(unique_names=True, stops_before_delete=True, shares_creates=False)
    unknown_id = VcenterHarness.unknown_id
    malformed_ids = VcenterHarness.malformed_ids
    verb_operations = VcenterHarness.verb_operations
    poll_operations = frozenset({TASK_LOOKS})
    prelude = VcenterHarness.prelude
    known_gaps: ClassVar[Mapping[str, str]] = VSPHERE_GAPS

    def warm_up(self, api: Api) -> None:
        # A session looks places and images up once.
        vm_id = api.create("first").json["id"]
        assert api.delete(vm_id).status == 204

    @staticmethod
    def prepare(sandbox: vsphere.VSphereSandbox) -> None:
        """Add what the environment does not lead to."""
        sandbox.add_datacenter(ELSEWHERE)
        sandbox.remove(vsphere.SOURCE_VM)

    def simulator(self, authority: Authority) -> vsphere.VSphereSandbox:
        return vsphere.VSphereSandbox(authority, kind=self.kind, task_seconds=0.05, prepare=self.prepare)

    def deafen(self) -> None:
        for vm in self.sandbox.vms():
            self.sandbox.ignore_shutdown(vm.instance_uuid)

    def fail_boot(self, message: str = "Failed to start the machine.") -> None:
        self.sandbox.fail_next_task(self.boot, "GenericVmConfigFault", message)

    def leave_behind(self, api: Api) -> None:
        """Leave a VM behind that was made, and could not be started."""
        vm_id = api.create("left", start=False).json["id"]
        self.sandbox.set_annotation(vm_id, as_if_to_run(self.sandbox.vm(vm_id).annotation))

    def slow_down(self, task_seconds: float) -> None:
        self.sandbox.knobs.task_seconds = task_seconds

    def slow_log_ins(self, seconds: float) -> None:
        self.sandbox.faults.add(Fault("Login", times=None, delay_seconds=seconds))

    def change_secret(self, secret: str) -> None:
        self.sandbox.add_user(self.access_key, secret)
        self.sandbox.drop_sessions()

    def issued_secrets(self) -> list[str]:
        return list(self.sandbox.session_cookies())

    def rejected_log_ins(self) -> int:
        return self.sandbox.failed_logins

    @property
    def environment(self) -> dict[str, object]:
        return {
            "cloud": "VMware",
            "region": vsphere.DATACENTER,
            "vpc_id": f"cluster/{vsphere.CLUSTER}",
            "network_id": vsphere.NETWORKS[0],
            "storage_external_id": vsphere.DATASTORES[0],
        }

    @property
    def offer(self) -> dict[str, object]:
        return {"instance_type": "c2m4", "image": vsphere.TEMPLATE}

    def seed(self, count: int, *, state: str = "running") -> list[str]:
        return self.sandbox.seed(count, state=state)

    def seed_elsewhere(self) -> str:
        return self.sandbox.seed(1, prefix="elsewhere", datacenter=ELSEWHERE)[0]

    def costly(self) -> list[str]:
        """All but the looks at what was changed before."""
        costly: list[str] = []
        for operation in self.operations():
            changed = any(CHANGES.fullmatch(one) and one not in SEARCHES for one in costly)
            if operation not in LOOKS or not changed:
                costly.append(operation)
        return costly

    @property
    def waiting_operations(self) -> frozenset[str]:
        return LOOKS

    def user_data(self, vm_id: str) -> bytes | None:
        return user_data(self.sandbox, vm_id)

    def objects(self) -> frozenset[str]:
        return frozenset([*self.states(), *self.sandbox.files()])

    def states(self) -> dict[str, str]:
        return {vm.instance_uuid: WORDS.get(vm.power_state, vm.power_state) for vm in self.sandbox.vms()}


class EsxiSandboxHarness(VSphereHarness):
    """A standalone host; VMs get a copy of a disk."""

    name = "esxi"
    kind = "esxi"
    boot = "PowerOnVM_Task"
    # Folder, copy, growth, VM and start.
    budgets = replace(EsxiHarness.budgets, create=5)
    verb_operations = EsxiHarness.verb_operations
    known_gaps: ClassVar[Mapping[str, str]] = {**VSPHERE_GAPS, **HOST_GAPS}

    @staticmethod
    def prepare(sandbox: vsphere.VSphereSandbox) -> None:
        """Add nothing: a standalone host is one datacenter."""

    @property
    def environment(self) -> dict[str, object]:
        return {"cloud": "ESXi"}

    @property
    def offer(self) -> dict[str, object]:
        return {"instance_type": "c2m4", "image": vsphere.VMDK_IMAGE}

    def leave_behind(self, api: Api) -> None:
        for operation in (self.boot, "Destroy_Task"):
            self.trouble(Trouble.PERMISSION_DENIED, operation)
        assert api.create("left").status == 403

    def seed_elsewhere(self) -> str:
        raise NotImplementedError("a standalone host is one datacenter")
