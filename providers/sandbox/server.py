"""A loopback WSGI server on a real socket: threads, HTTP/1.1 keep-alive, TLS, nothing left after its stop.

Werkzeug's own server closes the connection after every answer, wsgiref's speaks HTTP/1.0: what a client does
with the connections that it keeps would never be seen through either.
"""

import io
import logging
import socket
import ssl
import sys
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from socketserver import TCPServer, ThreadingMixIn
from typing import Any, Self
from urllib.parse import unquote_to_bytes
from wsgiref.types import WSGIApplication, WSGIEnvironment

logger = logging.getLogger(__name__)

HOST = "127.0.0.1"
IDLE_SECONDS = 120.0


class ConnectionCutError(Exception):
    """Raised by an application to have the connection dropped, unanswered or in the middle of `body`."""

    def __init__(self, body: bytes | None = None) -> None:
        super().__init__("the connection is to be cut")
        self.body = body


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


class _Listener(ThreadingMixIn, TCPServer):
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
        super().__init__(address, _Connection)
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
                _Connection(connection, client_address, self)
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


class _Connection(BaseHTTPRequestHandler):
    """Reads requests off one connection and answers each by the application."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Listener
    served = 0

    def handle_one_request(self) -> None:
        self.raw_requestline = self.rfile.readline(65537)
        if not self.raw_requestline or not self.parse_request():
            self.close_connection = True
            return
        body = self._read_body()
        if body is None:
            self.close_connection = True
            self.send_error(HTTPStatus.LENGTH_REQUIRED)
            return
        self._serve(body)

    def _read_body(self) -> bytes | None:
        # The whole body, or the rest of it would be taken for the next request's first line.
        if "transfer-encoding" in self.headers:
            return None
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def _serve(self, body: bytes) -> None:
        answer = _Answer()
        try:
            answer.take(self.server.application(self._environ(body), answer.start))
        except ConnectionCutError as cut:
            self.close_connection = True
            if cut.body is not None:
                self._send(answer.whole(cut.body), cut.body[: len(cut.body) // 2])
            return
        except Exception:
            logger.exception("the simulator failed")
            answer = _Answer.failure()
        self._send(answer, answer.body)

    def _send(self, answer: "_Answer", body: bytes) -> None:
        self.log_request()
        self.served += 1
        if answer.is_last or self.served == self.server.requests_per_connection:
            self.close_connection = True
        self.send_response_only(answer.status, answer.reason)
        for name, value in answer.headers:
            self.send_header(name, value)
        if not any(name.lower() == "date" for name, _ in answer.headers):
            self.send_header("Date", self.date_time_string())
        self.send_header("Content-Length", str(len(answer.body)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _environ(self, body: bytes) -> WSGIEnvironment:
        path, _, query = self.path.partition("?")
        environ: WSGIEnvironment = {
            "REQUEST_METHOD": self.command,
            "SCRIPT_NAME": "",
            "PATH_INFO": unquote_to_bytes(path).decode("latin-1"),
            "QUERY_STRING": query,
            "REQUEST_URI": self.path,
            "RAW_URI": self.path,
            "SERVER_NAME": HOST,
            "SERVER_PORT": str(self.server.port),
            "SERVER_PROTOCOL": self.request_version,
            "REMOTE_ADDR": self.client_address[0],
            "CONTENT_LENGTH": str(len(body)),
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": "http" if self.server.ssl_context is None else "https",
            "wsgi.input": io.BytesIO(body),
            "wsgi.errors": io.StringIO(),
            "wsgi.multithread": True,
            "wsgi.multiprocess": False,
            "wsgi.run_once": False,
            "wsgi.input_terminated": True,
        }
        for name in {name.lower() for name in self.headers if "_" not in name}:
            if name not in {"content-length", "content-type"}:
                values = self.headers.get_all(name, [])
                environ["HTTP_" + name.upper().replace("-", "_")] = ",".join(values)
        return environ

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Say nothing: a request line may hold a ticket, and tests' output is for tests."""


_SERVERS_OWN = frozenset({"content-length", "connection"})


class _Answer:
    """What the application answered, whole, so that its length is always known."""

    def __init__(self) -> None:
        self.status = 500
        self.reason = "Internal Server Error"
        self.headers: list[tuple[str, str]] = []
        self.is_last = False
        self.body = b""

    def start(self, status: str, headers: list[tuple[str, str]], exc_info: object = None) -> Callable[[bytes], object]:
        """WSGI's start_response."""
        del exc_info
        code, _, self.reason = status.partition(" ")
        self.status = int(code)
        self.is_last = ("connection", "close") in {(name.lower(), value) for name, value in headers}
        self.headers = [(name, value) for name, value in headers if name.lower() not in _SERVERS_OWN]
        return self._write

    def take(self, chunks: Iterable[bytes]) -> None:
        """Read the application's body to its end."""
        try:
            self.body += b"".join(chunks)
        finally:
            close = getattr(chunks, "close", None)
            if close is not None:
                close()

    def whole(self, body: bytes) -> "_Answer":
        """This answer with status 200 and a body whose length will be promised."""
        self.status, self.reason, self.body = 200, "OK", body
        return self

    @classmethod
    def failure(cls) -> "_Answer":
        """A plain 500, when the simulator itself is at fault."""
        answer = cls()
        answer.headers = [("Content-Type", "text/plain; charset=utf-8")]
        answer.body = b"The simulator failed; its log says why.\n"
        return answer

    def _write(self, data: bytes) -> None:
        self.body += data
