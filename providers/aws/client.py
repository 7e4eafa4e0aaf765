"""How EC2 is spoken to: the few calls that the driver needs, in and out as frozen values."""

from __future__ import annotations

import threading
import urllib.parse
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from providers.aws.exchanges import PAGE, Exchanges
from providers.aws.instances import Instance, Page
from providers.aws.isolation import ec2_client
from providers.credentials import Credentials
from providers.domain import Environment
from providers.errors import BackendFailureError, BackendReply, UnprocessableError
from providers.network import Network

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_ec2.literals import ResourceTypeType
    from mypy_boto3_ec2.type_defs import FilterTypeDef, RunInstancesRequestTypeDef, TagSpecificationTypeDef

# The most that EC2 gives on one page.
PAGE_SIZE = 1000
IMAGES_KEPT = 128
_LISTED_STATES = ("pending", "running", "shutting-down", "stopping", "stopped")


@dataclass(frozen=True)
class RootDisk:
    """The system disk of an image."""

    device_name: str
    size_gib: int


@dataclass(frozen=True)
class Launch:
    """An instance to be made. `token` makes it once only, however often it is asked for. `user_data` is decoded."""

    token: str
    image: str
    instance_type: str
    subnet_id: str
    tags: Mapping[str, str]
    volume_tags: Mapping[str, str]
    security_group_ids: tuple[str, ...] = ()
    user_data: bytes | None = None
    root: RootDisk | None = None

    def __repr__(self) -> str:
        """Without the user data, which are a secret."""
        return f"Launch(image={self.image!r}, instance_type={self.instance_type!r}, subnet_id={self.subnet_id!r})"


def region_of(environment: Environment) -> str:
    """Return the region in lower case: EC2 refuses signatures for `EU-WEST-3` like those of wrong keys."""
    return environment.region.rpartition("/")[2].lower()


class AwsClient:
    """EC2 in one region with one caller's keys; used by many threads at once.

    Everything raises botocore's errors (`failures.VENDOR_ERRORS`), and `BackendFailureError` for an answer that is
    not EC2's.
    """

    def __init__(self, ec2: EC2Client, exchanges: Exchanges) -> None:
        self._ec2 = ec2
        self._root_disks: OrderedDict[str, RootDisk] = OrderedDict()
        self._lock = threading.Lock()
        exchanges.watch(ec2.meta.events)

    @classmethod
    def open(cls, environment: Environment, credentials: Credentials, network: Network) -> AwsClient:
        """A client; nothing is called yet.

        Raises:
            CredentialsUnusableError: a temporary key came without its session token.
            UnprocessableError: the environment's region or url has no acceptable form.

        """
        region = region_of(environment)
        try:
            ec2 = ec2_client(region, environment.url, credentials, network, verify=network.verify(environment))
        except ValueError as error:
            raise UnprocessableError(f"Environment {environment.name!r} cannot be used: {error}") from error
        url = urllib.parse.urlsplit(ec2.meta.endpoint_url)
        proxy = network.proxies(ec2.meta.endpoint_url).get(url.scheme, "")
        place = f"{region} at {url.netloc}" if environment.url else region
        proxy_place = urllib.parse.urlsplit(proxy).netloc.rpartition("@")[2]
        return cls(ec2, Exchanges(place, url.netloc, proxy_place, network))

    def list_instances(self, vpc_id: str, tag: str = "") -> Iterator[Instance]:
        """All instances but the terminated ones, of one VPC or, with an empty `vpc_id`, of all; page by page.

        With `tag` only those that have this tag.
        """
        filters: list[FilterTypeDef] = [{"Name": "instance-state-name", "Values": _LISTED_STATES}]
        if tag:
            filters.append({"Name": "tag-key", "Values": [tag]})
        if vpc_id:
            filters.append({"Name": "vpc-id", "Values": [vpc_id]})
        page = _page(self._ec2.describe_instances(Filters=filters, MaxResults=PAGE_SIZE))
        yield from page.instances
        while page.next_token:
            token = page.next_token
            page = _page(self._ec2.describe_instances(Filters=filters, MaxResults=PAGE_SIZE, NextToken=token))
            yield from page.instances
            if page.next_token == token:
                raise _odd("DescribeInstances", "gave the same page twice")

    def instance(self, vm_id: str) -> Instance:
        """One instance; a terminated one for a while, too.

        Raises:
            ClientError: `InvalidInstanceID.NotFound`, among others.

        """
        return _only(_page(self._ec2.describe_instances(InstanceIds=[vm_id])), "DescribeInstances")

    def instance_of_token(self, token: str) -> Instance | None:
        """The instance that was made with this client token."""
        found = _page(self._ec2.describe_instances(Filters=[{"Name": "client-token", "Values": [token]}])).instances
        return found[0] if found else None

    def run(self, launch: Launch) -> Instance:
        """Make an instance."""
        return _only(_page(self._ec2.run_instances(**_run_request(launch))), "RunInstances")

    def start(self, vm_id: str) -> None:
        """Start it, if it is stopped."""
        self._ec2.start_instances(InstanceIds=[vm_id])

    def stop(self, vm_id: str, *, force: bool) -> None:
        """Ask its guest to shut down or, with `force`, cut the power."""
        self._ec2.stop_instances(InstanceIds=[vm_id], Force=force)

    def reboot(self, vm_id: str) -> None:
        """Ask its guest to reboot; EC2 cuts the power after a few minutes if it does not."""
        self._ec2.reboot_instances(InstanceIds=[vm_id])

    def terminate(self, vm_id: str) -> None:
        """Delete it."""
        self._ec2.terminate_instances(InstanceIds=[vm_id])

    def tag(self, vm_id: str, key: str, value: str) -> None:
        """Give it a tag."""
        self._ec2.create_tags(Resources=[vm_id], Tags=[{"Key": key, "Value": value}])

    def root_disk(self, image: str) -> RootDisk:
        """The system disk of an image; asked for once, as an image never changes.

        Raises:
            UnprocessableError: it has none whose size can be set.

        """
        with self._lock:
            if image in self._root_disks:
                return self._root_disks[image]
        found = self._describe_root_disk(image)
        with self._lock:
            self._root_disks[image] = found
            if len(self._root_disks) > IMAGES_KEPT:
                self._root_disks.popitem(last=False)
        return found

    def _describe_root_disk(self, image: str) -> RootDisk:
        images = self._ec2.describe_images(ImageIds=[image]).get("Images")
        if not images:
            raise UnprocessableError(f"The image {image} does not exist in this region, or is not shared with you.")
        name = images[0].get("RootDeviceName", "")
        for mapping in images[0].get("BlockDeviceMappings", []):
            size = mapping.get("Ebs", {}).get("VolumeSize")
            if mapping.get("DeviceName") == name and size is not None:
                return RootDisk(name, size)
        raise UnprocessableError(
            f"The image {image} has no EBS root volume, so the size of the system disk cannot be set: "
            "leave `os_disk_size_gb` out of the machine type."
        )

    def close(self) -> None:
        """Close the connections; EC2 knows no log-out."""
        self._ec2.close()


