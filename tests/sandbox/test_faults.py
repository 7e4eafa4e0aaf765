"""Faults as data, and the record of calls."""

import threading

import pytest
from werkzeug.wrappers import Response

from providers.sandbox.connection import ConnectionCutError
from providers.sandbox.faults import Calls, Fault, Faults, answer


def test_take_without_faults_is_none() -> None:
    """Nothing is planned, nothing goes wrong."""
    assert Faults().take("Any") is None


def test_take_a_fault_matches_its_operation_only() -> None:
    """A fault waits for its own operation."""
    faults = Faults()
    faults.add(fault := Fault("Run"))
    assert faults.take("Stop") is None
    assert faults.take("Run") is fault
    assert faults.take("Run") is None


def test_take_with_skip_and_times_counts_calls() -> None:
    """The first calls pass, then as many fail as asked."""
    faults = Faults()
    faults.add(Fault(skip=2, times=3))
    assert [bool(faults.take("Any")) for _ in range(7)] == [False, False, True, True, True, False, False]


def test_take_without_times_lasts_until_clear() -> None:
    """A lasting fault ends when it is cleared."""
    faults = Faults()
    faults.add(Fault(times=None))
    assert all(faults.take("Any") for _ in range(50))
    faults.clear()
    assert faults.take("Any") is None


def test_take_from_many_threads_uses_each_fault_once() -> None:
    """Counting holds among threads."""
    faults = Faults()
    faults.add(Fault(times=500))
    taken: list[object] = []
    threads = [threading.Thread(target=lambda: taken.extend(faults.take("Any") for _ in range(100))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(each is not None for each in taken) == 500


def test_answer_with_a_fault_afterwards_carries_the_call_out_once() -> None:
    """The work is done, and its answer is lost."""
    faults, done = Faults(), []
    faults.add(Fault(status=503, after=True))

    def carry_out() -> Response:
        done.append(1)
        return Response("fine")

    assert answer(faults, "Any", carry_out, lambda fault: Response(status=fault.status)).status_code == 503
    assert done == [1]


def test_clear_drops_a_delayed_call() -> None:
    """Whoever waits in a delay is dropped when the faults are cleared, and the call is not carried out."""
    faults, done = Faults(), []
    faults.add(Fault(delay_seconds=60))
    clearing = threading.Timer(0.05, faults.clear)
    clearing.start()

    def carry_out() -> Response:
        done.append(1)
        return Response("fine")

    with pytest.raises(ConnectionCutError):
        answer(faults, "Any", carry_out, lambda _: Response())
    clearing.join()
    assert done == []


def test_count_calls_tells_operations_apart() -> None:
    """Calls are counted by name and in all."""
    calls = Calls()
    for operation, status in (("Run", 200), ("Run", None), ("Stop", 400)):
        calls.begin(operation)(status)
    assert (calls.count("Run"), calls.count("Stop"), calls.count()) == (2, 1, 3)
    assert [call.status for call in calls.list()] == [200, None, 400]
    late = calls.begin("Run")
    calls.clear()
    late(200)
    assert calls.count() == 0
