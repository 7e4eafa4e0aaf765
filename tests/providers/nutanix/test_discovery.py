"""Which API a host speaks: found out once for each environment, or named in it, and then right."""

from __future__ import annotations

from contextlib import closing
from functools import partial

import pytest

from providers.credentials import Credentials
from providers.domain import Environment, StopMode
from providers.errors import (
    BackendFailureError,
    BackendTimeoutError,
    CredentialsRejectedError,
    ProviderError,
    UnavailableError,
    UnprocessableError,
)
from providers.gateway import Backends
from providers.network import Network
from providers.nutanix import CLOUD
from providers.nutanix.known import KnownAPIs
from providers.sandbox.authority import Authority
from providers.sandbox.faults import Fault
from providers.sandbox.nutanix import USER
from tests.providers.nutanix.prism import APIS, LIST, Prism, running_prism
from tests.providers.reached import NETWORK
from tests.support.limits import LIMITS
from tests.support.threads import at_once

PROBE, INFO = "v2.0 GET /cluster", "v4 OPTIONS /unversioned/info"
PROBES = {"v2": [PROBE], "v4": [PROBE, INFO]}


def test_api_that_is_not_named_is_found_once(prism: Prism) -> None:
    """One call to a Prism Element, two to a Prism Central; the process keeps what it has found."""
    for _ in range(3):
        prism.gateway(options={}).list_vms()
    called = prism.operations()
    assert called.count(PROBE) == 1
    assert called[-3:] == [LIST[prism.api]] * 3
    assert len(called) == 3 + len(PROBES.get(prism.api, PROBES["v4"]))


def test_api_that_is_named_costs_no_call(prism: Prism) -> None:
    """The environment is believed."""
    prism.gateway().list_vms()
    assert prism.operations() == [LIST[prism.api]]


@pytest.mark.parametrize(
    ("prism", "named", "told"),
    [("v2", "v4", "Prism Element"), ("v2", "v3", "Prism Element"), ("v4", "v2", "Prism Central"), ("v3", "v2", "`v3`")],
    indirect=["prism"],
)
def test_api_of_another_kind_of_prism_is_refused(prism: Prism, named: str, told: str) -> None:
    """The error says what the host is, and what to write instead."""
    with pytest.raises(UnprocessableError, match="api_version") as caught:
        prism.gateway(options={"api_version": (named,)}).list_vms()
    assert told in caught.value.detail
    assert len(prism.operations()) == 1


def test_host_that_is_no_prism_leads_to_the_url(element: Prism) -> None:
    """It knows no path of a Prism."""
    for operation in (PROBE, LIST["v2"]):
        element.sandbox.faults.add(Fault(operation, status=404, message="no such file", times=None))
    with pytest.raises(UnprocessableError, match=r"Check the environment's url\.$"):
        element.gateway(options={}).list_vms()


def test_create_by_an_api_of_another_kind_of_prism_makes_nothing(element: Prism) -> None:
    """A verb that changes something is told so, too."""
    with pytest.raises(UnprocessableError, match="Prism Element"):
        element.create(element.gateway(options={"api_version": ("v3",)}))
    assert element.remains() == []


def test_api_that_a_central_is_too_old_for_is_refused(old_central: Prism) -> None:
    """With its version, and what it speaks."""
    with pytest.raises(UnprocessableError, match="api_version") as caught:
        old_central.gateway(options={"api_version": ("v4",)}).list_vms()
    assert "pc.2022" in caught.value.detail
    assert "v3" in caught.value.detail


def test_api_is_found_by_a_caller_who_may_not_see_the_cluster(prism: Prism) -> None:
    """Every answer says in a header what it comes from."""
    prism.sandbox.faults.add(Fault(operation=PROBE, status=403, message="No permission."))
    assert prism.gateway(options={}).list_vms() == []


def test_api_is_found_where_v2_is_no_more(central: Prism) -> None:
    """v2.0 goes out of support: a Central that does not know it any more is known by the same header."""
    central.sandbox.faults.add(Fault(operation=PROBE, status=404, message="not found"))
    assert central.gateway(options={}).list_vms() == []
    assert central.operations()[-1] == LIST["v4"]


