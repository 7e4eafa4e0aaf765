"""What PVE's texts become: its refusals, its failed tasks, and what others say in its place."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from providers.domain import StopMode
from providers.errors import ErrorCode, ProviderError
from providers.proxmox.failures import task_failure
from providers.sandbox.faults import Fault
from tests.providers.proxmox.cluster import VM, VMS, Pve

LIST, STOP = f"GET {VMS}", f"POST {VM}/status/stop"
JSON = "application/json;charset=UTF-8"

TEXTS = [
    ("Configuration file 'nodes/pve/qemu-server/4711.conf' does not exist", ErrorCode.VM_NOT_FOUND),
    ("unable to find configuration file for VM 4711 on node 'pve'", ErrorCode.VM_NOT_FOUND),
    ("you can't start a vm if it's a template", ErrorCode.VM_NOT_FOUND),
    ("unable to create VM 100 - VM 100 already exists on node 'pve'", ErrorCode.CONFLICT),
    ("unable to create VM 100 - CT 100 already exists on node 'pve2'", ErrorCode.CONFLICT),
    ("unable to create VM 401: config file already exists", ErrorCode.CONFLICT),
    ("close (rename) atomic file '/etc/pve/nodes/pve/qemu-server/401.conf' failed: File exists", ErrorCode.CONFLICT),
    ("VM is locked (backup)", ErrorCode.CONFLICT),
    ("VM is locked (snapshot-delete)", ErrorCode.CONFLICT),
    ("can't lock file '/var/lock/qemu-server/lock-100.conf' - got timeout", ErrorCode.CONFLICT),
    ("VM 100 not running", ErrorCode.CONFLICT),
    ("VM 100 is running - destroy failed", ErrorCode.CONFLICT),
    ("VM is paused - cannot shutdown", ErrorCode.CONFLICT),
    ("can't remove VM 100 - protection mode enabled", ErrorCode.CONFLICT),
    ("unable to remove VM 100 - used in HA resources and purge parameter not set.", ErrorCode.CONFLICT),
    ("detected modified configuration - file changed by other user? Try again.", ErrorCode.CONFLICT),
    ("checksum mismatch (file change by other user?)", ErrorCode.CONFLICT),
    ("unable to get any free VMID in range [100, 1000000]", ErrorCode.QUOTA_EXCEEDED),
    ("cfs-lock 'storage-nfs' error: got lock request timeout", ErrorCode.UNAVAILABLE),
    ("Cannot create new thin volume, free space in thin pool pve/data reached threshold.", ErrorCode.UNAVAILABLE),
    ("cluster not ready - no quorum?", ErrorCode.UNAVAILABLE),
    ("no space left on device", ErrorCode.UNAVAILABLE),
    ("error during cfs-locked 'file-user_cfg' operation: no quorum!", ErrorCode.UNAVAILABLE),
    ("unable to create VM 100 - lvcreate 'pve/vm-100-disk-0' error: insufficient free space", ErrorCode.UNAVAILABLE),
    ("start failed: QEMU exited: cannot allocate memory", ErrorCode.UNAVAILABLE),
    ("storage 'nope' does not exist", ErrorCode.UNPROCESSABLE),
    ("storage 'kvm02-storage' is not available on node 'kvm01'", ErrorCode.UNPROCESSABLE),
    ("storage 'local-zfs' is disabled", ErrorCode.UNPROCESSABLE),
    ("storage 'nfs' is not online", ErrorCode.UNPROCESSABLE),
    ("storage 'local-lvm' does not support 'iso' content", ErrorCode.UNPROCESSABLE),
    ("storage 'local' does not support vm images", ErrorCode.UNPROCESSABLE),
    ("can't upload to storage type 'lvmthin'", ErrorCode.UNPROCESSABLE),
    (
        "unable to create VM 100 - cannot import from 'local:import/x.qcow2' - volume does not exist",
        ErrorCode.UNPROCESSABLE,
    ),
    ("unable to create VM 190 - no such logical volume YYY/ZZZ", ErrorCode.UNPROCESSABLE),
    ("volume 'local:iso/gone.iso' does not exist", ErrorCode.UNPROCESSABLE),
    ("bridge 'vmbr9' does not exist", ErrorCode.UNPROCESSABLE),
    ("no such cluster node 'pve9'", ErrorCode.UNPROCESSABLE),
    ("hostname lookup 'pve9' failed - failed to get address info for: pve9", ErrorCode.UNPROCESSABLE),
    ("can't clone VM to node 'pve2' (VM uses local storage)", ErrorCode.UNPROCESSABLE),
    ("can't clone to non-shared storage 'local-lvm'", ErrorCode.UNPROCESSABLE),
    ("Linked clone feature is not supported for 'local-lvm:vm-9-disk-0' (scsi0)", ErrorCode.UNPROCESSABLE),
    ("Linked clone feature is not supported for drive 'scsi0'", ErrorCode.UNPROCESSABLE),
    ("Full clone feature is not supported for 'local-lvm:vm-9-disk-0' (scsi0)", ErrorCode.UNPROCESSABLE),
    ("parameter 'storage' not allowed for linked clones", ErrorCode.UNPROCESSABLE),
    ("MAX 8 vcpus allowed per VM on this node", ErrorCode.UNPROCESSABLE),
    ("disk 'scsi0' does not exist", ErrorCode.UNPROCESSABLE),
    ("invalid bootorder: device 'scsi0' does not exist'", ErrorCode.UNPROCESSABLE),
    ("balloon value too large (must be smaller than assigned memory)", ErrorCode.UNPROCESSABLE),
    ("unable to parse directory volume name 'x'", ErrorCode.UNPROCESSABLE),
    ("shrinking disks is not supported", ErrorCode.UNPROCESSABLE),
    ('Can\'t call method "foo" on an undefined value at /usr/share/perl5/PVE/X.pm line 1.', ErrorCode.BACKEND_ERROR),
    ("got timeout", ErrorCode.BACKEND_ERROR),
    ("unable to create image: mkdir /mnt/pve/nfs/images/100: Permission denied", ErrorCode.BACKEND_ERROR),
    ("a text that nobody has heard of", ErrorCode.BACKEND_ERROR),
]
STATUSES = [
    (400, "Parameter verification failed.", ErrorCode.UNPROCESSABLE),
    (401, "permission denied - invalid PVE ticket", ErrorCode.CREDENTIALS_REJECTED),
    (401, "invalid token value!", ErrorCode.CREDENTIALS_REJECTED),
    (403, "Permission check failed (/vms/100, VM.PowerMgmt)", ErrorCode.PERMISSION_DENIED),
    (403, "Permission check failed", ErrorCode.PERMISSION_DENIED),
    (429, "Too Many Requests", ErrorCode.THROTTLED),
    (500, "Permission check failed (/vms/100, VM.PowerMgmt)", ErrorCode.PERMISSION_DENIED),
    (501, "Method 'POST /nodes/pve/qemu/100/status/stop' not implemented", ErrorCode.BACKEND_ERROR),
    (502, "Bad Gateway", ErrorCode.BACKEND_ERROR),
    (595, "No route to host", ErrorCode.BACKEND_UNREACHABLE),
    (595, "Errors during connection establishment, proxy handshake: Connection refused", ErrorCode.BACKEND_UNREACHABLE),
    (596, "Connection timed out", ErrorCode.BACKEND_UNREACHABLE),
    (596, "tls_process_server_certificate: certificate verify failed", ErrorCode.BACKEND_UNREACHABLE),
    (599, "Too many redirections", ErrorCode.BACKEND_UNREACHABLE),
    (597, "storage 'nfs' does not exist", ErrorCode.BACKEND_UNREACHABLE),
    (429, "VM is locked (backup)", ErrorCode.THROTTLED),
]


def refused(pve: Pve, fault: Fault) -> ProviderError:
    """What a fault of a list, or of a forced stop, becomes."""
    pve.sandbox.faults.add(fault)
    gateway, vm_id = pve.gateway(), str(pve.sandbox.seed(1)[0])
    call = gateway.list_vms if fault.operation == LIST else lambda: gateway.stop_vm(vm_id, StopMode.FORCE, 0)
    with pytest.raises(ProviderError) as caught:
        call()
    pve.sandbox.faults.clear()
    return caught.value


def test_refusal_has_the_code_that_its_text_means(pve: Pve) -> None:
    """Whether only the status line tells it (7.4) or the body, too (9.0)."""
    wrong = []
    for version in ("7.4", "9.0"):
        pve.sandbox.set_version(version)
        for text, code in TEXTS:
            error = refused(pve, Fault(LIST, status=500, message=text))
            if error.code is not code or text[:60] not in error.detail:
                wrong.append(f"{version} {text}: {error.code} {error.detail}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(("text", "code"), TEXTS)
def test_failed_task_has_the_code_that_its_text_means(text: str, code: ErrorCode) -> None:
    """The same words end tasks."""
    failure = task_failure("POST /x", "100", text)
    assert failure.code is code
    assert text[:60] in failure.detail


@pytest.mark.parametrize(("status", "text", "code"), STATUSES)
@pytest.mark.parametrize("version", ["7.4", "9.0"])
def test_status_has_its_code(pve: Pve, version: str, status: int, text: str, code: ErrorCode) -> None:
    """By the number where the text says nothing; the words are kept."""
    pve.sandbox.set_version(version)
    error = refused(pve, Fault(STOP, status=status, message=text, times=None))
    assert error.code is code
    assert text in error.detail
    assert error.backend is not None
    assert (error.backend.cloud, error.backend.operation, error.backend.status) == ("Proxmox", STOP, status)


def test_path_that_is_not_known_leads_to_the_url(pve: Pve) -> None:
    """Proxmox knows every path that we ask for; a VM that is gone is told by another answer."""
    detail = refused(pve, Fault(LIST, status=404, message="Not Found", times=None)).detail
    assert detail.endswith("(404): Not Found. Check the environment's url.")


def test_refused_permission_names_path_and_privilege(pve: Pve) -> None:
    """And says what to give to whom."""
    error = refused(pve, Fault(STOP, status=403, message="Permission check failed (/vms/100, VM.PowerMgmt)"))
    assert "/vms/100, VM.PowerMgmt" in error.detail
    assert "privilege" in error.detail
    assert error.backend is not None
    assert error.backend.code == "Permission check failed (/vms/100, VM.PowerMgmt)"


@pytest.mark.parametrize("version", ["7.4", "9.0"])
def test_refused_parameter_is_named(pve: Pve, version: str) -> None:
    """Each with its reason, as a field."""
    pve.sandbox.set_version(version)
    error = refused(pve, Fault(STOP, status=400, code="timeout", message="type check failed", times=None))
    assert error.code is ErrorCode.UNPROCESSABLE
    assert [(fault.field, fault.detail) for fault in error.fields] == [("timeout", "type check failed")]


def test_reason_in_a_body_is_whole(pve: Pve) -> None:
    """Line breaks and letters of all alphabets; the status line has neither."""
    text = "hook script failed:\ngrößer als ein Satz \u2014 日本"
    assert text in refused(pve, Fault(LIST, status=500, message=text)).detail


def test_reason_in_a_status_line_keeps_its_letters(pve: Pve) -> None:
    """UTF-8 there, which HTTP libraries take for Latin-1."""
    pve.sandbox.set_version("7.4")
    raw = "Prüfung fehlgeschlagen: größer".encode().decode("latin-1")
    assert "Prüfung fehlgeschlagen: größer" in refused(pve, Fault(LIST, status=500, message=raw)).detail


def test_reason_of_great_length_is_cut(pve: Pve) -> None:
    """A page of Perl is no sentence."""
    assert len(refused(pve, Fault(LIST, status=500, message="x" * 20_000)).detail) < 1000


NONSENSE: list[tuple[bytes, str]] = [
    (b"<html><body>Welcome</body></html>", "text/html"),
    (b"", JSON),
    (b"null", JSON),
    (b"[]", JSON),
    (b"{}", JSON),
    (b'{"success":1}', JSON),
    (b'{"data":', JSON),
    (b"\xff\xfe", JSON),
]


@pytest.mark.parametrize(("body", "content_type"), NONSENSE)
@pytest.mark.parametrize("operation", [LIST, STOP])
def test_answer_that_is_not_pves_is_a_backend_error(pve: Pve, operation: str, body: bytes, content_type: str) -> None:
    """Status 200, and something else in PVE's place."""
    error = refused(pve, Fault(operation, body=body, content_type=content_type, times=None))
    assert error.code is ErrorCode.BACKEND_ERROR
    assert "proxy" in error.detail


