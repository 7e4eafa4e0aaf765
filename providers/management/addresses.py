"""Addresses on which the project's commands listen."""

from __future__ import annotations

import socket


def free_address(host: str, port: int) -> str:
    """The IP address of a host on which nobody listens yet.

    The server shares ports: a second one would start, and take half of the first one's requests in silence.

    Raises:
        OSError: somebody listens there, or nobody can.

    """
    family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    with socket.socket(family, kind) as probe:
        # As the server does: what an earlier one left to time out stops nobody.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(address)
    return str(address[0])
