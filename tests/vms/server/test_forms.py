"""Forms that a browser sends to a running server."""

import re
import socket
import time
from dataclasses import dataclass, field
from urllib.parse import urlencode

import pytest

from tests.conformance.harness import Trouble
from tests.conformance.proxmox import ProxmoxHarness
from tests.support.api import bearer
from tests.support.server import Reply, Server
from tests.support.threads import at_once
from tests.support.waiting import wait_until
from tests.vms.server.conftest import Serve

pytestmark = pytest.mark.slow

FORM = "Content-Type: application/x-www-form-urlencoded; charset=utf-8"


@dataclass
class Visitor:
    """A browser without a window that speaks to a real server: keeps cookies, and sends forms from its pages."""

    server: Server
    cookies: dict[str, str] = field(default_factory=dict)

    def go(self, path: str) -> Reply:
        """Open a page."""
        return self._kept(self.server.request("GET", path, *self.headers()))

    def token(self, path: str = "/signin") -> str:
        """The CSRF token of a page."""
        (token,) = set(re.findall(r'csrfmiddlewaretoken" value="([^"]+)"', self.go(path).body.decode()))
        return str(token)

    def send(self, path: str, content_type: str, body: bytes, *, promised: int | None = None) -> Reply:
        """Send a form; `promised` is how long it is said to be, where that is not what comes."""
        length = f"Content-Length: {len(body) if promised is None else promised}"
        headers = (*self.headers(), "Origin: http://localhost", content_type, length)
        return self._kept(self.server.request("POST", path, *headers, body=body))

    def headers(self) -> tuple[str, str]:
        """What it sends with everything."""
        return "Accept: text/html", "Cookie: " + "; ".join(f"{name}={value}" for name, value in self.cookies.items())

    def _kept(self, reply: Reply) -> Reply:
        name, _, value = reply.headers.get("set-cookie", "").strip().partition(";")[0].partition("=")
        self.cookies.update({name: value} if name else {})
        return reply


def form(server: Server, **fields: str) -> Reply:
    """Send the sign-in form, as a browser that has just opened it."""
    visitor = Visitor(server)
    return visitor.send("/signin", FORM, urlencode({"csrfmiddlewaretoken": visitor.token(), **fields}).encode())


BOUNDARY = "----WebKitFormBoundaryA1b2C3d4E5f6G7h8"
PARTS = f"Content-Type: multipart/form-data; boundary={BOUNDARY}"


def in_parts(**fields: str) -> bytes:
    """A form as a browser writes it whose form says `multipart/form-data`."""
    parts = [
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in fields.items()
    ]
    return "".join([*parts, f"--{BOUNDARY}--\r\n"]).encode()


@pytest.fixture
def visitor(serve_cloud: Serve, cloud: ProxmoxHarness) -> Visitor:
    """Somebody who is signed in, by a form in parts, to `main` of a server that has a cloud."""
    somebody = Visitor(serve_cloud("--workers", "1"))
    typed = {"environment": "main", "access_key": cloud.access_key, "secret": cloud.secret}
    signed_in = somebody.send("/signin", PARTS, in_parts(csrfmiddlewaretoken=somebody.token(), **typed))
    assert (signed_in.status, signed_in.headers["location"]) == (303, "/vm?environment=main")
    return somebody


CREATE = "/create?environment=main"
LONG = (
    "#cloud-config\n# ' & ü ✓\n"
    + "# padding, which takes three times the room if it is encoded for a URL: & = %\n" * 6500
)


def test_create_by_a_form_takes_cloud_init_of_the_largest_size(visitor: Visitor, cloud: ProxmoxHarness) -> None:
    """512 KiB and letters of any kind go through, as the pages' own forms send them."""
    cloud_init = LONG.encode() + b"#" * (512 * 1024 - len(LONG.encode()))
    assert 'enctype="multipart/form-data"' in visitor.go(CREATE).body.decode()
    typed = {"name": "long1", "machinetype": "small-debian", "start": "on", "cloud_init": cloud_init.decode()}
    made = visitor.send(CREATE, PARTS, in_parts(csrfmiddlewaretoken=visitor.token(CREATE), **typed))
    assert made.status == 303, made.body[:2000]
    until = time.monotonic() + 20
    while "running" not in cloud.states().values() and time.monotonic() < until:
        time.sleep(0.1)
    ((vm_id, state),) = cloud.states().items()
    assert state == "running"
    assert cloud.user_data(vm_id) == cloud_init


