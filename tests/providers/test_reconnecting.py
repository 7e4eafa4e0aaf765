"""Connecting again to a backend that refuses connections, once it has accepted a request's first step."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Timer

import pytest
import requests

from providers.aws import CLOUD as AWS
from providers.aws.client import AwsClient
from providers.credentials import Credentials
from providers.deadline import Deadline, delays, reconnect_delay_seconds, reconnect_from_now_on, running
from providers.domain import Environment
from providers.errors import BackendUnreachableError
from providers.http import Effect
from providers.network import Network
from tests.providers.aws.endpoint import answering
from tests.providers.aws.replies import VM_ID, done
from tests.providers.test_http import Peer, session
from tests.support.relay import Relay, relay_to
from tests.support.sandbox import free_port
from tests.support.serving import serving

AWAY_SECONDS = 0.7


@contextmanager
def opening_late(upstream_port: int) -> Iterator[str]:
    """The http URL of a backend that refuses connections at first."""
    port = free_port()
    relays: list[Relay] = []
    timer = Timer(AWAY_SECONDS, lambda: relays.append(Relay(upstream_port, port)))
    timer.start()
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        timer.cancel()
        timer.join()
        for relay in relays:
            relay.close()


def test_change_to_a_backend_that_comes_back_is_sent_once() -> None:
    """A request that was never sent is safe to repeat, whatever its method."""
    with serving(Peer()) as peer, opening_late(peer.server_address[1]) as url, running(Deadline.after(20)):
        reconnect_from_now_on()
        with session(url) as http:
            assert http.post(url).status_code == 200
        assert [method for method, *_ in peer.seen] == ["POST"]


def test_change_to_a_backend_that_stays_away_fails_at_the_deadline() -> None:
    """It is tried until then, and not beyond."""
    url = f"http://127.0.0.1:{free_port()}"
    begun = time.monotonic()
    with running(Deadline.after(AWAY_SECONDS)), session(url) as http:
        reconnect_from_now_on()
        with pytest.raises(BackendUnreachableError):
            http.post(url)
    assert time.monotonic() - begun >= AWAY_SECONDS


def test_first_call_to_a_backend_that_is_away_fails_at_once() -> None:
    """Nothing has been accepted that could get lost: the caller learns it now."""
    url = f"http://127.0.0.1:{free_port()}"
    with running(Deadline.after(600)), session(url) as http, pytest.raises(BackendUnreachableError):
        http.post(url)


def test_change_to_an_ec2_that_comes_back_is_sent_once() -> None:
    """By botocore's own retries, beyond the few that it makes by itself."""
    with answering(done("StopInstances")) as endpoint:
        port = int(endpoint.url.rpartition(":")[2])
        with opening_late(port) as url, running(Deadline.after(20)):
            environment = Environment("aws1", AWS, url=url, region="eu-west-3")
            client = AwsClient.open(environment, Credentials("AKIAX", "secret"), Network())
            reconnect_from_now_on()
            client.stop(VM_ID, force=False)
            client.close()
        assert endpoint.actions == ["StopInstances"]


def test_reconnecting_ends_with_the_block_that_it_began_in() -> None:
    """The thread's next request starts without it."""
    with running(Deadline.after(60)):
        reconnect_from_now_on()
        assert reconnect_delay_seconds(1) == 0.2
        with running(Deadline.after(60)):
            assert reconnect_delay_seconds(1) is None
    assert reconnect_delay_seconds(1) is None


def test_delays_grow_up_to_five_seconds() -> None:
    """By half each time."""
    pauses = delays(0.2)
    first = [next(pauses) for _ in range(12)]
    assert first[:3] == pytest.approx([0.2, 0.3, 0.45])
    assert first[-1] == 5.0


def test_relay_refuses_connections_during_an_outage() -> None:
    """What the tests of outages rely on."""
    with serving(Peer()) as peer, relay_to(peer.server_address[1]) as relay:
        url = f"http://127.0.0.1:{relay.port}"
        with session(url) as http:
            assert http.get(url).status_code == 200
            relay.plan_outage(AWAY_SECONDS, lambda: True)
            assert http.get(url).status_code == 200
            with pytest.raises(BackendUnreachableError):
                http.get(url)


