"""What goes wrong in the middle of a verb: it ends well where it can, leaves nothing where it cannot, and says so."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from providers.domain import Idempotency, Operation, StopMode, Verb
from providers.errors import (
    BackendFailureError,
    BackendTimeoutError,
    ConflictError,
    CredentialsRejectedError,
    ProviderError,
    ThrottledError,
    UnprocessableError,
)
from providers.sandbox import azure
from providers.sandbox.azure import AzureSandbox, LockLevel, OperationLinks
from providers.sandbox.faults import Cut, Fault
from providers.work import StillGoingOnError
from tests.providers.azure.recorder import Record
from tests.providers.azure.simulated import (
    AT_ONCE,
    CREATE,
    DELETE,
    GET,
    POLL,
    SHOWN,
    SPEC,
    Caller,
    objects,
    operations,
)

DEALLOCATE = "VirtualMachines_Deallocate"
FORGOTTEN = Fault(POLL, times=None, status=404, code="NotFound", message="The entity was not found.")
REMOVED = [("vm", True), ("nic", True), ("disk", True)]


def refused(attempt: Callable[[], object]) -> ProviderError:
    """The error that an attempt ends with."""
    with pytest.raises(ProviderError) as raised:
        attempt()
    return raised.value


def left(error: ProviderError) -> list[tuple[str, bool]]:
    """What an error says of each object that was made: its kind, and whether it was removed."""
    return [(one.kind, one.removed) for one in error.leftovers]


@pytest.mark.parametrize("code", ["ReservedResourceName", "InvalidParameter", "SkuNotAvailable", "ImageNotFound"])
def test_create_refused_at_once_tells_azures_words_and_has_nothing_to_remove(
    sandbox: AzureSandbox, caller: Caller, code: str
) -> None:
    """Names that Azure reserves, for one, are its own affair: none is listed here."""
    sandbox.faults.add(Fault(CREATE, status=400, code=code, message="The name 'x' is a trademarked or reserved word."))
    error = refused(lambda: caller.verbs.create_vm(SPEC))
    assert isinstance(error, UnprocessableError)
    assert error.backend is not None
    assert (error.backend.code, error.leftovers) == (code, ())
    assert "reserved word" in error.detail
    assert operations(sandbox) == [GET, CREATE]
    assert objects(sandbox) == []


@pytest.mark.parametrize("start", [True, False])
@pytest.mark.parametrize("looks", [0, 1, 2, 3])
def test_create_whose_answer_is_lost_and_first_looks_too_is_removed(
    sandbox: AzureSandbox,
    caller: Caller,
    looks: int,
    start: bool,  # noqa: FBT001 - a case
) -> None:
    """An outage of a moment, in which Azure goes on."""
    sandbox.faults.add(Fault(CREATE, cut=Cut.ANSWER, after=True))
    if looks:
        sandbox.faults.add(Fault(GET, times=looks, skip=1, cut=Cut.ANSWER))
    error = refused(lambda: caller.verbs.create_vm(replace(SPEC, start=start)))
    assert "in `leftovers`" in error.detail
    assert left(error) == REMOVED
    assert objects(sandbox) == []


def test_create_whose_answer_comes_after_the_deadline_is_removed(sandbox: AzureSandbox, caller: Caller) -> None:
    """There is no time left to look for it; removing has time of its own."""
    sandbox.faults.add(Fault(CREATE, delay_seconds=0.5, cut=Cut.ANSWER, after=True))
    error = refused(lambda: caller.within(0.3).create_vm(SPEC))
    assert left(error) == REMOVED
    assert objects(sandbox) == []


def test_create_whose_answer_is_lost_for_good_says_what_may_be_left(sandbox: AzureSandbox, caller: Caller) -> None:
    """Azure cannot be reached any more: nothing is said to be removed."""
    sandbox.faults.add(Fault(CREATE, cut=Cut.ANSWER, after=True))
    sandbox.faults.add(Fault(GET, times=None, skip=1, cut=Cut.ANSWER))
    sandbox.faults.add(Fault("NetworkInterfaces_List", times=None, cut=Cut.ANSWER))
    sandbox.faults.add(Fault("Disks_Delete", times=None, cut=Cut.ANSWER))
    error = refused(lambda: caller.verbs.create_vm(SPEC))
    assert "could not be found out" in error.detail
    assert left(error) == [("vm", False), ("nic", False), ("disk", False)]


@pytest.mark.parametrize("links", OperationLinks)
@pytest.mark.parametrize(
    "fault",
    [
        Fault(POLL, times=3, cut=Cut.ANSWER),
        Fault(POLL, times=2, status=429, code="TooManyRequests", headers={"Retry-After": "1"}),
        Fault(POLL, times=3, status=500, code="InternalServerError"),
        Fault(POLL, times=3, status=200, body=b"<html>Sign in</html>"),
        FORGOTTEN,
    ],
    ids=["lost", "throttled", "broken", "html", "forgotten"],
)
def test_create_with_polls_in_trouble_succeeds(
    sandbox: AzureSandbox, caller: Caller, links: OperationLinks, fault: Fault
) -> None:
    """A look is repeated, at the time that Azure names; work that Azure has forgotten is judged by the VM."""
    sandbox.knobs.operation_links = links
    sandbox.faults.add(fault)
    begun = time.monotonic()
    made = caller.verbs.create_vm(SPEC, SHOWN)
    assert made.vm is not None
    assert made.vm.provider_status == "running"
    assert time.monotonic() - begun > (2 if fault.status == 429 else 0)
    caller.verbs.delete_vm("Web-1")
    assert objects(sandbox) == []


def test_create_that_azure_asks_to_look_at_without_a_pause_is_not_looked_at_without_one(
    sandbox: AzureSandbox, caller: Caller
) -> None:
    """`Retry-After: 0` is no leave to ask hundreds of times a second."""
    sandbox.knobs.task_seconds, sandbox.knobs.retry_after_seconds = 0.5, 0
    caller.verbs.create_vm(SPEC)
    assert sandbox.calls.count(POLL) < 15


@pytest.mark.parametrize("verb", ["start", "stop", "stop-force", "restart", "delete"])
def test_verb_whose_operation_azure_forgets_ends_by_the_vm(sandbox: AzureSandbox, caller: Caller, verb: str) -> None:
    """From the first look on."""
    sandbox.seed(1, state="deallocated" if verb == "start" else "running")
    caller.verbs.list_vms()
    sandbox.faults.add(FORGOTTEN)
    azure_ = caller.verbs
    match verb:
        case "start":
            azure_.start_vm("vm-0001")
        case "restart":
            azure_.restart_vm("vm-0001", StopMode.GRACEFUL, 5)
        case "delete":
            azure_.delete_vm("vm-0001")
        case _:
            azure_.stop_vm("vm-0001", StopMode.FORCE if verb == "stop-force" else StopMode.AUTO, 5)
    found = {one.name: one.power for one in sandbox.vms()}
    assert found == ({} if verb == "delete" else {"vm-0001": "deallocated" if "stop" in verb else "running"})


@pytest.mark.parametrize("followed", [False, True])
@pytest.mark.parametrize("links", OperationLinks)
@pytest.mark.parametrize(
    "code", ["AllocationFailed", "ZonalAllocationFailed", "SkuNotAvailable", "OSProvisioningTimedOut"]
)
def test_create_that_fails_later_leaves_nothing_by_any_link(
    sandbox: AzureSandbox,
    caller: Caller,
    links: OperationLinks,
    code: str,
    followed: bool,  # noqa: FBT001 - a case
) -> None:
    """With or without a disk by then; the code is Azure's."""
    sandbox.knobs.operation_links = links
    sandbox.fail_next_operation(CREATE, code, "So it is.")
    error = followed_until_it_fails(caller) if followed else refused(lambda: caller.verbs.create_vm(SPEC))
    assert error.backend is not None
    assert error.backend.code == code
    assert "So it is." in error.detail
    assert left(error) == REMOVED
    assert objects(sandbox) == []


