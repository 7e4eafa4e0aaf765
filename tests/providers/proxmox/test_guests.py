"""What a VM's guest tells by its agent, and what is known of one without."""

from __future__ import annotations

import time

import pytest

from providers.domain import VMStatus
from providers.gateway import Backends
from providers.network import Network
from providers.proxmox.guests import silent_seconds
from providers.proxmox.records import read_state
from providers.sandbox.faults import Fault
from tests.providers.proxmox.cluster import VM, Pve, seeded
from tests.support.limits import LIMITS

AGENT = f"GET {VM}/agent/network-get-interfaces"
CONFIG, CURRENT = f"GET {VM}/config", f"GET {VM}/status/current"


def test_get_tells_the_addresses_of_the_vms_own_devices(pve: Pve) -> None:
    """Two calls; no loopback, no bridge of the guest's, nothing that holds only on the link."""
    vm_id = seeded(pve)
    pve.sandbox.set_guest(vm_id, addresses=("10.0.0.4", "fe80::1", "169.254.1.1", "2001:db8::4"))
    assert pve.gateway().get_vm(vm_id).ip_addresses == ("10.0.0.4", "2001:db8::4")
    assert pve.operations() == [CONFIG, AGENT]


def test_get_of_a_stopped_vm_asks_no_more_than_its_agent(pve: Pve) -> None:
    """Two calls: Proxmox says that it does not run."""
    vm_id = seeded(pve, "stopped")
    shown = pve.gateway().get_vm(vm_id)
    assert (shown.status, shown.ip_addresses) == (VMStatus.STOPPED, ())
    assert pve.operations() == [CONFIG, AGENT]


@pytest.mark.parametrize("case", ["silent", "forbidden", "slow", "broken"])
def test_get_without_an_answer_of_the_agent_tells_no_addresses(pve: Pve, case: str) -> None:
    """No error: three calls, and two for the next look, which does not wait for the agent again."""
    vm_id = seeded(pve)
    gateway = pve.gateway()
    match case:
        case "silent":
            pve.sandbox.set_guest(vm_id, agent_runs=False)
        case "forbidden":
            denied = f"Permission check failed (/vms/{vm_id}, VM.GuestAgent.Audit)"
            pve.sandbox.faults.add(Fault(AGENT, status=403, message=denied))
        case "slow":
            patient = Backends(Network(connect_timeout_seconds=60.0, read_timeout_seconds=60.0), LIMITS)
            gateway = pve.gateway(backends=patient)
            pve.sandbox.faults.add(Fault(AGENT, delay_seconds=60.0))
        case "broken":
            pve.sandbox.faults.add(Fault(AGENT, body=b'{"data":null}', content_type="application/json"))
        case _:
            pass
    begun = time.monotonic()
    shown = gateway.get_vm(vm_id)
    # A guest's agent gets five seconds, whatever other calls get.
    assert time.monotonic() - begun < 30
    assert (shown.status, shown.ip_addresses) == (VMStatus.RUNNING, ())
    assert [call for call in pve.operations() if call != AGENT] == [CONFIG, CURRENT]
    pve.sandbox.calls.clear()
    assert gateway.get_vm(vm_id).status is VMStatus.RUNNING
    assert pve.operations() == [CONFIG, CURRENT]


def test_get_without_an_agent_asks_none(pve: Pve) -> None:
    """Two calls."""
    (vm_id,) = pve.sandbox.seed(1, agent=False)
    assert pve.gateway().get_vm(str(vm_id)).ip_addresses == ()
    assert pve.operations() == [CONFIG, CURRENT]


@pytest.mark.parametrize(("uptime", "seconds"), [({}, 15), ({"uptime": 299}, 15), ({"uptime": 300}, 120)])
def test_agent_that_is_silent_once_its_guest_must_be_up_is_left_alone_for_longer(
    uptime: dict[str, int], seconds: float
) -> None:
    """A look that asks it takes three seconds each time, and most images have none."""
    assert silent_seconds(read_state({"vmid": 100, "status": "running", **uptime})) == seconds
