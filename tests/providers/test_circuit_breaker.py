"""The circuit breaker: a host that accepts no connections is left alone for some seconds."""

from __future__ import annotations

import http.server
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

import pytest

from providers.aws import CLOUD as AWS
from providers.azure import CLOUD as AZURE
from providers.catalogue import CLOUDS as ALL_CLOUDS
from providers.circuit_breaker import CircuitBreaker, backend_reached, connect_timed_out
from providers.cloud import Cloud
from providers.credentials import Credentials
from providers.deadline import Deadline, reconnect_from_now_on, running
from providers.domain import Environment, Operation, StopMode, Verb, VMStatus
from providers.errors import BackendTimeoutError, BackendUnreachableError, ProviderError
from providers.gateway import Backends
from providers.http import HTTPSession
from providers.network import Network
from providers.nutanix import CLOUD as NUTANIX
from providers.proxmox import CLOUD as PROXMOX
from providers.trace import Trace, tracing
from providers.vsphere import CLOUD as VSPHERE
from tests.providers.inmemory import CLOUD, SECRET, InMemoryDriver, State
from tests.support.black_hole import BlackHole, black_hole
from tests.support.limits import LIMITS
from tests.support.proxy import connect_proxy
from tests.support.threads import at_once
from tests.support.waiting import wait_until

CONNECT_SECONDS = 0.3
OPEN_SECONDS = 1.0
NETWORK = Network(connect_timeout_seconds=CONNECT_SECONDS, read_timeout_seconds=10.0)
TOKEN = Credentials("demo@pve!ci", "12345678-1234-1234-1234-123456789012")
UUID = "12345678-1234-1234-1234-123456789012"
# For each cloud: the scheme of its URL, what its environment needs beside it, and credentials of its form.
CLOUDS: dict[str, tuple[Cloud, str, dict[str, Any], Credentials]] = {
    "aws": (AWS, "http", {"region": "eu-west-3"}, Credentials("AKIAX", "secret")),
    "azure": (
        AZURE,
        "https",
        {"region": "westeurope", "vpc_id": f"{UUID}/{UUID}", "project": "group"},
        Credentials(UUID, "secret"),
    ),
    "nutanix": (NUTANIX, "http", {}, Credentials("admin", "secret")),
    "proxmox": (PROXMOX, "http", {"vpc_id": "node/pve"}, TOKEN),
    "vsphere": (VSPHERE, "https", {}, Credentials("root", "secret")),
}


