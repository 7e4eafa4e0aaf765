"""Creates with an Idempotency-Key: one VM, whatever happens between two tries."""

from __future__ import annotations

import threading
from contextlib import suppress

import pytest

from providers.domain import StopMode
from providers.errors import ConflictError, ErrorCode, ProviderError, TemporaryConflictError, UnprocessableError
from providers.sandbox.faults import Cut, Fault
from providers.sandbox.vsphere import FOLDERS
from tests.providers.reached import AT_ONCE
from tests.providers.vsphere.site import Site
from tests.support.threads import at_once
from tests.support.waiting import wait_until

KEY = "order-4711"


def test_create_repeated_finds_the_first_vm(site: Site) -> None:
    """One VM, one boot, and what the guest was told stays."""
    vm_id = site.create(key=KEY)
    before = site.sandbox.vm(vm_id), site.sandbox.files()
    assert site.create(key=KEY) == vm_id
    assert (site.sandbox.vm(vm_id), site.sandbox.files()) == before


@pytest.mark.parametrize("task_seconds", [0.02, 0.3])
def test_create_repeated_at_once_whose_name_is_refused_at_the_call_makes_one_vm(
    site: Site, task_seconds: float
) -> None:
    """Some releases refuse a taken name at the call instead of failing its task: a conflict for the caller as well."""
    site.sandbox.knobs.task_seconds, site.sandbox.knobs.refuses_at_call = task_seconds, True

    def attempt(_: int) -> str:
        try:
            return site.create(key=KEY)
        except ProviderError as error:
            return str(error.code)

    made = at_once(8, attempt)
    (vm,) = site.sandbox.vms()
    assert vm.instance_uuid in made
    assert set(made) <= {vm.instance_uuid, ErrorCode.CONFLICT.value}
    assert vm.power_state == "poweredOn"
    assert site.create(key=KEY) == vm.instance_uuid
    site.gateway().delete_vm(vm.instance_uuid)
    assert site.made() == []


def test_create_repeated_at_once_with_other_content_makes_one_vm(site: Site) -> None:
    """Under two names: one wins, the other is told."""
    site.sandbox.knobs.task_seconds = 0.1

    def attempt(number: int) -> str:
        try:
            return site.create(key=KEY, digest=f"digest-{number}", name=f"test{number}")
        except (UnprocessableError, ConflictError) as error:
            return str(error.code)

    made = at_once(2, attempt)
    site.rest()
    uuids = [vm.instance_uuid for vm in site.sandbox.vms()]
    assert len(set(uuids)) == len(uuids) == len([one for one in made if "-" in one]) <= 1, made
    assert len({file.split("/")[0] for file in site.sandbox.files()}) == len(uuids)


def test_create_repeated_after_a_rename_finds_the_vm(site: Site) -> None:
    """And after its stop."""
    vm_id = site.create(key=KEY)
    site.sandbox.rename(vm_id, "renamed")
    site.gateway().stop_vm(vm_id, StopMode.FORCE, 0)
    assert site.create(key=KEY) == vm_id
    assert [(vm.name, vm.power_state) for vm in site.sandbox.vms()] == [("renamed", "poweredOff")]


def test_create_repeated_after_a_move_finds_the_vm(center: Site) -> None:
    """The environment's folder is another by now."""
    vm_id = center.create(gateway=center.gateway(project=FOLDERS[0]), key=KEY)
    assert center.create(key=KEY) == vm_id
    assert len(center.sandbox.vms()) == 1


def test_create_with_a_key_whose_answer_is_lost_asks_to_repeat_it(center: Site) -> None:
    """The VM stays for the retry."""
    center.sandbox.faults.add(Fault("CloneVM_Task", cut=Cut.ANSWER, after=True))
    assert "same Idempotency-Key" in center.failed(key=KEY).detail
    assert len(center.sandbox.vms()) == 1


def test_create_repeated_after_a_clean_failure_makes_the_vm(site: Site) -> None:
    """Nothing is left of the first try that could be in the way."""
    task = "CloneVM_Task" if site.kind == "vcenter" else "PowerOnVM_Task"
    site.sandbox.fail_next_task(task, "InsufficientMemoryResourcesFault")
    site.failed(key=KEY)
    assert site.made() == []
    vm_id = site.create(key=KEY)
    assert [vm.instance_uuid for vm in site.sandbox.vms()] == [vm_id]


def test_create_that_is_followed_and_repeated_makes_one_vm(site: Site) -> None:
    """The caller did not wait, and asks again."""
    site.sandbox.knobs.task_seconds = 0.1
    operation = site.gateway().create_vm(site.spec(key=KEY), AT_ONCE)
    with suppress(ConflictError):
        site.create(key=KEY)
    finished = site.finished(operation)
    assert (finished.failure, finished.vm_id) == (None, site.sandbox.vms()[0].instance_uuid)
    assert len(site.sandbox.vms()) == 1


def test_create_whose_mark_was_removed_finds_the_vm(site: Site) -> None:
    """Somebody has emptied the notes; the UUID follows from the key."""
    vm_id = site.create(key=KEY)
    site.sandbox.set_annotation(vm_id, "mine")
    assert site.create(key=KEY) == vm_id
    assert len(site.sandbox.vms()) == 1


def test_create_repeated_beside_notes_of_people_finds_the_vm(site: Site) -> None:
    """They have written more lines."""
    vm_id = site.create(key=KEY)
    ours = site.sandbox.vm(vm_id).annotation
    site.sandbox.set_annotation(vm_id, f"call Jo before you stop it\n{ours}\n{{not json")
    assert site.create(key=KEY) == vm_id


def test_create_that_fails_spares_the_vm_of_another_try(center: Site) -> None:
    """The other has made it and somebody has renamed it, so that nothing but its mark tells whose it is."""
    center.gateway().list_vms()
    center.sandbox.faults.add(Fault("CloneVM_Task", delay_seconds=2.0))
    failures: list[ProviderError] = []
    failing = threading.Thread(target=lambda: failures.append(center.failed(key=KEY)))
    failing.start()
    # The template has been found: give the call that is to fail the time to be first, and to take the fault.
    wait_until(lambda: "FindChild" in center.operations(), pause=0.005)
    threading.Event().wait(0.5)
    vm_id = center.create(key=KEY)
    center.sandbox.rename(vm_id, "renamed")
    center.sandbox.fail_next_task("CloneVM_Task", "InsufficientMemoryResourcesFault")
    failing.join()
    assert [failure.code for failure in failures] == [ErrorCode.UNPROCESSABLE]
    assert [(vm.instance_uuid, vm.name) for vm in center.sandbox.vms()] == [(vm_id, "renamed")]


def test_create_repeated_while_the_vm_is_being_made_is_a_temporary_conflict(center: Site) -> None:
    """The caller is told that the same request can succeed later."""
    center.sandbox.knobs.task_seconds = 3.0
    made: list[str] = []
    first = threading.Thread(target=lambda: made.append(center.create(key=KEY)))
    first.start()
    wait_until(lambda: "CloneVM_Task" in center.operations())
    with pytest.raises(TemporaryConflictError, match="repeat the request"):
        center.create(key=KEY)
    first.join()
    assert center.create(key=KEY) == made[0]
