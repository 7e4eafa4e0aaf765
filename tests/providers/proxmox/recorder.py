"""What goes by between the driver and the simulator, written down."""

from __future__ import annotations

import re
import ssl
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.parser import BytesParser
from email.policy import HTTP

from tests.providers.proxmox.cluster import Pve
from tests.support.between import Between, Passed
from tests.support.serving import serving


@dataclass(frozen=True)
class Seen:
    """One request: what was asked for, and with what."""

    method: str
    path: str
    headers: dict[str, str]
    parameters: dict[str, str]
    status: int


@dataclass
class Record:
    """The requests so far. `pve` is the cluster, as reached through the recorder."""

    pve: Pve
    requests: list[Seen] = field(default_factory=list)


@contextmanager
def recording(pve: Pve) -> Iterator[Record]:
    """A recorder in front of a cluster."""
    record = Record(pve)

    def passed(by: Passed) -> None:
        path, _, query = by.path.partition("?")
        parameters = {**_form(by.headers, by.body), **dict(urllib.parse.parse_qsl(query, keep_blank_values=True))}
        path = urllib.parse.unquote(path).removeprefix("/api2/json")
        record.requests.append(Seen(by.method, path, by.headers, parameters, by.status))

    between = Between(pve.sandbox.server.port, ssl.create_default_context(cafile=pve.ca_file), passed)
    record.pve = Through(pve.sandbox, pve.ca_file, between.url, backends=pve.backends)
    with serving(between):
        yield record


@dataclass
class Through(Pve):
    """The cluster at another address, which is plain HTTP: the recorder's own business."""

    url: str

    @property
    def keys(self) -> dict[str, object]:
        """Its first node, through the recorder."""
        return {**super().keys, "url": self.url, "name": "recorded"}


def _form(headers: dict[str, str], body: bytes) -> dict[str, str]:
    """The fields of a form; of a file only the name."""
    kind = headers.get("content-type", "")
    if not kind.startswith("multipart/"):
        return dict(urllib.parse.parse_qsl(body.decode(), keep_blank_values=True))
    message = BytesParser(policy=HTTP).parsebytes(f"Content-Type: {kind}\r\n\r\n".encode() + body)
    fields: dict[str, str] = {}
    for part in message.iter_parts():
        name = re.search(r'name="([^"]*)"', str(part["Content-Disposition"]))
        assert name is not None
        assert part["Content-Type"], "PVE wants a type on each part"
        fields[name[1]] = part.get_filename() or part.get_content().strip()
    return fields
