"""Exchanges end in time, however their backend goes on: each drop alone would begin the time limit of a socket anew."""

from __future__ import annotations

import gzip
import socket
import subprocess
import sys
import threading
import time
from contextlib import closing
from dataclasses import replace

import pytest
from urllib3.exceptions import ConnectTimeoutError

from providers.aws import CLOUD as AWS
from providers.credentials import Credentials
from providers.cutoff import CutConnection, Cutoff
from providers.deadline import Deadline, exchange_seconds, running, unhurried
from providers.domain import Environment, Operation, Verb
from providers.errors import BackendFailureError, BackendTimeoutError, BackendUnreachableError, ProviderError
from providers.gateway import Backends
from providers.http import HTTPSession
from providers.network import Network
from providers.proxmox import CLOUD
from providers.trace import Trace, tracing
from providers.waiting import POLL_SECONDS, wait_until_done
from tests.support.dripper import BODY, DRIPS, Drip, Dripper, dripping
from tests.support.limits import LIMITS
from tests.support.proxy import connect_proxy
from tests.support.threads import at_once
from tests.support.waiting import wait_until


def session(url: str, network: Network) -> HTTPSession:
    """A session with a backend."""
    environment = Environment("test", CLOUD, url=url)
    return HTTPSession(environment, network, lambda request: f"{request.method} it")


def impatient(server: Dripper) -> Network:
    """A network in which no backend may be silent for long, and this one is trusted."""
    return Network(read_timeout_seconds=1.5, ca_bundle=server.ca_file)


def threads() -> set[threading.Thread]:
    """Those that see to exchanges."""
    return {thread for thread in threading.enumerate() if thread.name == "cloudvm-cutoff"}


class Line:
    """The little of an HTTP library's connection that matters here."""

    sock: socket.socket | None = None

    def putrequest(self) -> None:
        """Begin a request."""


class Connection(CutConnection, Line):
    """The same, which can be cut off."""


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("drip", DRIPS, ids=str)
def test_exchange_with_a_backend_that_drips_is_cut_off(drip: Drip, method: str) -> None:
    """A timeout, told once; a part of an answer is none."""
    with dripping(drip) as server, session(server.url, impatient(server)) as http, tracing(Trace("test")) as trace:
        with pytest.raises(BackendTimeoutError, match=f"did not answer {method} it in time") as caught:
            http.request(method, server.url)
        assert caught.value.answer_lost
        assert (server.calls, trace.calls) == (1, 1)


@pytest.mark.parametrize(("scheme", "error"), [("http", BackendTimeoutError), ("https", BackendUnreachableError)])
def test_exchange_with_a_proxy_that_drips_is_cut_off(scheme: str, error: type[ProviderError]) -> None:
    """It answers a request without TLS itself, and the wish for a tunnel, before which nothing is sent."""
    with dripping(DRIPS[0]) as proxy:
        network = replace(impatient(proxy), http_proxy=proxy.url, https_proxy=proxy.url)
        url = f"{scheme}://pve.example:8006"
        with session(url, network) as http, pytest.raises(error) as caught:
            http.post(url)
        assert caught.value.answer_lost == (scheme == "http")


@pytest.mark.parametrize("drip", [drip for drip in DRIPS if drip.scheme == "https"], ids=str)
def test_exchange_with_a_backend_that_drips_behind_a_proxy_is_cut_off(drip: Drip) -> None:
    """In the proxy's tunnel."""
    with connect_proxy() as proxy, dripping(drip) as server:
        network = replace(impatient(server), https_proxy=f"http://127.0.0.1:{proxy.server_address[1]}")
        with session(server.url, network) as http, pytest.raises(BackendTimeoutError):
            http.get(server.url)


@pytest.mark.parametrize("drip", DRIPS, ids=str)
def test_exchange_with_an_ec2_that_drips_is_cut_off(drip: Drip) -> None:
    """By botocore's connections, too; it does not try again."""
    with dripping(drip) as server:
        environment = Environment("aws1", AWS, url=server.url, region="eu-west-3")
        with closing(Backends(impatient(server), LIMITS)) as backends:
            gateway = backends.gateway(environment, Credentials("AKIAX", "secret"), Deadline.after(0))
            with tracing(Trace("test")) as trace, pytest.raises(BackendTimeoutError, match="DescribeInstances in time"):
                gateway.list_vms()
        assert (server.calls, trace.calls) == (1, 1)


def test_exchange_may_last_until_the_deadline() -> None:
    """A long list over a slow line is no fault."""
    with dripping(BODY) as server, session(server.url, Network(read_timeout_seconds=1.0)) as http:
        begun = time.monotonic()
        with running(Deadline.after(2.5)), pytest.raises(BackendTimeoutError):
            http.get(server.url)
        assert time.monotonic() - begun >= 2.5


