"""The Proxmox simulator, by its wire: who may call, strict parameters, tasks, ids, locks, images, faults."""

import json
import re
import time
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from providers.sandbox.authority import Authority
from providers.sandbox.faults import Cut, Fault
from providers.sandbox.proxmox import IMPORT_IMAGE, ISO_IMAGE, TEMPLATE_ID, TOKEN_SECRET, ProxmoxSandbox
from providers.sandbox.proxmox.methods import METHODS
from tests.sandbox.proxmox import Caller
from tests.support import vendor
from tests.support.threads import at_once

SPECIFICATION = vendor.SPECIFICATIONS / "proxmox/pve-apidoc.json"
QEMU = "/nodes/pve/qemu"
UNKNOWN = "property is not defined in schema and the schema does not allow additional properties"


@pytest.fixture(scope="module")
def running(authority: Authority) -> Iterator[ProxmoxSandbox]:
    """One simulator for all tests of this module."""
    with ProxmoxSandbox(authority, task_seconds=0.02) as sandbox:
        yield sandbox


@pytest.fixture
def pve(running: ProxmoxSandbox) -> ProxmoxSandbox:
    """The simulator, as at its start."""
    running.reset()
    return running


@pytest.fixture
def stranger(pve: ProxmoxSandbox, authority: Authority) -> Caller:
    """Somebody without credentials."""
    return Caller(pve.url, str(authority.ca_file))


@pytest.fixture
def user(stranger: Caller) -> Caller:
    """The sandbox's user, by the API token."""
    return stranger.with_token()


def new_vm(user: Caller, vmid: int = 100, **options: object) -> str:
    """Make a VM with a disk; how the task ends."""
    return user.done("POST", QEMU, vmid=vmid, name="test1", memory=512, scsi0="local-lvm:4", **options)


def test_call_without_credentials_is_unauthorized(stranger: Caller) -> None:
    """401, in PVE's words, and the connection is closed as after every error."""
    response = stranger.call("GET", "/version")
    assert (response.status_code, response.reason) == (401, "No ticket")
    assert response.headers["Connection"] == "close"


def test_log_in_gives_a_ticket_that_writes_need_a_csrf_token_with(pve: ProxmoxSandbox, stranger: Caller) -> None:
    """Reading takes the cookie, writing the token as well; an expired ticket is none."""
    user = stranger.with_ticket()
    assert pve.logins == 1
    assert [entry["vmid"] for entry in user.data("GET", QEMU)] == [TEMPLATE_ID]
    csrf = user.headers.pop("CSRFPreventionToken")
    assert user.call("POST", QEMU, vmid=100).status_code == 401
    user.headers["CSRFPreventionToken"] = csrf
    assert new_vm(user) == "OK"
    pve.expire_tickets()
    assert user.call("GET", QEMU).status_code == 401


@pytest.mark.parametrize(
    ("name", "password"), [("demo@sandbox", "wrong"), ("nobody@sandbox", "demo"), ("demo", "demo")]
)
def test_log_in_with_wrong_credentials_is_refused(stranger: Caller, name: str, password: str) -> None:
    """One answer for all of them."""
    assert stranger.call("POST", "/access/ticket", username=name, password=password).status_code == 401


def test_call_with_a_wrong_token_is_unauthorized(stranger: Caller) -> None:
    """Of the right form, and of nobody."""
    response = stranger.with_token(secret=TOKEN_SECRET.replace("de", "ad")).call("GET", QEMU)
    assert response.status_code == 401


def test_lifecycle_of_a_vm_works_from_create_to_delete(pve: ProxmoxSandbox, user: Caller) -> None:
    """Create, start, stop, delete; each a task, and nothing is left."""
    assert new_vm(user) == "OK"
    (listed,) = [entry for entry in user.data("GET", QEMU) if not entry.get("template")]
    assert (listed["vmid"], listed["name"], listed["status"]) == (100, "test1", "stopped")
    assert user.done("POST", f"{QEMU}/100/status/start") == "OK"
    assert user.data("GET", f"{QEMU}/100/status/current")["status"] == "running"
    assert user.done("POST", f"{QEMU}/100/status/start") == "VM 100 already running"
    assert user.done("POST", f"{QEMU}/100/status/stop") == "OK"
    assert pve.volumes(content="images")
    assert user.done("DELETE", f"{QEMU}/100", purge=1, destroy__unreferenced__disks=1) == "OK"
    assert (pve.vms(), pve.volumes()) == ((), ())


