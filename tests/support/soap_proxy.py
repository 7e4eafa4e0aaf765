"""A TLS server before a vSphere server that others wrote: counts calls, and lets things go wrong that it cannot."""

import re
import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from http.client import HTTPException, HTTPSConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from xml.sax.saxutils import escape

OPERATION = re.compile(rb'<(\w+) xmlns="urn:')
SOAP = (
    '<?xml version="1.0" encoding="UTF-8"?><soapenv:Envelope '
    'xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/" xmlns:xsd="http://www.w3.org/2001/XMLSchema" '
    'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><soapenv:Body>{}</soapenv:Body></soapenv:Envelope>'
)


@dataclass(frozen=True)
class Reply:
    """One answer."""

    status: int
    body: bytes
    headers: tuple[tuple[str, str], ...] = (("Content-Type", "text/xml; charset=utf-8"),)


def soap(content: str, status: int = 200) -> Reply:
    """An answer in SOAP."""
    return Reply(status, SOAP.format(content).encode())


def fault(name: str, message: str, detail: str = "") -> Reply:
    """A fault of vSphere's by its name."""
    return soap(
        f"<soapenv:Fault><faultcode>ServerFaultCode</faultcode><faultstring>{escape(message)}</faultstring>"
        f'<detail><{name}Fault xmlns="urn:vim25" xsi:type="{name}">{detail}</{name}Fault></detail></soapenv:Fault>',
        500,
    )


@dataclass(frozen=True)
class Rule:
    """What goes wrong with an operation: `reply` goes out instead of the server's, or the connection is cut.

    `about` must stand in the request; `after` lets the call take effect first. `times` is how often, None for ever.
    """

    operation: str = "*"
    about: bytes = b""
    reply: Reply | None = None
    cut: bool = False
    after: bool = False
    delay_seconds: float = 0.0
    times: int | None = None
    skip: int = 0


# What is made of a request before the server reads it.
Preparation = Callable[[bytes], bytes]
# What is made of the server's answer to an operation: request, answer -> answer.
Completion = Callable[[bytes, Reply], Reply]


class SoapProxy(ThreadingHTTPServer):
    """Listens on a free port; `upstream` is host and port of the real server, which may change.

    `answered` counts the calls whose answer was ready. `on_arrival`, if set, gets each call's operation.
    """

    daemon_threads = True
    block_on_close = False
    # As many as come at the same moment in a test.
    request_queue_size = 128

    def __init__(self, served: ssl.SSLContext, trusted: ssl.SSLContext) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.socket = served.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)
        self.trusted = trusted
        self.upstream = ("127.0.0.1", 0)
        self.preparations: dict[str, Preparation] = {}
        self.completions: dict[str, Completion] = {}
        self.on_arrival: Callable[[str], None] | None = None
        self.connections = 0
        self.answered = 0
        self._lock = threading.Lock()
        self._calls: list[str] = []
        self._rules: list[Rule] = []

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"https://127.0.0.1:{self.server_address[1]}"

    def start(self) -> None:
        """Serve in the background."""
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def stop(self) -> None:
        """Serve no more."""
        self.shutdown()
        self.server_close()

    def add(self, rule: Rule) -> None:
        """Let something go wrong from now on."""
        with self._lock:
            self._rules.append(rule)

    def clear_rules(self) -> None:
        """Nothing goes wrong from now on."""
        with self._lock:
            self._rules.clear()

    def calls(self) -> list[str]:
        """The operations that were called, in order."""
        with self._lock:
            return list(self._calls)

    def forget_calls(self) -> None:
        """Count anew."""
        with self._lock:
            self._calls.clear()
            self.answered = 0

    def count_answer(self) -> None:
        """Count an answer that is ready."""
        with self._lock:
            self.answered += 1

    def connected(self) -> None:
        """Count a connection."""
        with self._lock:
            self.connections += 1

    def called(self, operation: str, body: bytes) -> Rule | None:
        """Count a call; the rule that hits it, which is used up by one."""
        with self._lock:
            self._calls.append(operation)
            for number, rule in enumerate(self._rules):
                if rule.operation not in {"*", operation} or rule.about not in body or rule.times == 0:
                    continue
                if rule.skip:
                    self._rules[number] = replace(rule, skip=rule.skip - 1)
                    continue
                if rule.times is not None:
                    self._rules[number] = replace(rule, times=rule.times - 1)
                return rule
        return None


class _Cut(Exception):  # noqa: N818 # no error: the end of a connection
    """The connection is to be cut."""


class _Handler(BaseHTTPRequestHandler):
    server: SoapProxy
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def setup(self) -> None:
        super().setup()
        self._upstream: HTTPSConnection | None = None

    def handle(self) -> None:
        try:
            self.connection.do_handshake()
            self.server.connected()
            super().handle()
        except (OSError, _Cut):
            self.close_connection = True
        finally:
            self._hang_up()

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        found = OPERATION.search(body)
        operation = found[1].decode() if found else "?"
        if self.server.on_arrival is not None:
            self.server.on_arrival(operation)
        rule = self.server.called(operation, body)
        reply = self._ruled(rule, operation, body) if rule is not None else self._completed(operation, body)
        self.server.count_answer()
        self.send_response(reply.status)
        for name, value in (*reply.headers, ("Content-Length", str(len(reply.body)))):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(reply.body)

    def _ruled(self, rule: Rule, operation: str, body: bytes) -> Reply:
        if rule.after:
            self._completed(operation, body)
        time.sleep(rule.delay_seconds)
        if rule.cut:
            raise _Cut
        return rule.reply or self._completed(operation, body)

    def _completed(self, operation: str, body: bytes) -> Reply:
        preparation = self.server.preparations.get(operation)
        completion = self.server.completions.get(operation)
        reply = self._forwarded(preparation(body) if preparation is not None else body)
        return completion(body, reply) if completion is not None else reply

    def _forwarded(self, body: bytes) -> Reply:
        headers = {name: self.headers[name] for name in ("Content-Type", "SOAPAction", "Cookie") if self.headers[name]}
        try:
            return self._exchange(body, headers)
        except (OSError, HTTPException):
            # The real server was started anew meanwhile.
            self._hang_up()
            return self._exchange(body, headers)

    def _exchange(self, body: bytes, headers: dict[str, str]) -> Reply:
        if self._upstream is None:
            host, port = self.server.upstream
            self._upstream = HTTPSConnection(host, port, context=self.server.trusted, timeout=60)
        self._upstream.request("POST", self.path, body, headers)
        answer = self._upstream.getresponse()
        passed = tuple((name, value) for name in ("Content-Type", "Set-Cookie") if (value := answer.headers.get(name)))
        return Reply(answer.status, answer.read(), passed)

    def _hang_up(self) -> None:
        if self._upstream is not None:
            self._upstream.close()
            self._upstream = None

    def log_message(self, *_: object) -> None:
        """Say nothing."""