@pytest.mark.parametrize("data", [None, 1, "x", [], [1], {}, {"vmid": "x"}, [{"status": "running"}], [None], [[]]])
def test_data_of_another_form_is_a_backend_error(pve: Pve, data: object) -> None:
    """PVE's envelope with something else in it: never a fault of ours, whatever asks."""
    (vm_id,) = pve.sandbox.seed(1, state="stopped")
    gateway, body = pve.gateway(), json.dumps({"data": data}).encode()
    places: dict[str, Callable[[], object]] = {
        LIST: gateway.list_vms,
        f"GET {VM}/config": lambda: gateway.get_vm(str(vm_id)),
        f"GET {VM}/status/current": lambda: gateway.get_vm(str(vm_id)),
        f"POST {VM}/status/start": lambda: gateway.start_vm(str(vm_id)),
        "GET /cluster/nextid": pve.create,
        f"POST {VMS}": lambda: pve.create(cloud_init=None),
    }
    for operation, call in places.items():
        pve.sandbox.faults.add(Fault(operation, body=body, content_type=JSON, times=None))
        try:
            call()
        except ProviderError as error:
            # A number is an id, be it one that PVE will not have.
            codes = {ErrorCode.BACKEND_ERROR} | ({ErrorCode.UNPROCESSABLE} if data == 1 else set())
            assert error.code in codes, (operation, error.detail)  # noqa: PT017 - some calls may succeed
        pve.sandbox.faults.clear()
    assert [vm.id for vm in pve.sandbox.vms()] == [vm_id]


