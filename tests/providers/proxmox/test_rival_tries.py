"""Tries that share one VM, clean-ups that come late, and what users did meanwhile."""

from __future__ import annotations

import json
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing

import pytest

from providers.domain import Operation, StopMode
from providers.errors import ErrorCode, ProviderError
from providers.gateway import Backends
from providers.sandbox.faults import Fault
from providers.sandbox.proxmox import IMPORT_IMAGE
from tests.providers.proxmox.cluster import QEMU, STORAGE, TEMPLATE_IMAGE, VM, Pve, spec
from tests.providers.proxmox.images import user_data
from tests.providers.proxmox.test_idempotency import seed_of
from tests.providers.reached import AT_ONCE, NETWORK, USER_DATA
from tests.support.arrivals import at_call
from tests.support.limits import LIMITS
from tests.support.waiting import wait_until

KEY = "order-4711"
RESIZE, CONFIGURE, START, DELETE = f"PUT {VM}/resize", f"PUT {VM}/config", f"POST {VM}/status/start", f"DELETE {VM}"
DENIED = Fault(status=403, message="Permission check failed (/, none)")


def failed_start(pve: Pve, *, key: str = "") -> Operation:
    """Begin a create whose start will fail, and do not wait for it."""
    pve.sandbox.end_next_task("qmstart", "start failed: QEMU exited with code 1")
    accepted = pve.gateway().create_vm(spec(key=key), AT_ONCE)
    pve.rest()
    return accepted


def follow(pve: Pve, accepted: Operation) -> list[tuple[str, bool]]:
    """Follow a create that has failed; return its leftovers and whether they were removed."""
    ended = pve.gateway().poll(accepted)
    assert ended.failure is not None
    return [(one.kind, one.removed) for one in ended.failure.leftovers]


def the_vm(pve: Pve) -> tuple[str, str, bytes | None]:
    """The only VM: its id, its state and its user data."""
    (vm,) = pve.sandbox.vms()
    return str(vm.id), vm.state, user_data(seed_of(pve, str(vm.id)))


@pytest.mark.parametrize("image", [IMPORT_IMAGE, TEMPLATE_IMAGE])
@pytest.mark.parametrize(
    ("step", "start"), [(RESIZE, True), (RESIZE, False), (CONFIGURE, True), (CONFIGURE, False), (START, True)]
)
def test_create_that_fails_after_another_try_was_answered_leaves_the_vm(
    pve: Pve,
    image: str,
    step: str,
    start: bool,  # noqa: FBT001 - pytest's
) -> None:
    """At some call of the first try a second one comes and is answered with the VM; then that call fails."""
    answered: list[str] = []
    with closing(Backends(NETWORK, LIMITS)) as other:

        def second() -> None:
            answered.append(pve.create(image, pve.gateway(backends=other), key=KEY, start=start))
            pve.sandbox.faults.add(Fault(step, status=DENIED.status, message=DENIED.message))

        with at_call(pve.sandbox.calls, step, second), pytest.raises(ProviderError) as caught:
            pve.create(image, key=KEY, start=start)
    assert caught.value.leftovers == ()
    assert the_vm(pve) == (answered[0], "running" if start else "stopped", USER_DATA)
    assert len(pve.sandbox.volumes(content="images")) == 1


def test_create_whose_deadline_passes_after_another_try_was_answered_leaves_the_vm(pve: Pve) -> None:
    """The caller has given up and repeated the request."""
    answered: list[str] = []
    pve.sandbox.knobs.task_seconds = 0.5
    with closing(Backends(NETWORK, LIMITS)) as other:

        def second() -> None:
            pve.sandbox.knobs.task_seconds = 0.02
            answered.append(pve.create(gateway=pve.gateway(backends=other, seconds=60), key=KEY))
            pve.sandbox.faults.add(Fault(RESIZE, status=DENIED.status, message=DENIED.message))

        with at_call(pve.sandbox.calls, RESIZE, second), pytest.raises(ProviderError):
            pve.create(gateway=pve.gateway(seconds=5), key=KEY)
    assert the_vm(pve) == (answered[0], "running", USER_DATA)


