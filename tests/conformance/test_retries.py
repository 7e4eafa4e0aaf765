"""Creates that are cut short in every way: a retry with the same key finishes the work."""

import base64
import itertools
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from typing import Any, Self

import pytest
from pytest_django import Settings

from tests.conformance.conftest import Files
from tests.conformance.harness import Harness, Trouble
from tests.support.api import Answer, Api, bearer
from tests.support.service_process import ServiceProcesses
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

CLOUD_INIT = b"#cloud-config\nhostname: retried\n"
TRIES = 6
LONGEST_PAUSE_SECONDS = 2.0
# A create waits no longer than this for what an earlier one left under way.
DEADLINE_SECONDS = 20.0


def order(name: str, *, start: bool = True) -> dict[str, Any]:
    """Return the body of a create."""
    cloud_init = base64.b64encode(CLOUD_INIT).decode()
    return {
        "name": name,
        "environment": "main",
        "machinetype": "small-debian",
        "cloud_init": cloud_init,
        "start": start,
    }


def key(name: str) -> dict[str, str]:
    """Return the header that makes the create of a VM repeatable."""
    return {"Idempotency-Key": f"key-of-{name}"}


def create(api: Api, name: str) -> Answer:
    """Create a running VM, or repeat that."""
    return api.call("POST", "/vm", order(name), headers=key(name))


def retry(again: Callable[[], Answer | None]) -> list[Answer]:
    """Repeat a create until it succeeds, as its answers advise, but not for ever; return the answers."""
    answers: list[Answer] = []
    for _ in range(TRIES):
        answer = again()
        assert answer is not None
        answers.append(answer)
        if answer.status == 201:
            break
        time.sleep(min(float(answer.headers.get("Retry-After", 0.3)), LONGEST_PAUSE_SECONDS))
    return answers


class Comparison:
    """What a create and its retries add to a backend."""

    def __init__(self, backend: Harness) -> None:
        self._backend = backend
        self._states = backend.states()
        self._objects = backend.objects()

    def added(self) -> frozenset[str]:
        """Return the objects that are new."""
        return self._backend.objects() - self._objects

    def fault(self, answers: list[Answer], *, state: str, objects: int) -> str:
        """Tell what differs from one VM in this state and so many new objects; empty if nothing does."""
        vms = {vm_id: seen for vm_id, seen in self._backend.states().items() if vm_id not in self._states}
        guests = [self._backend.user_data(vm_id) for vm_id in vms]
        added = self.added()
        is_done = answers[-1].status == 201 and answers[-1].json["id"] in vms
        if is_done and list(vms.values()) == [state] and guests == [CLOUD_INIT] and len(added) == objects:
            return ""
        told = "; ".join(dict.fromkeys(f"{answer.status} {answer.json.get('detail', '')}" for answer in answers))
        return f"answers: {told}; VMs: {vms}; objects: {sorted(added)}, not {objects}; user data: {guests}"


@dataclass(frozen=True)
class Client:
    """Creates VMs, each time in a new process of the service."""

    processes: ServiceProcesses
    settings: dict[str, Any]
    authorization: str
    start: bool

    def create(self, name: str) -> Answer | None:
        """Create a VM, or repeat that; None if the process was killed."""
        body = order(name, start=self.start)
        return self.processes.call(self.settings, self.authorization, "POST", "/vm", body, headers=key(name))


@pytest.fixture(scope="module")
def processes() -> Iterator[ServiceProcesses]:
    """Processes of the service that can be killed."""
    processes = ServiceProcesses()
    yield processes
    processes.close()


@pytest.fixture
def client(processes: ServiceProcesses, backend: Harness, files: Files) -> Client:
    """A client that wants its VMs running."""
    settings = {
        "CLOUDVM_ENVIRONMENTS_FILE": str(files.environments),
        "CLOUDVM_MACHINETYPES_FILE": str(files.machinetypes),
        "CLOUDVM_REQUEST_DEADLINE_SECONDS": DEADLINE_SECONDS,
    }
    return Client(processes, settings, bearer(backend.access_key, backend.secret), start=True)


class Killer:
    """Kills the service when a call of some number arrives, the first being 1; the backend carries it out.

    A call that is repeated until work is done counts once. `operation` is that of the fatal call.
    """

    def __init__(self, backend: Harness, processes: ServiceProcesses, number: int) -> None:
        self.operation = ""
        self._backend = backend
        self._processes = processes
        self._number = number
        self._calls = 0
        self._last = ""

    def on_arrival(self, operation: str) -> None:
        """Count a call, and kill the service if it is the one."""
        self._calls += 1
        if operation != self._last or operation not in self._backend.waiting_operations:
            self._number -= 1
        self._last = operation
        if self._number == 0 and not self.operation:
            self.operation = operation
            self._processes.kill()

    def __enter__(self) -> Self:
        self._backend.forget_operations()
        self._backend.watch_calls(self.on_arrival)
        return self

    def __exit__(self, *exception: object) -> None:
        wait_until(lambda: self._backend.calls_answered() >= self._calls)
        self._backend.watch_calls(None)


