"""How v4 shows what there is: every object says its type."""

import hashlib
import uuid
from collections.abc import Mapping
from typing import Any

from providers.sandbox.nutanix.inventory import NOBODY
from providers.sandbox.nutanix.machines import Disk, Machine, Nic, Power
from providers.sandbox.nutanix.tasks import Operation, Task
from providers.sandbox.nutanix.v4.bodies import SETTINGS
from providers.sandbox.nutanix.v4.envelope import moment, typed

CONFIG = "vmm.v4.ahv.config"
# `application/json` and a digest, as a recorded Central of 2024 writes its ETags.
ETAG_PREFIX = "YXBwbGljYXRpb24vanNvbg=="
# `ergon`, the service that keeps tasks.
TASK_PREFIX = "ZXJnb24="
VM_RELATION = "vmm:ahv:config:vm"
OPERATIONS: Mapping[Operation, tuple[str, str]] = {
    Operation.CREATE: ("CreateVm", "Create VM"),
    Operation.CLONE: ("CloneVm", "Clone VM"),
    Operation.UPDATE: ("UpdateVm", "Update VM"),
    Operation.DELETE: ("DeleteVm", "Delete VM"),
    Operation.ON: ("PowerOnVm", "Power on VM"),
    Operation.OFF: ("PowerOffVm", "Power off VM"),
    Operation.SHUTDOWN: ("ShutdownVm", "Shutdown VM"),
    Operation.GUEST_SHUTDOWN: ("ShutdownGuestVm", "Shutdown guest VM"),
    Operation.REBOOT: ("RebootVm", "Reboot VM"),
    Operation.GUEST_REBOOT: ("RebootGuestVm", "Reboot guest VM"),
    Operation.RESET: ("ResetVm", "Reset VM"),
    Operation.POWER_CYCLE: ("PowerCycleVm", "Power cycle VM"),
}
STATES: Mapping[Power, str] = {Power.ON: "ON", Power.OFF: "OFF", Power.PAUSED: "PAUSED"}


def etag(machine: Machine) -> str:
    """A VM's ETag, without its prefix: another one after every change."""
    return hashlib.sha256(f"{machine.uuid}:{machine.version}".encode()).hexdigest()


def reference(kind: str, entity_id: str) -> Mapping[str, object]:
    """A reference of one type."""
    return {**typed(f"{CONFIG}.{kind}"), "extId": entity_id}


def task_reference(task: Task) -> Mapping[str, object]:
    """What a write is answered with."""
    return {**typed("prism.v4.config.TaskReference"), "extId": f"{TASK_PREFIX}:{task.uuid}"}


def vm(machine: Machine) -> dict[str, Any]:
    """One VM."""
    spec = machine.spec
    boot = "UefiBoot" if spec.firmware == "UEFI" else "LegacyBoot"
    value: dict[str, Any] = {
        **typed(f"{CONFIG}.Vm"),
        "extId": machine.uuid,
        "name": spec.name,
        "description": spec.description,
        "createTime": moment(machine.created),
        "updateTime": moment(machine.updated),
        "numSockets": spec.sockets,
        "numCoresPerSocket": spec.cores,
        "numThreadsPerCore": spec.threads,
        "numNumaNodes": 0,
        "memorySizeBytes": spec.memory_bytes,
        "isVcpuHardPinningEnabled": False,
        "isCpuPassthroughEnabled": False,
        "isMemoryOvercommitEnabled": False,
        "isGpuConsoleEnabled": False,
        "isCpuHotplugEnabled": True,
        "isScsiControllerEnabled": True,
        "isBrandingEnabled": True,
        "isVgaConsoleEnabled": True,
        "isAgentVm": False,
        "isLiveMigrateCapable": True,
        "isCrossClusterMigrationInProgress": False,
        "generationUuid": machine.uuid,
        "biosUuid": machine.uuid,
        "ownershipInfo": {**typed(f"{CONFIG}.OwnershipInfo"), "owner": reference("OwnerReference", NOBODY)},
        "cluster": reference("ClusterReference", machine.cluster),
        "hardwareClockTimezone": spec.timezone,
        "bootConfig": {**typed(f"{CONFIG}.{boot}"), "bootOrder": ["CDROM", "DISK", "NETWORK"]},
        "machineType": "PC",
        "powerState": STATES.get(machine.power, "UNDETERMINED"),
        "vtpmConfig": {**typed(f"{CONFIG}.VtpmConfig"), "isVtpmEnabled": False},
        "apcConfig": {**typed(f"{CONFIG}.ApcConfig"), "isApcEnabled": False},
        "protectionType": "UNPROTECTED",
    }
    if machine.source is not None:
        value["source"] = {**typed(f"{CONFIG}.VmSourceReference"), "entityType": "VM", "extId": machine.source}
    if machine.host is not None:
        value["host"] = reference("HostReference", machine.host)
    kept = {name: setting for name, setting in spec.settings.items() if name in SETTINGS}
    return {**value, **_parts(machine), **kept}


