"""What is alike on every cloud, on a cloud in memory."""

import time
from collections.abc import Iterator
from dataclasses import replace
from uuid import uuid4

import pytest

from providers.credentials import Credentials
from providers.deadline import Deadline
from providers.domain import Environment, Operation, StopMode, Verb, VMStatus
from providers.errors import (
    BackendFailureError,
    BackendTimeoutError,
    BackendUnreachableError,
    ConflictError,
    CredentialsRejectedError,
    CredentialsUnusableError,
    InvalidRequestError,
    Leftover,
    NotOwnedError,
    PermissionDeniedError,
    ProviderError,
    QuotaExceededError,
    ThrottledError,
    UnavailableError,
    UnsupportedError,
    VMNotFoundError,
)
from providers.gateway import Backends, Gateway
from providers.network import Network
from providers.trace import Trace, tracing
from providers.work import StillGoingOnError, Wish
from tests.providers.inmemory import CLOUD, SECRET, SPEC, InMemoryDriver, State, VendorError
from tests.support.clock import Clock
from tests.support.limits import LIMITS
from tests.support.threads import at_once


class World:
    """A cloud, and one process's way to it."""

    def __init__(self) -> None:
        self.state = State()
        self.environment = Environment("memory", CLOUD, url=uuid4().hex)
        InMemoryDriver.states[self.environment.url] = self.state
        self.clock = Clock()
        self.backends = Backends(Network(), replace(LIMITS, changes_per_environment=4), clock=self.clock)

    def gateway(self, *, secret: str = SECRET, seconds: float = 5.0, client: str = "") -> Gateway:
        """The verbs of one request."""
        return self.backends.gateway(self.environment, Credentials("key", secret), Deadline.after(seconds), client)

    def with_vm(self, status: VMStatus = VMStatus.RUNNING) -> "World":
        """The same with a VM."""
        self.state.vms["vm-1"] = status
        return self


@pytest.fixture
def world() -> Iterator[World]:
    """A fresh one."""
    made = World()
    yield made
    made.backends.close()
    del InMemoryDriver.states[made.environment.url]


@pytest.mark.parametrize("verb", [Verb.CREATE, Verb.START])
def test_vm_that_cannot_be_shown_within_the_patience_is_not_waited_for(world: World, verb: Verb) -> None:
    """What is done is done; whoever has created a VM follows the operation to see it."""
    world.with_vm(VMStatus.STOPPED).state.trouble["get"] = [BackendTimeoutError("slow") for _ in range(9)]
    gateway, wish = world.gateway(seconds=900), Wish(patience_seconds=0.5, representation=True)
    operation = gateway.create_vm(SPEC, wish) if verb is Verb.CREATE else gateway.start_vm("vm-1", wish)
    assert operation.vm is None
    assert operation.done == (verb is Verb.START)
    assert world.state.allowed["get"] < 10


@pytest.mark.parametrize(
    ("step", "left_by_then"),
    [
        ("create disk-1", []),
        ("create disk-2", ["disk-1"]),
        ("create vm", ["disk-2", "disk-1"]),
        ("boot", ["vm-1", "disk-2", "disk-1"]),
    ],
)
def test_create_that_fails_at_a_step_removes_what_it_made(world: World, step: str, left_by_then: list[str]) -> None:
    """The last first; the error says what, and that it is gone."""
    world.state.trouble[step] = [VendorError("denied")]
    with pytest.raises(PermissionDeniedError) as caught:
        world.gateway().create_vm(SPEC)
    assert [(leftover.id, leftover.removed) for leftover in caught.value.leftovers] == [
        (made, True) for made in left_by_then
    ]
    assert [call for call in world.state.calls if call.startswith("remove")] == [
        f"remove {made}" for made in left_by_then
    ]
    assert (world.state.disks, world.state.vms) == ([], {})
    assert isinstance(caught.value.__cause__, VendorError)


def test_create_that_fails_on_its_way_up_removes_what_it_made(world: World) -> None:
    """Accepted, and failed later on."""
    world.state.boot_looks = 1
    world.state.failure = QuotaExceededError("The limit is reached.")
    with pytest.raises(QuotaExceededError) as caught:
        world.gateway(seconds=20).create_vm(SPEC)
    assert [leftover.kind for leftover in caught.value.leftovers] == ["vm", "disk", "disk"]
    assert (world.state.disks, world.state.vms) == ([], {})


