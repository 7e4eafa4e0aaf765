"""Connecting: a request whose connection is never ready was not sent, and connections that hang open the circuit."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any

import pytest

from providers.aws import CLOUD as AWS
from providers.aws.client import AwsClient
from providers.aws.failures import VENDOR_ERRORS, answer_lost, translate
from providers.credentials import Credentials
from providers.deadline import Deadline, reconnect_from_now_on, running
from providers.domain import Environment
from providers.errors import BackendTimeoutError, BackendTLSError, BackendUnreachableError, ProviderError
from providers.gateway import Backends
from providers.http import HTTPSession
from providers.network import Network
from providers.proxmox import CLOUD as PROXMOX
from tests.providers.test_circuit_breaker import CLOUDS, NETWORK, assert_that_timeouts_open_the_circuit, failure
from tests.providers.test_http import Peer
from tests.support.dripper import BODY, dripping
from tests.support.hanging import hanging
from tests.support.limits import LIMITS
from tests.support.listener import listening
from tests.support.proxy import connect_proxy
from tests.support.serving import serving

VM_ID = "i-00000000000000001"
HOST = "backend.example:8006"


def hang_up(caller: socket.socket) -> None:
    """Take what comes first, and hang up."""
    caller.recv(65536)


def reset(caller: socket.socket) -> None:
    """Reset the connection."""
    caller.recv(1)
    caller.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    caller.close()


def answer_without_http(caller: socket.socket) -> None:
    """Answer with something else."""
    caller.recv(65536)
    caller.sendall(b"SSH-2.0-OpenSSH_9.6\r\n")


def answer_without_tls(caller: socket.socket) -> None:
    """Answer as a port for http does."""
    caller.recv(65536)
    caller.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")


def post(url: str, network: Network) -> ProviderError:
    """Send a POST, and return the error."""
    with HTTPSession(Environment("test", PROXMOX, url=url), network, lambda request: f"{request.method} it") as session:
        with pytest.raises(ProviderError) as caught:
            session.post(url, data="a")
        return caught.value


def terminate(url: str, network: Network) -> tuple[ProviderError, bool]:
    """Terminate an instance, and return the error and whether EC2 may have done it."""
    environment = Environment("aws1", AWS, url=url, region="eu-west-3")
    client = AwsClient.open(environment, Credentials("AKIAX", "secret"), network)
    try:
        client.terminate(VM_ID)
    except VENDOR_ERRORS as error:
        meaning = translate(error)
        return meaning, answer_lost(error, meaning)
    finally:
        client.close()
    raise AssertionError("it was done")


@contextmanager
def hanging_proxy() -> Iterator[str]:
    """Run a proxy that accepts connections and never answers."""
    with hanging() as url:
        yield url


@contextmanager
def hanging_behind_a_proxy() -> Iterator[str]:
    """Run a proxy whose tunnels lead to a host that never answers."""
    with hanging() as url, connect_proxy({HOST: url.removeprefix("http://")}) as proxy:
        yield proxy.url


@pytest.mark.parametrize("cloud", CLOUDS)
def test_handshake_that_hangs_opens_the_circuit_of_every_cloud(cloud: str) -> None:
    """Such as a load balancer without a backend. It costs as much time as a host that drops packets."""
    with hanging() as plain:
        assert_that_timeouts_open_the_circuit(cloud, plain.replace("http:", "https:"))


@pytest.mark.parametrize(
    ("proxy", "named"), [(hanging_proxy, HOST), (hanging_behind_a_proxy, HOST)], ids=["CONNECT", "TLS in the tunnel"]
)
def test_tunnel_that_hangs_opens_the_circuit(proxy: Callable[[], Any], named: str) -> None:
    """The host behind the proxy is named."""
    with proxy() as url:
        backends = Backends(replace(NETWORK, https_proxy=url), LIMITS)
        environment = Environment("pve1", PROXMOX, url=f"https://{HOST}", vpc_id="node/pve")
        for _ in range(3):
            error = failure(backends, environment)
            assert isinstance(error, BackendUnreachableError)
            assert "was not sent" in error.detail
        error = failure(backends, environment)
        assert error is not None
        assert f"connections to {named} timed out" in error.detail
        backends.close()


@pytest.mark.parametrize("end", [hang_up, reset, answer_without_tls], ids=lambda end: end.__name__)
def test_post_whose_handshake_breaks_was_not_sent(end: Callable[[socket.socket], None]) -> None:
    """No clean-up has to look for what it may have done."""
    with listening(end) as (url, heard):
        error = post(url, NETWORK)
        assert isinstance(error, BackendTLSError if end is answer_without_tls else BackendUnreachableError)
        assert not error.answer_lost
        assert len(heard) == 1


@pytest.mark.parametrize("end", [hang_up, reset, answer_without_http], ids=lambda end: end.__name__)
def test_post_whose_tunnel_breaks_was_not_sent(end: Callable[[socket.socket], None]) -> None:
    """The proxy has not opened it."""
    with listening(end) as (url, _):
        error = post(f"https://{HOST}", replace(NETWORK, https_proxy=url.replace("https:", "http:")))
    assert isinstance(error, BackendUnreachableError)
    assert not error.answer_lost
    assert "proxy" in error.detail


def test_post_whose_handshake_hangs_was_not_sent() -> None:
    """The time limit of a connection is over."""
    with hanging() as plain:
        error = post(plain.replace("http:", "https:"), NETWORK)
    assert isinstance(error, BackendUnreachableError)
    assert "was not sent" in error.detail
    assert not error.answer_lost


@pytest.mark.parametrize("end", [hang_up, reset, answer_without_tls], ids=lambda end: end.__name__)
def test_call_to_an_ec2_whose_handshake_breaks_was_not_sent(end: Callable[[socket.socket], None]) -> None:
    """By botocore's connections, too."""
    with listening(end) as (url, _):
        meaning, is_lost = terminate(url, NETWORK)
    assert isinstance(meaning, BackendTLSError if end is answer_without_tls else BackendUnreachableError)
    assert not is_lost
    assert "may have received" not in meaning.detail


