"""What Azure's refusals mean, and what of their words is told."""

from __future__ import annotations

import json

import pytest
from azure.core.exceptions import AzureError, HttpResponseError

from providers import trace
from providers.azure.failures import Refusal, operation_failure, read_refusal, translate
from providers.azure.naming import operation_named
from providers.errors import (
    BackendFailureError,
    ConflictError,
    CredentialsUnusableError,
    PermissionDeniedError,
    ProviderError,
    QuotaExceededError,
    ThrottledError,
    UnavailableError,
    UnprocessableError,
    VMNotFoundError,
)
from providers.redaction import MASK
from tests.providers.azure.documents import RUNNING, caller
from tests.providers.azure.endpoint import Reply, answering, script

IN_GROUP = "/subscriptions/s/resourceGroups/G/providers/Microsoft.Compute"
CASES: list[tuple[int, str, str, type[ProviderError]]] = [
    (401, "InvalidAuthenticationTokenTenant", "wrong issuer", CredentialsUnusableError),
    (403, "AuthorizationFailed", "does not have authorization", PermissionDeniedError),
    (403, "RequestDisallowedByPolicy", "a policy", PermissionDeniedError),
    (404, "ResourceNotFound", "no VM", VMNotFoundError),
    (404, "NotFound", "The entity was not found in this Azure location.", VMNotFoundError),
    (404, "ResourceGroupNotFound", "no group", UnprocessableError),
    (404, "SubscriptionNotFound", "no subscription", UnprocessableError),
    (409, "SkuNotAvailable", "not in this region", UnprocessableError),
    (404, "ImageNotFound", "no image", UnprocessableError),
    (400, "InvalidParameter", "bad", UnprocessableError),
    (409, "OperationNotAllowed", "approved Total Regional Cores quota", QuotaExceededError),
    (409, "OperationNotAllowed", "requires the VM to be running", ConflictError),
    (409, "OperationNotAllowed", "Operation 'start' is not allowed on VM 'quota-1'.", ConflictError),
    (409, "QuotaExceeded", "limit", QuotaExceededError),
    (409, "Conflict", "concurrent", ConflictError),
    (409, "ScopeLocked", "a lock", ConflictError),
    (409, "AttachDiskWhileBeingDetached", "a disk", ConflictError),
    (429, "TooManyRequests", "slow", ThrottledError),
    (429, "ResourceCollectionRequestsThrottled", "slow", ThrottledError),
    (429, "OperationNotHeardOf", "slow", ThrottledError),
    (409, "AllocationFailed", "room", UnavailableError),
    (409, "ZonalAllocationFailed", "room", UnavailableError),
    (409, "NeverHeardOf", "what", ConflictError),
    (418, "NeverHeardOf", "what", UnprocessableError),
    (503, "NeverHeardOf", "what", BackendFailureError),
    (500, "InternalExecutionError", "oops", BackendFailureError),
]


@pytest.mark.parametrize(("status", "code", "message", "kind"), CASES)
def test_refusal_of_a_start_means_what_its_code_says(
    status: int, code: str, message: str, kind: type[ProviderError]
) -> None:
    """Code before status; operation, code, status and request id are told."""
    refusal = Reply({"error": {"code": code, "message": message}}, status, {"x-ms-request-id": "r-1"})
    with answering(script(RUNNING, refusal)) as endpoint, pytest.raises(ProviderError) as raised:
        caller(endpoint).start_vm("vm1")
    assert type(raised.value) is kind, raised.value.detail
    backend = raised.value.backend
    assert backend is not None
    assert (backend.operation, backend.code, backend.status, backend.request_id) == (
        "VirtualMachines_Start", code, status, "r-1",
    )  # fmt: skip
    assert f"refused VirtualMachines_Start ({code}): {message}" in raised.value.detail


@pytest.mark.parametrize(
    ("status", "kind"), [(401, BackendFailureError), (403, BackendFailureError), (404, BackendFailureError),
                         (429, ThrottledError), (503, BackendFailureError)],
)  # fmt: skip
@pytest.mark.parametrize("body", [b"<html>No</html>", None, b'"text"', b'{"error": "x"}', b'{"error": {"code": 7}}'])
def test_refusal_that_is_not_azures_says_nothing_about_the_caller(
    status: int, kind: type[ProviderError], body: bytes | None
) -> None:
    """A proxy answers for it."""
    with answering(script(RUNNING, Reply(body, status))) as endpoint, pytest.raises(kind, match=f"HTTP {status}"):
        caller(endpoint).start_vm("vm1")


def test_refusal_with_details_means_what_they_say() -> None:
    """A vague code above, the reason below, once in an `innererror` and once as JSON in a text."""
    inner = {"code": "BadRequest", "message": json.dumps({"error": {"code": "QuotaExceeded", "message": "Cores."}})}
    for error in (
        {"code": "Conflict", "message": "It failed.", "details": [inner]},
        {"code": "BadRequest", "message": "It failed.", "innererror": inner},
    ):
        refusal = read_refusal({"error": error})
        assert refusal.code == "QuotaExceeded"
        assert refusal.message == "It failed. Cores."
        assert isinstance(operation_failure("VirtualMachines_Start", "vm1", refusal), QuotaExceededError)


