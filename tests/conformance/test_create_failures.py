"""A create that fails leaves nothing behind; one that is repeated makes no second VM."""

import time
from typing import Any

import pytest

from tests.conformance.harness import Harness, Trouble
from tests.support.api import Answer, Api
from tests.support.threads import at_once

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
    """Eight impatient retries at the same time."""
    answers = at_once(8, lambda _: warm.create(headers=KEY))
    assert {answer.status for answer in answers} <= {201, 409}, [answer.body for answer in answers]
    assert len({answer.json["id"] for answer in answers if answer.status == 201}) == 1
    assert len(backend.states()) == 1


@pytest.mark.parametrize(
    "change", [{"name": "other"}, {"tags": {"a": "b"}}, {"cloud_init": "I2Nsb3VkLWNvbmZpZwo="}, {"start": False}]
)
def test_create_repeated_with_other_content_is_refused(warm: Api, backend: Harness, change: dict[str, object]) -> None:
    """Same key, other body: 422, whatever differs."""
    assert warm.create(headers=KEY).status == 201
    answer = warm.create(headers=KEY, **{"name": "test1", **change})  # type: ignore[arg-type] # fields of the body
    assert (answer.status, answer.code) == (422, "unprocessable"), answer.body
    assert len(backend.states()) == 1


def test_create_with_other_keys_makes_other_vms(warm: Api, backend: Harness) -> None:
    """A key is a promise about one VM only."""
    assert warm.create("a", headers={"Idempotency-Key": "one"}).status == 201
    assert warm.create("b", headers={"Idempotency-Key": "two"}).status == 201
    assert len(backend.states()) == 2


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
