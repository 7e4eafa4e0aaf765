"""What vSphere's faults mean."""

import pytest
from pyVmomi import vim, vmodl

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
from providers.vsphere.codes import ADVICE, ERROR_CODES
from providers.vsphere.failures import translate
from providers.vsphere.soap import FaultError

FAULTS = [
    (vim.fault.InvalidLogin(), CredentialsRejectedError),
    (vim.fault.PasswordExpired(), CredentialsRejectedError),
    (vim.fault.NotAuthenticated(), CredentialsUnusableError),
    (vim.fault.NoPermission(), PermissionDeniedError),
    (vim.fault.RestrictedVersion(), PermissionDeniedError),
    (vim.fault.HostAccessRestrictedToManagementServer(), PermissionDeniedError),
    (vmodl.fault.ManagedObjectNotFound(), VMNotFoundError),
    (vim.fault.DuplicateName(name="x"), NameTakenError),
    (vim.fault.TaskInProgress(), ConflictError),
    (vim.fault.InvalidPowerState(), ConflictError),
    (vim.fault.QuestionPending(), ConflictError),
    (vim.fault.ConcurrentAccess(), ConflictError),
    (vim.fault.FileLocked(), ConflictError),
    (vmodl.fault.NotEnoughLicenses(), QuotaExceededError),
    (vim.fault.InsufficientMemoryResourcesFault(), UnprocessableError),
    (vim.fault.FileNotFound(), UnprocessableError),
    (vim.fault.NoDiskSpace(), UnprocessableError),
    (vim.fault.InvalidDatastorePath(), UnprocessableError),
    (vim.fault.GenericVmConfigFault(reason="x"), UnprocessableError),
    (vmodl.fault.InvalidArgument(), UnprocessableError),
    (vmodl.fault.NotSupported(), UnsupportedError),
    (vmodl.fault.MethodNotFound(), UnsupportedError),
    (vim.fault.Timedout(), BackendTimeoutError),
    (vmodl.fault.SystemError(reason="x"), BackendFailureError),
    (vmodl.fault.HostNotConnected(), BackendFailureError),
    (vim.fault.VimFault(), BackendFailureError),
]


def meant(fault: vmodl.MethodFault, message: str = "") -> ProviderError:
    """What a fault means, with a server's text for people."""
    if message:
        fault.msg = message
    return translate(FaultError(fault, "PowerOnVM_Task", "vc.example"))


@pytest.mark.parametrize(("fault", "kind"), FAULTS, ids=[type(fault).__name__ for fault, _ in FAULTS])
def test_translate_fault_has_its_kind(fault: vmodl.MethodFault, kind: type[ProviderError]) -> None:
    """By the fault's own name or that of its family."""
    failure = meant(fault, "It went wrong")
    assert type(failure) is kind
    assert failure.backend is not None
    assert failure.backend.operation == "PowerOnVM_Task"
    assert failure.backend.code == type(fault).__name__.rpartition(".")[2]
    assert "vc.example" in failure.detail
    assert "It went wrong." in failure.detail


@pytest.mark.parametrize("name", [*ERROR_CODES, *ADVICE])
def test_tables_name_faults_that_there_are(name: str) -> None:
    """A misspelt name would never be found."""
    kinds = [getattr(module, name, None) for module in (vim.fault, vmodl.fault, vmodl)]
    assert any(isinstance(kind, type) and issubclass(kind, vmodl.MethodFault) for kind in kinds), name


def test_translate_missing_privilege_names_it_and_the_object() -> None:
    """What an administrator must grant, and where."""
    fault = vim.fault.NoPermission(object=vim.Folder("group-v3", None), privilegeId="VirtualMachine.Inventory.Delete")
    detail = meant(fault, "Permission to perform this operation was denied.").detail
    assert "VirtualMachine.Inventory.Delete" in detail
    assert "Folder group-v3" in detail


def test_translate_taken_name_tells_it() -> None:
    """And in which sense it is taken."""
    assert "The name 'web1' is taken in this folder." in meant(vim.fault.DuplicateName(name="web1")).detail


def test_translate_what_a_vm_is_made_of_is_not_the_vm() -> None:
    """A create is never answered with `vm_not_found`."""
    gone = vmodl.fault.ManagedObjectNotFound()
    assert isinstance(translate(FaultError(gone, "CloneVM_Task", "vc.example")), UnprocessableError)


def test_translate_free_licence_says_that_it_is_read_only() -> None:
    """The commonest surprise on ESXi."""
    assert "free licence" in meant(vim.fault.RestrictedVersion()).detail


def test_translate_power_state_names_both() -> None:
    """What is, and what would have to be."""
    fault = vim.fault.InvalidPowerState(requestedState="poweredOn", existingState="suspended")
    assert "It is suspended and would have to be poweredOn." in meant(fault).detail


def test_translate_keeps_reasons_and_files() -> None:
    """The fault's own words, each once."""
    assert "File: [ds1] a.vmdk." in meant(vim.fault.FileNotFound(file="[ds1] a.vmdk")).detail
    assert meant(vmodl.fault.SystemError(reason="disk on fire"), "disk on fire").detail.count("disk on fire") == 1
    nested = vim.fault.GenericVmConfigFault(reason="no room", faultMessage=[vmodl.LocalizableMessage(message="inner")])
    assert "inner. no room." in meant(nested).detail
