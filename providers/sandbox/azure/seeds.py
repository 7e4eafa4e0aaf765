"""What is in place from the start, and VMs and network interfaces made without HTTP."""

from providers.sandbox.azure import ids
from providers.sandbox.azure.catalogue import IMAGES
from providers.sandbox.azure.creating import Creating
from providers.sandbox.azure.definitions import os_profile
from providers.sandbox.azure.resources import VM, Cloud, Nic, NicReference

TENANT = "0c3d9f3e-5a3b-4b8e-9d55-2f1f6d7a1e01"
SUBSCRIPTION = "5b1f0c7a-8f5e-4c0e-a1c4-6e0d3f9b2d02"
RESOURCE_GROUP = "oj-test"
LOCATION = "westeurope"
NETWORK = "azure-vnet"
SUBNET_ID = f"{ids.resource_id(SUBSCRIPTION, RESOURCE_GROUP, ids.NETWORK, NETWORK)}/subnets/first-subnet"
# With room for three addresses, of eight.
SMALL_SUBNET_ID = f"{ids.resource_id(SUBSCRIPTION, RESOURCE_GROUP, ids.NETWORK, NETWORK)}/subnets/small-subnet"
IMAGE = "Debian/debian-12/12-gen2/latest"
WINDOWS_IMAGE = "MicrosoftWindowsServer/WindowsServer/2022-datacenter-azure-edition/latest"
CUSTOM_IMAGE = "custom-debian"
CUSTOM_IMAGE_ID = ids.resource_id(SUBSCRIPTION, RESOURCE_GROUP, ids.IMAGE, CUSTOM_IMAGE)
_SIZE = "Standard_B2s"


def equip(cloud: Cloud) -> None:
    """A resource group with a virtual network of two subnets, and a custom image."""
    cloud.groups[RESOURCE_GROUP.lower()] = RESOURCE_GROUP
    cloud.add_network(RESOURCE_GROUP, NETWORK, {"first-subnet": "10.0.0.0/16", "small-subnet": "10.1.0.0/29"})
    cloud.add_image(RESOURCE_GROUP, CUSTOM_IMAGE)


def seed_vm(cloud: Cloud, group: str, name: str, power: str) -> None:
    """Make a VM as its PUT would have, with a network interface and a disk that go with it."""
    publisher, offer, sku, version = IMAGE.split("/")
    image = IMAGES[publisher.lower(), offer.lower(), sku.lower()]
    profile = {"computerName": name, "adminUsername": "azureuser"}
    machine = VM(
        group=group,
        name=name,
        location=cloud.location,
        tags={},
        zones=[],
        size=_SIZE,
        image=image,
        image_reference={
            "publisher": publisher,
            "offer": offer,
            "sku": sku,
            "version": version,
            "exactVersion": image.version,
        },
        os_disk={
            "osType": image.os_type,
            "createOption": "FromImage",
            "caching": "ReadWrite",
            "managedDisk": {"storageAccountType": "Premium_LRS"},
            "deleteOption": "Delete",
            "diskSizeGB": image.disk_gib,
        },
        os_profile=os_profile(profile, image.os_type),
        nics=[_nic_reference(cloud, group, name)],
        others={},
    )
    cloud.vms[machine.key] = machine
    Creating(cloud).equip(machine)
    machine.provisioning, machine.power, machine.boots = "Succeeded", power, 1


def _nic_reference(cloud: Cloud, group: str, name: str) -> NicReference:
    return NicReference(
        group=group,
        name=f"{name}-nic",
        primary=True,
        delete_option="Delete",
        subnet=cloud.subnet(SUBNET_ID),
        ip_configuration="ipconfig1",
    )


def seed_nic(cloud: Cloud, group: str, name: str) -> str:
    """Make a network interface that no VM has, and return its id."""
    subnet = cloud.subnet(SUBNET_ID)
    if subnet is None:
        raise KeyError(SUBNET_ID)
    nic = Nic(group, name, cloud.location, subnet=subnet, offset=subnet.take(), ip_configuration="ipconfig1", vm=None)
    cloud.nics[nic.key] = nic
    return cloud.id_of(ids.NIC, nic)
