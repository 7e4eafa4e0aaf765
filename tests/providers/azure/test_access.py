"""The log-in: tried once, by nothing but what the caller and the file say, and silent about its secrets."""

from __future__ import annotations

import gc
import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest
from azure.core.exceptions import ClientAuthenticationError

from providers import trace
from providers.azure.access import Access, EntraSession
from providers.azure.driver import AzureDriver
from providers.azure.naming import operation_of
from providers.azure.site import site_of
from providers.credentials import Credentials
from providers.errors import (
    BackendFailureError,
    BackendTLSError,
    BackendUnreachableError,
    CredentialsRejectedError,
    CredentialsUnusableError,
    ProviderError,
    ThrottledError,
    UnprocessableError,
)
from providers.gateway import Backends
from tests.providers.azure.documents import (
    NETWORK,
    PASSWORD,
    RUNNING,
    SECRET,
    WINDOWS,
    caller,
    environment,
    failed,
    vms,
)
from tests.providers.azure.endpoint import TENANT, Answering, Endpoint, Reply, Request, answering, entra, script
from tests.support.limits import LIMITS
from tests.support.threads import at_once

WRONG = (
    "AADSTS7000215: Invalid client secret provided. Ensure the secret being sent in the request is the client secret "
    "value, not the client secret ID, for a secret added to app 'app-1'.\r\nTrace ID: "
    "0f1e2d3c-0000-1111-2222-333344445555\r\nCorrelation ID: 99999999-0000-1111-2222-333344445555\r\nTimestamp: "
    "2024-10-01 10:00:00Z"
)


def refusing(body: object, status: int = 401, **headers: str) -> Answering:
    """Entra ID, with a good configuration and a bad answer to the log-in."""
    tokens = iter(range(1, 100))
    return lambda request: entra(request, tokens) if request.method == "GET" else Reply(body, status, headers)


def posts(endpoint: Endpoint) -> list[Request]:
    """The log-ins that were tried."""
    return [request for request in endpoint.log_ins if request.method == "POST"]


@contextmanager
def access_to(endpoint: Endpoint) -> Iterator[Access]:
    """What a driver buys its tokens by."""
    found = environment(endpoint)
    session = EntraSession(found, NETWORK, operation_of)
    session.host = endpoint.url.removeprefix("https://")
    yield Access(site_of(found), Credentials("app-1", SECRET), session)
    session.close()


def test_open_logs_in_once_and_sends_what_entra_asks_for() -> None:
    """Two calls; the secret in the body of the second, the scope of the management endpoint."""
    with answering(script(RUNNING)) as endpoint, trace.tracing(trace.Trace("r")) as running:
        backends = Backends(NETWORK, LIMITS)
        for _ in range(3):
            caller(endpoint, backends).get_vm("vm1")
        backends.close()
        assert running.calls == 2 + 3
    assert [request.path for request in endpoint.log_ins] == [
        f"/{TENANT}/v2.0/.well-known/openid-configuration",
        f"/{TENANT}/oauth2/v2.0/token",
    ]
    form = posts(endpoint)[0].body
    assert f"client_secret={SECRET}" in form
    assert "scope=https%3A%2F%2F127.0.0.1" in form
    assert ".default" in form


def test_wrong_secret_is_tried_once_and_told_without_noise() -> None:
    """With Entra's code, status and trace id; no date, no ids in the sentence."""
    refused = refusing({"error": "invalid_client", "error_description": WRONG})
    with answering(script(RUNNING), refused) as endpoint, pytest.raises(CredentialsRejectedError) as raised:
        caller(endpoint).list_vms()
    assert len(posts(endpoint)) == 1
    assert endpoint.requests == []
    backend = raised.value.backend
    assert backend is not None
    assert (backend.operation, backend.code, backend.status) == ("POST /oauth2/v2.0/token", "AADSTS7000215", 401)
    assert backend.request_id == "0f1e2d3c-0000-1111-2222-333344445555"
    assert "(AADSTS7000215): Invalid client secret provided." in raised.value.detail
    assert not [word for word in ("Trace ID", "Correlation", "2024-10-01") if word in raised.value.detail]


@pytest.mark.parametrize(
    ("code", "status", "kind"),
    [
        ("AADSTS700016: Application was not found", 400, CredentialsRejectedError),
        ("AADSTS7000222: The provided client secret keys are expired", 401, CredentialsRejectedError),
        ("AADSTS500011: The resource principal was not found", 400, UnprocessableError),
        ("AADSTS90033: A transient error has occurred", 503, BackendFailureError),
        ("AADSTS50196: The server terminated an operation because it encountered a loop", 400, ThrottledError),
    ],
)
def test_log_in_refused_means_what_its_code_says(code: str, status: int, kind: type[ProviderError]) -> None:
    """And is not tried again, whatever it is."""
    refused = refusing({"error": "invalid_client", "error_description": code}, status, **{"Retry-After": "1"})
    with answering(script(RUNNING), refused) as endpoint, pytest.raises(kind):
        caller(endpoint).list_vms()
    assert len(posts(endpoint)) == 1


