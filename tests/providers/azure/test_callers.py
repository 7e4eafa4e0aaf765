"""Who calls: no token is ever another's, none is bought twice, and none leaves the environment's own cloud."""

from __future__ import annotations

import json
import urllib.parse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from providers.errors import CredentialsRejectedError, CredentialsUnusableError, PermissionDeniedError, ProviderError
from providers.gateway import Backends
from providers.network import Network
from providers.sandbox import azure
from providers.sandbox.authority import Authority
from providers.sandbox.azure import AzureSandbox
from providers.sandbox.faults import Fault
from tests.providers.azure.recorder import Record
from tests.providers.azure.simulated import GET, GROUP, POLL, SPEC, Caller, operations
from tests.support.clock import Clock
from tests.support.limits import LIMITS
from tests.support.proxy import connect_proxy
from tests.support.serving import serving
from tests.support.threads import at_once

TOKEN = "Token"


def outcome(attempt: Callable[[], object]) -> str:
    """What an attempt ended with: the code of its error, or nothing."""
    try:
        attempt()
    except ProviderError as error:
        return error.code
    return ""


def test_thirty_two_threads_with_two_secrets_never_share_a_token(
    sandbox: AzureSandbox, another: Callable[..., Caller]
) -> None:
    """One application, a right and a wrong secret, one process: each thread gets what its own secret is worth."""
    sandbox.seed(1)
    right, wrong = another(), another(secret="wrong-secret")
    wrong.backends = right.backends
    results = at_once(32, lambda number: outcome(lambda: (right, wrong)[number % 2].verbs.get_vm("vm-0001")))
    assert results == ["", "credentials_rejected"] * 16
    assert sandbox.token_requests == 1
    assert sandbox.calls.count(GET) == 16


def test_thirty_two_threads_of_two_applications_are_told_apart(
    sandbox: AzureSandbox, another: Callable[..., Caller], record: Record
) -> None:
    """One may read and the other may not, in one process; every call bears its own caller's token."""
    sandbox.seed(1)
    sandbox.add_principal("nobody@sandbox", azure.SECRET, actions=(), scope=GROUP)
    reader, nobody = another(url=record.url), another(url=record.url, client_id="nobody@sandbox")
    nobody.backends = reader.backends
    results = at_once(32, lambda number: outcome(lambda: (reader, nobody)[number % 2].verbs.get_vm("vm-0001")))
    assert results == ["", "permission_denied"] * 16
    tokens = {one.headers["authorization"] for one in record.sent("GET", "/vm-0001")}
    assert len(tokens) == len(record.sent("POST", "/token")) == 2


def test_session_that_is_put_out_is_logged_in_anew_and_the_others_are_not(
    sandbox: AzureSandbox, another: Callable[..., Caller]
) -> None:
    """The least recently used goes first."""
    sandbox.seed(1)
    backends = Backends(Network(), replace(LIMITS, sessions=2))
    callers = []
    for number in range(3):
        sandbox.add_principal(f"app-{number}", azure.SECRET)
        callers.append(another(client_id=f"app-{number}"))
        callers[-1].backends = backends
    for number, bought in ((0, 1), (1, 2), (0, 2), (2, 3), (0, 3), (1, 4), (0, 4)):
        callers[number].verbs.get_vm("vm-0001")
        assert sandbox.token_requests == bought
        assert len(backends.sessions) <= 2


def test_call_refused_with_401_in_mid_session_buys_one_token_and_is_repeated_once(
    sandbox: AzureSandbox, caller: Caller
) -> None:
    """By sixteen threads at once, reading and making; nothing is made twice."""
    sandbox.seed(1)
    before = sandbox.token_requests
    sandbox.expire_tokens()
    results = at_once(
        16,
        lambda number: outcome(
            lambda: (
                caller.verbs.get_vm("vm-0001")
                if number % 4
                else caller.verbs.create_vm(replace(SPEC, name=f"w{number}"))
            )
        ),
    )
    assert results == [""] * 16
    assert sandbox.token_requests == before + 1
    assert len(sandbox.vms()) == 5


