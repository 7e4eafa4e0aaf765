"""The methods that are simulated, by their names on the wire."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from providers.sandbox.vsphere import (
    browsing,
    cloning,
    creating,
    file_methods,
    lifecycle,
    power,
    reconfiguring,
    retrieving,
    serving,
    watching,
)
from providers.sandbox.vsphere.calls import Call

Function = Callable[[Call], Any]


@dataclass(frozen=True)
class Method:
    """What a method does; `writes` are those that the free licence refuses, `is_public` takes no log-in."""

    function: Function
    writes: bool = False
    is_public: bool = False


_PUBLIC: Final[Mapping[str, Function]] = {
    "CurrentTime": serving.current_time,
    "Fetch": retrieving.fetch,
    "Login": serving.log_in,
    "RetrieveProperties": retrieving.retrieve,
    "RetrievePropertiesEx": retrieving.retrieve_ex,
    "RetrieveServiceContent": serving.retrieve_content,
}
_READS: Final[Mapping[str, Function]] = {
    "CancelRetrievePropertiesEx": retrieving.cancel,
    "CancelTask": lifecycle.cancel_task,
    "CheckForUpdates": watching.check,
    "ContinueRetrievePropertiesEx": retrieving.proceed,
    "CreateContainerView": serving.create_container_view,
    "CreateFilter": watching.create_filter,
    "CreateListView": serving.create_list_view,
    "CreatePropertyCollector": watching.create_collector,
    "DestroyPropertyCollector": watching.destroy_collector,
    "DestroyPropertyFilter": watching.destroy_filter,
    "DestroyView": serving.destroy_view,
    "FindAllByUuid": serving.find_all_by_uuid,
    "FindByDatastorePath": serving.find_by_datastore_path,
    "FindByInventoryPath": serving.find_by_inventory_path,
    "FindByUuid": serving.find_by_uuid,
    "FindChild": serving.find_child,
    "HasPrivilegeOnEntities": serving.has_privileges,
    "Logout": serving.log_out,
    "ModifyListView": serving.modify_list_view,
    "QueryVirtualDiskUuid": file_methods.disk_uuid,
    "RefreshStorageInfo": lifecycle.refresh_storage_info,
    "ResetListView": serving.reset_list_view,
    "SearchDatastoreSubFolders_Task": browsing.search_below,
    "SearchDatastore_Task": browsing.search,
    "SessionIsActive": serving.session_is_active,
    "TerminateSession": serving.terminate,
    "WaitForUpdates": watching.wait,
    "WaitForUpdatesEx": watching.wait_ex,
}
_WRITES: Final[Mapping[str, Function]] = {
    "CloneVM_Task": cloning.clone,
    "CopyVirtualDisk_Task": file_methods.copy_disk,
    "CreateFolder": lifecycle.create_folder,
    "CreateVM_Task": creating.create,
    "CreateVirtualDisk_Task": file_methods.create_disk,
    "DeleteDatastoreFile_Task": file_methods.delete_file,
    "DeleteVirtualDisk_Task": file_methods.delete_disk,
    "Destroy_Task": lifecycle.destroy,
    "ExtendVirtualDisk_Task": file_methods.extend_disk,
    "MakeDirectory": file_methods.make_directory,
    "MarkAsTemplate": lifecycle.mark_as_template,
    "MarkAsVirtualMachine": lifecycle.mark_as_machine,
    "MoveDatastoreFile_Task": file_methods.move_file,
    "PowerOffVM_Task": power.power_off,
    "PowerOnVM_Task": power.power_on,
    "RebootGuest": power.reboot_guest,
    "ReconfigVM_Task": reconfiguring.reconfigure,
    "Rename_Task": reconfiguring.rename,
    "ResetVM_Task": power.reset,
    "ShutdownGuest": power.shut_guest_down,
    "SuspendVM_Task": power.suspend,
    "UnregisterVM": lifecycle.unregister,
}
METHODS: Final[Mapping[str, Method]] = MappingProxyType(
    {
        **{name: Method(function, is_public=True) for name, function in _PUBLIC.items()},
        **{name: Method(function) for name, function in _READS.items()},
        **{name: Method(function, writes=True) for name, function in _WRITES.items()},
    }
)