@pytest.mark.parametrize("code", ["AADSTS90002", "AADSTS90019"])
def test_unknown_tenant_is_told_with_entras_code_and_is_no_wrong_secret(code: str) -> None:
    """The configuration itself is refused then; no secret goes out."""
    unknown = Reply({"error": "invalid_tenant", "error_description": f"{code}: Tenant not found."}, 400)
    with (
        answering(script(RUNNING), script(unknown)) as endpoint,
        pytest.raises(CredentialsUnusableError, match=code),
    ):
        caller(endpoint).list_vms()
    assert posts(endpoint) == []


@pytest.mark.parametrize("body", [b"<html>Sign in</html>", b"", b"[]", {"hello": "there"}])
def test_log_in_answered_by_somebody_else_is_a_backend_error(body: object) -> None:
    """A page of a proxy, with status 200."""
    with answering(script(RUNNING), refusing(body, 200)) as endpoint, pytest.raises(ProviderError) as raised:
        caller(endpoint).list_vms()
    assert isinstance(raised.value, BackendFailureError), raised.value
    assert len(posts(endpoint)) == 1


@pytest.mark.parametrize("status", [403, 502])
def test_log_in_refused_by_a_proxy_says_nothing_about_the_secret(status: int) -> None:
    """HTML is not Entra ID's."""
    with (
        answering(script(RUNNING), refusing(b"<html>No</html>", status)) as endpoint,
        pytest.raises(BackendFailureError),
    ):
        caller(endpoint).list_vms()


def test_configuration_that_leads_elsewhere_is_not_followed() -> None:
    """The secret goes to the authority's host only."""
    place = "https://elsewhere.example/oauth2/v2.0"
    lure = Reply({"token_endpoint": f"{place}/token", "authorization_endpoint": f"{place}/authorize"})
    with (
        answering(script(RUNNING), script(lure)) as endpoint,
        pytest.raises(BackendFailureError, match=r"elsewhere\.example"),
    ):
        caller(endpoint).list_vms()
    assert len(endpoint.log_ins) == 1


def test_errors_of_the_project_pass_through_azure_core_unharmed() -> None:
    """TLS, no connection, time limits: as on every other cloud, log-in or not."""
    with answering(script(RUNNING)) as endpoint:
        with pytest.raises(BackendTLSError, match="ca_file"):
            caller(endpoint, ca_file="").list_vms()
        with pytest.raises(BackendUnreachableError, match=r"127\.0\.0\.1:9"):
            caller(endpoint, options={"authority_url": ("https://127.0.0.1:9",)}).list_vms()
        with pytest.raises(BackendUnreachableError, match=r"127\.0\.0\.1:9"):
            caller(endpoint, url="https://127.0.0.1:9", options={"authority_url": (endpoint.url,)}).list_vms()
    with (
        answering(script(Reply(status=None))) as endpoint,
        pytest.raises(BackendUnreachableError, match="broke during VirtualMachines_Get"),
    ):
        caller(endpoint).get_vm("vm1")
    assert len(endpoint.requests) == 2


