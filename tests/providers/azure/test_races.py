"""Several at once, and somebody else in between: nobody's VM is altered, taken for another's, or removed."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from providers.domain import Idempotency, Operation, Verb, VMSpec
from providers.errors import ConflictError, NameTakenError, ProviderError, UnprocessableError
from providers.sandbox.azure import AzureSandbox, OperationLinks
from providers.sandbox.faults import Cut, Fault
from tests.providers.azure.recorder import Record
from tests.providers.azure.simulated import AT_ONCE, CREATE, POLL, SHOWN, SPEC, Caller, objects
from tests.support.threads import at_once

KEYED = replace(SPEC, idempotency=Idempotency("key-1", "digest-1"))
# The simulator's own VMs are named so.
TAKEN = replace(SPEC, name="web-0001")


def tried(attempt: Callable[[], Operation]) -> Operation | ProviderError:
    """How an attempt ended."""
    try:
        return attempt()
    except ProviderError as error:
        return error


def described(record: Record, caller: Caller, name: str) -> dict[str, Any]:
    """The whole of a VM, as Azure describes it."""
    caller.verbs.get_vm(name)
    whole: dict[str, Any] = json.loads(json.dumps(record.sent("GET", f"/{name}")[-1].answer_body))
    for status in whole["properties"]["instanceView"]["statuses"]:
        status.pop("time", None)
    return whole


class Meeting:
    """Lets the first `count` go on when all have come, and later ones at once."""

    def __init__(self, count: int) -> None:
        self._barrier = threading.Barrier(count)
        self._lock = threading.Lock()
        self._left = count

    def wait(self) -> None:
        """Wait for the others."""
        with self._lock:
            self._left -= 1
            awaited = self._left >= 0
        if awaited:
            self._barrier.wait(timeout=10)


@pytest.mark.parametrize("keys", [("", ""), ("key-1", "key-2"), ("key-1", ""), ("", "key-1")])
def test_create_by_two_at_once_makes_one_and_name_taken(
    sandbox: AzureSandbox, another: Callable[..., Caller], record: Record, keys: tuple[str, str]
) -> None:
    """Whoever comes second to the PUT, with a key or without; both have seen the name free."""
    both = another(url=record.url)
    both.verbs.list_vms()
    barrier = Meeting(2)
    record.before = lambda method, _: barrier.wait() if method == "PUT" else None
    specs = [
        replace(SPEC, tags={"number": key}, idempotency=Idempotency(key, "digest") if key else None) for key in keys
    ]
    results = at_once(2, lambda number: tried(lambda: both.verbs.create_vm(specs[number], SHOWN)))
    assert sorted(type(one).__name__ for one in results) == ["NameTakenError", "Operation"], results
    (won,) = [number for number, one in enumerate(results) if isinstance(one, Operation)]
    assert sandbox.vm("Web-1").tags["number"] == keys[won]
    assert sorted(one.status for one in record.sent("PUT")) == [201, 412]
    assert len(objects(sandbox)) == 3
    (lost,) = [one for one in results if isinstance(one, ProviderError)]
    assert lost.leftovers == ()


def test_create_by_two_with_one_key_at_once_makes_one_for_both(
    sandbox: AzureSandbox, another: Callable[..., Caller], record: Record
) -> None:
    """The second to the PUT is given the VM of the first; with other content it is refused."""
    both = another(url=record.url)
    both.verbs.list_vms()
    barrier = Meeting(3)
    record.before = lambda method, _: barrier.wait() if method == "PUT" else None
    specs = [KEYED, KEYED, replace(KEYED, idempotency=Idempotency("key-1", "digest-2"))]
    results = at_once(3, lambda number: tried(lambda: both.verbs.create_vm(specs[number], SHOWN)))
    same, again, other = (isinstance(one, Operation) for one in results)
    assert same == again != other, results
    assert {type(one) for one in results} == {Operation, UnprocessableError}
    assert len(objects(sandbox)) == 3


@pytest.mark.parametrize("tries", [2, 4])
def test_create_without_start_by_retries_at_once_makes_one_that_is_stopped(
    sandbox: AzureSandbox, another: Callable[..., Caller], record: Record, tries: int
) -> None:
    """All wait for the first one's VM and would stop it; whoever does, none of them fails and removes it."""
    caller = another(url=record.url)
    caller.verbs.list_vms()
    sandbox.knobs.task_seconds = 0.2
    meeting = Meeting(tries)
    record.before = lambda _, path: meeting.wait() if "/deallocate" in path else None
    keyed = replace(KEYED, start=False)
    results = at_once(tries, lambda _: tried(lambda: caller.verbs.create_vm(keyed, SHOWN)))
    assert [type(one).__name__ for one in results] == ["Operation"] * tries, results
    assert {one.vm.provider_status for one in results if isinstance(one, Operation) and one.vm} == {"deallocated"}
    assert sandbox.vm("Web-1").power == "deallocated"
    assert len(objects(sandbox)) == 3