def test_form_that_is_cut_is_not_taken_for_a_shorter_one(visitor: Visitor, cloud: ProxmoxHarness) -> None:
    """The connection breaks within cloud-init, and no VM is made with half of it; nor of a form in chunks."""
    typed = {"csrfmiddlewaretoken": visitor.token(CREATE), "name": "cut1", "machinetype": "small-debian"}
    typed["cloud_init"] = "#cloud-config\n" * 100
    cloud.forget_operations()
    for content_type, body in ((PARTS, in_parts(**typed)), (FORM, urlencode(typed).encode())):
        lines = [f"POST {CREATE} HTTP/1.1", "Host: localhost", *visitor.headers(), "Origin: http://localhost"]
        for framing, sent in (
            (f"Content-Length: {len(body)}", body[:800]),
            ("Transfer-Encoding: chunked", b"320\r\n" + body[:800] + b"\r\n"),
        ):
            with socket.create_connection(("127.0.0.1", visitor.server.port), timeout=10) as connection:
                connection.sendall("\r\n".join([*lines, content_type, framing, "", ""]).encode() + sent)
    visitor.go(CREATE)
    assert "POST /create" not in visitor.server.log.read_text()
    assert cloud.operations() == []


def test_form_in_parts_that_is_too_large_is_refused(visitor: Visitor) -> None:
    """What no field of the form has place for, and files of any size."""
    body = in_parts(csrfmiddlewaretoken=visitor.token(CREATE), name="large1", filler="x" * 2_000_000)
    for sent in (body, body.replace(b'name="filler"', b'name="filler"; filename="f"')):
        reply = visitor.send(CREATE, PARTS, sent)
        assert reply.status == 413
        assert b"larger than" in reply.body


def test_pages_are_served_with_their_assets(serve: Serve) -> None:
    """From our own files."""
    server = serve("--workers", "1")
    page = server.request("GET", "/signin", "Accept: text/html").body.decode()
    assets = {part.split('"')[0] for part in page.split('"/static/')[1:]}
    assert assets == {"vms/pages.css", "vms/pages.js", "vms/icon.svg"}
    assert {server.request("GET", f"/static/{asset}").status for asset in assets} == {200}


@pytest.mark.parametrize(("size", "status"), [(10, 401), (2_000_000, 413)])
def test_sign_in_with_an_odd_form_is_refused(serve: Serve, size: int, status: int) -> None:
    """One that names nothing, and one that is larger than anything that is read."""
    server = serve("--workers", "1")
    reply = form(server, filler="x" * size)
    assert reply.status == status
    assert reply.headers["content-type"] == "text/html; charset=utf-8"
    assert server.alive()


def test_wrong_secrets_that_meet_different_workers_reach_the_cloud_three_times(
    serve_cloud: Serve, cloud: ProxmoxHarness
) -> None:
    """By the form and by token; the processes count together. A worker that was replaced goes on counting."""
    server = serve_cloud("--workers", "4", "--threads", "32")
    right = f"Authorization: {bearer(cloud.access_key, cloud.secret)}".strip()
    assert server.request("GET", "/vm?environment=main", right).status == 200
    typed = {"environment": "main", "access_key": cloud.access_key}
    statuses = [form(server, **typed, secret="canary-s3cr3t-0").status]

    def listed(number: int) -> int:
        wrong = f"Authorization: {bearer(cloud.access_key, f'canary-s3cr3t-{number}')}".strip()
        return server.request("GET", "/vm?environment=main", wrong).status

    statuses += at_once(10, lambda number: listed(number + 1))
    for worker in server.workers():
        server.kill(worker)
    wait_until(lambda: len(server.workers()) == 4 and server.alive())
    statuses += [listed(number) for number in range(11, 16)]
    statuses += [form(server, **typed, secret=f"canary-s3cr3t-{number}").status for number in range(16, 20)]
    assert sorted(statuses) == [401] * 3 + [429] * 17
    assert cloud.rejected_log_ins() == 3
    assert server.request("GET", "/vm?environment=main", right).status == 200
    assert form(server, **typed, secret=cloud.secret).status == 303
    assert "canary-s3cr3t" not in server.log.read_text()


def test_same_wrong_secret_that_meets_different_workers_at_once_reaches_the_cloud_once(
    serve_cloud: Serve, cloud: ProxmoxHarness
) -> None:
    """The workers wait for each other's first try."""
    server = serve_cloud("--workers", "4", "--threads", "32")
    cloud.trouble(Trouble.SLOW_LOG_IN)
    wrong = f"Authorization: {bearer(cloud.access_key, 'canary-s3cr3t')}".strip()
    replies = at_once(20, lambda _: server.request("GET", "/vm?environment=main", wrong))
    assert {(reply.status, reply.code) for reply in replies} == {(401, "credentials_rejected")}
    assert all(1 <= int(reply.headers["retry-after"]) <= 5 for reply in replies)
    assert cloud.rejected_log_ins() == 1


def test_sign_in_where_nobody_listens_can_be_repeated(serve: Serve) -> None:
    """Nobody has rejected the secret, so nothing is held up."""
    running = serve("--workers", "1")
    typed = {"environment": "esxi-one", "access_key": "root", "secret": "canary-s3cr3t"}
    assert [form(running, **typed).status for _ in range(5)] == [502] * 5