def test_call_refused_with_401_again_and_again_is_the_callers(sandbox: AzureSandbox, caller: Caller) -> None:
    """A token that Azure never takes, of another tenant, say: one other is bought, and that is all."""
    before = sandbox.token_requests
    sandbox.faults.add(Fault(GET, times=None, status=401, code="InvalidAuthenticationTokenTenant", message="No."))
    with pytest.raises(CredentialsUnusableError) as raised:
        caller.verbs.get_vm("vm-0001")
    assert raised.value.backend is not None
    assert raised.value.backend.code == "InvalidAuthenticationTokenTenant"
    assert sandbox.token_requests == before + 1
    assert operations(sandbox).count(GET) == 2
    sandbox.faults.clear()
    assert caller.verbs.list_vms() == []


@pytest.mark.parametrize(
    ("number", "status"), [(7000112, 401), (7000112, 400), (700016, 400), (7000222, 401), (50034, 400), (500014, 400)]
)
def test_log_in_of_a_principal_that_may_not_is_tried_once_and_told(
    sandbox: AzureSandbox, another: Callable[..., Caller], number: int, status: int
) -> None:
    """Disabled, unknown, expired: with Entra's own number."""
    sandbox.faults.add(Fault(TOKEN, times=None, status=status, code=str(number), message="Application is disabled."))
    with pytest.raises(CredentialsRejectedError) as raised:
        another().verbs.list_vms()
    assert raised.value.backend is not None
    assert raised.value.backend.code == f"AADSTS{number}"
    assert "Application is disabled." in raised.value.detail
    assert sandbox.calls.count(TOKEN) == 1
    assert len(operations(sandbox)) == 2


def test_principal_disabled_in_mid_session_is_told_and_goes(
    sandbox: AzureSandbox, another: Callable[..., Caller]
) -> None:
    """After the pause the next request logs in again, once."""
    clock = Clock()
    network = Network(connect_timeout_seconds=5, read_timeout_seconds=10)
    caller = another(backends=Backends(network, LIMITS, clock=clock))
    caller.verbs.list_vms()
    sandbox.expire_tokens()
    sandbox.faults.add(Fault(TOKEN, status=401, code="7000112", message="Application is disabled."))
    with pytest.raises(CredentialsRejectedError, match="7000112"):
        caller.verbs.list_vms()
    assert len(caller.backends.sessions) == 0
    sandbox.calls.clear()
    with pytest.raises(CredentialsUnusableError):
        caller.verbs.list_vms()
    assert operations(sandbox) == []
    clock.now += 5
    assert caller.verbs.list_vms() == []
    assert operations(sandbox).count(TOKEN) == 1


def test_role_taken_away_in_mid_session_is_a_denial_and_no_new_token(sandbox: AzureSandbox, caller: Caller) -> None:
    """The secret is still good."""
    sandbox.seed(1)
    before = sandbox.token_requests
    sandbox.faults.add(Fault(GET, status=403, code="AuthorizationFailed", message="does not have authorization"))
    with pytest.raises(PermissionDeniedError):
        caller.verbs.get_vm("vm-0001")
    assert sandbox.token_requests == before
    assert len(caller.backends.sessions) == 1


CLOUDS = {
    "": ("management.azure.com", "login.microsoftonline.com", "management.azure.com"),
    "AzurePublicCloud": ("management.azure.com", "login.microsoftonline.com", "management.azure.com"),
    "AzureChinaCloud": ("management.chinacloudapi.cn", "login.chinacloudapi.cn", "management.chinacloudapi.cn"),
    "AzureUSGovernment": (
        "management.usgovcloudapi.net", "login.microsoftonline.us", "management.core.usgovcloudapi.net",
    ),
    "AzureUSGovernmentCloud": (
        "management.usgovcloudapi.net", "login.microsoftonline.us", "management.core.usgovcloudapi.net",
    ),
}  # fmt: skip


