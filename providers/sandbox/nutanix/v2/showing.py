"""How v2.0 shows what there is."""

from collections.abc import Mapping, Sequence
from typing import Any

from providers.sandbox.nutanix.inventory import EQUIPPED_AT, Cluster, Container, Host, Image, Inventory, Subnet
from providers.sandbox.nutanix.machines import Disk, Machine, Nic
from providers.sandbox.nutanix.tasks import Operation, Status, Task
from providers.sandbox.nutanix.v2.bodies import SETTINGS

OPERATION_TYPES: Mapping[Operation, str] = {
    Operation.CREATE: "VmCreate",
    Operation.CLONE: "VmClone",
    Operation.UPDATE: "VmUpdate",
    Operation.DELETE: "VmDelete",
}


def listed(entities: Sequence[object]) -> Mapping[str, object]:
    """A whole collection."""
    count = len(entities)
    metadata = {"grand_total_entities": count, "total_entities": count, "count": count, "start_index": 0}
    return {"metadata": {**metadata, "end_index": count}, "entities": entities}


def vm(machine: Machine, inventory: Inventory, *, disks: bool, nics: bool) -> Mapping[str, object]:
    """One VM; its disks and NICs only when they are asked for."""
    spec, settings = machine.spec, machine.spec.settings
    order = settings.get("boot_device_order", ["CDROM", "DISK", "NIC"])
    shown: dict[str, Any] = {
        "allow_live_migrate": True,
        "gpus_assigned": False,
        "boot": {"boot_device_order": order, "uefi_boot": spec.firmware == "UEFI"},
        "description": spec.description,
        "ha_priority": 0,
        "host_uuid": machine.host,
        "machine_type": "pc",
        "memory_mb": machine.memory_mib,
        "name": spec.name,
        "num_cores_per_vcpu": spec.cores,
        "num_vcpus": spec.sockets,
        "power_state": machine.moving or machine.power.value.lower(),
        "timezone": spec.timezone,
        "uuid": machine.uuid,
        "vm_features": {"VGA_CONSOLE": True, "AGENT_VM": False},
        "vm_logical_timestamp": machine.version,
        **{name: settings[name] for name in SETTINGS if name in settings},
    }
    if disks:
        shown["vm_disk_info"] = [_disk(disk, inventory) for disk in machine.disks]
    if nics:
        shown["vm_nics"] = [_nic(nic, machine) for nic in machine.nics]
    return shown


def task(shown: Task) -> Mapping[str, object]:
    """One task; a create that is queued does not tell its VM yet."""
    operation = OPERATION_TYPES.get(shown.operation, "VmChangePowerState")
    is_unborn = shown.status is Status.QUEUED and shown.operation is Operation.CREATE
    entity = {"entity_id": shown.subject, "entity_type": "VM", "entity_name": None}
    return {
        "uuid": shown.uuid,
        "meta_request": {"method_name": operation},
        "meta_response": _meta_response(shown),
        "create_time_usecs": _usecs(shown.created),
        "start_time_usecs": _usecs(shown.started),
        "complete_time_usecs": _usecs(shown.completed),
        "last_updated_time_usecs": _usecs(shown.completed or shown.started or shown.created),
        "entity_list": None if is_unborn else [entity],
        "operation_type": operation,
        "message": "",
        "percentage_complete": shown.percent,
        "progress_status": shown.status.value.capitalize(),
        "parent_task_uuid": None,
        "subtask_uuid_list": None,
        "cluster_uuid": shown.cluster,
        "display_name": None,
    }


def entity_ids(shown: Mapping[str, Any]) -> set[str]:
    """Return the ids of the entities that a shown task is about."""
    return {entity["entity_id"] for entity in shown["entity_list"] or ()}


def image(shown: Image, *, with_size: bool) -> Mapping[str, object]:
    """One image; its size only when it is asked for."""
    return {
        "uuid": shown.uuid,
        "name": shown.name,
        "annotation": "",
        "deleted": False,
        "storage_container_id": 7,
        "storage_container_uuid": shown.container,
        "logical_timestamp": 1,
        "image_type": "ISO_IMAGE" if shown.is_iso else "DISK_IMAGE",
        "vm_disk_id": shown.disk_uuid,
        "vm_disk_size": shown.size_bytes if with_size else None,
        "image_state": "ACTIVE",
        "created_time_in_usecs": _usecs(EQUIPPED_AT),
        "updated_time_in_usecs": _usecs(EQUIPPED_AT),
    }


