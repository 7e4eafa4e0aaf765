"""Creates: what is asked for, what goes wrong at each step, and that nothing stays behind."""

from __future__ import annotations

import pytest

from providers.domain import Offer, OperatingSystem, Operation, VMStatus
from providers.errors import (
    BackendFailureError,
    BackendTimeoutError,
    BackendUnreachableError,
    ConflictError,
    Leftover,
    PermissionDeniedError,
    ProviderError,
    UnavailableError,
    UnprocessableError,
)
from providers.nutanix.removal import APPEARS_SECONDS
from providers.sandbox.faults import Cut, Fault
from providers.sandbox.nutanix import (
    CONTAINER,
    IMAGE_NAME,
    IMAGE_UUID,
    ISO_NAME,
    NETWORK,
    NETWORK_NAME,
    UNMANAGED_NETWORK,
)
from providers.work import StillGoingOnError, Wish
from tests.providers.nutanix.prism import CREATE, DELETE, GET, LIST, START, TASK, Prism, spec
from tests.providers.reached import AT_ONCE
from tests.support.waiting import wait_until

GIB = 1 << 30
LOST = Fault(cut=Cut.ANSWER, after=True)
CALLS = {
    "v2": [CREATE["v2"], START["v2"]],
    "v3": [CREATE["v3"], GET["v3"]],
    "v4": [CREATE["v4"], GET["v4"], START["v4"]],
}


@pytest.mark.parametrize("image", [IMAGE_NAME, IMAGE_UUID])
def test_create_makes_what_was_asked_for(prism: Prism, image: str) -> None:
    """Size, disk, network, container and notes; the image by uuid or name."""
    vm_id = prism.create(prism.gateway(storage_external_id=CONTAINER), image=image, tags={"team": "web"})
    vm = prism.sandbox.vm(vm_id)
    assert (vm.name, vm.cpus, vm.memory_mib, vm.state, vm.subnets) == ("test1", 2, 4096, "ON", (NETWORK,))
    (disk,) = [disk for disk in vm.disks if not disk.is_cdrom]
    assert (disk.size_bytes, disk.image, disk.container) == (20 * GIB, IMAGE_UUID, CONTAINER)
    assert prism.gateway().get_vm(vm_id).tags == {"team": "web"}
    assert prism.gateway().list_vms()[0].tags == {"team": "web"}


@pytest.mark.parametrize("disk_gib", [None, 1])
def test_create_with_no_or_too_small_a_disk_has_the_image_s_own_size(prism: Prism, disk_gib: int | None) -> None:
    """No disk is smaller than its image."""
    vm_id = prism.create(os=OperatingSystem("Linux", "Debian", disk_gib))
    assert [disk.size_bytes for disk in prism.sandbox.vm(vm_id).disks if not disk.is_cdrom] == [2 * GIB]


def test_create_costs_no_more_calls_than_its_budget(prism: Prism) -> None:
    """With what it has to look up known from before: two or three, and the looks at its tasks."""
    prism.create()
    prism.sandbox.calls.clear()
    vm = prism.gateway().create_vm(spec(), Wish(representation=True)).vm
    assert vm is not None
    assert vm.status is VMStatus.RUNNING
    assert [one for one in prism.operations() if one != TASK[prism.api]] == CALLS[prism.api]


@pytest.mark.parametrize("given", [{"network_id": "", "vpc_id": NETWORK}, {"network_id": NETWORK_NAME, "vpc_id": "x"}])
def test_create_takes_the_network_by_either_key_and_name(prism: Prism, given: dict[str, str]) -> None:
    """The origin's files have it in `vpc_id`."""
    vm_id = prism.create(prism.gateway(network_id=given["network_id"], vpc_id=given["vpc_id"]))
    assert prism.sandbox.vm(vm_id).subnets == (NETWORK,)


def test_create_without_a_network_asks_for_one_of_several(prism: Prism) -> None:
    """And lists them."""
    with pytest.raises(UnprocessableError, match="network_id") as caught:
        prism.create(prism.gateway(network_id=""))
    assert NETWORK in caught.value.detail
    assert UNMANAGED_NETWORK in caught.value.detail
    assert prism.remains() == []


@pytest.mark.parametrize(("image", "told"), [("no-such-image", "does not have"), (ISO_NAME, "no disk image")])
def test_create_of_an_image_that_cannot_be_is_unprocessable(prism: Prism, image: str, told: str) -> None:
    """Said before anything is made."""
    with pytest.raises(UnprocessableError, match=told):
        prism.create(image=image)
    with pytest.raises(UnprocessableError, match="does not have"):
        prism.create(image="00000000-0000-4000-8000-000000000000")
    assert CREATE[prism.api] not in prism.operations()


