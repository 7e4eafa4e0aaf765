"""vSphere: VMs of vCenter and of standalone ESXi hosts."""

from __future__ import annotations

import re

from providers.cloud import Cloud

CLOUD = Cloud(
    name="vSphere",
    aliases=frozenset({"ESXi", "VMware"}),
    driver=None,
    vm_id_pattern=re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"),
    vm_id_example="5021c8f5-3b1a-4a5e-9a52-6d1b9c1f0d11",
    cloud_init_limit_bytes=64 * 1024,
    required=frozenset({"url"}),
)
