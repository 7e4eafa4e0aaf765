"""Files of datastores: whether an image is there, and how large a disk it holds; kept for a while."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Final

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

Finish = Callable[[Operation], Operation]
FileInfo = vim.host.DatastoreBrowser.FileInfo

_PATH: Final = re.compile(r"\[(?P<datastore>[^\[\]]+)\] *(?P<path>.*)")
_BROWSER: Final = vim.host.DatastoreBrowser
_EVERYTHING: Final = _BROWSER.SearchSpec(matchPattern=["*"])
_DETAILS: Final = FileInfo.Details(fileType=True, fileSize=True, modification=True, fileOwner=False)


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
        return self._capacities.find(str(image), lambda: self._find(image, work.finish))

    def names_in(self, folder: str, finish: Finish) -> list[str]:
        """Return the names of the files in a folder of a datastore, given as `[datastore] path`.

        Raises:
            ProviderError: with the backend's code `FileNotFound` where there is no such folder, among others.

        """
        datastore, _ = parted(folder)
        found = self._searched(self._stores()[datastore], folder, _EVERYTHING, finish)
        return [file.path.rpartition("/")[2] for file in found]

    def folders(self, store: Found, pattern: str, finish: Finish) -> Sequence[FileInfo]:
        """Return the folders at the top of a datastore whose names match a pattern, such as `web*`."""
        question = _BROWSER.SearchSpec(query=[_BROWSER.FolderQuery()], details=_DETAILS, matchPattern=[pattern])
        return self._searched(store, f"[{store.name}]", question, finish)

    def store_of(self, folder: str) -> Found | None:
        """Return the datastore of a folder, given as `[datastore] path`."""
        return self._stores().get(parted(folder)[0])

    def _stores(self) -> dict[str, Found]:
        return {found.name: found for found in self._inventory.places().of(vim.Datastore)}

    def _find(self, image: File, finish: Finish) -> int | None:
        stores = self._stores()
        if image.datastore not in stores:
            seen = ", ".join(f"[{one}]" for one in sorted(stores)) or "none"
            raise UnprocessableError(
                f"The machine type's image {str(image)!r} is on no datastore of {self._session.place}, or on none that "
                f"the user may see; those are: {seen}."
            )
        files = self._searched(stores[image.datastore], image.folder_path, _question(image), finish)
        found = next((file for file in files if file.path.rpartition("/")[2] == image.name), None)
        if found is None:
            raise UnprocessableError(
                f"The machine type's image {str(image)!r} is not on the datastore of {self._session.place}."
            )
        return getattr(found, "capacityKb", None)

    def _searched(
        self, store: Found, folder: str, question: vim.host.DatastoreBrowser.SearchSpec, finish: Finish
    ) -> Sequence[FileInfo]:
        browser: vim.host.DatastoreBrowser | None = store.values.get("browser")
        if browser is None:
            raise PermissionDeniedError(f"The user may not browse [{store.name}]: grant Datastore.Browse on it.")
        searching = browser.Search(folder, question)
        goal = Goal("SearchDatastore_Task", moref(searching))
        finish(Operation(Verb.CREATE, None, str(goal)))
        info = only(self._session.collector, searching, ("info.result",), self._session.place)
        return getattr(info.values.get("info.result"), "file", None) or ()


def parted(path: str) -> tuple[str, str]:
    """Return the datastore and the rest of a path such as `[datastore] folder/file`."""
    found = _PATH.fullmatch(path)
    return (found["datastore"], found["path"].strip("/")) if found else ("", path)


def _question(image: File) -> vim.host.DatastoreBrowser.SearchSpec:
    if image.is_disk:
        details = _BROWSER.VmDiskQuery.Details(capacityKb=True, diskType=False, hardwareVersion=False)
        query: vim.host.DatastoreBrowser.Query = _BROWSER.VmDiskQuery(details=details)
    else:
        query = _BROWSER.IsoImageQuery()
    flags = FileInfo.Details(fileType=True, fileSize=True, modification=False, fileOwner=False)
    return _BROWSER.SearchSpec(query=[query], details=flags, matchPattern=[image.name])
