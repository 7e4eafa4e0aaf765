"""Azure: virtual machines of Azure Resource Manager."""

from __future__ import annotations

import re
from types import MappingProxyType

from providers.cloud import Cloud, Option

CLOUD = Cloud(
    name="Azure",
    driver=None,
    vm_id_pattern=re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,62}[A-Za-z0-9_])?"),
    vm_id_example="test1",
    cloud_init_limit_bytes=64 * 1024 - 1,
    has_instance_types=True,
    url_words=frozenset({"AzurePublicCloud", "AzureChinaCloud", "AzureUSGovernment", "AzureUSGovernmentCloud"}),
    required=frozenset({"project", "region", "vpc_id"}),
    options=MappingProxyType(
        {
            "authority_url": Option(
                "the https URL of the log-in service of a private or simulated Azure",
                re.compile(r"https://[^/?#]+/?"),
            ),
        }
    ),
)