def test_create_that_fails_by_a_fault_of_ours_removes_what_it_made(world: World) -> None:
    """An exception that nobody has foreseen passes through, and leaves nothing behind either."""
    world.state.trouble = {"boot": [ZeroDivisionError()]}
    with pytest.raises(ZeroDivisionError):
        world.gateway().create_vm(SPEC)
    assert (world.state.disks, world.state.vms) == ([], {})


def test_create_whose_removal_fails_removes_the_others(world: World) -> None:
    """What stays is listed as such, for whoever must remove it by hand."""
    world.state.trouble = {"boot": [VendorError("broken")], "remove disk-2": [VendorError("locked")]}
    with pytest.raises(BackendFailureError) as caught:
        world.gateway().create_vm(SPEC)
    assert caught.value.leftovers == (
        Leftover("vm", "vm-1", removed=True),
        Leftover("disk", "disk-2", removed=False),
        Leftover("disk", "disk-1", removed=True),
    )
    assert world.state.disks == ["disk-2"]


def test_create_whose_object_belongs_to_another_create_leaves_it_out(world: World) -> None:
    """The object is neither removed nor a leftover of this create."""
    world.state.trouble = {"boot": [VendorError("broken")], "remove vm-1": [NotOwnedError("Another create has it.")]}
    with pytest.raises(BackendFailureError) as caught:
        world.gateway().create_vm(SPEC)
    assert caught.value.leftovers == (
        Leftover("disk", "disk-2", removed=True),
        Leftover("disk", "disk-1", removed=True),
    )
    assert list(world.state.vms) == ["vm-1"]


@pytest.mark.parametrize("error", [ThrottledError, BackendUnreachableError, BackendTimeoutError])
def test_create_whose_removal_fails_in_passing_is_removed(world: World, error: type[ProviderError]) -> None:
    """A call of the clean-up that is throttled or lost is repeated."""
    failures: list[Exception | None] = [error("busy") for _ in range(3)]
    world.state.trouble = {"boot": [VendorError("denied")], "remove disk-2": failures}
    with pytest.raises(PermissionDeniedError) as caught:
        world.gateway().create_vm(SPEC)
    assert all(leftover.removed for leftover in caught.value.leftovers)
    assert world.state.calls.count("remove disk-2") == 4
    assert world.state.disks == []


def test_create_whose_removals_fail_repeats_them_in_rounds(world: World) -> None:
    """No removal uses up the time of the others, and a disk in use is tried again once its VM may be gone."""
    world.state.trouble = {
        "boot": [VendorError("denied")],
        "remove vm-1": [BackendTimeoutError("no answer")],
        "remove disk-2": [ConflictError("in use")],
    }
    with pytest.raises(PermissionDeniedError) as caught:
        world.gateway().create_vm(SPEC)
    assert all(leftover.removed for leftover in caught.value.leftovers)
    first, second = ["vm-1", "disk-2", "disk-1"], ["vm-1", "disk-2"]
    removals = [call.removeprefix("remove ") for call in world.state.calls if call.startswith("remove")]
    assert removals == [*first, *second]


def test_create_whose_removal_is_throttled_for_long_tells_what_stays(world: World) -> None:
    """A Retry-After beyond the clean-up's own time is not waited for."""
    throttled = ThrottledError("busy", retry_after_seconds=3600)
    world.state.trouble = {"boot": [VendorError("denied")], "remove disk-2": [throttled]}
    with pytest.raises(PermissionDeniedError) as caught:
        world.gateway().create_vm(SPEC)
    assert [leftover.removed for leftover in caught.value.leftovers] == [True, False, True]


@pytest.mark.parametrize("error", [VendorError("gone"), VMNotFoundError("There is none.")])
def test_create_whose_remains_are_gone_already_counts_them_as_removed(world: World, error: Exception) -> None:
    """Deleting a VM may have taken its disks along."""
    world.state.trouble = {"boot": [VendorError("broken")], "remove disk-1": [error]}
    with pytest.raises(BackendFailureError) as caught:
        world.gateway().create_vm(SPEC)
    assert all(leftover.removed for leftover in caught.value.leftovers)


