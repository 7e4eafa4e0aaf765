"""What is in an image with cloud-init, by a reader that has nothing to do with its writer where there is one."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from pycdlib import PyCdlib

READERS = [name for name in ("isoinfo", "7z", "7zz") if shutil.which(name)]


def read(image: bytes, name: str, reader: str = "") -> bytes:
    """One file of the image."""
    if not reader:
        return _by_pycdlib(image, name)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "seed.iso")
        path.write_bytes(image)
        command = {
            "isoinfo": ["isoinfo", "-R", "-i", str(path), "-x", f"/{name}"],
        }.get(reader, [reader, "x", "-so", str(path), name])
        return subprocess.run(command, capture_output=True, check=True).stdout


def label(image: bytes, reader: str = "") -> str:
    """The volume's label: in the primary descriptor, 32 characters from the 40th on."""
    if reader != "isoinfo":
        return image[16 * 2048 + 40 : 16 * 2048 + 72].decode().strip()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "seed.iso")
        path.write_bytes(image)
        told = subprocess.run(["isoinfo", "-d", "-i", str(path)], capture_output=True, check=True, text=True).stdout
    return next(line.partition(": ")[2] for line in told.splitlines() if line.startswith("Volume id"))


def user_data(image: bytes) -> bytes:
    """The user data."""
    return read(image, "user-data")


def meta_data(image: bytes) -> dict[str, Any]:
    """The metadata."""
    told: dict[str, Any] = json.loads(read(image, "meta-data"))
    return told


def _by_pycdlib(image: bytes, name: str) -> bytes:
    iso = PyCdlib()
    iso.open_fp(io.BytesIO(image))
    content = io.BytesIO()
    iso.get_file_from_iso_fp(content, joliet_path=f"/{name}")
    iso.close()
    return content.getvalue()
