"""Checks files of certificate authorities before a connection is made with them."""

from __future__ import annotations

import ssl
from functools import lru_cache
from pathlib import Path


def certificates_fault(path: Path) -> str | None:
    """Return what is wrong with a file of certificates in PEM form, or None."""
    try:
        status = path.stat()
        return _fault(path, (status.st_ino, status.st_size, status.st_mtime_ns))
    except OSError as error:
        return f"{path} cannot be read: {error.strerror}"


# A bundle of public authorities takes 25 ms to read. `version` changes with the file.
@lru_cache(maxsize=64)
def _fault(path: Path, version: tuple[int, ...]) -> str | None:
    try:
        if "-----BEGIN CERTIFICATE-----" not in path.read_text(encoding="ascii", errors="replace"):
            return f"{path} holds no certificate in PEM form"
        ssl.create_default_context(cafile=path)
    except ssl.SSLError:
        return f"{path} holds a certificate that is damaged or cut off"
    return None
