"""One process under load: reads and changes of a slow environment, and what remains for others."""

from __future__ import annotations

import statistics
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from providers.deadline import Deadline
from providers.domain import Environment
from providers.errors import BackendTimeoutError, BackendUnreachableError, UnavailableError
from providers.gateway import Backends
from providers.network import Network
from providers.proxmox import CLOUD
from providers.sandbox.authority import Authority
from providers.sandbox.proxmox import ProxmoxSandbox
from tests.providers.proxmox.cluster import BY_TOKEN, Pve, seeded
from tests.support.hanging import hanging
from tests.support.large_backend import backend, vms
from tests.support.limits import LIMITS
from tests.support.waiting import wait_until

START = "POST /nodes/{node}/qemu/{vmid}/status/start"


def test_callers_beyond_the_limit_of_a_backend_that_hangs_do_not_wait() -> None:
    """Of 200 callers 48 wait for the backend, the others are refused at once; another environment is not affected."""
    backends = Backends(Network(read_timeout_seconds=60), LIMITS)
    refused: list[float] = []
    waiting: list[type[Exception]] = []

    def list_vms(url: str) -> None:
        begun = time.monotonic()
        try:
            environment = Environment(url, CLOUD, url=url, vpc_id="node/pve")
            backends.gateway(environment, BY_TOKEN, Deadline.after(60)).list_vms()
        except UnavailableError:
            refused.append(time.monotonic() - begun)
        except (BackendTimeoutError, BackendUnreachableError) as error:
            waiting.append(type(error))

    with ThreadPoolExecutor(200) as pool:
        with backend(vms(100)) as good, hanging() as url:
            calls = [pool.submit(list_vms, url) for _ in range(200)]
            wait_until(lambda: sum(call.done() for call in calls) == 152, seconds=10)
            assert not waiting
            begun = time.monotonic()
            list_vms(good.url)
            assert time.monotonic() - begun < 1
        for call in calls:
            call.result()
    assert len(refused) == 152
    assert statistics.median(refused) < 1
    assert len(waiting) == 48
    backends.close()


def is_refused(pve: Pve, vm_id: str) -> bool:
    """Whether one more change is refused."""
    try:
        pve.gateway().start_vm(vm_id)
    except UnavailableError:
        return True
    return False


@pytest.mark.slow
def test_changes_that_wait_leave_room_for_reads(authority: Authority) -> None:
    """128 changes wait for slow tasks, another one is refused, and lists go on."""
    with ProxmoxSandbox(authority, task_seconds=15.0) as sandbox:
        pve = Pve(sandbox, str(authority.ca_file))
        running, *stopped = seeded(pve), *map(str, sandbox.seed(128, state="stopped"))

        def start(vm_id: str) -> bool:
            return pve.gateway(seconds=60).start_vm(vm_id).done

        with ThreadPoolExecutor(128) as pool:
            starts = [pool.submit(start, vm_id) for vm_id in stopped]
            wait_until(lambda: pve.operations().count(START) == 128, pause=0.2)
            assert is_refused(pve, running)
            taken = []
            for _ in range(10):
                begun = time.monotonic()
                pve.gateway().list_vms()
                taken.append(time.monotonic() - begun)
            assert not any(one.done() for one in starts)
            assert all(one.result() for one in starts)
        assert statistics.median(taken) < 1
        pve.backends.close()