@pytest.mark.parametrize("word", CLOUDS)
def test_caller_in_each_cloud_logs_in_at_its_authority_and_asks_its_endpoint(
    another: Callable[..., Caller], authority: Authority, word: str
) -> None:
    """Through a proxy that leads both names to this machine: to no other host goes anything, and pages are read."""
    management, log_in, audience = CLOUDS[word]
    with everybody(authority, management, log_in) as (asked, port):
        names = (f"{management}:443", f"{log_in}:443")
        with connect_proxy(dict.fromkeys(names, f"127.0.0.1:{port}")) as proxy:
            caller = another()
            caller.backends = Backends(Network(https_proxy=proxy.url), LIMITS)
            caller.environment = replace(caller.environment, url=word)
            assert caller.verbs.list_vms() == []
            caller.backends.close()
        assert set(proxy.asked) == set(names)
    (form,) = [urllib.parse.parse_qs(body) for host, body in asked if body]
    assert form["scope"] == [f"https://{audience}/.default"]
    assert [host for host, body in asked if body] == [log_in]
    assert sorted(host for host, _ in asked) == sorted([management] * 4 + [log_in] * 2)


@contextmanager
def everybody(authority: Authority, *names: str) -> Iterator[tuple[list[tuple[str, str]], int]]:
    """A server under all these names, with two empty pages of VMs: what it is asked, by host and body, and its port."""
    asked: list[tuple[str, str]] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
            asked.append((self.headers["Host"], body))
            place = f"https://{self.headers['Host']}/{azure.TENANT}/oauth2/v2.0"
            # Some of Azure's links name the port, which is that of https anyhow.
            following = f"https://{self.headers['Host']}:443{self.path}&page=2"
            answer = {
                **({} if "page=2" in self.path else {"nextLink": following}),
                "token_endpoint": f"{place}/token", "authorization_endpoint": f"{place}/authorize", "value": [],
                "token_type": "Bearer", "expires_in": 3599, "access_token": "token",
            }  # fmt: skip
            content = json.dumps(answer).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_POST = do_GET  # noqa: N815 - http.server's name

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    context = authority.server_context(*names)
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    with serving(server):
        yield asked, server.server_port


def test_list_with_the_subscription_filtered_tells_all_states_in_two_calls(
    sandbox: AzureSandbox, another: Callable[..., Caller]
) -> None:
    """Azure may show a principal of one group that group's VMs, instead of refusing the subscription."""
    sandbox.knobs.filters_subscription_list = True
    sandbox.add_principal("reader@sandbox", azure.SECRET, actions=("Microsoft.Compute/*/read",), scope=GROUP)
    sandbox.seed(3)
    reader = another(client_id="reader@sandbox")
    reader.verbs.list_vms()
    sandbox.calls.clear()
    assert {vm.provider_status for vm in reader.verbs.list_vms()} == {"running"}
    assert sorted(operations(sandbox)) == ["VirtualMachines_List", "VirtualMachines_ListAll"]


def test_list_without_the_subscription_asks_for_each_vm_once(
    sandbox: AzureSandbox, another: Callable[..., Caller]
) -> None:
    """At most eight at a time, counted by the connections that they take."""
    sandbox.add_principal("reader@sandbox", azure.SECRET, actions=("Microsoft.Compute/*/read",), scope=GROUP)
    sandbox.seed(30)
    reader = another(client_id="reader@sandbox")
    before = sandbox.server.connections
    found = reader.verbs.list_vms()
    assert len(found) == 30
    assert {vm.provider_status for vm in found} == {"running"}
    assert sandbox.calls.count(GET) == 30
    # Two for the log-in and the first two lists aside.
    assert sandbox.server.connections - before <= 8 + 2
    assert sandbox.calls.count(POLL) == 0
