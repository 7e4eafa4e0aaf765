"""Making a VM, with its network interface and disk, and changing one that there is: PUT does either."""

from collections.abc import Callable, Iterator
from http import HTTPStatus

from providers.sandbox.azure import access, definitions, ids, rendering, rules
from providers.sandbox.azure.clock import now
from providers.sandbox.azure.definitions import Definition
from providers.sandbox.azure.operations import Operation, Work
from providers.sandbox.azure.resources import VM, Cloud, Disk, Nic, Request
from providers.sandbox.azure.states import Accepted, begin, refuse_while_busy
from providers.sandbox.azure.vm_shapes import ECHOED
from providers.sandbox.azure.wire import ArmError, GatewayError, Json

CREATE = "VirtualMachines_CreateOrUpdate"
# Found out while looking for a host, when there is a network interface, but no disk yet.
PLACEMENT_CODES = frozenset(
    {
        "AllocationFailed",
        "ZonalAllocationFailed",
        "OverconstrainedAllocationRequest",
        "OverconstrainedZonalAllocationRequest",
        "SkuNotAvailable",
    }
)


class Creating:
    """PUT of a VM."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud

    def put(self, request: Request) -> Accepted:
        """Make the VM that the path names, or change it."""
        definition = definitions.read(request.body, request.headers.get("Content-Type", ""))
        definitions.check_place(definition)
        existing = self._cloud.vms.get(request.key)
        _check_conditions(request, existing)
        if existing is not None:
            return self._change(existing, definition)
        return self._create(request, definition)

    def equip(self, machine: VM) -> None:
        """Make what there is not yet of a VM's network interfaces and disk, at once."""
        self._make_nics(machine)
        self._make_disk(machine)

    def _create(self, request: Request, definition: Definition) -> Accepted:
        group, name = self._cloud.groups[request.path["group"].lower()], request.path["name"]
        machine = definitions.new_vm(self._cloud, group, name, definition)
        self._check_access(request, machine)
        self._refuse_taken_disk(machine)
        self._cloud.vms[machine.key] = machine
        self._reserve_nics(machine)
        operation = begin(self._cloud, machine, CREATE, "Creating", self._making(machine))
        body = rendering.vm(self._cloud, machine)
        return Accepted(operation, HTTPStatus.CREATED, body, {"ETag": rendering.etag(machine)})

    def _check_access(self, request: Request, machine: VM) -> None:
        """What a VM's PUT takes besides `virtualMachines/write`.

        What it makes takes the right to make it, and what it joins the right to join.
        https://learn.microsoft.com/azure/virtual-network/virtual-network-network-interface#permissions
        """
        group = ids.group_id(self._cloud.subscription, machine.group)
        linked: list[tuple[str, str]] = []
        for reference in machine.nics:
            nic_id = self._cloud.id_of(ids.NIC, reference)
            linked.append((access.JOIN_NIC, nic_id))
            if reference.subnet is not None:
                access.check(request.caller, access.WRITE_NIC, nic_id)
                linked.append((access.JOIN_SUBNET, reference.subnet.id))
        access.check(request.caller, access.WRITE_DISK, f"{group}/providers/{ids.DISK}/{_disk_name(machine)}")
        if "id" in machine.image_reference:
            linked.append((access.READ_IMAGE, machine.image_reference["id"]))
        vm_id = self._cloud.id_of(ids.VM, machine)
        access.check_linked(request.caller, f"{ids.VM}/write", vm_id, linked)

    def _refuse_taken_disk(self, machine: VM) -> None:
        name = _disk_name(machine)
        if (machine.key[0], name.lower()) in self._cloud.disks:
            message = (
                f"Disk {name} already exists in resource group {machine.group.upper()}. Only CreateOption.Attach is "
                "supported."
            )
            raise ArmError(HTTPStatus.CONFLICT, "ConflictingUserInput", message, target=name)

    def _making(self, machine: VM) -> Callable[[Operation], Work]:
        """What Azure does after its answer; what has been made by then stays when it fails."""
        step = self._cloud.knobs.task_seconds / 3

        def work(operation: Operation) -> Work:
            yield step
            self._make_nics(machine)
            yield step
            operation.fail_if_planned(PLACEMENT_CODES)
            self._make_disk(machine)
            machine.power = "starting"
            yield step
            machine.power = "running"
            machine.boots += 1

        return work

    def _reserve_nics(self, machine: VM) -> None:
        for reference in machine.nics:
            if reference.subnet is None:
                self._cloud.nics[reference.key].vm = self._cloud.id_of(ids.VM, machine)

    def _make_nics(self, machine: VM) -> None:
        for reference in machine.nics:
            if reference.subnet is None or reference.key in self._cloud.nics:
                continue
            offset = reference.subnet.take()
            nic = Nic(
                machine.group,
                reference.name,
                machine.location,
                subnet=reference.subnet,
                offset=offset,
                ip_configuration=reference.ip_configuration,
                vm=self._cloud.id_of(ids.VM, machine),
            )
            self._cloud.nics[nic.key] = nic

    def _make_disk(self, machine: VM) -> None:
        if machine.disk is not None:
            return
        disk = Disk(
            machine.group,
            _disk_name(machine),
            machine.location,
            size_gib=machine.os_disk["diskSizeGB"],
            os_type=machine.image.os_type,
            account_type=machine.os_disk["managedDisk"]["storageAccountType"],
            image={"id": _image_id(self._cloud, machine)},
            vm=self._cloud.id_of(ids.VM, machine),
            generation=machine.image.generation,
            tags=dict(machine.tags or {}),
            zones=machine.zones,
            owner_changed=now(),
        )
        self._cloud.disks[disk.key] = disk
        machine.disk = disk.key

    def _change(self, machine: VM, definition: Definition) -> Accepted:
        """A PUT on a VM that there is changes what it names, as a PATCH would."""
        _refuse_move(machine, definition)
        refuse_while_busy(self._cloud, machine, "createOrUpdate")
        properties = definition.properties
        for name in _fixed_changes(self._cloud, machine, definition):
            message = f"Changing property '{name}' is not allowed."
            raise ArmError(HTTPStatus.CONFLICT, "PropertyChangeNotAllowed", message, target=name)
        if "hardwareProfile" in properties:
            knobs = self._cloud.knobs
            machine.size = rules.size(properties["hardwareProfile"], knobs.unavailable_sizes, machine.location)
        if definition.tags is not None:
            machine.tags = definition.tags
        _change_delete_options(machine, properties)
        machine.user_data = properties.get("userData", machine.user_data)
        machine.others |= {key: properties[key] for key in ECHOED if key in properties}
        machine.etag += 1
        operation = begin(self._cloud, machine, CREATE, "Updating", self._changing())
        body = rendering.vm(self._cloud, machine)
        return Accepted(operation, HTTPStatus.OK, body, {"ETag": rendering.etag(machine)})

    def _changing(self) -> Callable[[Operation], Work]:
        seconds = self._cloud.knobs.task_seconds

        def work(operation: Operation) -> Work:
            del operation
            yield seconds

        return work


