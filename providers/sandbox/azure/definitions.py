"""From the body of a VM's PUT to a VM that has been checked, but not made yet."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus

import orjson

from providers.sandbox.azure import catalogue, ids, rules
from providers.sandbox.azure.resources import VM, Cloud, NicReference, Subnet
from providers.sandbox.azure.shapes import Reader
from providers.sandbox.azure.vm_shapes import DEFINITION, ECHOED, PROPERTIES
from providers.sandbox.azure.wire import ArmError, InvalidParameterError, Json, MissingParameterError


@dataclass(frozen=True)
class Definition:
    """A body as ARM has read it: its top and its properties, in Azure's spelling."""

    location: str
    tags: dict[str, str] | None
    zones: list[str]
    properties: Json


def read(body: bytes, content_type: str) -> Definition:
    """Read a PUT's body."""
    if content_type.partition(";")[0].strip().lower() != "application/json":
        message = f"The content media type '{content_type}' is not supported. Only 'application/json' is supported."
        raise ArmError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "UnsupportedMediaType", message)
    try:
        raw = orjson.loads(body)
        text = body.decode()
    except ValueError as error:
        message = "The request content was invalid and could not be deserialized: 'Unexpected character encountered.'."
        raise ArmError(HTTPStatus.BAD_REQUEST, "InvalidRequestContent", message) from error
    top = Reader(text).read(raw, DEFINITION, code="InvalidRequestContent")
    properties: object = {}
    for name, value in raw.items():
        if name.lower() == "properties" and value is not None:
            properties = value
    location = top.get("location", "").replace(" ", "").lower()
    return Definition(
        location, top.get("tags"), top.get("zones", []), Reader(text).read(properties, PROPERTIES, "properties")
    )


def check_place(definition: Definition) -> None:
    """Refuse a location or a zone that there is not."""
    if not definition.location:
        message = "The location property is required for this definition."
        raise ArmError(HTTPStatus.BAD_REQUEST, "LocationRequired", message)
    if definition.location not in catalogue.LOCATIONS:
        message = (
            f"The provided location '{definition.location}' is not available for resource type '{ids.VM}'. List of "
            f"available regions for the resource type is '{','.join(sorted(catalogue.LOCATIONS))}'."
        )
        raise ArmError(HTTPStatus.BAD_REQUEST, "LocationNotAvailableForResourceType", message)
    unknown = [zone for zone in definition.zones if zone not in catalogue.ZONES]
    if unknown or len(definition.zones) > 1:
        message = f"The zone(s) '{','.join(unknown or definition.zones)}' for resource is not supported."
        raise ArmError(HTTPStatus.BAD_REQUEST, "InvalidAvailabilityZone", message)


def new_vm(cloud: Cloud, group: str, name: str, definition: Definition) -> VM:
    """A VM that may be made, as its definition says it; every refusal comes from here."""
    rules.check_name(name)
    properties = definition.properties
    for part in ("hardwareProfile", "storageProfile", "osProfile", "networkProfile"):
        if part not in properties:
            raise MissingParameterError(part)
    storage = properties["storageProfile"]
    for part in ("imageReference", "osDisk"):
        if part not in storage:
            raise MissingParameterError(part)
    size = rules.size(properties["hardwareProfile"], cloud.knobs.unavailable_sizes, definition.location)
    image = rules.image(storage["imageReference"], cloud.images)
    rules.check_os_disk(storage["osDisk"], image)
    rules.check_os_profile(properties["osProfile"], image.os_type)
    machine = VM(
        group=group,
        name=name,
        location=definition.location,
        tags=definition.tags,
        zones=definition.zones,
        size=size,
        image=image,
        image_reference=_image_reference(storage["imageReference"], image),
        os_disk=_os_disk(storage["osDisk"], image, size),
        os_profile=os_profile(properties["osProfile"], image.os_type),
        nics=_nics(cloud, group, name, properties["networkProfile"]),
        others={key: properties[key] for key in ECHOED if key in properties},
        custom_data=rules.custom_data(properties["osProfile"].get("customData")),
        user_data=properties.get("userData"),
    )
    _check_quota(cloud, size, definition.location)
    return machine