def followed_until_it_fails(caller: Caller) -> ProviderError:
    """As `GET /operation/{token}` does: only the handle is kept."""
    begun = caller.verbs.create_vm(SPEC, AT_ONCE)
    for _ in range(500):
        seen = caller.verbs.poll(Operation(Verb.CREATE, begun.vm_id, begun.handle))
        if seen.failure is not None:
            return seen.failure
        assert not seen.done
    raise AssertionError("it did not end")


def test_create_that_fails_and_whose_operation_is_forgotten_tells_the_vms_own_failure(
    sandbox: AzureSandbox, caller: Caller
) -> None:
    """It stands in the instance view."""
    sandbox.faults.add(FORGOTTEN)
    sandbox.fail_next_operation(CREATE, "OSProvisioningTimedOut", "The guest did not answer.")
    error = refused(lambda: caller.verbs.create_vm(SPEC))
    assert error.backend is not None
    assert error.backend.code == "OSProvisioningTimedOut"
    assert left(error) == REMOVED
    assert objects(sandbox) == []


@pytest.mark.parametrize("fault", [DEALLOCATE, CREATE])
def test_create_without_start_that_fails_in_either_step_is_removed(
    sandbox: AzureSandbox, caller: Caller, fault: str
) -> None:
    """Also when the VM is there and only will not stop."""
    sandbox.fail_next_operation(fault, "InternalExecutionError", "So it is.")
    error = refused(lambda: caller.verbs.create_vm(replace(SPEC, start=False)))
    assert isinstance(error, BackendFailureError)
    assert left(error) == REMOVED
    assert objects(sandbox) == []