def test_exchanges_end_each_at_its_own_time() -> None:
    """A later one may end earlier; one thread sees to all, and goes when there is nothing more to see to."""
    before = threads()
    cutoff = Cutoff(idle_seconds=0.1)
    late, soon, next_ = [cutoff.begin(seconds) for seconds in (60.0, 0.4, 0.1)]
    assert len(threads() - before) == 1
    wait_until(lambda: next_.is_over)
    wait_until(lambda: soon.is_over)
    cutoff.end(late)
    assert not late.is_over
    cutoff.end(cutoff.begin(0.1))
    wait_until(lambda: not threads() - before)


FORK = """
import os, sys, time
from providers.cutoff import Cutoff

cutoff = Cutoff()
cutoff.begin(60.0)
time.sleep(0.5)  # its thread waits now, and holds nothing
child = os.fork()
if child:
    sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
exchange = cutoff.begin(0.1)
until = time.monotonic() + 20
while not exchange.is_over and time.monotonic() < until:
    time.sleep(0.05)
os._exit(0 if exchange.is_over else 1)
"""


def test_exchange_of_a_fork_is_cut_off() -> None:
    """The thread stayed behind. Tried in a process of its own, as a fork takes along what others' threads hold."""
    assert subprocess.run([sys.executable, "-c", FORK], check=False, timeout=60).returncode == 0


def test_exchange_for_which_no_thread_could_be_started_goes_on() -> None:
    """Without a watch; the next one has one again."""
    cutoff = Cutoff()
    before = threading.stack_size(1 << 46)
    try:
        first = cutoff.begin(0.1)
    finally:
        threading.stack_size(before)
    assert not first.is_over
    second = cutoff.begin(0.1)
    wait_until(lambda: first.is_over and second.is_over, seconds=5)
    cutoff.end(first)
    cutoff.end(second)


def test_exchange_whose_time_is_over_sends_nothing() -> None:
    """It was over before there was a connection."""
    cutoff, connection = Cutoff(), Connection()
    exchange = cutoff.begin(0.0)
    wait_until(lambda: exchange.is_over)
    with pytest.raises(ConnectTimeoutError):
        connection.putrequest()


def test_exchanges_of_sixteen_threads_are_each_cut_off() -> None:
    """Over one session."""
    with dripping(BODY) as server, session(server.url, impatient(server)) as http:

        def failure(_: int) -> type[Exception] | None:
            try:
                http.get(server.url)
            except BackendTimeoutError as error:
                return type(error)
            return None

        assert at_once(16, failure) == [BackendTimeoutError] * 16


def test_exchange_has_the_time_until_the_deadline_and_a_least() -> None:
    """As long as silence may last; for a look some seconds."""
    assert exchange_seconds(60.0) == 60.0
    with running(Deadline.after(100)):
        assert 99 < exchange_seconds(60.0) <= 100
    with running(Deadline.after(-5)):
        assert exchange_seconds(60.0) == 60.0
    with running(Deadline.after(-5), POLL_SECONDS):
        assert exchange_seconds(60.0) == POLL_SECONDS
    assert exchange_seconds(60.0) == 60.0


def test_log_in_within_a_look_has_its_time() -> None:
    """Others wait for it, too, who have more patience."""
    with unhurried():
        assert exchange_seconds(60.0) == 60.0
    with running(Deadline.after(1), POLL_SECONDS):
        with unhurried():
            assert exchange_seconds(60.0) == 60.0
        assert exchange_seconds(60.0) == POLL_SECONDS


def test_look_has_no_more_time_than_the_caller_has_patience() -> None:
    """And a little, so that a good backend can answer."""
    allowed: list[float] = []

    def look(operation: Operation) -> Operation:
        allowed.append(exchange_seconds(60.0))
        return operation

    with running(Deadline.after(900)):
        wait_until_done(Operation(Verb.START, "vm-1"), look, Deadline.after(0.5))
    assert allowed
    assert all(seconds <= POLL_SECONDS for seconds in allowed)


def test_answer_that_is_too_long_is_not_taken_in() -> None:
    """A few hundred kilobytes on the wire can be gigabytes behind it."""
    packed = gzip.compress(bytes(257 * 1024 * 1024), 1)
    head = f"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {len(packed)}\r\n\r\n".encode()
    with (
        dripping(Drip("bomb", b"", at_once=head + packed)) as server,
        session(server.url, Network()) as http,
        pytest.raises(BackendFailureError, match="more than 256 MiB") as caught,
    ):
        http.get(server.url)
    assert caught.value.answer_lost


def test_answer_of_an_ec2_that_is_too_long_is_not_taken_in() -> None:
    """Packed or not; it does not try again."""
    head = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"
    with dripping(Drip("long", b"", at_once=head + bytes(65 * 1024 * 1024))) as server:
        environment = Environment("aws1", AWS, url=server.url, region="eu-west-3")
        gateway = Backends(Network(), LIMITS).gateway(environment, Credentials("AKIAX", "secret"), Deadline.after(60))
        with tracing(Trace("test")) as trace, pytest.raises(BackendFailureError, match="more than 64 MiB"):
            gateway.list_vms()
        assert (server.calls, trace.calls) == (1, 1)
