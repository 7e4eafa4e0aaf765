"""What v4's bodies may hold, and how they are read.

The fields are those of the vendor's models for a VM; every object may say its type, and where several types are
possible it must. Sysprep is not simulated, nor cloud-init of keys and values.
"""

import binascii
import re
from base64 import b64decode
from collections.abc import Mapping
from typing import Any

from providers.sandbox.nutanix.machines import DiskSpec, MachineSpec, NicSpec
from providers.sandbox.nutanix.refusals import Reason, Refusal
from providers.sandbox.nutanix.schema import (
    Anything,
    Boolean,
    Fields,
    Integer,
    Kind,
    Many,
    Nothing,
    OneOf,
    Text,
    Uuid,
    words,
)

# What every object may have besides its own fields.
COMMON = frozenset({"$objectType", "$reserved", "$unknownFields", "links", "tenantId"})
CONFIG = "vmm.v4.ahv.config"
MAC = Text(pattern=re.compile(r"([0-9A-Fa-f]{2}:){5}[0-9A-Fa-f]{2}"))


def model(fields: Mapping[str, Kind], *required: str) -> Fields:
    """An object of v4."""
    return Fields(fields, required, COMMON)


REFERENCE = model({"extId": Uuid}, "extId")
CLUSTER_REFERENCE = REFERENCE
ADDRESS = model({"value": Text(), "prefixLength": Integer(0, 32)}, "value")
DATA_SOURCE = model(
    {
        "reference": OneOf(
            {
                f"{CONFIG}.ImageReference": model(
                    {"imageExtId": Uuid, "storageCluster": CLUSTER_REFERENCE}, "imageExtId"
                ),
                f"{CONFIG}.VmDiskReference": model(
                    {"diskExtId": Uuid, "diskAddress": Anything(), "vmReference": Anything()}
                ),
            }
        )
    },
    "reference",
)
VM_DISK = model(
    {
        "diskExtId": Uuid,
        "diskSizeBytes": Integer(1),
        "storageContainer": REFERENCE,
        "storageConfig": model({"isFlashModeEnabled": Boolean()}),
        "dataSource": DATA_SOURCE,
        "isMigrationInProgress": Boolean(),
    }
)
DISK = model(
    {
        "extId": Uuid,
        "diskAddress": model({"busType": words("SCSI", "IDE", "PCI", "SATA", "SPAPR"), "index": Integer(0)}, "busType"),
        "backingInfo": OneOf({f"{CONFIG}.VmDisk": VM_DISK}),
    },
    "backingInfo",
)
CD_ROM = model(
    {
        "extId": Uuid,
        "diskAddress": model({"busType": words("IDE", "SATA"), "index": Integer(0)}, "busType"),
        "backingInfo": VM_DISK,
        "isoType": words("OTHER", "GUEST_TOOLS", "GUEST_CUSTOMIZATION"),
    }
)
EMULATED_NIC = model(
    {"model": words("VIRTIO", "E1000"), "macAddress": MAC, "isConnected": Boolean(), "numQueues": Integer(1)}
)
NETWORK_INFO = model(
    {
        "nicType": words("NORMAL_NIC", "DIRECT_NIC", "NETWORK_FUNCTION_NIC", "SPAN_DESTINATION_NIC"),
        "subnet": REFERENCE,
        "vlanMode": words("ACCESS", "TRUNK"),
        "trunkedVlans": Many(Integer(0)),
        "shouldAllowUnknownMacs": Boolean(),
        "ipv4Config": model(
            {"shouldAssignIp": Boolean(), "ipAddress": ADDRESS, "secondaryIpAddressList": Many(ADDRESS)}
        ),
        "ipv4Info": Anything(),
    }
)
NIC = model(
    {
        "extId": Uuid,
        "backingInfo": EMULATED_NIC,
        "networkInfo": NETWORK_INFO,
        "nicBackingInfo": OneOf({f"{CONFIG}.VirtualEthernetNic": EMULATED_NIC}),
        "nicNetworkInfo": OneOf({f"{CONFIG}.VirtualEthernetNicNetworkInfo": NETWORK_INFO}),
    }
)
CLOUD_INIT = model(
    {
        "datasourceType": words("CONFIG_DRIVE_V2"),
        "metadata": Text(32000),
        "cloudInitScript": OneOf({f"{CONFIG}.Userdata": model({"value": Text(128000)}, "value")}),
    }
)
BOOT_ORDER = Many(words("CDROM", "DISK", "NETWORK"))
BOOT = OneOf(
    {
        f"{CONFIG}.LegacyBoot": model({"bootDevice": Anything(), "bootOrder": BOOT_ORDER}),
        f"{CONFIG}.UefiBoot": model(
            {
                "isSecureBootEnabled": Boolean(),
                "nvramDevice": Anything(),
                "bootDevice": Anything(),
                "bootOrder": BOOT_ORDER,
            }
        ),
    }
)
SWITCHES = (
    "isVcpuHardPinningEnabled",
    "isCpuPassthroughEnabled",
    "isMemoryOvercommitEnabled",
    "isGpuConsoleEnabled",
    "isCpuHotplugEnabled",
    "isScsiControllerEnabled",
    "isBrandingEnabled",
    "isVgaConsoleEnabled",
    "isAgentVm",
)
VM = model(
    {
        **{name: Boolean() for name in SWITCHES},
        "name": Text(80),
        "description": Text(1000),
        "numSockets": Integer(1),
        "numCoresPerSocket": Integer(1),
        "numThreadsPerCore": Integer(1),
        "numNumaNodes": Integer(0),
        "memorySizeBytes": Integer(1),
        "enabledCpuFeatures": Many(words("HARDWARE_VIRTUALIZATION")),
        "generationUuid": Uuid,
        "biosUuid": Uuid,
        "categories": Many(REFERENCE),
        "project": REFERENCE,
        "cluster": CLUSTER_REFERENCE,
        "guestCustomization": model({"config": OneOf({f"{CONFIG}.CloudInit": CLOUD_INIT})}, "config"),
        "hardwareClockTimezone": Text(64),
        "bootConfig": BOOT,
        "machineType": words("PC", "PSERIES", "Q35"),
        # Taken and not heeded: a VM is off when it has been made.
        "powerState": words("ON", "OFF", "PAUSED", "UNDETERMINED"),
        "vtpmConfig": model({"isVtpmEnabled": Boolean(), "vtpmDevice": Anything()}),
        "apcConfig": model({"isApcEnabled": Boolean(), "cpuModel": Anything()}),
        "disks": Many(DISK),
        "cdRoms": Many(CD_ROM),
        "nics": Many(NIC),
        "gpus": Many(Nothing()),
        "serialPorts": Many(Nothing()),
    },
    "name",
    "numSockets",
    "memorySizeBytes",
    "cluster",
)
# What an update may hold besides, as it was shown, and what it leaves alone.
UPDATE = model(
    {
        **VM.fields,
        "extId": Uuid,
        "createTime": Text(),
        "updateTime": Text(),
        "source": Anything(),
        "host": Anything(),
        "ownershipInfo": Anything(),
        "protectionType": Text(),
        "isLiveMigrateCapable": Boolean(),
        "isCrossClusterMigrationInProgress": Boolean(),
    },
    "name",
    "numSockets",
    "memorySizeBytes",
    "cluster",
)
# What is kept as it was set.
SETTINGS = (
    *SWITCHES,
    "numNumaNodes",
    "enabledCpuFeatures",
    "generationUuid",
    "biosUuid",
    "categories",
    "project",
    "machineType",
    "vtpmConfig",
    "apcConfig",
)
GUEST_POWER_OPTIONS = model(
    {
        "guestPowerStateTransitionConfig": model(
            {"shouldEnableScriptExec": Boolean(), "shouldFailOnScriptFailure": Boolean()}
        )
    }
)


