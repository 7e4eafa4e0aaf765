"""Lists: VMs of all hosts, in pages, at the pace that Prism Central asks for."""

from __future__ import annotations

import threading
import time

import pytest

from providers import trace
from providers.domain import VMStatus
from providers.errors import ThrottledError, UnprocessableError, VMNotFoundError
from providers.nutanix.answers import Rate
from providers.nutanix.pages import Pace, all_pages
from providers.sandbox.faults import Fault
from providers.sandbox.nutanix import CLUSTER, CLUSTER_NAME, HOSTS, SECOND_CLUSTER
from tests.providers.nutanix.prism import LIST, Prism
from tests.support.threads import at_once


def test_list_has_the_vms_of_all_hosts_on_and_off(prism: Prism) -> None:
    """Not those of the first host alone, and what is off is on no host."""
    ids = [one for host in HOSTS for one in prism.sandbox.seed(2, prefix=host[-4:], host=host)]
    off = prism.sandbox.seed(1, prefix="off", state="OFF")
    found = {vm.id: vm.status for vm in prism.gateway().list_vms()}
    assert found == {**dict.fromkeys(ids, VMStatus.RUNNING), off[0]: VMStatus.STOPPED}


def test_list_of_several_pages_keeps_to_the_rate_of_v4(central: Prism) -> None:
    """Four pages, two in a second, none refused although every further one would be."""
    central.sandbox.knobs.enforces_rate_limits = True
    ids = central.sandbox.seed(301)
    assert sorted(vm.id for vm in central.gateway().list_vms()) == sorted(ids)
    served = [(call.operation, call.status) for call in central.sandbox.calls.list()]
    assert served == [(LIST["v4"], 200)] * 4


@pytest.mark.slow
def test_list_of_a_thousand_vms_is_fetched_side_by_side(central: Prism) -> None:
    """Where Prism allows it, ten slow pages take the time of a few; each is told to the request's trace."""
    central.sandbox.knobs.lists_per_second = 100
    central.sandbox.seed(1000)
    central.gateway().list_vms()
    central.sandbox.faults.add(Fault(times=None, operation=LIST["v4"], delay_seconds=1.0))
    begun = time.monotonic()
    with trace.tracing(trace.Trace("side-by-side")) as record:
        assert len(central.gateway().list_vms()) == 1000
    assert time.monotonic() - begun < 8
    assert record.calls == 10


def test_lists_by_several_callers_of_one_session_keep_to_the_rate_of_v4(central: Prism) -> None:
    """They share what Prism allows their user."""
    central.sandbox.knobs.enforces_rate_limits = True
    central.gateway().list_vms()
    assert at_once(5, lambda _: central.gateway().list_vms()) == [[]] * 5


def test_list_beyond_the_rate_is_throttled_and_not_repeated(central: Prism) -> None:
    """Others use it, too. What Prism says of the time is passed on."""
    central.sandbox.faults.add(Fault(times=None, status=429, message="Too many", headers={"Retry-After": "3"}))
    with pytest.raises(ThrottledError) as caught:
        central.gateway().list_vms()
    assert caught.value.retry_after_seconds == 3
    assert central.operations() == [LIST["v4"]]


def test_list_with_a_page_that_fails_is_no_list(central: Prism) -> None:
    """Half of the VMs are not all of them."""
    central.sandbox.seed(250)
    central.sandbox.faults.add(Fault(operation=LIST["v4"], skip=1, status=429, message="Too many"))
    with pytest.raises(ThrottledError):
        central.gateway().list_vms()


@pytest.mark.parametrize("prism", ["v3", "v4"], indirect=True)
@pytest.mark.parametrize("project", [CLUSTER, CLUSTER_NAME])
def test_list_of_a_central_has_the_vms_of_the_named_cluster(prism: Prism, project: str) -> None:
    """By uuid or name; verbs keep to it, too."""
    (here,) = prism.sandbox.seed(1)
    (there,) = prism.sandbox.seed(1, prefix="there", cluster=SECOND_CLUSTER)
    gateway = prism.gateway(project=project)
    assert [vm.id for vm in gateway.list_vms()] == [here]
    with pytest.raises(VMNotFoundError):
        gateway.delete_vm(there)
    assert set(prism.states()) == {here, there}


