"""RunInstances: what EC2 checks and fills in before moto makes the instance, and client tokens.

https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_RunInstances.html
https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-idempotency.html
"""

import base64
import binascii
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from moto.ec2.models.instance_types import INSTANCE_TYPE_OFFERINGS, INSTANCE_TYPES
from moto.ec2.models.instances import Instance
from werkzeug.wrappers import Response

from providers.sandbox.aws.backend import REGION, ROOT_DEVICE, ROOT_GIB, ROOT_VOLUME_TYPE, SandboxBackend
from providers.sandbox.aws.lifecycle import Lifecycle
from providers.sandbox.aws.rendering import reservation_item
from providers.sandbox.aws.wire import Ec2Error, Ec2Request, answer

USER_DATA_BYTES = 16384
CLIENT_TOKEN_LENGTH = 64
INSTANCE_ID_ELEMENT = re.compile(r"<instanceId>(i-[0-9a-f]+)</instanceId>")
OFFERED_TYPES = frozenset(offering["InstanceType"] for offering in INSTANCE_TYPE_OFFERINGS["region"][REGION])

Forward = Callable[[Mapping[str, str]], Response]


@dataclass(frozen=True)
class _Launched:
    parameters: Mapping[str, str]
    reservation_id: str


class Launcher:
    """Launches instances, once for each client token; its caller serves one call at a time."""

    def __init__(self, backend: SandboxBackend, lifecycle: Lifecycle, forward: Forward) -> None:
        self._backend = backend
        self._lifecycle = lifecycle
        self._forward = forward
        self._launched: dict[tuple[str, str], _Launched] = {}

    def run_instances(self, request: Ec2Request) -> Response:
        """The answer to RunInstances."""
        _check_parameters(request)
        parameters = {key: value for key, value in request.parameters.items() if key != "ClientToken"}
        token = (request.text("ClientToken") or "", self._zone(request))
        earlier = self._launched.get(token) if token[0] else None
        if earlier is not None:
            return self._again(earlier, parameters)
        _check_instance_type(request)
        self._check_security_groups(request)
        response = self._forward(self._complete(request))
        if response.status_code != 200:
            return response
        reservation_id = self._accept(response, request)
        if token[0]:
            self._launched[token] = _Launched(parameters, reservation_id)
        return self._answer(reservation_id)

    def _zone(self, request: Ec2Request) -> str:
        """A client token's scope: the zone that the request names, maybe by its subnet, else the region."""
        subnet_id = _subnet(request)
        subnet = next((zone[subnet_id] for zone in self._backend.subnets.values() if subnet_id in zone), None)
        return request.text("Placement.AvailabilityZone") or (subnet.availability_zone if subnet else REGION)

    def _again(self, earlier: _Launched, parameters: Mapping[str, str]) -> Response:
        if earlier.parameters != parameters:
            message = (
                "Arguments on this idempotent request are inconsistent with arguments used in previous request(s)."
            )
            raise Ec2Error("IdempotentParameterMismatch", message)
        instances = self._backend.reservations[earlier.reservation_id].instances
        if any(instance.state == "terminated" for instance in instances):
            # Seen in boto3#4406; before 2025 the terminated instance was returned.
            message = (
                "The client token you have provided is associated with a terminated instance. "
                "Please use a different client token."
            )
            raise Ec2Error("IdempotentInstanceTerminated", message)
        return self._answer(earlier.reservation_id)

    def _check_security_groups(self, request: Ec2Request) -> None:
        subnet_id = _subnet(request)
        for group_id in request.values("SecurityGroupId"):
            group = self._backend.get_security_group_from_id(group_id)
            if group is None:
                raise Ec2Error("InvalidGroup.NotFound", f"The security group '{group_id}' does not exist")
            if subnet_id and group.vpc_id != self._backend.get_subnet(subnet_id).vpc_id:
                message = f"Security group {group_id} and subnet {subnet_id} belong to different networks."
                raise Ec2Error("InvalidParameter", message)

    def _complete(self, request: Ec2Request) -> dict[str, str]:
        """The request with the image's root volume, the VPC's group and the count that EC2 would choose."""
        parameters = dict(request.parameters)
        # EC2 launches as many as it can, up to MaxCount; moto launches MinCount.
        parameters["MinCount"] = parameters["MaxCount"]
        parameters.update(_root_volume(request))
        subnet_id = request.text("SubnetId")
        if subnet_id and not any(name.startswith("SecurityGroup") for name in parameters):
            vpc_id = self._backend.get_subnet(subnet_id).vpc_id
            parameters["SecurityGroupId.1"] = self._backend.default_security_group(vpc_id)
        return parameters

    def _accept(self, response: Response, request: Ec2Request) -> str:
        instances = [
            self._backend.get_instance(instance_id)
            for instance_id in INSTANCE_ID_ELEMENT.findall(response.get_data(as_text=True))
        ]
        for instance in instances:
            _mark_interfaces(instance, request)
            # moto knows the attribute, but not as a parameter of the launch.
            instance.disable_api_termination = request.flag("DisableApiTermination")
            self._lifecycle.launch(instance)
        return next(
            reservation.id
            for reservation in reversed(self._backend.reservations.values())
            if instances[0] in reservation.instances
        )

    def _answer(self, reservation_id: str) -> Response:
        reservation = self._backend.reservations[reservation_id]
        return answer("RunInstances", reservation_item(self._backend, reservation, reservation.instances))


