"""What a VM goes through, from create to delete."""

import pytest

from tests.conformance.harness import Harness
from tests.support.api import Api


def test_lifecycle_of_a_vm_works_from_create_to_delete(api: Api, backend: Harness) -> None:
    """Create, show, list, stop, start, restart and delete, each with the answer that the contract names."""
    before = backend.objects()
    created = api.create("test1")
    assert created.status == 201, created.body
    vm = created.json
    assert vm["name"] == "test1"
    assert vm["status"] == "running"
    assert vm["environment"] == "main"
    assert vm["provider_status"]
    assert created.headers["Location"] == f"/vm/{vm['id']}?environment=main"
    assert api.call("GET", created.headers["Location"]).json["id"] == vm["id"]
    assert [listed["id"] for listed in api.list().json] == [vm["id"]]
    for verb, state in (("stop", "stopped"), ("start", "running"), ("restart", "running")):
        answer = api.verb(verb, vm["id"])
        assert (answer.status, answer.body) == (204, b""), answer.body
        assert backend.states()[vm["id"]] == state
        assert api.get(vm["id"]).json["status"] == state
    assert api.delete(vm["id"]).status == 204
    assert api.list().json == []
    assert api.get(vm["id"]).code == "vm_not_found"
    assert backend.objects() == before


def test_create_without_start_leaves_the_vm_stopped(api: Api, backend: Harness) -> None:
    """`start: false`."""
    answer = api.create(start=False)
    assert answer.status == 201, answer.body
    assert answer.json["status"] == "stopped"
    assert backend.states() == {answer.json["id"]: "stopped"}


def test_create_with_tags_shows_them_everywhere(api: Api, backend: Harness) -> None:
    """Tags come back in create and get, and in a list where the cloud's own list tells them."""
    tags = {"team": "web", "cost centre": "4711 / é", "empty": ""}
    vm = api.create(tags=tags).json
    assert vm["tags"] == tags
    assert api.get(vm["id"]).json["tags"] == tags
    assert api.list().json[0]["tags"] == (tags if backend.features.tags_in_list else {})


def test_show_vm_has_every_field_of_the_contract(api: Api, backend: Harness) -> None:
    """The same fields in the same order, whatever the cloud knows."""
    (vm_id,) = backend.seed(1)
    fields = "id name status environment provider_status instance_type cpus memory_mib ip_addresses created_at tags"
    assert " ".join(api.get(vm_id).json) == fields
    assert " ".join(api.list().json[0]) == fields


@pytest.mark.parametrize(("verb", "state"), [("start", "running"), ("stop", "stopped")])
def test_verb_on_a_vm_already_there_succeeds(api: Api, backend: Harness, verb: str, state: str) -> None:
    """Starting what runs and stopping what is stopped are successes."""
    (vm_id,) = backend.seed(1, state=state)
    assert api.verb(verb, vm_id).status == 204
    assert backend.states()[vm_id] == state


@pytest.mark.parametrize("verb", ["start", "stop"])
def test_verb_by_get_works_as_in_older_clients(api: Api, backend: Harness, verb: str) -> None:
    """The deprecated GET forms; HEAD and prefetching do nothing."""
    (vm_id,) = backend.seed(1, state="stopped" if verb == "start" else "running")
    before = backend.states()
    path = f"/vm/{vm_id}/{verb}"
    head = api.call("HEAD", path, query={"environment": "main"})
    assert head.status == 405
    assert head.headers["Allow"] == "GET, POST"
    assert (
        api.call("GET", path, query={"environment": "main"}, headers={"Sec-Purpose": "prefetch"}).code
        == "invalid_request"
    )
    assert backend.states() == before
    assert api.call("GET", path, query={"environment": "main"}).status == 204
    assert backend.states() != before


@pytest.mark.parametrize("mode", ["auto", "graceful", "force"])
@pytest.mark.parametrize("verb", ["stop", "restart"])
def test_stop_and_restart_take_each_mode(api: Api, backend: Harness, verb: str, mode: str) -> None:
    """All three modes, for both verbs."""
    (vm_id,) = backend.seed(1)
    assert api.verb(verb, vm_id, mode=mode, timeout="20").status == 204
    assert backend.states()[vm_id] == ("stopped" if verb == "stop" else "running")


def test_restart_of_a_stopped_vm_is_a_conflict(api: Api, backend: Harness) -> None:
    """A VM that is off cannot be restarted, and is left as it is."""
    (vm_id,) = backend.seed(1, state="stopped")
    for mode in ("auto", "graceful", "force"):
        answer = api.verb("restart", vm_id, mode=mode)
        assert answer.code == "conflict", answer.body
    assert backend.states()[vm_id] == "stopped"


def test_delete_of_a_stopped_vm_succeeds(api: Api, backend: Harness) -> None:
    """Running or not."""
    (vm_id,) = backend.seed(1, state="stopped")
    assert api.delete(vm_id).status == 204
    assert backend.states() == {}


def test_list_with_filters_shows_what_matches(api: Api, backend: Harness) -> None:
    """By name and by status; a status that does not exist is refused."""
    backend.seed(3)
    vms = api.list().json
    assert [vm["id"] for vm in api.list(name=vms[1]["name"]).json] == [vms[1]["id"]]
    assert api.list(name="nobody").json == []
    assert len(api.list(status="running").json) == 3
    assert api.list(status="stopped").json == []
    refused = api.list(status="sleepy")
    assert refused.code == "invalid_request"
    assert refused.json["errors"][0]["detail"].startswith("must be one of creating, ")


def test_list_is_ordered_by_name_then_id(api: Api, backend: Harness) -> None:
    """Whatever the backend's order."""
    backend.seed(7)
    vms = api.list().json
    assert vms == sorted(vms, key=lambda vm: (vm["name"], vm["id"]))


def test_create_with_a_taken_name_is_refused_where_names_are_unique(api: Api, backend: Harness) -> None:
    """And possible elsewhere."""
    assert api.create("twin").status == 201
    again = api.create("twin")
    if backend.features.unique_names:
        assert again.code == "name_taken"
        assert len(backend.states()) == 1
    else:
        assert again.status == 201
        assert len(backend.states()) == 2
