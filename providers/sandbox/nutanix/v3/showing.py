"""How v3 shows what there is: every entity has its metadata, its spec and its status."""

import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from providers.sandbox.nutanix.estate import Estate
from providers.sandbox.nutanix.inventory import EQUIPPED_AT
from providers.sandbox.nutanix.machines import MIB, Disk, Machine, Nic
from providers.sandbox.nutanix.tasks import Operation, Status, Task
from providers.sandbox.nutanix.v3.bodies import SETTINGS

API_VERSION = "3.1"
PROJECT = "f33d30fb-0000-4000-8000-000000000001"
OPERATION_TYPES: Mapping[Operation, str] = {
    Operation.CREATE: "create_vm_intentful",
    Operation.UPDATE: "update_vm_intentful",
    Operation.DELETE: "delete_vm_intentful",
}
MECHANISM = {
    "mechanism": "HARD",
    "guest_transition_config": {"should_fail_on_script_failure": False, "enable_script_exec": False},
}


def moment(seconds: float) -> str:
    """A time as v3 writes it."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def metadata(kind: str, entity_id: str, owner: str, **more: object) -> dict[str, object]:
    """What every entity has."""
    reference = {"kind": "user", "uuid": str(uuid.uuid5(uuid.NAMESPACE_DNS, owner)), "name": owner}
    return {
        "kind": kind,
        "uuid": entity_id,
        "spec_version": 0,
        "categories": {},
        "categories_mapping": {},
        "owner_reference": reference,
        "creation_time": moment(EQUIPPED_AT),
        "last_update_time": moment(EQUIPPED_AT),
        **more,
    }


def vm(machine: Machine, estate: Estate) -> Mapping[str, object]:
    """One VM that exists."""
    intent = estate.intents.get(machine.uuid)
    cluster = reference("cluster", machine.cluster, estate.inventory.clusters[machine.cluster].name)
    shared = {"name": machine.name, "description": machine.spec.description, "cluster_reference": cluster}
    resources = _resources(machine, estate)
    return {
        "metadata": metadata(
            "vm",
            machine.uuid,
            intent.owner if intent else "admin",
            spec_version=machine.spec_version,
            creation_time=moment(machine.created),
            last_update_time=moment(machine.updated),
            entity_version=str(machine.version),
            project_reference={"kind": "project", "name": "_internal", "uuid": PROJECT},
        ),
        "spec": {**shared, "resources": resources},
        "status": {**shared, **state(machine.uuid, estate), "resources": _status(machine, resources, estate)},
        "api_version": API_VERSION,
    }


def unmade_vm(machine_id: str, estate: Estate) -> Mapping[str, object]:
    """What was asked for, and is not there yet, or could not be made."""
    intent = estate.intents[machine_id]
    shared = {name: intent.spec[name] for name in ("name", "description", "cluster_reference") if name in intent.spec}
    resources = {name: value for name, value in intent.spec["resources"].items() if name != "guest_customization"}
    first = estate.tasks.all[intent.tasks[0]]
    times = {"creation_time": moment(first.created), "last_update_time": moment(first.completed or first.created)}
    return {
        "metadata": metadata("vm", machine_id, intent.owner, **times),
        "spec": {**shared, "resources": resources},
        "status": {**shared, **state(machine_id, estate), "resources": {}},
        "api_version": API_VERSION,
    }


def state(machine_id: str, estate: Estate) -> Mapping[str, object]:
    """How far the latest intent is."""
    intent = estate.intents.get(machine_id)
    if intent is None:
        return {"state": "COMPLETE"}
    task = estate.tasks.all[intent.tasks[-1]]
    context = {"execution_context": {"task_uuid": list(intent.tasks)}}
    if task.trouble is not None:
        message = {"message": task.trouble.detail, "reason": task.trouble.group, "details": {}}
        return {"state": "ERROR", "message_list": [message], **context}
    return {"state": "COMPLETE" if task.is_over else "PENDING", **context}


def accepted(body: Mapping[str, Any], machine_id: str, task: Task, spec_version: int) -> Mapping[str, object]:
    """The answer to a create or an update: the intent as it was given, pending."""
    return {
        "metadata": {**body["metadata"], "uuid": machine_id, "spec_version": spec_version},
        "spec": body["spec"],
        "status": {"state": "PENDING", "execution_context": {"task_uuid": task.uuid}},
        "api_version": API_VERSION,
    }


def deleted(task: Task) -> Mapping[str, object]:
    """The answer to a delete."""
    return {
        "metadata": {"kind": "vm", "categories": {}},
        "spec": "",
        "status": {"state": "DELETE_PENDING", "execution_context": {"task_uuid": task.uuid}},
        "api_version": API_VERSION,
    }


def task(shown: Task) -> Mapping[str, object]:
    """One task."""
    operation = OPERATION_TYPES.get(shown.operation, f"{shown.operation.value}_vm")
    value: dict[str, object] = {
        "uuid": shown.uuid,
        "status": shown.status.value,
        "operation_type": operation,
        "progress_message": operation,
        "percentage_complete": shown.percent,
        "entity_reference_list": [{"kind": "vm", "uuid": shown.subject}],
        "subtask_reference_list": [],
        "logical_timestamp": 1,
        "creation_time": moment(shown.created),
        "creation_time_usecs": int(shown.created * 1_000_000),
        "last_update_time": moment(shown.completed or shown.started or shown.created),
        "api_version": API_VERSION,
    }
    if shown.cluster:
        value["cluster_reference"] = {"kind": "cluster", "uuid": shown.cluster}
    for name, seconds in (("start", shown.started), ("completion", shown.completed)):
        if seconds is not None:
            value[f"{name}_time"], value[f"{name}_time_usecs"] = moment(seconds), int(seconds * 1_000_000)
    if shown.status is Status.FAILED and shown.trouble is not None:
        value["error_code"], value["error_detail"] = shown.trouble.group, shown.trouble.detail
    return value


def reference(kind: str, entity_id: str, name: str) -> Mapping[str, str]:
    """A reference with a name."""
    return {"kind": kind, "uuid": entity_id, "name": name}


def _resources(machine: Machine, estate: Estate) -> dict[str, object]:
    spec = machine.spec
    return {
        "num_sockets": spec.sockets,
        "num_vcpus_per_socket": spec.cores,
        "num_threads_per_core": spec.threads,
        "memory_size_mib": machine.memory_mib,
        "power_state": machine.power.value,
        "power_state_mechanism": MECHANISM,
        "hardware_clock_timezone": spec.timezone,
        "boot_config": {"boot_device_order_list": ["CDROM", "DISK", "NETWORK"], "boot_type": spec.firmware},
        "disk_list": [_disk(disk, estate) for disk in machine.disks],
        "nic_list": [_nic(nic, machine, estate) for nic in machine.nics],
        "gpu_list": [],
        "serial_port_list": [],
        "machine_type": "PC",
        "apc_config": {"enabled": False},
        "vtpm_config": {"vtpm_enabled": False},
        "vnuma_config": {"num_vnuma_nodes": 0},
        "vga_console_enabled": True,
        "memory_overcommit_enabled": False,
        "gpu_console_enabled": False,
        "is_vcpu_hard_pinned": False,
        "is_agent_vm": False,
        "disable_branding": False,
        "enable_cpu_passthrough": False,
        "hardware_virtualization_enabled": False,
        "cpu_hotplug_enabled": True,
        "scsi_controller_enabled": True,
        **{name: value for name, value in spec.settings.items() if name in SETTINGS},
    }


def _status(machine: Machine, resources: Mapping[str, object], estate: Estate) -> Mapping[str, object]:
    more: dict[str, object] = {
        "generation_uuid": machine.uuid,
        "bios_uuid": machine.uuid,
        "hypervisor_type": "AHV",
        "protection_type": "UNPROTECTED",
    }
    if machine.source is not None:
        more["parent_reference"] = {"kind": "vm", "uuid": machine.source}
    if machine.host is not None:
        more["host_reference"] = reference("host", machine.host, estate.inventory.hosts[machine.host].name)
    return {**more, **resources}


def _disk(shown: Disk, estate: Estate) -> Mapping[str, object]:
    container = estate.inventory.containers[shown.container]
    address = {"adapter_type": shown.bus, "device_index": shown.index}
    value: dict[str, object] = {
        "uuid": shown.uuid,
        "device_properties": {"disk_address": address, "device_type": "CDROM" if shown.is_cdrom else "DISK"},
        "storage_config": {
            "storage_container_reference": reference("storage_container", container.uuid, container.name)
        },
    }
    if shown.size_bytes:
        value["disk_size_bytes"], value["disk_size_mib"] = shown.size_bytes, -(-shown.size_bytes // MIB)
    if shown.image is not None:
        is_image = shown.image in estate.inventory.images
        value["data_source_reference"] = {"kind": "image" if is_image else "vm_disk", "uuid": shown.image}
    return value


def _nic(shown: Nic, machine: Machine, estate: Estate) -> Mapping[str, object]:
    ip = machine.ip_of(shown)
    endpoint = {"ip": ip, "type": "ASSIGNED" if shown.ip else "LEARNED"}
    return {
        "uuid": shown.uuid,
        "nic_type": "NORMAL_NIC",
        "vlan_mode": "ACCESS",
        "trunked_vlan_list": [],
        "num_queues": 1,
        "mac_address": shown.mac,
        "ip_endpoint_list": [endpoint] if ip else [],
        "subnet_reference": reference("subnet", shown.subnet, estate.inventory.subnets[shown.subnet].name),
        "is_connected": shown.is_connected,
    }


def listed(kind: str, entities: Sequence[object], total: int, asked: Mapping[str, Any]) -> Mapping[str, object]:
    """A part of a collection."""
    echoed = {name: asked[name] for name in ("filter", "sort_attribute", "sort_order") if name in asked}
    found = {"kind": kind, "offset": asked.get("offset", 0), "length": len(entities), "total_matches": total}
    return {"api_version": API_VERSION, "metadata": {**echoed, **found}, "entities": entities}
