"""vSphere: VMs of vCenter and of standalone ESXi hosts, by pyvmomi."""

from __future__ import annotations

import re
from types import MappingProxyType

from providers.cloud import Cloud, CredentialName
from providers.errors import ErrorCode

CLOUD = Cloud(
    name="vSphere",
    aliases=frozenset({"ESXi", "VMware"}),
    driver="providers.vsphere.driver.VSphereDriver",
    vm_id_pattern=re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"),
    vm_id_example="5021c8f5-3b1a-4a5e-9a52-6d1b9c1f0d11",
    # Decoded; what counts in the end is the size when compressed and encoded, which `guestinfo` checks.
    cloud_init_limit_bytes=512 * 1024,
    required=frozenset({"url"}),
    access_key=CredentialName(
        "User name", "With its domain, such as administrator@vsphere.local; on a standalone ESXi host such as root."
    ),
    secret=CredentialName("Password", "The user's password. Some tries with a wrong one lock the account."),
    causes=MappingProxyType(
        {
            ErrorCode.CREDENTIALS_REJECTED: "The user name lacks its domain (user@vsphere.local), the password is "
            "wrong or has expired, or the account is locked after too many tries (ESXi: five, for 15 minutes).",
            ErrorCode.PERMISSION_DENIED: "The role lacks the privilege that the answer names, on the object that it "
            "names. Or the ESXi host has the free licence, with which programs may only read, or is in lockdown mode.",
            ErrorCode.VM_NOT_FOUND: "The VM is in another datacenter than the environment's, is a template, or may not "
            "be seen by the user.",
            ErrorCode.CONFLICT: "Another task works on the VM, it is suspended, it waits for an answer to a question, "
            "or VMware Tools do not run in its guest.",
            ErrorCode.NAME_TAKEN: "vCenter takes a name once in each folder.",
            ErrorCode.QUOTA_EXCEEDED: "The host's licence does not suffice.",
            ErrorCode.UNPROCESSABLE: "The template or image file is not there; the environment must name a datacenter, "
            "host, network, datastore or folder as there is more than one; or the host or datastore is full.",
            ErrorCode.UNSUPPORTED: "A standalone ESXi host clones nothing: its machine types name a disk or an ISO.",
        }
    ),
)
