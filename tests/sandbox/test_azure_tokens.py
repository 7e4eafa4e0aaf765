"""The Azure simulator as Entra ID: discovery, tokens, their refusal and their end."""

import re
from typing import Any

import pytest

from providers.sandbox.azure import TENANT, AzureSandbox
from providers.sandbox.azure.entra import Principal
from providers.sandbox.faults import Fault
from tests.sandbox.azure import ALL_VMS, VMS, Caller, refused


def test_configuration_of_the_tenant_leads_to_its_token_endpoint(azure: AzureSandbox, stranger: Caller) -> None:
    """And nowhere else than here."""
    found = stranger.json("GET", f"/{TENANT}/v2.0/.well-known/openid-configuration", version=None)
    assert found["token_endpoint"] == f"{azure.url}/{TENANT}/oauth2/v2.0/token"
    assert found["issuer"].startswith(f"{azure.url}/{TENANT}")
    assert azure.calls.count("OpenIdConfiguration") == 1


def test_discovery_of_the_instance_knows_itself(azure: AzureSandbox, stranger: Caller) -> None:
    """As one of its own aliases."""
    found = stranger.json("GET", "/common/discovery/instance", version="1.1")
    assert found["tenant_discovery_endpoint"].startswith(f"{azure.url}/{TENANT}/v2.0/")
    assert found["metadata"][0]["preferred_network"] in azure.url


def test_configuration_of_an_unknown_tenant_is_refused(stranger: Caller) -> None:
    """With Entra's number for it."""
    response = stranger.call("GET", "/nowhere/v2.0/.well-known/openid-configuration", version=None)
    assert (response.status_code, response.json()["error_codes"]) == (400, [90002])


def test_token_opens_arm_for_a_while(azure: AzureSandbox, stranger: Caller) -> None:
    """An hour, as Entra has it, and no refresh token."""
    found = stranger.ask_token().json()
    assert (found["token_type"], found["expires_in"], set(found)) == (
        "Bearer",
        3599,
        {"token_type", "expires_in", "ext_expires_in", "access_token"},
    )
    stranger.token = found["access_token"]
    assert stranger.json("GET", VMS) == {"value": []}
    assert (azure.token_requests, azure.failed_token_requests) == (1, 0)


@pytest.mark.parametrize(
    ("changes", "status", "refusal"),
    [
        ({"client_secret": "s3cr3t"}, 401, ("invalid_client", 7000215)),
        ({"client_secret": None}, 401, ("invalid_client", 7000218)),
        ({"client_id": "nobody"}, 400, ("unauthorized_client", 700016)),
        ({"client_id": None}, 400, ("invalid_request", 900144)),
        ({"tenant": "nowhere"}, 400, ("invalid_request", 90002)),
        ({"grant_type": "password"}, 400, ("unsupported_grant_type", 70003)),
        ({"grant_type": None}, 400, ("invalid_request", 900144)),
        ({"scope": "https://management.azure.com"}, 400, ("invalid_scope", 1002012)),
        ({"scope": "https://elsewhere.example/.default"}, 400, ("invalid_resource", 500011)),
    ],
)
def test_token_that_is_asked_for_wrongly_is_refused(
    azure: AzureSandbox, stranger: Caller, changes: dict[str, Any], status: int, refusal: tuple[str, int]
) -> None:
    """In Entra's words, with the numbers that it documents."""
    error, number = refusal
    response = stranger.ask_token(**changes)
    body = response.json()
    assert (response.status_code, body["error"], body["error_codes"]) == (status, error, [number])
    assert re.match(rf"AADSTS{number}: .+ Trace ID: .+ Correlation ID: .+ Timestamp: .+Z$", body["error_description"])
    assert "s3cr3t" not in response.text
    assert azure.failed_token_requests == 1


def test_token_for_an_expired_secret_is_refused(azure: AzureSandbox, stranger: Caller) -> None:
    """Another number than for a wrong one."""
    azure.add_principal("late", "secret", secret_expired=True)
    response = stranger.ask_token(client_id="late", client_secret="secret")
    assert (response.status_code, response.json()["error_codes"]) == (401, [7000222])


def test_token_for_arms_own_address_is_given(azure: AzureSandbox, stranger: Caller) -> None:
    """As a private ARM has its own audience."""
    assert stranger.ask_token(scope=f"{azure.url}/.default").ok


def test_call_without_a_token_is_challenged(azure: AzureSandbox, stranger: Caller) -> None:
    """401, and where to get one."""
    response = stranger.call("GET", VMS)
    refused(response, 401, "AuthenticationFailed")
    assert response.headers["WWW-Authenticate"].startswith(f'Bearer authorization_uri="{azure.url}/{TENANT}", error="')


def test_call_with_a_made_up_token_is_refused(stranger: Caller) -> None:
    """Whatever it looks like."""
    stranger.token = "made.up.token"
    refused(stranger.call("GET", ALL_VMS), 401, "InvalidAuthenticationToken")


def test_call_with_an_expired_token_says_so(azure: AzureSandbox, arm: Caller) -> None:
    """A new one is good again."""
    azure.expire_tokens()
    response = arm.call("GET", VMS)
    assert "is earlier than current UTC time" in refused(response, 401, "ExpiredAuthenticationToken")
    assert 'error="invalid_token"' in response.headers["WWW-Authenticate"]
    assert arm.log_in().call("GET", VMS).ok


def test_token_seconds_of_the_knob_are_told_and_kept(azure: AzureSandbox, stranger: Caller) -> None:
    """A token of no time is expired at once."""
    azure.knobs.token_seconds = 0
    assert stranger.ask_token().json()["expires_in"] == 0
    refused(stranger.log_in().call("GET", VMS), 401, "ExpiredAuthenticationToken")


def test_fault_of_the_token_endpoint_has_entras_shape(azure: AzureSandbox, stranger: Caller) -> None:
    """With the number that was planned."""
    azure.faults.add(Fault("Token", status=503, code="AADSTS90033", headers={"Retry-After": "2"}))
    response = stranger.ask_token()
    assert (response.status_code, response.json()["error_codes"]) == (503, [90033])
    assert response.headers["Retry-After"] == "2"
    assert stranger.ask_token().ok
    assert azure.calls.count("Token") == 2


def test_secret_is_in_no_repr() -> None:
    """A log would take it from there."""
    assert "s3cr3t" not in repr(Principal("other", "s3cr3t", []))