def test_probe_that_fails_is_made_anew_by_the_next_request(central: Prism) -> None:
    """A Central that just then is busy is not taken for an old one."""
    central.sandbox.faults.add(Fault(operation=INFO, status=503, message="Busy"))
    with pytest.raises(UnavailableError):
        central.gateway(options={}).list_vms()
    assert central.gateway(options={}).list_vms() == []
    assert central.operations()[-1] == LIST["v4"]


def test_probe_of_something_else_than_prism_is_a_backend_error(element: Prism) -> None:
    """A log-in page of whatever stands there."""
    element.sandbox.faults.add(Fault(operation=PROBE, times=None, body=b"<html>Please log in</html>"))
    with pytest.raises(BackendFailureError, match="url"):
        element.gateway(options={}).list_vms()


def test_probe_with_a_wrong_secret_is_rejected_after_one_try(prism: Prism) -> None:
    """A second try could lock the account."""
    with pytest.raises(CredentialsRejectedError):
        prism.gateway(Credentials(USER, "wrong"), options={}).list_vms()
    assert prism.sandbox.failed_logins == 1


def callers(prism: Prism, count: int) -> list[Credentials]:
    """Users of a Prism, each with a password of its own."""
    all_of_them = [Credentials(f"user{number}@sandbox", f"s3cret-word-{number}") for number in range(count)]
    for one in all_of_them:
        prism.sandbox.add_user(one.access_key, one.secret, rights=["view"])
    return all_of_them


def test_api_is_found_once_for_sixteen_callers_at_once(prism: Prism) -> None:
    """Who has credentials of their own needs no finding-out of their own, and each logs in as who they are."""
    users = callers(prism, 16)
    prism.sandbox.knobs.login_seconds = 0.05
    assert at_once(16, lambda number: prism.gateway(users[number], options={}).list_vms()) == [[]] * 16
    called = prism.operations()
    assert [called.count(one) for one in (PROBE, INFO)] == [1, int(prism.api == "v4")]
    assert prism.sandbox.logins == 16


def test_api_is_found_once_for_all_sessions_of_a_process(prism: Prism) -> None:
    """Sessions end; what was found stays, also when the files are loaded anew."""
    for _ in range(3):
        with closing(Backends(NETWORK, LIMITS)) as backends:
            assert prism.gateway(options={}, backends=backends).list_vms() == []
    assert prism.operations().count(PROBE) == 1


def test_api_is_found_for_each_environment_by_itself(prism: Prism) -> None:
    """An environment of another name or url may be another host."""
    for name in ("prism1", "prism2"):
        prism.gateway(options={}, name=name).list_vms()
    assert prism.operations().count(PROBE) == 2


def test_api_is_found_by_the_next_when_the_first_has_a_wrong_secret(prism: Prism) -> None:
    """What Prism says to one caller is nothing to the others: each password goes out once."""
    users = [Credentials(USER, "wrong"), *callers(prism, 7)]
    prism.sandbox.knobs.login_seconds = 0.05

    def listed(number: int) -> object:
        try:
            return prism.gateway(users[number], options={}).list_vms()
        except ProviderError as error:
            return type(error)

    assert at_once(8, listed) == [CredentialsRejectedError, *[[]] * 7]
    assert prism.sandbox.failed_logins == 1


def test_api_of_a_silent_host_is_not_asked_for_by_each_who_waits(prism: Prism) -> None:
    """Eight callers of a host that does not answer wait for one time limit and not for eight."""
    users = callers(prism, 8)
    # Who asked a second time would be answered.
    prism.sandbox.faults.add(Fault(PROBE, times=1, delay_seconds=15.0))

    def listed(number: int) -> type[ProviderError] | None:
        with closing(Backends(Network(connect_timeout_seconds=5.0, read_timeout_seconds=3.0), LIMITS)) as backends:
            try:
                prism.gateway(users[number], options={}, backends=backends).list_vms()
            except ProviderError as error:
                return type(error)
        return None

    assert at_once(8, listed) == [BackendTimeoutError] * 8


