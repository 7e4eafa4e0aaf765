"""AWS in the suite: moto behind the sandbox's thin layer."""

from types import MappingProxyType

from providers.sandbox import aws
from providers.sandbox.authority import Authority
from providers.sandbox.faults import Fault
from tests.conformance.harness import Budgets, Features, Trouble
from tests.conformance.simulated import SimulatedHarness
from tests.support.api import Api
from tests.support.guests import user_data

ONE_SECRET = "an access key has one secret for life"
REFUSALS = {
    Trouble.PERMISSION_DENIED: Fault(
        status=403, code="UnauthorizedOperation", message="You are not authorized to perform this operation."
    ),
    Trouble.THROTTLED: Fault(status=503, code="RequestLimitExceeded", message="Request limit exceeded."),
    Trouble.QUOTA: Fault(status=400, code="VcpuLimitExceeded", message="You have requested more vCPU capacity."),
    Trouble.NO_CAPACITY: Fault(status=500, code="InsufficientInstanceCapacity", message="There is no capacity."),
    Trouble.SERVER_ERROR: Fault(status=500, code="InternalError", message="An internal error has occurred."),
}


class AwsHarness(SimulatedHarness[aws.AwsSandbox]):
    """EC2."""

    refusals = REFUSALS
    echo = Fault(status=400, code="InvalidParameterValue")
    name = "aws"
    cloud = "Aws"
    access_key = aws.ACCESS_KEY
    secret = aws.SECRET
    budgets = Budgets(list_page=1, list_page_size=1000, get=1, start=2, stop=2, restart=2, delete=2, create=2)
    features = Features(logs_in=False)
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
    known_gaps = MappingProxyType(
        {
            "test_list_after_the_secret_was_changed_is_rejected": ONE_SECRET,
            "test_list_after_the_right_secret_was_refused_for_a_moment_works_at_once": ONE_SECRET,
            "test_create_repeated_after_the_vm_was_deleted_makes_it_again": "EC2: a deleted VM stays deleted",
        }
    )

    def simulator(self, authority: Authority) -> aws.AwsSandbox:
        return aws.AwsSandbox(authority, transition_seconds=0.05)

    def deafen(self) -> None:
        self.sandbox.ignore_stop()

    def fail_boot(self, message: str = "Internal error on launch") -> None:
        self.sandbox.fail_next_boot(message=message)

    def leave_behind(self, api: Api) -> None:
        # EC2 itself terminates an instance that fails to boot.
        for operation in ("StopInstances", "TerminateInstances"):
            self.trouble(Trouble.PERMISSION_DENIED, operation)
        answer = api.create("left", start=False, headers={"Idempotency-Key": "left"})
        assert answer.status >= 400

    def slow_down(self, task_seconds: float) -> None:
        self.sandbox.transition_seconds = task_seconds

    def change_secret(self, secret: str) -> None:
        raise NotImplementedError(ONE_SECRET)

    def admit(self, secret: str) -> str:
        self.sandbox.add_access_key("another@sandbox", secret)
        return "another@sandbox"

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

    def let_time_pass(self) -> None:
        self.sandbox.age(60)

    def user_data(self, vm_id: str) -> bytes | None:
        return user_data(self.sandbox, vm_id)

    def objects(self) -> frozenset[str]:
        vms = (vm.id for vm in self.sandbox.vms())
        volumes = (volume.id for volume in self.sandbox.volumes())
        return frozenset([*vms, *volumes, *self.sandbox.network_interfaces()])

    def states(self) -> dict[str, str]:
        return {vm.id: vm.state for vm in self.sandbox.vms()}
