"""AWS: EC2 instances, by boto3."""

from __future__ import annotations

import re
from types import MappingProxyType

from providers.cloud import Cloud, CredentialName, Option
from providers.errors import ErrorCode

CLOUD = Cloud(
    name="Aws",
    driver="providers.aws.driver.AwsDriver",
    # Eight digits were given until 2016; such instances still run.
    vm_id_pattern=re.compile(r"i-([0-9a-f]{8}|[0-9a-f]{17})"),
    vm_id_example="i-048501077e53646ed",
    cloud_init_limit_bytes=16 * 1024,
    has_instance_types=True,
    required=frozenset({"region"}),
    options=MappingProxyType(
        {
            "security_group_ids": Option(
                "ids of the security groups of new VMs, such as sg-0a1b2c3d4e5f60718",
                re.compile(r"sg-[0-9a-f]{8,17}"),
                many=True,
            )
        }
    ),
    access_key=CredentialName("Access key ID", "AKIA… for a user, ASIA… for a temporary key."),
    secret=CredentialName(
        "Secret access key", "Of a temporary key: the secret access key, a colon, and the session token."
    ),
    causes=MappingProxyType(
        {
            ErrorCode.CREDENTIALS_REJECTED: "The access key is unknown, inactive or deleted, the secret is not "
            "its own, a temporary key (ASIA…) came without its session token or has expired, or the clock of this "
            "server is more than five minutes wrong.",
            ErrorCode.PERMISSION_DENIED: "An IAM policy does not allow the action that the answer names.",
            ErrorCode.VM_NOT_FOUND: "The instance is in another region, in another VPC than the environment's, or "
            "was terminated.",
            ErrorCode.CONFLICT: "The instance is starting or stopping, or has termination or stop protection; or "
            "the VM that was made with this Idempotency-Key was deleted.",
            ErrorCode.QUOTA_EXCEEDED: "The account's limit of vCPUs for this family of instance types in the region, "
            "or the subnet has no free address.",
            ErrorCode.UNPROCESSABLE: "The AMI or the subnet does not exist in the region, or the instance type is "
            "not offered in the subnet's availability zone.",
            ErrorCode.UNAVAILABLE: "EC2 has no capacity for this instance type in the availability zone now.",
        }
    ),
)
