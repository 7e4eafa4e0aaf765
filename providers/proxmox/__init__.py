"""Proxmox VE: QEMU VMs, by proxmoxer."""

from __future__ import annotations

import re
from types import MappingProxyType

from providers.cloud import Cloud, CredentialName, Option
from providers.errors import ErrorCode

CLOUD = Cloud(
    name="Proxmox",
    driver="providers.proxmox.driver.ProxmoxDriver",
    site="providers.proxmox.site.site_of",
    vm_id_pattern=re.compile(r"[1-9][0-9]{2,8}"),
    vm_id_example="100",
    cloud_init_limit_bytes=512 * 1024,
    required=frozenset({"url", "vpc_id"}),
    options=MappingProxyType(
        {
            "iso_storage": Option("the storage that holds ISO images", re.compile(r"[A-Za-z][A-Za-z0-9._-]*")),
            "cpu_type": Option("the CPU type of new VMs, such as x86-64-v2-AES", re.compile(r"[A-Za-z0-9._-]+")),
        }
    ),
    access_key=CredentialName(
        "User or API token", "user@realm, such as root@pam, or user@realm!token for an API token."
    ),
    secret=CredentialName(
        "Password or token secret", "The user's password, or the UUID that was shown when the token was made."
    ),
    causes=MappingProxyType(
        {
            ErrorCode.CREDENTIALS_REJECTED: "The user is not of the form `user@realm` (or `user@realm!token`), the "
            "password or the token's secret is not its own, the token has expired or was removed, or the account "
            "asks for a second factor, which only an API token goes without.",
            ErrorCode.PERMISSION_DENIED: "The user or token lacks a privilege on a path; the answer names both. A "
            "token with privilege separation has none of its user's privileges unless it is given them itself.",
            ErrorCode.VM_NOT_FOUND: "The VM was deleted, the id is a template's or a container's, or the caller may "
            "not see it (VM.Audit).",
            ErrorCode.CONFLICT: "The VM is locked by a backup, migration, snapshot or clone, which the answer names, "
            "has its protection switched on, or is not in the state that the verb needs.",
            ErrorCode.UNPROCESSABLE: "The node, storage, bridge, image or template does not exist, or the storage "
            "does not take this content: `import` needs Proxmox VE 8.4 or newer and to be switched on for the storage.",
            ErrorCode.UNAVAILABLE: "The storage is full, the node has too little memory, or the cluster has no quorum.",
            ErrorCode.BACKEND_UNREACHABLE: "The host of the url is down, or it cannot reach the node (595, 596, 599).",
        }
    ),
)
