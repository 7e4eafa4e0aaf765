"""Acting at the moment when a simulator gets a call."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from providers.sandbox.faults import Calls


@contextmanager
def at_call(calls: Calls, operation: str, act: Callable[[], object]) -> Iterator[None]:
    """Do something, once, when a call of an operation arrives, before the simulator carries it out."""
    pending = [act]

    def on_arrival(name: str) -> None:
        if name == operation and pending:
            pending.pop()()

    calls.on_arrival = on_arrival
    try:
        yield
    finally:
        calls.on_arrival = None
