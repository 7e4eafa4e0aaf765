"""What a list of Proxmox costs us in CPU and memory: `python -m tests.bench.proxmox_list`.

Proxmox is simulated in another process, so that only our own process's time and memory are counted: TLS, reading and
sorting.
"""

from __future__ import annotations

import resource
import tempfile
import time
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path

from providers.credentials import Credentials
from providers.deadline import Deadline
from providers.domain import Environment
from providers.gateway import Backends
from providers.network import Network
from providers.proxmox import CLOUD
from providers.sandbox import proxmox
from providers.sandbox.authority import Authority

SIZES = (10, 100, 1000, 2000, 10_000)
RUNS = 9


def simulate(vms: int, folder: str, connection: Connection) -> None:
    """Run the simulated Proxmox until the other end of the connection is closed."""
    with proxmox.ProxmoxSandbox(Authority(Path(folder) / "ca.pem")) as sandbox:
        sandbox.seed(vms)
        connection.send(sandbox.url)
        try:
            connection.recv()
        except EOFError:
            return


def measured(vms: int) -> tuple[float, float, float]:
    """The least CPU and wall time of a list in milliseconds, and by how many MB it raised the process's memory."""
    context = get_context("spawn")
    ours, theirs = context.Pipe()
    with tempfile.TemporaryDirectory() as folder:
        simulator = context.Process(target=simulate, args=(vms, folder, theirs))
        simulator.start()
        theirs.close()
        environment = Environment("bench", CLOUD, url=ours.recv(), vpc_id="node/pve", ca_file=f"{folder}/ca.pem")
        backends = Backends(Network())
        credentials = Credentials(proxmox.TOKEN_ID, proxmox.TOKEN_SECRET)
        rest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        times = []
        for _ in range(RUNS):
            gateway = backends.gateway(environment, credentials, Deadline.after(60))
            cpu, wall = time.process_time(), time.perf_counter()
            listed = gateway.list_vms()
            times.append(((time.process_time() - cpu) * 1000, (time.perf_counter() - wall) * 1000))
            assert len(listed) == vms
        raised = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - rest) / 1024
        backends.close()
        ours.close()
        simulator.join()
    return min(cpu for cpu, _ in times), min(wall for _, wall in times), raised


def main() -> None:
    """Print one line for each size."""
    for size in SIZES:
        cpu, wall, raised = measured(size)
        print(f"{size:6} VMs: {cpu:8.2f} ms CPU, {wall:8.2f} ms wall, +{raised:.0f} MB")  # noqa: T201 # a script


if __name__ == "__main__":
    main()
