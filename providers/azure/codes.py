"""What the error codes of Azure Resource Manager and Entra ID mean in our words, as tables.

https://learn.microsoft.com/azure/azure-resource-manager/troubleshooting/common-deployment-errors
https://learn.microsoft.com/azure/virtual-machines/error-codes-spot
https://learn.microsoft.com/entra/identity-platform/reference-error-codes
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from providers.errors import (
    BackendFailureError,
    BackendTimeoutError,
    ConflictError,
    CredentialsRejectedError,
    CredentialsUnusableError,
    PermissionDeniedError,
    ProviderError,
    QuotaExceededError,
    ThrottledError,
    UnavailableError,
    UnprocessableError,
    VMNotFoundError,
)

# The first pattern that matches counts, so exceptions stand before the rule.
ERROR_CODES: Final[Mapping[str, type[ProviderError]]] = {
    # Entra ID has accepted the secret by then, and given a token for it.
    "ExpiredAuthenticationToken": CredentialsUnusableError,
    "InvalidAuthenticationToken*": CredentialsUnusableError,
    "AuthenticationFailed*": CredentialsUnusableError,
    "AuthorizationFailed": PermissionDeniedError,
    "LinkedAuthorizationFailed": PermissionDeniedError,
    "LinkedAccessCheckFailed": PermissionDeniedError,
    "RequestDisallowedBy*": PermissionDeniedError,
    "ReadOnlyDisabledSubscription": PermissionDeniedError,
    "ResourceGroupNotFound": UnprocessableError,
    "SubscriptionNotFound": UnprocessableError,
    "InvalidSubscriptionId": UnprocessableError,
    "ResourceNotFound": VMNotFoundError,
    "NotFound": VMNotFoundError,
    "ResourceGroupBeingDeleted": ConflictError,
    "SubnetIsFull": QuotaExceededError,
    "*QuotaExceeded*": QuotaExceededError,
    "*LimitReached": QuotaExceededError,
    "*LimitExceeded": QuotaExceededError,
    "RetryableError": ThrottledError,
    "TooManyRequests*": ThrottledError,
    "*Throttled": ThrottledError,
    "*AllocationFailed*": UnavailableError,
    "Overconstrained*AllocationRequest": UnavailableError,
    "AllocationTimedOut": UnavailableError,
    "AttachDiskWhileBeingDetached": ConflictError,
    "AnotherOperationInProgress": ConflictError,
    "Conflict*": ConflictError,
    "ConcurrentModification*": ConflictError,
    "OperationNotAllowed": ConflictError,
    "OperationPreempted": ConflictError,
    "PreconditionFailed": ConflictError,
    "ScopeLocked": ConflictError,
    # It says for how long: three minutes.
    "NicReservedForAnotherVm": UnavailableError,
    "*InUse*": ConflictError,
    "*MarkedForDeletion": ConflictError,
    "ServiceUnavailable": BackendFailureError,
    "Internal*": BackendFailureError,
    "ServerTimeout": BackendTimeoutError,
    "GatewayTimeout": BackendTimeoutError,
    "*NotFound": UnprocessableError,
    "*NotAvailable*": UnprocessableError,
    "*NotSupported*": UnprocessableError,
    "Invalid*": UnprocessableError,
    "BadRequest": UnprocessableError,
    "OSProvisioning*": UnprocessableError,
    "VMMarketplaceInvalidInput": UnprocessableError,
    "Marketplace*": UnprocessableError,
    "ResourcePurchase*": UnprocessableError,
    "MissingSubscriptionRegistration": UnprocessableError,
    "NoRegisteredProviderFound": UnprocessableError,
    "PropertyChangeNotAllowed": UnprocessableError,
}

# Codes that only say that something went wrong; what it was stands in the details below.
VAGUE: Final = frozenset(
    {
        "BadRequest",
        "Conflict",
        "DeploymentFailed",
        "InvalidTemplateDeployment",
        # https://learn.microsoft.com/troubleshoot/azure/virtual-machines/troubleshooting-throttling-errors
        "OperationNotAllowed",
        "RetryableError",
    }
)

# What Entra ID says of a log-in; the rest of its refusals are the caller's credentials' fault.
LOG_IN_CODES: Final[Mapping[str, type[ProviderError]]] = {
    "AADSTS90002": CredentialsUnusableError,  # no such tenant
    "AADSTS500011": UnprocessableError,  # no such resource in the tenant: the url's audience
    "AADSTS70011": UnprocessableError,  # no such scope
    "AADSTS900023": UnprocessableError,  # this is no form of a tenant's id
    "AADSTS900432": UnprocessableError,
    "AADSTS53003": PermissionDeniedError,  # conditional access
    "AADSTS53000": PermissionDeniedError,
    "AADSTS90033": BackendFailureError,
    "AADSTS90024": BackendFailureError,
    "AADSTS50196": ThrottledError,
    "AADSTS900144": BackendFailureError,
}

# What a code of which nobody has heard means, by its HTTP status; from 500 on it is Azure's fault.
BY_STATUS: Final[Mapping[int, type[ProviderError]]] = {
    401: CredentialsUnusableError,
    403: PermissionDeniedError,
    404: VMNotFoundError,
    408: BackendTimeoutError,
    409: ConflictError,
    412: ConflictError,
    429: ThrottledError,
}

ADVICE: Final[Mapping[type[ProviderError], str]] = {
    CredentialsRejectedError: "Check the access key (the application id), that the secret is the value and not its id, "
    "that it has not expired, and the environment's tenant.",
    CredentialsUnusableError: "Check the tenant in the environment's `vpc_id`, and that it is the subscription's.",
    PermissionDeniedError: "Give the service principal a role with this action on the resource group, and on the "
    "subnet; a new role takes some minutes to work.",
    ThrottledError: "Try again later.",
    UnavailableError: "Try again later, or with another size.",
    QuotaExceededError: "Free something or ask for a higher quota of the subscription in this region.",
}

ADVICE_BY_CODE: Final[Mapping[str, str]] = {
    "ScopeLocked": "A lock is not removed silently: remove it in Azure first, if that is meant.",
    "RequestDisallowedByPolicy": "A policy forbids it, whatever the service principal's role: ask those who keep it.",
    "ReadOnlyDisabledSubscription": "The subscription is disabled: enable it in Azure first.",
    "AADSTS53003": "A conditional access policy of the tenant forbids the log-in: ask those who keep it.",
    "SubnetIsFull": "Use a subnet with more addresses, or delete what takes them.",
    "ResourceGroupNotFound": "The environment's `project` must be a resource group that exists; none is made here.",
    "SubscriptionNotFound": "Check the subscription in the environment's `vpc_id`, and that the service principal has "
    "a role in it.",
    "MissingSubscriptionRegistration": "Register the resource provider in the subscription (az provider register).",
    "AADSTS7000222": "The secret has expired: make a new one for the application.",
    "AADSTS7000215": "Send the secret's value, not its id.",
}
