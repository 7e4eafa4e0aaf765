"""What one request did to its backends."""

import logging
import time
from contextvars import copy_context
from threading import Thread

import pytest

from providers.trace import Trace, current, tracing


def test_backend_seconds_count_what_overlaps_once() -> None:
    """Side by side, one within another, apart, and touching."""
    trace = Trace("test")
    trace._waits = [(0.0, 1.0), (0.5, 2.0), (0.6, 0.7), (5.0, 6.0), (6.0, 6.5)]
    assert trace.backend_seconds == pytest.approx(3.5)
    trace._waits.reverse()
    assert trace.backend_seconds == pytest.approx(3.5)
    assert Trace("test").backend_seconds == 0


def test_call_is_counted_timed_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    """In one line, with the operation and its outcome."""
    caplog.set_level(logging.INFO, "cloudvm")
    trace = Trace("test", environment="e", cloud="C")
    trace.call("ListThings", time.perf_counter() - 0.5, outcome="200", backend_request_id="b-1")
    assert trace.calls == 1
    assert 0.5 <= trace.backend_seconds < 15
    (record,) = caplog.records
    told = vars(record)
    assert (told["operation"], told["outcome"], told["environment"]) == ("ListThings", "200", "e")
    assert 500 <= told["duration_ms"] < 15_000


def test_waiting_that_is_interrupted_counts_all_the_same() -> None:
    """The request was waiting, however it ended."""
    trace = Trace("test")
    with pytest.raises(ValueError, match="sleep"), trace.waiting():
        time.sleep(-1)
    assert len(trace._waits) == 1


def test_current_trace_is_the_request_s_own() -> None:
    """In its thread, in those that are given its context, and in no other; nothing stays behind."""
    seen: list[Trace] = []
    with tracing(Trace("outer")) as outer:
        for target in (lambda: seen.append(current()), lambda: copy_context().run(lambda: seen.append(current()))):
            thread = Thread(target=target)
            thread.start()
            thread.join()
        context = copy_context()
        thread = Thread(target=lambda: context.run(lambda: seen.append(current())))
        thread.start()
        thread.join()
        with tracing(Trace("inner")):
            assert current().request_id == "inner"
        assert current() is outer
    assert [trace is outer for trace in seen] == [False, False, True]
    assert current().request_id == "-"


def test_trace_outside_of_requests_keeps_no_secret() -> None:
    """What is told to it is told to nobody."""
    current().redact.add("some-secret")
    assert current().redact("some-secret") == "some-secret"
