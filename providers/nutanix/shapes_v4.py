"""What v4's bodies look like, in both directions."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from typing import Any, Final

from providers.nutanix.history import PastTask
from providers.nutanix.records import Image, Machine, NewMachine, Place, TaskState, TaskStatus, cpus_of, moment_of

_CONFIG: Final = "vmm.v4.ahv.config"
_STATUSES: Final[Mapping[str, TaskStatus]] = {
    "SUCCEEDED": TaskStatus.SUCCEEDED,
    "FAILED": TaskStatus.FAILED,
    "CANCELED": TaskStatus.FAILED,
}


def new_vm(new: NewMachine) -> dict[str, Any]:
    """The body that asks for a VM. Where one of several models may stand, `$objectType` says which it is."""
    disk: dict[str, Any] = {
        "$objectType": f"{_CONFIG}.VmDisk",
        "dataSource": {"reference": {"$objectType": f"{_CONFIG}.ImageReference", "imageExtId": new.image.id}},
    }
    if new.disk_bytes:
        disk["diskSizeBytes"] = new.disk_bytes
    if new.container:
        disk["storageContainer"] = {"extId": new.container}
    body: dict[str, Any] = {
        "name": new.name,
        "description": new.description,
        "numSockets": new.cpus,
        "numCoresPerSocket": 1,
        "memorySizeBytes": new.memory_mib << 20,
        "cluster": {"extId": new.cluster},
        "disks": [{"diskAddress": {"busType": "SCSI", "index": 0}, "backingInfo": disk}],
        "nics": [{"networkInfo": {"nicType": "NORMAL_NIC", "subnet": {"extId": new.network}}}],
    }
    if new.user_data is not None:
        body["guestCustomization"] = {"config": _cloud_init(new.user_data)}
    return body


def _cloud_init(user_data: bytes) -> dict[str, Any]:
    script = {"$objectType": f"{_CONFIG}.Userdata", "value": base64.b64encode(user_data).decode()}
    return {
        "$objectType": f"{_CONFIG}.CloudInit",
        "datasourceType": "CONFIG_DRIVE_V2",
        "cloudInitScript": script,
    }


def machine_of(said: Mapping[str, Any]) -> Machine:
    """A VM."""
    memory = said.get("memorySizeBytes")
    return Machine(
        id=str(said["extId"]),
        name=str(said.get("name") or ""),
        word=str(said.get("powerState") or "UNDETERMINED"),
        description=str(said.get("description") or ""),
        cluster=str((said.get("cluster") or {}).get("extId") or ""),
        cpus=cpus_of(said.get("numSockets"), said.get("numCoresPerSocket"), said.get("numThreadsPerCore")),
        memory_mib=int(memory) >> 20 if memory is not None else None,
        ip_addresses=tuple(dict.fromkeys(address for nic in said.get("nics") or () for address in _addresses(nic))),
        created_at=moment_of(said.get("createTime")),
        is_copy=str((said.get("source") or {}).get("entityType") or "").startswith("VM"),
    )


def described(said: Mapping[str, Any], description: str) -> dict[str, Any]:
    """The body that changes a VM's description. Prism refuses the CPU model that it shows where APC is off."""
    body = {**said, "description": description}
    if body.get("apcConfig") and not body["apcConfig"].get("isApcEnabled"):
        body["apcConfig"] = {key: value for key, value in body["apcConfig"].items() if key != "cpuModel"}
    return body


def _addresses(nic: Mapping[str, Any]) -> Iterator[str]:
    """A NIC's addresses, those that Nutanix has given and those that it has seen; newer v4 name it anew."""
    network = nic.get("networkInfo") or nic.get("nicNetworkInfo") or {}
    given, seen = network.get("ipv4Config") or {}, network.get("ipv4Info") or {}
    others = [*(given.get("secondaryIpAddressList") or ()), *(seen.get("learnedIpAddresses") or ())]
    for address in (given.get("ipAddress"), *others):
        if address and address.get("value"):
            yield str(address["value"])


def task_id(said: Mapping[str, Any]) -> str:
    """The task that a change has begun."""
    return str(said["data"]["extId"])


def task_of(said: Mapping[str, Any]) -> TaskState:
    """A task. What it is about is `vmm:ahv:config:vm`; older releases say `vmm:ahv:vm`."""
    data = said["data"]
    error: Mapping[str, Any] = next(iter(data.get("errorMessages") or ()), {})
    vms = (one for one in data.get("entitiesAffected") or () if str(one.get("rel")).endswith(":vm"))
    return TaskState(
        status=_STATUSES.get(str(data["status"]), TaskStatus.RUNNING),
        vm_id=next((str(one["extId"]) for one in vms if one.get("extId")), ""),
        code=str(error.get("errorGroup") or error.get("code") or ""),
        message=str(error.get("message") or data.get("legacyErrorMessage") or ""),
    )


def past_task_of(said: Mapping[str, Any]) -> PastTask:
    """A task in a list."""
    status = _STATUSES.get(str(said["status"]), TaskStatus.RUNNING)
    parent = (said.get("parentTask") or {}).get("extId")
    return PastTask(str(said["extId"]), str(said.get("operation") or ""), status, str(parent or ""))


def image_of(said: Mapping[str, Any]) -> Image:
    """An image."""
    size = said.get("sizeBytes")
    return Image(
        id=str(said["extId"]),
        name=str(said.get("name") or ""),
        is_disk=said.get("type") != "ISO_IMAGE",
        size_bytes=int(size) if size is not None else None,
    )


def network_of(said: Mapping[str, Any]) -> Place:
    """A subnet; one of a VPC belongs to no cluster."""
    return Place(str(said["extId"]), str(said.get("name") or ""), str(said.get("clusterReference") or ""))


def place_of(said: Mapping[str, Any]) -> Place | None:
    """A cluster, None if VMs cannot be on it."""
    functions = (said.get("config") or {}).get("clusterFunction") or ()
    if "PRISM_CENTRAL" in functions:
        return None
    return Place(str(said["extId"]), str(said.get("name") or ""))
