"""A place where each caller gets one answer, without any protocol, and is hung up on."""

from __future__ import annotations

import socket
import socketserver
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tests.support.serving import serving


@contextmanager
def listening(answer: Callable[[socket.socket], object]) -> Iterator[tuple[str, list[object]]]:
    """Its https URL, and who has called."""
    heard: list[object] = []

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            heard.append(self.client_address)
            answer(self.request)

    with serving(socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)) as server:
        yield f"https://127.0.0.1:{server.server_address[1]}", heard
