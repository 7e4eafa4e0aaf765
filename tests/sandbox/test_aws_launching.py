"""RunInstances: client tokens, what EC2 fills in, and what it refuses."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from mypy_boto3_ec2 import EC2Client

from providers.sandbox.aws import (
    IMAGE_ID,
    OTHER_VPC_SUBNET_ID,
    OTHER_ZONE_SUBNET_ID,
    SECURITY_GROUP_ID,
    SUBNET_ID,
    VPC_ID,
    AwsSandbox,
)
from tests.sandbox.conftest import ClientMaker
from tests.sandbox.support import described, launch, launched, refusal, wait_for_state


def tags(name: str, **others: str) -> list[dict[str, str]]:
    """Tags as EC2 takes them."""
    return [{"Key": key, "Value": value} for key, value in {"Name": name, **others}.items()]


def test_launch_keeps_what_was_asked_for(aws: AwsSandbox, client: EC2Client) -> None:
    """Everything that a create asks for can be seen in the simulator."""
    vm_id = launch(
        client,
        UserData=b"#cloud-config\n\xff\x00",
        InstanceInitiatedShutdownBehavior="stop",
        MetadataOptions={"HttpTokens": "required"},
        BlockDeviceMappings=[{"DeviceName": "/dev/xvda", "Ebs": {"VolumeSize": 20, "DeleteOnTermination": True}}],
        TagSpecifications=[
            {"ResourceType": "instance", "Tags": tags("web", team="a")},
            {"ResourceType": "volume", "Tags": tags("web-disk")},
        ],
    )
    [vm] = aws.vms()
    assert (vm.id, vm.name, vm.tags) == (vm_id, "web", {"Name": "web", "team": "a"})
    assert (vm.vpc_id, vm.subnet_id, vm.image_id, vm.instance_type) == (
        VPC_ID,
        SUBNET_ID,
        IMAGE_ID,
        "t3.medium",
    )
    assert (vm.shutdown_behavior, vm.http_tokens) == ("stop", "required")
    assert vm.user_data == aws.user_data(vm_id) == b"#cloud-config\n\xff\x00"
    [volume] = vm.volumes
    assert (volume.size_gib, volume.device, volume.delete_on_termination) == (20, "/dev/xvda", True)
    assert volume.tags == {"Name": "web-disk"}


def test_launch_with_little_is_completed_from_image_and_vpc(aws: AwsSandbox, client: EC2Client) -> None:
    """The image's root volume, the VPC's own group, an interface that ends with the instance."""
    vm = described(client, launch(client))
    assert vm["RootDeviceName"] == "/dev/xvda"
    [device] = vm["BlockDeviceMappings"]
    assert (device["DeviceName"], device["Ebs"]["DeleteOnTermination"]) == ("/dev/xvda", True)
    assert [group["GroupName"] for group in vm["SecurityGroups"]] == ["default"]
    assert vm["NetworkInterfaces"][0]["Attachment"]["DeleteOnTermination"] is True
    [volume] = aws.volumes()
    assert volume.size_gib == 8
    assert aws.vms()[0].user_data is None


def test_launch_with_a_group_uses_it(aws: AwsSandbox, client: EC2Client) -> None:
    """Groups that are named replace the default one."""
    launch(client, SecurityGroupIds=[SECURITY_GROUP_ID])
    assert aws.vms()[0].security_group_ids == (SECURITY_GROUP_ID,)


def test_launch_several_makes_as_many_as_allowed(aws: AwsSandbox, client: EC2Client) -> None:
    """MaxCount counts."""
    launch(client, MinCount=1, MaxCount=3)
    assert len(aws.vms()) == 3


def test_launch_of_a_volume_kept_on_termination_leaves_it(aws: AwsSandbox, client: EC2Client) -> None:
    """A disk that is to outlive its instance shows as left over."""
    vm_id = launch(client, BlockDeviceMappings=[{"DeviceName": "/dev/xvda", "Ebs": {"DeleteOnTermination": False}}])
    client.terminate_instances(InstanceIds=[vm_id])
    wait_for_state(client, vm_id, "terminated")
    [volume] = aws.volumes()
    assert (volume.device, volume.size_gib) == (None, 8)


def test_launch_again_with_a_token_returns_the_same_instance(aws: AwsSandbox, client: EC2Client) -> None:
    """The same token and parameters make nothing new, and show how the instance is by now."""
    first = launched(client, ClientToken="token")
    wait_for_state(client, first["InstanceId"], "running")
    again = launched(client, ClientToken="token")
    assert (again["InstanceId"], again["State"]["Name"]) == (first["InstanceId"], "running")
    assert again["ClientToken"] == "token"
    assert launch(client, ClientToken="other") != first["InstanceId"]
    assert len(aws.vms()) == 2


def test_launch_at_once_with_one_token_makes_one_instance(aws: AwsSandbox, make_client: ClientMaker) -> None:
    """Sixteen callers at the same time get one and the same instance."""
    client = make_client()
    with ThreadPoolExecutor(16) as pool:
        made = set(pool.map(lambda _: launch(client, ClientToken="token"), range(16)))
    assert made == {vm.id for vm in aws.vms()}
    assert len(made) == 1


@pytest.mark.parametrize("changed", [{"InstanceType": "t3.large"}, {"UserData": b"x"}, {"MaxCount": 2}])
def test_launch_again_with_other_parameters_is_refused(
    aws: AwsSandbox, client: EC2Client, changed: dict[str, Any]
) -> None:
    """A token belongs to its parameters."""
    launch(client, ClientToken="token")
    with refusal("IdempotentParameterMismatch"):
        launch(client, ClientToken="token", **changed)
    assert len(aws.vms()) == 1


def test_launch_again_in_another_zone_is_another_launch(aws: AwsSandbox, client: EC2Client) -> None:
    """With a subnet a token is good for the subnet's zone only."""
    first = launch(client, ClientToken="token")
    assert launch(client, ClientToken="token", SubnetId=OTHER_ZONE_SUBNET_ID) != first


