"""What there is in the subscription: groups, networks, network interfaces, disks and VMs, and a request to it."""

import heapq
import threading
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Network

from werkzeug.datastructures import Headers

from providers.sandbox.azure import ids
from providers.sandbox.azure.catalogue import CUSTOM_IMAGE, Image
from providers.sandbox.azure.clock import now
from providers.sandbox.azure.entra import Entra, Principal
from providers.sandbox.azure.knobs import Knobs, LockLevel
from providers.sandbox.azure.operations import Operation, OperationError, Operations
from providers.sandbox.azure.wire import Json

# Azure keeps the first four addresses of a subnet, and the last, to itself.
FIRST_ADDRESS = 4
RESERVED_ADDRESSES = 5


@dataclass
class Subnet:
    """A subnet and the addresses taken in it, as offsets from its start."""

    id: str
    name: str
    prefix: IPv4Network
    _next: int = FIRST_ADDRESS
    _freed: list[int] = field(default_factory=list)

    def take(self) -> int:
        """The lowest free address; raises `OperationError` when there is none."""
        if self._freed:
            return heapq.heappop(self._freed)
        if self._next - FIRST_ADDRESS >= self.prefix.num_addresses - RESERVED_ADDRESSES:
            place = f"Subnet {self.name} with address prefix {self.prefix}"
            message = f"{place} does not have enough capacity for 1 IP addresses."
            raise OperationError("SubnetIsFull", message)
        self._next += 1
        return self._next - 1

    def give_back(self, offset: int) -> None:
        """Free an address."""
        heapq.heappush(self._freed, offset)


@dataclass
class Resource:
    """What all resources have; `group` and `name` are as they were given."""

    group: str
    name: str
    location: str

    @property
    def key(self) -> tuple[str, str]:
        """What it is known by: names differ in more than case."""
        return self.group.lower(), self.name.lower()


@dataclass
class Nic(Resource):
    """A network interface; `vm` is the id of the VM that it belongs to."""

    subnet: Subnet
    offset: int
    ip_configuration: str
    vm: str | None
    tags: dict[str, str] = field(default_factory=dict)
    guid: str = field(default_factory=lambda: str(uuid.uuid4()))
    etag: str = field(default_factory=lambda: str(uuid.uuid4()))

    @property
    def address(self) -> str:
        """Its private address."""
        return str(self.subnet.prefix[self.offset])


@dataclass
class Disk(Resource):
    """A managed disk; `vm` is the id of the VM that it is attached to."""

    size_gib: int
    os_type: str
    account_type: str
    image: Json
    vm: str | None
    generation: str = "V2"
    tags: dict[str, str] = field(default_factory=dict)
    zones: list[str] = field(default_factory=list)
    unique_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    time_created: str = field(default_factory=now)
    owner_changed: str | None = None


@dataclass
class NicReference:
    """A VM's network interface, by the name that it has or will have, and what the VM's delete does to it."""

    group: str
    name: str
    primary: bool | None
    delete_option: str | None
    subnet: Subnet | None = None
    ip_configuration: str = ""

    @property
    def key(self) -> tuple[str, str]:
        """What the network interface is known by."""
        return self.group.lower(), self.name.lower()


@dataclass
class VM(Resource):
    """A VM. `power` is None before it has been placed, `failure` what it failed with if its last operation did."""

    tags: dict[str, str] | None
    zones: list[str]
    size: str
    image: Image
    image_reference: Json
    os_disk: Json
    os_profile: Json
    nics: list[NicReference]
    others: Json
    custom_data: bytes | None = field(default=None, repr=False)
    user_data: str | None = field(default=None, repr=False)
    disk: tuple[str, str] | None = None
    provisioning: str = "Creating"
    power: str | None = None
    failure: OperationError | None = None
    is_deaf: bool = False
    boots: int = 0
    etag: int = 1
    vm_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    time_created: str = field(default_factory=now)
    changed: str = field(default_factory=now)

    def fail(self, error: OperationError) -> None:
        """Keep what its last operation failed with."""
        self.provisioning, self.failure, self.changed = "Failed", error, now()

    def succeed(self) -> None:
        """Its last operation succeeded."""
        self.provisioning, self.failure, self.changed = "Succeeded", None, now()


