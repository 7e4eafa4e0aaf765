"""A create that fails leaves nothing behind; one that is repeated makes no second VM."""

import time
from typing import Any

import pytest
from pytest_django import Settings

from providers.credentials import Credentials
from providers.deadline import Deadline
from providers.domain import Idempotency, VMSpec
from providers.errors import ConflictError
from providers.gateway import Backends
from tests.conformance.harness import Harness, Trouble
from tests.support.api import Answer, Api
from tests.support.limits import LIMITS
from tests.support.threads import at_once
from tests.support.waiting import wait_until
from vms.service import current_service

KEY = {"Idempotency-Key": "order-4711"}


@pytest.mark.parametrize(
    ("trouble", "status", "code"),
    [(Trouble.QUOTA, 409, "quota_exceeded"), (Trouble.NO_CAPACITY, 503, "unavailable")],
)
def test_create_beyond_a_limit_fails_with_its_own_code(
    warm: Api, backend: Harness, trouble: Trouble, status: int, code: str
) -> None:
    """The account's limit and the cloud's are two things."""
    if trouble is Trouble.QUOTA and not backend.features.quotas:
        pytest.skip(f"{backend.cloud} knows no quotas")
    before = backend.objects()
    backend.trouble(trouble, backend.verb_operations["create"])
    answer = warm.create()
    assert (answer.status, answer.code) == (status, code), answer.body
    assert backend.objects() == before


def test_create_of_a_vm_that_fails_to_boot_leaves_nothing(warm: Api, backend: Harness) -> None:
    """Accepted, then failed: all is removed again, and the answer lists it."""
    before = backend.objects()
    backend.trouble(Trouble.BOOT_FAILS)
    answer = warm.create()
    assert answer.status >= 400, answer.body
    assert answer.json["leftovers"], answer.body
    assert all(leftover["removed"] for leftover in answer.json["leftovers"])
    assert backend.objects() == before


def test_create_of_a_vm_that_fails_to_boot_leaves_nothing_when_followed(warm: Api, backend: Harness) -> None:
    """The same for a caller who did not wait."""
    before = backend.objects()
    backend.trouble(Trouble.BOOT_FAILS)
    answer = warm.create(headers={"Prefer": "respond-async"})
    assert answer.status == 202, answer.body
    followed = finished(warm, answer)
    assert followed["error"]["status"] >= 400
    assert all(leftover["removed"] for leftover in followed["error"]["leftovers"])
    assert followed["vm"] is None
    assert backend.objects() == before


def test_create_whose_answer_is_lost_leaves_nothing(warm: Api, backend: Harness) -> None:
    """The VM was made, and nobody heard of it: it is found and removed."""
    before = backend.objects()
    backend.trouble(Trouble.LOST_ANSWER, backend.verb_operations["create"])
    answer = warm.create()
    assert answer.status in {502, 504}, answer.body
    assert backend.objects() == before


def test_create_whose_answer_is_lost_once_makes_at_most_one(warm: Api, backend: Harness) -> None:
    """Whether the call is repeated or given up: never two, and none that nobody knows."""
    backend.trouble(Trouble.LOST_ANSWER, backend.verb_operations["create"], times=1)
    answer = warm.create()
    assert len(backend.states()) == (1 if answer.status == 201 else 0)


def test_create_whose_answer_is_lost_while_the_work_is_slow_leaves_nothing(
    warm: Api, backend: Harness, settings: Settings
) -> None:
    """The deadline passes before the VM can be found: the clean-up, which has its own time, finds and removes it."""
    backend.warm_up(warm)
    before = backend.objects()
    backend.trouble(Trouble.SLOW_WORK)
    backend.trouble(Trouble.LOST_ANSWER, backend.verb_operations["create"])
    settings.CLOUDVM_REQUEST_DEADLINE_SECONDS = 0.4
    answer = warm.create()
    assert answer.status in {502, 504}, answer.body
    assert backend.objects() == before, answer.body


def test_create_whose_slow_start_is_not_answered_leaves_nothing(
    warm: Api, backend: Harness, settings: Settings
) -> None:
    """The VM is off when its removal begins, and may run in the middle of it. Some clouds start what they create."""
    backend.warm_up(warm)
    # The start is sent again until then.
    settings.CLOUDVM_REQUEST_DEADLINE_SECONDS = 6.0
    before = backend.objects()
    backend.forget_operations()
    backend.trouble(Trouble.SLOW_WORK)
    backend.trouble(Trouble.LOST_ANSWER, backend.verb_operations["start"])
    answer = warm.create()
    if answer.status == 201:
        assert backend.verb_operations["start"] not in backend.operations()
    else:
        assert answer.status in {502, 504}, answer.body
        assert backend.objects() == before, answer.body


def test_create_whose_removal_is_refused_names_what_stays(warm: Api, backend: Harness) -> None:
    """The VM stays and is named by its id; everything that the answer calls removed is gone."""
    backend.warm_up(warm)
    before = backend.objects()
    backend.trouble(Trouble.LOST_ANSWER, backend.verb_operations["create"])
    backend.trouble(Trouble.PERMISSION_DENIED, backend.verb_operations["delete"])
    answer = warm.create()
    assert answer.status in {502, 504}, answer.body
    backend.reset_trouble()
    told = {left["id"]: left["removed"] for left in answer.json["leftovers"]}
    # The backend may still be making the VM whose create it did not answer.
    wait_until(lambda: bool(backend.states()))
    (vm_id,) = backend.states()
    assert told[vm_id] is False
    left_behind = backend.objects() - before
    assert not [one for one in left_behind if any(told[left] and left in one for left in told)], answer.body
    assert warm.delete(vm_id).status == 204


