"""Many VMs, many callers, long names, much to read."""

from __future__ import annotations

import time
from contextlib import closing

import pytest

from providers.credentials import Credentials
from providers.domain import StopMode
from providers.errors import PermissionDeniedError, ProviderError
from providers.gateway import Backends
from providers.network import Network
from providers.sandbox.faults import Fault
from tests.providers.nutanix.prism import GET, LIST, Prism
from tests.support.limits import LIMITS
from tests.support.threads import at_once

CHANGES = ("create", "update", "power", "delete")
NAMES = ["\N{GRINNING FACE}\N{CYRILLIC SMALL LETTER ZHE}" * 97, 'it\'s "100 %" & <more>/../?#;=']
PAGES = {"v2": 1, "v3": 20, "v4": 100}


@pytest.mark.slow
def test_list_of_ten_thousand_vms_costs_a_call_for_each_page(prism: Prism) -> None:
    """Every VM once, and none of the calls above the rate that v4 announces."""
    prism.sandbox.knobs.enforces_rate_limits = True
    prism.sandbox.knobs.lists_per_second = 25
    ids = prism.sandbox.seed(10_000)
    with closing(Backends(Network(read_timeout_seconds=60.0), LIMITS)) as patient:
        assert sorted(vm.id for vm in prism.gateway(backends=patient, project="").list_vms()) == sorted(ids)
    served = [(call.operation, call.status) for call in prism.sandbox.calls.list()]
    assert served == [(LIST[prism.api], 200)] * PAGES[prism.api]


def test_verbs_of_many_callers_at_once_are_done_as_who_they_are(prism: Prism) -> None:
    """32 threads, each with credentials of its own, half of which may only look: no session ever meets another."""
    users = [Credentials(f"user{number}@sandbox", f"s3cret-word-{number}") for number in range(32)]
    for number, user in enumerate(users):
        prism.sandbox.add_user(user.access_key, user.secret, rights=["view"] if number % 2 else ["view", *CHANGES])

    def work(number: int) -> type[ProviderError] | None:
        gateway = prism.gateway(users[number], seconds=60)
        try:
            vm_id = prism.create(gateway, name=f"vm{number}")
            gateway.stop_vm(vm_id, StopMode.FORCE, 0)
            assert f"vm{number}" in {vm.name for vm in gateway.list_vms()}
            gateway.start_vm(vm_id)
            gateway.delete_vm(vm_id)
        except ProviderError as error:
            return type(error)
        return None

    assert at_once(32, work) == [None, PermissionDeniedError] * 16
    assert prism.remains() == []
    assert (prism.sandbox.logins, prism.sandbox.failed_logins) == (32, 0)
    made = {task.user for task in prism.sandbox.tasks("create")}
    assert made == {task.user for task in prism.sandbox.tasks("delete")} == {user.access_key for user in users[::2]}


@pytest.mark.parametrize("prefix", NAMES)
def test_vms_with_names_that_are_none_of_ours_are_shown_and_changed(prism: Prism, prefix: str) -> None:
    """Others may name them as they like, with 200 characters and none of them Latin."""
    (vm_id,) = prism.sandbox.seed(1, prefix=prefix)
    gateway = prism.gateway()
    assert [vm.name for vm in gateway.list_vms()] == [gateway.get_vm(vm_id).name] == [f"{prefix}-0001"]
    gateway.stop_vm(vm_id, StopMode.FORCE, 0)
    gateway.start_vm(vm_id)
    gateway.delete_vm(vm_id)
    assert prism.remains() == []


def test_refusal_with_much_to_say_is_told_in_short(prism: Prism) -> None:
    """A whole traceback in place of a code, or of a message."""
    (vm_id,) = prism.sandbox.seed(1)
    fault = Fault(GET[prism.api], times=None, status=500, code="c" * 1_000_000, message="m" * 1_000_000)
    prism.sandbox.faults.add(fault)
    with pytest.raises(ProviderError) as caught:
        prism.gateway().get_vm(vm_id)
    backend = caught.value.backend
    assert backend is not None
    assert len(caught.value.detail) + len(backend.code or "") < 5000


def test_task_with_much_to_say_is_told_in_short(prism: Prism) -> None:
    """A text of which a search for words we know would not come to an end."""
    (vm_id,) = prism.sandbox.seed(1, state="OFF")
    prism.sandbox.fail_next_task("power" if prism.api != "v3" else "update", "image " * 60_000)
    begun = time.monotonic()
    with pytest.raises(ProviderError) as caught:
        prism.gateway().start_vm(vm_id)
    assert time.monotonic() - begun < 15
    assert len(caught.value.detail) < 2000
