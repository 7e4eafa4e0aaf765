"""Calls a WSGI application with a request whose body was read."""

from __future__ import annotations

import sys
from collections.abc import Iterator, MutableMapping
from dataclasses import dataclass
from io import BytesIO
from typing import Any, NoReturn
from urllib.parse import unquote_to_bytes

from vms.server.application import Application

Scope = MutableMapping[str, Any]
Environ = dict[str, Any]
Header = tuple[bytes, bytes]

# Statuses whose responses have neither a body nor its length (RFC 9110, 8.6).
_BODILESS = frozenset({204, 304})


@dataclass(frozen=True)
class Response:
    """A complete HTTP response; header names are in lower case."""

    status: int
    headers: list[Header]
    body: bytes


def build_environ(scope: Scope) -> Environ:
    """Return the WSGI environ of an ASGI request; `set_body` completes it.

    Headers with an underscore in the name are dropped: `X_A` and `X-A` would become one variable, and a caller could
    imitate a header that only a proxy may set. Repeated headers are joined by a comma.
    """
    server = scope.get("server") or ("localhost", 80)
    client = scope.get("client") or ("", 0)
    target = scope["raw_path"].decode("latin-1")
    environ: Environ = {
        "REQUEST_METHOD": scope["method"],
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote_to_bytes(target).decode("latin-1"),
        "QUERY_STRING": scope["query_string"].decode("latin-1"),
        "SERVER_NAME": server[0],
        "SERVER_PORT": str(server[1]),
        "SERVER_PROTOCOL": f"HTTP/{scope['http_version']}",
        "REMOTE_ADDR": client[0],
        "REMOTE_PORT": str(client[1]),
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scope["scheme"],
        "wsgi.input": BytesIO(),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
    }
    for name, value in _variables(scope["headers"]):
        environ[name] = f"{environ[name]},{value}" if name in environ else value
    # Without it Django would take SERVER_NAME, which is an allowed host.
    environ.setdefault("HTTP_HOST", "")
    return environ


def set_body(environ: Environ, body: bytes) -> None:
    """Give the request its body."""
    environ["wsgi.input"] = BytesIO(body)
    environ.pop("CONTENT_LENGTH", None)
    if body:
        environ["CONTENT_LENGTH"] = str(len(body))


def call(application: Application, environ: Environ) -> Response:
    """Run the application and return its complete response."""
    started: list[tuple[str, list[tuple[str, str]]]] = []

    def start_response(status: str, headers: list[tuple[str, str]], _exc_info: object = None) -> Any:
        started[:] = [(status, headers)]
        return _write

    result = application(environ, start_response)
    try:
        body = b"".join(result)
    finally:
        close = getattr(result, "close", None)
        if close is not None:
            close()
    ((status_line, given),) = started
    status = int(status_line[:3])
    headers = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in given]
    if status not in _BODILESS and not any(name == b"content-length" for name, _ in headers):
        headers.append((b"content-length", str(len(body)).encode()))
    return Response(status, headers, body)


def _variables(headers: list[Header]) -> Iterator[tuple[str, str]]:
    for name, value in headers:
        # The body is complete, so it has no transfer coding any more.
        if b"_" in name or name == b"transfer-encoding":
            continue
        key = name.decode("latin-1").upper().replace("-", "_")
        yield key if key in {"CONTENT_TYPE", "CONTENT_LENGTH"} else f"HTTP_{key}", value.decode("latin-1")


def _write(_: bytes) -> NoReturn:
    raise NotImplementedError("Django returns its body; it does not write it.")
