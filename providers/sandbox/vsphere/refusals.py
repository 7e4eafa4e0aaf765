"""The faults that vSphere answers with, and the words that it says with each.

https://developer.broadcom.com/xapis/vsphere-web-services-api/latest/ lists each method's faults.
"""

from collections.abc import Mapping
from typing import Any, Final

from pyVmomi import VmomiSupport, vim, vmodl

from providers.sandbox.vsphere.metadata import enum_values, moid_of, required_fields
from providers.sandbox.vsphere.naming import NAMESPACE

MESSAGES: Final[Mapping[str, str]] = {
    "ConcurrentAccess": "The object or item referred to has been changed by another request.",
    "DuplicateName": "The name '{name}' already exists.",
    "FileAlreadyExists": "Cannot complete the operation because the file or folder {file} already exists",
    "FileLocked": "Unable to access file {file} since it is locked",
    "FileNotFound": "File {file} was not found",
    "InsufficientStorageSpace": "Insufficient disk space on datastore '{datastore}'.",
    "InvalidArgument": "A specified parameter was not correct: {invalidProperty}",
    "InvalidDatastore": "Invalid datastore '{name}'.",
    "InvalidDatastorePath": "Invalid datastore path '{datastorePath}'.",
    "InvalidDeviceBacking": "Incompatible device backing specified for device '{deviceIndex}'.",
    "InvalidDeviceSpec": "Invalid configuration for device '{deviceIndex}'.",
    "InvalidLogin": "Cannot complete login due to an incorrect user name or password.",
    "InvalidName": "The name '{name}' is invalid.",
    "InvalidPowerState": "The attempted operation cannot be performed in the current state ({state}).",
    "InvalidProperty": "The property '{name}' is invalid.",
    "InvalidState": "The operation is not allowed in the current state.",
    "ManagedObjectNotFound": "The object '{object}' has already been deleted or has not been completely created",
    "NoPermission": "Permission to perform this operation was denied.",
    "NotAuthenticated": "The session is not authenticated.",
    "NotSupported": "The operation is not supported on the object.",
    "RequestCanceled": "The task was canceled by a user.",
    "RestrictedVersion": "Current license or ESXi version prohibits execution of the requested operation.",
    "TaskInProgress": "The operation is not allowed in the current state. Another task is already in progress.",
    "ToolsUnavailable": ("Cannot complete operation because VMware Tools is not running in this virtual machine."),
}


def refusal(name: str, words: Mapping[str, object] | None = None, /, **fields: Any) -> vmodl.MethodFault:
    """A fault by its name, with its fields; `words` fill what its message says beyond these."""
    kind = fault_type(name)
    known = _Blank({**fields, **(words or {})})
    fault: vmodl.MethodFault = kind(msg=MESSAGES.get(name, "").format_map(known), **fields)
    return fault


def named(name: str, message: str = "", about: Any = None) -> vmodl.MethodFault:
    """A fault by its name, with this message, or with its own; raises `KeyError` for no fault's name.

    The fields that it has to have, it has: references are `about`, or lead nowhere.
    """
    kind = fault_type(name)
    fault: vmodl.MethodFault = kind(msg=message or MESSAGES.get(name, name).format_map(_Blank()))
    for field in required_fields(kind):
        if getattr(fault, field.name) is None:
            setattr(fault, field.name, _any_of(field.type, about))
    return fault


def _any_of(kind: Any, about: Any) -> Any:
    if isinstance(about, kind):
        return about
    if issubclass(kind, VmomiSupport.ManagedObject):
        return kind("unknown")
    return next(iter(enum_values(kind)), None) or kind()


def fault_type(name: str) -> Any:
    """The type of a fault by its name on the wire; raises `KeyError` when there is none."""
    kind = VmomiSupport.GetWsdlType(NAMESPACE, name)
    if not issubclass(kind, vmodl.MethodFault):
        raise KeyError(name)
    return kind


def not_found(ref: Any) -> vmodl.MethodFault:
    """There is no such object, or no more."""
    return refusal("ManagedObjectNotFound", {"object": f"{kind_of(ref)}:{moid_of(ref)}"}, obj=ref)


def no_permission(ref: Any, privilege: str) -> vmodl.MethodFault:
    """The caller lacks a privilege on an object."""
    return refusal("NoPermission", object=ref, privilegeId=privilege)


def invalid_argument(name: str) -> vmodl.MethodFault:
    """A parameter, named by its path, is not good."""
    return refusal("InvalidArgument", invalidProperty=name)


def invalid_request(message: str) -> vmodl.MethodFault:
    """What was sent could not be read as a call."""
    return vmodl.fault.InvalidRequest(msg=message)


def invalid_power_state(existing: str, requested: str | None) -> vmodl.MethodFault:
    """The VM's power is not as the operation needs it; `requested` may be none."""
    states = vim.VirtualMachine.PowerState
    return refusal(
        "InvalidPowerState",
        {"state": STATE_WORDS[existing]},
        existingState=states(existing),
        requestedState=states(requested) if requested else None,
    )


STATE_WORDS: Final[Mapping[str, str]] = {
    "poweredOn": "Powered on",
    "poweredOff": "Powered off",
    "suspended": "Suspended",
}


def kind_of(ref: Any) -> str:
    """A managed object's type as messages name it, such as `vim.VirtualMachine`."""
    return str(VmomiSupport.GetVmodlName(type(ref)))


class _Blank(dict[str, object]):
    """Fills what a message could say, and nobody has said."""

    def __missing__(self, key: str) -> str:
        return ""