@pytest.mark.parametrize(
    ("parameters", "wrong"),
    [
        ({"colour": "red"}, "colour"),
        ({"cores": "two"}, "cores"),
        ({"net0": "virtio,nonsense=1"}, "net0"),
        ({"cores": 0}, "cores"),
    ],
)
def test_create_with_a_wrong_parameter_is_refused(
    pve: ProxmoxSandbox, user: Caller, parameters: dict[str, Any], wrong: str
) -> None:
    """400 with a reason for each parameter, before anything is made."""
    response = user.call("POST", QEMU, vmid=100, **parameters)
    assert response.status_code == 400
    assert list(response.json()["errors"]) == [wrong]
    assert pve.vms() == ()


def test_create_with_an_unknown_parameter_says_so_as_pve_does(user: Caller) -> None:
    """Older PVE does not know newer parameters either."""
    assert user.call("POST", QEMU, vmid=100, colour="red").json()["errors"] == {"colour": UNKNOWN}


def test_stop_with_a_newer_parameter_is_refused_by_older_pve(pve: ProxmoxSandbox, user: Caller) -> None:
    """`overrule-shutdown` came with 8.2."""
    (vm_id,) = pve.seed(1)
    pve.set_version("7.4")
    response = user.call("POST", f"{QEMU}/{vm_id}/status/stop", overrule__shutdown=1)
    assert response.status_code == 400
    assert "overrule-shutdown" in response.json()["errors"]
    pve.set_version("9.0")
    assert user.done("POST", f"{QEMU}/{vm_id}/status/stop", overrule__shutdown=1) == "OK"


def test_nextid_reserves_nothing_and_a_taken_id_is_refused(user: Caller) -> None:
    """Two callers get the same id, and one of them the VM."""
    assert user.data("GET", "/cluster/nextid") == user.data("GET", "/cluster/nextid") == "100"
    statuses = at_once(4, lambda _: user.with_token().call("POST", QEMU, vmid=100, name="test1").status_code)
    assert sorted(statuses) == [200, 500, 500, 500]
    until = time.monotonic() + 10
    while "can't lock file" in (reason := user.call("POST", QEMU, vmid=100).reason):
        assert time.monotonic() < until, reason
    assert reason == "unable to create VM 100 - VM 100 already exists on node 'pve'"


def test_create_with_an_id_that_is_in_the_making_is_refused_for_its_lock(pve: ProxmoxSandbox, user: Caller) -> None:
    """It waits for the other's task before it looks whether the id is free."""
    pve.knobs.task_seconds = 60.0
    user.data("POST", QEMU, vmid=100, scsi0="local-lvm:1")
    refused = user.call("POST", QEMU, vmid=100)
    told = "unable to create VM 100 - can't lock file '/var/lock/qemu-server/lock-100.conf' - got timeout"
    assert (refused.status_code, refused.reason) == (500, told)


def test_clone_with_an_id_that_is_in_the_making_fails_in_its_task(pve: ProxmoxSandbox, user: Caller) -> None:
    """Both have seen that the id is free; the second waits a second for the first."""
    pve.knobs.clone_window_seconds = 0.3
    pve.knobs.task_seconds = 60.0
    user.data("POST", f"{QEMU}/{TEMPLATE_ID}/clone", newid=100)
    told = "can't lock file '/var/lock/qemu-server/lock-100.conf' - got timeout"
    assert user.done("POST", f"{QEMU}/{TEMPLATE_ID}/clone", newid=100) == told