def test_create_that_the_caller_does_not_wait_for_is_handed_back(world: World) -> None:
    """As soon as the last step is accepted; nothing is removed."""
    world.state.looks = 1
    operation = world.gateway().create_vm(SPEC, Wish(patience_seconds=0))
    assert not operation.done
    assert operation.vm_id in world.state.vms
    # The steps in between take a look each; the last one none.
    assert world.state.calls.count("poll") == 2


def test_create_at_the_deadline_keeps_what_goes_on(world: World) -> None:
    """The work may still finish: it is handed over, not thrown away."""
    world.state.boot_looks = 1000
    with pytest.raises(StillGoingOnError) as caught:
        world.gateway(seconds=0.3).create_vm(SPEC)
    assert caught.value.operation.vm_id == "vm-1"
    assert caught.value.leftovers == ()
    assert world.state.vms == {"vm-1": VMStatus.RUNNING}


def test_create_at_the_deadline_within_a_step_removes_what_it_made(world: World) -> None:
    """Nothing goes on: the next step was never begun."""
    world.state.looks = 1000
    with pytest.raises(BackendTimeoutError) as caught:
        world.gateway(seconds=0.3).create_vm(SPEC)
    assert not isinstance(caught.value, StillGoingOnError)
    assert caught.value.leftovers == (Leftover("disk", "disk-1", removed=True),)
    assert world.state.disks == []


def test_create_with_representation_shows_the_vm(world: World) -> None:
    """At the price of a look."""
    operation = world.gateway().create_vm(SPEC, Wish(representation=True))
    assert operation.vm is not None
    assert operation.vm.status is VMStatus.RUNNING


def test_create_whose_look_at_the_vm_gets_lost_keeps_it(world: World) -> None:
    """The VM is made: one lost look is no reason to throw it away."""
    world.state.trouble = {"get": [VendorError("broken"), VendorError("broken")]}
    operation = world.gateway().create_vm(SPEC, Wish(representation=True))
    assert operation.vm is not None
    assert world.state.vms == {"vm-1": VMStatus.RUNNING}


@pytest.mark.parametrize(("verb", "status"), [("start", VMStatus.RUNNING), ("stop", VMStatus.STOPPED)])
def test_verb_that_has_nothing_to_do_is_done(world: World, verb: str, status: VMStatus) -> None:
    """Already running is success, already stopped too; and it can be shown."""
    world.with_vm(status)
    wish = Wish(representation=True)
    gateway = world.gateway()
    done = gateway.start_vm("vm-1", wish) if verb == "start" else gateway.stop_vm("vm-1", StopMode.AUTO, 60, wish)
    assert done.done
    assert done.vm is not None
    assert done.vm.status is status


def test_poll_of_work_that_was_done_at_once_asks_for_its_vm_alone(world: World) -> None:
    """An operation that is followed because its VM could not be shown has no handle for the driver."""
    world.with_vm().state.trouble["get"] = [VendorError("denied")]
    with pytest.raises(PermissionDeniedError) as caught:
        world.gateway().start_vm("vm-1", Wish(representation=True))
    assert isinstance(caught.value.operation, Operation)
    operation = world.gateway().poll(caught.value.operation)
    assert operation.done
    assert operation.failure is None
    assert "poll" not in world.state.calls


def test_stop_in_auto_mode_forces_a_deaf_guest_after_its_time(world: World) -> None:
    """Not before."""
    world.with_vm().state.deaf = True
    begun = time.monotonic()
    operation = world.gateway(seconds=20).stop_vm("vm-1", StopMode.AUTO, 0.5)
    assert operation.done
    assert time.monotonic() - begun >= 0.5
    assert world.state.vms["vm-1"] is VMStatus.STOPPED
    assert [call for call in world.state.calls if "stop" in call] == ["stop", "force stop"]


