"""DescribeInstances: filters, pages, speed, and a shape that is held to moto's."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.parsers import create_parser
from moto.moto_server.werkzeug_app import create_backend_app
from mypy_boto3_ec2 import EC2Client
from werkzeug.test import EnvironBuilder
from werkzeug.wrappers import Response

from providers.sandbox.authority import Authority
from providers.sandbox.aws import (
    OTHER_VPC_ID,
    OTHER_VPC_SUBNET_ID,
    OTHER_ZONE_SUBNET_ID,
    REGION,
    VPC_ID,
    AwsSandbox,
)
from tests.sandbox.support import call, described, launch, refusal, wait_for_state


def ids(answer: Any) -> list[str]:
    """The ids of an answer's instances."""
    return [instance["InstanceId"] for each in answer["Reservations"] for instance in each["Instances"]]


def listed(client: EC2Client, **filters: list[str]) -> list[str]:
    """The ids that a filter lets pass."""
    chosen: list[Any] = [{"Name": name.replace("_", "-"), "Values": values} for name, values in filters.items()]
    return ids(client.describe_instances(Filters=chosen))


def test_list_by_state_tells_states_under_way_apart(aws: AwsSandbox, client: EC2Client) -> None:
    """The filter sees pending, stopping and shutting-down as the answer does."""
    aws.transition_seconds = 60
    running, stopping, going, gone = [*aws.seed(3), *aws.seed(1, state="terminated")]
    pending = launch(client)
    client.stop_instances(InstanceIds=[stopping])
    client.terminate_instances(InstanceIds=[going])
    expected = {
        "pending": pending,
        "running": running,
        "stopping": stopping,
        "shutting-down": going,
        "terminated": gone,
    }
    for state, vm_id in expected.items():
        assert listed(client, instance_state_name=[state]) == [vm_id]
    alive = ["pending", "running", "shutting-down", "stopping", "stopped"]
    assert set(listed(client, instance_state_name=alive)) == {running, stopping, going, pending}


def test_list_by_vpc_finds_all_its_zones(aws: AwsSandbox, client: EC2Client) -> None:
    """A VPC spans its subnets; another VPC's instances and terminated ones are not in it."""
    here = [*aws.seed(1), *aws.seed(1, subnet_id=OTHER_ZONE_SUBNET_ID)]
    there = aws.seed(1, subnet_id=OTHER_VPC_SUBNET_ID)
    aws.seed(1, state="terminated")
    assert listed(client, vpc_id=[VPC_ID]) == here
    assert listed(client, vpc_id=[OTHER_VPC_ID]) == there
    assert listed(client, subnet_id=[OTHER_ZONE_SUBNET_ID]) == here[1:]
    zones = {described(client, vm_id)["Placement"]["AvailabilityZone"] for vm_id in here}
    assert zones == {"eu-west-3a", "eu-west-3b"}


def test_list_by_tag_and_token_finds_its_own(aws: AwsSandbox, client: EC2Client) -> None:
    """Tags match with wildcards and in their case; a client token finds its instance; filters add up."""
    aws.seed(3, prefix="web")
    mine = launch(client, ClientToken="token-1")
    client.create_tags(Resources=[mine], Tags=[{"Key": "Name", "Value": "Web[1]"}])
    by_name = "tag:Name"
    assert len(listed(client, **{by_name: ["web-000?"]})) == 3
    assert listed(client, **{by_name: ["W*[1]"]}) == [mine]
    assert listed(client, **{by_name: ["web-0001", "web-0002"], "tag-key": ["Name"]}) == [vm.id for vm in aws.vms()[:2]]
    assert listed(client, client_token=["token-1"]) == [mine]
    assert listed(client, client_token=["token-1"], instance_state_name=["stopped"]) == []


def test_list_by_an_unknown_filter_is_refused(aws: AwsSandbox, client: EC2Client) -> None:
    """A filter that does not exist is an error, not an empty list."""
    aws.seed(1)
    with refusal("InvalidParameterValue", 400, "The filter 'nonsense' is invalid"):
        listed(client, nonsense=["x"])


def test_list_in_pages_counts_instances(aws: AwsSandbox, client: EC2Client) -> None:
    """A page holds at most so many instances, whichever reservations they are of."""
    launch(client, MinCount=7, MaxCount=7)
    aws.seed(6)
    paginator = client.get_paginator("describe_instances")
    pages = [ids(page) for page in paginator.paginate(PaginationConfig={"PageSize": 5})]
    assert [len(page) for page in pages] == [5, 5, 3]
    assert [vm_id for page in pages for vm_id in page] == [vm.id for vm in aws.vms()]