@pytest.mark.parametrize("offer", [Offer("big", IMAGE_NAME), Offer("ecs.g1.c2m4", "", 2, 4096)])
def test_create_of_half_a_machine_type_is_unprocessable(prism: Prism, offer: Offer) -> None:
    """No size, or no image: before any call."""
    with pytest.raises(UnprocessableError, match="machine type"):
        prism.create(offer=offer)
    assert prism.operations() == []


@pytest.mark.parametrize("work_done", [False, True])
@pytest.mark.parametrize("step", ["create", "clone", "power"])
def test_create_that_fails_at_a_step_leaves_nothing(prism: Prism, step: str, *, work_done: bool) -> None:
    """Also where the failed task has made the VM nonetheless. What was there is told as removed, and nothing else."""
    prism.sandbox.fail_next_task(step, "It went wrong", work_done=work_done and step == "create")
    with pytest.raises(ProviderError, match="It went wrong") as caught:
        prism.create()
    assert prism.remains() == []
    was_there = step == "power" or (work_done and step == "create") or prism.api == "v3"
    assert [leftover.removed for leftover in caught.value.leftovers] == [True] * was_there


@pytest.mark.parametrize("operation", [CREATE, START, TASK])
def test_create_that_is_refused_at_a_call_leaves_nothing(prism: Prism, operation: dict[str, str]) -> None:
    """Whichever of its calls it is; v3 makes and starts by one."""
    if prism.api == "v3" and operation is START:
        pytest.skip("v3 starts a VM by its making")
    prism.sandbox.faults.add(Fault(operation[prism.api], status=403, message="No permission."))
    with pytest.raises(PermissionDeniedError) as caught:
        prism.create()
    accepted = caught.value.operation
    if isinstance(accepted, Operation):
        # v3 makes and starts a VM by one task: a poll that is refused says nothing about it.
        assert (prism.api, operation) == ("v3", TASK)
        assert prism.finished(accepted).vm_id in prism.states()
    else:
        assert prism.remains() == []


@pytest.mark.parametrize("prism", ["v2", "v4"], indirect=True)
def test_create_that_may_look_at_no_task_leaves_nothing(prism: Prism) -> None:
    """A role without it: the VM is found by its mark, and removed."""
    prism.sandbox.faults.add(Fault(TASK[prism.api], times=None, status=403, message="No permission."))
    with pytest.raises(PermissionDeniedError) as caught:
        prism.create()
    wait_until(lambda: prism.remains() == [])
    assert len(caught.value.leftovers) == 1


@pytest.mark.parametrize("prism", ["v2", "v4"], indirect=True)
def test_create_whose_vm_is_deleted_before_its_start_is_a_conflict(prism: Prism) -> None:
    """By somebody who was faster."""
    missing = Fault(START[prism.api], status=404, message="vm 5021c8f5-3b1a-4a5e-9a52-6d1b9c1f0d11 does not exist")
    prism.sandbox.faults.add(missing)
    with pytest.raises(ConflictError, match="deleted before"):
        prism.create()
    assert prism.remains() == []


@pytest.mark.parametrize("prism", ["v2", "v4"], indirect=True)
@pytest.mark.parametrize("after", [False, True], ids=["not carried out", "carried out"])
def test_create_whose_start_gets_no_answer_is_completed(prism: Prism, *, after: bool) -> None:
    """The start is sent again, until the request's deadline. v3 starts a VM by its making."""
    prism.sandbox.faults.add(Fault(START[prism.api], times=3, cut=Cut.ANSWER, after=after))
    vm_id = prism.create()
    assert prism.states() == {vm_id: "ON"}


def test_create_whose_answer_is_lost_leaves_nothing(prism: Prism) -> None:
    """The call had its effect, and nobody heard of it; on v4 a create is repeated once."""
    prism.sandbox.faults.add(Fault(CREATE[prism.api], times=2, cut=Cut.ANSWER, after=True))
    with pytest.raises(BackendUnreachableError) as caught:
        prism.create()
    assert prism.remains() == []
    assert [leftover.removed for leftover in caught.value.leftovers] == [True]


@pytest.mark.parametrize("after", [False, True])
def test_create_whose_answer_is_lost_once_is_repeated_by_v4(central: Prism, *, after: bool) -> None:
    """By its request id Prism knows it again, whether it was carried out or not."""
    central.sandbox.faults.add(Fault(CREATE["v4"], cut=Cut.ANSWER, after=after))
    vm_id = central.create()
    assert central.states() == {vm_id: "ON"}
    assert len(central.sandbox.tasks("create")) == 1


@pytest.mark.parametrize("prism", ["v2", "v3"], indirect=True)
def test_vm_that_appears_late_after_a_lost_answer_is_removed(prism: Prism) -> None:
    """Its create waits in a queue for longer than a search takes: v2 tells of the queue, v3 of the intent."""
    prism.sandbox.knobs.queue_seconds = APPEARS_SECONDS + 2.0
    prism.sandbox.faults.add(Fault(CREATE[prism.api], cut=Cut.ANSWER, after=True))
    with pytest.raises(BackendUnreachableError) as caught:
        prism.create(prism.gateway(seconds=60))
    assert [one.removed for one in caught.value.leftovers] == [True]
    wait_until(lambda: prism.remains() == [])