def test_api_that_is_gone_after_an_upgrade_is_found_anew(old_central: Prism) -> None:
    """Every session goes on with what the host speaks now, and one of them finds it out."""
    users = callers(old_central, 3)
    vm_id = old_central.sandbox.seed(1)[0]
    for user in users:
        old_central.gateway(user, options={}).list_vms()
    old_central.sandbox.upgrade(["v4.0"])
    old_central.sandbox.calls.clear()
    for user in users:
        assert [vm.id for vm in old_central.gateway(user, options={}).list_vms()] == [vm_id]
    assert old_central.operations().count(PROBE) == 1
    old_central.gateway(options={}).stop_vm(vm_id, StopMode.FORCE, 0)
    assert old_central.states() == {vm_id: "OFF"}


def test_create_by_an_api_that_is_gone_makes_one_vm_with_the_next_request(old_central: Prism) -> None:
    """The first is told; a create is never begun anew by itself."""
    old_central.create(old_central.gateway(options={}))
    old_central.sandbox.upgrade(["v4.0"])
    with pytest.raises(UnprocessableError):
        old_central.create(old_central.gateway(options={}), name="second")
    vm_id = old_central.create(old_central.gateway(options={}), name="second")
    assert [vm.uuid for vm in old_central.sandbox.vms() if vm.name == "second"] == [vm_id]


def test_api_that_nothing_is_left_of_is_looked_for_once_in_a_request(old_central: Prism) -> None:
    """A host that speaks none of what it was found to speak is told, after a bounded number of calls."""
    old_central.gateway(options={}).list_vms()
    old_central.sandbox.upgrade([])
    old_central.sandbox.calls.clear()
    with pytest.raises(UnprocessableError, match="api_version"):
        old_central.gateway(options={}).list_vms()
    assert old_central.operations().count(PROBE) == 1


def test_api_that_is_named_is_not_looked_for_when_it_is_gone(old_central: Prism) -> None:
    """The environment is believed, and the error says what is wrong with it."""
    old_central.sandbox.upgrade(["v4.0"])
    with pytest.raises(UnprocessableError, match="api_version"):
        old_central.gateway().list_vms()
    assert PROBE not in old_central.operations()


def test_api_is_found_by_a_caller_who_may_not_see_the_version(central: Prism) -> None:
    """Lists take no more rights than that; a Central that refuses to tell its version has one."""
    central.sandbox.faults.add(Fault(operation=INFO, times=None, status=403, message="No permission."))
    assert central.gateway(options={}).list_vms() == []
    assert central.operations()[-1] == LIST["v4"]


def test_memory_of_apis_is_bounded() -> None:
    """The least recently used goes first."""
    known = KnownAPIs(most=2)
    looked: list[str] = []

    def look(url: str) -> str:
        looked.append(url)
        return "v4"

    for url in ("a", "b", "a", "c", "a", "b"):
        environment = Environment(name="prism", cloud=CLOUD, url=f"https://{url}:9440")
        assert known.find(environment, partial(look, url)) == "v4"
    assert looked == ["a", "b", "c", "b"]
    assert len(known) == 2


@pytest.mark.parametrize("ending", ["/", "/PrismGateway/services/rest/v2.0", "/api/nutanix/v3/", "/api"])
def test_url_with_the_path_of_an_api_works(prism: Prism, ending: str) -> None:
    """Some write it so."""
    assert prism.gateway(url=prism.sandbox.url + ending).list_vms() == []


def test_central_with_one_cluster_needs_no_project(authority: Authority) -> None:
    """Its only cluster is meant; that of the Central itself is none."""
    for api in APIS[1:]:
        with running_prism(authority, api) as prism:
            vm_id = prism.create(prism.gateway(project=""))
            assert prism.states() == {vm_id: "ON"}
