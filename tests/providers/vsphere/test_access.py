"""Who calls: one session for each, renewed once, logged out in the end, and nothing secret told."""

from __future__ import annotations

import logging
import threading
from dataclasses import replace

import pytest

from providers.credentials import Credentials
from providers.domain import StopMode
from providers.errors import CredentialsRejectedError, PermissionDeniedError, ProviderError, ThrottledError
from providers.gateway import Backends
from providers.sandbox.faults import Cut, Fault
from providers.sandbox.vsphere import PASSWORD, USER
from tests.providers.reached import AT_ONCE, NETWORK, USER_DATA
from tests.providers.vsphere.site import DEMO, TASK, Site
from tests.support.limits import LIMITS
from tests.support.threads import at_once
from tests.support.waiting import wait_until

MANY = 32
STEPS = ("MakeDirectory", "CopyVirtualDisk_Task", "ExtendVirtualDisk_Task", "CreateVM_Task", "PowerOnVM_Task")


def user_of(site: Site, number: int) -> Credentials:
    """A user of its own."""
    credentials = Credentials(f"user-{number}@sandbox", f"password-{number}")
    site.sandbox.add_user(credentials.access_key, credentials.secret)
    return credentials


# ---- Renewal


def test_session_that_was_dropped_is_renewed_once_for_32_threads(site: Site) -> None:
    """Half of them change something; each of it is done once."""
    ids = site.sandbox.seed(MANY)
    site.gateway().list_vms()
    site.sandbox.drop_sessions()

    def call(number: int) -> None:
        if number % 2:
            site.gateway().stop_vm(ids[number], StopMode.FORCE, 0)
        else:
            assert len(site.gateway().list_vms()) >= MANY

    at_once(MANY, call)
    assert (site.sandbox.logins, site.operations().count("Login")) == (2, 2)
    assert len(site.sandbox.tasks("PowerOffVM_Task")) == MANY // 2
    assert site.sandbox.sessions() == (USER,)


def test_session_that_was_idle_for_too_long_is_renewed(site: Site) -> None:
    """The server's own limit, which is shorter than ours."""
    (vm_id,) = site.sandbox.seed(1)
    site.gateway().list_vms()
    # Long enough for the calls of a slow machine to find the new one still there.
    site.sandbox.knobs.session_seconds = 1.0
    threading.Event().wait(1.1)
    assert site.gateway().get_vm(vm_id).id == vm_id
    assert site.sandbox.logins == 2


@pytest.mark.parametrize("step", STEPS)
def test_session_that_is_dropped_in_the_middle_of_a_create_is_renewed(host: Site, step: str) -> None:
    """And every step is done once."""
    host.sandbox.faults.add(Fault(step, code="NotAuthenticated"))
    vm_id = host.create()
    assert host.sandbox.logins == 2
    assert [(vm.instance_uuid, vm.power_state) for vm in host.sandbox.vms()] == [(vm_id, "poweredOn")]
    assert all(len(host.sandbox.tasks(task)) == 1 for task in STEPS[1:])


def test_session_that_is_dropped_while_a_task_is_at_work_is_renewed(site: Site) -> None:
    """The look that finds it so is repeated, and the work goes on."""
    # Still at work when it is dropped; a host's create is of several tasks.
    site.sandbox.knobs.task_seconds = 1.0 if site.kind == "vcenter" else 0.2

    def drop() -> None:
        wait_until(lambda: bool(site.sandbox.tasks()), pause=0.005)
        site.sandbox.drop_sessions()

    dropping = threading.Thread(target=drop)
    dropping.start()
    vm_id = site.create()
    dropping.join()
    assert site.sandbox.logins == 2
    assert [vm.instance_uuid for vm in site.sandbox.vms()] == [vm_id]


