"""The reading of an upload, with the same expressions that PVE reads it with: a form of its own, not any multipart.

`file_upload_multipart` in pve-http-server's src/PVE/APIServer/AnyEvent.pm
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from email.message import Message

from providers.sandbox.proxmox.wire import BareError, Version

NEWLINE = rb"\r?\n"
HEADERS_END = re.compile(NEWLINE + NEWLINE)
FIELDS = ("content", "checksum-algorithm", "checksum")
# pve-http-server 4.2-2: until then a file without a Content-Type of its own was mangled.
READS_BARE_FILES: Version = (8, 0)


@dataclass(frozen=True)
class Upload:
    """A file, and the fields before it."""

    parameters: Mapping[str, str]
    data: bytes


def boundary_of(content_type: str) -> str | None:
    """The boundary of a multipart form; None when it is anything else."""
    message = Message()
    message["Content-Type"] = content_type
    return message.get_boundary() if message.get_content_type() == "multipart/form-data" else None


def read(body: bytes, boundary: str, version: Version) -> Upload:
    """The file and its fields, which have to come before it; raises `BareError`."""
    marker = b"--" + re.escape(boundary.encode())
    delimiter = marker + NEWLINE
    first = re.search(delimiter, body)
    if first is None:
        raise BareError("upload failed")
    rest = body[first.start() :]
    parameters: dict[str, str] = {}
    for field in FIELDS:
        rest = _take_field(rest, field, delimiter, parameters)
    file = re.match(
        delimiter
        + rb'Content-Disposition: (?P<kind>.*?); name="(?P<name>.*?)"; filename="(?P<file>[^"]+)"'
        + (b"" if version >= READS_BARE_FILES else NEWLINE),
        rest,
        re.DOTALL,
    )
    if file is None:
        raise BareError("upload failed")
    if file["name"] != b"filename":
        raise BareError(f"wrong field name '{file['name'].decode()}' for file upload, expected 'filename'")
    parameters["filename"] = file["file"].decode().strip()
    return Upload(parameters, _data(_after_headers(rest[file.end() :]), b"--" + boundary.encode() + b"--"))


def _take_field(rest: bytes, field: str, delimiter: bytes, parameters: dict[str, str]) -> bytes:
    found = re.match(
        delimiter + rb'.*?Content-Disposition: .*?; name="' + field.encode() + rb'"(?P<rest>.*?' + delimiter + rb")",
        rest,
        re.DOTALL,
    )
    if found is None:
        return rest
    rest = _after_headers(rest[found.start("rest") :])
    end = re.search(delimiter, rest)
    if end is None:
        raise BareError("upload failed")
    parameters[field] = rest[: end.start()].decode().strip()
    return rest[end.start() :]


def _after_headers(rest: bytes) -> bytes:
    end = HEADERS_END.search(rest)
    return rest[end.end() :] if end else rest


def _data(rest: bytes, close: bytes) -> bytes:
    end = rest.find(close)
    if end < 0:
        raise BareError("upload failed")
    data = rest[:end]
    return data[:-2] if data.endswith(b"\r\n") else data.removesuffix(b"\n")
