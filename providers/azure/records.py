"""Azure's description of VMs, read from its JSON for just the fields that we need."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from providers.azure.failures import Refusal
from providers.azure.marks import read_mark
from providers.azure.site import short_region
from providers.domain import NOTHING, VM, VMStatus

# https://learn.microsoft.com/azure/virtual-machines/states-billing; one that is `stopped` is still paid for.
STATUSES: Final[Mapping[str, VMStatus]] = {
    "starting": VMStatus.STARTING,
    "running": VMStatus.RUNNING,
    "stopping": VMStatus.STOPPING,
    "stopped": VMStatus.STOPPED,
    "deallocating": VMStatus.STOPPING,
    "deallocated": VMStatus.STOPPED,
}
# These go before the power state, which is the old one then, or none yet.
_PASSING: Final[Mapping[str, VMStatus]] = {"Creating": VMStatus.CREATING, "Deleting": VMStatus.DELETING}
# Without a power state: none yet, or none that we were told of.
_WITHOUT_POWER: Final[Mapping[str, VMStatus]] = {
    "": VMStatus.CREATING,
    "Updating": VMStatus.CREATING,
    "Failed": VMStatus.ERROR,
}

# No create takes longer. What ended later was another operation.
LONGEST_CREATE: Final = timedelta(hours=2)

# What we remember of a VM in its tags; hidden from answers. A colon is allowed in a tag's name, `<>%&\?/` are not.
OWN_TAGS: Final = "cloudvm:"
CREATION_TAG: Final = f"{OWN_TAGS}creation"
KEY_TAG: Final = f"{OWN_TAGS}request-key"
DIGEST_TAG: Final = f"{OWN_TAGS}request-digest"


@dataclass(frozen=True, slots=True)
class Machine:
    """One VM in Azure's own words; what Azure left out is empty or None.

    Attributes:
        resource_id: the full id, in small letters: Azure's lists write it in any case.
        region: in Azure's short form.
        provisioning: `Creating`, `Updating`, `Succeeded`, `Failed`, `Deleting` and so on.
        power: `running`, `deallocated` and so on; empty where the answer does not tell, or there is none yet.
        tags: all of them, ours too, and those in small letters.
        failure: why its provisioning failed, where Azure says so.
        changed_at: when its last operation ended, where Azure says so.
        nics: the names of its network interfaces.
        disk: the name of its system disk.

    """

    name: str
    resource_id: str
    region: str
    provisioning: str
    power: str
    size: str
    made_at: datetime | None
    tags: Mapping[str, str]
    failure: Refusal = field(default_factory=Refusal)
    changed_at: datetime | None = None
    nics: tuple[str, ...] = ()
    disk: str = ""

    @property
    def creation(self) -> str:
        """What marks the create that has made it, empty for a VM of others."""
        return self.tags.get(CREATION_TAG, "")

    @property
    def is_original(self) -> bool:
        """Whether its disk or an interface is named after its creation. A VM that only has copied tags is not ours."""
        marks = map(read_mark, (self.disk, *self.nics))
        return any(mark is not None and mark.is_of(self.creation) for mark in marks)

    @property
    def has_never_run(self) -> bool:
        """Whether its creation failed before it was started.

        A missing power state alone proves nothing: Azure fails to tell it at times.
        https://learn.microsoft.com/azure/virtual-machines/states-billing
        """
        return self.creation_failed and not self.power and not self.failed_at_boot

    @property
    def failed_at_boot(self) -> bool:
        """Whether its creation failed because the guest did not report; it may run all the same."""
        return self.creation_failed and self.failure.code.startswith("OSProvisioning")

    @property
    def creation_failed(self) -> bool:
        """Whether its last operation failed, and was its creation: it ended soon after the VM was made."""
        if self.provisioning != "Failed" or self.made_at is None or self.changed_at is None:
            return False
        return self.changed_at - self.made_at < LONGEST_CREATE


def read_machine(data: dict[str, Any]) -> Machine:
    """A VM as the API describes it."""
    properties = as_object(data.get("properties"))
    statuses = _statuses(properties)
    name = str(data.get("name") or "")
    tags = as_object(data.get("tags"))
    return Machine(
        name=name,
        resource_id=str(data.get("id") or name).lower(),
        region=short_region(str(data.get("location") or "")),
        provisioning=str(properties.get("provisioningState") or ""),
        power=next((code[1] for code, _ in statuses if code[0] == "PowerState"), ""),
        size=str(as_object(properties.get("hardwareProfile")).get("vmSize") or ""),
        made_at=read_time(properties.get("timeCreated")),
        tags={_tag_name(str(key)): str(value) for key, value in tags.items()} if tags else NOTHING,
        failure=_failure(statuses),
        changed_at=_changed_at(statuses),
        nics=_nics(properties),
        disk=str(as_object(as_object(properties.get("storageProfile")).get("osDisk")).get("name") or ""),
    )


def shown(machine: Machine, power: str | None = None) -> VM:
    """A VM in our words; `power` is its power state, where another answer has told it."""
    power = machine.power if power is None else power
    return VM(
        id=machine.name,
        name=machine.name,
        status=_status(machine.provisioning, power),
        provider_status=_word(machine.provisioning, power),
        instance_type=machine.size or None,
        created_at=machine.made_at,
        tags={key: value for key, value in machine.tags.items() if not key.startswith(OWN_TAGS)},
    )


def _status(provisioning: str, power: str) -> VMStatus:
    """The power state is the truth, also of a VM whose last change has failed, as long as it has one."""
    if provisioning in _PASSING:
        return _PASSING[provisioning]
    if power:
        return STATUSES.get(power, VMStatus.UNKNOWN)
    return _WITHOUT_POWER.get(provisioning, VMStatus.UNKNOWN)


def _word(provisioning: str, power: str) -> str:
    return provisioning if provisioning in _PASSING or not power else power


def _statuses(properties: dict[str, Any]) -> list[tuple[list[str], dict[str, Any]]]:
    """The codes of the instance view, such as `PowerState/running`, split, each with what comes with it."""
    found = as_object(properties.get("instanceView")).get("statuses")
    items = [as_object(one) for one in found] if isinstance(found, list) else []
    codes = [(str(one.get("code") or "").split("/"), one) for one in items]
    return [(code, one) for code, one in codes if len(code) > 1]


def _tag_name(name: str) -> str:
    """Azure may keep the case of a tag's name, and need not; ours are looked up by it.

    https://learn.microsoft.com/azure/azure-resource-manager/management/tag-resources
    """
    return name.lower() if name.lower().startswith(OWN_TAGS) else name


def _failure(statuses: list[tuple[list[str], dict[str, Any]]]) -> Refusal:
    """Azure tells it as `ProvisioningState/failed/AllocationFailed`, with a message."""
    for code, status in statuses:
        if code[0] == "ProvisioningState" and code[1] == "failed":
            return Refusal(tuple(code[2:3]), str(status.get("message") or ""))
    return Refusal()


def _changed_at(statuses: list[tuple[list[str], dict[str, Any]]]) -> datetime | None:
    return next((read_time(status.get("time")) for code, status in statuses if code[0] == "ProvisioningState"), None)


def _nics(properties: dict[str, Any]) -> tuple[str, ...]:
    found = as_object(properties.get("networkProfile")).get("networkInterfaces")
    ids = [str(as_object(one).get("id") or "") for one in found] if isinstance(found, list) else []
    return tuple(nic_id.rpartition("/")[2] for nic_id in ids if nic_id)


def read_time(text: object) -> datetime | None:
    """Azure writes seven digits after the second's point; Python reads six of them."""
    try:
        found = datetime.fromisoformat(text) if isinstance(text, str) else None
    except ValueError:
        return None
    return found if found is None or found.tzinfo else found.replace(tzinfo=UTC)


def own_tag(tags: dict[str, Any], name: str) -> str:
    """Return one of our tags; empty if it is not there."""
    return next((str(value) for key, value in tags.items() if _tag_name(str(key)) == name), "")


def as_object(value: Any) -> dict[str, Any]:
    """Return a JSON object as it is, anything else as an empty one."""
    return value if isinstance(value, dict) else {}
