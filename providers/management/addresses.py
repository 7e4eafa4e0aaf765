"""Addresses on which the project's commands listen."""

from __future__ import annotations

import socket


def bind(host: str, port: int) -> socket.socket:
    """Return a TCP socket that is bound to an address of this machine.

    Raises:
        OSError: the address is in use, or is not one of this machine.

    """
    family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    bound = socket.socket(family, kind)
    try:
        # Connections of an earlier server that wait for their time-out do not block the address.
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
    except OSError:
        bound.close()
        raise
    return bound