def os_profile(given: Mapping[str, object], os_type: str) -> Json:
    """The guest's profile as it is shown: with the defaults, without what is secret."""
    shown: Json = {"computerName": given["computerName"], "adminUsername": given["adminUsername"]}
    patches = {"patchMode": "ImageDefault", "assessmentMode": "ImageDefault"}
    if os_type == "Linux":
        own: object = given.get("linuxConfiguration", {})
        defaults: Json = {"disablePasswordAuthentication": False, "provisionVMAgent": True, "patchSettings": patches}
        shown["linuxConfiguration"] = {**defaults, **own} if isinstance(own, dict) else defaults
    else:
        own = given.get("windowsConfiguration", {})
        patches["patchMode"] = "AutomaticByOS"
        defaults = {"provisionVMAgent": True, "enableAutomaticUpdates": True, "patchSettings": patches}
        shown["windowsConfiguration"] = {**defaults, **own} if isinstance(own, dict) else defaults
    return {
        **shown,
        "secrets": [],
        "allowExtensionOperations": given.get("allowExtensionOperations", True),
        "requireGuestProvisionSignal": given.get("requireGuestProvisionSignal", True),
    }


def _image_reference(given: Json, image: catalogue.Image) -> Json:
    return given if "id" in given else {**given, "exactVersion": image.version}


def _os_disk(given: Json, image: catalogue.Image, size: str) -> Json:
    # Sizes with an s behind their number have premium storage, and take it by default.
    premium = "s" in size.partition("_")[2].partition("_")[0].lower()
    account = "Premium_LRS" if premium else "Standard_LRS"
    named = {"name": given["name"]} if "name" in given else {}
    return {
        "osType": image.os_type,
        **named,
        "createOption": "FromImage",
        "caching": given.get("caching", "ReadWrite"),
        "managedDisk": {"storageAccountType": given.get("managedDisk", {}).get("storageAccountType", account)},
        "deleteOption": given.get("deleteOption", "Detach"),
        "diskSizeGB": given.get("diskSizeGB", image.disk_gib),
    }


def _nics(cloud: Cloud, group: str, vm_name: str, profile: Json) -> list[NicReference]:
    inline, existing = profile.get("networkInterfaceConfigurations", []), profile.get("networkInterfaces", [])
    if not inline and not existing:
        message = f"Virtual Machine {vm_name} must have at least one network interface."
        raise InvalidParameterError("networkProfile", message)
    if inline and existing:
        message = "Properties 'networkInterfaces' and 'networkInterfaceConfigurations' cannot both be specified."
        raise InvalidParameterError("networkProfile", message)
    entries = inline or existing
    if len(entries) > 1 and sum(bool(one.get("properties", {}).get("primary")) for one in entries) != 1:
        message = f"Virtual machine {vm_name} must have one network interface set as the primary."
        raise ArmError(HTTPStatus.BAD_REQUEST, "VirtualMachineMustHaveOneNetworkInterfaceAsPrimary", message)
    if inline:
        _check_version(profile.get("networkApiVersion"))
        return [_inline_nic(cloud, group, one) for one in inline]
    return [_existing_nic(cloud, group, vm_name, one) for one in existing]


def _check_version(version: str | None) -> None:
    if not version:
        raise MissingParameterError("networkProfile.networkApiVersion")
    if version not in catalogue.NIC_VERSIONS:
        message = f"The value '{version}' of parameter 'networkProfile.networkApiVersion' is not supported."
        raise InvalidParameterError("networkProfile.networkApiVersion", message)


