"""Taking away what a failed create has made, and nothing else: the VM, its network interface, its disk."""

from __future__ import annotations

from collections.abc import Callable

from azure.core.exceptions import HttpResponseError

from providers.azure.client import Answer, AzureClient, is_missing
from providers.azure.marks import Made, is_nic_named
from providers.azure.naming import DELETE, DELETE_NIC
from providers.azure.progress import Progress, Way, search_for
from providers.azure.records import Machine
from providers.domain import Verb
from providers.driver import Work
from providers.errors import ProviderError

# How long to look for an object that Azure does not show: it may come late.
SETTLING_SECONDS = 3.0


class Removal:
    """Removes what one create has made, within one verb."""

    def __init__(self, client: AzureClient, work: Work, made: Made) -> None:
        self._client = client
        self._progress = Progress(client)
        self._work = work
        self._made = made
        self._nics: tuple[str, ...] = ()

    def promise(self) -> None:
        """Tell the gateway of all that the create makes; the VM goes first, and takes the others along if it can.

        A VM that fails early may not yet hold its interface or its disk: they are looked for by name.
        """
        self._work.made("disk", self._made.disk, self.disk)
        self._work.made("nic", self._made.nic, self.nic)
        self._work.made("vm", self._made.name, self.vm)

    def vm(self) -> None:
        """Remove the VM; one of the same name that somebody else has made is left alone."""
        machine = self._machine()
        if machine is not None and machine.creation == self._made.creation:
            # What the VM names is certain. A list may not show it yet.
            self._nics = tuple(name for name in machine.nics if is_nic_named(name, self._made.nic))
            self.delete(machine.name, self._client.delete)

    def nic(self) -> None:
        """Remove the network interface, whatever Azure has added to its name, and in whatever case it shows it.

        https://learn.microsoft.com/azure/azure-resource-manager/management/resource-name-rules
        """
        for name in self._nics or self._listed_nics():
            self.delete(name, self._client.delete_nic)

    def disk(self) -> None:
        """Remove the disk."""
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
        operation = self._progress.begun(Verb.DELETE, name, answer)
        if not operation.done:
            self._work.finish(operation)

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