@pytest.mark.parametrize("option", [{"memory": "much"}, {"cores": "x"}, {"meta": f"ctime={10**30}"}, {"vcpus": None}])
def test_configuration_with_values_of_another_form_is_no_fault_of_ours(pve: Pve, option: dict[str, object]) -> None:
    """A backend error, or a VM as far as it can be read."""
    (vm_id,) = pve.sandbox.seed(1)
    body = json.dumps({"data": {"name": "a", **option}}).encode()
    pve.sandbox.faults.add(Fault(f"GET {VM}/config", body=body, content_type=JSON))
    try:
        assert pve.gateway().get_vm(str(vm_id)).name == "a"
    except ProviderError as error:
        told = (error.code, "/config" in error.detail)
        assert told == (ErrorCode.BACKEND_ERROR, True)


def test_failed_upload_names_the_image_and_no_vm(pve: Pve) -> None:
    """Before there is a VM."""
    pve.sandbox.end_next_task("imgcopy", "import failed: exit code 1")
    with pytest.raises(
        ProviderError, match=r"upload for local:iso/cloudvm-[\w-]+\.iso, and its task failed: import failed"
    ):
        pve.create()


@pytest.mark.parametrize("data", [None, [], {}, "x", {"status": None}])
def test_task_state_of_another_form_does_not_end_well(pve: Pve, data: object) -> None:
    """It is looked at some times more, and given up."""
    (vm_id,) = pve.sandbox.seed(1, state="stopped")
    task = "GET /nodes/{node}/tasks/{upid}/status"
    pve.sandbox.faults.add(Fault(task, body=json.dumps({"data": data}).encode(), content_type=JSON, times=None))
    with pytest.raises(ProviderError):
        pve.gateway(seconds=1.5).start_vm(str(vm_id))


def test_throttled_call_keeps_retry_after(pve: Pve) -> None:
    """As a proxy in front may say it."""
    error = refused(pve, Fault(LIST, status=429, message="Too Many Requests", headers={"Retry-After": "7"}))
    assert error.retry_after_seconds == 7.0
    error = refused(pve, Fault(LIST, status=429, message="x", headers={"Retry-After": "Wed, 21 Oct 2026 07:28:00 GMT"}))
    assert error.retry_after_seconds is None
    error = refused(pve, Fault(LIST, status=429, message="x", headers={"Retry-After": "\xb2"}))
    assert error.retry_after_seconds is None