def test_list_in_pages_goes_on_while_instances_change(aws: AwsSandbox, client: EC2Client) -> None:
    """The page after is found though the last instance of the page before no longer matches."""
    seeded = aws.seed(12)
    filters: Any = [{"Name": "instance-state-name", "Values": ["running"]}]
    first = client.describe_instances(MaxResults=5, Filters=filters)
    client.stop_instances(InstanceIds=ids(first))
    second = client.describe_instances(MaxResults=5, Filters=filters, NextToken=first["NextToken"])
    third = client.describe_instances(MaxResults=5, Filters=filters, NextToken=second["NextToken"])
    assert ids(first) + ids(second) + ids(third) == seeded
    assert "NextToken" not in third


def test_list_a_page_that_ends_the_list_has_no_token(aws: AwsSandbox, client: EC2Client) -> None:
    """No token leads to an empty page."""
    aws.seed(5)
    assert "NextToken" not in client.describe_instances(MaxResults=5)


@pytest.mark.parametrize("size", [0, 4, 1001])
def test_list_with_a_page_size_out_of_range_is_refused(aws: AwsSandbox, client: EC2Client, size: int) -> None:
    """Five to a thousand."""
    with refusal("InvalidParameterValue", 400, f"Value ( {size} ) for parameter maxResults is invalid."):
        client.describe_instances(MaxResults=size)


def test_list_ids_with_a_page_size_is_refused(aws: AwsSandbox, client: EC2Client) -> None:
    """The two parameters exclude each other."""
    with refusal("InvalidParameterCombination", 400, "instancesSet cannot be used with the parameter maxResults"):
        client.describe_instances(InstanceIds=aws.seed(1), MaxResults=5)


def test_list_with_a_made_up_token_is_refused(aws: AwsSandbox, client: EC2Client) -> None:
    """A token is not for making up."""
    aws.seed(1)
    with refusal("InvalidNextToken"):
        client.describe_instances(NextToken="nonsense")


def test_list_25_instances_comes_in_three_pages(aws: AwsSandbox, authority: Authority) -> None:
    """Each as large as was asked for, the last one with the rest."""
    seeded = aws.seed(25)
    sizes: list[int] = []
    token: dict[str, Any] = {}
    while token or not sizes:
        text = call(aws, authority, "DescribeInstances", MaxResults="10", **token).body.decode()
        sizes.append(text.count("<instanceId>"))
        token = {"NextToken": found[1]} if (found := re.search("<nextToken>(.+)</nextToken>", text)) else {}
    assert (sizes, sum(sizes)) == ([10, 10, 5], len(seeded))


def test_describe_an_instance_says_what_moto_says(aws: AwsSandbox, client: EC2Client) -> None:
    """Whatever moto's own answer holds, ours holds too, but for what moto knows and EC2 does not say."""
    vm_id = launch(
        client,
        ClientToken="token-1",
        TagSpecifications=[{"ResourceType": "instance", "Tags": [{"Key": "Name", "Value": 'a<b&"c"'}]}],
    )
    wait_for_state(client, vm_id, "running")
    [ours] = client.describe_instances(InstanceIds=[vm_id])["Reservations"]
    [theirs] = moto_describes(client, str(ours["OwnerId"]), vm_id)
    differences = dict(flat(theirs)).items() - dict(flat(ours)).items()
    # moto says so of every instance; EC2 of those with Intel's interface alone.
    assert differences == {(".Instances[0].SriovNetSupport", "simple")}


def moto_describes(client: EC2Client, account_id: str, vm_id: str) -> Any:
    """The reservations of moto's own answer, read by botocore's parser."""
    builder = EnvironBuilder(
        method="POST",
        data={"Action": "DescribeInstances", "Version": "2016-11-15", "InstanceId.1": vm_id},
        headers=[
            ("x-moto-account-id", account_id),
            ("Authorization", f"AWS4-HMAC-SHA256 Credential=any/20000101/{REGION}/ec2/aws4_request"),
        ],
    )
    response = Response.from_app(create_backend_app("ec2"), builder.get_environ(), buffered=True)
    shape = client.meta.service_model.operation_model("DescribeInstances").output_shape
    assert shape is not None
    answer = {"status_code": 200, "headers": {}, "body": response.get_data()}
    return create_parser("ec2").parse(answer, shape)["Reservations"]


def flat(value: Any, path: str = "") -> Iterator[tuple[str, object]]:
    """All the values in a structure, each with its path; empty ones say nothing."""
    if isinstance(value, dict):
        for key, member in value.items():
            yield from flat(member, f"{path}.{key}")
    elif isinstance(value, list):
        for index, member in enumerate(value):
            yield from flat(member, f"{path}[{index}]")
    elif value not in {"", None}:
        yield path, value
