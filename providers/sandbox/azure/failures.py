"""Failures that tests plan: of operations, with Azure's words for them, and of calls that are too many."""

from collections.abc import Mapping
from http import HTTPStatus

import orjson

from providers.sandbox.azure.operations import OperationError, PlannedFailure, Status
from providers.sandbox.azure.wire import CONTENT_TYPE
from providers.sandbox.faults import Fault

MESSAGES: Mapping[str, str] = {
    "AllocationFailed": (
        "Allocation failed. We do not have sufficient capacity for the requested VM size in this region. Read more "
        "about improving likelihood of allocation success at http://aka.ms/allocation-guidance"
    ),
    "ZonalAllocationFailed": (
        "Allocation failed. We do not have sufficient capacity for the requested VM size in this zone. Read more "
        "about improving likelihood of allocation success at http://aka.ms/allocation-guidance"
    ),
    "OSProvisioningTimedOut": (
        "OS Provisioning for VM did not finish in the allotted time. The VM may still finish provisioning "
        "successfully. Please check provisioning state later."
    ),
    "InternalExecutionError": "An internal execution error occurred. Please retry later.",
}


def failure(kind: str, code: str, message: str, *, canceled: bool) -> PlannedFailure:
    """How the next operation of a kind is to end; without a message, in Azure's words if they are known."""
    status = Status.CANCELED if canceled else Status.FAILED
    return PlannedFailure(kind, OperationError(code, message or MESSAGES.get(code, "A planned failure."), status))


def throttling(operation: str, retry_after_seconds: int, times: int | None) -> Fault:
    """The compute provider's own 429: its code alone does not say what it is.

    https://learn.microsoft.com/troubleshoot/azure/virtual-machines/windows/troubleshooting-throttling-errors
    """
    measured = '{"operationGroup":"HighCostGet30Min","allowedRequestCount":800,"measuredRequestCount":1238}'
    error = {
        "code": "OperationNotAllowed",
        "message": (
            "The server rejected the request because too many requests have been received for this subscription."
        ),
        "details": [{"code": "TooManyRequests", "target": "HighCostGet30Min", "message": measured}],
    }
    return Fault(
        operation,
        times=times,
        status=HTTPStatus.TOO_MANY_REQUESTS,
        body=orjson.dumps({"error": error}),
        content_type=CONTENT_TYPE,
        headers={"Retry-After": str(retry_after_seconds)},
    )
