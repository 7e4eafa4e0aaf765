"""What vSphere's faults mean in our words, as tables.

Faults: https://developer.broadcom.com/xapis/vsphere-web-services-api/latest/ ("Faults"). They form a tree; the nearest
ancestor that stands here counts, so a table of the large families suffices.
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
    NameTakenError,
    PermissionDeniedError,
    ProviderError,
    QuotaExceededError,
    UnprocessableError,
    UnsupportedError,
    VMNotFoundError,
)

ERROR_CODES: Final[Mapping[str, type[ProviderError]]] = {
    "InvalidLogin": CredentialsRejectedError,
    # Of a session that has ended, after the password was accepted.
    "NotAuthenticated": CredentialsUnusableError,
    "SecurityError": PermissionDeniedError,
    "RestrictedByAdministrator": PermissionDeniedError,
    "HostAccessRestrictedToManagementServer": PermissionDeniedError,
    "ManagedObjectNotFound": VMNotFoundError,
    "DuplicateName": NameTakenError,
    "AlreadyExists": NameTakenError,
    "TaskInProgress": ConflictError,
    "InvalidState": ConflictError,
    "ConcurrentAccess": ConflictError,
    "ToolsUnavailable": ConflictError,
    "ResourceInUse": ConflictError,
    "FileLocked": ConflictError,
    "MethodDisabled": ConflictError,
    "RequestCanceled": ConflictError,
    "VmFaultToleranceIssue": ConflictError,
    "NotEnoughLicenses": QuotaExceededError,
    "LimitExceeded": QuotaExceededError,
    "InsufficientResourcesFault": UnprocessableError,
    "FileFault": UnprocessableError,
    "InvalidDatastore": UnprocessableError,
    "VmConfigFault": UnprocessableError,
    "VAppConfigFault": UnprocessableError,
    "MigrationFault": UnprocessableError,
    "CustomizationFault": UnprocessableError,
    "InvalidArgument": UnprocessableError,
    "InvalidFolder": UnprocessableError,
    "InvalidName": UnprocessableError,
    "NoCompatibleHost": UnprocessableError,
    "NotFound": UnprocessableError,
    "OutOfBounds": UnprocessableError,
    "NotSupported": UnsupportedError,
    "NotImplemented": UnsupportedError,
    "MethodNotFound": UnsupportedError,
    "Timedout": BackendTimeoutError,
    "MethodFault": BackendFailureError,
}

ADVICE: Final[Mapping[str, str]] = {
    "InvalidLogin": "Check the user name with its domain (user@domain), and the password. After several wrong tries "
    "the account is locked for a while.",
    "NotAuthenticated": "The session ended; try again.",
    "RestrictedVersion": "The free licence of ESXi lets programs read and not change anything: it takes a paid or an "
    "evaluation licence.",
    "HostAccessRestrictedToManagementServer": "The host is managed by a vCenter in lockdown mode: lead the "
    "environment's url to that vCenter.",
    "TaskInProgress": "Other work on the VM is under way: try again when it has ended.",
    "ConcurrentAccess": "Somebody else has changed it meanwhile: try again.",
    "ToolsUnavailable": "VMware Tools do not run in the guest, so it cannot be asked. Use mode=force to cut its power.",
    "QuestionPending": "The VM waits for the answer to a question: answer it in vSphere.",
    "MethodDisabled": "vSphere has switched this off for the VM, such as during a backup: try again later.",
    "RequestCanceled": "Somebody has cancelled the task.",
    "NotEnoughLicenses": "Add a licence to the host, or free one.",
    "FileNotFound": "Check the machine type's image and the environment's storage_external_id.",
}
