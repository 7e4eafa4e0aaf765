"""What a list of AWS costs us in CPU, by the stock parser and by ours: `python -m tests.bench.aws_list [compact]`.

EC2 is played by another process over loopback, so that only our own process's time is counted. Its answers are
indented as EC2's are, 8.7 kB for each instance; `compact` leaves the blanks out, 4.5 kB.
"""

from __future__ import annotations

import gc
import gzip
import multiprocessing
import sys
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing.connection import Connection

import boto3

from providers.aws import CLOUD
from providers.aws.driver import AwsDriver
from providers.credentials import Credentials
from providers.domain import Environment
from providers.network import Network
from tests.providers.aws.documents import described, instance

SIZES = (1, 10, 100, 1000)
KEYS = Credentials("AKIAIOSFODNN7EXAMPLE", "secret")


def serve(ready: Connection, indented: bool) -> None:  # noqa: FBT001 # a process's target
    """Answer every request with as many instances as its path says."""
    plain = {f"/{size}": described(*map(instance, range(size)), indented=indented) for size in SIZES}
    packed = {path: gzip.compress(body, 6) for path, body in plain.items()}

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            compress = self.headers.get("Accept-Encoding") == "gzip"
            body = (packed if compress else plain)[self.path]
            head = "HTTP/1.1 200 OK\r\nContent-Type: text/xml;charset=UTF-8\r\n"
            head += f"Content-Length: {len(body)}\r\n" + ("Content-Encoding: gzip\r\n" if compress else "")
            self.wfile.write(f"{head}\r\n".encode() + body)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    ready.send(server.server_port)
    server.serve_forever()


def milliseconds(work: Callable[[], object], times: int) -> tuple[float, float]:
    """CPU and wall time of one run, the least of some batches: what else runs here only adds to it."""
    batches = []
    work()
    gc.collect()
    gc.freeze()  # as the server does after its start
    for _ in range(15):
        cpu, wall = time.process_time(), time.perf_counter()
        for _ in range(times):
            work()
        batches.append(((time.process_time() - cpu) / times * 1000, (time.perf_counter() - wall) / times * 1000))
    return min(batches)


def ours(url: str) -> Callable[[], object]:
    """A list by the driver."""
    driver = AwsDriver.open(Environment("bench", CLOUD, url=url, region="eu-west-3"), KEYS, Network())
    return lambda: list(driver.list_vms())


def stock(url: str) -> Callable[[], object]:
    """A list by boto3 as it comes."""
    client = boto3.Session(KEYS.access_key, KEYS.secret).client("ec2", "eu-west-3", endpoint_url=url)
    return client.describe_instances


def main() -> None:
    """Print one line for each way and size; ours first, as the stock parser leaves a heap in which all is slower."""
    near, far = multiprocessing.Pipe()
    process = multiprocessing.Process(target=serve, args=(far, "compact" not in sys.argv), daemon=True)
    process.start()
    url = f"http://127.0.0.1:{near.recv()}"
    for way in (ours, stock):
        for size in SIZES:
            cpu, wall = milliseconds(way(f"{url}/{size}"), max(1, 200 // size))
            print(f"{way.__name__:5} {size:5} VMs: {cpu:8.2f} ms CPU, {wall:8.2f} ms wall")  # noqa: T201 # a script
    process.terminate()


if __name__ == "__main__":
    main()
