"""cloud-init as callers send it: base64, decoded and sized before any call."""

from __future__ import annotations

import base64
import binascii


class CloudInitError(ValueError):
    """The text is not base64, or too large; the message never quotes it."""


def decode(text: str, limit_bytes: int) -> bytes:
    """The user data that `text` (base64, line breaks and blanks allowed) stands for.

    Raises:
        CloudInitError: not base64, or more than `limit_bytes` decoded.

    """
    compact = "".join(text.split())
    try:
        data = base64.b64decode(compact, validate=True)
    except (binascii.Error, ValueError):
        # "from None": the cause would carry the text into a log.
        raise CloudInitError("is not base64; encode the file with `base64 -w 0`") from None
    if len(data) > limit_bytes:
        raise CloudInitError(f"has {len(data):,} bytes when decoded; this cloud takes at most {limit_bytes:,}")
    return data