def test_call_to_an_ec2_whose_handshake_hangs_was_not_sent() -> None:
    """Neither when the connection nor when the whole exchange has taken too long."""
    with hanging() as plain:
        url = plain.replace("http:", "https:")
        for network in (NETWORK, Network(connect_timeout_seconds=1.0, read_timeout_seconds=0.2)):
            with running(Deadline.after(0)):
                meaning, is_lost = terminate(url, network)
            assert isinstance(meaning, BackendUnreachableError)
            assert "was not sent" in meaning.detail
            assert not is_lost


def test_post_whose_time_is_over_before_it_is_sent_was_not_sent() -> None:
    """The connection was ready too late."""
    with hanging() as plain:
        network = Network(connect_timeout_seconds=2.0, read_timeout_seconds=0.2)
        error = post(plain.replace("http:", "https:"), network)
    assert isinstance(error, BackendUnreachableError)
    assert not error.answer_lost


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_post_over_a_connection_that_was_ready_may_have_arrived(scheme: str) -> None:
    """With and without TLS; on a new connection and on a kept one."""
    with dripping(replace(BODY, scheme=scheme)) as server:
        error = post(server.url, Network(read_timeout_seconds=1.5, ca_bundle=server.ca_file))
    assert isinstance(error, BackendTimeoutError)
    assert error.answer_lost


def test_post_over_a_kept_connection_may_have_arrived() -> None:
    """It is sent without connecting."""
    with serving(Peer()) as peer:
        environment = Environment("test", PROXMOX, url=peer.url)
        with HTTPSession(environment, NETWORK, lambda request: f"{request.method} it") as session:
            session.post(peer.url)
            peer.script = [lambda handler: handler.cut()]
            with pytest.raises(BackendUnreachableError) as caught:
                session.post(peer.url)
    assert caught.value.answer_lost


def test_post_whose_handshake_breaks_is_sent_once_the_backend_is_back() -> None:
    """After work was accepted, as one whose connection is refused."""
    calls: list[bytes] = []

    with dripping(BODY) as authority_of:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority_of.authority.issue_cert("127.0.0.1").configure_cert(context)

        def answer(caller: socket.socket) -> None:
            if len(heard) < 3:
                hang_up(caller)
                return
            with suppress(OSError), context.wrap_socket(caller, server_side=True) as secure:
                calls.append(secure.recv(65536))
                secure.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")

        with listening(answer) as (url, heard), running(Deadline.after(20)):
            reconnect_from_now_on()
            network = Network(connect_timeout_seconds=5.0, ca_bundle=authority_of.ca_file)
            environment = Environment("test", PROXMOX, url=url)
            with HTTPSession(environment, network, lambda request: f"{request.method} it") as session:
                assert session.post(url).status_code == 200
    assert len(calls) == 1