class Empty(http.server.BaseHTTPRequestHandler):
    """A Proxmox VE without VMs."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "11")
        self.end_headers()
        self.wfile.write(b'{"data":[]}')

    def log_message(self, *_: object) -> None:
        """Print nothing."""


@pytest.fixture
def hole() -> Iterator[BlackHole]:
    """Run a host that drops packets."""
    with black_hole() as one:
        yield one


@pytest.fixture
def backends() -> Iterator[Backends]:
    """Make the cloud side of a process."""
    made = Backends(NETWORK, replace(LIMITS, circuit_open_seconds=OPEN_SECONDS))
    yield made
    made.close()


def pve(hole: BlackHole, name: str = "pve1") -> Environment:
    """Return an environment whose host is the black hole."""
    return Environment(name, PROXMOX, url=hole.url, vpc_id="node/pve")


def failure(backends: Backends, environment: Environment, credentials: Credentials = TOKEN) -> ProviderError | None:
    """List the VMs, and return the error."""
    try:
        backends.gateway(environment, credentials, Deadline.after(30)).list_vms()
    except ProviderError as error:
        return error
    return None


def assert_that_timeouts_open_the_circuit(cloud: str, url: str) -> None:
    """Try to reach a cloud where connecting times out; after three requests the circuit is open."""
    kind, _, keys, credentials = CLOUDS[cloud]
    if kind is AZURE:
        keys = {**keys, "options": {"authority_url": (url,)}}
    environment = Environment("one", kind, url=url, **keys)
    backends = Backends(NETWORK, LIMITS)
    for _ in range(3):
        with tracing(Trace("test")):
            error = failure(backends, environment, credentials)
        assert isinstance(error, BackendUnreachableError)
        assert "timed out" in error.detail
        assert "was not sent" in error.detail
        assert not error.answer_lost
    with tracing(Trace("test")) as trace:
        error = failure(backends, environment, credentials)
    assert isinstance(error, BackendTimeoutError)
    assert error.detail.startswith(f"The last 3 connections to {urlsplit(url).netloc} timed out")
    assert trace.calls == 0
    backends.close()


def opened(backends: Backends, environment: Environment) -> None:
    """Open the circuit by requests whose connections time out."""
    for _ in range(3):
        error = failure(backends, environment)
        assert isinstance(error, BackendUnreachableError)
        assert "was not sent" in error.detail


def is_open(backends: Backends, environment: Environment) -> bool:
    """Whether a request is refused without a connection."""
    begun = time.monotonic()
    error = failure(backends, environment)
    return error is not None and "nothing was sent" in error.detail and time.monotonic() - begun < CONNECT_SECONDS


def test_every_cloud_is_in_the_table() -> None:
    """A new cloud needs a row."""
    assert {row[0].name for row in CLOUDS.values()} == {cloud.name for cloud in ALL_CLOUDS}


@pytest.mark.parametrize("cloud", CLOUDS)
def test_connection_that_times_out_is_unreachable_on_every_cloud(hole: BlackHole, cloud: str) -> None:
    """The error says that nothing was sent; after three such requests the circuit is open."""
    _, scheme, _, _ = CLOUDS[cloud]
    assert_that_timeouts_open_the_circuit(cloud, f"{scheme}://127.0.0.1:{hole.address[1]}")


def test_proxy_that_times_out_opens_the_circuit(hole: BlackHole) -> None:
    """The proxy is what is named."""
    backends = Backends(replace(NETWORK, http_proxy=hole.url, https_proxy=hole.url), LIMITS)
    environment = Environment("pve1", PROXMOX, url="https://pve.example:8006", vpc_id="node/pve")
    opened(backends, environment)
    error = failure(backends, environment)
    assert error is not None
    assert f"connections to 127.0.0.1:{hole.address[1]}" in error.detail


def test_open_circuit_refuses_at_once_and_names_a_time(hole: BlackHole, backends: Backends) -> None:
    """Other environments are not affected."""
    opened(backends, pve(hole))
    begun = time.monotonic()
    error = failure(backends, pve(hole))
    assert time.monotonic() - begun < CONNECT_SECONDS
    assert isinstance(error, BackendTimeoutError)
    assert error.retry_after_seconds is not None
    assert 0 < error.retry_after_seconds <= OPEN_SECONDS
    assert "nothing was sent" in error.detail
    assert not is_open(backends, pve(hole, "pve2"))


def test_one_trial_at_a_time_is_let_through(hole: BlackHole, backends: Backends) -> None:
    """When it times out too, the circuit is open again."""
    opened(backends, pve(hole))
    time.sleep(OPEN_SECONDS)
    errors = at_once(8, lambda _: failure(backends, pve(hole)))
    details = [error.detail for error in errors if error is not None]
    assert sum("was not sent" in detail for detail in details) == 1
    assert sum("Another request is trying one now" in detail for detail in details) == 7
    assert is_open(backends, pve(hole))


def test_trial_that_connects_closes_the_circuit(hole: BlackHole, backends: Backends) -> None:
    """A host that is back is used at once by everybody."""
    opened(backends, pve(hole))
    with hole.recovered(Empty):
        wait_until(lambda: failure(backends, pve(hole)) is None, seconds=10)
        assert at_once(8, lambda _: failure(backends, pve(hole))) == [None] * 8


def test_twenty_requests_on_a_dead_host_wait_only_for_their_own_connection(hole: BlackHole, backends: Backends) -> None:
    """Those that began together time out together; those that come later do not wait at all."""
    errors = at_once(20, lambda _: failure(backends, pve(hole)))
    assert all(isinstance(error, BackendTimeoutError | BackendUnreachableError) for error in errors)
    assert is_open(backends, pve(hole))


def test_refused_connection_does_not_open_the_circuit(backends: Backends) -> None:
    """It costs no time."""
    with black_hole() as gone:
        pass
    for _ in range(5):
        assert isinstance(failure(backends, pve(gone)), BackendUnreachableError)


def test_refused_connection_through_a_proxy_does_not_open_the_circuit() -> None:
    """The proxy answers."""
    with black_hole() as gone:
        pass
    with connect_proxy() as proxy:
        backends = Backends(replace(NETWORK, https_proxy=proxy.url), LIMITS)
        environment = replace(pve(gone), url=gone.url.replace("http:", "https:"))
        for _ in range(5):
            assert isinstance(failure(backends, environment), BackendUnreachableError)


def test_connection_that_times_out_is_tried_again_once_work_was_accepted(hole: BlackHole) -> None:
    """The call was never sent, so it is safe to repeat."""
    session = HTTPSession(pve(hole), NETWORK, lambda request: f"{request.method} it")

    def get() -> int:
        with running(Deadline.after(20)):
            reconnect_from_now_on()
            return session.get(hole.url).status_code

    with session, ThreadPoolExecutor(1) as pool:
        status = pool.submit(get)
        time.sleep(2 * CONNECT_SECONDS)
        with hole.recovered(Empty):
            assert status.result() == 200


def timeouts(breaker: CircuitBreaker, count: int, environment: str = "a") -> None:
    """Run requests whose connections time out."""
    for _ in range(count):
        with breaker.request(environment):
            connect_timed_out("host:443")


def refused(breaker: CircuitBreaker, environment: str = "a") -> bool:
    """Whether a request is refused."""
    try:
        with breaker.request(environment):
            return False
    except BackendTimeoutError:
        return True


def test_success_in_between_begins_the_count_anew() -> None:
    """Only connect timeouts in a row open the circuit."""
    breaker = CircuitBreaker()
    timeouts(breaker, 2)
    with breaker.request("a"):
        backend_reached()
    timeouts(breaker, 2)
    assert not refused(breaker)
    timeouts(breaker, 1)
    assert refused(breaker)
    assert not refused(breaker, "b")


def test_one_request_counts_once() -> None:
    """However many connections it tries."""
    breaker = CircuitBreaker()
    with breaker.request("a"):
        for _ in range(5):
            connect_timed_out("host:443")
    assert not refused(breaker)


def test_trial_that_shows_nothing_makes_room_for_the_next() -> None:
    """It may have needed no connection; the circuit must not stay half-open for ever."""
    breaker = CircuitBreaker(open_seconds=0.0)
    timeouts(breaker, 3)
    for _ in range(3):
        with breaker.request("a"):
            assert refused(breaker)
    with breaker.request("a"):
        backend_reached()
        assert not refused(breaker)


def test_connection_of_a_request_from_before_closes_the_circuit() -> None:
    """It shows as much as a trial."""
    breaker = CircuitBreaker()
    with breaker.request("a"):
        timeouts_elsewhere = threading.Thread(target=timeouts, args=(breaker, 3))
        timeouts_elsewhere.start()
        timeouts_elsewhere.join()
        assert refused(breaker)
        backend_reached()
    assert not refused(breaker)


def test_work_that_was_accepted_is_polled_with_an_open_circuit(backends: Backends) -> None:
    """The breaker acts only when a request begins, and a poll of its own is told to come back."""
    state = State(vms={"vm-1": VMStatus.RUNNING}, looks=6)
    environment = Environment("memory", CLOUD, url="circuit")
    InMemoryDriver.states[environment.url] = state

    def gateway() -> Any:
        return backends.gateway(environment, Credentials("key", SECRET), Deadline.after(30))

    done: list[bool] = []
    stop = threading.Thread(target=lambda: done.append(gateway().stop_vm("vm-1", StopMode.GRACEFUL, 30).done))
    stop.start()
    wait_until(lambda: "poll" in state.calls)
    for _ in range(3):
        with backends.circuit_breaker.request("memory"):
            connect_timed_out("host:443")
    with pytest.raises(BackendTimeoutError, match="nothing was sent"):
        gateway().get_vm("vm-1")
    polled = gateway().poll(Operation(Verb.STOP, "vm-1", "1"))
    assert not polled.done
    assert polled.retry_after_seconds is not None
    stop.join(30)
    assert done == [True]