def test_refusal_of_the_compute_provider_for_too_many_calls_is_throttling() -> None:
    """It says OperationNotAllowed, and what is meant below, beside a count in JSON."""
    counted = json.dumps({"operationGroup": "HighCostGet30Min", "allowedRequestCount": 800})
    details = [{"code": "TooManyRequests", "target": "HighCostGet30Min", "message": counted}]
    error = {"code": "OperationNotAllowed", "message": "Too many requests have been received.", "details": details}
    refusal = Reply({"error": error}, 429, {"Retry-After": "9"})
    with answering(script(RUNNING, refusal)) as endpoint, pytest.raises(ThrottledError) as raised:
        caller(endpoint).start_vm("vm1")
    assert raised.value.backend is not None
    assert raised.value.backend.code == "TooManyRequests"
    assert "HighCost" not in raised.value.detail
    assert raised.value.retry_after_seconds == 9


def test_refusal_without_an_end_is_cut() -> None:
    """Errors within errors, and a message of a megabyte."""
    error: dict[str, object] = {"code": "Deep", "message": "x" * 1_000_000}
    for _ in range(50):
        error = {"code": "BadRequest", "details": [error], "message": "y"}
    refusal = read_refusal({"error": error})
    assert len(refusal.codes) < 10
    assert len(read_refusal({"code": "A", "message": "x" * 1_000_000}).message) < 1000


def test_refusal_that_quotes_a_long_secret_shows_no_part_of_it() -> None:
    """A message is cut, and what is left of a secret then is known by nobody."""
    secret = "canary" * 200
    with trace.tracing(trace.Trace("r")) as running:
        running.redact.add(secret)
        message = read_refusal({"code": "InvalidParameter", "message": f"The value {secret} is bad."}).message
    assert message == f"The value {MASK} is bad."


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("AuthorizationFailed", "a role with this action"),
        ("RequestDisallowedByPolicy", "A policy forbids it"),
        ("ReadOnlyDisabledSubscription", "The subscription is disabled"),
        ("SubnetIsFull", "Use a subnet with more addresses"),
    ],
)
def test_refusal_says_what_to_do_about_just_that(code: str, words: str) -> None:
    """A role helps nobody whom a policy stops, nor a quota where a subnet is full."""
    failure = operation_failure("VirtualMachines_Start", "vm1", Refusal((code,), "No."))
    assert words in failure.detail
    assert failure.detail.count("role with this action") == (code == "AuthorizationFailed")
    assert "quota" not in failure.detail


def test_refusal_is_told_without_noise() -> None:
    """Links to forms, tracking ids, and what stands elsewhere."""
    message = (
        "Operation could not be completed as it results in exceeding approved Total Regional Cores quota. Current "
        "Limit: 100. Submit a request for Quota increase at https://aka.ms/ProdportalCRP/#blade/%7B%22x%22%7D by "
        "specifying parameters listed in the 'Details' section for deployment to succeed. Please read more about quota "
        "limits at https://docs.microsoft.com/en-us/azure/azure-supportability/regional-quota-requests"
    )
    refusal = read_refusal({"error": {"code": "QuotaExceeded", "message": message}})
    assert refusal.message.endswith("Current Limit: 100.")
    found = read_refusal(
        {
            "code": "ResourceNotFound",
            "message": "The Resource 'x' was not found. For more details please go to https://aka.ms/ARMResourceNotFoundFix",
        }
    )
    assert found.message == "The Resource 'x' was not found."


def test_translate_of_an_error_without_an_answer_names_its_kind() -> None:
    """The SDK's own; its text may quote anything, and is not told."""
    for error in (AzureError("canary"), HttpResponseError("canary")):
        assert isinstance(translate(error), BackendFailureError)
        assert "canary" not in translate(error).detail


@pytest.mark.parametrize(
    ("method", "path", "operation"),
    [
        ("GET", f"{IN_GROUP}/virtualMachines", "VirtualMachines_List"),
        ("GET", "/subscriptions/s/providers/Microsoft.Compute/virtualMachines", "VirtualMachines_ListAll"),
        ("POST", f"{IN_GROUP.lower()}/virtualmachines/v/powerOff", "VirtualMachines_PowerOff"),
        ("GET", "/subscriptions/s/providers/Microsoft.Compute/locations/l/operations/o", "GET operation"),
        ("GET", "/anything/else", "GET operation"),
        ("POST", "/tenant/oauth2/v2.0/token", "POST /oauth2/v2.0/token"),
    ],
)
def test_operations_are_named_as_the_vendor_does(method: str, path: str, operation: str) -> None:
    """In the log, in Server-Timing and in errors; no name of a VM is in them."""
    assert operation_named(method, f"https://management.azure.com{path}?api-version=x") == operation