def test_environment_of_the_process_is_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither where to log in, nor as whom, nor through what."""
    for name, value in {
        "AZURE_AUTHORITY_HOST": "elsewhere.example",
        "AZURE_REGIONAL_AUTHORITY_NAME": "westeurope",
        "MSAL_FORCE_REGION": "westeurope",
        "AZURE_CLOUD": "AZURE_CHINA_CLOUD",
        "AZURE_CLIENT_ID": "somebody",
        "AZURE_CLIENT_SECRET": "else",
        "AZURE_TENANT_ID": "elsewhere",
        "AZURE_HTTP_USER_AGENT": "canary-agent",
        "HTTPS_PROXY": "http://127.0.0.1:9",
        "REQUESTS_CA_BUNDLE": "/nowhere",
    }.items():
        monkeypatch.setenv(name, value)
    with answering(script(RUNNING)) as endpoint:
        assert caller(endpoint).get_vm("vm1").name == "vm1"
    assert "client_id=app-1" in posts(endpoint)[0].body
    assert "canary-agent" not in endpoint.requests[0].headers["user-agent"]


def test_token_is_renewed_by_one_of_many_threads() -> None:
    """Sixteen requests meet a token that Azure does not take any more: one new one is bought."""
    old = failed("ExpiredAuthenticationToken", "The access token expiry time is past.", 401)

    def arm(request: Request) -> Reply:
        return old if request.headers["authorization"] == "Bearer token-1" else RUNNING

    backends = Backends(NETWORK, LIMITS)
    with answering(arm) as endpoint:
        at_once(16, lambda _: caller(endpoint, backends).get_vm("vm1"))
        backends.close()
    assert len(posts(endpoint)) == 2


def test_token_that_is_about_to_end_is_replaced_before_it_is_used() -> None:
    """Azure would refuse it on the way."""
    tokens = iter((("short", 60), ("long", 3599)))

    def log_in(request: Request) -> Reply:
        if request.method == "GET":
            return entra(request, iter(()))
        token, seconds = next(tokens)
        return Reply({"token_type": "Bearer", "expires_in": seconds, "access_token": token})

    with answering(script(RUNNING), log_in) as endpoint:
        caller(endpoint).get_vm("vm1")
    assert [request.headers["authorization"] for request in endpoint.requests] == ["Bearer long"]


def test_secret_refused_later_is_not_tried_again() -> None:
    """A session whose token ends and whose secret was taken back."""
    replies = iter(range(100))

    def log_in(request: Request) -> Reply:
        if request.method == "GET":
            return entra(request, iter(()))
        good = {"token_type": "Bearer", "expires_in": 60, "access_token": "short"}
        bad = {"error": "invalid_client", "error_description": WRONG}
        return Reply(good) if next(replies) == 0 else Reply(bad, 401)

    failures = []
    with answering(script(RUNNING), log_in) as endpoint, access_to(endpoint) as access:
        assert access.get_token().token == "short"
        for _ in range(3):
            with pytest.raises(CredentialsRejectedError, match="AADSTS7000215") as raised:
                access.get_token()
            failures.append(raised.value)
    assert len(posts(endpoint)) == 2
    # The leftovers of one caller are told to no other.
    assert len({id(one) for one in failures}) == 3


def test_callers_who_wait_for_a_log_in_that_fails_share_its_failure() -> None:
    """Each would wait for Entra ID as long again, one after the other; who comes later tries anew."""
    asked, go_on = threading.Event(), threading.Event()
    busy = refusing({"error": "temporarily_unavailable", "error_description": "AADSTS90033: Later."}, 503)

    def log_in(request: Request) -> Reply:
        asked.set()
        go_on.wait(20)
        return busy(request)

    with answering(script(RUNNING), log_in) as endpoint, access_to(endpoint) as access:
        errors: list[ProviderError] = []

        def attempt(_: int = 0) -> None:
            with pytest.raises(BackendFailureError) as raised:
                access.get_token()
            errors.append(raised.value)

        first = threading.Thread(target=attempt)
        first.start()
        assert asked.wait(20)
        waiting = [threading.Thread(target=attempt) for _ in range(8)]
        for one in waiting:
            one.start()
        go_on.set()
        for one in (first, *waiting):
            one.join()
        tries = len(posts(endpoint))
        attempt()
        assert len(posts(endpoint)) == tries + 1
    # Whoever was not yet waiting when a try ended makes another.
    assert tries < 1 + len(waiting)
    assert len({id(one) for one in errors}) == len(errors) == 10


def test_verbs_at_any_level_of_logging_tell_no_secret(caplog: pytest.LogCaptureFixture) -> None:
    """Libraries at DEBUG, everything refused: neither secret, token, password nor cloud-init."""
    refused = refusing({"error": "invalid_client", "error_description": WRONG})
    odd = failed("InvalidParameter", "No.", 400)
    spec = replace(WINDOWS, cloud_init=b"canary-cloud-init")
    raised: list[str] = []
    # The service's own settings keep these from talking.
    with (
        caplog.at_level(logging.DEBUG),
        caplog.at_level(logging.DEBUG, "msal"),
        caplog.at_level(logging.DEBUG, "azure"),
    ):
        for arm, log_in in ((odd, refused), (odd, None), (Reply(status=None), None)):
            with answering(script(failed("ResourceNotFound", "", 404), arm), log_in) as endpoint:
                with pytest.raises(ProviderError) as failure:
                    caller(endpoint).create_vm(spec)
                raised.append(repr(failure.value) + failure.value.detail)
    told = caplog.text + "".join(repr(vars(record)) for record in caplog.records) + "".join(raised)
    assert "msal" in told
    for secret in (SECRET, "Bearer token-1", PASSWORD, "canary-cloud-init", "Y2FuYXJ5LWNsb3VkLWluaXQ"):
        assert secret not in told, secret


def test_driver_shows_no_secret() -> None:
    """Nor does anything that it holds."""
    with answering(script(vms())) as endpoint:
        driver = AzureDriver.open(environment(endpoint), Credentials("app-1", SECRET), NETWORK)
        assert SECRET not in repr(driver) + repr(vars(driver))
        driver.close()


def test_driver_leaves_no_thread_and_no_connection_behind() -> None:
    """The threads of a list end with it."""
    with answering(script(vms())) as endpoint:
        driver = AzureDriver.open(environment(endpoint), Credentials("app-1", SECRET), NETWORK)
        driver.list_vms()
        driver.close()
        deadline = time.monotonic() + 5
        while [one for one in threading.enumerate() if one.name.startswith("azure-")] and time.monotonic() < deadline:
            time.sleep(0.01)
        assert not [one for one in threading.enumerate() if one.name.startswith("azure-")]
        gc.collect()


def test_wrapped_error_of_azure_identity_is_ours() -> None:
    """`translate` finds what azure-identity has wrapped, wherever it comes from."""
    inner = ThrottledError("Slow down.")
    outer = ClientAuthenticationError("Authentication failed")
    outer.__cause__ = inner
    assert AzureDriver.translate(outer) is inner
