"""Which client a request comes from."""

import ipaddress

import pytest
from django.test import RequestFactory
from pytest_django import Settings

from tests.conformance.proxmox import ProxmoxHarness
from tests.support.api import bearer
from tests.support.application import client
from vms.client_address import client_address, client_network

PROXY = "10.1.2.3"


@pytest.fixture(autouse=True)
def _proxies(settings: Settings) -> None:
    settings.CLOUDVM_TRUSTED_PROXIES = (ipaddress.ip_network("10.1.0.0/16"), ipaddress.ip_network("fd00::/8"))


@pytest.mark.parametrize(
    ("peer", "forwarded", "address"),
    [
        ("192.0.2.1", None, "192.0.2.1"),
        ("192.0.2.1", "198.51.100.1", "192.0.2.1"),
        (PROXY, None, PROXY),
        (PROXY, "", PROXY),
        (PROXY, "198.51.100.1", "198.51.100.1"),
        (PROXY, "203.0.113.9, 198.51.100.1", "198.51.100.1"),
        (PROXY, "203.0.113.9, 198.51.100.1, 10.1.9.9", "198.51.100.1"),
        (PROXY, "10.1.9.9,10.1.9.8", "10.1.9.9"),
        (PROXY, "198.51.100.1, unknown", PROXY),
        (PROXY, "198.51.100.1:4711", "198.51.100.1"),
        (PROXY, "[2001:db8::1]:4711", "2001:db8::1"),
        (PROXY, " 2001:db8::1 ", "2001:db8::1"),
        (f"::ffff:{PROXY}", "::ffff:198.51.100.1", "198.51.100.1"),
        ("fd00::7", "2001:db8::1", "2001:db8::1"),
        ("", "198.51.100.1", ""),
        ("unix:", "198.51.100.1", ""),
    ],
)
def test_client_address_is_the_last_one_that_is_no_trusted_proxy(
    peer: str, forwarded: str | None, address: str
) -> None:
    """What stands before it is the client's own claim."""
    headers = {} if forwarded is None else {"X-Forwarded-For": forwarded}
    assert client_address(RequestFactory().get("/", REMOTE_ADDR=peer, headers=headers)) == address


@pytest.mark.parametrize(
    ("peer", "network"), [("192.0.2.1", "192.0.2.1"), ("2001:db8:1:2:3::4", "2001:db8:1:2::/64"), ("", "")]
)
def test_client_network_of_ipv6_is_all_that_one_client_has(peer: str, network: str) -> None:
    """It can use any of its 2^64 addresses."""
    assert client_network(RequestFactory().get("/", REMOTE_ADDR=peer)) == network


def test_wrong_secrets_from_one_client_hold_up_no_other(cloud: ProxmoxHarness) -> None:
    """Also behind the same proxy, for the same access key; a client cannot pass itself off as another."""

    def listed(secret: str, forwarded: str) -> int:
        headers = {"Authorization": bearer(cloud.access_key, secret), "X-Forwarded-For": forwarded}
        return client().get("/vm?environment=main", REMOTE_ADDR=PROXY, headers=headers).status_code

    claimed = [f"203.0.113.{number}, 198.51.100.1" for number in range(4)]
    assert [listed(f"wrong-{number}", claimed[number]) for number in range(4)] == [401, 401, 401, 429]
    assert listed(cloud.secret, "198.51.100.2") == 200
    assert listed(cloud.secret, "198.51.100.1") == 200