@pytest.mark.parametrize("seen", [True, False])
@pytest.mark.parametrize("state", ["running", "deallocated"])
def test_create_with_a_taken_name_leaves_the_whole_vm_as_it_was(
    sandbox: AzureSandbox,
    another: Callable[..., Caller],
    record: Record,
    state: str,
    seen: bool,  # noqa: FBT001 - a case
) -> None:
    """Whether it is seen before the PUT or comes between look and PUT: its description is the same, byte for byte."""
    caller = another(url=record.url)
    before: list[dict[str, Any]] = []

    def somebody_is_faster(method: str, _: str) -> None:
        if method == "PUT" and not before:
            record.before = None
            sandbox.seed(1, prefix="web", state=state)
            before.append(described(record, another(url=record.url), "web-0001"))

    if seen:
        sandbox.seed(1, prefix="web", state=state)
        before.append(described(record, another(url=record.url), "web-0001"))
    else:
        record.before = somebody_is_faster
    with pytest.raises(NameTakenError) as raised:
        caller.verbs.create_vm(replace(TAKEN, name="WEB-0001", tags={"team": "others"}, cloud_init=b"#!"))
    assert raised.value.leftovers == ()
    assert described(record, caller, "web-0001") == before[0]
    assert [one.status for one in record.sent("PUT")] == ([] if seen else [412])


@pytest.mark.parametrize("links", OperationLinks)
@pytest.mark.parametrize("followed", [False, True])
def test_create_whose_vm_was_replaced_meanwhile_leaves_the_other_one(
    sandbox: AzureSandbox,
    another: Callable[..., Caller],
    record: Record,
    links: OperationLinks,
    followed: bool,  # noqa: FBT001 - a case
) -> None:
    """Somebody removes the VM that is being made and makes one of the same name: it stays, and all that it has."""
    # Long enough that the first look always finds it at work.
    sandbox.knobs.operation_links, sandbox.knobs.task_seconds = links, 30.0
    caller = another(url=record.url)
    theirs: list[str] = []

    def replace_it(_: str, path: str) -> None:
        if "/operations/" in path and not theirs:
            sandbox.remove("web-0001")
            sandbox.seed(1, prefix="web")
            theirs.extend(objects(sandbox))

    record.before = replace_it
    failure = _followed(caller, TAKEN) if followed else _waited_for(caller, TAKEN)
    assert failure.backend is not None
    assert failure.backend.code == "OperationPreempted"
    assert objects(sandbox) == theirs
    assert [one.kind for one in failure.leftovers] == ["nic", "disk"]


def _followed(caller: Caller, spec: VMSpec) -> ProviderError:
    begun = caller.verbs.create_vm(spec, AT_ONCE)
    failure = caller.verbs.poll(Operation(Verb.CREATE, begun.vm_id, begun.handle)).failure
    assert failure is not None
    return failure


def _waited_for(caller: Caller, spec: VMSpec) -> ProviderError:
    with pytest.raises(ProviderError) as raised:
        caller.verbs.create_vm(spec, SHOWN)
    return raised.value


def test_create_whose_operation_is_forgotten_does_not_take_another_vm_for_its_own(
    sandbox: AzureSandbox, caller: Caller
) -> None:
    """Followed late: Azure knows the operation no more, and the name is somebody else's by now."""
    begun = caller.verbs.create_vm(TAKEN, AT_ONCE)
    sandbox.finish_operations()
    sandbox.remove("web-0001")
    sandbox.seed(1, prefix="web")
    theirs = objects(sandbox)
    sandbox.faults.add(Fault(POLL, times=None, status=404, code="NotFound", message="The entity was not found."))
    seen = caller.verbs.poll(Operation(Verb.CREATE, begun.vm_id, begun.handle))
    assert isinstance(seen.failure, ConflictError)
    assert "removed by somebody else while it was being made" in seen.failure.detail
    assert objects(sandbox) == theirs


def test_create_whose_answer_is_lost_leaves_a_vm_that_somebody_else_was_faster_to_make(
    sandbox: AzureSandbox, another: Callable[..., Caller], record: Record
) -> None:
    """The PUT is refused, and its refusal gets lost."""
    caller = another(url=record.url)

    def somebody_is_faster(method: str, _: str) -> None:
        if method == "PUT":
            sandbox.seed(1, prefix="web")

    record.before = somebody_is_faster
    sandbox.faults.add(Fault(CREATE, cut=Cut.ANSWER, after=True))
    with pytest.raises(ProviderError, match="No VM was found") as raised:
        caller.verbs.create_vm(TAKEN)
    assert raised.value.leftovers == ()
    assert len(objects(sandbox)) == 3
