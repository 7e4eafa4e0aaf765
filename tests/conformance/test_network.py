"""Proxies and certificate authorities: the customary variables work, and nobody is trusted by accident."""

from dataclasses import replace
from urllib.parse import urlsplit

import pytest
from pytest_django import Settings

from providers.network import network_from
from tests.conformance.conftest import NETWORK
from tests.conformance.harness import Harness
from tests.support.api import Api
from tests.support.impostor import Impostor
from tests.support.proxy import connect_proxy

pytestmark = pytest.mark.own_simulators


def network(**variables: str) -> object:
    """The network as the process's environment would describe it."""
    return network_from(variables, connect_timeout_seconds=2.0, read_timeout_seconds=10.0)


@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY"])
def test_verbs_go_through_the_proxy_that_is_named(
    api: Api, backend: Harness, settings: Settings, variable: str
) -> None:
    """Every call, from log-in to the last look."""
    with connect_proxy() as proxy:
        settings.CLOUDVM_NETWORK = network(**{variable: proxy.url})
        connections = backend.connections()
        vm = api.create().json
        assert api.verb("stop", vm["id"]).status == 204
        assert api.delete(vm["id"]).status == 204
        assert set(proxy.asked) == {urlsplit(backend.url).netloc}
        assert len(proxy.asked) == backend.connections() - connections


@pytest.mark.parametrize("no_proxy", ["127.0.0.1", "localhost,127.0.0.0/8", "*"])
def test_list_goes_around_the_proxy_where_no_proxy_says_so(api: Api, settings: Settings, no_proxy: str) -> None:
    """By host, by range, by star."""
    with connect_proxy() as proxy:
        settings.CLOUDVM_NETWORK = network(HTTPS_PROXY=proxy.url, NO_PROXY=no_proxy)
        assert api.list().status == 200
        assert proxy.asked == []


def test_list_through_a_proxy_that_is_down_is_unreachable(api: Api, settings: Settings) -> None:
    """Never directly instead."""
    with connect_proxy() as proxy:
        url = proxy.url
    settings.CLOUDVM_NETWORK = network(HTTPS_PROXY=url)
    answer = api.list()
    assert answer.code == "backend_unreachable"
    assert "The proxy cannot be reached. " in answer.json["detail"]


def test_list_from_an_untrusted_server_is_refused(api: Api, backend: Harness) -> None:
    """An authority that nobody vouches for: nothing is sent."""
    answer = api.within("untrusted").list()
    assert (answer.status, answer.code) == (502, "backend_tls"), answer.body
    assert "ca_file" in answer.json["detail"]
    assert backend.operations() == []


def test_list_from_a_server_with_a_certificate_for_another_name_is_refused(api: Api, impostor: Impostor) -> None:
    """A trusted authority, and somebody else's certificate: nothing is sent."""
    answer = api.within("misnamed").list()
    assert (answer.status, answer.code) == (502, "backend_tls"), answer.body
    assert impostor.greeted
    assert not impostor.received


def test_create_on_an_untrusted_server_is_refused(api: Api, backend: Harness) -> None:
    """The same for a verb that carries more than credentials."""
    assert api.within("untrusted").create(cloud_init="I2Nsb3VkLWNvbmZpZwo=").code == "backend_tls"
    assert backend.operations() == []


def test_list_with_the_authority_in_requests_ca_bundle_works(api: Api, backend: Harness, settings: Settings) -> None:
    """For a whole server, without touching the file of environments."""
    settings.CLOUDVM_NETWORK = replace(NETWORK, ca_bundle=backend.ca_file)
    assert api.within("untrusted").list().status == 200


@pytest.mark.filterwarnings("ignore:Unverified HTTPS request")
def test_list_with_tls_verify_off_works(api: Api) -> None:
    """Only where the environment says so."""
    assert api.within("careless").list().status == 200