def test_stop_in_graceful_mode_gives_up_on_a_deaf_guest(world: World) -> None:
    """The power stays on, and the error says what else there is."""
    world.with_vm().state.deaf = True
    with pytest.raises(BackendTimeoutError, match="mode=force"):
        world.gateway(seconds=20).stop_vm("vm-1", StopMode.GRACEFUL, 0.3)
    assert world.state.vms["vm-1"] is VMStatus.RUNNING
    assert "force stop" not in world.state.calls


def test_stop_in_force_mode_cuts_at_once(world: World) -> None:
    """Nobody is asked."""
    world.with_vm().state.deaf = True
    assert world.gateway().stop_vm("vm-1", StopMode.FORCE, 60).guest_until is None
    assert "stop" not in world.state.calls


def test_restart_in_auto_mode_forces_a_deaf_guest_after_its_time(world: World) -> None:
    """The same for a restart."""
    world.with_vm().state.deaf = True
    assert world.gateway(seconds=20).restart_vm("vm-1", StopMode.AUTO, 0.3).done
    assert [call for call in world.state.calls if "restart" in call] == ["restart", "force restart"]


@pytest.mark.parametrize("call", ["force stop", "force restart"])
def test_force_within_a_look_is_not_cut_short(world: World, call: str) -> None:
    """Nobody would know whether it was made; a look is made again."""
    world.with_vm().state.deaf = True
    gateway, wish = world.gateway(seconds=900), Wish(patience_seconds=2)
    force = gateway.stop_vm if call == "force stop" else gateway.restart_vm
    assert force("vm-1", StopMode.AUTO, 0.3, wish).done
    assert world.state.allowed["poll"] < 10
    assert world.state.allowed[call] > 60


def test_poll_of_a_stop_whose_time_is_over_forces_it(world: World) -> None:
    """Also when the caller follows the operation instead of waiting."""
    world.with_vm().state.deaf = True
    accepted = world.gateway().stop_vm("vm-1", StopMode.AUTO, 2, Wish(patience_seconds=0))
    assert not accepted.done
    assert accepted.then_force
    assert accepted.guest_until is not None
    early = world.gateway().poll(accepted)
    while time.time() < accepted.guest_until:
        time.sleep(0.05)
    late = world.gateway().poll(accepted)
    assert (early.done, late.done) == (False, True)
    assert late.vm is not None
    assert late.vm.status is VMStatus.STOPPED


def test_poll_of_a_create_that_failed_removes_its_vm(world: World) -> None:
    """What the verb promised holds for an operation that is followed."""
    world.with_vm(VMStatus.STOPPED).state.failure = QuotaExceededError("The limit is reached.")
    failed = world.gateway().poll(Operation(Verb.CREATE, "vm-1", "1"))
    assert failed.done
    assert failed.failure is world.state.failure
    assert failed.failure is not None
    assert failed.failure.leftovers == (Leftover("vm", "vm-1", removed=True),)
    assert world.state.vms == {}
    assert failed.vm is None


def test_poll_of_a_create_that_failed_reports_a_vm_that_stays(world: World) -> None:
    """The driver refuses to remove a VM that somebody uses by now."""
    world.with_vm().state.failure = QuotaExceededError("The limit is reached.")
    failed = world.gateway().poll(Operation(Verb.CREATE, "vm-1", "1"))
    assert failed.failure is not None
    assert failed.failure.leftovers == (Leftover("vm", "vm-1", removed=False),)
    assert "vm-1" in world.state.vms


def test_poll_of_a_verb_that_failed_removes_nothing(world: World) -> None:
    """A failed start is no reason to delete."""
    world.with_vm().state.failure = ConflictError("It is locked.")
    assert world.gateway().poll(Operation(Verb.START, "vm-1", "1")).failure is world.state.failure
    assert "vm-1" in world.state.vms


