"""What v3's bodies look like, in both directions: an intent's specification, its status, its metadata."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any, Final

from providers.nutanix.records import (
    Image,
    Machine,
    NewMachine,
    Place,
    Submitted,
    TaskState,
    TaskStatus,
    cpus_of,
    moment_of,
)

_MIB: Final = 1 << 20
_API_VERSION: Final = "3.1"
_STATUSES: Final[Mapping[str, TaskStatus]] = {
    "SUCCEEDED": TaskStatus.SUCCEEDED,
    "FAILED": TaskStatus.FAILED,
    "ABORTED": TaskStatus.FAILED,
}
# `readOnly` in `vm_metadata` of Prism's description of v3.
_READ_ONLY: Final = frozenset({"last_update_time", "creation_time", "entity_version", "name"})


def new_vm(new: NewMachine) -> dict[str, Any]:
    """The body that asks for a VM; it runs at the end, if it shall."""
    disk: dict[str, Any] = {
        "device_properties": {"device_type": "DISK", "disk_address": {"adapter_type": "SCSI", "device_index": 0}},
        "data_source_reference": {"kind": "image", "uuid": new.image.id},
    }
    if new.disk_bytes:
        disk["disk_size_mib"] = new.disk_bytes // _MIB
    if new.container:
        disk["storage_config"] = {"storage_container_reference": _reference("storage_container", new.container)}
    resources: dict[str, Any] = {
        "num_sockets": new.cpus,
        "num_vcpus_per_socket": 1,
        "memory_size_mib": new.memory_mib,
        "power_state": "ON" if new.start else "OFF",
        "disk_list": [disk],
        "nic_list": [{"nic_type": "NORMAL_NIC", "subnet_reference": _reference("subnet", new.network)}],
    }
    if new.user_data is not None:
        resources["guest_customization"] = {"cloud_init": {"user_data": base64.b64encode(new.user_data).decode()}}
    spec: dict[str, Any] = {"name": new.name, "description": new.description, "resources": resources}
    if new.cluster:
        spec["cluster_reference"] = _reference("cluster", new.cluster)
    return {"api_version": _API_VERSION, "metadata": {"kind": "vm"}, "spec": spec}


def unchanged(said: Mapping[str, Any]) -> dict[str, Any]:
    """The body of an update that changes nothing but the version of the specification."""
    return {
        "api_version": said.get("api_version") or _API_VERSION,
        "metadata": {key: value for key, value in said["metadata"].items() if key not in _READ_ONLY},
        "spec": said["spec"],
    }


def described(said: Mapping[str, Any], description: str) -> dict[str, Any]:
    """The body that changes a VM's description."""
    body = unchanged(said)
    return {**body, "spec": {**body["spec"], "description": description}}


def switched(said: Mapping[str, Any], state: str) -> dict[str, Any]:
    """The body that changes a VM, as it was answered with, into one that is on or off. Its power is cut."""
    body = unchanged(said)
    resources = body["spec"]["resources"]
    mechanism = {**(resources.get("power_state_mechanism") or {}), "mechanism": "HARD"}
    power = {"power_state": state, "power_state_mechanism": mechanism}
    return {**body, "spec": {**body["spec"], "resources": {**resources, **power}}}


def machine_of(said: Mapping[str, Any]) -> Machine:
    """A VM. An intent that is not carried out yet, or never will be, has no power state in its status."""
    metadata, spec, status = said["metadata"], said.get("spec") or {}, said.get("status") or {}
    resources = status.get("resources") or {}
    wanted = {**(spec.get("resources") or {}), **resources}
    memory, version = wanted.get("memory_size_mib"), metadata.get("entity_version")
    updates = int(metadata.get("spec_version") or 0)
    return Machine(
        id=str(metadata["uuid"]),
        name=str(status.get("name") or spec.get("name") or ""),
        word=str(resources.get("power_state") or status.get("state") or "UNKNOWN"),
        description=str(status.get("description") or spec.get("description") or ""),
        cluster=str((status.get("cluster_reference") or spec.get("cluster_reference") or {}).get("uuid") or ""),
        cpus=cpus_of(wanted.get("num_sockets"), wanted.get("num_vcpus_per_socket"), wanted.get("num_threads_per_core")),
        memory_mib=int(memory) if memory is not None else None,
        ip_addresses=_addresses(resources),
        created_at=moment_of(metadata.get("creation_time")),
        version=int(version) if version is not None else None,
        updates=updates,
        # A VM that is made of an image may refer to that.
        is_copy=str((resources.get("parent_reference") or {}).get("kind") or "").startswith("vm"),
        is_failed_create=status.get("state") == "ERROR" and not resources and not updates,
    )


def submitted_of(said: Mapping[str, Any]) -> Submitted:
    """A VM whose making was accepted."""
    return Submitted(task_id(said), str(said["metadata"]["uuid"]))


def task_id(said: Mapping[str, Any]) -> str:
    """The task that a change has begun: an intent's, or that of an action."""
    task = said.get("task_uuid") or said["status"]["execution_context"]["task_uuid"]
    return str(task[-1] if isinstance(task, list) else task)


def task_of(said: Mapping[str, Any]) -> TaskState:
    """A task."""
    about = (one for one in said.get("entity_reference_list") or () if one.get("kind") == "vm")
    return TaskState(
        status=_STATUSES.get(str(said["status"]), TaskStatus.RUNNING),
        vm_id=next((str(one["uuid"]) for one in about if one.get("uuid")), ""),
        code=str(said.get("error_code") or ""),
        message=str(said.get("error_detail") or ""),
    )


def image_of(said: Mapping[str, Any]) -> Image:
    """An image; it is ready when its intent is carried out."""
    status = said.get("status") or {}
    resources = status.get("resources") or {}
    size = resources.get("size_bytes")
    return Image(
        id=str(said["metadata"]["uuid"]),
        name=str(status.get("name") or (said.get("spec") or {}).get("name") or ""),
        is_disk=resources.get("image_type") != "ISO_IMAGE" and status.get("state") != "ERROR",
        size_bytes=int(size) if size is not None else None,
    )


def network_of(said: Mapping[str, Any]) -> Place:
    """A subnet; one of a VPC belongs to no cluster."""
    status = said.get("status") or {}
    return Place(
        id=str(said["metadata"]["uuid"]),
        name=str(status.get("name") or ""),
        cluster=str((status.get("cluster_reference") or {}).get("uuid") or ""),
    )


def cluster_of(said: Mapping[str, Any]) -> Place | None:
    """A cluster, None if VMs cannot be on it."""
    status = said.get("status") or {}
    config = (status.get("resources") or {}).get("config") or {}
    if "PRISM_CENTRAL" in (config.get("service_list") or ()):
        return None
    return Place(str(said["metadata"]["uuid"]), str(status.get("name") or ""))


def _addresses(resources: Mapping[str, Any]) -> tuple[str, ...]:
    endpoints = (end for nic in resources.get("nic_list") or () for end in nic.get("ip_endpoint_list") or ())
    return tuple(dict.fromkeys(str(endpoint["ip"]) for endpoint in endpoints if endpoint.get("ip")))


def _reference(kind: str, uuid: str) -> dict[str, str]:
    return {"kind": kind, "uuid": uuid}