@dataclass(frozen=True)
class Request:
    """One call of a resource provider: who calls, what the path and the query say, headers, body, and ARM's address."""

    caller: Principal
    path: Mapping[str, str]
    query: Mapping[str, str]
    headers: Headers
    body: bytes
    origin: str
    uri: str

    @property
    def key(self) -> tuple[str, str]:
        """The resource that the path names."""
        return self.path["group"].lower(), self.path["name"].lower()


@dataclass
class Cloud:
    """One subscription in one region. One call at a time works on it, under `lock`."""

    tenant: str
    subscription: str
    location: str
    knobs: Knobs = field(default_factory=Knobs)
    lock: threading.RLock = field(default_factory=threading.RLock)

    def __post_init__(self) -> None:
        self.clear(self.knobs)

    def clear(self, knobs: Knobs) -> None:
        """Forget everything."""
        self.knobs = knobs
        self.entra = Entra(self.tenant)
        self.operations = Operations()
        self.groups: dict[str, str] = {}
        self.networks: dict[tuple[str, str], list[Subnet]] = {}
        self.nics: dict[tuple[str, str], Nic] = {}
        self.disks: dict[tuple[str, str], Disk] = {}
        self.vms: dict[tuple[str, str], VM] = {}
        self.images: dict[str, Image] = {}
        self.deleted: set[tuple[str, str]] = set()
        self.locks: dict[str, LockLevel] = {}
        self.quota: tuple[int, str] | None = None

    def id_of(self, kind: str, resource: Resource | NicReference) -> str:
        """A resource's id, with its group as it was given."""
        return ids.resource_id(self.subscription, resource.group, kind, resource.name)

    def subnets(self) -> Iterator[Subnet]:
        """All subnets of all networks."""
        for subnets in self.networks.values():
            yield from subnets

    def subnet(self, subnet_id: str) -> Subnet | None:
        """A subnet by its id, if there is such a one."""
        return next((subnet for subnet in self.subnets() if subnet.id.lower() == subnet_id.lower()), None)

    def add_network(self, group: str, name: str, subnets: Mapping[str, str]) -> None:
        """Make a virtual network with subnets, whose prefixes are given by name."""
        network_id = ids.resource_id(self.subscription, group, ids.NETWORK, name)
        self.networks[group.lower(), name.lower()] = [
            Subnet(f"{network_id}/subnets/{subnet}", subnet, IPv4Network(prefix)) for subnet, prefix in subnets.items()
        ]

    def add_image(self, group: str, name: str) -> str:
        """Make a custom image, and return its id."""
        image_id = ids.resource_id(self.subscription, group, ids.IMAGE, name)
        self.images[image_id.lower()] = CUSTOM_IMAGE
        return image_id

    def drop_nic(self, key: tuple[str, str]) -> None:
        """Remove a network interface and free its address."""
        nic = self.nics.pop(key)
        nic.subnet.give_back(nic.offset)

    def remove_vm(self, machine: VM) -> None:
        """Remove a VM, and what of its network interfaces and disk is to go with it; the rest is free then."""
        del self.vms[machine.key]
        self.deleted.add(machine.key)
        for reference in machine.nics:
            nic = self.nics.get(reference.key)
            if nic is not None and reference.delete_option == "Delete" and not self.knobs.deletes_leave_attachments:
                self.drop_nic(reference.key)
            elif nic is not None:
                nic.vm = None
        disk = self.disks.get(machine.disk) if machine.disk else None
        takes_disk = machine.os_disk["deleteOption"] == "Delete" and not self.knobs.deletes_leave_attachments
        if disk is not None and takes_disk:
            del self.disks[disk.key]
        elif disk is not None:
            disk.vm, disk.owner_changed = None, now()

    def note_power_change(self, machine: VM) -> None:
        """Note on its disk that a VM was deallocated or started."""
        disk = self.disks.get(machine.disk) if machine.disk else None
        if disk is not None:
            disk.owner_changed = now()

    def operation_of(self, vm: VM) -> Operation | None:
        """The operation that runs on a VM, if any."""
        return self.operations.running_on(self.id_of(ids.VM, vm).lower())
