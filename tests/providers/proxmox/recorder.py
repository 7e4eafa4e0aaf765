"""A socket between the driver and the simulator that writes down what goes by, and passes it on unchanged."""

from __future__ import annotations

import re
import ssl
import threading
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.parser import BytesParser
from email.policy import HTTP
from http.client import HTTPSConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from providers.domain import Environment
from tests.providers.proxmox.cluster import Pve


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

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_any(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            upstream = HTTPSConnection(
                "127.0.0.1", pve.sandbox.server.port, context=ssl.create_default_context(cafile=pve.ca_file), timeout=20
            )
            upstream.request(self.command, self.path, body or None, dict(self.headers.items()))
            answer = upstream.getresponse()
            content = answer.read()
            upstream.close()
            headers = {name.lower(): value for name, value in self.headers.items()}
            path, _, query = self.path.partition("?")
            parameters = {**_form(headers, body), **dict(urllib.parse.parse_qsl(query, keep_blank_values=True))}
            path = urllib.parse.unquote(path).removeprefix("/api2/json")
            record.requests.append(Seen(self.command, path, headers, parameters, answer.status))
            self.send_response_only(answer.status, answer.reason)
            for name, value in answer.getheaders():
                if name.lower() != "connection":
                    self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_PUT = do_DELETE = handle_any  # noqa: N815 - http.server's names

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    record.pve = Through(pve.sandbox, pve.ca_file, pve.backends, url=f"http://127.0.0.1:{server.server_address[1]}")
    try:
        yield record
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@dataclass
class Through(Pve):
    """The cluster at another address, which is plain HTTP: the recorder's own business."""

    url: str = ""

    def environment(self, **changes: object) -> Environment:
        """Its first node, through the recorder."""
        return super().environment(**{"url": self.url, "name": "recorded", **changes})


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
