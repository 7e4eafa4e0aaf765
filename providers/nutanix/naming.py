"""What things are called on the wire: where the three APIs stand, and operations as the vendor documents them."""

from __future__ import annotations

import re
import urllib.parse
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import requests

V2: Final = "/PrismGateway/services/rest/v2.0"
V3: Final = "/api/nutanix/v3"
VMM: Final = "/api/vmm/v4.0"
TASKS: Final = "/api/prism/v4.0"
CLUSTERS: Final = "/api/clustermgmt/v4.0"
NETWORKING: Final = "/api/networking/v4.0"
VMM_INFO: Final = "/api/vmm/unversioned/info"

# What is before it is that of a gateway, behind which a Prism may be.
_V4: Final = re.compile(r"^.*?/api/(vmm|prism|clustermgmt|networking)(/v4\.\d+)?")
# A task of v4 has a uuid with the name of its service before it.
_UUID: Final = r"/[^/]*[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}(?=/|$)"


def operation_of(request: requests.PreparedRequest) -> str:
    """The operation that a request is, such as `v2.0 GET /vms/{uuid}`."""
    path = urllib.parse.unquote(urllib.parse.urlsplit(request.url or "").path).rstrip("/")
    for api, prefix in (("v2.0", V2), ("v3", V3)):
        if prefix in path:
            return f"{api} {request.method} {re.sub(_UUID, '/{uuid}', path.partition(prefix)[2])}"
    return f"v4 {request.method} {re.sub(_UUID, '/{extId}', _V4.sub('', path, count=1))}"


def quoted(segment: str) -> str:
    """One segment of a path."""
    return urllib.parse.quote(segment, safe="")


def with_query(path: str, query: dict[str, str | int]) -> str:
    """A path and its query; the dollar signs of OData stay as they are."""
    return f"{path}?{urllib.parse.urlencode(query, quote_via=urllib.parse.quote, safe='$/,')}" if query else path
