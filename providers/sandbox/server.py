"""A loopback WSGI server on a real socket: threads, HTTP/1.1 keep-alive, TLS, nothing left after its stop.

Werkzeug's own server closes the connection after every answer, wsgiref's speaks HTTP/1.0: what a client does
with the connections that it keeps would never be seen through either.
"""

import logging
import socket
import ssl
import sys
import threading
from contextlib import suppress
from socketserver import ThreadingMixIn
from typing import Any, Self
from wsgiref.types import WSGIApplication

from providers.sandbox.connection import HOST, Connection, Listener

logger = logging.getLogger(__name__)

IDLE_SECONDS = 120.0


class Server:
    """Serves one WSGI application on 127.0.0.1 from `start` to `stop`; may be used as a context manager.

    `connections` counts the connections accepted since the start, `handshakes` the TLS handshakes completed.
    A connection ends after an answer with `Connection: close`, and after `requests_per_connection` answers.
    """

    def __init__(
        self,
        application: WSGIApplication,
        *,
        port: int = 0,
        ssl_context: ssl.SSLContext | None = None,
        requests_per_connection: int | None = None,
    ) -> None:
        self._application = application
        self._requests_per_connection = requests_per_connection
        self._port = port
        self._ssl_context = ssl_context
        self._listener: _Listener | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> Self:
        """Bind, listen and serve; on return the port answers."""
        if self._listener is not None:
            raise RuntimeError("the server has already been started")
        self._listener = _Listener((HOST, self._port), self._application, self._ssl_context)
        self._listener.requests_per_connection = self._requests_per_connection
        self._thread = threading.Thread(
            target=self._listener.serve_forever, kwargs={"poll_interval": 0.02}, name="sandbox-server"
        )
        self._thread.start()
        return self

    def stop(self) -> None:
        """Close the port and all connections, and wait for their threads; a second call does nothing."""
        if self._listener is None or self._thread is None:
            return
        self._listener.shutdown()
        self._listener.close_connections()
        self._listener.server_close()
        self._thread.join()
        self._listener = self._thread = None

    @property
    def port(self) -> int:
        """The port that is being listened on."""
        return self._running.port

    @property
    def url(self) -> str:
        """The server's address, without a trailing slash."""
        return f"{'http' if self._ssl_context is None else 'https'}://{HOST}:{self.port}"

    @property
    def connections(self) -> int:
        """How many connections were accepted since the start."""
        return self._running.connections

    @property
    def handshakes(self) -> int:
        """How many TLS handshakes were completed since the start."""
        return self._running.handshakes

    @property
    def _running(self) -> "_Listener":
        if self._listener is None:
            raise RuntimeError("the server is not running")
        return self._listener

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *exception: object) -> None:
        self.stop()


class _Listener(ThreadingMixIn, Listener):
    """Accepts connections, one thread for each, and knows those that are open."""

    allow_reuse_address = True
    request_queue_size = 128
    daemon_threads = False
    block_on_close = True

    def __init__(
        self, address: tuple[str, int], application: WSGIApplication, ssl_context: ssl.SSLContext | None
    ) -> None:
        self.application = application
        self.ssl_context = ssl_context
        self.requests_per_connection: int | None = None
        self.connections = 0
        self.handshakes = 0
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._closing = False
        super().__init__(address, Connection)
        self.port: int = self.socket.getsockname()[1]

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._lock:
            self.connections += 1
        super().process_request(request, client_address)

    def finish_request(self, request: Any, client_address: Any) -> None:
        # Runs in the connection's own thread, so that a slow or missing handshake holds nobody else up.
        request.settimeout(IDLE_SECONDS)
        try:
            self._serve(self._wrap(request), client_address)
        except (OSError, ValueError):
            logger.debug("a client dropped its connection")

    def _serve(self, connection: socket.socket, client_address: tuple[str, int]) -> None:
        try:
            if self._admit(connection):
                self._shake_hands(connection)
                Connection(connection, client_address, self)
        finally:
            with self._lock:
                self._open.discard(connection)
            with suppress(OSError):
                connection.close()

    def _wrap(self, request: socket.socket) -> socket.socket:
        if self.ssl_context is None:
            return request
        return self.ssl_context.wrap_socket(request, server_side=True, do_handshake_on_connect=False)

    def _shake_hands(self, connection: socket.socket) -> None:
        if isinstance(connection, ssl.SSLSocket):
            connection.do_handshake()
            with self._lock:
                self.handshakes += 1

    def _admit(self, connection: socket.socket) -> bool:
        with self._lock:
            if not self._closing:
                self._open.add(connection)
            return not self._closing

    def close_connections(self) -> None:
        """Wake every thread that waits for a client's next request."""
        with self._lock:
            self._closing = True
            for connection in self._open:
                with suppress(OSError):
                    # The plain socket's: a TLS socket's would drop its keys under the thread that reads.
                    socket.socket.shutdown(connection, socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002 - socketserver's own
        """Log what went wrong with a connection; socketserver would print a traceback."""
        logger.error("a connection failed", exc_info=sys.exc_info())
