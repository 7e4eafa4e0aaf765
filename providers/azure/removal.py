"""Taking away what a failed create has made, and nothing else: the VM, its network interface, its disk."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final

from azure.core.exceptions import HttpResponseError

from providers.azure.client import Answer, AzureClient, is_missing
from providers.azure.marks import Made, is_nic_named
from providers.azure.naming import DELETE, DELETE_NIC
from providers.azure.progress import Progress, Way, search_for
from providers.azure.records import Machine
from providers.domain import Verb
from providers.driver import Work
from providers.errors import BackendReply, ConflictError, NotOwnedError, ProviderError

# How long to look for an object that Azure does not show: it may come late.
SETTLING_SECONDS = 3.0
# How long after its end a create's own result may be taken back or completed: later, somebody may use the VM.
RETRY_TIME: Final = timedelta(minutes=15)


class Removal:
    """Removes what one create has made, within one verb.

    Args:
        client: the resource group.
        work: the verb.
        made: the names of the objects.
        is_used: whether the VM stays, with all that it has, because somebody else uses it.

    """

    def __init__(
        self, client: AzureClient, work: Work, made: Made, is_used: Callable[[Machine], bool] = lambda _: False
    ) -> None:
        self._client = client
        self._progress = Progress(client)
        self._work = work
        self._made = made
        self._is_used = is_used
        self._refusal: ConflictError | None = None
        self._nics: tuple[str, ...] = ()

    def promise(self) -> None:
        """Tell the gateway of all that the create makes; the VM goes first, and takes the others along if it can.

        A VM that fails early may not yet hold its interface or its disk: they are looked for by name.
        """
        self._work.made("disk", self._made.disk, self.disk)
        self._work.made("nic", self._made.nic, self.nic)
        self._work.made("vm", self._made.name, self.vm)

    def vm(self) -> None:
        """Remove the VM.

        Raises:
            NotOwnedError: somebody else has made it.
            ConflictError: somebody else uses it.

        """
        try:
            self._remove_vm()
        except ProviderError as error:
            if not error.answer_lost:
                raise
            # Another try may have finished the VM meanwhile, so this looks again.
            self._remove_vm()

    def _remove_vm(self) -> None:
        self._refusal = None
        machine = self._machine()
        if machine is None:
            return
        if machine.creation != self._made.creation or not machine.is_original:
            raise NotOwnedError(f"VM {machine.name} was made by another create.", backend=BackendReply("Azure", DELETE))
        if self._is_used(machine):
            self._refusal = ConflictError(
                f"VM {machine.name} stays: another request has finished it, or somebody uses it.",
                backend=BackendReply("Azure", DELETE),
            )
            raise self._refusal
        # What the VM names is certain. A list may not show it yet.
        self._nics = tuple(name for name in machine.nics if is_nic_named(name, self._made.nic))
        self._wait(machine.name, self._client.delete(machine.name))

    def nic(self) -> None:
        """Remove the network interface, whatever Azure has added to its name, and in whatever case it shows it.

        https://learn.microsoft.com/azure/azure-resource-manager/management/resource-name-rules
        """
        self._check_unused()
        for name in self._nics or self._listed_nics():
            self.delete(name, self._client.delete_nic)

    def disk(self) -> None:
        """Remove the disk."""
        self._check_unused()
        try:
            self.delete(self._made.disk, self._client.delete_disk)
        except HttpResponseError as error:
            if not is_missing(error):
                raise

    def delete(self, name: str, delete: Callable[[str], Answer]) -> None:
        """Delete one object, and wait until it is gone.

        Asks once more if the answer gets lost: to delete what goes already, or is gone, is safe.
        """
        try:
            answer = delete(name)
        except ProviderError as error:
            if not error.answer_lost:
                raise
            answer = delete(name)
        self._wait(name, answer)

    def _wait(self, name: str, answer: Answer) -> None:
        operation = self._progress.begun(Verb.DELETE, name, answer)
        if not operation.done:
            self._work.finish(operation)

    def _check_unused(self) -> None:
        """Refuse to remove what belongs to a VM that stays."""
        if self._refusal is not None:
            raise self._refusal

    def _machine(self) -> Machine | None:
        """Return the VM of that name. One that Azure does not show is looked for until it has settled."""
        name = self._made.name
        machine = self._client.machine_or_none(name)
        if machine is None:
            self._work.finish(search_for(name, self._made.creation, DELETE, seconds=SETTLING_SECONDS))
            machine = self._client.machine_or_none(name)
        return machine

    def _listed_nics(self) -> list[str]:
        search = search_for(self._made.nic, self._made.creation, DELETE_NIC, way=Way.NIC, seconds=SETTLING_SECONDS)
        self._work.finish(search)
        return [nic.name for nic in self._client.list_nics() if is_nic_named(nic.name, self._made.nic)]


def is_unfinished(machine: Machine) -> bool:
    """Return whether nobody can use a VM: it goes, it never ran, or its guest has only just failed to report."""
    if machine.failed_at_boot and machine.changed_at is not None:
        return datetime.now(UTC) - machine.changed_at < RETRY_TIME
    return machine.provisioning == "Deleting" or machine.has_never_run
