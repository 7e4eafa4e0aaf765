"""What the harnesses of our own simulators share: one server, its faults as data, its calls as a record."""

import tempfile
from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import ClassVar, Generic, TypeVar

from providers.sandbox.authority import Authority
from providers.sandbox.faults import Cut, Fault
from providers.sandbox.simulator import Simulator
from tests.conformance.harness import Harness, Trouble

# What goes wrong on the way to any cloud.
ON_THE_WAY: Mapping[Trouble, Fault] = {
    Trouble.HTML: Fault(status=200, body=b"<html><body>Welcome to the proxy</body></html>"),
    Trouble.GATEWAY: Fault(status=503, body=b"<html><body>503 Service Unavailable</body></html>"),
    Trouble.CUT: Fault(cut=Cut.ANSWER),
    Trouble.LOST_ANSWER: Fault(cut=Cut.ANSWER, after=True),
    Trouble.SLOW: Fault(delay_seconds=20.0),
}
USUAL_RETRY_AFTER = 7
SLOW_WORK_SECONDS = 0.5


S = TypeVar("S", bound=Simulator)


class SimulatedHarness(Harness, Generic[S]):
    """One of our own simulators.

    `refusals` are the cloud's own errors for the troubles that it can tell; `echo` is one that quotes a text.
    """

    refusals: ClassVar[Mapping[Trouble, Fault]]
    echo: ClassVar[Fault]

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="conformance-")
        self._authority = Authority(Path(self._folder.name) / "ca.pem")
        self.sandbox = self.simulator(self._authority)
        self._retry_after = USUAL_RETRY_AFTER

    @abstractmethod
    def simulator(self, authority: Authority) -> S:
        """The simulator, with quick tasks."""

    @abstractmethod
    def deafen(self) -> None:
        """Let no guest react to being asked to stop."""

    @abstractmethod
    def slow_down(self, task_seconds: float) -> None:
        """Let accepted work take this time."""

    def slow_log_ins(self, seconds: float) -> None:
        """Let each log-in take this time."""
        raise NotImplementedError("the backend has no log-in")

    def rejected_log_ins(self) -> int:
        raise NotImplementedError("the backend has no log-in")

    def start(self) -> None:
        self.sandbox.start()

    def stop(self) -> None:
        self.sandbox.stop()
        self._folder.cleanup()

    def reset(self) -> None:
        self._retry_after = USUAL_RETRY_AFTER
        self.watch_calls(None)
        self.sandbox.reset()

    @property
    def url(self) -> str:
        return self.sandbox.url

    @property
    def ca_file(self) -> str:
        return str(self._authority.ca_file)

    def trouble(self, trouble: Trouble, operation: str = "*", *, times: int | None = None, skip: int = 0) -> None:
        if trouble is Trouble.GUEST_DEAF:
            self.deafen()
        elif trouble is Trouble.BOOT_FAILS:
            self.fail_boot()
        elif trouble is Trouble.SLOW_WORK:
            self.slow_down(SLOW_WORK_SECONDS)
        elif trouble is Trouble.SLOW_LOG_IN:
            self.slow_log_ins(1.0)
        else:
            headers = {"Retry-After": str(self._retry_after)} if trouble is Trouble.THROTTLED else {}
            fault = {**ON_THE_WAY, **self.refusals}[trouble]
            self.sandbox.faults.add(replace(fault, operation=operation, times=times, skip=skip, headers=headers))

    def reset_trouble(self) -> None:
        self.sandbox.faults.clear()

    def retry_after(self, seconds: int) -> None:
        self._retry_after = seconds

    def echo_in_errors(self, text: str, operation: str = "*") -> None:
        self.sandbox.faults.add(replace(self.echo, operation=operation, times=None, message=text))

    def operations(self) -> list[str]:
        return [call.operation for call in self.sandbox.calls.list()]

    def has_accepted(self, verb: str) -> bool:
        operation = self.verb_operations[verb]
        return any(call.operation == operation and (call.status or 0) < 400 for call in self.sandbox.calls.list())

    def forget_operations(self) -> None:
        self.sandbox.calls.clear()

    def calls_answered(self) -> int:
        return self.sandbox.calls.count()

    def watch_calls(self, on_arrival: Callable[[str], None] | None) -> None:
        self.sandbox.calls.on_arrival = on_arrival

    def connections(self) -> int:
        return self.sandbox.server.connections