def test_create_killed_at_each_call_is_finished_by_a_retry(
    client: Client, backend: Harness, processes: ServiceProcesses
) -> None:
    """The retry ends with one VM that runs, and nothing else stays, whichever call was the last."""
    check_each_kill(client, backend, processes)


@pytest.mark.own_simulators
def test_create_of_a_stopped_vm_killed_at_each_call_is_finished_by_a_retry(
    client: Client, backend: Harness, processes: ServiceProcesses
) -> None:
    """The same with a VM that is not to run."""
    check_each_kill(replace(client, start=False), backend, processes)


def check_each_kill(client: Client, backend: Harness, processes: ServiceProcesses) -> None:
    """Kill the process at each call of a create, and retry."""
    state = "running" if client.start else "stopped"
    comparison = Comparison(backend)
    clean = client.create("clean")
    objects = len(comparison.added())
    assert clean is not None
    assert not comparison.fault([clean], state=state, objects=objects)
    faults = []
    for number in itertools.count(1):
        name = f"step{number}"
        comparison = Comparison(backend)
        with Killer(backend, processes, number) as killer:
            client.create(name)
        answers = retry(partial(client.create, name))
        fault = comparison.fault(answers, state=state, objects=objects)
        if fault:
            faults.append(f"killed at call {number}, {killer.operation}: {fault}")
        if not killer.operation:
            break
    assert number > 1
    assert not faults, "\n".join(faults)


@dataclass(frozen=True)
class CleanCreate:
    """A create without trouble in an open session: its backend calls, and how many objects it makes."""

    operations: list[str]
    objects: int

    def boot(self, backend: Harness) -> int:
        """Return the number of the call that lets the VM run, the first being 0."""
        verbs = backend.verb_operations
        wanted = verbs["start"] if verbs["start"] in self.operations else verbs["create"]
        return max(number for number, operation in enumerate(self.operations) if operation == wanted)


@pytest.fixture
def clean(warm: Api, backend: Harness, settings: Settings) -> CleanCreate:
    """A create in a session that has looked up what it keeps."""
    settings.CLOUDVM_REQUEST_DEADLINE_SECONDS = DEADLINE_SECONDS
    backend.warm_up(warm)
    comparison = Comparison(backend)
    backend.forget_operations()
    answer = create(warm, "clean")
    assert answer.status == 201, answer.body
    return CleanCreate(backend.operations(), len(comparison.added()))


@pytest.mark.own_simulators
@pytest.mark.parametrize(
    ("failure", "lost"),
    [
        pytest.param(failure, lost, id=f"{failure.name}-{lost.name}")
        for failure, lost in [
            (Trouble.BOOT_FAILS, Trouble.LOST_ANSWER),
            (Trouble.BOOT_FAILS, Trouble.PERMISSION_DENIED),
            (Trouble.PERMISSION_DENIED, Trouble.LOST_ANSWER),
        ]
    ],
)
def test_create_whose_clean_up_fails_at_one_call_is_finished_by_a_retry(
    warm: Api, backend: Harness, clean: CleanCreate, failure: Trouble, lost: Trouble
) -> None:
    """A VM does not start, and one call of its removal fails in passing; the retry has one VM that runs."""
    faults = []
    boot = clean.boot(backend)
    for number in itertools.count(boot + 1):
        name = f"{failure.name}-{lost.name}-{number}".lower().replace("_", "-")
        comparison = Comparison(backend)
        backend.trouble(lost, times=1, skip=number)
        if failure is Trouble.BOOT_FAILS:
            backend.trouble(failure)
        else:
            backend.trouble(failure, clean.operations[boot], times=1)
        backend.forget_operations()
        failed = create(warm, name)
        calls = backend.operations()
        backend.reset_trouble()
        answers = retry(partial(create, warm, name))
        fault = comparison.fault([failed, *answers], state="running", objects=clean.objects)
        if fault:
            faults.append(f"call {number} was lost, {calls[number : number + 1]}: {fault}")
        if number >= len(calls):
            break
    assert not faults, "\n".join(faults)


@pytest.mark.own_simulators
@pytest.mark.parametrize("trouble", [Trouble.LOST_ANSWER, Trouble.SERVER_ERROR], ids=lambda trouble: trouble.name)
def test_create_that_fails_at_one_call_and_is_retryable_succeeds_when_repeated(
    warm: Api, backend: Harness, clean: CleanCreate, trouble: Trouble
) -> None:
    """`retryable: true` is a promise about the same request with the same key."""
    faults = []
    waiting = backend.waiting_operations
    for number, (last, operation) in enumerate(pairwise(["", *clean.operations])):
        if operation == last and operation in waiting:
            continue
        name = f"{trouble.name}-{number}".lower().replace("_", "-")
        comparison = Comparison(backend)
        backend.trouble(trouble, times=1, skip=number)
        answer = create(warm, name)
        backend.reset_trouble()
        if answer.status != 201 and not answer.json["retryable"]:
            continue
        answers = retry(partial(create, warm, name))
        fault = comparison.fault([answer, *answers], state="running", objects=clean.objects)
        if fault:
            faults.append(f"call {number} failed, {operation}: {fault}")
    assert not faults, "\n".join(faults)