def test_clone_to_the_id_of_another_nodes_guest_fails_in_its_task(pve: ProxmoxSandbox, user: Caller) -> None:
    """It looks at its own node alone before it begins."""
    pve.seed_container(100)
    (vm_id,) = pve.seed(1, node="pve2")
    for taken in (100, vm_id):
        told = f"close (rename) atomic file '/etc/pve/nodes/pve/qemu-server/{taken}.conf' failed: File exists"
        assert user.done("POST", f"{QEMU}/{TEMPLATE_ID}/clone", newid=taken) == told
    (vm_id,) = pve.seed(1)
    told = f"unable to create VM {vm_id}: config file already exists"
    assert user.call("POST", f"{QEMU}/{TEMPLATE_ID}/clone", newid=vm_id).reason == told


def test_delete_of_a_file_that_is_not_there_is_no_error(user: Caller) -> None:
    """Only a line of the task's log."""
    assert user.done("DELETE", "/nodes/pve/storage/local/content/local:iso/gone.iso") == "OK"


def test_vm_whose_disks_are_gone_is_locked_as_destroyed(pve: ProxmoxSandbox, user: Caller) -> None:
    """Until it is out of the jobs that name it."""
    (vm_id,) = pve.seed(1, state="stopped")
    pve.knobs.purge_seconds = 60.0
    user.data("DELETE", f"{QEMU}/{vm_id}", purge=1)
    until = time.monotonic() + 10
    while (entry := user.data("GET", f"{QEMU}/{vm_id}/status/current")).get("lock") != "destroyed":
        assert time.monotonic() < until
    assert (entry["name"], entry["status"]) == (f"VM {vm_id}", "stopped")


def test_balloon_above_the_memory_is_refused_also_when_it_is_to_go(pve: ProxmoxSandbox, user: Caller) -> None:
    """PVE compares with what is there before the request."""
    (vm_id,) = pve.seed(1, state="stopped")
    pve.set_config(vm_id, "balloon", "8192")
    config = f"{QEMU}/{vm_id}/config"
    assert user.call("PUT", config, memory=512, delete="balloon").reason.startswith("balloon value too large")
    assert user.call("PUT", config, memory=512, balloon=512).status_code == 200


def test_create_with_the_id_of_a_container_is_refused(pve: ProxmoxSandbox, user: Caller) -> None:
    """Containers share the ids."""
    pve.seed_container(100)
    assert user.data("GET", "/cluster/nextid") == "101"
    assert user.call("POST", QEMU, vmid=100).status_code == 500


def test_create_of_an_imported_image_has_its_size(pve: ProxmoxSandbox, user: Caller) -> None:
    """`import-from`, and a resize."""
    assert user.done("POST", QEMU, vmid=100, scsi0=f"local-lvm:0,import-from={IMPORT_IMAGE}") == "OK"
    assert pve.volumes(content="images")[0].size_bytes == 8 << 30
    assert user.done("PUT", f"{QEMU}/100/resize", disk="scsi0", size="20G") == "OK"
    assert pve.volumes(content="images")[0].size_bytes == 20 << 30


def test_clone_of_the_template_makes_a_vm(pve: ProxmoxSandbox, user: Caller) -> None:
    """And the template stays one, which cannot be started."""
    assert user.done("POST", f"{QEMU}/{TEMPLATE_ID}/clone", newid=100, name="test1", full=1) == "OK"
    assert [vm.name for vm in pve.vms()] == ["test1"]
    assert "template" in user.done("POST", f"{QEMU}/{TEMPLATE_ID}/status/start")


def test_upload_of_an_iso_can_be_attached_and_removed(pve: ProxmoxSandbox, user: Caller) -> None:
    """Byte for byte."""
    files = [
        ("content", (None, "iso", "text/plain")),
        ("filename", ("seed.iso", b"\0 an image \xff", "application/octet-stream")),
    ]
    assert user.done("POST", "/nodes/pve/storage/local/upload", files=files) == "OK"
    assert pve.data("local:iso/seed.iso") == b"\0 an image \xff"
    assert new_vm(user, ide2="local:iso/seed.iso,media=cdrom", ide3=f"{ISO_IMAGE},media=cdrom") == "OK"
    assert user.done("DELETE", "/nodes/pve/storage/local/content/local:iso/seed.iso") == "OK"
    assert pve.data("local:iso/seed.iso") is None