def test_create_without_start_that_may_not_stop_is_removed(sandbox: AzureSandbox, caller: Caller) -> None:
    """It would be paid for."""
    sandbox.throttle(DEALLOCATE, retry_after_seconds=9)
    error = refused(lambda: caller.verbs.create_vm(replace(SPEC, start=False)))
    assert isinstance(error, ThrottledError)
    assert (error.retry_after_seconds, left(error)) == (9, REMOVED)
    assert objects(sandbox) == []


@pytest.mark.parametrize("key", ["", "key-1"])
def test_create_without_start_waits_for_what_keeps_its_vm_busy(sandbox: AzureSandbox, caller: Caller, key: str) -> None:
    """A policy puts an extension on every new VM, say: Azure takes no order meanwhile."""
    sandbox.faults.add(Fault(DEALLOCATE, status=409, code="Conflict", message="An extension is being installed."))
    spec = replace(SPEC, start=False, idempotency=Idempotency(key, "digest-1") if key else None)
    made = caller.verbs.create_vm(spec, SHOWN)
    assert made.vm is not None
    assert made.vm.provider_status == sandbox.vm("Web-1").power == "deallocated"


@pytest.mark.parametrize("key", ["", "key-1"])
def test_create_without_start_of_a_vm_that_stays_busy_is_a_conflict_and_removed(
    sandbox: AzureSandbox, caller: Caller, key: str
) -> None:
    """Its own VM is not told to be somebody else's, who would have the name."""
    sandbox.faults.add(Fault(DEALLOCATE, times=None, status=409, code="Conflict", message="An extension is there."))
    spec = replace(SPEC, start=False, idempotency=Idempotency(key, "digest-1") if key else None)
    error = refused(lambda: caller.verbs.create_vm(spec))
    assert isinstance(error, ConflictError)
    assert "An extension is there." in error.detail
    assert left(error) == REMOVED
    assert objects(sandbox) == []


