"""One VM, from create to delete, on a real account."""

import base64
import time

from tests.support.api import Answer, Api

CLOUD_INIT = base64.b64encode(b"#cloud-config\nruncmd: [touch /cloudvm-live]\n").decode()


def test_lifecycle_of_a_vm_works_on_a_real_account(api: Api, machinetype: str, name: str) -> None:
    """Create (twice, with one key), list, show, stop, start, restart, delete."""
    fields = {"machinetype": machinetype, "cloud_init": CLOUD_INIT, "tags": {"made-by": "cloudvm-live"}}
    key = {"Idempotency-Key": name}
    created = api.create(name, headers=key, **fields)
    assert created.status == 201, created.body
    vm = created.json
    assert (vm["name"], vm["status"]) == (name, "running")
    assert api.create(name, headers=key, **fields).json["id"] == vm["id"]
    assert [listed["id"] for listed in api.list(name=name).json] == [vm["id"]]
    for verb, status in (("stop", "stopped"), ("start", "running")):
        answer = api.verb(verb, vm["id"], mode="force") if verb == "stop" else api.verb(verb, vm["id"])
        assert answer.status == 204, answer.body
        assert api.get(vm["id"]).json["status"] == status
    assert api.verb("restart", vm["id"], mode="force").status == 204
    assert api.delete(vm["id"]).status == 204
    assert api.get(vm["id"]).code == "vm_not_found"
    assert api.list(name=name).json == []


def test_create_without_waiting_can_be_followed_on_a_real_account(api: Api, machinetype: str, name: str) -> None:
    """`Prefer: respond-async`, followed to its end."""
    accepted = api.create(name, headers={"Prefer": "respond-async"}, machinetype=machinetype)
    assert accepted.status == 202, accepted.body
    finished = _finished(api, accepted)
    assert finished.json["error"] is None
    assert finished.json["vm"]["name"] == name
    assert api.delete(finished.json["vm"]["id"]).status == 204


def test_list_of_a_real_account_has_vms_that_can_be_shown(api: Api) -> None:
    """What a list shows, `GET /vm/{id}` shows, too. Changes nothing."""
    vms = api.list()
    assert vms.status == 200, vms.body
    for vm in vms.json[:3]:
        assert api.get(vm["id"]).json["id"] == vm["id"]


def _finished(api: Api, accepted: Answer) -> Answer:
    give_up = time.monotonic() + 900
    while time.monotonic() < give_up:
        followed = api.follow(accepted)
        assert followed.status == 200, followed.body
        if followed.json["done"]:
            return followed
        time.sleep(int(followed.headers["Retry-After"]))
    raise AssertionError("the operation did not end within a quarter of an hour")
