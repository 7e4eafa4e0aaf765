"""Files of certificate authorities: what is wrong with one, before a connection is made with it."""

from __future__ import annotations

import ssl
from functools import cache
from pathlib import Path


# A bundle of public authorities takes 25 ms to read; a server's workers are forks of the process that has read it.
@cache
def certificates_fault(path: Path) -> str | None:
    """What is wrong with a file of certificates in PEM form; None for nothing."""
    try:
        if "-----BEGIN CERTIFICATE-----" not in path.read_text(encoding="ascii", errors="replace"):
            return f"{path} holds no certificate in PEM form"
        ssl.create_default_context(cafile=path)
    except ssl.SSLError:
        return f"{path} holds a certificate that is damaged or cut off"
    except OSError as error:
        return f"{path} cannot be read: {error.strerror}"
    return None
