"""SIGHUP: the files are read again while the server runs."""

import http.client
import json
import signal
import socket
import ssl
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme

from tests.conformance.proxmox import ProxmoxHarness
from tests.conformance.vsphere import VSphereHarness
from tests.support.api import bearer
from tests.support.server import Server, stop
from tests.support.waiting import wait_until
from tests.vms.conftest import ENVIRONMENTS
from tests.vms.server.conftest import Serve, write_certificate

pytestmark = pytest.mark.slow

NEW = {**ENVIRONMENTS[0], "name": "aws-new"}


def reload(server: Server) -> None:
    """Send SIGHUP to the supervisor."""
    server.process.send_signal(signal.SIGHUP)


def names(server: Server) -> list[str]:
    """Return the names of the environments, asked on a new connection."""
    return [environment["name"] for environment in json.loads(server.request("GET", "/environment").body)]


def write_environments(server: Server, content: str) -> None:
    """Replace the server's environments file."""
    (server.log.parent / "environments.json").write_text(content)


def messages(server: Server, part: str) -> list[str]:
    """Return the messages in the log that contain a text."""
    lines = [json.loads(line) for line in server.log.read_text().splitlines() if part in line]
    return [line["message"] for line in lines]


def wait_for_names(server: Server, expected: list[str]) -> None:
    """Wait until every worker answers with these environments."""
    wait_until(lambda: [names(server) for _ in range(20)] == [expected] * 20)


def test_reload_takes_over_good_files_without_losing_a_request(serve: Serve) -> None:
    """Callers on kept and on new connections see the old environments, then the new ones, and nothing else."""
    server = serve()
    old, new = [each["name"] for each in ENVIRONMENTS], [each["name"] for each in [*ENVIRONMENTS, NEW]]
    seen: Counter[object] = Counter()
    ended = threading.Event()

    def keep_asking(*, keep_alive: bool) -> None:
        connection = http.client.HTTPConnection("localhost", server.port, timeout=10)
        while not ended.is_set():
            try:
                connection.request("GET", "/environment")
                response = connection.getresponse()
                seen[(response.status, len(json.loads(response.read())))] += 1
            except OSError as error:
                seen[type(error).__name__] += 1
            if not keep_alive:
                connection.close()
        connection.close()

    callers = [threading.Thread(target=keep_asking, kwargs={"keep_alive": number % 2 == 0}) for number in range(4)]
    for caller in callers:
        caller.start()
    assert names(server) == old
    write_environments(server, json.dumps([*ENVIRONMENTS, NEW]))
    reload(server)
    wait_for_names(server, new)
    ended.set()
    for caller in callers:
        caller.join()
    assert set(seen) == {(200, len(old)), (200, len(new))}
    assert messages(server, "Reloaded") == [
        "Reloaded the files: 4 environments (added aws-new), 2 machine types.",
    ]


def test_reload_says_what_has_changed_and_warns_as_the_start_does(serve: Serve) -> None:
    """One line for the service, and one for each environment that cannot be used."""
    server = serve()
    aws, azure, _ = ENVIRONMENTS
    write_environments(server, json.dumps([NEW, {**aws, "region": "eu-west-1"}, {**azure, "vpc_id": "zz"}]))
    reload(server)
    wait_until(lambda: bool(messages(server, "cannot be used")))
    (line,) = messages(server, "Reloaded")
    assert "3 environments (added aws-new; removed esxi-one; changed aws-one, azure-one), 2 machine types." in line
    (warning,) = messages(server, "cannot be used")
    assert "'azure-one'" in warning
    reload(server)
    wait_until(lambda: len(messages(server, "cannot be used")) == 2)
    assert "(none changed)" in messages(server, "Reloaded")[1]


def test_reload_of_faulty_files_logs_each_fault_and_keeps_the_old_ones(serve: Serve) -> None:
    """The server goes on; the files can be corrected and reloaded."""
    server = serve()
    write_environments(server, '[{"name": "a", "cloud": "Aws"}, {"name": "b", "cloud": "Nowhere"}]')
    reload(server)
    wait_until(lambda: len(messages(server, "The old files stay in use.")) == 2)
    lines = [json.loads(line) for line in server.log.read_text().splitlines() if "are not reloaded" in line]
    assert [line["level"] for line in lines] == ["ERROR", "ERROR"]
    assert [line["message"].partition("environments.json: ")[2].split(":")[0] for line in lines] == [
        "$[0]",
        "$[1].cloud",
    ]
    assert {tuple(names(server)) for _ in range(10)} == {tuple(each["name"] for each in ENVIRONMENTS)}
    write_environments(server, json.dumps([NEW]))
    reload(server)
    wait_for_names(server, ["aws-new"])
    assert stop(server) == 0


