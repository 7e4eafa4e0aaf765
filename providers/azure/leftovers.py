"""What creates left behind in the resource group: VMs that never ran, and interfaces and disks without a VM."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Final

from providers.azure.attachments import Disk, NetworkInterface
from providers.azure.client import AzureClient
from providers.azure.marks import Made, Mark, began_at, read_mark
from providers.azure.removal import Removal
from providers.azure.scope import Scope
from providers.domain import LeftoverResource
from providers.driver import Work
from providers.errors import ConflictError, VMNotFoundError

# A disk that a VM gave up within this time of its making holds no work of anybody's.
UNUSED: Final = timedelta(minutes=2)


class Leftovers:
    """Finds and removes leftovers in one resource group.

    Their age follows from their marks, so that it does not depend on how Azure's clock differs from this machine's.
    """

    def __init__(self, client: AzureClient, scope: Scope) -> None:
        self._client = client
        self._scope = scope

    def find(self) -> Iterator[LeftoverResource]:
        """Yield leftovers. Three lists, and one call for each VM whose provisioning failed."""
        nics, disks = self._client.list_nics(), self._client.list_disks()
        # Listed last: the VM of an interface that was made meanwhile is seen.
        machines = list(self._client.list_machines())
        creations = [machine.creation for machine in machines if machine.creation]
        for machine in machines:
            if machine.is_original and machine.provisioning == "Failed" and self._scope.holds(machine):
                yield from self._vm(machine.name)
        for nic in nics:
            mark = _mark(nic.name, "nic", creations)
            if mark is not None and nic.is_free and self._scope.holds(nic):
                yield _nic(nic, mark)
        for disk in disks:
            mark = _mark(disk.name, "os", creations)
            if mark is None or not disk.is_free or not self._scope.holds(disk):
                continue
            if not disk.creation or mark.is_of(disk.creation):
                yield _disk(disk, mark)

    def remove(self, leftover: LeftoverResource, work: Work) -> None:
        """Remove a leftover, and wait until it is gone.

        Raises:
            ConflictError: it is in use by now, or not removable.
            VMNotFoundError: it is gone.

        """
        found = next((one for one in self.find() if (one.kind, one.id) == (leftover.kind, leftover.id)), None)
        if found is None:
            raise self._missing(leftover)
        if not found.is_removable:
            raise ConflictError(f"The {found.kind} {found.id} may be in use and was not removed. {found.detail}")
        removal = Removal(self._client, work, Made(found.name, ""))
        match found.kind:
            case "vm":
                removal.delete(found.name, self._client.delete)
            case "nic":
                removal.delete(found.name, self._client.delete_nic)
            case _:
                removal.delete(found.name, self._client.delete_disk)

    def _vm(self, name: str) -> Iterator[LeftoverResource]:
        machine = self._client.machine_or_none(name)
        if machine is None or not machine.is_original:
            return
        why = f"Its creation failed ({machine.failure.code})."
        made_at = began_at(machine.creation) or machine.made_at
        if machine.has_never_run:
            yield LeftoverResource("vm", machine.name, machine.name, made_at, f"{why} It never ran.")
        elif machine.failed_at_boot:
            yield LeftoverResource("vm", machine.name, machine.name, made_at, f"{why} It may run.", is_removable=False)

    def _missing(self, leftover: LeftoverResource) -> ConflictError | VMNotFoundError:
        """Return why it is no longer among the leftovers."""
        names = {
            "vm": lambda: [machine.name for machine in self._client.list_machines()],
            "nic": lambda: [nic.name for nic in self._client.list_nics()],
            "disk": lambda: [disk.name for disk in self._client.list_disks()],
        }[leftover.kind]()
        if leftover.id.lower() in map(str.lower, names):
            return ConflictError(f"The {leftover.kind} {leftover.id} is in use by now and was not removed.")
        return VMNotFoundError(f"The {leftover.kind} {leftover.id} is gone.")


def _mark(name: str, kind: str, creations: list[str]) -> Mark | None:
    """Return the mark in a name, unless it is of another kind or of a VM that is there."""
    mark = read_mark(name)
    if mark is None or mark.kind != kind or any(map(mark.is_of, creations)):
        return None
    return mark


def _nic(nic: NetworkInterface, mark: Mark) -> LeftoverResource:
    if nic.is_altered:
        return LeftoverResource("nic", nic.name, nic.name, mark.made_at, "No VM, but altered.", is_removable=False)
    return LeftoverResource("nic", nic.name, nic.name, mark.made_at, "No VM has it.")


def _disk(disk: Disk, mark: Mark) -> LeftoverResource:
    kept_since = disk.owner_changed_at
    made_at = mark.made_at or disk.made_at
    if disk.made_at is None or (kept_since is not None and kept_since - disk.made_at > UNUSED):
        detail = "No VM has it, but a VM has used it." if kept_since else "No VM has it; its age is unknown."
        return LeftoverResource("disk", disk.name, disk.name, made_at, detail, is_removable=False)
    return LeftoverResource("disk", disk.name, disk.name, made_at, "No VM has it.")