@pytest.mark.parametrize(
    ("method", "effect"),
    [("GET", Effect.CHANGE), ("POST", Effect.READ), ("PUT", Effect.REPEATABLE), ("POST", Effect.REPEATABLE)],
)
def test_repeatable_call_without_an_answer_is_sent_again(method: str, effect: Effect) -> None:
    """As often as it takes: what is sent twice does no more than once."""
    with serving(Peer()) as peer, session(peer.url) as http, running(Deadline.after(20)):
        reconnect_from_now_on()
        peer.script = [lambda handler: handler.cut()] * 4
        request = requests.Request(method, peer.url).prepare()
        assert http.send(request, effect=effect).status_code == 200
        assert len(peer.seen) == 5


def test_repeatable_call_without_an_answer_in_time_is_sent_again() -> None:
    """A backend that hangs for a while is away, too."""
    with serving(Peer()) as peer, session(peer.url, read_timeout_seconds=0.3) as http:
        peer.script = [lambda handler: handler.be_silent()]
        with running(Deadline.after(20)):
            reconnect_from_now_on()
            assert http.send(requests.Request("PUT", peer.url).prepare(), effect=Effect.REPEATABLE).status_code == 200
        assert len(peer.seen) == 2


def test_call_whose_answer_was_lost_once_may_have_been_carried_out() -> None:
    """Also if none of its repetitions was sent: a VM that it has started is this create's to remove."""
    with (
        serving(Peer()) as peer,
        relay_to(peer.server_address[1]) as relay,
        session(f"http://127.0.0.1:{relay.port}") as http,
        running(Deadline.after(AWAY_SECONDS)),
    ):
        reconnect_from_now_on()
        relay.plan_outage(60.0, lambda: True, loses_answer=True)
        with pytest.raises(BackendUnreachableError) as caught:
            http.send(requests.Request("POST", f"http://127.0.0.1:{relay.port}").prepare(), effect=Effect.REPEATABLE)
        assert "No connection" in caught.value.detail
        assert caught.value.answer_lost
        assert len(peer.seen) == 1


def test_call_that_is_not_repeatable_is_sent_once() -> None:
    """It may have been carried out."""
    with serving(Peer()) as peer, session(peer.url) as http, running(Deadline.after(20)):
        reconnect_from_now_on()
        peer.script = [lambda handler: handler.cut()]
        with pytest.raises(BackendUnreachableError) as caught:
            http.post(peer.url)
        assert caught.value.answer_lost
        assert len(peer.seen) == 1


def test_repeatable_call_before_any_work_was_accepted_is_sent_once() -> None:
    """The caller learns it now."""
    with serving(Peer()) as peer, session(peer.url) as http, running(Deadline.after(20)):
        peer.script = [lambda handler: handler.cut()]
        with pytest.raises(BackendUnreachableError):
            http.send(requests.Request("PUT", peer.url).prepare(), effect=Effect.REPEATABLE)
        assert len(peer.seen) == 1


@pytest.mark.parametrize("status", [502, 503, 504])
def test_repeatable_call_that_a_proxy_answers_for_an_absent_backend_is_sent_again(status: int) -> None:
    """A load balancer speaks for a backend that is restarted."""
    with serving(Peer()) as peer, session(peer.url) as http, running(Deadline.after(20)):
        reconnect_from_now_on()
        peer.script = [lambda handler: handler.reply(status, b"<html>")] * 3
        assert http.send(requests.Request("PUT", peer.url).prepare(), effect=Effect.REPEATABLE).status_code == 200
        assert len(peer.seen) == 4


def test_call_that_a_proxy_answers_is_sent_once_if_it_is_not_repeatable() -> None:
    """It may have been carried out."""
    with serving(Peer()) as peer, session(peer.url) as http, running(Deadline.after(20)):
        reconnect_from_now_on()
        peer.script = [lambda handler: handler.reply(503, b"<html>")]
        assert http.post(peer.url).status_code == 503
        assert len(peer.seen) == 1


def test_read_that_a_proxy_answers_before_any_work_was_accepted_is_sent_once() -> None:
    """The caller learns it now."""
    with serving(Peer()) as peer, session(peer.url) as http, running(Deadline.after(20)):
        peer.script = [lambda handler: handler.reply(503, b"<html>")]
        assert http.get(peer.url).status_code == 503
        assert len(peer.seen) == 1
