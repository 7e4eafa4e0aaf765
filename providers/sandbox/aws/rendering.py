"""An instance as DescribeInstances and RunInstances show it.

moto's own serialiser takes tens of times longer, as it looks every instance's tags up among all tags; ours is
held to it by a test. https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_Instance.html
"""

from collections.abc import Iterable, Mapping
from typing import Any

from moto.ec2.models.instances import Instance, Reservation

from providers.sandbox.aws.backend import SandboxBackend
from providers.sandbox.aws.wire import Value


def reservation_item(
    backend: SandboxBackend, reservation: Reservation, instances: Iterable[Instance]
) -> dict[str, Value]:
    """A reservation with those of its instances that are to be shown."""
    return {
        "reservationId": reservation.id,
        "ownerId": reservation.owner_id,
        "groupSet": [],
        "instancesSet": [instance_item(backend, instance) for instance in instances],
    }


def instance_item(backend: SandboxBackend, instance: Instance) -> dict[str, Value]:
    """One instance; a terminated one has lost its network and its volumes."""
    attached = {} if instance.state == "terminated" else _attachments(instance)
    return {
        "instanceId": instance.id,
        "imageId": instance.image_id,
        "instanceState": {"code": instance.state_code, "name": instance.state},
        "reason": instance.state_transition_reason,
        "stateReason": _state_reason(instance),
        "keyName": instance.key_name,
        "amiLaunchIndex": instance.ami_launch_index,
        "productCodes": [],
        "instanceType": instance.instance_type,
        "launchTime": instance.launch_time,
        "placement": {
            "availabilityZone": instance.placement.availability_zone,
            "groupName": "",
            "tenancy": "default",
        },
        "monitoring": {"state": instance.monitoring_state},
        "architecture": instance.architecture,
        "rootDeviceType": "ebs",
        "rootDeviceName": instance.root_device_name,
        "virtualizationType": instance.virtualization_type,
        "clientToken": instance.client_token,
        "tagSet": tag_set(backend, instance.id),
        "hypervisor": instance.hypervisor,
        "ebsOptimized": bool(instance.ebs_optimized),
        "enaSupport": True,
        "metadataOptions": _metadata_options(instance),
        "maintenanceOptions": {"autoRecovery": "default"},
        "currentInstanceBootMode": "legacy-bios",
        **attached,
    }


def tag_set(backend: SandboxBackend, resource_id: str) -> list[Value] | None:
    """A resource's tags; the element is missing when there are none."""
    tags = backend.tags.get(resource_id, {})
    return [{"key": key, "value": value} for key, value in tags.items()] or None


def _state_reason(instance: Instance) -> Mapping[str, Value] | None:
    reason = instance.state_reason
    return {"code": reason.code, "message": reason.message} if reason.code else None


def _metadata_options(instance: Instance) -> Mapping[str, Value]:
    options = instance.metadata_options
    return {
        "state": options.state,
        "httpTokens": options.http_tokens,
        "httpPutResponseHopLimit": options.http_put_response_hop_limit,
        "httpEndpoint": options.http_endpoint,
        "httpProtocolIpv6": options.http_protocol_ipv6,
        "instanceMetadataTags": options.instance_metadata_tags,
    }


def _attachments(instance: Instance) -> dict[str, Value]:
    return {
        "privateDnsName": instance.private_dns_name,
        "dnsName": instance.public_dns_name,
        "subnetId": instance.subnet_id,
        "vpcId": instance.vpc_id,
        "privateIpAddress": instance.private_ip,
        "ipAddress": instance.public_ip,
        "sourceDestCheck": instance.source_dest_check,
        "groupSet": _groups(instance.security_groups),
        "blockDeviceMapping": [_block_device(name, device) for name, device in instance.get_block_device_mapping],
        "networkInterfaceSet": [_network_interface(instance, nic) for nic in instance.nics.values()],
    }


def _groups(groups: Iterable[Any]) -> list[Value]:
    return [{"groupId": group.id, "groupName": group.name} for group in groups]


def _block_device(name: str, device: Any) -> Mapping[str, Value]:
    return {
        "deviceName": name,
        "ebs": {
            "volumeId": device.volume_id,
            "status": "attached",
            "attachTime": device.attach_time,
            "deleteOnTermination": bool(device.delete_on_termination),
        },
    }


def _network_interface(instance: Instance, nic: Any) -> Mapping[str, Value]:
    return {
        "networkInterfaceId": nic.id,
        "subnetId": nic.subnet.id,
        "vpcId": nic.subnet.vpc_id,
        "description": nic.description,
        "ownerId": instance.owner_id,
        "status": nic.status,
        "macAddress": nic.mac_address,
        "privateIpAddress": nic.private_ip_address,
        "sourceDestCheck": nic.source_dest_check,
        "interfaceType": nic.interface_type,
        "groupSet": _groups(nic.group_set),
        "attachment": {
            "attachmentId": nic.attachment_id,
            "deviceIndex": nic.device_index,
            "status": "attached",
            "attachTime": nic.attach_time,
            "deleteOnTermination": bool(nic.delete_on_termination),
            "networkCardIndex": 0,
        },
        "privateIpAddressesSet": [{"privateIpAddress": nic.private_ip_address, "primary": True}],
    }
