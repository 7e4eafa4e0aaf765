"""The limit on the answers that one process holds, and memory that goes back to the system."""

from __future__ import annotations

from dataclasses import replace

import pytest

from providers.answer_memory import MIB, UNCOUNTED_BYTES, AnswerMemory, reserve
from providers.aws import CLOUD as AWS
from providers.credentials import Credentials
from providers.deadline import Deadline
from providers.domain import Environment
from providers.errors import UnavailableError
from providers.gateway import Backends
from providers.network import Network
from providers.proxmox import CLOUD as PROXMOX
from providers.trace import Trace, tracing
from tests.support.large_backend import backend, vms
from tests.support.limits import LIMITS
from tests.support.waiting import wait_until

TOKEN = Credentials("demo@pve!ci", "12345678-1234-1234-1234-123456789012")


def refused(memory: AnswerMemory, size: int) -> bool:
    """Whether a request cannot have an answer of so many bytes."""
    try:
        with memory.request():
            reserve(size)
    except UnavailableError:
        return True
    return False


def test_sum_of_all_answers_has_a_limit() -> None:
    """The error names the limit and a time to retry; room comes back when a request ends, well or not."""
    memory = AnswerMemory(4 * MIB)
    with memory.request():
        reserve(2 * MIB)
        assert not refused(memory, 2 * MIB)
        with pytest.raises(UnavailableError, match="limit of 4 MiB") as caught, memory.request():
            reserve(3 * MIB)
        assert caught.value.retry_after_seconds == 5
        with memory.request():
            reserve(2 * MIB)
            assert refused(memory, MIB)
    assert not refused(memory, 4 * MIB)
    assert memory.is_empty


def test_small_answers_always_have_room() -> None:
    """Polls and changes go on while lists use the budget up, however many polls one request takes."""
    backends = Backends(Network(), replace(LIMITS, answer_memory_mib=1))
    with backend(vms(UNCOUNTED_BYTES // 2)) as server, backends.answer_memory.request():
        reserve(MIB)
        environment = Environment("pve1", PROXMOX, url=server.url, vpc_id="node/pve")
        for _ in range(3):
            assert backends.gateway(environment, TOKEN, Deadline.after(60)).list_vms()
        server.body = vms(2 * UNCOUNTED_BYTES)
        with pytest.raises(UnavailableError):
            backends.gateway(environment, TOKEN, Deadline.after(60)).list_vms()
    backends.close()


def test_answer_beyond_the_limit_is_left_unread() -> None:
    """503 with a time to retry; the connection is closed, and the call is logged."""
    backends = Backends(Network(), replace(LIMITS, answer_memory_mib=1))
    with backend(vms(64 * MIB)) as server:
        environment = Environment("pve1", PROXMOX, url=server.url, vpc_id="node/pve")
        with tracing(Trace("test")) as trace, pytest.raises(UnavailableError, match="limit of 1 MiB") as caught:
            backends.gateway(environment, TOKEN, Deadline.after(60)).list_vms()
        wait_until(lambda: server.closed == 1)
        assert server.sent[0] < len(server.body)
    assert caught.value.retry_after_seconds == 5
    assert caught.value.answer_lost
    assert caught.value.backend is not None
    assert trace.calls == 1
    assert backends.answer_memory.is_empty
    backends.close()


def test_answer_of_ec2_beyond_the_limit_is_left_unread() -> None:
    """The same; botocore does not try again."""
    backends = Backends(Network(), replace(LIMITS, answer_memory_mib=1))
    with backend(bytes(32 * MIB)) as server:
        environment = Environment("aws1", AWS, url=server.url, region="eu-west-3")
        with tracing(Trace("test")) as trace, pytest.raises(UnavailableError, match="limit of 1 MiB") as caught:
            backends.gateway(environment, Credentials("AKIAX", "secret"), Deadline.after(60)).list_vms()
        wait_until(lambda: server.closed == 1)
        assert len(server.sent) == 1
    assert caught.value.backend is not None
    assert caught.value.backend.operation == "DescribeInstances"
    assert trace.calls == 1
    assert backends.answer_memory.is_empty
    backends.close()


def test_answer_within_the_limit_is_read() -> None:
    """Whole."""
    backends = Backends(Network(), replace(LIMITS, answer_memory_mib=4))
    with backend(vms(2 * MIB)) as server:
        environment = Environment("pve1", PROXMOX, url=server.url, vpc_id="node/pve")
        assert len(backends.gateway(environment, TOKEN, Deadline.after(60)).list_vms()) > 10_000
    backends.close()
