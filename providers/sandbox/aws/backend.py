"""What moto holds for one sandbox: its backend with fixed ids, and the little that moto would do too slowly.

Importing moto appends a stubber to botocore's built-in handlers, for every client made later in the process;
it is disabled and passes each request on untouched. No AWS_* variable is needed, and none is set.
"""

from typing import Any, Final

from moto import settings
from moto.core.model_instances import model_data
from moto.ec2.exceptions import InvalidInstanceIdError
from moto.ec2.models import EC2Backend, ec2_backends
from moto.ec2.models.amis import Ami
from moto.ec2.models.availability_zones_and_regions import RegionsAndZonesBackend
from moto.ec2.models.instances import Instance
from moto.ec2.models.security_groups import SecurityGroup
from moto.ec2.models.subnets import Subnet
from moto.ec2.models.vpcs import VPC

REGION: Final = "eu-west-3"
VPC_ID: Final = "vpc-09ece8e3b2134782f"
SUBNET_ID: Final = "subnet-0e5fbdb1ac4a8dead"
OTHER_ZONE_SUBNET_ID: Final = "subnet-0a7c31f9d2e845b60"
SECURITY_GROUP_ID: Final = "sg-0b7d53c19ae2f6480"
OTHER_VPC_ID: Final = "vpc-0c41d5e87ab92f306"
OTHER_VPC_SUBNET_ID: Final = "subnet-03f8ba6ce1d97524a"
IMAGE_ID: Final = "ami-0644165ab979df02d"
ROOT_DEVICE: Final = "/dev/xvda"
ROOT_GIB: Final = 8
ROOT_VOLUME_TYPE: Final = "gp3"

# The settings' environment variables are read at moto's import, which another module may have caused already.
settings.ENABLE_AMI_VALIDATION = True


class SandboxAmi(Ami):
    """An image with a root volume of its own; moto gives every image 15 GiB that outlive the instance."""

    @property
    def block_device_mappings(self) -> list[dict[str, Any]]:
        """The image's volumes: the root."""
        return [
            {
                "DeviceName": ROOT_DEVICE,
                "Ebs": {
                    "SnapshotId": self.ebs_snapshot.id,
                    "VolumeSize": ROOT_GIB,
                    "DeleteOnTermination": True,
                    "VolumeType": ROOT_VOLUME_TYPE,
                },
            }
        ]


class SandboxBackend(EC2Backend):
    """moto's EC2 of one account and region, holding what the sandbox's environments name."""

    def __init__(self, account_id: str) -> None:
        super().__init__(REGION, account_id)
        self._make_vpc(VPC_ID, "10.0.0.0/16")
        self._make_subnet(SUBNET_ID, VPC_ID, "10.0.0.0/18", "eu-west-3a")
        self._make_subnet(OTHER_ZONE_SUBNET_ID, VPC_ID, "10.0.64.0/18", "eu-west-3b")
        self._make_security_group(SECURITY_GROUP_ID, VPC_ID)
        self._make_vpc(OTHER_VPC_ID, "10.1.0.0/16")
        self._make_subnet(OTHER_VPC_SUBNET_ID, OTHER_VPC_ID, "10.1.0.0/18", "eu-west-3a")
        self.amis[IMAGE_ID] = SandboxAmi(
            self,
            IMAGE_ID,
            name="sandbox-linux",
            description="The sandbox's Linux image",
            owner_alias="amazon",
            public=True,
            virtualization_type="hvm",
            architecture="x86_64",
            hypervisor="xen",
            root_device_type="ebs",
            root_device_name=ROOT_DEVICE,
            region_name="eu-west-3a",
        )

    def _load_amis(self) -> None:
        """Do without moto's 1,200 images: loading them takes most of a backend's making."""

    def get_instance(self, instance_id: str) -> Instance:
        """Find an instance, newest first; moto walks copies of all reservations, once for each new volume."""
        for reservation in reversed(self.reservations.values()):
            for instance in reversed(reservation.instances):
                if instance.id == instance_id:
                    return instance
        raise InvalidInstanceIdError(instance_id)

    def describe_volumes(self, volume_ids: list[str] | None = None, filters: Any = None) -> list[Any]:
        """Look one volume up by its id, which moto does by walking all of them at every launch."""
        if volume_ids and not filters:
            return [self.get_volume(volume_id) for volume_id in volume_ids]
        return super().describe_volumes(volume_ids, filters)

    def default_security_group(self, vpc_id: str) -> str:
        """The group of instances that name none."""
        return next(group.id for group in self.groups[vpc_id].values() if group.name == "default")

    def _make_vpc(self, vpc_id: str, cidr_block: str) -> None:
        self.vpcs[vpc_id] = VPC(  # type: ignore[abstract] # moto itself makes them so
            self, vpc_id, cidr_block, is_default=False
        )
        self.create_route_table(vpc_id, main=True)
        self.create_network_acl(vpc_id, default=True)
        self.create_security_group("default", "default VPC security group", vpc_id=vpc_id, is_default=True)

    def _make_subnet(self, subnet_id: str, vpc_id: str, cidr_block: str, zone_name: str) -> None:
        zone = next(zone for zone in RegionsAndZonesBackend.zones[REGION] if zone.name == zone_name)
        subnet = Subnet(  # type: ignore[abstract] # as above
            self,
            subnet_id,
            vpc_id,
            cidr_block,
            None,
            zone,
            default_for_az=False,
            map_public_ip_on_launch=False,
        )
        self.associate_default_network_acl_with_subnet(subnet_id, vpc_id)
        self.subnets[zone_name][subnet_id] = subnet

    def _make_security_group(self, group_id: str, vpc_id: str) -> None:
        group = SecurityGroup(  # type: ignore[abstract] # as above
            self, group_id, "sandbox", "A group beside the default one", vpc_id=vpc_id
        )
        self.groups[vpc_id][group_id] = group


def install(account_id: str) -> SandboxBackend:
    """Put a fresh backend where moto looks for this account's, in place of any earlier one."""
    _forget_objects()
    backend = SandboxBackend(account_id)
    ec2_backends[account_id][REGION] = backend
    return backend


def remove(account_id: str) -> None:
    """Take the account's backend out of moto again."""
    del ec2_backends[account_id]
    _forget_objects()


def _forget_objects() -> None:
    """Empty moto's lists of all objects ever made: made for its dashboard, they keep every one alive."""
    for model in model_data["ec2"].values():
        model.instances_tracked.clear()  # type: ignore[attr-defined] # its metaclass adds it
