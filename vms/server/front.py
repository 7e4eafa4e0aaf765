"""ASGI front of the WSGI application.

Reads each request completely on the event loop, within limits of size and time. Only then takes a thread. Answers
probes and refusals on the event loop, so that they work when every thread is busy.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Awaitable, Callable, MutableMapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from providers.errors import ErrorCode
from vms.middleware import PROBES, REFUSAL
from vms.problems import Problem
from vms.server.application import Application
from vms.server.wsgi import Environ, Header, Response, Scope, build_environ, call, set_body

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

_CLOSE: Header = (b"connection", b"close")


@dataclass(frozen=True)
class Limits:
    """Limits of one worker process.

    Attributes:
        threads: requests that run at once; a further one is refused.
        header_bytes: size of all headers. A single one above 8 KiB gets a problem document; this bounds the memory.
        header_seconds: time for a TLS handshake, for the headers of a request, and between two requests.
        body_bytes: size of a request body.
        drain_bytes: size up to which a larger body is read and dropped. Most clients read the response only after
            they have sent everything.
        buffered_bytes: sum of the bodies that are being read.
        body_idle_seconds: time without a byte of the body.
        body_seconds: time for the whole body.

    """

    threads: int = 256
    header_bytes: int = 128 * 1024
    header_seconds: float = 30.0
    body_bytes: int = 1024 * 1024
    drain_bytes: int = 32 * 1024 * 1024
    buffered_bytes: int = 64 * 1024 * 1024
    body_idle_seconds: float = 30.0
    body_seconds: float = 30.0


class _Refused(Exception):  # noqa: N818 - a response, not a fault
    """A request that is refused before the application sees it. The connection is closed if bytes may follow."""

    def __init__(self, problem: Problem, *, close: bool = True) -> None:
        super().__init__(problem.detail)
        self.problem = problem
        self.close = close


class Front:
    """ASGI application that runs a WSGI application in a bounded pool of threads."""

    def __init__(self, application: Application, limits: Limits) -> None:
        self._application = application
        self.limits = limits
        self._threads = ThreadPoolExecutor(limits.threads, thread_name_prefix="request")
        self._buffered_bytes = 0
        self._is_ready = True
        self._stopping = asyncio.Event()
        self.requests_in_flight = 0

    def end_readiness(self) -> None:
        """Answer /readyz with 503, and close connections after their next response."""
        self._is_ready = False

    def stop_reading(self) -> None:
        """Refuse requests whose body has not arrived yet."""
        self._stopping.set()

    def refuse(self, problem: Problem, connection: Scope) -> Response:
        """Return the response to data that is not an HTTP request.

        Args:
            problem: the reason.
            connection: `client`, `server` and `scheme` of an ASGI scope.

        """
        scope = {
            "http_version": "1.1",
            "method": "GET",
            "raw_path": b"/",
            "query_string": b"",
            "headers": [],
            **connection,
        }
        return self._call_here({**build_environ(scope), REFUSAL: problem})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one HTTP request."""
        environ = build_environ(scope)
        must_close = not self._is_ready
        try:
            set_body(environ, await self._read_body(scope, receive))
            response = await self._respond(environ)
        except _Refused as refused:
            set_body(environ, b"")
            response = self._call_here({**environ, REFUSAL: refused.problem})
            must_close = must_close or refused.close
        except ConnectionAbortedError:
            return
        headers = [*response.headers, _CLOSE] if must_close else response.headers
        await send({"type": "http.response.start", "status": response.status, "headers": headers})
        await send({"type": "http.response.body", "body": response.body})

    async def _respond(self, environ: Environ) -> Response:
        """Run the application: for probes here, for anything else in a thread.

        Raises:
            _Refused: all threads are busy, or the server is stopping.

        """
        path = environ["PATH_INFO"]
        if path == "/readyz" and not self._is_ready:
            raise _Refused(Problem(ErrorCode.UNAVAILABLE, "The server is stopping."))
        if path in PROBES:
            return self._call_here(environ)
        if self.requests_in_flight >= self.limits.threads:
            detail = f"The server runs {self.limits.threads} requests already, which is its limit."
            raise _Refused(Problem(ErrorCode.UNAVAILABLE, detail), close=False)
        work = asyncio.wrap_future(self._submit(environ))
        self.requests_in_flight += 1
        work.add_done_callback(self._release)
        return await work

    def _submit(self, environ: Environ) -> Future[Response]:
        """Run the application in a thread.

        Raises:
            _Refused: the system allows no further thread.

        """
        work: Future[Response] = Future()

        def run() -> None:
            if work.set_running_or_notify_cancel():
                try:
                    work.set_result(contextvars.Context().run(call, self._application, environ))
                except BaseException as error:  # noqa: BLE001 - it is raised where the result is awaited
                    work.set_exception(error)

        try:
            self._threads.submit(run)
        except RuntimeError:
            # The pool has queued the work before it failed to start a thread; another thread may have taken it.
            if work.cancel():
                detail = "The server cannot start a thread for this request."
                raise _Refused(Problem(ErrorCode.UNAVAILABLE, detail), close=False) from None
        return work

    def _release(self, _: object) -> None:
        self.requests_in_flight -= 1

    def _call_here(self, environ: Environ) -> Response:
        """Run the application on the event loop; only for what it answers at once."""
        return contextvars.Context().run(call, self._application, environ)

    async def _read_body(self, scope: Scope, receive: Receive) -> bytes:
        """Return the whole body.

        Raises:
            _Refused: the body is too large or too slow, or the server is stopping.
            ConnectionAbortedError: the client has closed the connection.

        """
        if not _has_body(scope):
            return b""
        if _expects_continue(scope) and _content_length(scope) > self.limits.body_bytes:
            raise self._too_large()
        body = bytearray()
        try:
            async with asyncio.timeout(self.limits.body_seconds):
                size = await self._receive_into(body, receive)
        except TimeoutError:
            detail = "The request body did not arrive in time."
            raise _Refused(Problem(ErrorCode.INVALID_REQUEST, detail, status=408)) from None
        finally:
            self._buffered_bytes -= len(body)
        if size > self.limits.body_bytes:
            raise self._too_large()
        return bytes(body)

    async def _receive_into(self, body: bytearray, receive: Receive) -> int:
        """Append what arrives to `body`, up to the limit of its size; return the size of what arrived."""
        size = 0
        stopping = asyncio.ensure_future(self._stopping.wait())
        try:
            more_body = True
            while more_body and size <= self.limits.drain_bytes:
                message = await self._next_message(receive, stopping)
                if message["type"] == "http.disconnect":
                    raise ConnectionAbortedError
                more_body = message.get("more_body", False)
                chunk = message.get("body", b"")
                size += len(chunk)
                if size <= self.limits.body_bytes:
                    body += chunk
                    self._buffered_bytes += len(chunk)
                    if self._buffered_bytes > self.limits.buffered_bytes:
                        detail = "The server reads too many large requests at once."
                        raise _Refused(Problem(ErrorCode.UNAVAILABLE, detail))
        finally:
            stopping.cancel()
        return size

    async def _next_message(self, receive: Receive, stopping: asyncio.Future[Any]) -> Message:
        message = asyncio.ensure_future(receive())
        try:
            await asyncio.wait(
                (message, stopping), timeout=self.limits.body_idle_seconds, return_when=asyncio.FIRST_COMPLETED
            )
            if message.done():
                return message.result()
            if stopping.done():
                raise _Refused(Problem(ErrorCode.UNAVAILABLE, "The server is stopping."))
            raise TimeoutError
        finally:
            message.cancel()

    def _too_large(self) -> _Refused:
        detail = f"The body is larger than {self.limits.body_bytes:,} bytes."
        return _Refused(Problem(ErrorCode.INVALID_REQUEST, detail, status=413))


def _has_body(scope: Scope) -> bool:
    return any(
        (name == b"content-length" and value != b"0") or name == b"transfer-encoding"
        for name, value in scope["headers"]
    )


def _content_length(scope: Scope) -> int:
    for name, value in scope["headers"]:
        if name == b"content-length" and value.isdigit():
            return int(value[:20])
    return 0


def _expects_continue(scope: Scope) -> bool:
    return any(name == b"expect" and value.lower() == b"100-continue" for name, value in scope["headers"])