@pytest.mark.parametrize("vm_id", ["", "vm-", "vm-1\n", "vm-1/..", "VM-1", "vm-\u0661", "vm-1 "])
def test_verb_on_a_malformed_id_makes_no_call(world: World, vm_id: str) -> None:
    """Not even a log-in."""
    gateway = world.gateway()
    for verb in (
        lambda: gateway.get_vm(vm_id),
        lambda: gateway.start_vm(vm_id),
        lambda: gateway.stop_vm(vm_id, StopMode.AUTO, 60),
        lambda: gateway.restart_vm(vm_id, StopMode.AUTO, 60),
        lambda: gateway.delete_vm(vm_id),
    ):
        with pytest.raises(InvalidRequestError) as caught:
            verb()
        assert [fault.field for fault in caught.value.fields] == ["id"]
    assert world.state.calls == []


def test_list_of_the_environment_is_ordered_by_name_then_id(world: World) -> None:
    """Whatever order the cloud has."""
    world.state.vms = dict.fromkeys(("vm-3", "vm-1", "vm-2"), VMStatus.RUNNING)
    assert [vm.id for vm in world.gateway().list_vms()] == ["vm-1", "vm-2", "vm-3"]


def test_session_is_kept_between_requests(world: World) -> None:
    """One log-in for many."""
    for _ in range(3):
        world.gateway().list_vms()
    assert (world.state.opened, world.state.calls.count("login")) == (1, 1)


def test_session_whose_credentials_are_rejected_is_forgotten(world: World) -> None:
    """Closed, and the call is not repeated. The next request logs in again, and after it a rejection holds."""
    world.gateway().list_vms()
    for count in (1, 2):
        world.state.trouble["list"] = [VendorError("rejected")]
        with pytest.raises(CredentialsRejectedError) as caught:
            world.gateway().list_vms()
        assert caught.value.retry_after_seconds == (None, 30)[count - 1]
        assert (world.state.closed, world.state.calls.count("list")) == (count, count + 1)
        world.clock.now += 1
    with pytest.raises(CredentialsUnusableError, match=r"in environment '.+' rejected .+ Check the access key"):
        world.gateway().list_vms()
    assert world.state.calls.count("login") == 2
    world.clock.now += 29
    world.gateway().list_vms()
    assert world.state.calls.count("login") == 3


def test_session_that_fails_otherwise_is_kept(world: World) -> None:
    """A missing permission is no reason to log in again."""
    world.state.trouble["list"] = [VendorError("denied")]
    with pytest.raises(PermissionDeniedError):
        world.gateway().list_vms()
    world.gateway().list_vms()
    assert world.state.calls.count("login") == 1


def test_log_in_with_a_wrong_secret_is_tried_again_after_its_pause(world: World) -> None:
    """Clouds lock accounts. Nothing is sent before."""
    for pause in (5, 30, 300):
        for _ in range(3):
            with pytest.raises(CredentialsRejectedError) as caught:
                world.gateway(secret="wrong").list_vms()
            assert caught.value.retry_after_seconds == pause
        world.clock.now += pause
    assert world.state.calls == ["login"] * 3
    assert len(world.backends.sessions) == 0


def test_log_in_with_a_fourth_secret_is_tried_for_another_client(world: World) -> None:
    """Clients are told apart by their addresses."""
    for number in range(4):
        with pytest.raises(ThrottledError if number == 3 else CredentialsRejectedError):
            world.gateway(secret=f"wrong-{number}", client="192.0.2.1").list_vms()
    world.gateway(client="192.0.2.2").list_vms()
    assert world.state.calls == ["login"] * 4 + ["list"]


def test_log_in_that_ends_while_another_request_is_on_its_way_to_one_is_not_followed_by_it(world: World) -> None:
    """Requests that the cloud accepted lately do not wait for each other, and the first rejection stops them."""
    world.gateway().list_vms()
    world.backends.evict_others([])
    world.state.trouble["login"] = [VendorError("rejected")] * 8

    def listed(_: int) -> str:
        with pytest.raises(CredentialsRejectedError) as caught:
            world.gateway().list_vms()
        return type(caught.value).__name__

    assert set(at_once(8, listed)) <= {"CredentialsRejectedError", "CredentialsUnusableError"}
    assert world.state.calls.count("login") == 2