@pytest.mark.parametrize("code", ["NotAuthenticated", "InvalidArgument"])
def test_session_that_ended_between_two_pages_does_not_break_the_list(site: Site, code: str) -> None:
    """The next page ended with it, or its token says nothing in the new one; nothing is lost or told twice."""
    ids = site.sandbox.seed(50)
    site.gateway().list_vms()
    site.sandbox.knobs.page_objects = 20
    site.sandbox.faults.add(Fault("ContinueRetrievePropertiesEx", code=code, skip=1))
    found = [vm.id for vm in site.gateway().list_vms()]
    assert set(ids) <= set(found)
    assert len(found) == len(set(found))
    # It is asked for anew once, in a session that is new only if it has to be.
    assert site.operations().count("RetrievePropertiesEx") == 4


def test_session_that_another_thread_renewed_between_two_pages_does_not_break_the_list(site: Site) -> None:
    """The token of the next page belonged to the old one."""
    ids = site.sandbox.seed(50)
    site.gateway().list_vms()
    site.sandbox.knobs.page_objects = 20
    site.sandbox.faults.add(Fault("ContinueRetrievePropertiesEx", delay_seconds=0.8))
    found: list[str] = []
    site.sandbox.calls.clear()
    listing = threading.Thread(target=lambda: found.extend(vm.id for vm in site.gateway().list_vms()))
    listing.start()
    wait_until(lambda: "RetrievePropertiesEx" in site.operations(), pause=0.005)
    site.sandbox.drop_sessions()
    site.gateway().get_vm(ids[0])
    listing.join()
    assert set(ids) <= set(found)
    assert site.sandbox.logins == 2


@pytest.mark.parametrize("trouble", [Fault("Login", code="SystemError"), Fault("Login", cut=Cut.ANSWER)])
def test_session_whose_renewal_met_trouble_is_renewed_the_next_time(site: Site, trouble: Fault) -> None:
    """A server that is just starting has not refused anybody."""
    site.gateway().list_vms()
    site.sandbox.drop_sessions()
    site.sandbox.faults.add(trouble)
    with pytest.raises(ProviderError) as caught:
        site.gateway().list_vms()
    assert not isinstance(caught.value, CredentialsRejectedError)
    site.gateway().list_vms()
    assert site.sandbox.sessions() == (USER,)


# ---- Refusal


# ---- Nobody in another's session


def test_32_users_at_once_never_meet_in_one_session(site: Site) -> None:
    """Each does all by a session of its own: the server knows by whom each task was begun."""
    ids = site.sandbox.seed(MANY)
    callers = [user_of(site, number) for number in range(MANY)]

    def live(number: int) -> None:
        gateway = site.gateway(callers[number], seconds=60.0)
        gateway.list_vms()
        gateway.stop_vm(ids[number], StopMode.FORCE, 0)
        gateway.start_vm(ids[number])

    at_once(MANY, live)
    names = {f"vm-{number + 1:04}": callers[number].access_key for number in range(MANY)}
    assert len(site.sandbox.tasks()) == 2 * MANY
    assert {(task.entity, task.user) for task in site.sandbox.tasks()} == set(names.items())
    assert sorted(site.sandbox.sessions()) == sorted(caller.access_key for caller in callers)


def test_32_users_at_once_see_their_own_vms_only(center: Site) -> None:
    """What a list shows is what its caller may see, not what another's session may."""
    callers = [user_of(center, number) for number in range(MANY)]
    for number in range(MANY):
        center.sandbox.add_folder(f"team-{number}")
        center.sandbox.seed(1, prefix=f"own-{number}", folder=f"team-{number}")
    for number, caller in enumerate(callers):
        for other in range(MANY):
            if other != number:
                center.sandbox.set_permission(caller.access_key, f"team-{other}", ())

    def names(number: int) -> list[str]:
        return [vm.name for vm in center.gateway(callers[number], seconds=60.0).list_vms() if "own" in vm.name]

    assert at_once(MANY, names) == [[f"own-{number}-0001"] for number in range(MANY)]


