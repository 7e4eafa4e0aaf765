"""Proxies and certificate authorities, as the process's environment names them."""

import pytest

from providers.aws import CLOUD
from providers.domain import Environment
from providers.network import Network, network_from, proxy_faults


def network(**environ: str) -> Network:
    """The network of an environment."""
    return network_from(environ, connect_timeout_seconds=1, read_timeout_seconds=2)


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, {}),
        ({"HTTPS_PROXY": "http://u"}, {"https": "http://u"}),
        ({"https_proxy": "http://l", "HTTPS_PROXY": "http://u"}, {"https": "http://l"}),
        ({"https_proxy": "", "HTTPS_PROXY": "http://u"}, {"https": "http://u"}),
        ({"HTTP_PROXY": "http://u"}, {"http": "http://u"}),
        ({"ALL_PROXY": "http://a"}, {"http": "http://a", "https": "http://a"}),
        ({"all_proxy": "http://a", "HTTPS_PROXY": "http://u"}, {"http": "http://a", "https": "http://u"}),
    ],
)
def test_proxies_are_those_of_the_variables(environ: dict[str, str], expected: dict[str, str]) -> None:
    """In upper and lower case, which wins."""
    assert network(**environ).proxies("https://ec2.example") == expected


@pytest.mark.parametrize(
    ("value", "works"),
    [
        ("http://proxy.example:3128", True),
        ("https://user:secret@proxy.example", True),
        ("http://[fd00::1]:3128/", True),
        ("", True),
        ("proxy.example", False),
        ("proxy.example:3128", False),
        ("//proxy.example:3128", False),
        ("http://:3128", False),
        ("http://proxy.example:port", False),
        ("http://proxy.example:0", False),
        ("http://[fd00::1", False),
        ("socks5h://proxy.example:1080", False),
        ("ftp://proxy.example", False),
        ("http://proxy.example:3128\n", False),
        (" http://proxy.example:3128", False),
        ("http://proxy example:3128", False),
        ("http://%:3128", False),
    ],
)
def test_proxy_faults_names_the_variable_of_a_url_that_cannot_work(value: str, works: bool) -> None:  # noqa: FBT001 - a case
    """The drivers speak HTTP to a proxy, in plain or over TLS."""
    for name in ("HTTP_PROXY", "https_proxy", "ALL_PROXY"):
        assert [fault.partition(":")[0] for fault in proxy_faults({name: value})] == ([] if works else [name])


def test_proxy_faults_name_entries_of_no_proxy_that_name_no_host() -> None:
    """They were ignored, so that calls went through the proxy."""
    value = "pve.example, .example.com, 10.0.0.0/8, 10.0.0.0/99, fd00::/8, [::1]:8006, *, http://pve.example"
    for name in ("NO_PROXY", "no_proxy"):
        faults = proxy_faults({name: value})
        assert [fault.split()[:2] for fault in faults] == [
            [f"{name}:", "'10.0.0.0/99'"],
            [f"{name}:", "'http://pve.example'"],
        ]


@pytest.mark.parametrize(
    ("others", "named"),
    [
        ({"HTTP_PROXY": "http://p", "HTTPS_PROXY": "http://p"}, []),
        ({"http_proxy": "http://p", "https_proxy": "http://p"}, []),
        ({"all_proxy": "http://p"}, []),
        ({"HTTPS_PROXY": "http://p"}, ["ALL_PROXY"]),
        ({"HTTP_PROXY": "", "HTTPS_PROXY": "http://p"}, ["ALL_PROXY"]),
        ({"HTTPS_PROXY": "ftp://p", "https_proxy": "http://p", "HTTP_PROXY": "http://p"}, []),
        ({"HTTPS_PROXY": "ftp://p"}, ["ALL_PROXY", "HTTPS_PROXY"]),
    ],
)
def test_proxy_faults_leave_out_variables_that_are_not_used(others: dict[str, str], named: list[str]) -> None:
    """A desktop that sets ALL_PROXY to a SOCKS proxy sets the other two as well."""
    faults = proxy_faults({"ALL_PROXY": "socks://proxy.example:1080", **others})
    assert sorted(fault.partition(":")[0] for fault in faults) == named


@pytest.mark.parametrize(
    ("no_proxy", "url", "direct"),
    [
        ("*", "https://a.example", True),
        ("a.example", "https://a.example", True),
        ("A.Example", "https://a.EXAMPLE:8006", True),
        ("example", "https://a.example", True),
        (".example", "https://a.example", True),
        ("*.example", "https://a.example", True),
        ("example", "https://anexample", False),
        (".a.example", "https://ba.example", False),
        ("b.example, a.example ,", "https://a.example", True),
        ("a.example:8006", "https://a.example:8006", True),
        ("a.example:8006", "https://a.example:8007", False),
        ("a.example:443", "https://a.example", True),
        ("a.example:80", "https://a.example", False),
        ("a.example:80", "http://a.example", True),
        ("10.0.0.5", "https://10.0.0.5:9440", True),
        ("10.0.0.0/8", "https://10.1.2.3", True),
        ("10.0.0.0/8", "https://11.1.2.3", False),
        ("10.0.0.0/8", "https://a.example", False),
        ("nonsense/8", "https://10.1.2.3", False),
        ("fd00::/8", "https://[fd00::1]:8006", True),
        ("::1", "https://[::1]:8006", True),
        ("[::1]", "https://[::1]", True),
        ("[::1]:8006", "https://[::1]:8006", True),
        ("", "https://a.example", False),
        (",,", "https://a.example", False),
    ],
)
def test_no_proxy_names_hosts_that_are_reached_directly(no_proxy: str, url: str, *, direct: bool) -> None:
    """By name, end of a name, port, address and range."""
    proxies = network(ALL_PROXY="http://proxy", NO_PROXY=no_proxy).proxies(url)
    assert proxies == ({} if direct else {"http": "http://proxy", "https": "http://proxy"})


@pytest.mark.parametrize(
    ("environ", "options", "expected"),
    [
        ({}, {}, True),
        ({"REQUESTS_CA_BUNDLE": "/r"}, {}, "/r"),
        ({"CURL_CA_BUNDLE": "/c"}, {}, "/c"),
        ({"REQUESTS_CA_BUNDLE": "/r", "CURL_CA_BUNDLE": "/c"}, {}, "/r"),
        ({"REQUESTS_CA_BUNDLE": "/r"}, {"ca_file": "/own"}, "/own"),
        ({"REQUESTS_CA_BUNDLE": "/r"}, {"tls_verify": False}, False),
        ({}, {"ca_file": "/own", "tls_verify": False}, False),
    ],
)
def test_verify_trusts_whom_it_is_told_to(
    environ: dict[str, str],
    options: dict[str, object],
    expected: bool | str,  # noqa: FBT001
) -> None:
    """The environment's own file first, then the process's, then the public ones."""
    environment = Environment("a", CLOUD, **options)  # type: ignore[arg-type] # each test has its own
    assert network(**environ).verify(environment) == expected
