"""How VMs look in answers: field for field as recorded, never with a password or custom data."""

from collections.abc import Mapping

from providers.sandbox.azure import ids
from providers.sandbox.azure.resources import VM, Cloud, Disk, Nic, NicReference
from providers.sandbox.azure.wire import Json

GIB = 1 << 30
_PROVISIONING: Mapping[str, str] = {
    "Creating": "Creating",
    "Updating": "Updating",
    "Deleting": "Deleting",
    "Succeeded": "Provisioning succeeded",
    "Failed": "Provisioning failed",
}
_AGENT_VERSION = "2.11.1.12"


def vm(cloud: Cloud, machine: VM, *, listed: bool = False, expand: frozenset[str] = frozenset()) -> Json:
    """A VM as PUT, GET and LIST show it; `expand` is of instanceView and userData."""
    body = _head(cloud, machine, ids.VM, listed=listed)
    if machine.tags is not None:
        body["tags"] = machine.tags
    if machine.zones:
        body["zones"] = machine.zones
    body["properties"] = _properties(cloud, machine, expand)
    body["etag"] = etag(machine)
    return body


def status_only(cloud: Cloud, machine: VM) -> Json:
    """A VM as the subscription's list shows it with `statusOnly=true`: what it is, and its state."""
    properties = {
        "provisioningState": machine.provisioning,
        "vmId": machine.vm_id,
        "instanceView": instance_view(cloud, machine),
    }
    return {**_head(cloud, machine, ids.VM, listed=True), "properties": properties}


def etag(machine: VM) -> str:
    """A VM's entity tag, with its quotes."""
    return f'"{machine.etag}"'


def instance_view(cloud: Cloud, machine: VM) -> Json:
    """What a VM does at present: its states, its agent's and its disks'."""
    view: Json = {}
    if machine.power == "running":
        view |= {
            "computerName": machine.os_profile["computerName"],
            "osName": machine.image.os_name,
            "osVersion": machine.image.os_version,
            "vmAgent": {
                "vmAgentVersion": _AGENT_VERSION,
                "statuses": [_agent_status(machine)],
                "extensionHandlers": [],
            },
        }
    disk = cloud.disks.get(machine.disk) if machine.disk else None
    if disk is not None:
        view["disks"] = [{"name": disk.name, "statuses": [_status("Succeeded", disk.time_created)]}]
    view["hyperVGeneration"] = machine.image.generation
    view["statuses"] = statuses(machine)
    return view


def statuses(machine: VM) -> list[Json]:
    """A VM's provisioning state, and its power state once it has one."""
    found = [_status(machine.provisioning, machine.changed)]
    if machine.failure is not None:
        found[0] |= {
            "code": f"ProvisioningState/failed/{machine.failure.code}",
            "level": "Error",
            "message": machine.failure.message,
        }
    if machine.power is not None:
        power = {"code": f"PowerState/{machine.power}", "level": "Info", "displayStatus": f"VM {machine.power}"}
        found.append(power)
    return found


def nic(cloud: Cloud, interface: Nic, *, listed: bool = False) -> Json:
    """A network interface."""
    body = _head(cloud, interface, ids.NIC, listed=listed)
    entity_tag = f'W/"{interface.etag}"'
    configuration = {
        "name": interface.ip_configuration,
        "id": f"{body['id']}/ipConfigurations/{interface.ip_configuration}",
        "etag": entity_tag,
        "type": f"{ids.NIC}/ipConfigurations",
        "properties": {
            "provisioningState": "Succeeded",
            "privateIPAddress": interface.address,
            "privateIPAllocationMethod": "Dynamic",
            "subnet": {"id": interface.subnet.id},
            "primary": True,
            "privateIPAddressVersion": "IPv4",
        },
    }
    properties: Json = {
        "provisioningState": "Succeeded",
        "resourceGuid": interface.guid,
        "ipConfigurations": [configuration],
        "dnsSettings": {"dnsServers": [], "appliedDnsServers": []},
        "enableAcceleratedNetworking": False,
        "vnetEncryptionSupported": False,
        "enableIPForwarding": False,
        "disableTcpStateTracking": False,
        "hostedWorkloads": [],
        "tapConfigurations": [],
        "nicType": "Standard",
        "auxiliaryMode": "None",
        "auxiliarySku": "None",
    }
    if interface.vm is not None:
        properties |= {"primary": True, "virtualMachine": {"id": interface.vm}}
    return {**body, "etag": entity_tag, "tags": interface.tags, "properties": properties}


