"""AWS in the suite: moto behind the sandbox's thin layer."""

import tempfile
from dataclasses import replace
from pathlib import Path

from providers.sandbox import aws
from providers.sandbox.authority import Authority
from providers.sandbox.faults import Cut, Fault
from tests.conformance.harness import Budgets, Features, Harness, Trouble

FAULTS = {
    Trouble.PERMISSION_DENIED: Fault(
        status=403, code="UnauthorizedOperation", message="You are not authorized to perform this operation."
    ),
    Trouble.THROTTLED: Fault(status=503, code="RequestLimitExceeded", message="Request limit exceeded."),
    Trouble.QUOTA: Fault(status=400, code="VcpuLimitExceeded", message="You have requested more vCPU capacity."),
    Trouble.NO_CAPACITY: Fault(status=500, code="InsufficientInstanceCapacity", message="There is no capacity."),
    Trouble.SERVER_ERROR: Fault(status=500, code="InternalError", message="An internal error has occurred."),
    Trouble.HTML: Fault(status=200, body=b"<html><body>Welcome to the proxy</body></html>"),
    Trouble.CUT: Fault(cut=Cut.ANSWER),
    Trouble.LOST_ANSWER: Fault(cut=Cut.ANSWER, after=True),
    Trouble.SLOW: Fault(delay_seconds=20.0),
}


class AwsHarness(Harness):
    """EC2."""

    name = "aws"
    cloud = "Aws"
    access_key = aws.ACCESS_KEY
    secret = aws.SECRET
    budgets = Budgets(list_page=1, list_page_size=1000, get=1, start=2, stop=2, restart=2, delete=2, create=2)
    features = Features()
    unknown_id = "i-00000000000000000"
    malformed_ids = ("i-1", "vm-0123456789abcdef0", "I-0123456789ABCDEF0", "i-0123456789abcdef0x")
    verb_operations = {  # noqa: RUF012 - a constant
        "list": "DescribeInstances",
        "get": "DescribeInstances",
        "create": "RunInstances",
        "start": "StartInstances",
        "stop": "StopInstances",
        "restart": "RebootInstances",
        "delete": "TerminateInstances",
    }
    poll_operations = frozenset({"DescribeInstances"})

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="conformance-")
        self._authority = Authority(Path(self._folder.name) / "ca.pem")
        self.sandbox = aws.AwsSandbox(self._authority, transition_seconds=0.05)
        self._retry_after = 7

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
        return {"cloud": "Aws", "region": aws.REGION, "vpc_id": aws.VPC_ID, "network_id": aws.SUBNET_ID}

    @property
    def offer(self) -> dict[str, object]:
        return {"instance_type": "t3.micro", "image": aws.IMAGE_ID}

    def seed(self, count: int, *, state: str = "running") -> list[str]:
        return self.sandbox.seed(count, state=state)

    def seed_elsewhere(self) -> str:
        return self.sandbox.seed(1, prefix="elsewhere", subnet_id=aws.OTHER_VPC_SUBNET_ID)[0]

    def trouble(self, trouble: Trouble, operation: str = "*", *, times: int | None = None, skip: int = 0) -> None:
        match trouble:
            case Trouble.GUEST_DEAF:
                self.sandbox.ignore_stop()
            case Trouble.BOOT_FAILS:
                self.sandbox.fail_next_boot()
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
        self.sandbox.faults.add(Fault(times=None, status=400, code="InvalidParameterValue", message=text))

    def operations(self) -> list[str]:
        return [call.operation for call in self.sandbox.calls.list()]

    def forget_operations(self) -> None:
        self.sandbox.calls.clear()

    def connections(self) -> int:
        return self.sandbox.server.connections

    def user_data(self, vm_id: str) -> bytes | None:
        return self.sandbox.user_data(vm_id)

    def objects(self) -> frozenset[str]:
        vms = (vm.id for vm in self.sandbox.vms())
        volumes = (volume.id for volume in self.sandbox.volumes())
        return frozenset([*vms, *volumes, *self.sandbox.network_interfaces()])

    def states(self) -> dict[str, str]:
        return {vm.id: vm.state for vm in self.sandbox.vms()}
