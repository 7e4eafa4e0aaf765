"""How this process reaches clouds: time limits, proxies and trusted certificate authorities, the same for all."""

from __future__ import annotations

import ipaddress
import urllib.parse
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import urllib3.util
from urllib3.exceptions import LocationParseError

from providers.cutoff import Cutoff
from providers.domain import Environment


@dataclass(frozen=True)
class Network:
    """Limits in seconds, and what the process's environment says about proxies and certificate authorities.

    Attributes:
        connect_timeout_seconds: how long a connection may take to be made.
        read_timeout_seconds: how long a backend may be silent.
        http_proxy, https_proxy: the proxy's URL, empty for none.
        no_proxy: hosts that are reached directly, as `NO_PROXY` names them.
        ca_bundle: file of trusted certificate authorities, empty for the public ones.
        cutoff: ends the exchanges that last too long.

    """

    connect_timeout_seconds: float = 5.0
    read_timeout_seconds: float = 60.0
    http_proxy: str = ""
    https_proxy: str = ""
    no_proxy: str = ""
    ca_bundle: str = ""
    cutoff: Cutoff = field(default_factory=Cutoff, repr=False, compare=False)

    def proxies(self, url: str) -> dict[str, str]:
        """The proxies for calls to `url`, by scheme; empty when it is to be reached directly."""
        if _bypassed(urllib.parse.urlsplit(url), self.no_proxy):
            return {}
        configured = {"http": self.http_proxy, "https": self.https_proxy}
        return {scheme: proxy for scheme, proxy in configured.items() if proxy}

    def verify(self, environment: Environment) -> bool | str:
        """Whom to trust: a file of authorities, True for the public ones, False for anyone."""
        if not environment.tls_verify:
            return False
        return environment.ca_file or self.ca_bundle or True


# The first one that is set counts: lower case before upper case, as in curl.
_HTTP_PROXY = ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY")
_NO_PROXY = ("no_proxy", "NO_PROXY")
_HTTPS_PROXY = ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY")


def network_from(environ: Mapping[str, str], *, connect_timeout_seconds: float, read_timeout_seconds: float) -> Network:
    """The network that the customary variables describe, in upper or lower case."""

    def read(*names: str) -> str:
        return environ.get(_first_set(environ, names), "")

    return Network(
        connect_timeout_seconds=connect_timeout_seconds,
        read_timeout_seconds=read_timeout_seconds,
        # HTTP_PROXY in upper case is a request header's name under CGI, never under the servers that we run on.
        http_proxy=read(*_HTTP_PROXY),
        https_proxy=read(*_HTTPS_PROXY),
        no_proxy=read(*_NO_PROXY),
        ca_bundle=read("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"),
    )


def proxy_faults(environ: Mapping[str, str]) -> list[str]:
    """Return one line for each proxy variable that is used and cannot work.

    The lines do not quote URLs of proxies, as these hold passwords.
    """
    used = dict.fromkeys(_first_set(environ, names) for names in (_HTTP_PROXY, _HTTPS_PROXY))
    no_proxy = _first_set(environ, _NO_PROXY)
    return [
        *(
            f"{name}: must be the URL of a proxy such as http://proxy.example:3128 (http or https)."
            for name in used
            if name and not _is_proxy(environ[name])
        ),
        *(
            f"{no_proxy}: {entry!r} must be a range of addresses such as 10.0.0.0/8, or a host name without scheme "
            "and path."
            for entry in _entries(environ.get(no_proxy, ""))
            if "/" in entry and not _is_range(entry)
        ),
    ]


def _first_set(environ: Mapping[str, str], names: Iterable[str]) -> str:
    return next((name for name in names if environ.get(name)), "")


def _is_proxy(url: str) -> bool:
    try:
        parts = urllib3.util.parse_url(url)
        # The parser of the standard library overlooks spaces and line breaks, which fail each call.
        is_plain = url.isprintable() and " " not in url
        return is_plain and parts.scheme in {"http", "https"} and bool(parts.host) and parts.port != 0
    except LocationParseError:
        return False


def _bypassed(url: urllib.parse.SplitResult, no_proxy: str) -> bool:
    """Whether `NO_PROXY` names the host: by `*`, name, end of a name, host and port, address, or range (10.0.0.0/8)."""
    host = (url.hostname or "").lower()
    return any(_names(entry, host, port_of(url)) for entry in _entries(no_proxy))


def port_of(url: urllib.parse.SplitResult) -> int | None:
    """Return the port that a URL names, or that of its scheme."""
    return url.port or {"http": 80, "https": 443}.get(url.scheme)


def _entries(no_proxy: str) -> list[str]:
    return [entry.strip().lower() for entry in no_proxy.split(",") if entry.strip()]


def _is_range(entry: str) -> bool:
    try:
        ipaddress.ip_network(entry, strict=False)
    except ValueError:
        return False
    return True


def _names(entry: str, host: str, port: int | None) -> bool:
    if entry in {"*", host, f"{host}:{port}", f"[{host}]", f"[{host}]:{port}"}:
        return True
    if "/" in entry:
        return _in_range(host, entry)
    return host.endswith("." + entry.lstrip("*").lstrip("."))


def _in_range(host: str, range_: str) -> bool:
    try:
        return ipaddress.ip_address(host) in ipaddress.ip_network(range_, strict=False)
    except ValueError:
        return False
