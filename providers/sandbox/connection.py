"""One connection of a simulator: reads requests off it, answers each by the application, and can be cut."""

import io
import logging
import ssl
from collections.abc import Callable, Iterable, Iterator
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from socketserver import TCPServer
from urllib.parse import unquote_to_bytes
from wsgiref.types import WSGIApplication, WSGIEnvironment

logger = logging.getLogger(__name__)

HOST = "127.0.0.1"
# The longest line that is read whole.
LINE = 65537


class ConnectionCutError(Exception):
    """Raised by an application to have the connection dropped, unanswered or in the middle of `body`."""

    def __init__(self, body: bytes | None = None) -> None:
        super().__init__("the connection is to be cut")
        self.body = body


class Listener(TCPServer):
    """What a connection knows of the server that it belongs to."""

    application: WSGIApplication
    ssl_context: ssl.SSLContext | None
    requests_per_connection: int | None
    port: int


class Connection(BaseHTTPRequestHandler):
    """Reads requests off one connection and answers each by the application."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Listener
    served = 0

    def handle_one_request(self) -> None:
        """Read one request and answer it."""
        self.raw_requestline = self.rfile.readline(LINE)
        if not self.raw_requestline or not self.parse_request():
            self.close_connection = True
            return
        try:
            # The whole body, or the rest of it would be taken for the next request's first line.
            body = self._read_body()
        except ValueError:
            self.close_connection = True
            self.send_error(HTTPStatus.BAD_REQUEST)
            return
        self._serve(body)

    def _read_body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            return b"".join(self._chunks())
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def _chunks(self) -> Iterator[bytes]:
        """The parts of a body whose length its sender did not know (RFC 9112, 7.1)."""
        while size := int(self.rfile.readline(LINE).partition(b";")[0], 16):
            yield self.rfile.read(size)
            self.rfile.readline(LINE)
        while self.rfile.readline(LINE).strip():
            """A trailer."""

    def _serve(self, body: bytes) -> None:
        answer = Answer()
        try:
            answer.take(self.server.application(self._environ(body), answer.start))
        except ConnectionCutError as cut:
            self.close_connection = True
            if cut.body is not None:
                self._send(answer.whole(cut.body), cut.body[: len(cut.body) // 2])
            return
        except Exception:
            logger.exception("the simulator failed")
            answer = Answer.failure()
        self._send(answer, answer.body)

    def _send(self, answer: "Answer", body: bytes) -> None:
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


class Answer:
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

    def whole(self, body: bytes) -> "Answer":
        """This answer with status 200 and a body whose length will be promised."""
        self.status, self.reason, self.body = 200, "OK", body
        return self

    @classmethod
    def failure(cls) -> "Answer":
        """A plain 500, when the simulator itself is at fault."""
        answer = cls()
        answer.headers = [("Content-Type", "text/plain; charset=utf-8")]
        answer.body = b"The simulator failed; its log says why.\n"
        return answer

    def _write(self, data: bytes) -> None:
        self.body += data
