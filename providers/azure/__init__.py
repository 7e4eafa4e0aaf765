"""Azure: virtual machines of Azure Resource Manager, by azure-mgmt-compute and azure-identity."""

from __future__ import annotations

import re
from types import MappingProxyType

from providers.azure.site import KNOWN_CLOUDS
from providers.cloud import Cloud, CredentialName, Option
from providers.errors import ErrorCode

CLOUD = Cloud(
    name="Azure",
    driver="providers.azure.driver.AzureDriver",
    site="providers.azure.site.site_of",
    vm_id_pattern=re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,62}[A-Za-z0-9_])?"),
    vm_id_example="test1",
    # `customData` in the API's description: at most 65,535 bytes before base64.
    cloud_init_limit_bytes=64 * 1024 - 1,
    has_instance_types=True,
    admin_password_systems=frozenset({"windows"}),
    url_words=frozenset(KNOWN_CLOUDS),
    required=frozenset({"project", "region", "vpc_id"}),
    options=MappingProxyType(
        {
            "authority_url": Option(
                "the https URL of the log-in service of a private or simulated Azure",
                re.compile(r"https://[^/?#@\s]+/?"),
            ),
            "admin_username": Option(
                "a user name of 1 to 20 small letters, digits, dashes or underscores that begins with a letter; the "
                "first user of new VMs",
                re.compile(r"[a-z][a-z0-9_-]{0,19}"),
            ),
        }
    ),
    access_key=CredentialName("Application (client) ID", "Of a service principal in the tenant of the environment."),
    secret=CredentialName("Client secret", "The value of the secret, not its id."),
    causes=MappingProxyType(
        {
            ErrorCode.CREDENTIALS_REJECTED: "The access key is not the application (client) id of a service principal "
            "in the environment's tenant, the secret is wrong (Azure shows its id, too, which is not the secret) or "
            "has expired, or the tenant does not exist.",
            ErrorCode.PERMISSION_DENIED: "The service principal has no role on the resource group, or on the subnet, "
            "with the action that the answer names, or a policy forbids it. A new role takes some minutes to work.",
            ErrorCode.VM_NOT_FOUND: "The VM is in another resource group or region than the environment's, or was "
            "deleted.",
            ErrorCode.CONFLICT: "Another operation on the VM is under way, or the VM or its resource group is locked.",
            ErrorCode.NAME_TAKEN: "A VM's name is unique in its resource group, whatever the case of its letters.",
            ErrorCode.QUOTA_EXCEEDED: "The subscription's limit of vCPUs, of the region or of the family of sizes.",
            ErrorCode.UNPROCESSABLE: "The resource group, the subnet or the image does not exist, or the size is not "
            "offered in the region, or not for this image.",
            ErrorCode.THROTTLED: "The subscription's, or this service principal's, share of calls is used up.",
            ErrorCode.UNAVAILABLE: "Azure has no capacity for this size in the region or zone now.",
        }
    ),
)