def test_create_until_the_deadline_goes_on_and_can_be_followed(sandbox: AzureSandbox, caller: Caller) -> None:
    """What Azure has accepted is not taken back; nothing is said to be left over."""
    sandbox.knobs.task_seconds = 60
    error = refused(lambda: caller.within(0.3).create_vm(SPEC))
    assert isinstance(error, StillGoingOnError)
    assert error.leftovers == ()
    sandbox.finish_operations()
    seen = caller.verbs.poll(Operation(Verb.CREATE, error.operation.vm_id, error.operation.handle))
    assert seen.done
    assert seen.failure is None
    assert len(objects(sandbox)) == 3


def test_create_without_start_until_the_deadline_in_its_first_step_is_removed(
    sandbox: AzureSandbox, another: Callable[..., Caller], record: Record
) -> None:
    """Nobody would stop it any more."""
    sandbox.knobs.task_seconds = 60

    def hurry(method: str, _: str) -> None:
        if method == "DELETE":
            sandbox.knobs.task_seconds = 0.05

    record.before = hurry
    error = refused(lambda: another(url=record.url).within(0.3).create_vm(replace(SPEC, start=False)))
    assert isinstance(error, BackendTimeoutError)
    assert left(error) == REMOVED
    assert objects(sandbox) == []


def test_token_that_expires_in_the_middle_of_a_create_is_bought_anew_once(
    sandbox: AzureSandbox, another: Callable[..., Caller], record: Record
) -> None:
    """The next look finds out; the work goes on."""
    caller = another(url=record.url)
    expired: list[str] = []

    def expire(_: str, path: str) -> None:
        if "/operations/" in path and not expired:
            expired.append(path)
            sandbox.expire_tokens()

    record.before = expire
    caller.verbs.create_vm(SPEC)
    assert expired
    assert [one.status for one in record.sent("POST", "/token")] == [200, 200]
    assert sandbox.vm("Web-1").power == "running"


def test_secret_taken_back_in_the_middle_of_a_create_is_tried_once_and_the_create_goes_on(
    sandbox: AzureSandbox, another: Callable[..., Caller], record: Record
) -> None:
    """Azure goes on with what it has accepted; nothing is removed because it cannot be seen any more."""
    caller = another(url=record.url)

    def take_back(_: str, path: str) -> None:
        if "/operations/" in path:
            sandbox.expire_tokens()
            sandbox.add_principal(azure.CLIENT_ID, "another-secret")

    record.before = take_back
    error = refused(lambda: caller.verbs.create_vm(SPEC))
    assert isinstance(error, CredentialsRejectedError)
    assert error.backend is not None
    assert error.backend.code == "AADSTS7000215"
    assert left(error) == []
    assert isinstance(error.operation, Operation)
    assert [one.status for one in record.sent("POST", "/token")] == [200, 401]


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        (Fault(DELETE, status=403, code="AuthorizationFailed", message="No."), [False, True, True]),
        (Fault("NetworkInterfaces_Delete", status=403, code="AuthorizationFailed", message="No."), [True, False, True]),
        (Fault("Disks_Delete", status=403, code="AuthorizationFailed", message="No."), [True, True, False]),
        (Fault("Disks_Delete", status=429, code="TooManyRequests", message="No."), [True, True, True]),
    ],
    ids=["vm", "nic", "disk", "disk, throttled once"],
)
def test_removal_of_one_object_that_fails_stops_no_other_and_is_told(
    sandbox: AzureSandbox, caller: Caller, fault: Fault, told: list[bool]
) -> None:
    """Each stands in the answer, with its name."""
    sandbox.fail_next_operation(CREATE, "AllocationFailed")
    sandbox.faults.add(fault)
    error = refused(lambda: caller.verbs.create_vm(SPEC))
    if fault.operation == DELETE:
        # The interface cannot go as long as its VM is there.
        told = [False, False, True]
    assert [one.removed for one in error.leftovers] == told
    assert error.leftovers[0].id == "Web-1"
    assert all(one.id.startswith("Web-1-") for one in error.leftovers[1:])


