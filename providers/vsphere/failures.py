"""From vSphere's faults to our errors: what happened, where, and what to do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, TypeVar

from pyVmomi import vim, vmodl

from providers.errors import BackendReply, ProviderError, UnprocessableError, VMNotFoundError
from providers.excerpts import excerpt, sentence
from providers.vsphere.codes import ADVICE, ERROR_CODES
from providers.vsphere.properties import Ref, moref
from providers.vsphere.soap import CLOUD_NAME, FaultError

VENDOR_ERRORS: Final[tuple[type[Exception], ...]] = (FaultError,)

_LONGEST_MESSAGE = 500
_MAKING: Final = frozenset(
    {
        "CloneVM_Task",
        "SearchDatastore_Task",
        "MakeDirectory",
        "CopyVirtualDisk_Task",
        "ExtendVirtualDisk_Task",
        "CreateVM_Task",
    }
)

T = TypeVar("T")


def code_of(fault: vmodl.MethodFault) -> str:
    """The fault's name, such as `InvalidPowerState`."""
    return type(fault).__name__.rpartition(".")[2]


def translate(error: Exception) -> ProviderError:
    """One of `VENDOR_ERRORS` as the error that it means."""
    if not isinstance(error, FaultError):
        raise TypeError(type(error).__name__)
    return meaning(error.fault, error.operation, error.place)


def meaning(fault: vmodl.MethodFault, operation: str, place: str) -> ProviderError:
    """What a fault means that came from a call or from its task."""
    kind = _nearest(ERROR_CODES, fault) or ProviderError
    if kind is VMNotFoundError and operation in _MAKING:
        # Not the VM, which is only to be made, but what it is to be made of or in.
        kind = UnprocessableError
    code = code_of(fault)
    words = f"{CLOUD_NAME} at {place} refused {operation} ({code})"
    detail = f"{words}: {_said(fault)} {_nearest(ADVICE, fault) or ''}".strip()
    return kind(detail, backend=BackendReply(CLOUD_NAME, operation, code))


def is_in_state(fault: vmodl.MethodFault, state: str) -> bool:
    """Whether a verb was refused because the VM is in this power state."""
    return isinstance(fault, vim.fault.InvalidPowerState) and str(fault.existingState) == state


def _nearest(table: Mapping[str, T], fault: vmodl.MethodFault) -> T | None:
    """What the table says of the fault or of its nearest ancestor."""
    names = (kind.__name__.rpartition(".")[2] for kind in type(fault).__mro__)
    return next((table[name] for name in names if name in table), None)


def _said(fault: vmodl.MethodFault) -> str:
    """The fault's own words, and what it names beside them."""
    # pyvmomi puts the server's text for a person into `msg`, on every fault.
    texts = [str(getattr(fault, "msg", "") or ""), *(part.message or "" for part in fault.faultMessage or [])]
    texts.append(_named(fault))
    unique = dict.fromkeys(sentence(text, _LONGEST_MESSAGE, fold_blanks=True) for text in texts if text.strip())
    return " ".join(unique)


def _named(fault: vmodl.MethodFault) -> str:
    if isinstance(fault, vim.fault.NoPermission):
        held: Ref | None = getattr(fault, "object", None)  # the stubs know it as always given
        privilege = fault.privilegeId
        where = f" on {type(held).__name__.rpartition('.')[2]} {moref(held)}" if held is not None else ""
        return f"The privilege {privilege} is missing{where}" if privilege else ""
    if isinstance(fault, vim.fault.InvalidPowerState):
        return f"It is {fault.existingState} and would have to be {fault.requestedState}"
    if isinstance(fault, vim.fault.DuplicateName):
        name = excerpt(fault.name or "", _LONGEST_MESSAGE)
        return f"The name {name!r} is taken in this folder" if name else ""
    if isinstance(fault, vim.fault.FileFault):
        return f"File: {fault.file}" if fault.file else ""
    if isinstance(fault, vmodl.fault.InvalidArgument):
        at_fault: str | None = fault.invalidProperty
        return f"At fault is {at_fault}" if at_fault else ""
    reason = getattr(fault, "reason", None)
    return reason if isinstance(reason, str) else ""
