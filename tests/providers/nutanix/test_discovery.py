"""Which API a host speaks: found out once in a session, or named in the environment, and then right."""

from __future__ import annotations

import pytest

from providers.credentials import Credentials
from providers.errors import BackendFailureError, CredentialsRejectedError, PermissionDeniedError, UnprocessableError
from providers.sandbox.authority import Authority
from providers.sandbox.faults import Fault
from providers.sandbox.nutanix import USER
from tests.providers.nutanix.prism import APIS, LIST, Prism, running_prism

PROBE, INFO = "v2.0 GET /cluster", "v4 OPTIONS /unversioned/info"
PROBES = {"v2": [PROBE], "v4": [PROBE, INFO]}


def test_api_that_is_not_named_is_found_once(prism: Prism) -> None:
    """One call to a Prism Element, two to a Prism Central; the session keeps what it has found."""
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
    central.sandbox.faults.add(Fault(operation=INFO, status=403, message="No permission."))
    with pytest.raises(PermissionDeniedError):
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