@pytest.mark.parametrize(
    "operation", [GET, DELETE, "NetworkInterfaces_List", "NetworkInterfaces_Delete", "Disks_Delete"]
)
@pytest.mark.parametrize("links", OperationLinks)
def test_removal_whose_answer_is_lost_is_asked_for_again(
    sandbox: AzureSandbox, caller: Caller, operation: str, links: OperationLinks
) -> None:
    """To delete what is gone, or goes, is safe."""
    sandbox.knobs.operation_links = links
    sandbox.fail_next_operation(CREATE, "OSProvisioningTimedOut")
    sandbox.faults.add(Fault(operation, skip=1 if operation == GET else 0, cut=Cut.ANSWER, after=True))
    error = refused(lambda: caller.verbs.create_vm(SPEC))
    assert left(error) == REMOVED
    assert objects(sandbox) == []


def test_removal_under_a_lock_tells_all_that_stays(sandbox: AzureSandbox, caller: Caller) -> None:
    """A lock on the group keeps what is there; nobody takes it away."""
    sandbox.lock(azure.RESOURCE_GROUP, LockLevel.CAN_NOT_DELETE)
    sandbox.fail_next_operation(CREATE, "OSProvisioningTimedOut")
    error = refused(lambda: caller.verbs.create_vm(SPEC))
    assert left(error) == [("vm", False), ("nic", False), ("disk", False)]
    for one, found in zip(error.leftovers, objects(sandbox), strict=True):
        # Azure adds something to an interface's name.
        assert found.startswith(one.id)


@pytest.mark.parametrize("verb", ["create", "start", "delete"])
def test_verb_with_links_to_another_host_sends_nothing_there(
    sandbox: AzureSandbox, another: Callable[..., Caller], authority: Any, verb: str
) -> None:
    """Another host that would answer, and whose certificate would be trusted; it hears nothing."""
    with AzureSandbox(authority, task_seconds=0.05) as lure:
        sandbox.seed(1, state="deallocated")
        caller = another()
        caller.verbs.list_vms()
        sandbox.knobs.links_lead_to = lure.url
        attempts: dict[str, Callable[[], object]] = {
            "create": lambda: caller.verbs.create_vm(SPEC),
            "start": lambda: caller.verbs.start_vm("vm-0001"),
            "delete": lambda: caller.verbs.delete_vm("vm-0001"),
        }
        error = refused(attempts[verb])
        assert isinstance(error, BackendFailureError)
        assert "not followed" in error.detail
        assert lure.server.connections == 0


def test_list_whose_next_page_is_on_another_host_sends_nothing_there(
    sandbox: AzureSandbox, another: Callable[..., Caller], authority: Any
) -> None:
    """Of either list; half a list is no list."""
    with AzureSandbox(authority) as lure:
        sandbox.seed(2)
        sandbox.knobs.page_size, sandbox.knobs.links_lead_to = 1, lure.url
        error = refused(another().verbs.list_vms)
        assert "not followed" in error.detail
        assert lure.server.connections == 0


def test_create_with_a_key_whose_answer_is_lost_is_found_by_the_next_try(sandbox: AzureSandbox, caller: Caller) -> None:
    """And not made twice."""
    keyed = replace(SPEC, idempotency=Idempotency("key-1", "digest-1"))
    sandbox.faults.add(Fault(CREATE, cut=Cut.ANSWER, after=True))
    error = refused(lambda: caller.verbs.create_vm(keyed))
    assert "same Idempotency-Key" in error.detail
    assert error.leftovers == ()
    made = caller.verbs.create_vm(keyed, SHOWN)
    assert made.vm is not None
    assert made.vm.provider_status == "running"
    assert len(objects(sandbox)) == 3
