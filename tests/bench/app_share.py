"""Our own share of a request: `python -m tests.bench.app_share [VMS] [REQUESTS]`.

Starts the simulated AWS in a process of its own, the API under the production server, and lists VMs again and again
over one connection. Prints the median of what `Server-Timing` says, and the CPU that the API's processes used.
"""

import base64
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import requests

from providers.sandbox import aws
from providers.sandbox.authority import Authority

ROOT = Path(__file__).resolve().parent.parent.parent
PORT = 8197
TIMING = re.compile(r"backend;dur=([\d.]+).*app;dur=([\d.]+)")


def simulate(vms: int, folder: str, connection: Connection) -> None:
    """Run the simulated AWS until the other end of the connection is closed."""
    with aws.AwsSandbox(Authority(Path(folder) / "ca.pem")) as sandbox:
        sandbox.seed(vms)
        connection.send(sandbox.url)
        try:
            connection.recv()
        except EOFError:
            return


@contextmanager
def running(vms: int) -> Iterator[subprocess.Popen[bytes]]:
    """The API on a simulated AWS with so many VMs."""
    context = get_context("spawn")
    ours, theirs = context.Pipe()
    with tempfile.TemporaryDirectory() as folder:
        simulator = context.Process(target=simulate, args=(vms, folder, theirs))
        simulator.start()
        theirs.close()
        environment = {
            "name": "bench", "cloud": "Aws", "url": ours.recv(), "region": aws.REGION, "vpc_id": aws.VPC_ID,
            "ca_file": "ca.pem",
        }  # fmt: skip
        (Path(folder) / "environments.json").write_text(json.dumps([environment]))
        variables = {
            **os.environ,
            "CLOUDVM_ENVIRONMENTS_FILE": f"{folder}/environments.json",
            "CLOUDVM_SECRET_KEY": "x" * 50,
            "CLOUDVM_LOG_LEVEL": "WARNING",
        }
        command = [sys.executable, "manage.py", "serve", "--port", str(PORT), "--workers", "1", "--quiet"]
        with subprocess.Popen(command, cwd=ROOT, env=variables) as api:
            yield api
            api.terminate()
        ours.close()
        simulator.join()


def cpu_seconds(process_id: int) -> float:
    """CPU time of a process and its children, as Linux tells."""
    children = Path(f"/proc/{process_id}/task/{process_id}/children").read_text().split()
    fields = Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()
    own = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return own + sum(cpu_seconds(int(child)) for child in children)


def main(vms: int = 10, count: int = 200) -> None:
    """Measure and print."""
    token = base64.b64encode(f"{aws.ACCESS_KEY}:{aws.SECRET}".encode()).decode()
    call: dict[str, Any] = {
        "url": f"http://127.0.0.1:{PORT}/vm",
        "params": {"environment": "bench"},
        "headers": {"Authorization": f"Bearer {token}"},
    }
    with running(vms) as api, requests.Session() as session:
        session.trust_env = False
        for _ in range(100):
            try:
                session.get(**call).raise_for_status()
                break
            except requests.ConnectionError:
                time.sleep(0.1)
        for _ in range(10):
            session.get(**call)
        before, begun = cpu_seconds(api.pid), time.perf_counter()
        timings = [TIMING.findall(session.get(**call).headers["Server-Timing"])[0] for _ in range(count)]
        wall, cpu = time.perf_counter() - begun, cpu_seconds(api.pid) - before
    backend, app = (statistics.median(float(timing[index]) for timing in timings) for index in (0, 1))
    print(  # noqa: T201 - that is what it is for
        f"{vms} VMs, {count} requests, one caller: app {app:.1f} ms, backend {backend:.1f} ms (medians); "
        f"CPU {cpu / count * 1000:.1f} ms, wall {wall / count * 1000:.1f} ms a request"
    )


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
