"""What v2.0's bodies may hold, and how they are read.

The fields are some of the vendor's description of 2019, and few that came later (`uefi_boot`, `is_connected`).
"""

from collections.abc import Mapping
from typing import Any

from providers.sandbox.nutanix.machines import MIB, DiskSpec, MachineSpec, NicSpec
from providers.sandbox.nutanix.refusals import Reason, Refusal
from providers.sandbox.nutanix.schema import Boolean, Fields, Integer, Many, Text, words

BUSES = words("SCSI", "IDE", "PCI", "SATA", "SPAPR", "scsi", "ide", "pci", "sata", "spapr")
TRANSITIONS = words("ON", "OFF", "POWERCYCLE", "RESET", "PAUSE", "SUSPEND", "RESUME", "ACPI_SHUTDOWN", "ACPI_REBOOT")
FEATURES = Fields({"AGENT_VM": Boolean(), "VGA_CONSOLE": Boolean()})
DISK_ADDRESS = Fields(
    {
        "device_bus": BUSES,
        "device_index": Integer(0),
        "ndfs_filepath": Text(),
        "vmdisk_uuid": Text(),
        "volume_group_uuid": Text(),
    }
)
BOOT = Fields({"boot_device_order": Many(words("CDROM", "DISK", "NIC")), "uefi_boot": Boolean()})
CUSTOMIZATION = Fields(
    {
        "datasource_type": words("CONFIG_DRIVE_V2"),
        "fresh_install": Boolean(),
        "userdata": Text(),
    }
)
DISK_CLONE = Fields(
    {
        "disk_address": DISK_ADDRESS,
        "minimum_size": Integer(),
        "snapshot_group_uuid": Text(),
        "storage_container_uuid": Text(),
    },
    required=("disk_address",),
)
DISK_CREATE = Fields({"size": Integer(), "storage_container_uuid": Text()})
DISK = Fields(
    {
        "disk_address": DISK_ADDRESS,
        "flash_mode_enabled": Boolean(),
        "is_cdrom": Boolean(),
        "is_empty": Boolean(),
        "is_scsi_pass_through": Boolean(),
        "is_thin_provisioned": Boolean(),
        "vm_disk_clone": DISK_CLONE,
        "vm_disk_create": DISK_CREATE,
    }
)
NIC = Fields(
    {
        "is_connected": Boolean(),
        "mac_address": Text(),
        "network_uuid": Text(),
        "request_ip": Boolean(),
        "requested_ip_address": Text(),
    },
    required=("network_uuid",),
)
SHAPE: Mapping[str, Any] = {
    "boot": BOOT,
    "description": Text(),
    "ha_priority": Integer(),
    "memory_mb": Integer(),
    "memory_reservation_mb": Integer(),
    "name": Text(),
    "num_cores_per_vcpu": Integer(),
    "num_vcpus": Integer(),
    "timezone": Text(),
    "uuid": Text(),
    "vcpu_reservation_hz": Integer(),
    "vm_features": FEATURES,
}
CREATE = Fields(
    {
        **SHAPE,
        "vm_customization_config": CUSTOMIZATION,
        "vm_disks": Many(DISK),
        "vm_nics": Many(NIC),
    },
    required=("memory_mb", "name", "num_vcpus"),
)
UPDATE = Fields({**SHAPE, "vm_logical_timestamp": Integer()})
POWER = Fields(
    {"transition": TRANSITIONS, "host_uuid": Text(), "uuid": Text(), "vm_logical_timestamp": Integer()},
    required=("transition",),
)

TASKS = Fields(
    {
        "cluster_uuid_list": Many(Text()),
        "count": Integer(0),
        "cut_off_time_usecs": Integer(0),
        "entity_list": Many(Fields({"entity_id": Text(), "entity_name": Text(), "entity_type": Text()})),
        "include_completed": Boolean(),
        "include_subtasks_info": Boolean(),
        "operation_type_list": Many(Text()),
    }
)

