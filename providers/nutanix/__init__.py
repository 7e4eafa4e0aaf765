"""Nutanix: AHV VMs, by Prism Element and Prism Central."""

from __future__ import annotations

import re
from types import MappingProxyType

from providers.cloud import Cloud, Option

CLOUD = Cloud(
    name="Nutanix",
    driver=None,
    vm_id_pattern=re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"),
    vm_id_example="5021c8f5-3b1a-4a5e-9a52-6d1b9c1f0d11",
    cloud_init_limit_bytes=128_000,
    required=frozenset({"url"}),
    options=MappingProxyType(
        {
            "api_version": Option("v2 (Prism Element), v4 or v3 (Prism Central)", re.compile(r"v[234]")),
        }
    ),
)