def test_verbs_on_a_locked_vm_are_refused(pve: ProxmoxSandbox, user: Caller) -> None:
    """With the lock's name."""
    (vm_id,) = pve.seed(1, state="stopped")
    pve.lock(vm_id, "backup")
    exit_status = user.call("POST", f"{QEMU}/{vm_id}/status/start")
    told = exit_status.reason if exit_status.status_code != 200 else pve.tasks()[-1].exit_status
    assert "VM is locked (backup)" in str(told)


def test_verbs_without_privilege_name_it(pve: ProxmoxSandbox, stranger: Caller) -> None:
    """403 with path and privilege."""
    (vm_id,) = pve.seed(1)
    pve.add_token("demo@sandbox!little", privileges={"/vms": frozenset({"VM.Audit"})})
    little = stranger.with_token("demo@sandbox!little")
    assert little.call("GET", f"{QEMU}/{vm_id}/status/current").status_code == 200
    response = little.call("POST", f"{QEMU}/{vm_id}/status/stop")
    assert response.status_code == 403
    assert response.reason.startswith(f"Permission check failed (/vms/{vm_id}, VM.PowerMgmt)")


def test_task_is_seen_and_ended_by_its_owner_alone(pve: ProxmoxSandbox, user: Caller, stranger: Caller) -> None:
    """A token's is its user's, too; a user's is not the token's, and others need a privilege on the node."""
    pve.knobs.task_seconds = 60.0
    pve.add_user("other@sandbox", "other", privileges={"/vms": frozenset({"VM.Audit"})})
    pve.add_user("demo@sandbox", "demo", privileges={"/vms": frozenset({"VM.PowerMgmt"})})
    pve.add_token("demo@sandbox!less", privileges={"/vms": frozenset({"VM.PowerMgmt"})})
    (vm_id,) = pve.seed(1)
    upid = user.data("POST", f"{QEMU}/{vm_id}/status/reset")
    owner, other = stranger.with_ticket(), stranger.with_ticket("other@sandbox", "other")
    for caller, status in ((owner, 200), (other, 403), (stranger.with_token("demo@sandbox!less"), 403)):
        assert caller.call("GET", f"/nodes/pve/tasks/{upid}/status").status_code == status
        assert len(caller.data("GET", "/nodes/pve/tasks", source="all")) == (status == 200)
        assert caller.call("DELETE", f"/nodes/pve/tasks/{upid}").status_code == status
    own = owner.data("POST", f"{QEMU}/{vm_id}/status/reset")
    assert stranger.with_token("demo@sandbox!less").call("GET", f"/nodes/pve/tasks/{own}/status").status_code == 403


def test_task_that_is_to_fail_ends_with_the_text_that_was_planned(pve: ProxmoxSandbox, user: Caller) -> None:
    """An error undoes the work; a warning comes after it."""
    pve.end_next_task("qmcreate", "no space left")
    assert new_vm(user) == "no space left"
    assert (pve.vms(), pve.volumes()) == ((), ())
    pve.end_next_task("qmcreate", "WARNINGS: 1", work_done=True)
    assert new_vm(user) == "WARNINGS: 1"
    assert len(pve.vms()) == 1


def test_shutdown_of_a_guest_that_does_not_heed_it_fails(pve: ProxmoxSandbox, user: Caller) -> None:
    """Unless the power is cut after the time."""
    (vm_id,) = pve.seed(1)
    pve.ignore_shutdown(vm_id)
    assert user.done("POST", f"{QEMU}/{vm_id}/status/shutdown", timeout=0) != "OK"
    assert pve.vm(vm_id).state == "running"
    assert user.done("POST", f"{QEMU}/{vm_id}/status/stop", overrule__shutdown=1) == "OK"
    assert pve.vm(vm_id).state == "stopped"


