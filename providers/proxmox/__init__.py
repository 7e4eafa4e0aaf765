"""Proxmox VE: QEMU VMs."""

from __future__ import annotations

import re
from types import MappingProxyType

from providers.cloud import Cloud, Option

CLOUD = Cloud(
    name="Proxmox",
    driver=None,
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
)
