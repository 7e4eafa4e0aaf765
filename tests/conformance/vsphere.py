"""vSphere in the suite, by our own simulator: a vCenter, and a standalone ESXi host."""

import base64
import gzip
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import ClassVar, Literal

from providers.sandbox import vsphere
from providers.sandbox.authority import Authority
from providers.sandbox.faults import Cut, Fault
from tests.conformance.harness import Features, Harness, Trouble
from tests.conformance.vcsim import CHANGES, SEARCHES, EsxiHarness, VcenterHarness

ELSEWHERE = "Elsewhere"
TASK_LOOKS = "RetrievePropertiesEx of a Task"
LOOKS = frozenset({"RetrievePropertiesEx", TASK_LOOKS})
WORDS = {"poweredOn": "running", "poweredOff": "stopped"}
FAULTS = {
    Trouble.PERMISSION_DENIED: Fault(code="NoPermission", message="Permission to perform this operation was denied."),
    Trouble.QUOTA: Fault(code="NotEnoughLicenses", message="There are not enough licenses to perform the operation."),
    Trouble.SERVER_ERROR: Fault(code="SystemError", message="A general system error occurred."),
    Trouble.THROTTLED: Fault(status=429),
    Trouble.HTML: Fault(status=200, body=b"<html><body>Welcome to the proxy</body></html>"),
    Trouble.CUT: Fault(cut=Cut.ANSWER),
    Trouble.LOST_ANSWER: Fault(cut=Cut.ANSWER, after=True),
    Trouble.SLOW: Fault(delay_seconds=20.0),
}


class VSphereHarness(Harness):
    """A vCenter with two datacenters; VMs are cloned from a template."""

    name = "vsphere"
    cloud = "vSphere"
    access_key = vsphere.USER
    secret = vsphere.PASSWORD
    kind: ClassVar[Literal["vcenter", "esxi"]] = "vcenter"
    boot: ClassVar[str] = "CloneVM_Task"
    budgets = VcenterHarness.budgets
    features = Features(unique_names=True, stops_before_delete=True)
    unknown_id = VcenterHarness.unknown_id
    malformed_ids = VcenterHarness.malformed_ids
    verb_operations = VcenterHarness.verb_operations
    poll_operations = frozenset({TASK_LOOKS})
    prelude = VcenterHarness.prelude
    known_gaps: ClassVar[Mapping[str, str]] = VcenterHarness.known_gaps

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="conformance-")
        self._authority = Authority(Path(self._folder.name) / "ca.pem")
        self.sandbox = vsphere.VSphereSandbox(self._authority, kind=self.kind, task_seconds=0.05, prepare=self.prepare)
        self._retry_after = 7

    @staticmethod
    def prepare(sandbox: vsphere.VSphereSandbox) -> None:
        """Add what the environment does not lead to."""
        sandbox.add_datacenter(ELSEWHERE)
        sandbox.remove(vsphere.SOURCE_VM)

    def start(self) -> None:
        self.sandbox.start()

    def stop(self) -> None:
        self.sandbox.stop()
        self._folder.cleanup()

    def reset(self) -> None:
        self._retry_after = 7
        self.sandbox.reset()

    @property
    def url(self) -> str:
        return self.sandbox.url

    @property
    def ca_file(self) -> str:
        return str(self._authority.ca_file)

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

    def trouble(self, trouble: Trouble, operation: str = "*", *, times: int | None = None, skip: int = 0) -> None:
        match trouble:
            case Trouble.GUEST_DEAF:
                for vm in self.sandbox.vms():
                    self.sandbox.ignore_shutdown(vm.instance_uuid)
            case Trouble.BOOT_FAILS:
                self.sandbox.fail_next_task(self.boot, "GenericVmConfigFault", "Failed to start the machine.")
            case _:
                fault = replace(FAULTS[trouble], operation=operation, times=times, skip=skip)
                if trouble is Trouble.THROTTLED:
                    fault = replace(fault, headers={"Retry-After": str(self._retry_after)})
                self.sandbox.faults.add(fault)

    def reset_trouble(self) -> None:
        self.sandbox.faults.clear()

    def retry_after(self, seconds: int) -> None:
        self._retry_after = seconds

    def echo_in_errors(self, text: str) -> None:
        self.sandbox.faults.add(Fault(times=None, code="SystemError", message=text))

    def operations(self) -> list[str]:
        return [call.operation for call in self.sandbox.calls.list()]

    def costly(self) -> list[str]:
        """All but the looks at what was changed before."""
        costly: list[str] = []
        for operation in self.operations():
            changed = any(CHANGES.fullmatch(one) and one not in SEARCHES for one in costly)
            if operation not in LOOKS or not changed:
                costly.append(operation)
        return costly

    def forget_operations(self) -> None:
        self.sandbox.calls.clear()

    def connections(self) -> int:
        return self.sandbox.server.connections

    def user_data(self, vm_id: str) -> bytes | None:
        found = self.sandbox.guestinfo(vm_id)
        if "userdata" not in found:
            return None
        assert found["userdata.encoding"] == "gzip+base64"
        return gzip.decompress(base64.b64decode(found["userdata"]))

    def objects(self) -> frozenset[str]:
        return frozenset([*self.states(), *self.sandbox.files()])

    def states(self) -> dict[str, str]:
        return {vm.instance_uuid: WORDS.get(vm.power_state, vm.power_state) for vm in self.sandbox.vms()}


class EsxiSandboxHarness(VSphereHarness):
    """A standalone host; VMs get a copy of a disk."""

    name = "esxi"
    kind = "esxi"
    boot = "PowerOnVM_Task"
    budgets = EsxiHarness.budgets
    verb_operations = EsxiHarness.verb_operations
    known_gaps = EsxiHarness.known_gaps

    @staticmethod
    def prepare(sandbox: vsphere.VSphereSandbox) -> None:
        """Add nothing: a standalone host is one datacenter."""

    @property
    def environment(self) -> dict[str, object]:
        return {"cloud": "ESXi"}

    @property
    def offer(self) -> dict[str, object]:
        return {"instance_type": "c2m4", "image": vsphere.VMDK_IMAGE}

    def seed_elsewhere(self) -> str:
        raise NotImplementedError("a standalone host is one datacenter")