def disk(cloud: Cloud, managed: Disk, *, listed: bool = False) -> Json:
    """A managed disk."""
    body = _head(cloud, managed, ids.DISK, listed=listed) | {"tags": managed.tags}
    if managed.zones:
        body["zones"] = managed.zones
    if managed.vm is not None:
        body["managedBy"] = managed.vm
    body["sku"] = {"name": managed.account_type, "tier": managed.account_type.partition("_")[0]}
    body["properties"] = {
        "osType": managed.os_type,
        "hyperVGeneration": managed.generation,
        "creationData": {"createOption": "FromImage", "imageReference": managed.image},
        "diskSizeGB": managed.size_gib,
        "diskSizeBytes": managed.size_gib * GIB,
        "encryption": {"type": "EncryptionAtRestWithPlatformKey"},
        "networkAccessPolicy": "AllowAll",
        "publicNetworkAccess": "Enabled",
        "timeCreated": managed.time_created,
        "provisioningState": "Succeeded",
        "diskState": _disk_state(cloud, managed),
        "uniqueId": managed.unique_id,
    }
    if managed.owner_changed is not None:
        body["properties"]["LastOwnershipUpdateTime"] = managed.owner_changed
    return body


def _head(cloud: Cloud, resource: VM | Nic | Disk, kind: str, *, listed: bool) -> Json:
    # Lists show the group in capitals, whatever it is called: so do the recorded answers.
    group = resource.group.upper() if listed else resource.group
    return {
        "name": resource.name,
        "id": ids.resource_id(cloud.subscription, group, kind, resource.name),
        "type": kind,
        "location": resource.location,
    }


def _properties(cloud: Cloud, machine: VM, expand: frozenset[str]) -> Json:
    properties: Json = {
        "hardwareProfile": {"vmSize": machine.size},
        "provisioningState": machine.provisioning,
        "vmId": machine.vm_id,
        **machine.others,
        "storageProfile": {
            "imageReference": machine.image_reference,
            "osDisk": _os_disk(cloud, machine),
            "dataDisks": [],
        },
        "osProfile": machine.os_profile,
        "networkProfile": {"networkInterfaces": [_nic_reference(cloud, one) for one in machine.nics]},
    }
    if "userData" in expand and machine.user_data is not None:
        properties["userData"] = machine.user_data
    if "instanceView" in expand:
        properties["instanceView"] = instance_view(cloud, machine)
    properties["timeCreated"] = machine.time_created
    return properties


def _os_disk(cloud: Cloud, machine: VM) -> Json:
    """The OS disk; without name and id until it has been made."""
    made = cloud.disks.get(machine.disk) if machine.disk else None
    if made is None:
        return machine.os_disk
    managed = {**machine.os_disk["managedDisk"], "id": cloud.id_of(ids.DISK, made)}
    return {**machine.os_disk, "name": made.name, "managedDisk": managed}


def _nic_reference(cloud: Cloud, reference: NicReference) -> Json:
    properties: Json = {}
    if reference.primary is not None:
        properties["primary"] = reference.primary
    if reference.delete_option is not None:
        properties["deleteOption"] = reference.delete_option
    body: Json = {"id": cloud.id_of(ids.NIC, reference)}
    return {**body, "properties": properties} if properties else body


def _status(provisioning: str, moment: str) -> Json:
    return {
        "code": f"ProvisioningState/{provisioning.lower()}",
        "level": "Info",
        "displayStatus": _PROVISIONING[provisioning],
        "time": moment,
    }


def _agent_status(machine: VM) -> Json:
    return {
        "code": "ProvisioningState/succeeded",
        "level": "Info",
        "displayStatus": "Ready",
        "message": "Guest Agent is running",
        "time": machine.changed,
    }


def _disk_state(cloud: Cloud, managed: Disk) -> str:
    owner = ids.parse(managed.vm) if managed.vm else None
    if owner is None:
        return "Unattached"
    machine = cloud.vms.get((owner.group.lower(), owner.name.lower()))
    return "Reserved" if machine is not None and machine.power == "deallocated" else "Attached"