# What is kept as it was set.
SETTINGS = ("ha_priority", "memory_reservation_mb", "vcpu_reservation_hz", "vm_features")


def machine_spec(body: Mapping[str, Any], cluster: str) -> MachineSpec:
    """The VM that a body asks for."""
    for name in ("num_vcpus", "memory_mb"):
        _refuse_nothing(body, name)
    customization = body.get("vm_customization_config") or {}
    userdata = customization.get("userdata")
    return MachineSpec(
        name=_name(body["name"]),
        cluster=cluster,
        memory_bytes=body["memory_mb"] * MIB,
        sockets=body["num_vcpus"],
        cores=body.get("num_cores_per_vcpu") or 1,
        description=body.get("description") or "",
        disks=tuple(_disk(disk) for disk in body.get("vm_disks") or []),
        nics=tuple(_nic(nic) for nic in body.get("vm_nics") or []),
        # Handed to the guest as it is: nothing is decoded here.
        user_data=userdata.encode() if userdata is not None else None,
        timezone=body.get("timezone") or "UTC",
        firmware="UEFI" if (body.get("boot") or {}).get("uefi_boot") else "LEGACY",
        settings=settings(body),
    )


def settings(body: Mapping[str, Any]) -> dict[str, Any]:
    """What is set in a body and kept as it is."""
    kept = {name: body[name] for name in SETTINGS if body.get(name) is not None}
    order = (body.get("boot") or {}).get("boot_device_order")
    return {**kept, "boot_device_order": order} if order else kept


def changed_fields(body: Mapping[str, Any]) -> Mapping[str, Any]:
    """The fields of a VM's spec that an update changes."""
    for name in {"num_vcpus", "memory_mb", "num_cores_per_vcpu"} & body.keys():
        _refuse_nothing(body, name)
    names = {
        "name": "name",
        "description": "description",
        "num_vcpus": "sockets",
        "num_cores_per_vcpu": "cores",
        "timezone": "timezone",
    }
    fields = {ours: body[theirs] for theirs, ours in names.items() if body.get(theirs) is not None}
    if body.get("memory_mb") is not None:
        fields["memory_bytes"] = body["memory_mb"] * MIB
    return fields


def _refuse_nothing(body: Mapping[str, Any], name: str) -> None:
    if (body.get(name) or 0) < 1:
        raise Refusal(Reason.INVALID, f"InvalidArgument: {name} must be greater than 0")


def _name(name: str) -> str:
    if not name.strip():
        raise Refusal(Reason.INVALID, "InvalidArgument: VM name must not be empty")
    return name


def _disk(body: Mapping[str, Any]) -> DiskSpec:
    address, clone, empty = body.get("disk_address") or {}, body.get("vm_disk_clone"), body.get("vm_disk_create")
    is_cdrom = bool(body.get("is_cdrom"))
    if not is_cdrom and (clone is None) == (empty is None):
        raise Refusal(Reason.INVALID, "InvalidArgument: Exactly one of vm_disk_clone and vm_disk_create is needed")
    source = clone["disk_address"].get("vmdisk_uuid") if clone else None
    if clone and source is None:
        raise Refusal(Reason.INVALID, "InvalidArgument: Source disk address of the clone is needed")
    size = clone.get("minimum_size") if clone else (empty or {}).get("size")
    return DiskSpec(
        bus=(address.get("device_bus") or ("IDE" if is_cdrom else "SCSI")).upper(),
        index=address.get("device_index"),
        source=source,
        size_bytes=size,
        container=(clone or empty or {}).get("storage_container_uuid"),
        is_cdrom=is_cdrom,
    )


def _nic(body: Mapping[str, Any]) -> NicSpec:
    return NicSpec(
        subnet=body["network_uuid"],
        mac=body.get("mac_address"),
        ip=body.get("requested_ip_address"),
        wants_ip=body.get("request_ip") is not False,
        is_connected=body.get("is_connected") is not False,
    )
