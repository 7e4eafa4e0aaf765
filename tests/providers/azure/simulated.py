"""A caller of the simulated Azure, and what tests ask the simulator."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from providers.azure import CLOUD
from providers.credentials import Credentials
from providers.deadline import Deadline
from providers.domain import Environment, Offer, OperatingSystem, VMSpec
from providers.gateway import Backends, Gateway
from providers.network import Network
from providers.sandbox import azure
from providers.sandbox.azure import AzureSandbox
from providers.work import Wish
from tests.support.limits import LIMITS

CREATE = "VirtualMachines_CreateOrUpdate"
GET = "VirtualMachines_Get"
DELETE = "VirtualMachines_Delete"
POLL = "Operations_Get"
SPEC = VMSpec("Web-1", OperatingSystem("Linux"), Offer("Standard_B1s", azure.IMAGE), tags={"team": "web"})
WINDOWS = replace(SPEC, os=OperatingSystem("Windows"), offer=Offer("Standard_B2s", azure.WINDOWS_IMAGE))
SHOWN = Wish(representation=True)
AT_ONCE = Wish(patience_seconds=0)
GROUP = f"/subscriptions/{azure.SUBSCRIPTION}/resourceGroups/{azure.RESOURCE_GROUP}"


@dataclass
class Caller:
    """A principal with sessions of its own; `url` is the simulator's, or that of something in front of it."""

    sandbox: AzureSandbox
    ca_file: str
    client_id: str = azure.CLIENT_ID
    secret: str = field(default=azure.SECRET, repr=False)
    url: str = ""
    backends: Backends = field(
        default_factory=lambda: Backends(Network(connect_timeout_seconds=5, read_timeout_seconds=10), LIMITS)
    )

    def __post_init__(self) -> None:
        """Fill in what follows from the rest."""
        self.environment = Environment(
            "azure1",
            CLOUD,
            url=self.url or self.sandbox.url,
            ca_file=self.ca_file,
            region=azure.LOCATION,
            vpc_id=f"{azure.TENANT}/{azure.SUBSCRIPTION}",
            project=azure.RESOURCE_GROUP,
            network_id=azure.SUBNET_ID,
        )

    @property
    def credentials(self) -> Credentials:
        """What the caller sends."""
        return Credentials(self.client_id, self.secret)

    @property
    def verbs(self) -> Gateway:
        """The verbs, with a deadline of their own."""
        return self.within(20)

    def within(self, seconds: float) -> Gateway:
        """The verbs, with so much time."""
        deadline = Deadline.after(seconds)
        return self.backends.gateway(self.environment, self.credentials, deadline)

    def elsewhere(self, **changes: Any) -> Gateway:
        """The verbs in another environment, which differs in these fields."""
        found = replace(self.environment, name="azure2", **changes)
        return self.backends.gateway(found, self.credentials, Deadline.after(20))


def objects(sandbox: AzureSandbox) -> list[str]:
    """Everything that costs money."""
    vms, nics, disks = sandbox.vms(), sandbox.network_interfaces(), sandbox.disks()
    return [*(vm.name for vm in vms), *(nic.name for nic in nics), *(disk.name for disk in disks)]


def operations(sandbox: AzureSandbox) -> list[str]:
    """What was called."""
    return [call.operation for call in sandbox.calls.list()]