def _inline_nic(cloud: Cloud, group: str, given: Json) -> NicReference:
    """A network interface to be made, under a name of which the given one is only the beginning."""
    path = "networkProfile.networkInterfaceConfigurations"
    if not given.get("name"):
        raise MissingParameterError(f"{path}.name")
    properties = given.get("properties", {})
    configurations = properties.get("ipConfigurations", [])
    if not configurations:
        raise MissingParameterError(f"{path}.ipConfigurations")
    first = configurations[0]
    if not first.get("name"):
        raise MissingParameterError(f"{path}.ipConfigurations.name")
    subnet_id = first.get("properties", {}).get("subnet", {}).get("id")
    if not subnet_id:
        raise MissingParameterError(f"{path}.ipConfigurations.subnet")
    name = f"{given['name']}-{secrets.token_hex(4)}"
    subnet = _subnet(cloud, subnet_id, ids.resource_id(cloud.subscription, group, ids.NIC, name))
    return NicReference(
        group=group,
        name=name,
        primary=properties.get("primary", True),
        delete_option=properties.get("deleteOption", "Detach"),
        subnet=subnet,
        ip_configuration=first["name"],
    )


def _subnet(cloud: Cloud, subnet_id: str, nic_id: str) -> Subnet:
    parsed = ids.parse(subnet_id)
    if parsed is None or not parsed.is_a(ids.NETWORK) or not parsed.child.lower().startswith("/subnets/"):
        message = (
            f"Property id '{subnet_id}' at path 'properties.networkProfile.networkInterfaceConfigurations[0].properties"
            ".ipConfigurations[0].properties.subnet.id' is invalid. Expect fully qualified resource Id that start with "
            "'/subscriptions/{subscriptionId}' or '/providers/{resourceProviderNamespace}/'."
        )
        raise ArmError(HTTPStatus.BAD_REQUEST, "LinkedInvalidPropertyId", message)
    found = cloud.subnet(subnet_id)
    if found is None:
        raise _missing_reference(subnet_id, nic_id)
    return found


def _existing_nic(cloud: Cloud, group: str, vm_name: str, given: Json) -> NicReference:
    parsed = ids.parse(given.get("id", ""))
    if parsed is None or not parsed.is_a(ids.NIC):
        raise MissingParameterError("networkProfile.networkInterfaces.id")
    nic = cloud.nics.get((parsed.group.lower(), parsed.name.lower()))
    vm_id = ids.resource_id(cloud.subscription, group, ids.VM, vm_name)
    if nic is None:
        raise _missing_reference(given["id"], vm_id)
    if nic.vm is not None and nic.vm.lower() != vm_id.lower():
        message = f"Network interface {cloud.id_of(ids.NIC, nic)} cannot be attached because it is used by {nic.vm}."
        raise ArmError(HTTPStatus.BAD_REQUEST, "NetworkInterfaceAlreadyAttached", message)
    properties = given.get("properties", {})
    return NicReference(nic.group, nic.name, properties.get("primary"), properties.get("deleteOption"))


def _missing_reference(missing: str, referrer: str) -> ArmError:
    message = (
        f"Resource {missing} referenced by resource {referrer} was not found. Please make sure that the referenced "
        "resource exists, and that both resources are in the same region."
    )
    return ArmError(HTTPStatus.BAD_REQUEST, "InvalidResourceReference", message)


def _check_quota(cloud: Cloud, size: str, location: str) -> None:
    if cloud.quota is None:
        return
    # Deallocated VMs count too: https://learn.microsoft.com/azure/virtual-machines/quotas
    limit, code = cloud.quota
    needed = catalogue.CORES[size.lower()]
    used = sum(catalogue.CORES[machine.size.lower()] for machine in cloud.vms.values())
    if used + needed > limit:
        message = (
            "Operation could not be completed as it results in exceeding approved Total Regional Cores quota. "
            f"Additional details - Deployment Model: Resource Manager, Location: {location}, Current Limit: {limit}, "
            f"Current Usage: {used}, Additional Required: {needed}, (Minimum) New Limit Required: {used + needed}. "
            "Submit a request for Quota increase at https://aka.ms/ProdportalCRP/ by specifying parameters listed in "
            "the 'Details' section for deployment to succeed. Please read more about quota limits at "
            "https://docs.microsoft.com/en-us/azure/azure-supportability/regional-quota-requests"
        )
        raise ArmError(HTTPStatus.CONFLICT, code, message)