def _check_parameters(request: Ec2Request) -> None:
    for name in ("ImageId", "MinCount", "MaxCount"):
        request.required(name)
    if len(request.text("ClientToken") or "") > CLIENT_TOKEN_LENGTH:
        raise Ec2Error("InvalidParameterValue", "The client token is longer than 64 characters.")
    try:
        user_data = base64.b64decode(request.text("UserData") or "", validate=True)
    except binascii.Error as error:
        raise Ec2Error("InvalidParameterValue", "Invalid BASE64 encoding of user data.") from error
    if len(user_data) > USER_DATA_BYTES:
        raise Ec2Error("InvalidParameterValue", f"User data is limited to {USER_DATA_BYTES} bytes")


def _check_instance_type(request: Ec2Request) -> None:
    instance_type = request.text("InstanceType") or "m1.small"
    if instance_type not in INSTANCE_TYPES:
        raise Ec2Error("InvalidParameterValue", f"Invalid value '{instance_type}' for InstanceType.")
    if instance_type not in OFFERED_TYPES:
        message = (
            "The requested configuration is currently not supported. "
            "Please check the documentation for supported configurations."
        )
        raise Ec2Error("Unsupported", message)


def _subnet(request: Ec2Request) -> str:
    return request.text("SubnetId") or request.text("NetworkInterface.1.SubnetId") or ""


def _root_volume(request: Ec2Request) -> dict[str, str]:
    """What the image says of the root volume and the request does not."""
    mappings = request.numbered("BlockDeviceMapping")
    roots = [number for number, mapping in mappings.items() if mapping.get("DeviceName") == ROOT_DEVICE]
    number = roots[0] if roots else len(mappings) + 1
    wanted = mappings.get(number, {})
    size = wanted.get("Ebs.VolumeSize", str(ROOT_GIB))
    if not size.isdecimal() or int(size) < ROOT_GIB:
        message = f"Volume of size {size}GB is smaller than the image's snapshot, expect size >= {ROOT_GIB}GB"
        raise Ec2Error("InvalidBlockDeviceMapping", message)
    defaults = {
        "DeviceName": ROOT_DEVICE,
        "Ebs.VolumeSize": size,
        "Ebs.VolumeType": ROOT_VOLUME_TYPE,
        "Ebs.DeleteOnTermination": "true",
    }
    return {f"BlockDeviceMapping.{number}.{key}": wanted.get(key, value) for key, value in defaults.items()}


def _mark_interfaces(instance: Instance, request: Ec2Request) -> None:
    """Let the interfaces that the launch made end with the instance, as EC2 does unless told otherwise."""
    asked = {int(member.get("DeviceIndex", "0")): member for member in request.numbered("NetworkInterface").values()}
    for index, interface in instance.nics.items():
        member = asked.get(index, {})
        if "NetworkInterfaceId" not in member:
            interface.delete_on_termination = member.get("DeleteOnTermination", "true") == "true"