def test_show_of_a_migrated_vm_is_found_on_its_new_node(pve: ProxmoxSandbox, user: Caller) -> None:
    """The old node does not know it, the cluster does."""
    (vm_id,) = pve.seed(1)
    pve.migrate(vm_id, "pve2")
    assert user.call("GET", f"{QEMU}/{vm_id}/config").status_code == 500
    pve.knobs.resources_lag_seconds = 0
    nodes = {entry.get("vmid"): entry["node"] for entry in user.data("GET", "/cluster/resources", type="vm")}
    assert nodes[vm_id] == "pve2"


def test_snapshot_keeps_a_configuration(pve: ProxmoxSandbox, user: Caller) -> None:
    """The list ends with the VM as it is now. What no snapshot is called is an error."""
    (vm_id,) = pve.seed(1)
    pve.take_snapshot(vm_id, "before")
    pve.set_config(vm_id, "name", "renamed")
    names = [one["name"] for one in user.data("GET", f"/nodes/pve/qemu/{vm_id}/snapshot")]
    assert names == ["before", "current"]
    path = f"/nodes/pve/qemu/{vm_id}/config"
    assert user.data("GET", path)["parent"] == "before"
    assert user.data("GET", path, snapshot="before")["name"] != user.data("GET", path)["name"] == "renamed"
    assert user.call("GET", path, snapshot="after").status_code == 500


def test_method_that_is_not_offered_is_not_implemented(user: Caller) -> None:
    """501, as PVE answers."""
    assert user.call("GET", "/nodes/pve/certificates").status_code == 501


def test_fault_befalls_the_call_that_was_planned(pve: ProxmoxSandbox, user: Caller) -> None:
    """A proxy's own error, HTML with 200, a cut connection; each once."""
    pve.faults.add(Fault("GET /nodes/{node}/qemu", status=595, message="Connection refused"))
    pve.faults.add(Fault("GET /nodes/{node}/qemu", body=b"<html>"))
    pve.faults.add(Fault("GET /nodes/{node}/qemu", cut=Cut.ANSWER))
    assert user.call("GET", QEMU).status_code == 595
    assert user.call("GET", QEMU).text == "<html>"
    with pytest.raises(requests.ConnectionError):
        user.call("GET", QEMU)
    assert user.call("GET", QEMU).status_code == 200
    assert pve.calls.count("GET /nodes/{node}/qemu") == 4


def test_list_of_all_vms_is_one_answer(pve: ProxmoxSandbox, user: Caller) -> None:
    """PVE has no pages."""
    ids = pve.seed(30)
    assert sorted(entry["vmid"] for entry in user.data("GET", QEMU) if not entry.get("template")) == sorted(ids)


@vendor.needs(SPECIFICATION)
@pytest.mark.parametrize("operation", METHODS)
def test_method_is_offered_as_the_vendor_describes_it(operation: str) -> None:
    """Every path, method and parameter exists there, and what is required there is required here."""
    method, _, path = operation.partition(" ")
    described = _described()[method, path]
    properties = described.get("parameters", {}).get("properties", {})
    numbered = {re.sub(r"\[n\]$", "", name) for name in properties if name.endswith("[n]")}
    for name, schema in METHODS[operation].parameters.items():
        known = properties.get(name) or (re.sub(r"\d+$", "", name) in numbered)
        assert known, f"{operation}: {name} is unknown to the vendor"
        if isinstance(known, dict):
            assert schema.required == (not known.get("optional", 0)), f"{operation}: {name}"
            assert schema.type == known.get("type", "string") or known["type"] == "array", f"{operation}: {name}"


def _described() -> dict[tuple[str, str], dict[str, Any]]:
    text = SPECIFICATION.read_text()
    tree = json.loads(text[text.index("[") :])
    found: dict[tuple[str, str], dict[str, Any]] = {}
    pending = list(tree)
    while pending:
        node = pending.pop()
        pending += node.get("children", [])
        found.update({(method, node["path"]): info for method, info in node.get("info", {}).items()})
    return found
