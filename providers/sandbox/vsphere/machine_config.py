"""A VM's config, runtime and guest as vSphere shows them.

https://developer.broadcom.com/xapis/vsphere-web-services-api/latest/vim.vm.ConfigInfo.html
"""

from typing import Final

from pyVmomi import vim

from providers.sandbox.vsphere.device_views import devices
from providers.sandbox.vsphere.machine_facts import (
    constant,
    extra,
    first_address,
    guest_name,
    guest_nics,
    has_config,
    host_name,
    is_known,
    is_logging,
    tools_running,
    tools_status,
    tools_version,
)
from providers.sandbox.vsphere.shapes import Shape

_HARDWARE: Final = Shape(
    vim.vm.VirtualHardware,
    {
        "numCPU": lambda machine: machine.cpus,
        "numCoresPerSocket": lambda machine: machine.cores_per_socket,
        "memoryMB": lambda machine: machine.memory_mib,
        "device": devices,
    },
)
_FILES: Final = Shape(
    vim.vm.FileInfo,
    {
        "vmPathName": lambda machine: machine.vmx_name,
        "snapshotDirectory": lambda machine: f"[{machine.datastore.name}] {machine.folder_path}/",
        "suspendDirectory": lambda machine: f"[{machine.datastore.name}] {machine.folder_path}/",
        "logDirectory": lambda machine: f"[{machine.datastore.name}] {machine.folder_path}/",
    },
)
CONFIG: Final = Shape(
    vim.vm.ConfigInfo,
    {
        "changeVersion": lambda machine: machine.change_version,
        "modified": lambda machine: machine.changed_at,
        "name": lambda machine: machine.name,
        "guestFullName": guest_name,
        "version": lambda machine: machine.hardware_version,
        "uuid": lambda machine: machine.bios_uuid,
        "createDate": lambda machine: machine.created_at,
        "instanceUuid": lambda machine: machine.instance_uuid,
        "template": lambda machine: machine.is_template,
        "guestId": lambda machine: machine.guest_id,
        "alternateGuestName": constant(""),
        "annotation": lambda machine: machine.annotation,
        "files": _FILES,
        "tools": Shape(vim.vm.ToolsConfigInfo, {"syncTimeWithHost": constant(value=False)}),
        "flags": Shape(vim.vm.FlagInfo, {"diskUuidEnabled": constant(value=False), "enableLogging": is_logging}),
        "defaultPowerOps": Shape(
            vim.vm.DefaultPowerOpInfo, {"powerOffType": constant("soft"), "resetType": constant("soft")}
        ),
        "hardware": _HARDWARE,
        "extraConfig": extra,
        "bootOptions": Shape(vim.vm.BootOptions, {"bootDelay": constant(0)}),
        "firmware": lambda machine: machine.firmware,
    },
    has_config,
)
RUNTIME: Final = Shape(
    vim.vm.RuntimeInfo,
    {
        "host": lambda machine: machine.host.ref,
        "connectionState": lambda machine: machine.connection.value,
        "powerState": lambda machine: machine.power.value,
        "toolsInstallerMounted": constant(value=False),
        "bootTime": lambda machine: machine.booted_at,
        "suspendInterval": constant(0),
        "numMksConnections": constant(0),
        "maxCpuUsage": lambda machine: 2400 * machine.cpus,
        "maxMemoryUsage": lambda machine: machine.memory_mib,
        "recordReplayState": constant("inactive"),
        "faultToleranceState": constant("notConfigured"),
    },
)
GUEST: Final = Shape(
    vim.vm.GuestInfo,
    {
        "toolsStatus": tools_status,
        "toolsVersionStatus": tools_version,
        "toolsVersionStatus2": tools_version,
        "toolsRunningStatus": tools_running,
        "guestId": lambda machine: machine.guest_id if is_known(machine) else None,
        "guestFamily": lambda machine: "linuxGuest" if is_known(machine) else None,
        "guestFullName": lambda machine: guest_name(machine) if is_known(machine) else None,
        "hostName": host_name,
        "ipAddress": first_address,
        "net": guest_nics,
        "guestState": lambda machine: "running" if machine.tools_run else "notRunning",
    },
)
