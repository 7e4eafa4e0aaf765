"""Retries with an Idempotency-Key finish what an earlier try left, whatever became of that one."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest

from providers import notes
from providers.errors import ProviderError, UnprocessableError
from providers.gateway import Backends
from providers.sandbox.faults import Cut, Fault
from tests.providers.nutanix.prism import CREATE, DELETE, LIST, START, TASK, Prism, spec
from tests.providers.reached import AT_ONCE, NETWORK
from tests.sandbox.nutanix.client import VMS, Caller, v2_vm, v3_vm, v4_vm
from tests.support.limits import LIMITS
from tests.support.waiting import wait_until

KEY = "order-4711"


def test_retries_outlast_a_long_trouble(prism: Prism) -> None:
    """Eight tries fail and are cleaned up: each answer says that it may be repeated, and the ninth succeeds."""
    for _ in range(8):
        prism.sandbox.fail_next_task("power", "NoHostResources: No host has enough available memory for VM")
        with pytest.raises(ProviderError, match="NoHostResources"):
            prism.create(key=KEY)
        assert prism.remains() == []
    vm_id = prism.create(key=KEY)
    assert prism.states() == {vm_id: "ON"}
    assert prism.create(key=KEY) == vm_id


def test_retry_after_an_edited_description_finds_the_vm_by_its_request_id(central: Prism) -> None:
    """A lost mark proves nothing: v4 answers with the task of the first try. Its VM stays as its user left it."""
    vm_id = central.create(key=KEY)
    central.sandbox.set_description(vm_id, "The web server.")
    central.sandbox.set_state(vm_id, "OFF")
    assert central.create(key=KEY) == vm_id
    assert central.states() == {vm_id: "OFF"}
    assert central.sandbox.vm(vm_id).description == "The web server."


def test_retry_after_the_digest_was_lost_finds_the_vm(prism: Prism) -> None:
    """Other content is refused only where a digest is there and differs."""
    vm_id = prism.create(key=KEY)
    with pytest.raises(UnprocessableError):
        prism.create(key=KEY, digest="digest-2")
    note = json.loads(prism.sandbox.vm(vm_id).description)
    del note["cloudvm"]["request_digest"]
    prism.sandbox.set_description(vm_id, json.dumps(note, separators=(",", ":")))
    assert prism.create(key=KEY, digest="digest-2") == vm_id
    assert len(prism.states()) == 1


@pytest.mark.parametrize("operation", [DELETE, TASK])
def test_retry_after_a_clean_up_that_lost_one_call_makes_one_vm(prism: Prism, operation: dict[str, str]) -> None:
    """Whether the clean-up repeats the call or leaves the VM."""
    prism.sandbox.fail_next_task("power", "It went wrong")
    skip = 1 if operation is TASK else 0
    prism.sandbox.faults.add(Fault(operation[prism.api], skip=skip, cut=Cut.ANSWER, after=True))
    with pytest.raises(ProviderError):
        prism.create(key=KEY)
    prism.sandbox.faults.clear()
    vm_id = prism.create(key=KEY)
    assert prism.states() == {vm_id: "ON"}


def test_retry_after_an_intent_that_v3_gives_up_makes_the_vm(old_central: Prism) -> None:
    """It waits for what the first try has begun. What came to nothing is no answer."""
    old_central.sandbox.fail_next_task("clone", "It went wrong")
    old_central.sandbox.knobs.task_seconds = 0.6
    with closing(Backends(NETWORK, LIMITS)) as process, ThreadPoolExecutor(1) as pool:
        first = pool.submit(old_central.create, old_central.gateway(backends=process), key=KEY)
        wait_until(lambda: CREATE["v3"] in old_central.operations())
        vm_id = old_central.create(key=KEY)
        with pytest.raises(ProviderError, match="It went wrong"):
            first.result()
    assert old_central.states() == {vm_id: "ON"}


@pytest.mark.parametrize("prism", ["v2", "v4"], indirect=True)
def test_retry_before_the_vm_of_a_killed_try_appears_makes_one_vm(prism: Prism) -> None:
    """Its create is queued when the retry looks, so that on v2 the retry makes another, and removes one of the two."""
    prism.sandbox.knobs.queue_seconds = 1.0
    abandon(prism)
    assert prism.sandbox.vms() == ()
    with closing(Backends(NETWORK, LIMITS)) as process:
        vm_id = prism.create(prism.gateway(backends=process, seconds=60), key=KEY)
    assert prism.states() == {vm_id: "ON"}


@pytest.mark.parametrize(
    "prism",
    ["v2", pytest.param("v3", marks=pytest.mark.slow), pytest.param("v4", marks=pytest.mark.slow)],
    indirect=True,
)
def test_retry_that_finds_the_late_vm_of_a_killed_try_removes_it(prism: Prism) -> None:
    """It has appeared when a retry had made another: the one that runs is kept, the one that never ran goes."""
    vm_id = prism.create(key=KEY)
    note = prism.sandbox.vm(vm_id).description.replace(notes.read(prism.sandbox.vm(vm_id).description).creation, "0123")
    user = Caller(prism.sandbox.url, prism.ca_file)
    match prism.api:
        case "v2":
            user.v2_done("POST", "/vms", v2_vm(description=note))
        case "v3":
            late = v3_vm(power_state="OFF")
            user.v3_done("POST", "/vms", {**late, "spec": {**late["spec"], "description": note}})
        case "v4":
            user.v4_done("POST", VMS, v4_vm(description=note))
    assert len(prism.states()) == 2
    assert prism.create(prism.gateway(seconds=60), key=KEY) == vm_id
    assert prism.states() == {vm_id: "ON"}


def test_retry_that_finds_a_copy_of_its_vm_leaves_the_copy(prism: Prism) -> None:
    """Somebody has copied the VM in Prism, with its description."""
    vm_id = prism.create(key=KEY)
    copy = prism.sandbox.clone(vm_id)
    wait_until(lambda: copy in prism.states())
    assert prism.create(prism.gateway(seconds=60), key=KEY) == vm_id
    assert prism.states() == {vm_id: "ON", copy: "OFF"}


def test_retry_that_finds_its_vm_being_deleted_makes_another(prism: Prism) -> None:
    """The clean-up of a killed try has asked for the delete."""
    vm_id = prism.create(key=KEY)
    prism.sandbox.set_state(vm_id, "OFF")
    prism.sandbox.knobs.task_seconds = 0.5
    prism.gateway().delete_vm(vm_id, AT_ONCE)
    again = prism.create(prism.gateway(seconds=60), key=KEY)
    assert again != vm_id
    assert prism.states() == {again: "ON"}


def abandon(prism: Prism) -> None:
    """Let a create be accepted whose caller and process know nothing of it: it was killed."""
    with closing(Backends(NETWORK, LIMITS)) as killed, ThreadPoolExecutor(1) as pool:
        prism.sandbox.faults.add(Fault(CREATE[prism.api], delay_seconds=0.5))
        # Neither its polls nor its clean-up reach Prism.
        trying = pool.submit(prism.gateway(backends=killed, seconds=1.0).create_vm, spec(key=KEY))
        wait_until(lambda: LIST[prism.api] in prism.operations())
        for operation in (LIST, TASK, DELETE, START):
            prism.sandbox.faults.add(Fault(operation[prism.api], times=None, status=403, message="No permission."))
        with pytest.raises(ProviderError):
            trying.result()
    prism.sandbox.faults.clear()