@pytest.mark.parametrize("start", [True, False])
def test_create_whose_upload_is_not_answered_leaves_the_image_of_another_try(
    pve: Pve,
    start: bool,  # noqa: FBT001 - pytest's
) -> None:
    """The other try uploads it and makes its VM while the first one waits for the image to appear."""
    pve.sandbox.faults.add(Fault(f"POST {STORAGE}/upload", status=599, message="Too many redirections"))
    answered: list[str] = []
    with closing(Backends(NETWORK, LIMITS)) as other:

        def second() -> None:
            answered.append(pve.create(gateway=pve.gateway(backends=other, seconds=60), key=KEY, start=start))

        with (
            at_call(pve.sandbox.calls, f"GET {STORAGE}/content/{{volume}}", second),
            pytest.raises(ProviderError) as caught,
        ):
            pve.create(key=KEY, start=start)
    assert caught.value.leftovers == ()
    assert the_vm(pve) == (answered[0], "running" if start else "stopped", USER_DATA)


@pytest.mark.parametrize("image", [IMPORT_IMAGE, TEMPLATE_IMAGE])
def test_create_whose_key_another_request_has_used_meanwhile_removes_its_image(pve: Pve, image: str) -> None:
    """The other request has made its VM with an image of its own. It came while the first one uploaded its image."""
    answered: list[str] = []
    with closing(Backends(NETWORK, LIMITS)) as other:

        def second() -> None:
            answered.append(pve.create(image, pve.gateway(backends=other), key=KEY, digest="other"))

        with at_call(pve.sandbox.calls, f"POST {STORAGE}/upload", second), pytest.raises(ProviderError) as caught:
            pve.create(image, key=KEY)
    assert caught.value.code is ErrorCode.UNPROCESSABLE
    assert [(one.kind, one.removed) for one in caught.value.leftovers] == [("iso", True)]
    assert the_vm(pve) == (answered[0], "running", USER_DATA)
    assert len(pve.sandbox.volumes(content="iso")) == 1


def test_retry_that_comes_during_the_clean_up_has_a_vm_of_its_own(pve: Pve) -> None:
    """It waits for the removal, whose call is on its way."""
    retries: list[Future[str]] = []
    pve.sandbox.end_next_task("qmstart", "start failed: QEMU exited with code 1")
    with closing(Backends(NETWORK, LIMITS)) as other, ThreadPoolExecutor(1) as pool:

        def retry() -> None:
            pve.sandbox.calls.clear()
            retries.append(pool.submit(pve.create, gateway=pve.gateway(backends=other, seconds=60), key=KEY))
            wait_until(lambda: f"GET {VM}/config" in pve.operations())

        with at_call(pve.sandbox.calls, DELETE, retry), pytest.raises(ProviderError) as caught:
            pve.create(key=KEY)
        vm_id = retries[0].result()
    assert [one.removed for one in caught.value.leftovers if one.kind == "vm"] == [True]
    assert the_vm(pve) == (vm_id, "running", USER_DATA)


def test_retry_finishes_a_vm_whose_removal_was_given_up(pve: Pve) -> None:
    """The clean-up had stopped the VM, which its create had started: nobody was told of it."""
    # The start is sent again until the deadline.
    pve.sandbox.faults.add(Fault(START, status=599, message="Too many redirections", after=True, times=None))
    pve.sandbox.faults.add(Fault(DELETE, status=DENIED.status, message=DENIED.message, skip=1, times=None))
    with pytest.raises(ProviderError):
        pve.create(gateway=pve.gateway(seconds=5), key=KEY)
    assert [vm.state for vm in pve.sandbox.vms()] == ["stopped"]
    pve.sandbox.faults.clear()
    vm_id = pve.create(gateway=pve.gateway(seconds=60), key=KEY)
    assert the_vm(pve) == (vm_id, "running", USER_DATA)
    assert "abandoned" not in pve.sandbox.vm(vm_id).config["description"]


@pytest.mark.parametrize("times", [1, 9])
def test_clean_up_marks_a_vm_that_is_changed_at_the_same_moment(pve: Pve, times: int) -> None:
    """Once it looks again; a VM that changes each time stays."""
    message = "detected modified configuration - file changed by other user? Try again."
    pve.sandbox.faults.add(Fault(CONFIGURE, status=500, message=message, skip=1, times=times))
    pve.sandbox.end_next_task("qmstart", "start failed: QEMU exited with code 1")
    with pytest.raises(ProviderError) as caught:
        pve.create(key=KEY)
    is_removed = times == 1
    assert [one.removed for one in caught.value.leftovers] == [is_removed, is_removed]
    assert (pve.made() == ([], [])) is is_removed