def test_create_that_was_given_up_and_is_not_found_is_told_as_not_removed(prism: Prism) -> None:
    """Prism's gateway has timed out: what is behind it may still do it, when nobody looks any more."""
    prism.sandbox.faults.add(Fault(CREATE[prism.api], times=2, status=504, message="upstream request timeout"))
    with pytest.raises(ProviderError, match="could not be found out") as caught:
        prism.create(prism.gateway(seconds=60))
    assert caught.value.leftovers == (Leftover("vm", "test1", removed=False),)
    assert "removed again" not in caught.value.detail


def test_create_that_never_reached_prism_says_that_nothing_was_made(prism: Prism) -> None:
    """The connection broke before: it is looked for, and not found."""
    prism.sandbox.faults.add(Fault(CREATE[prism.api], times=2, cut=Cut.ANSWER))
    with pytest.raises(BackendUnreachableError, match="No VM of this request was found") as caught:
        prism.create()
    assert caught.value.leftovers == ()
    assert prism.remains() == []


def test_create_whose_answer_is_nonsense_leaves_nothing(prism: Prism) -> None:
    """A proxy's page in place of the answer: it may have been done."""
    prism.sandbox.faults.add(Fault(CREATE[prism.api], times=2, body=b"<html>Bad gateway</html>"))
    with pytest.raises(BackendFailureError):
        prism.create()
    assert prism.remains() == []


def test_create_whose_removal_fails_names_what_it_leaves(prism: Prism) -> None:
    """So that somebody can remove it."""
    prism.sandbox.fail_next_task("power", "It went wrong")
    prism.sandbox.faults.add(Fault(DELETE[prism.api], times=None, status=403, message="No permission."))
    with pytest.raises(ProviderError, match="It went wrong") as caught:
        prism.create()
    (leftover,) = caught.value.leftovers
    assert (leftover.kind, leftover.removed) == ("vm", False)
    assert list(prism.states()) == [leftover.id]


def test_create_past_its_deadline_leaves_nothing(prism: Prism) -> None:
    """The disk is still being cloned when the time is over; the VM is removed when it is there."""
    prism.create(start=False)
    prism.sandbox.knobs.task_seconds = 0.6
    with pytest.raises(BackendTimeoutError) as caught:
        prism.create(prism.gateway(seconds=0.3), name="late")
    if isinstance(caught.value, StillGoingOnError):
        # One call has done all: it goes on, and can be followed.
        assert prism.api == "v3"
        assert prism.finished(caught.value.operation).failure is None
        return
    assert [leftover.removed for leftover in caught.value.leftovers] == [True]
    assert [vm.name for vm in prism.sandbox.vms()] == ["test1"]


def test_create_that_fails_removes_no_other_vm_of_the_name(prism: Prism) -> None:
    """Names are not unique on Nutanix: what is removed has this create's mark."""
    first = prism.create()
    prism.sandbox.faults.add(Fault(CREATE[prism.api], times=2, cut=Cut.ANSWER, after=True))
    with pytest.raises(BackendUnreachableError):
        prism.create()
    assert list(prism.states()) == [first]


def test_create_followed_to_a_failure_leaves_nothing(prism: Prism) -> None:
    """For a caller who did not wait."""
    prism.sandbox.fail_next_task("power", "It went wrong")
    operation = prism.gateway().create_vm(spec(), AT_ONCE)
    ended = prism.finished(operation)
    assert ended.failure is not None
    assert [leftover.removed for leftover in ended.failure.leftovers] == [True]
    wait_until(lambda: prism.remains() == [])


def test_create_without_space_is_unavailable(prism: Prism) -> None:
    """Storage is full."""
    prism.sandbox.knobs.free_disk_bytes = GIB
    with pytest.raises(UnavailableError):
        prism.create()
    assert prism.remains() == []


def test_create_that_failed_looks_everything_up_anew(prism: Prism) -> None:
    """The image may have been replaced by another of its name since it was looked up."""
    prism.create()
    prism.sandbox.break_image(IMAGE_UUID)
    with pytest.raises(ProviderError):
        prism.create()
    prism.sandbox.calls.clear()
    with pytest.raises(ProviderError):
        prism.create()
    assert any("images" in operation for operation in prism.operations())


def test_list_in_search_of_a_lost_vm_is_one_of_its_name(central: Prism) -> None:
    """Not of a thousand others."""
    central.sandbox.seed(250)
    central.sandbox.faults.add(Fault(CREATE["v4"], times=2, cut=Cut.ANSWER, after=True))
    with pytest.raises(BackendUnreachableError):
        central.create()
    assert central.operations().count(LIST["v4"]) <= 3