def network(shown: Subnet) -> Mapping[str, object]:
    """One network."""
    config = {"network_address": str(shown.network.network_address), "prefix_length": shown.network.prefixlen}
    return {
        "uuid": shown.uuid,
        "name": shown.name,
        "annotation": None,
        "logical_timestamp": 1,
        "vlan_id": shown.vlan,
        "vswitch_name": "br0",
        "ip_config": config if shown.is_managed else {"network_address": None, "prefix_length": 0},
    }


def storage_container(shown: Container) -> Mapping[str, object]:
    """One storage container."""
    return {
        "id": f"{shown.cluster}::7",
        "storage_container_uuid": shown.uuid,
        "name": shown.name,
        "cluster_uuid": shown.cluster,
        "marked_for_removal": False,
        "max_capacity": 1 << 44,
        "replication_factor": 2,
    }


def host(shown: Host, vms: int) -> Mapping[str, object]:
    """One node."""
    return {
        "uuid": shown.uuid,
        "name": shown.name,
        "cluster_uuid": shown.cluster,
        "hypervisor_type": "kKvm",
        "memory_capacity_in_bytes": shown.memory_bytes,
        "num_cpu_cores": 32,
        "num_cpu_sockets": 2,
        "num_cpu_threads": 64,
        "num_v_ms": vms,
        "state": "NORMAL",
        "host_in_maintenance_mode": False,
    }


def cluster(shown: Cluster, nodes: int) -> Mapping[str, object]:
    """The cluster that this Prism is of: what it is for tells a Central from an Element."""
    return {
        "id": f"{shown.uuid}::1",
        "uuid": shown.uuid,
        "cluster_uuid": shown.uuid,
        "name": shown.name,
        "version": shown.version,
        "full_version": f"el8.5-release-{shown.version}",
        "cluster_functions": ["MULTICLUSTER"] if shown.is_central else ["NDFS"],
        "multicluster": shown.is_central,
        "hypervisor_types": ["kNull"] if shown.is_central else ["kKvm"],
        "num_nodes": nodes,
        "timezone": "UTC",
    }


def _disk(shown: Disk, inventory: Inventory) -> Mapping[str, object]:
    container = inventory.containers[shown.container]
    source = inventory.image_of(shown.image) if shown.image else None
    address = {
        "device_bus": shown.bus.lower(),
        "device_index": shown.index,
        "disk_label": f"{shown.bus.lower()}.{shown.index}",
        "ndfs_filepath": None if shown.is_empty else f"/{container.name}/.acropolis/vmdisk/{shown.uuid}",
        "vmdisk_uuid": None if shown.is_empty else shown.uuid,
    }
    return {
        "disk_address": address,
        "is_cdrom": shown.is_cdrom,
        "is_empty": shown.is_empty,
        "flash_mode_enabled": False,
        "is_scsi_passthrough": True,
        "is_thin_provisioned": False,
        "shared": False,
        "size": shown.size_bytes,
        "source_disk_address": {"vmdisk_uuid": source.disk_uuid} if source else None,
        "storage_container_uuid": None if shown.is_empty else shown.container,
    }


def _nic(shown: Nic, machine: Machine) -> Mapping[str, object]:
    return {
        "mac_address": shown.mac,
        "network_uuid": shown.subnet,
        "nic_uuid": shown.uuid,
        "model": "",
        "ip_address": machine.ip_of(shown),
        "requested_ip_address": shown.ip,
        "is_connected": shown.is_connected,
    }


def _meta_response(shown: Task) -> Mapping[str, object] | None:
    if shown.trouble is not None:
        return {"error_code": shown.trouble.number, "error_detail": shown.trouble.detail}
    return {"error_code": 0} if shown.is_over else None


def _usecs(moment: float | None) -> int:
    return int((moment or 0) * 1_000_000)