@pytest.mark.parametrize("prism", ["v3", "v4"], indirect=True)
def test_list_of_a_central_without_a_named_cluster_has_all_vms(prism: Prism) -> None:
    """All of its clusters are meant; only a create has to know which."""
    ids = [*prism.sandbox.seed(1), *prism.sandbox.seed(1, prefix="there", cluster=SECOND_CLUSTER)]
    gateway = prism.gateway(project="")
    assert sorted(vm.id for vm in gateway.list_vms()) == sorted(ids)
    with pytest.raises(UnprocessableError, match=f"{CLUSTER_NAME} .{CLUSTER}"):
        prism.create(gateway)


@pytest.mark.parametrize("prism", ["v3", "v4"], indirect=True)
def test_list_of_a_cluster_that_is_not_there_is_unprocessable(prism: Prism) -> None:
    """With the clusters that are."""
    with pytest.raises(UnprocessableError, match=CLUSTER_NAME):
        prism.gateway(project="nowhere").list_vms()


def test_list_of_an_element_takes_no_notice_of_a_project(element: Prism) -> None:
    """It has but one cluster."""
    ids = element.sandbox.seed(2)
    gateway = element.gateway(project="whatever")
    assert sorted(vm.id for vm in gateway.list_vms()) == sorted(ids)
    gateway.delete_vm(ids[0])
    element.create(gateway)
    assert len(element.states()) == 2


def test_get_shows_addresses_and_sizes(prism: Prism) -> None:
    """By one call."""
    vm_id = prism.create()
    prism.sandbox.calls.clear()
    vm = prism.gateway().get_vm(vm_id)
    assert (vm.name, vm.status, vm.cpus, vm.memory_mib) == ("test1", VMStatus.RUNNING, 2, 4096)
    assert vm.ip_addresses == prism.sandbox.vm(vm_id).ip_addresses
    assert (vm.created_at is None) == (prism.api == "v2")
    assert len(prism.operations()) == 1


@pytest.mark.parametrize("status", [404, 500])
def test_get_of_a_vm_that_v2_does_not_know_is_not_found(element: Prism, status: int) -> None:
    """By a 500 with a text, or by a 404 as other releases have it."""
    element.sandbox.knobs.v2_not_found_status = status
    with pytest.raises(VMNotFoundError):
        element.gateway().get_vm("00000000-0000-4000-8000-000000000000")


@pytest.mark.parametrize("total", [0, 1, 100, 101, 1000])
def test_pages_are_all_fetched_once(total: int) -> None:
    """Whatever the number."""
    everything = list(range(total))
    fetched = []

    def fetch(number: int) -> tuple[list[int], int]:
        fetched.append(number)
        return everything[number * 100 : (number + 1) * 100], total

    assert all_pages(fetch, 100) == everything
    assert sorted(fetched) == list(range(max(1, -(-total // 100))))


def one_call(pace: Pace) -> None:
    """A call that takes no time."""
    with pace.turn():
        pass


def test_pace_lets_no_more_calls_pass_than_the_rate() -> None:
    """Seven calls at three in a fifth of a second take two of them."""
    pace = Pace()
    pace.learn(Rate(3, 0.2))
    begun = time.monotonic()
    at_once(7, lambda _: one_call(pace))
    assert time.monotonic() - begun >= 0.4


def test_pace_waits_where_others_have_used_the_rate_up() -> None:
    """None left is none left, whoever called."""
    pace = Pace()
    pace.learn(Rate(3, 0.2, remaining=0))
    begun = time.monotonic()
    one_call(pace)
    assert time.monotonic() - begun >= 0.2


def test_pace_without_a_rate_lets_all_pass() -> None:
    """Older releases announce none."""
    pace, all_let_in = Pace(), threading.Barrier(20)
    pace.learn(None)

    def long_call(_: int) -> None:
        with pace.turn():
            all_let_in.wait(timeout=60)

    at_once(20, long_call)
