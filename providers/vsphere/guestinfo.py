"""cloud-init for a guest on vSphere: `guestinfo` variables that the DataSource VMware reads through VMware Tools.

https://docs.cloud-init.io/en/latest/reference/datasources/vmware.html
"""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Mapping

from providers import trace
from providers.errors import FieldFault, InvalidRequestError

# What a variable may hold, encoded.
LIMIT_BYTES = 64 * 1024
_ENCODING = "gzip+base64"

# All that the DataSource VMware reads; what a copy is not told it must not have of its template either.
_READ = ("metadata", "userdata", "vendordata")


def encoded(data: bytes) -> str:
    """The data as a guest's cloud-init takes them; the same data make the same text."""
    return base64.b64encode(gzip.compress(data, 9, mtime=0)).decode()


def check(user_data: bytes | None) -> None:
    """Refuse user data that do not fit.

    Raises:
        InvalidRequestError: too large when compressed and encoded.

    """
    size = len(encoded(user_data)) if user_data else 0
    if size > LIMIT_BYTES:
        problem = (
            f"has {size:,} bytes when compressed and encoded as base64; a guest on vSphere takes at most "
            f"{LIMIT_BYTES:,}. Let it fetch the rest (#include)"
        )
        raise InvalidRequestError(f"cloud_init {problem}.", fields=(FieldFault("cloud_init", problem),))


def variables(instance_id: str, host_name: str, user_data: bytes | None) -> Mapping[str, str]:
    """What a new VM finds; metadata always, so that a copy of a template knows that it is another machine."""
    metadata = json.dumps({"instance-id": instance_id, "local-hostname": host_name}).encode()
    found = {"guestinfo.metadata": encoded(metadata), "guestinfo.metadata.encoding": _ENCODING}
    if user_data:
        text = encoded(user_data)
        trace.current().redact.add(text)
        found |= {"guestinfo.userdata": text, "guestinfo.userdata.encoding": _ENCODING}
    return found


def inherited(told: Mapping[str, str]) -> Mapping[str, str]:
    """What takes a template's own variables from a copy that is told others: a blank value removes one."""
    names = (f"guestinfo.{name}{end}" for name in _READ for end in ("", ".encoding"))
    return {name: "" for name in names if name not in told}
