"""HostDatastoreBrowser: what files are in a folder of a datastore.

https://developer.broadcom.com/xapis/vsphere-web-services-api/latest/vim.host.DatastoreBrowser.html
"""

import fnmatch
from datetime import timedelta
from typing import Any, Final

from pyVmomi import vim

from providers.sandbox.vsphere.calls import Call
from providers.sandbox.vsphere.files import DatastorePath, File
from providers.sandbox.vsphere.inventory import Datastore, Node
from providers.sandbox.vsphere.lookup import subject
from providers.sandbox.vsphere.metadata import array_of
from providers.sandbox.vsphere.refusals import refusal
from providers.sandbox.vsphere.tasks import Work

_BROWSER: Final = vim.host.DatastoreBrowser
_KINDS: Final = (
    (".vmdk", _BROWSER.VmDiskQuery, _BROWSER.VmDiskInfo),
    (".iso", _BROWSER.IsoImageQuery, _BROWSER.IsoImageInfo),
    (".vmx", _BROWSER.VmConfigQuery, _BROWSER.VmConfigInfo),
)


def search(call: Call) -> Any:
    """SearchDatastore_Task: one folder."""
    return _fork(call, is_deep=False)


def search_below(call: Call) -> Any:
    """SearchDatastoreSubFolders_Task: a folder and all below it."""
    return _fork(call, is_deep=True)


def _fork(call: Call, *, is_deep: bool) -> Any:
    browsed: Node = subject(call.world, call.caller, call.this)
    path = DatastorePath.parse(call["datastorePath"])
    datastore = call.world.datastore(browsed.datacenter, path.datastore)
    if isinstance(browsed, Datastore) and browsed is not datastore:
        raise refusal("InvalidDatastore", {"name": path.datastore}, name=path.datastore)
    call.check(datastore, "Datastore.Browse")

    def work() -> Work:
        yield call.world.knobs.task_seconds
        folder = datastore.files.find(path.path)
        if folder is None or not folder.is_folder:
            raise refusal("FileNotFound", file=str(path))
        if not is_deep:
            return _results(call, datastore, path.path)
        below = [found for found, file in datastore.files.below(path.path) if file.is_folder]
        return array_of(_BROWSER.SearchResults, [_results(call, datastore, found) for found in [path.path, *below]])

    return call.fork(browsed, work())


def _results(call: Call, datastore: Datastore, folder: str) -> Any:
    spec = call["searchSpec"] or _BROWSER.SearchSpec()
    clock = timedelta(seconds=call.world.knobs.clock_seconds)
    found = [(path.rpartition("/")[2], file) for path, file in datastore.files.inside(folder)]
    files = [_info(name, file, spec, clock) for name, file in found if _is_wanted(name, file, spec)]
    path = f"[{datastore.name}] {folder}/" if folder else f"[{datastore.name}]"
    return _BROWSER.SearchResults(datastore=datastore.ref, folderPath=path, file=files)


def _is_wanted(name: str, file: File, spec: Any) -> bool:
    if spec.matchPattern and not any(_matches(name, pattern) for pattern in spec.matchPattern):
        return False
    return not spec.query or any(_is_of(name, file, query) for query in spec.query)


def _matches(name: str, pattern: str) -> bool:
    return fnmatch.fnmatchcase(name.lower(), pattern.lower())


def _is_of(name: str, file: File, query: Any) -> bool:
    if file.is_folder:
        return isinstance(query, _BROWSER.FolderQuery)
    kinds = [kind for ending, kind, _ in _KINDS if name.endswith(ending)]
    return any(isinstance(query, kind) for kind in kinds) or type(query) is _BROWSER.Query


def _info(name: str, file: File, spec: Any, clock: timedelta) -> Any:
    # Where neither a query nor the details ask for the type, vSphere tells of every file alike.
    details = spec.details
    is_typed = bool(spec.query) or (details is not None and details.fileType)
    kind = _type_of(name, file) if is_typed else _BROWSER.FileInfo
    told: dict[str, Any] = {}
    if details is not None and details.fileSize:
        told["fileSize"] = file.size_bytes
    if details is not None and details.modification:
        told["modification"] = file.modified_at + clock
    if kind is _BROWSER.VmDiskInfo and any(_asks_capacity(query) for query in spec.query):
        told["capacityKb"] = (file.capacity_bytes or 0) // 1024
    return kind(path=name, **told)


def _asks_capacity(query: Any) -> bool:
    return isinstance(query, _BROWSER.VmDiskQuery) and query.details is not None and bool(query.details.capacityKb)


def _type_of(name: str, file: File) -> Any:
    if file.is_folder:
        return _BROWSER.FolderInfo
    return next((info for ending, _, info in _KINDS if name.endswith(ending)), _BROWSER.FileInfo)