def _page(answer: object) -> Page:
    """What `exchanges.py` has read; botocore's own reading of the answer is empty."""
    page = cast("Mapping[str, object]", answer).get(PAGE)
    return page if isinstance(page, Page) else Page(())


def _only(page: Page, operation: str) -> Instance:
    if len(page.instances) != 1:
        raise _odd(operation, f"answered with {len(page.instances)} instances where one was asked for")
    return page.instances[0]


def _odd(operation: str, what: str) -> BackendFailureError:
    return BackendFailureError(f"EC2's {operation} {what}.", backend=BackendReply("Aws", operation, status=200))


def _run_request(launch: Launch) -> RunInstancesRequestTypeDef:
    request: RunInstancesRequestTypeDef = {
        "ClientToken": launch.token,
        "ImageId": launch.image,
        # The stubs list the types of their day; EC2 knows better.
        "InstanceType": launch.instance_type,  # type: ignore[typeddict-item]
        "MinCount": 1,
        "MaxCount": 1,
        "SubnetId": launch.subnet_id,
        # A guest that shuts itself down must not delete the VM, and metadata need a session (IMDSv2).
        "InstanceInitiatedShutdownBehavior": "stop",
        "MetadataOptions": {"HttpTokens": "required"},
        "TagSpecifications": [_tagged("instance", launch.tags), _tagged("volume", launch.volume_tags)],
    }
    if launch.security_group_ids:
        request["SecurityGroupIds"] = launch.security_group_ids
    if launch.user_data:
        # Decoded: botocore encodes bytes as well as text (`base64_encode_user_data` in botocore/handlers.py).
        request["UserData"] = launch.user_data  # type: ignore[typeddict-item] # the stubs know of text only
    if launch.root:
        disk = launch.root
        request["BlockDeviceMappings"] = [
            {"DeviceName": disk.device_name, "Ebs": {"VolumeSize": disk.size_gib, "DeleteOnTermination": True}}
        ]
    return request


def _tagged(kind: ResourceTypeType, tags: Mapping[str, str]) -> TagSpecificationTypeDef:
    return {"ResourceType": kind, "Tags": [{"Key": key, "Value": value} for key, value in tags.items()]}
