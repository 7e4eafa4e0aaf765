"""What EC2's error codes mean in our words, as tables.

Codes: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from providers.errors import (
    BackendFailureError,
    ConflictError,
    CredentialsRejectedError,
    InvalidRequestError,
    PermissionDeniedError,
    ProviderError,
    QuotaExceededError,
    ThrottledError,
    UnavailableError,
    UnprocessableError,
    UnsupportedError,
    VMNotFoundError,
)

# The first pattern that matches counts, so exceptions stand before the rule.
ERROR_CODES: Final[Mapping[str, type[ProviderError]]] = {
    "AuthFailure": CredentialsRejectedError,
    "ExpiredToken*": CredentialsRejectedError,
    "IncompleteSignature": CredentialsRejectedError,
    "InvalidAccessKeyId": CredentialsRejectedError,
    "InvalidClientTokenId": CredentialsRejectedError,
    "InvalidSecurity*": CredentialsRejectedError,
    "InvalidSignature*": CredentialsRejectedError,
    "MissingAuthenticationToken": CredentialsRejectedError,
    "RequestExpired": CredentialsRejectedError,
    "SignatureDoesNotMatch": CredentialsRejectedError,
    "UnrecognizedClientException": CredentialsRejectedError,
    "AccessDenied*": PermissionDeniedError,
    "AccountDisabled": PermissionDeniedError,
    "Blocked": PermissionDeniedError,
    "OptInRequired": PermissionDeniedError,
    "PendingVerification": PermissionDeniedError,
    "UnauthorizedOperation*": PermissionDeniedError,
    "InvalidInstanceID.Malformed": InvalidRequestError,
    "InvalidInstanceID.NotFound": VMNotFoundError,
    "IdempotentInstanceTerminated": ConflictError,
    "IncorrectInstanceState": ConflictError,
    "IncorrectSpotRequestState": ConflictError,
    "IncorrectState*": ConflictError,
    "InvalidState*": ConflictError,
    "OperationNotPermitted": ConflictError,
    "RequestLimitExceeded": ThrottledError,
    "BandwidthLimitExceeded": ThrottledError,
    "EC2ThrottledException": ThrottledError,
    "RequestThrottled*": ThrottledError,
    "SlowDown": ThrottledError,
    "Throttl*": ThrottledError,
    "TooManyRequests*": ThrottledError,
    "TagLimitExceeded": UnprocessableError,
    "InsufficientFreeAddressesInSubnet": QuotaExceededError,
    "MaxSpotInstanceCountExceeded": QuotaExceededError,
    "*LimitExceeded": QuotaExceededError,
    "Insufficient*Capacity*": UnavailableError,
    "UnsupportedOperation": UnsupportedError,
    "UnsupportedHibernationConfiguration": UnsupportedError,
    "IdempotentParameterMismatch": UnprocessableError,
    "Invalid*": UnprocessableError,
    "Missing*": UnprocessableError,
    "Unknown*": UnprocessableError,
    "Unsupported*": UnprocessableError,
}

# What a code of which nobody has heard means, by its HTTP status; above it is EC2's fault.
BY_STATUS: Final[Mapping[int, type[ProviderError]]] = {
    401: CredentialsRejectedError,
    403: PermissionDeniedError,
    429: ThrottledError,
}

# Why an instance went down while it was being made or started ("StateReason" in the API reference).
STATE_REASONS: Final[Mapping[str, type[ProviderError]]] = {
    "Client.InstanceInitiatedShutdown": ConflictError,
    "Client.UserInitiated*": ConflictError,
    "Client.VolumeLimitExceeded": QuotaExceededError,
    "Client.*": UnprocessableError,
    "Server.InsufficientInstanceCapacity": UnavailableError,
    "Server.Spot*": UnavailableError,
    "*": BackendFailureError,
}

ADVICE: Final[Mapping[type[ProviderError], str]] = {
    CredentialsRejectedError: "Check the access key and its secret, whether they are active and, for a temporary key, "
    "not expired, and whether the region is enabled for the account.",
    ThrottledError: "Try again later.",
    UnavailableError: "Try again later, or with another instance type or availability zone.",
    QuotaExceededError: "Free something or ask AWS for a higher quota in this region.",
}

ADVICE_BY_CODE: Final[Mapping[str, str]] = {
    "IdempotentParameterMismatch": "This Idempotency-Key was used before for a request with other content: "
    "use a new key for a new request.",
    "IdempotentInstanceTerminated": "The VM that was made with this Idempotency-Key was deleted: use a new key.",
    "OperationNotPermitted": "Termination or stop protection is not removed silently: switch it off in AWS first, "
    "if that is meant.",
    "OptInRequired": "An image of the AWS Marketplace needs its terms to be accepted first.",
}
