"""Faults and delays as data, and a record of the calls served; the same for every simulator."""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum

from werkzeug.wrappers import Response

from providers.sandbox.connection import ConnectionCutError

ANY = "*"


class Cut(Enum):
    """Where a connection is dropped."""

    ANSWER = "no answer at all"
    BODY = "in the middle of the answer's body"


@dataclass(frozen=True)
class Fault:
    """What goes wrong with a call, and how often.

    `status`, `code`, `message` and `headers` are an error in the vendor's own shape. `body` is sent as it is
    instead, with `status` (200 if none) and `content_type`. `cut` drops the connection. `delay_seconds` comes
    before all else, and alone only slows the call. With `after`, the call is carried out, its answer lost.
    """

    operation: str = ANY
    times: int | None = 1
    skip: int = 0
    status: int | None = None
    code: str = ""
    message: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    content_type: str = "text/html; charset=utf-8"
    cut: Cut | None = None
    delay_seconds: float = 0.0
    after: bool = False

    @property
    def only_delays(self) -> bool:
        """Whether the call is answered as ever, if late."""
        return not (self.code or self.status or self.cut) and self.body is None

    @property
    def carries_out(self) -> bool:
        """Whether the call takes effect; an answer cut in mid-body has to be made first."""
        return self.after or self.only_delays or self.cut is Cut.BODY


@dataclass
class _Planned:
    fault: Fault
    skip: int
    times: int | None


class Faults:
    """The faults to come, in the order of their adding; the first that matches a call befalls it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._planned: list[_Planned] = []
        self._released = threading.Event()

    def add(self, fault: Fault) -> None:
        """Plan a fault."""
        with self._lock:
            self._planned.append(_Planned(fault, fault.skip, fault.times))

    def clear(self) -> None:
        """Forget all faults, and drop the calls that are being delayed: they belong to what is over."""
        with self._lock:
            self._planned.clear()
            self._released.set()
            self._released = threading.Event()

    def take(self, operation: str) -> Fault | None:
        """The fault that befalls this call, if any, used up once."""
        with self._lock:
            for planned in self._planned:
                if planned.fault.operation not in {ANY, operation}:
                    continue
                if planned.skip:
                    planned.skip -= 1
                    continue
                self._use_up(planned)
                return planned.fault
        return None

    def _use_up(self, planned: _Planned) -> None:
        if planned.times is None:
            return
        planned.times -= 1
        if planned.times == 0:
            self._planned.remove(planned)

    def pause(self, seconds: float) -> None:
        """Wait; raises `ConnectionCutError` when `clear` comes first."""
        with self._lock:
            released = self._released
        if seconds > 0 and released.wait(seconds):
            raise ConnectionCutError


def answer(
    faults: Faults, operation: str, carry_out: Callable[[], Response], error: Callable[[Fault], Response]
) -> Response:
    """Carry a call out, or let its planned fault befall it; `error` is the vendor's way to write one."""
    fault = faults.take(operation)
    if fault is None:
        return carry_out()
    faults.pause(fault.delay_seconds)
    carried_out = carry_out() if fault.carries_out else None
    if fault.cut is not None:
        raise ConnectionCutError(carried_out.get_data() if carried_out and fault.cut is Cut.BODY else None)
    if fault.body is not None:
        return Response(fault.body, fault.status or 200, dict(fault.headers), content_type=fault.content_type)
    if carried_out is not None and fault.only_delays:
        return carried_out
    return error(fault)


@dataclass(frozen=True)
class Call:
    """One call that was served; no status when the connection was dropped."""

    operation: str
    status: int | None


class Calls:
    """The calls served, in the order in which their answers were ready. Thread-safe.

    `on_arrival`, if set, is called with the operation of each call before it is carried out.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._calls: list[Call] = []
        self.on_arrival: Callable[[str], None] | None = None

    def begin(self, operation: str) -> Callable[[int | None], None]:
        """Begin a call; what is returned records its status, unless `clear` has come in between.

        Simulators record before they answer, so that no client sees a count that is too low.
        """
        with self._lock:
            calls, on_arrival = self._calls, self.on_arrival
        if on_arrival is not None:
            on_arrival(operation)
        return lambda status: calls.append(Call(operation, status))

    def count(self, operation: str | None = None) -> int:
        """How many calls were served, of one operation or of all."""
        return sum(operation in {None, call.operation} for call in self.list())

    def list(self) -> tuple[Call, ...]:
        """All calls so far."""
        with self._lock:
            return tuple(self._calls)

    def clear(self) -> None:
        """Start counting anew."""
        with self._lock:
            self._calls = []
