"""How much a request costs the backend: calls, connections, and a list of thousands."""

import pytest

from tests.conformance.harness import Harness
from tests.conformance.test_ids import call
from tests.support.api import Api
from tests.support.browser import Browser
from tests.support.threads import at_once


@pytest.fixture
def practised(warm: Api, backend: Harness) -> Api:
    """A caller whose session has done what it does only once."""
    backend.warm_up(warm)
    backend.forget_operations()
    return warm


@pytest.mark.parametrize(("verb", "state"), [
    ("get", "running"), ("start", "stopped"), ("stop", "running"), ("restart", "running"), ("delete", "running"),
])  # fmt: skip
def test_verb_stays_within_its_budget_of_calls(practised: Api, backend: Harness, verb: str, state: str) -> None:
    """With a warm session, polls aside; Server-Timing counts as the backend does."""
    (vm_id,) = backend.seed(1, state=state)
    backend.acquaint(practised)
    backend.forget_operations()
    answer = call(practised, verb, vm_id)
    assert answer.status < 300, answer.body
    assert answer.calls == len(backend.operations())
    assert len(backend.costly()) <= getattr(backend.budgets, verb), backend.operations()


def test_create_stays_within_its_budget_of_calls(practised: Api, backend: Harness) -> None:
    """With cloud-init, a size and a start."""
    answer = practised.create(cloud_init="I2Nsb3VkLWNvbmZpZwo=")
    assert answer.status == 201, answer.body
    assert len(backend.costly()) <= backend.budgets.create, backend.operations()


def more_than_a_page(backend: Harness) -> int:
    """How many VMs fill a page and begin another; 30 where a page has no end."""
    size = backend.budgets.list_page_size
    return size + 30 if size <= 1000 else 30


@pytest.mark.own_simulators
def test_list_of_more_than_a_page_is_complete_and_within_budget(warm: Api, backend: Harness) -> None:
    """No VM is lost between pages, and no call is made per VM."""
    count = more_than_a_page(backend)
    ids = backend.seed(count)
    answer = warm.list()
    assert sorted(vm["id"] for vm in answer.json) == sorted(ids)
    pages = -(-count // backend.budgets.list_page_size)
    assert len(backend.operations()) <= backend.budgets.list_page * pages


@pytest.mark.own_simulators
def test_sign_in_of_a_browser_costs_one_page_of_vms(warm: Api, backend: Harness) -> None:
    """The first page proves the credentials as well as all of them."""
    backend.seed(more_than_a_page(backend))
    backend.forget_operations()
    assert Browser().sign_in("main", backend.access_key, backend.secret).status == 303
    assert len(backend.operations()) <= backend.budgets.list_page, backend.operations()


def test_verbs_with_a_warm_session_make_no_new_connection(practised: Api, backend: Harness) -> None:
    """Connections are kept and used again."""
    before = backend.connections()
    (vm_id,) = backend.seed(1)
    for verb in ("get", "stop", "start", "restart", "delete"):
        assert call(practised, verb, vm_id).status < 300
    assert backend.connections() == before


def test_list_by_sixteen_callers_at_once_is_right_for_each(warm: Api, backend: Harness) -> None:
    """Sixteen threads, one session."""
    ids = sorted(backend.seed(5))
    answers = at_once(16, lambda _: warm.list())
    assert all(sorted(vm["id"] for vm in answer.json) == ids for answer in answers)
    assert all(answer.calls == backend.budgets.list_page for answer in answers)


def test_create_by_sixteen_callers_at_once_makes_sixteen_vms(warm: Api, backend: Harness) -> None:
    """Each gets its own."""
    answers = at_once(16, lambda number: warm.create(f"test{number}"))
    assert [answer.status for answer in answers] == [201] * 16, [answer.body for answer in answers]
    assert len({answer.json["id"] for answer in answers}) == 16
    assert len(backend.states()) == 16