def machine_spec(body: Mapping[str, Any]) -> MachineSpec:
    """The VM that a body asks for."""
    boot = body.get("bootConfig") or {}
    return MachineSpec(
        name=body["name"],
        cluster=body["cluster"]["extId"],
        memory_bytes=body["memorySizeBytes"],
        sockets=body["numSockets"],
        cores=body.get("numCoresPerSocket") or 1,
        threads=body.get("numThreadsPerCore") or 1,
        description=body.get("description") or "",
        disks=(
            *(_disk(disk, is_cdrom=False) for disk in body.get("disks") or []),
            *(_disk(disk, is_cdrom=True) for disk in body.get("cdRoms") or []),
        ),
        nics=tuple(_nic(nic) for nic in body.get("nics") or []),
        user_data=_user_data(body.get("guestCustomization") or {}),
        timezone=body.get("hardwareClockTimezone") or "UTC",
        firmware="UEFI" if boot.get("$objectType") == f"{CONFIG}.UefiBoot" else "LEGACY",
        settings={name: body[name] for name in SETTINGS if body.get(name) is not None},
    )


def changed_fields(body: Mapping[str, Any]) -> Mapping[str, Any]:
    """The fields of a VM's spec as an update says them; disks and NICs are changed by calls of their own."""
    return {
        "name": body["name"],
        "description": body.get("description") or "",
        "memory_bytes": body["memorySizeBytes"],
        "sockets": body["numSockets"],
        "cores": body.get("numCoresPerSocket") or 1,
        "threads": body.get("numThreadsPerCore") or 1,
        "timezone": body.get("hardwareClockTimezone") or "UTC",
    }


def _user_data(customization: Mapping[str, Any]) -> bytes | None:
    script = (customization.get("config") or {}).get("cloudInitScript") or {}
    if "value" not in script:
        return None
    try:
        return b64decode(script["value"], validate=True)
    except (binascii.Error, ValueError) as error:
        raise Refusal(Reason.INVALID, "The cloud-init userdata must be base64 encoded.") from error


def _disk(body: Mapping[str, Any], *, is_cdrom: bool) -> DiskSpec:
    backing, address = body.get("backingInfo") or {}, body.get("diskAddress") or {}
    reference = (backing.get("dataSource") or {}).get("reference") or {}
    source = reference.get("imageExtId") or reference.get("diskExtId")
    if not (source or backing.get("diskSizeBytes") or is_cdrom):
        raise Refusal(Reason.INVALID, "A disk needs a data source or a size.")
    return DiskSpec(
        bus=address.get("busType") or ("IDE" if is_cdrom else "SCSI"),
        index=address.get("index"),
        source=source,
        size_bytes=backing.get("diskSizeBytes"),
        container=(backing.get("storageContainer") or {}).get("extId"),
        is_cdrom=is_cdrom,
    )


def _nic(body: Mapping[str, Any]) -> NicSpec:
    network = body.get("nicNetworkInfo") or body.get("networkInfo") or {}
    backing = body.get("nicBackingInfo") or body.get("backingInfo") or {}
    if not network.get("subnet"):
        raise Refusal(Reason.INVALID, "A NIC needs a subnet.")
    config = network.get("ipv4Config") or {}
    return NicSpec(
        subnet=network["subnet"]["extId"],
        mac=backing.get("macAddress"),
        ip=(config.get("ipAddress") or {}).get("value"),
        wants_ip=config.get("shouldAssignIp") is not False,
        is_connected=backing.get("isConnected") is not False,
    )