def test_users_with_one_name_and_several_passwords_never_meet(site: Site) -> None:
    """The session of the right one is open, and is no use to the others. Three of those are tried."""
    site.gateway().list_vms()

    def listed(number: int) -> bool:
        try:
            site.gateway(DEMO if number == 7 else Credentials(USER, f"{PASSWORD}{number}")).list_vms()
        except (CredentialsRejectedError, ThrottledError):
            return False
        return True

    assert at_once(MANY, listed) == [number == 7 for number in range(MANY)]
    assert (site.sandbox.logins, site.sandbox.failed_logins) == (1, 3)


# ---- The end


def test_no_session_is_left_open_at_shutdown(site: Site) -> None:
    """Of several users, one of whom has been dropped by the server."""
    for number in range(5):
        site.gateway(user_of(site, number)).list_vms()
    assert len(site.sandbox.sessions()) == 5
    site.backends.close()
    assert site.sandbox.sessions() == ()


def test_no_session_is_left_open_when_it_is_put_out(site: Site) -> None:
    """By those that came after it, by its idleness, or by its age."""
    for limits in (
        replace(LIMITS, sessions=2),
        replace(LIMITS, session_idle_seconds=0.05),
        replace(LIMITS, session_lifetime_seconds=0.05),
    ):
        backends = Backends(NETWORK, limits)
        for number in range(4):
            site.gateway(user_of(site, number), backends=backends).list_vms()
        threading.Event().wait(0.1)
        site.gateway(backends=backends).list_vms()
        wait_until(lambda: len(site.sandbox.sessions()) <= 2)
        backends.close()
        assert site.sandbox.sessions() == ()


def test_no_session_is_left_open_when_its_place_cannot_be_used(center: Site) -> None:
    """It is kept for the next request, and logged out in the end."""
    with pytest.raises(ProviderError, match="region"):
        center.gateway(region="Nowhere").list_vms()
    center.backends.close()
    assert center.sandbox.sessions() == ()


# ---- Secrets


def test_no_secret_is_logged_or_told(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    """At DEBUG, in errors, in representations, in handles, by whatever goes wrong."""
    caplog.set_level(logging.DEBUG)
    secret = "p4ss-canary"
    site.sandbox.add_user("canary@sandbox", secret)
    caller = Credentials("canary@sandbox", secret)
    told: list[str] = [repr(caller)]
    operation = site.gateway(caller).create_vm(site.spec(key="key-1"), AT_ONCE)
    told += [repr(operation), operation.handle, repr(site.finished(operation, site.gateway(caller)))]
    site.sandbox.drop_sessions()
    for fault in (
        Fault("FindByUuid", code="SystemError", message="broken"),
        Fault("FindByUuid", body=b"<html>"),
        Fault(TASK, code="NoPermission"),
        Fault("Login", code="InvalidLogin"),
    ):
        site.sandbox.faults.add(fault)
        with pytest.raises(ProviderError) as caught:
            site.gateway(caller).delete_vm(operation.vm_id or "")
        error: BaseException | None = caught.value
        while error is not None:
            told += [repr(error), str(error), repr(vars(error))]
            error = error.__cause__ or error.__context__
        site.sandbox.drop_sessions()
    with pytest.raises((ProviderError, AssertionError)):
        site.gateway(caller).create_vm(site.spec("nothing"))
    told += [repr(site.spec()), caplog.text, *(repr(vars(record)) for record in caplog.records)]
    everything = "\n".join(told)
    assert "RetrievePropertiesEx" in everything
    for one in (secret, "correct-horse-battery", "guestinfo"):
        assert one not in everything
    encoded = site.sandbox.vms()[0].guestinfo.get("userdata", "") if site.sandbox.vms() else ""
    assert not encoded or encoded not in everything
    assert USER_DATA.decode() not in everything


def test_denied_log_in_of_a_user_who_may_not_is_a_denial(site: Site) -> None:
    """The server knows the caller, and refuses."""
    site.sandbox.faults.add(Fault("Login", code="NoPermission"))
    with pytest.raises(PermissionDeniedError):
        site.gateway().list_vms()
