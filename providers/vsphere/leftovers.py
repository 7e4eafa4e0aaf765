"""What creates left behind: VMs that were to run and never did and, on a standalone host, folders without a VM."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Final

from pyVmomi import vim

from providers.deadline import Deadline
from providers.domain import LeftoverResource, Operation
from providers.driver import Work
from providers.errors import BackendTimeoutError, ConflictError, VMNotFoundError
from providers.vsphere.client import VSphereClient
from providers.vsphere.drafts import FOLDER_MARK
from providers.vsphere.files import Finish, parted
from providers.vsphere.history import history
from providers.vsphere.machines import Machine
from providers.vsphere.outcomes import Outcomes
from providers.vsphere.properties import Found, pages
from providers.vsphere.removing import Remover
from providers.vsphere.soap import FaultError
from providers.waiting import wait_until_done

# How long one search of a datastore may take.
_SEARCH_SECONDS: Final = 60.0
_UUID: Final = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
# See `Draft.folder_name`.
_FOLDER: Final = re.compile(rf"{FOLDER_MARK}(?:{_UUID}|[0-9A-Za-z][0-9A-Za-z-]{{0,62}}-[0-9a-f]{{8}})")
# What a create puts into a folder before there is a VM. Anything else belongs to a VM, or to somebody.
_BEFORE_VM: Final = re.compile(r".*\.vmdk")
_FILES: Final = (
    "layoutEx.file",
    "config.files.vmPathName",
    "summary.config.vmPathName",
    "config.hardware.device",
)


class Leftovers:
    """Finds and removes them in one environment."""

    def __init__(self, client: VSphereClient) -> None:
        self._client = client

    def list(self) -> Iterator[LeftoverResource]:
        """Return all leftovers."""
        for machine in self._client.machines():
            if _should_run(machine):
                leftover = self._of_vm(machine)
                if leftover is not None:
                    yield leftover
        if self._client.session.is_host:
            yield from self._folders()

    def remove(self, leftover: LeftoverResource, work: Work) -> None:
        """Look again, and remove a leftover that still is one.

        Raises:
            ConflictError: it is none any more.
            VMNotFoundError: it is gone.

        """
        if leftover.kind == "vm":
            self._remove_vm(leftover.id, work)
        else:
            self._remove_folder(leftover.id, work)

    # VMs.

    def _of_vm(self, machine: Machine) -> LeftoverResource | None:
        """Return a VM as a leftover if it has never run; one that is gone, or cannot be looked at, is none."""
        try:
            seen = history(self._client.session, machine.ref)
        except FaultError:
            return None
        if not seen.never_ran:
            return None
        folders = {parted(file)[1].rpartition("/")[0] for file in seen.files}
        return LeftoverResource(
            "vm",
            machine.uuid,
            machine.vm.name,
            _time_of(machine),
            "It was to be started when it was made, and has never run."
            + ("" if len(folders) == 1 else " It has disks in folders of others, which would be removed with it."),
            is_removable=len(folders) == 1,
        )

    def _remove_vm(self, vm_id: str, work: Work) -> None:
        ref = self._client.find(vm_id)
        if ref is None:
            raise self._client.not_found(vm_id)
        machine = self._client.machine(ref)
        leftover = self._of_vm(machine) if _should_run(machine) else None
        if leftover is None or not leftover.is_removable:
            raise ConflictError(f"VM {vm_id} may be in use: it has run, or has been changed, since it was made.")
        Remover(self._client, work).destroy_stopped(machine)

    # Folders.

    def _folders(self) -> Iterator[LeftoverResource]:
        used = self._used_folders()
        # Files bear the time of the host's clock, which may differ from ours.
        difference = datetime.now(UTC) - self._client.session.current_time()
        for store in self._client.inventory.places().of(vim.Datastore):
            if not store.values.get("summary.accessible", True):
                continue
            for found in self._client.files.folders(store, f"{FOLDER_MARK}*", _finisher(self._client)):
                name = found.path.strip("/").rpartition("/")[2]
                path = f"[{store.name}] {name}"
                if _FOLDER.fullmatch(name) and path not in used:
                    made_at = found.modification.astimezone(UTC) + difference if found.modification else None
                    yield self._of_folder(path, made_at)

    def _of_folder(self, path: str, made_at: datetime | None) -> LeftoverResource:
        names = self._client.files.names_in(path, _finisher(self._client))
        others = sorted(name for name in names if not _BEFORE_VM.fullmatch(name))
        detail = "No VM of this host uses it." + (
            f" It holds {others[0]!r}, so a VM was made in it, which may be registered on another host."
            if others
            else ""
        )
        return LeftoverResource("folder", path, parted(path)[1], made_at, detail, not others)

    def _remove_folder(self, path: str, work: Work) -> None:
        datastore, name = parted(path)
        store = self._client.files.store_of(path)
        if store is None or not _FOLDER.fullmatch(name):
            raise ConflictError(f"{path} is no folder of this service.")
        found = next(iter(self._client.files.folders(store, name, work.finish)), None)
        if found is None:
            raise VMNotFoundError(f"There is no folder {name} on [{datastore}].")
        self.check_unused(path)
        if not self._of_folder(path, None).is_removable:
            raise ConflictError(f"The folder {path} may be in use: there is a VM in it.")
        if self._client.has_disk_tasks():
            raise ConflictError(f"A disk is being copied, maybe into the folder {path}: try again when that has ended.")
        Remover(self._client, work).remove_folder(path)

    def check_unused(self, path: str) -> None:
        """Refuse a folder of which a VM of this host uses a file, wherever that VM is.

        Raises:
            ConflictError: one does.

        """
        if path in self._used_folders():
            raise ConflictError(f"The folder {path} is in use: a VM has a file in it.")

    def _used_folders(self) -> frozenset[str]:
        """Return the folders of all files that VMs of this host use, as `[datastore] folder`."""
        question = self._client.inventory.of_vms(_FILES)
        files = (file for found in pages(self._client.session.collector, question) for file in _files_of(found))
        return frozenset(file.rpartition("/")[0] for file in files)


def _should_run(machine: Machine) -> bool:
    """Whether a VM is off that a create was to start. A copy that somebody made has the notes, and another UUID."""
    notes = machine.notes
    is_ours = notes.start and bool(machine.uuid) and notes.vm_id == machine.uuid
    return is_ours and machine.has_config and not machine.is_template and machine.power == "poweredOff"


def _files_of(found: Found) -> Iterator[str]:
    values = found.values
    yield from (str(file.name) for file in values.get("layoutEx.file", ()))
    yield from (str(values[path]) for path in _FILES if path.endswith("vmPathName") and path in values)
    for device in values.get("config.hardware.device", ()):
        yield from _backing_files(getattr(device, "backing", None))


def _backing_files(backing: Any) -> Iterator[str]:
    """Return the files of a disk with those that it is a child of, or of a drive."""
    while backing is not None:
        name = getattr(backing, "fileName", None)
        if name:
            yield str(name)
        backing = getattr(backing, "parent", None)


def _finisher(client: VSphereClient) -> Finish:
    outcomes = Outcomes(client)

    def finish(operation: Operation) -> Operation:
        ended = wait_until_done(operation, outcomes.look, Deadline.after(_SEARCH_SECONDS))
        if ended.failure is not None:
            raise ended.failure
        if not ended.done:
            raise BackendTimeoutError("The search of a datastore took too long.")
        return ended

    return finish


def _time_of(machine: Machine) -> datetime | None:
    """When a VM's create began by our own clock, which the VM's notes tell."""
    began_at = machine.notes.created_at
    return datetime.fromtimestamp(began_at, UTC) if began_at else machine.vm.created_at
