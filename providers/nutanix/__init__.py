"""Nutanix: AHV VMs, by Prism Element and Prism Central."""

from __future__ import annotations

import re
from types import MappingProxyType

from providers.cloud import Cloud, Option
from providers.errors import ErrorCode

CLOUD = Cloud(
    name="Nutanix",
    driver="providers.nutanix.driver.NutanixDriver",
    vm_id_pattern=re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"),
    vm_id_example="5021c8f5-3b1a-4a5e-9a52-6d1b9c1f0d11",
    cloud_init_limit_bytes=128_000,
    required=frozenset({"url"}),
    options=MappingProxyType(
        {
            "api_version": Option("v2 (Prism Element), v4 or v3 (Prism Central)", re.compile(r"v[234]")),
        }
    ),
    causes=MappingProxyType(
        {
            ErrorCode.CREDENTIALS_REJECTED: "The user or the password is wrong, the account is locked or has expired, "
            "or a directory's user was given without its domain (`user@domain`). Prism Element and Prism Central have "
            "users of their own each.",
            ErrorCode.PERMISSION_DENIED: "The user has no role in Prism that allows the operation on this VM, image, "
            "subnet or cluster. On Prism Central that takes an authorization policy.",
            ErrorCode.VM_NOT_FOUND: "The VM was deleted, is on another cluster than the environment's `project` names, "
            "or the caller may not see it.",
            ErrorCode.CONFLICT: "The VM is in a state that the verb does not fit, or somebody else changed it at the "
            "same moment.",
            ErrorCode.UNPROCESSABLE: "The image, network, storage container or cluster does not exist or has to be "
            "named, or the environment's `api_version` does not fit its host: v2 is Prism Element's, v4 and v3 are "
            "Prism Central's.",
            ErrorCode.THROTTLED: "Prism Central takes only some calls in a second, of lists as few as two.",
            ErrorCode.UNAVAILABLE: "No host of the cluster has enough memory for the VM, a storage container is full, "
            "or Prism is being restarted.",
            ErrorCode.BACKEND_ERROR: "Prism or a service behind it broke, or the url leads to a log-in page or a "
            "proxy.",
            ErrorCode.BACKEND_UNREACHABLE: "The host of the url is down, or port 9440 is closed on the way.",
        }
    ),
)
