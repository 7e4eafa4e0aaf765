"""Ids: unknown ones, malformed ones, and those of VMs elsewhere."""

import pytest

from tests.conformance.harness import Harness
from tests.support.api import Answer, Api

VERBS = ["get", "start", "stop", "restart", "delete"]
ODD_IDS = ["%00", "a%00b", "x%0ay", "%20", "a'b", 'a"b', "a;b", "a%2fb", "..%2f..", "%2e%2e", "é", "x" * 300, "*"]


def call(api: Api, verb: str, vm_id: str) -> Answer:
    """One of the verbs; `list` and `create` have no use for the id."""
    match verb:
        case "list":
            return api.list()
        case "create":
            return api.create()
        case "get":
            return api.get(vm_id)
        case "delete":
            return api.delete(vm_id)
        case _:
            return api.verb(verb, vm_id)


@pytest.mark.parametrize("verb", VERBS)
def test_verb_on_an_unknown_vm_is_not_found(api: Api, backend: Harness, verb: str) -> None:
    """An id of the right form, of nobody."""
    answer = call(api, verb, backend.unknown_id)
    assert (answer.status, answer.code) == (404, "vm_not_found")


@pytest.mark.parametrize("verb", VERBS)
def test_verb_on_a_malformed_id_is_refused_before_any_call(api: Api, backend: Harness, verb: str) -> None:
    """The cloud's own pattern decides; nobody is asked."""
    for vm_id in (*backend.malformed_ids, *ODD_IDS):
        answer = call(api, verb, vm_id)
        assert answer.status in {400, 404}, (vm_id, answer.body)
        assert answer.code in {"invalid_request", "not_found"}, (vm_id, answer.body)
        assert answer.calls == 0
    assert backend.operations() == []


@pytest.mark.parametrize("vm_id", ["..%2f..", "%2e%2e", "a%00b"])
def test_show_vm_with_a_crooked_id_is_an_invalid_request(api: Api, vm_id: str) -> None:
    """What was written to lead elsewhere is told so, with 400."""
    assert api.get(vm_id).code == "invalid_request"


@pytest.mark.parametrize("verb", VERBS)
def test_verb_on_a_vm_outside_of_the_environment_is_not_found(api: Api, backend: Harness, verb: str) -> None:
    """The same credentials may reach further than the environment; its verbs don't."""
    vm_id = backend.seed_elsewhere()
    before = backend.states()
    assert api.list().json == []
    assert call(api, verb, vm_id).code == "vm_not_found"
    assert backend.states() == before


def test_verb_on_a_deleted_vm_is_not_found(api: Api, backend: Harness) -> None:
    """A VM that was terminated is gone, also where the cloud still shows it."""
    (vm_id,) = backend.seed(1)
    assert api.delete(vm_id).status == 204
    for verb in VERBS:
        assert call(api, verb, vm_id).code == "vm_not_found"
