"""A host that drops packets: connections to it time out, until it accepts some again."""

from __future__ import annotations

import http.server
import socket
from collections.abc import Iterator
from contextlib import contextmanager

from tests.support.serving import serving


class BlackHole:
    """A listening socket whose queue is full, so that Linux drops further SYNs."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=0)
        self._waiting: list[socket.socket] = []
        self.address: tuple[str, int] = self._listener.getsockname()
        for _ in range(16):
            caller = socket.socket()
            self._waiting.append(caller)
            caller.settimeout(0.2)
            try:
                caller.connect(self.address)
            except TimeoutError:
                break
        else:
            raise AssertionError("the queue of the listening socket is never full")

    @property
    def url(self) -> str:
        """An http URL of the host."""
        return f"http://{self.address[0]}:{self.address[1]}"

    @contextmanager
    def recovered(self, handler: type[http.server.BaseHTTPRequestHandler]) -> Iterator[None]:
        """Serve the connections from now on."""
        for caller in self._waiting:
            caller.close()
        self._listener.listen(128)
        server = http.server.ThreadingHTTPServer(self.address, handler, bind_and_activate=False)
        server.socket.close()
        server.socket = self._listener.dup()
        server.handle_error = lambda *_: None  # type: ignore[method-assign] # the callers that waited have hung up
        server.daemon_threads = True
        with serving(server):
            yield

    def close(self) -> None:
        """Close all sockets."""
        for one in (*self._waiting, self._listener):
            one.close()


@contextmanager
def black_hole() -> Iterator[BlackHole]:
    """Run one."""
    hole = BlackHole()
    try:
        yield hole
    finally:
        hole.close()