def test_clean_up_spares_a_vm_that_its_user_started_just_before_the_delete(pve: Pve) -> None:
    """Its own start was refused, and its user was faster than the removal."""
    pve.sandbox.faults.add(Fault(START, status=DENIED.status, message=DENIED.message))

    def start() -> None:
        pve.sandbox.set_state(100, "running")

    with at_call(pve.sandbox.calls, DELETE, start), pytest.raises(ProviderError) as caught:
        pve.create()
    assert [(one.kind, one.removed) for one in caught.value.leftovers] == [("vm", False), ("iso", False)]
    assert the_vm(pve) == ("100", "running", USER_DATA)


@pytest.mark.parametrize("state", ["running", "stopped"])
def test_create_that_failed_when_followed_spares_a_vm_whose_log_shows_a_start(pve: Pve, state: str) -> None:
    """Whether it still runs or not."""
    accepted = failed_start(pve)
    pve.gateway().start_vm("100")
    if state == "stopped":
        pve.gateway().stop_vm("100", StopMode.FORCE, 0)
    assert follow(pve, accepted) == [("vm", False)]
    assert the_vm(pve) == ("100", state, USER_DATA)


@pytest.mark.parametrize("option", ["lock", "protection", "parent"])
def test_create_that_failed_when_followed_spares_a_vm_that_may_be_in_use(pve: Pve, option: str) -> None:
    """Somebody has locked or protected it, or made a snapshot."""
    accepted = failed_start(pve)
    pve.sandbox.set_config(100, option, "backup" if option == "lock" else "1")
    assert follow(pve, accepted) == [("vm", False)]
    assert the_vm(pve)[0] == "100"


@pytest.mark.parametrize("is_stopped", [True, False])
def test_create_that_failed_when_followed_spares_a_vm_with_the_note_of_a_retry(
    pve: Pve,
    is_stopped: bool,  # noqa: FBT001 - pytest's
) -> None:
    """The retry has started it, and was answered with it."""
    accepted = failed_start(pve, key=KEY)
    vm_id = pve.create(key=KEY)
    if is_stopped:
        pve.gateway().stop_vm(vm_id, StopMode.FORCE, 0)
    assert follow(pve, accepted) == []
    assert the_vm(pve) == (vm_id, "stopped" if is_stopped else "running", USER_DATA)


def test_create_that_failed_when_followed_twice_is_removed_once(pve: Pve) -> None:
    """With its image; nothing is left."""
    accepted = failed_start(pve, key=KEY)
    assert follow(pve, accepted) == [("vm", True)]
    assert pve.made() == ([], [])
    assert follow(pve, accepted) == [("vm", True)]


def test_retry_does_not_start_a_vm_whose_past_is_unknown(pve: Pve) -> None:
    """Proxmox throws old tasks away: it may have run."""
    vm_id = pve.create(key=KEY)
    pve.gateway().stop_vm(vm_id, StopMode.FORCE, 0)
    notes = json.loads(pve.sandbox.vm(vm_id).config["description"])
    notes["cloudvm"]["created_at"] = 1_767_225_600
    pve.sandbox.set_config(vm_id, "description", json.dumps(notes))
    assert pve.create(key=KEY) == vm_id
    assert the_vm(pve)[1] == "stopped"
    # The note of an old VM is not rewritten either.
    assert json.loads(pve.sandbox.vm(vm_id).config["description"]) == notes


def test_retry_that_changes_at_the_same_moment_as_somebody_else_looks_again(pve: Pve) -> None:
    """What people write into the notes at that moment is kept."""
    vm_id = pve.create(key=KEY)

    def edit() -> None:
        notes = pve.sandbox.vm(vm_id).config["description"]
        assert pve.stranger().call("PUT", f"{QEMU}/{vm_id}/config", description=f"Ask Ann.\n{notes}").status_code == 200

    with at_call(pve.sandbox.calls, CONFIGURE, edit):
        assert pve.create(key=KEY) == vm_id
    assert pve.sandbox.vm(vm_id).config["description"].startswith("Ask Ann.\n")


def test_retry_that_always_finds_the_vm_changed_is_a_conflict(pve: Pve) -> None:
    """Nothing is removed."""
    vm_id = pve.create(key=KEY)
    fault = Fault(CONFIGURE, status=500, message="detected modified configuration - file changed by other user?")
    pve.sandbox.faults.add(Fault(fault.operation, status=fault.status, message=fault.message, times=None))
    with pytest.raises(ProviderError) as caught:
        pve.create(key=KEY)
    assert (caught.value.code, caught.value.leftovers) == (ErrorCode.CONFLICT, ())
    assert the_vm(pve)[0] == vm_id