def test_launch_again_after_termination_is_refused(aws: AwsSandbox, client: EC2Client) -> None:
    """A token outlives its instance."""
    vm_id = launch(client, ClientToken="token")
    client.terminate_instances(InstanceIds=[vm_id])
    wait_for_state(client, vm_id, "terminated")
    with refusal("IdempotentInstanceTerminated"):
        launch(client, ClientToken="token")


def test_launch_again_after_a_refusal_succeeds(aws: AwsSandbox, client: EC2Client) -> None:
    """A launch that was refused uses no token up."""
    with refusal("InvalidSubnetID.NotFound"):
        launch(client, ClientToken="token", SubnetId="subnet-0123456789abcdef0")
    launch(client, ClientToken="token")


@pytest.mark.parametrize(
    ("wrong", "code", "message"),
    [
        ({"ImageId": "ami-0123456789abcdef0"}, "InvalidAMIID.NotFound", "ami-0123456789abcdef0"),
        ({"ImageId": "debian"}, "InvalidAMIID.Malformed", "debian"),
        ({"SubnetId": "subnet-0123456789abcdef0"}, "InvalidSubnetID.NotFound", "does not exist"),
        ({"SecurityGroupIds": ["sg-0123456789abcdef0"]}, "InvalidGroup.NotFound", "does not exist"),
        (
            {"SecurityGroupIds": [SECURITY_GROUP_ID], "SubnetId": OTHER_VPC_SUBNET_ID},
            "InvalidParameter",
            "belong to different networks",
        ),
        ({"InstanceType": "z9.huge"}, "InvalidParameterValue", "Invalid value 'z9.huge' for InstanceType."),
        ({"InstanceType": "mac1.metal"}, "Unsupported", "not supported"),
        ({"UserData": b"x" * 16385}, "InvalidParameterValue", "User data is limited to 16384 bytes"),
        ({"ClientToken": "x" * 65}, "InvalidParameterValue", "64"),
        (
            {"BlockDeviceMappings": [{"DeviceName": "/dev/xvda", "Ebs": {"VolumeSize": 7}}]},
            "InvalidBlockDeviceMapping",
            "smaller than",
        ),
        ({"DryRun": True}, "DryRunOperation", "would have succeeded"),
    ],
)
def test_launch_of_the_impossible_is_refused(
    aws: AwsSandbox, client: EC2Client, wrong: dict[str, Any], code: str, message: str
) -> None:
    """Each has EC2's own code, and nothing is made."""
    with refusal(code, 412 if code == "DryRunOperation" else 400, message):
        launch(client, **wrong)
    assert (aws.vms(), aws.volumes(), aws.network_interfaces()) == ((), (), ())


def test_launch_with_the_longest_user_data_succeeds(aws: AwsSandbox, client: EC2Client) -> None:
    """The limit is on the decoded bytes."""
    launch(client, UserData=b"\xff" * 16384)
    assert aws.vms()[0].user_data == b"\xff" * 16384


def test_launch_with_user_data_that_is_no_base64_is_refused(aws: AwsSandbox, make_client: ClientMaker) -> None:
    """boto3 encodes by itself; others may forget to."""
    client = make_client()
    client.meta.events.register(
        "before-call.ec2.RunInstances", lambda params, **_: params["body"].update(UserData="#cloud-config")
    )
    with refusal("InvalidParameterValue", 400, "BASE64"):
        launch(client, UserData=b"x")
    assert aws.vms() == ()


def test_describe_images_shows_the_root_volume(aws: AwsSandbox, client: EC2Client) -> None:
    """The image's root device and its size can be asked for, by those who may not know them."""
    [image] = client.describe_images(ImageIds=[IMAGE_ID])["Images"]
    assert image["RootDeviceName"] == "/dev/xvda"
    [mapping] = image["BlockDeviceMappings"]
    assert (mapping["DeviceName"], mapping["Ebs"]["VolumeSize"]) == ("/dev/xvda", 8)
    with refusal("InvalidAMIID.NotFound"):
        client.describe_images(ImageIds=["ami-0123456789abcdef0"])
