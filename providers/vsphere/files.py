"""Files of datastores: whether an image is there, and how large a disk it holds; kept for a while."""

from __future__ import annotations

from collections.abc import Sequence

from pyVmomi import vim

from providers.domain import Operation, Verb
from providers.driver import Work
from providers.errors import PermissionDeniedError, UnprocessableError
from providers.findings import Findings
from providers.vsphere.images import File
from providers.vsphere.inventory import KEPT_SECONDS, MOST_KEPT, Inventory
from providers.vsphere.progress import Goal
from providers.vsphere.properties import Found, moref, only
from providers.vsphere.session import Session


class Files:
    """The image files that a session has looked up."""

    def __init__(self, session: Session, inventory: Inventory) -> None:
        self._session = session
        self._inventory = inventory
        self._capacities: Findings[str, int | None] = Findings(MOST_KEPT, KEPT_SECONDS)

    def capacity_kib(self, image: File, work: Work) -> int | None:
        """The size of the disk that an image file holds, None where the server does not tell.

        Raises:
            UnprocessableError: there is no such file.

        """
        return self._capacities.find(str(image), lambda: self._find(image, work))

    def is_empty(self, store: Found, folder: str, work: Work) -> bool:
        """Whether a folder on a datastore has no file in it; an error where there is no such folder."""
        return not self._searched(store, folder, vim.host.DatastoreBrowser.SearchSpec(), work)

    def _find(self, image: File, work: Work) -> int | None:
        stores = {found.name: found for found in self._inventory.places().of(vim.Datastore)}
        if image.datastore not in stores:
            seen = ", ".join(f"[{one}]" for one in sorted(stores)) or "none"
            raise UnprocessableError(
                f"The machine type's image {str(image)!r} is on no datastore of {self._session.place}, or on none that "
                f"the user may see; those are: {seen}."
            )
        files = self._searched(stores[image.datastore], image.folder_path, _question(image), work)
        found = next((file for file in files if file.path.rpartition("/")[2] == image.name), None)
        if found is None:
            raise UnprocessableError(
                f"The machine type's image {str(image)!r} is not on the datastore of {self._session.place}."
            )
        return getattr(found, "capacityKb", None)

    def _searched(
        self, store: Found, folder: str, question: vim.host.DatastoreBrowser.SearchSpec, work: Work
    ) -> Sequence[vim.host.DatastoreBrowser.FileInfo]:
        browser: vim.host.DatastoreBrowser | None = store.values.get("browser")
        if browser is None:
            raise PermissionDeniedError(f"The user may not browse [{store.name}]: grant Datastore.Browse on it.")
        searching = browser.Search(folder, question)
        goal = Goal("SearchDatastore_Task", moref(searching))
        work.finish(Operation(Verb.CREATE, None, str(goal)))
        info = only(self._session.collector, searching, ("info.result",), self._session.place)
        return getattr(info.values.get("info.result"), "file", None) or ()


def _question(image: File) -> vim.host.DatastoreBrowser.SearchSpec:
    browser = vim.host.DatastoreBrowser
    if image.is_disk:
        details = browser.VmDiskQuery.Details(capacityKb=True, diskType=False, hardwareVersion=False)
        query: vim.host.DatastoreBrowser.Query = browser.VmDiskQuery(details=details)
    else:
        query = browser.IsoImageQuery()
    flags = browser.FileInfo.Details(fileType=True, fileSize=True, modification=False, fileOwner=False)
    return browser.SearchSpec(query=[query], details=flags, matchPattern=[image.name])
