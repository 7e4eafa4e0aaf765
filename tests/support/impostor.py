"""A TLS server whose certificate is for another name than its own, and which listens to what it is told."""

import socketserver
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import trustme

from tests.support.serving import serving


class Impostor(socketserver.ThreadingTCPServer):
    """Listens on a free port; `greeted` says that somebody called, `received` is what it was told inside of TLS."""

    daemon_threads = True

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        authority = trustme.CA()
        self.ca_file = str(folder / "ca.pem")
        authority.cert_pem.write_to_path(self.ca_file)
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("somebody-else.example").configure_cert(self.context)
        self.greeted = False
        self.received = b""

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"https://127.0.0.1:{self.server_address[1]}"


class _Handler(socketserver.BaseRequestHandler):
    server: Impostor

    def handle(self) -> None:
        self.server.greeted = True
        # The caller hangs up during the handshake, or it is a bad caller.
        with suppress(ssl.SSLError, OSError), self.server.context.wrap_socket(self.request, server_side=True) as tls:
            self.server.received += tls.recv(65536)


@contextmanager
def running_impostor(folder: Path) -> Iterator[Impostor]:
    """A running one."""
    with serving(Impostor(folder)) as server:
        yield server
