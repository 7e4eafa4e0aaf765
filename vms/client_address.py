"""Which client sent a request, directly or through trusted proxies."""

from __future__ import annotations

import ipaddress

from django.conf import settings
from django.http import HttpRequest

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

# A client with IPv6 usually has a whole network of this size.
_IPV6_CLIENT_BITS = 64


def is_trusted_proxy(request: HttpRequest) -> bool:
    """Whether the peer of the connection is a trusted proxy."""
    peer = _parse(request.META.get("REMOTE_ADDR", ""))
    return peer is not None and _is_trusted(peer)


def client_address(request: HttpRequest) -> str:
    """Return the client's address, empty if it is not known.

    It is the last address in `X-Forwarded-For` that is not a trusted proxy's. What stands before it is the client's
    own claim.
    """
    client = _parse(request.META.get("REMOTE_ADDR", ""))
    forwarded = request.headers.get("X-Forwarded-For", "").split(",")
    while client is not None and _is_trusted(client) and forwarded:
        named = _parse(forwarded.pop())
        if named is None:
            break
        client = named
    return "" if client is None else str(client)


def client_network(request: HttpRequest) -> str:
    """Return what the client's tries are counted by: its IPv4 address, or its IPv6 network."""
    address = client_address(request)
    if ":" not in address:
        return address
    return str(ipaddress.IPv6Network((int(ipaddress.IPv6Address(address)), _IPV6_CLIENT_BITS), strict=False))


def _is_trusted(address: Address) -> bool:
    return any(address in network for network in settings.CLOUDVM_TRUSTED_PROXIES)


def _parse(text: str) -> Address | None:
    """Read an address as proxies write it, with or without a port."""
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    # A server that listens on IPv6 sees a peer with an IPv4 address as ::ffff:10.0.0.1.
    return getattr(address, "ipv4_mapped", None) or address