def _check_conditions(request: Request, existing: VM | None) -> None:
    """`If-None-Match: *` is for making only, `If-Match` for changing only what one has seen.

    https://learn.microsoft.com/rest/api/compute/virtual-machines/create-or-update#uri-parameters
    """
    unless, only = request.headers.get("If-None-Match"), request.headers.get("If-Match")
    if unless is not None and unless != "*":
        message = f"The value '{unless}' of the header 'If-None-Match' is not supported. The only one is '*'."
        raise ArmError(HTTPStatus.BAD_REQUEST, "InvalidParameter", message, target="If-None-Match")
    failed = existing is not None and unless is not None
    if only is not None and (existing is None or only not in {"*", rendering.etag(existing)}):
        failed = True
    if failed:
        message = "The condition specified using HTTP conditional header(s) is not met."
        raise ArmError(HTTPStatus.PRECONDITION_FAILED, "PreconditionFailed", message)


def _refuse_move(machine: VM, definition: Definition) -> None:
    if definition.location != machine.location:
        message = (
            f"The resource '{machine.name}' already exists in location '{machine.location}' in resource group "
            f"'{machine.group}'. A resource with the same name cannot be created in location '{definition.location}'. "
            "Please select a new resource name."
        )
        raise GatewayError(HTTPStatus.CONFLICT, "InvalidResourceLocation", message)


def _change_delete_options(machine: VM, properties: Json) -> None:
    """What a VM's delete takes along may be changed at any time."""
    disk = properties.get("storageProfile", {}).get("osDisk", {})
    machine.os_disk["deleteOption"] = disk.get("deleteOption", machine.os_disk["deleteOption"])
    for given in properties.get("networkProfile", {}).get("networkInterfaces", []):
        for reference in machine.nics:
            if given.get("id", "").lower().endswith(f"/{reference.name.lower()}"):
                reference.delete_option = given.get("properties", {}).get("deleteOption", reference.delete_option)


def _fixed_changes(cloud: Cloud, machine: VM, definition: Definition) -> Iterator[str]:
    """The properties that the definition would change, and that cannot be changed."""
    profile = definition.properties.get("osProfile", {})
    if "customData" in profile and rules.custom_data(profile["customData"]) != machine.custom_data:
        yield "osProfile.customData"
    shown = definitions.os_profile({**machine.os_profile, **profile}, machine.image.os_type)
    yield from (f"osProfile.{name}" for name in profile if name in shown and shown[name] != machine.os_profile[name])
    storage, network = definition.properties.get("storageProfile", {}), definition.properties.get("networkProfile", {})
    given = storage.get("imageReference", {})
    if any(given[name] != machine.image_reference.get(name) for name in given):
        yield "imageReference"
    if "networkInterfaceConfigurations" in network:
        yield "networkProfile.networkInterfaceConfigurations"
    own = {cloud.id_of(ids.NIC, reference).lower() for reference in machine.nics}
    if own ^ {one.get("id", "").lower() for one in network.get("networkInterfaces", [])} and network:
        yield "networkProfile.networkInterfaces"
    if definition.zones and definition.zones != machine.zones:
        yield "zones"


def _disk_name(machine: VM) -> str:
    """The name that was asked for, or Azure's own."""
    named: str | None = machine.os_disk.get("name")
    return named or f"{machine.name}_OsDisk_1_{machine.vm_id.replace('-', '')}"


def _image_id(cloud: Cloud, machine: VM) -> str:
    reference = machine.image_reference
    if "id" in reference:
        return str(reference["id"])
    return (
        f"/Subscriptions/{cloud.subscription}/Providers/Microsoft.Compute/Locations/{machine.location}/Publishers/"
        f"{reference['publisher']}/ArtifactTypes/VMImage/Offers/{reference['offer']}/Skus/{reference['sku']}/Versions/"
        f"{reference['exactVersion']}"
    )
