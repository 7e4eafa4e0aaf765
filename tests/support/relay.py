"""A TCP relay in front of a backend that can go away: it refuses connections for a while, and then comes back."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress


class Relay:
    """Forwards connections to a port on loopback.

    A planned outage begins with the request that follows the first answer for which its condition holds. All
    connections are cut, and further ones refused until it is over.
    """

    def __init__(self, upstream_port: int, port: int = 0) -> None:
        self._upstream_port = upstream_port
        self._lock = threading.Lock()
        self._connections: list[socket.socket] = []
        self._begins: Callable[[], bool] | None = None
        self._is_due = False
        self._seconds = 0.0
        self._loses_answer = False
        self._closed = False
        self._listener = self._listen(port)
        self.port: int = self._listener.getsockname()[1]
        self.outages = 0

    @property
    def url(self) -> str:
        """The backend's address by way of the relay."""
        return f"https://127.0.0.1:{self.port}"

    def plan_outage(self, seconds: float, begins: Callable[[], bool], *, loses_answer: bool = False) -> None:
        """Go away for some seconds once `begins` returns true.

        With `loses_answer` the outage begins with the answer for which `begins` holds, instead of the next request.
        """
        self._seconds = seconds
        self._loses_answer = loses_answer
        self._begins = begins
        self._is_due = False

    def close(self) -> None:
        """Stop."""
        self._closed = True
        self._cut()

    def _listen(self, port: int) -> socket.socket:
        listener = socket.create_server(("127.0.0.1", port))
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()
        return listener

    def _accept(self, listener: socket.socket) -> None:
        with suppress(OSError):
            while True:
                client, _ = listener.accept()
                upstream = socket.create_connection(("127.0.0.1", self._upstream_port))
                with self._lock:
                    self._connections += [client, upstream]
                threading.Thread(target=self._to_backend, args=(client, upstream), daemon=True).start()
                threading.Thread(target=self._to_client, args=(upstream, client), daemon=True).start()

    def _to_backend(self, client: socket.socket, upstream: socket.socket) -> None:
        with suppress(OSError):
            while data := client.recv(65536):
                if self._takes_the_outage():
                    self._go_away()
                    return
                upstream.sendall(data)
        _end(upstream)

    def _to_client(self, upstream: socket.socket, client: socket.socket) -> None:
        with suppress(OSError):
            while data := upstream.recv(65536):
                if self._loses_answer and self._holds() and self._takes_the_outage():
                    self._go_away()
                    return
                if not self._loses_answer:
                    # Before the client can go on.
                    self._holds()
                client.sendall(data)
        _end(client)

    def _holds(self) -> bool:
        if self._begins is not None and self._begins():
            self._is_due = True
        return self._is_due

    def _takes_the_outage(self) -> bool:
        with self._lock:
            is_due, self._is_due = self._is_due, False
            if is_due:
                self._begins = None
            return is_due

    def _go_away(self) -> None:
        self.outages += 1
        self._cut()
        time.sleep(self._seconds)
        if not self._closed:
            self._listener = self._listen(self.port)

    def _cut(self) -> None:
        # `shutdown` wakes the thread that accepts; `close` alone would not.
        _end(self._listener)
        with self._lock:
            connections, self._connections = self._connections, []
        for connection in connections:
            _end(connection)


@contextmanager
def relay_to(port: int) -> Iterator[Relay]:
    """Run a relay."""
    relay = Relay(port)
    try:
        yield relay
    finally:
        relay.close()


def _end(connection: socket.socket) -> None:
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
    connection.close()
