"""Connections to backends: kept, tried once, sending at once, and cut off when an exchange's time is over."""

from __future__ import annotations

import socket
from typing import Any, Final

import urllib3.connection
import urllib3.connectionpool
from requests.adapters import HTTPAdapter

from providers.cutoff import CutConnection, CutPool

# As many as one environment may use at once, reads and changes; more would be opened and thrown away.
CONNECTIONS_KEPT = 176

# urllib3 sets it for direct connections only; through a proxy a request with a body would wait 40 ms for an
# acknowledgement.
_AT_ONCE = [*urllib3.connection.HTTPConnection.default_socket_options, (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)]


class _Connection(CutConnection, urllib3.connection.HTTPConnection):
    """urllib3's, which can be cut off."""


class _TLSConnection(CutConnection, urllib3.connection.HTTPSConnection):
    """The same with TLS."""


class _Pool(CutPool, urllib3.connectionpool.HTTPConnectionPool):
    ConnectionCls = _Connection


class _TLSPool(CutPool, urllib3.connectionpool.HTTPSConnectionPool):
    ConnectionCls = _TLSConnection


_POOLS: Final = {"http": _Pool, "https": _TLSPool}


class Adapter(HTTPAdapter):
    """Makes the connections of one session."""

    def __init__(self) -> None:
        super().__init__(pool_connections=2, pool_maxsize=CONNECTIONS_KEPT, max_retries=0)

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        """See `HTTPAdapter`."""
        super().init_poolmanager(*args, socket_options=_AT_ONCE, **options)
        self.poolmanager.pool_classes_by_scheme = _POOLS

    def proxy_manager_for(self, proxy: str, **options: Any) -> Any:
        """See `HTTPAdapter`."""
        manager = super().proxy_manager_for(proxy, socket_options=_AT_ONCE, **options)
        manager.pool_classes_by_scheme = _POOLS
        return manager
