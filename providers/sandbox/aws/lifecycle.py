"""States that take time: which transitions EC2 allows, how long each lasts, and how it ends.

https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ec2-instance-lifecycle.html
"""

import math
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, replace

from moto.core.utils import utcnow
from moto.ec2.models.instances import Instance, StateReason

from providers.sandbox.aws.wire import Ec2Error

CODES = {"pending": 0, "running": 16, "shutting-down": 32, "terminated": 48, "stopping": 64, "stopped": 80}


@dataclass(frozen=True)
class Failure:
    """Why an instance falls back instead of running, as its state reason says it."""

    code: str
    message: str


@dataclass(frozen=True)
class _Transition:
    due: float
    finish: Callable[[Instance], object]


class Lifecycle:
    """The transitions under way; each ends when it is looked at after its time, so no thread is needed."""

    def __init__(self, transition_seconds: float) -> None:
        self.transition_seconds = transition_seconds
        self.guest_ignores_stop = False
        self.reboots: Counter[str] = Counter()
        self._guests_ignoring_stop: set[str] = set()
        self._failures: deque[Failure] = deque()
        self._under_way: dict[str, tuple[Instance, _Transition]] = {}
        self._has_run: set[str] = set()

    def reset(self) -> None:
        """Forget everything but the time that a transition takes."""
        self.guest_ignores_stop = False
        for remembered in (
            self.reboots,
            self._guests_ignoring_stop,
            self._failures,
            self._under_way,
            self._has_run,
        ):
            remembered.clear()

    def ignore_stop(self, instance_id: str) -> None:
        """From now on this instance's guest does not react to a stop that is not forced."""
        self._guests_ignoring_stop.add(instance_id)

    def fail_next_boot(self, failure: Failure) -> None:
        """The next instance to become pending fails: a new one ends terminated, another ends stopped."""
        self._failures.append(failure)

    def settle(self) -> None:
        """End the transitions whose time has come."""
        now = time.monotonic()
        for instance_id, (instance, transition) in list(self._under_way.items()):
            if transition.due <= now:
                del self._under_way[instance_id]
                transition.finish(instance)

    def hurry(self) -> None:
        """End the transitions under way now, but for those that wait for a guest that does not react."""
        for instance_id, (instance, transition) in list(self._under_way.items()):
            if transition.due < math.inf:
                self._under_way[instance_id] = (instance, replace(transition, due=0.0))
        self.settle()

    def adopt(self, instance: Instance, state: str) -> None:
        """Take an instance that came to rest in this state long ago."""
        at_rest = {"running": self._run, "stopped": Instance.stop, "terminated": Instance.terminate}
        self._has_run.add(instance.id)
        at_rest[state](instance)

    def launch(self, instance: Instance) -> None:
        """A new instance, not yet running."""
        self._boot(instance, Instance.terminate)

    def start(self, instance: Instance) -> None:
        """StartInstances; an instance that runs or is about to is left as it is."""
        if instance.state == "stopped":
            instance.start()
            # moto keeps the first one; EC2 tells the last.
            instance.launch_time = utcnow()
            self._boot(instance, Instance.stop)

    def stop(self, instance: Instance, *, force: bool) -> None:
        """StopInstances; with force the guest is not asked and nothing is waited for."""
        if instance.state == "stopped" or (instance.state == "stopping" and not force):
            return
        hangs = self.guest_ignores_stop or instance.id in self._guests_ignoring_stop
        seconds = 0.0 if force else math.inf if hangs else self.transition_seconds
        self._begin(instance, "stopping", Instance.stop, seconds)

    def terminate(self, instance: Instance) -> None:
        """TerminateInstances; what is terminated or about to be is left as it is."""
        if instance.state not in {"shutting-down", "terminated"}:
            self._begin(instance, "shutting-down", Instance.terminate, self.transition_seconds)
            # moto gives the reason at the end, EC2 from the beginning.
            code = "Client.UserInitiatedShutdown"
            instance.state_reason = StateReason(f"{code}: User initiated shutdown", code)

    def reboot(self, instance: Instance) -> None:
        """RebootInstances: no state shows it; terminated instances ignore it, as the API reference says."""
        if instance.state not in {"shutting-down", "terminated"}:
            self.reboots[instance.id] += 1

    def check_start(self, instance: Instance) -> None:
        """Raise unless StartInstances is allowed now."""
        if instance.state not in {"pending", "running", "stopped"}:
            raise _incorrect(f"The instance '{instance.id}' is not in a state from which it can be started.")

    def check_stop(self, instance: Instance) -> None:
        """Raise unless StopInstances is allowed now."""
        if instance.state in {"shutting-down", "terminated"}:
            raise _incorrect(f"This instance '{instance.id}' is not in a state from which it can be stopped.")
        if instance.state == "pending" and instance.id not in self._has_run:
            # Seen in cloud-custodian#6014 and flatcar/mantle#315.
            raise _incorrect(f"Instance '{instance.id}' cannot be stopped as it has never reached the 'running' state.")

    def check_reboot(self, instance: Instance) -> None:
        """Raise unless RebootInstances is allowed now."""
        if instance.state in {"stopping", "stopped"}:
            raise _incorrect(f"This instance '{instance.id}' is not in a state from which it can be rebooted.")

    def _boot(self, instance: Instance, fall_back: Callable[[Instance], object]) -> None:
        if not self._failures:
            self._begin(instance, "pending", self._run, self.transition_seconds)
            return
        failure = self._failures.popleft()

        def fail(instance: Instance) -> None:
            fall_back(instance)
            instance.state_reason = StateReason(f"{failure.code}: {failure.message}", failure.code)

        self._begin(instance, "pending", fail, self.transition_seconds)

    def _run(self, instance: Instance) -> None:
        self._has_run.add(instance.id)
        set_state(instance, "running")

    def _begin(self, instance: Instance, state: str, finish: Callable[[Instance], object], seconds: float) -> None:
        set_state(instance, state)
        self._under_way[instance.id] = (instance, _Transition(time.monotonic() + seconds, finish))


def set_state(instance: Instance, state: str) -> None:
    """Put an instance into a state, as moto keeps it."""
    instance.instance_state.name = state
    instance.instance_state.code = CODES[state]


def _incorrect(message: str) -> Ec2Error:
    return Ec2Error("IncorrectInstanceState", message)