def test_reload_reaches_workers_that_are_forked_later(serve: Serve) -> None:
    """A worker that replaces a dead one has the new files, too."""
    server = serve("--workers", "1")
    write_environments(server, json.dumps([NEW]))
    reload(server)
    wait_until(lambda: server.log.read_text().count("Reloaded the files") == 1)
    (worker,) = server.workers()
    server.kill(worker)
    wait_until(lambda: server.workers() not in ([], [worker]))
    assert names(server) == ["aws-new"]


def test_request_in_flight_ends_with_the_environments_it_began_with(
    serve_cloud: Serve, cloud: ProxmoxHarness, tmp_path: Path
) -> None:
    """A create goes on although its environment vanishes from the file."""
    server = serve_cloud("--workers", "1")
    cloud.sandbox.knobs.task_seconds = 0.8
    token = f"Authorization: {bearer(cloud.access_key, cloud.secret)}".strip()
    body = json.dumps({"name": "reload1", "environment": "main", "machinetype": "small-debian"}).encode()
    replies = []
    thread = threading.Thread(
        target=lambda: replies.append(
            server.request(
                *("POST", "/vm", token, "Content-Type: application/json", f"Content-Length: {len(body)}"), body=body
            )
        )
    )
    thread.start()
    wait_until(lambda: bool(cloud.states()))
    environments = json.loads((tmp_path / "environments.json").read_text())
    (tmp_path / "environments.json").write_text(json.dumps(environments[1:]))
    reload(server)
    wait_until(lambda: names(server) == ["other"])
    assert thread.is_alive()
    thread.join()
    assert replies[0].status == 201


@pytest.fixture
def center() -> Iterator[VSphereHarness]:
    """A simulated vCenter."""
    harness = VSphereHarness()
    harness.start()
    yield harness
    harness.stop()


def test_reload_ends_the_sessions_of_changed_environments_only(
    serve: Serve, center: VSphereHarness, tmp_path: Path
) -> None:
    """Who has a session in an environment that stays as it is need not log in again."""

    def environment(name: str, **changed: Any) -> dict[str, Any]:
        return {**center.environment, "url": center.url, "ca_file": center.ca_file, "name": name, **changed}

    file = tmp_path / "e.json"
    file.write_text(json.dumps([environment("kept"), environment("changed"), environment("gone")]))
    server = serve("--workers", "1", CLOUDVM_ENVIRONMENTS_FILE=str(file))
    token = f"Authorization: {bearer(center.access_key, center.secret)}".strip()

    def list_vms(name: str) -> int:
        return server.request("GET", f"/vm?environment={name}", token).status

    assert [list_vms(name) for name in ("kept", "changed", "gone")] == [200, 200, 200]
    assert len(center.sandbox.sessions()) == 3
    file.write_text(json.dumps([environment("kept"), environment("changed", network_id="")]))
    reload(server)
    wait_until(lambda: len(center.sandbox.sessions()) == 1)
    logins = center.sandbox.logins
    assert [list_vms(name) for name in ("kept", "changed", "gone")] == [200, 200, 400]
    assert center.sandbox.logins == logins + 1


def presented(port: int, authority: trustme.CA) -> int:
    """Return the serial number of the certificate that the server presents."""
    context = ssl.create_default_context()
    authority.configure_trust(context)
    with (
        socket.create_connection(("127.0.0.1", port), timeout=10) as connection,
        context.wrap_socket(connection, server_hostname="localhost") as tls,
    ):
        tls.sendall(b"GET /environment HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        assert tls.recv(15) == b"HTTP/1.1 200 OK"
        certificate = tls.getpeercert()
    assert certificate is not None
    return int(str(certificate["serialNumber"]), 16)


def test_reload_presents_a_new_certificate(serve_tls: Serve, authority: trustme.CA, tmp_path: Path) -> None:
    """A renewed certificate needs no restart; a faulty one is logged, and the old one stays."""
    server = serve_tls()
    first = {presented(server.port, authority) for _ in range(10)}
    write_certificate(tmp_path, authority)
    reload(server)
    wait_until(lambda: first.isdisjoint(presented(server.port, authority) for _ in range(10)))
    second = {presented(server.port, authority) for _ in range(10)}
    assert (len(first), len(second)) == (1, 1)
    (tmp_path / "key.pem").write_text("no key")
    reload(server)
    wait_until(lambda: "The files are not reloaded." in server.log.read_text())
    assert {presented(server.port, authority) for _ in range(10)} == second
