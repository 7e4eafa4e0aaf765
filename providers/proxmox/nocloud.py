"""cloud-init's NoCloud image: user data and metadata on a small CD.

https://docs.cloud-init.io/en/latest/reference/datasources/nocloud.html
"""

from __future__ import annotations

import io
import json
from typing import Final

from pycdlib import PyCdlib

# In upper case, as ISO 9660 allows no other; cloud-init looks for both.
LABEL: Final = "CIDATA"


def image(user_data: bytes, *, instance_id: str, hostname: str) -> bytes:
    """An ISO 9660 image with Joliet and Rock Ridge that holds `user-data`, byte for byte, and `meta-data`."""
    # JSON is YAML, too.
    metadata = json.dumps({"instance-id": instance_id, "local-hostname": hostname}).encode()
    iso = PyCdlib()
    iso.new(interchange_level=3, joliet=3, rock_ridge="1.09", vol_ident=LABEL)
    for plain, name, content in (("/USERDATA.;1", "user-data", user_data), ("/METADATA.;1", "meta-data", metadata)):
        iso.add_fp(io.BytesIO(content), len(content), plain, rr_name=name, joliet_path=f"/{name}")
    written = io.BytesIO()
    iso.write_fp(written)
    iso.close()
    return written.getvalue()