def test_credentials_that_a_driver_cannot_use_are_not_remembered_as_wrong(world: World) -> None:
    """The cloud was not asked, or has refused them for another reason: the next request may be right."""
    world.state.trouble["list"] = [CredentialsUnusableError("The clock is wrong.")] * 4
    for _ in range(4):
        with pytest.raises(CredentialsUnusableError, match="clock") as caught:
            world.gateway().list_vms()
        assert caught.value.retry_after_seconds is None
    world.gateway().list_vms()
    assert world.state.calls.count("login") == 5


def test_credentials_without_the_form_of_the_cloud_are_not_remembered(world: World) -> None:
    """Such requests cost nothing, and would push out what is remembered of others."""
    for number in range(8):
        with pytest.raises(CredentialsUnusableError) as caught:
            world.gateway(secret=f"no form {number}").list_vms()
        assert caught.value.retry_after_seconds is None
    assert world.state.calls == []
    assert world.gateway().list_vms() == []


def test_poll_with_rejected_credentials_is_not_repeated(world: World) -> None:
    """Neither by the waiting request nor by later ones: a rejection in the middle never loops."""
    world.with_vm(VMStatus.STOPPED).state.looks = 3
    world.state.trouble["poll"] = [VendorError("rejected")] * 2
    with pytest.raises(CredentialsRejectedError) as caught:
        world.gateway(seconds=20).start_vm("vm-1")
    operation = caught.value.operation
    assert isinstance(operation, Operation)
    world.clock.now += 1
    with pytest.raises(CredentialsRejectedError) as caught:
        world.gateway().poll(operation)
    assert caught.value.retry_after_seconds == 30
    for _ in range(3):
        with pytest.raises(CredentialsUnusableError):
            world.gateway().poll(operation)
    assert world.state.calls.count("poll") == 2


@pytest.mark.parametrize("verb", [Verb.START, Verb.DELETE])
def test_poll_of_an_operation_that_was_done_at_once_asks_the_cloud(world: World, verb: Verb) -> None:
    """Otherwise any secret would pass, and count as accepted from then on."""
    operation = Operation(verb, "vm-1")
    world.with_vm()
    with pytest.raises(CredentialsRejectedError):
        world.gateway(secret="wrong").poll(operation)
    assert world.gateway().poll(operation).done
    assert len(world.state.calls) == 3


def test_poll_that_the_login_throttle_refuses_fails(world: World) -> None:
    """Nothing shows that the caller may know how the operation stands."""
    for number in range(3):
        with pytest.raises(CredentialsRejectedError):
            world.gateway(secret=f"wrong-{number}").poll(Operation(Verb.START, "vm-1", "1"))
    with pytest.raises(ThrottledError):
        world.gateway(secret="wrong-3").poll(Operation(Verb.START, "vm-1", "1"))


def test_caller_with_another_secret_never_gets_the_session(world: World) -> None:
    """The same access key is not enough."""
    world.gateway().list_vms()
    with pytest.raises(CredentialsRejectedError):
        world.gateway(secret="wrong").list_vms()
    assert world.gateway().list_vms() == []
    assert world.state.calls.count("login") == 2


def test_environment_without_a_driver_is_unsupported(world: World) -> None:
    """Said before anything else."""
    with pytest.raises(UnsupportedError, match="does not support"):
        world.backends.gateway(
            Environment("later", replace(CLOUD, driver=None)), Credentials("k", "s"), Deadline.after(1)
        )


def test_changes_beyond_the_limit_are_refused_at_once(world: World) -> None:
    """Those within the limit go on, and reads have room."""
    world.with_vm().state.deaf = True

    def stop(number: int) -> str:
        try:
            world.gateway(seconds=10).stop_vm("vm-1", StopMode.GRACEFUL, 2)
        except UnavailableError as error:
            assert world.gateway().get_vm("vm-1").status is VMStatus.RUNNING
            return f"come back after {error.retry_after_seconds:g} s"
        except BackendTimeoutError:
            return "served"
        return "stopped"

    outcomes = at_once(7, stop)
    assert sorted(outcomes) == ["come back after 5 s"] * 3 + ["served"] * 4


def test_gateway_tells_the_trace_whom_it_asks() -> None:
    """For the log lines of every call."""
    world = World()
    with tracing(Trace("test")) as trace:
        world.gateway()
    assert (trace.environment, trace.cloud) == ("memory", "Memory")