def task(shown: Task) -> Mapping[str, object]:
    """One task; what has not come yet is absent."""
    operation, description = OPERATIONS.get(shown.operation, (shown.operation.value, shown.operation.value))
    entity = {**typed("prism.v4.config.EntityReference"), "extId": shown.subject, "rel": VM_RELATION}
    owner = {
        **typed("prism.v4.config.OwnerReference"),
        "extId": str(uuid.uuid5(uuid.NAMESPACE_DNS, shown.user)),
        "name": shown.user,
    }
    value: dict[str, object] = {
        **typed("prism.v4.config.Task"),
        "extId": f"{TASK_PREFIX}:{shown.uuid}",
        "operation": operation,
        "operationDescription": description,
        "createdTime": moment(shown.created),
        "lastUpdatedTime": moment(shown.completed or shown.started or shown.created),
        "status": shown.status.value,
        "progressPercentage": shown.percent,
        "entitiesAffected": [entity],
        "numberOfEntitiesAffected": 1,
        "numberOfSubtasks": 0,
        "isCancelable": False,
        "isBackgroundTask": False,
        "ownedBy": owner,
        "clusterExtIds": [shown.cluster],
    }
    for name, seconds in (("startedTime", shown.started), ("completedTime", shown.completed)):
        if seconds is not None:
            value[name] = moment(seconds)
    if shown.trouble is not None:
        value["legacyErrorMessage"] = shown.trouble.detail
        value["errorMessages"] = [_trouble(shown)]
    return value


def _parts(machine: Machine) -> Mapping[str, object]:
    """Disks, CD-ROMs and NICs; a kind of which there are none is absent."""
    parts = {
        "disks": [_disk(disk) for disk in machine.disks if not disk.is_cdrom],
        "cdRoms": [_cd_rom(disk) for disk in machine.disks if disk.is_cdrom],
        "nics": [_nic(nic, machine) for nic in machine.nics],
    }
    return {name: values for name, values in parts.items() if values}


def _disk(shown: Disk) -> Mapping[str, object]:
    address = {**typed(f"{CONFIG}.DiskAddress"), "busType": shown.bus, "index": shown.index}
    return {
        **typed(f"{CONFIG}.Disk"),
        "extId": shown.uuid,
        "diskAddress": address,
        "backingInfo": _backing(shown),
    }


def _cd_rom(shown: Disk) -> Mapping[str, object]:
    address = {**typed(f"{CONFIG}.CdRomAddress"), "busType": shown.bus, "index": shown.index}
    value = {**typed(f"{CONFIG}.CdRom"), "extId": shown.uuid, "diskAddress": address, "isoType": "OTHER"}
    return value if shown.is_empty else {**value, "backingInfo": _backing(shown)}


def _backing(shown: Disk) -> Mapping[str, object]:
    return {
        **typed(f"{CONFIG}.VmDisk"),
        "diskExtId": shown.uuid,
        "diskSizeBytes": shown.size_bytes,
        "storageContainer": reference("VmDiskContainerReference", shown.container),
        "isMigrationInProgress": False,
    }


def _nic(shown: Nic, machine: Machine) -> Mapping[str, object]:
    network: dict[str, object] = {
        **typed(f"{CONFIG}.NicNetworkInfo"),
        "nicType": "NORMAL_NIC",
        "subnet": reference("SubnetReference", shown.subnet),
        "vlanMode": "ACCESS",
    }
    ip = machine.ip_of(shown)
    if ip is not None:
        address = {**typed("common.v1.config.IPv4Address"), "value": ip, "prefixLength": 32}
        if shown.ip is not None:
            network["ipv4Config"] = {**typed(f"{CONFIG}.Ipv4Config"), "ipAddress": address, "shouldAssignIp": True}
        else:
            network["ipv4Info"] = {**typed(f"{CONFIG}.Ipv4Info"), "learnedIpAddresses": [address]}
    backing = {**typed(f"{CONFIG}.EmulatedNic"), "macAddress": shown.mac, "isConnected": shown.is_connected}
    return {
        **typed(f"{CONFIG}.Nic"),
        "extId": shown.uuid,
        "backingInfo": {**backing, "numQueues": 1},
        "networkInfo": network,
    }


def _trouble(shown: Task) -> Mapping[str, object]:
    trouble = shown.trouble
    value: dict[str, object] = {**typed("prism.v4.error.AppMessage"), "severity": "ERROR", "locale": "en-US"}
    if trouble is not None:
        value |= {"message": trouble.detail, "code": trouble.code, "errorGroup": trouble.group}
        value |= {"argumentsMap": dict(trouble.arguments)} if trouble.arguments else {}
    return value
