"""A VM as vSphere describes it, read from its properties."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final, cast

from pyVmomi import vim

from providers import notes
from providers.domain import VM, VMStatus
from providers.notes import Notes
from providers.vsphere.properties import Found, moref

# The leaves that a list needs, and not one branch: the whole `config` of a VM takes ten times as long.
LISTED: Final = (
    "name",
    "config.instanceUuid",
    "config.template",
    "config.annotation",
    "config.hardware.numCPU",
    "config.hardware.memoryMB",
    "runtime.powerState",
    "runtime.connectionState",
    "guest.ipAddress",
    # What vCenter still knows of a VM whose files cannot be read.
    "summary.config.instanceUuid",
    "summary.config.template",
)
# Since 6.7; a server refuses the whole question if it does not know one of its paths.
LISTED_SINCE_67: Final = (*LISTED, "config.createDate")
SHOWN: Final = ("guest.net", "runtime.question")

STATUSES: Final[Mapping[str, VMStatus]] = {
    "poweredOn": VMStatus.RUNNING,
    "poweredOff": VMStatus.STOPPED,
    "suspended": VMStatus.SUSPENDED,
}
# Of a VM that its host does not show just now, the last known power state says nothing.
DISCONNECTED: Final[Mapping[str, VMStatus]] = {
    "invalid": VMStatus.ERROR,
    "orphaned": VMStatus.ERROR,
}


@dataclass(frozen=True)
class Machine:
    """One VM, or template.

    `uuid` is its instance UUID, empty while it has none; `power` is the word for its power state; `question` is what
    it asks somebody before it goes on.
    """

    ref: vim.VirtualMachine
    uuid: str
    power: str
    is_template: bool
    notes: Notes
    vm: VM
    has_config: bool
    question: str = ""

    @property
    def moref(self) -> str:
        """The id by which the server knows it."""
        return moref(self.ref)


def machine_of(found: Found) -> Machine:
    """The VM that was found; whatever is not known of it is left out."""
    values = found.values
    uuid = str(values.get("config.instanceUuid") or values.get("summary.config.instanceUuid") or "").lower()
    power = str(values.get("runtime.powerState", ""))
    connection = str(values.get("runtime.connectionState", "connected"))
    has_config = "config.instanceUuid" in values
    seen = notes.read(str(values.get("config.annotation", "")))
    question = values.get("runtime.question")
    return Machine(
        ref=cast("vim.VirtualMachine", found.ref),
        uuid=uuid,
        power=power,
        is_template=bool(values.get("config.template") or values.get("summary.config.template")),
        notes=seen,
        has_config=has_config,
        question=str(question.text) if question is not None else "",
        vm=VM(
            id=uuid,
            name=found.name,
            status=_status(power, connection, has_config=has_config),
            provider_status=power if connection == "connected" else connection,
            cpus=values.get("config.hardware.numCPU"),
            memory_mib=values.get("config.hardware.memoryMB"),
            ip_addresses=tuple(_addresses(values.get("guest.ipAddress"), values.get("guest.net") or ())),
            created_at=_made_at(values.get("config.createDate")),
            tags=seen.tags,
        ),
    )


def _status(power: str, connection: str, *, has_config: bool) -> VMStatus:
    if connection != "connected":
        return DISCONNECTED.get(connection, VMStatus.UNKNOWN)
    return STATUSES.get(power, VMStatus.UNKNOWN) if has_config else VMStatus.CREATING


def _addresses(first: str | None, nics: Iterable[vim.vm.GuestInfo.NicInfo]) -> dict[str, None]:
    """The guest's addresses, the one first that Tools call its own; link-local ones lead nowhere."""
    told = [first, *(address for nic in nics for address in nic.ipAddress or [])]
    return dict.fromkeys(address for address in told if address and not _is_link_local(address))


def _is_link_local(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_link_local
    except ValueError:
        return True


def _made_at(moment: datetime | None) -> datetime | None:
    # The epoch stands for a VM that is older than the property.
    return moment if moment is not None and moment.year > 1970 else None
