"""Whether a VM has ever run, as far as its files tell.

The power state does not tell a VM that was never started from one that was stopped, and `runtime.bootTime` is unset
while a VM is off. A VM's files do tell: its first run writes a log.
https://developer.broadcom.com/xapis/virtual-infrastructure-json-api/latest/data-structures/VirtualMachineFileLayoutExFileType_enum
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from pyVmomi import vim

from providers.vsphere.properties import only
from providers.vsphere.session import Session

_PATHS: Final = ("layoutEx.file", "config.flags.enableLogging", "runtime.powerState")
# A clone brings the NVRAM of its template along.
_WITHOUT_A_RUN: Final = frozenset(
    {"config", "extendedConfig", "diskDescriptor", "diskExtent", "namespaceData", "nvram", "snapshotList"}
)


@dataclass(frozen=True)
class History:
    """What a VM's files tell: their names, and whether they show that the VM has never run."""

    files: Sequence[str]
    never_ran: bool


def history(session: Session, ref: vim.VirtualMachine) -> History:
    """Return the history of a VM.

    vSphere updates the list of files from time to time only, so this has it refreshed first. A VM whose log is
    switched off leaves no trace of a run: it may have run.

    Raises:
        FaultError: `ManagedObjectNotFound`, among others.

    """
    ref.RefreshStorageInfo()
    values = only(session.collector, ref, _PATHS, session.place).values
    files = values.get("layoutEx.file", ())
    is_off = str(values.get("runtime.powerState")) == "poweredOff"
    is_logging = values.get("config.flags.enableLogging") is not False
    has_traces = not files or any(str(file.type) not in _WITHOUT_A_RUN for file in files)
    return History([file.name for file in files], is_off and is_logging and not has_traces)
