"""Azure in the suite: Entra ID and Azure Resource Manager at one address."""

from providers.sandbox import azure
from providers.sandbox.authority import Authority
from providers.sandbox.faults import Fault
from tests.conformance.harness import Budgets, Features, Trouble
from tests.conformance.simulated import SimulatedHarness
from tests.support.api import Api
from tests.support.guests import user_data

ELSEWHERE = "elsewhere"
CREATE = "VirtualMachines_CreateOrUpdate"
REFUSALS = {
    Trouble.PERMISSION_DENIED: Fault(
        status=403,
        code="AuthorizationFailed",
        message="The client 'demo' with object id 'demo' does not have authorization to perform the action.",
    ),
    Trouble.THROTTLED: Fault(status=429, code="TooManyRequests", message="The request is being throttled."),
    Trouble.QUOTA: Fault(
        status=409,
        code="OperationNotAllowed",
        message="Operation could not be completed as it results in exceeding approved Total Regional Cores quota.",
    ),
    Trouble.NO_CAPACITY: Fault(status=409, code="AllocationFailed", message="Allocation failed."),
    Trouble.SERVER_ERROR: Fault(status=500, code="InternalServerError", message="Encountered internal server error."),
}


class AzureHarness(SimulatedHarness[azure.AzureSandbox]):
    """One resource group."""

    refusals = REFUSALS
    echo = Fault(status=400, code="InvalidParameter")
    name = "azure"
    cloud = "Azure"
    access_key = azure.CLIENT_ID
    secret = azure.SECRET
    budgets = Budgets(list_page=2, list_page_size=500, get=1, start=1, stop=1, restart=1, delete=1, create=2)
    features = Features(unique_names=True)
    unknown_id = "nobody"
    malformed_ids = ("-vm", "vm.", "vm-", "v m", "vm/other", "v" * 65)
    verb_operations = {  # noqa: RUF012 - a constant
        "list": "VirtualMachines_List",
        "get": "VirtualMachines_Get",
        "create": CREATE,
        "start": "VirtualMachines_Start",
        "stop": "VirtualMachines_Deallocate",
        "restart": "VirtualMachines_Restart",
        "delete": "VirtualMachines_Delete",
    }
    poll_operations = frozenset({"Operations_Get"})
    # What Entra ID publishes about itself is asked for without a secret, before each log-in.
    prelude = frozenset({"OpenIdConfiguration"})

    def simulator(self, authority: Authority) -> azure.AzureSandbox:
        return azure.AzureSandbox(authority, task_seconds=0.05)

    def deafen(self) -> None:
        for vm in self.sandbox.vms():
            self.sandbox.ignore_shutdown(vm.name)

    def fail_boot(self, message: str = "OS provisioning did not finish.") -> None:
        self.sandbox.fail_next_operation(CREATE, "OSProvisioningTimedOut", message)

    @property
    def removal_operations(self) -> frozenset[str]:
        return frozenset({"VirtualMachines_Delete", "NetworkInterfaces_Delete", "Disks_Delete"})

    def leave_behind(self, api: Api) -> None:
        # A VM whose guest did not report may run: it is not removed.
        self.sandbox.fail_next_operation(CREATE, "AllocationFailed", "Allocation failed.")
        for operation in self.removal_operations:
            self.trouble(Trouble.PERMISSION_DENIED, operation)
        assert api.create("left").status >= 400

    def slow_down(self, task_seconds: float) -> None:
        self.sandbox.knobs.task_seconds = task_seconds

    def slow_log_ins(self, seconds: float) -> None:
        self.sandbox.faults.add(Fault("Token", times=None, delay_seconds=seconds))

    def change_secret(self, secret: str) -> None:
        self.sandbox.add_principal(self.access_key, secret)
        self.sandbox.expire_tokens()

    def issued_secrets(self) -> list[str]:
        return list(self.sandbox.access_tokens())

    def rejected_log_ins(self) -> int:
        return self.sandbox.failed_token_requests

    @property
    def environment(self) -> dict[str, object]:
        return {
            "cloud": "Azure",
            "region": azure.LOCATION,
            "vpc_id": f"{azure.TENANT}/{azure.SUBSCRIPTION}",
            "project": azure.RESOURCE_GROUP,
            "network_id": azure.SUBNET_ID,
        }

    @property
    def offer(self) -> dict[str, object]:
        return {"instance_type": "Standard_B1s", "image": azure.IMAGE}

    def seed(self, count: int, *, state: str = "running") -> list[str]:
        return self.sandbox.seed(count, state="deallocated" if state == "stopped" else state)

    def seed_elsewhere(self) -> str:
        self.sandbox.add_resource_group(ELSEWHERE)
        return self.sandbox.seed(1, prefix="elsewhere", group=ELSEWHERE)[0]

    def warm_up(self, api: Api) -> None:
        # A session is told once that an image is larger than what the machine type wants at least.
        vm_id = api.create("first").json["id"]
        assert api.delete(vm_id).status == 204

    def let_time_pass(self) -> None:
        self.sandbox.age(60)

    def acquaint(self, api: Api) -> None:
        # A name may be that of a VM in another region, and Azure's verbs ask for no region.
        assert api.list().status == 200

    def user_data(self, vm_id: str) -> bytes | None:
        return user_data(self.sandbox, vm_id)

    def objects(self) -> frozenset[str]:
        vms = (f"vm {vm.name}" for vm in self.sandbox.vms())
        nics = (f"nic {nic.name}" for nic in self.sandbox.network_interfaces())
        return frozenset([*vms, *nics, *(f"disk {disk.name}" for disk in self.sandbox.disks())])

    def states(self) -> dict[str, str]:
        return {vm.name: "stopped" if vm.power == "deallocated" else str(vm.power) for vm in self.sandbox.vms()}