def test_create_whose_polls_are_forbidden_keeps_a_vm_that_goes_on(warm: Api, backend: Harness) -> None:
    """What the caller may not see has not failed: the operation leads to the VM. A create that cannot go on ends."""
    before = backend.objects()
    for operation in backend.poll_operations:
        backend.trouble(Trouble.PERMISSION_DENIED, operation, times=2)
    answer = warm.create()
    backend.reset_trouble()
    if answer.status == 201:
        vm = answer.json
    elif "operation" in answer.json:
        assert answer.code == "permission_denied"
        assert "leftovers" not in answer.json
        vm = finished(warm, answer, answer.json["operation"])["vm"]
    else:
        assert answer.code == "permission_denied"
        assert backend.objects() == before
        return
    assert list(backend.states()) == [vm["id"]]


def test_create_repeated_with_the_same_key_makes_one_vm(warm: Api, backend: Harness) -> None:
    """The retry gets the same VM."""
    first = warm.create(headers=KEY)
    again = warm.create(headers=KEY)
    assert (first.status, again.status) == (201, 201), again.body
    assert again.json["id"] == first.json["id"]
    assert len(backend.states()) == 1


def test_create_repeated_at_once_with_the_same_key_makes_one_vm(warm: Api, backend: Harness) -> None:
    """Eight impatient retries at the same time; nothing is made twice, and nothing stays when the VM is deleted."""
    before = backend.objects()
    answers = at_once(8, lambda _: warm.create(headers=KEY))
    allowed = {201} if backend.features.shares_creates else {201, 409}
    assert {answer.status for answer in answers} <= allowed, [answer.body for answer in answers]
    (vm_id,) = {answer.json["id"] for answer in answers if answer.status == 201}
    assert backend.states() == {vm_id: "running"}
    assert warm.create(headers=KEY).json["id"] == vm_id
    assert warm.delete(vm_id).status == 204
    assert backend.objects() == before


def test_create_repeated_at_once_by_several_processes_makes_one_vm(warm: Api, backend: Harness) -> None:
    """Only the cloud can tell the retries apart. One that loses is told so, and a later retry has the VM."""
    service = current_service()
    environment = service.environment("main")
    machine_type = service.machine_type("small-debian")
    offer = machine_type.offers[environment.cloud.name]
    spec = VMSpec("test1", machine_type.os, offer, idempotency=Idempotency("order-4711", "digest"))
    credentials = Credentials(backend.access_key, backend.secret)

    def create(process: Backends) -> str:
        try:
            return str(process.gateway(environment, credentials, Deadline.after(30.0)).create_vm(spec).vm_id)
        except ConflictError:
            return ""

    processes = [Backends(service.backends.network, LIMITS) for _ in range(4)]
    made = set(at_once(4, lambda number: create(processes[number]))) - {""}
    (vm_id,) = {create(processes[0])} | made
    assert backend.states() == {vm_id: "running"}
    for process in processes:
        process.close()


@pytest.mark.parametrize(
    "change", [{"name": "other"}, {"tags": {"a": "b"}}, {"cloud_init": "I2Nsb3VkLWNvbmZpZwo="}, {"start": False}]
)
def test_create_repeated_with_other_content_is_refused(warm: Api, backend: Harness, change: dict[str, object]) -> None:
    """Same key, other body: 422, whatever differs; what the first one made stays as it is."""
    assert warm.create(headers=KEY).status == 201
    before = backend.objects(), backend.states()
    answer = warm.create(headers=KEY, **{"name": "test1", **change})  # type: ignore[arg-type] # fields of the body
    assert (answer.status, answer.code) == (422, "unprocessable"), answer.body
    assert (backend.objects(), backend.states()) == before


def test_create_with_other_keys_makes_other_vms(warm: Api, backend: Harness) -> None:
    """A key is a promise about one VM only."""
    assert warm.create("a", headers={"Idempotency-Key": "one"}).status == 201
    assert warm.create("b", headers={"Idempotency-Key": "two"}).status == 201
    assert len(backend.states()) == 2


def test_create_with_the_same_key_in_another_environment_makes_another_vm(warm: Api, backend: Harness) -> None:
    """A key is a promise about one VM in one environment, also where both lead to the same place."""
    first = warm.create("a", headers=KEY)
    second = warm.within("other").create("b", headers=KEY)
    assert (first.status, second.status) == (201, 201), second.body
    assert set(backend.states()) == {first.json["id"], second.json["id"]}


def test_create_repeated_after_the_vm_was_deleted_makes_it_again(warm: Api, backend: Harness) -> None:
    """A VM that is gone is no answer to a create."""
    first = warm.create(headers=KEY)
    assert warm.delete(first.json["id"]).status == 204
    again = warm.create(headers=KEY)
    assert again.status == 201, again.body
    assert backend.states() == {again.json["id"]: "running"}


def test_create_repeated_after_a_lost_answer_finds_the_vm(warm: Api, backend: Harness) -> None:
    """What the key is for: the first answer got lost, the retry has the VM, and there is one."""
    backend.trouble(Trouble.LOST_ANSWER, backend.verb_operations["create"])
    assert warm.create(headers=KEY).status in {502, 504}
    backend.reset_trouble()
    answer = warm.create(headers=KEY)
    assert answer.status == 201, answer.body
    assert list(backend.states()) == [answer.json["id"]]


def finished(api: Api, accepted: Answer, path: str = "") -> dict[str, Any]:
    """The end of the operation that an answer, or a path, leads to."""
    path = path or accepted.headers["Location"]
    for _ in range(200):
        followed = api.call("GET", path)
        assert followed.status == 200, followed.body
        if followed.json["done"]:
            result: dict[str, Any] = followed.json
            return result
        assert int(followed.headers["Retry-After"]) >= 1
        time.sleep(0.05)
    raise AssertionError("the operation did not end")
