"""How v3's bodies are read: as the VM that is to be made, or as what is to become of one."""

import binascii
from base64 import b64decode
from collections.abc import Mapping
from typing import Any

from providers.sandbox.nutanix.machines import MIB, DiskSpec, Machine, MachineSpec, NicSpec, Power
from providers.sandbox.nutanix.refusals import Reason, Refusal
from providers.sandbox.nutanix.tasks import Operation
from providers.sandbox.nutanix.v3.bodies import SETTINGS
from providers.sandbox.nutanix.work import Change


def machine_spec(spec: Mapping[str, Any], cluster: str) -> MachineSpec:
    """The VM that a spec asks for."""
    resources = spec["resources"]
    if resources.get("memory_size_mib") is None:
        raise Refusal(Reason.INVALID, "memory_size_mib must be specified")
    script = ((resources.get("guest_customization") or {}).get("cloud_init") or {}).get("user_data")
    return MachineSpec(
        cluster=cluster,
        disks=tuple(_disk(disk) for disk in resources.get("disk_list") or []),
        nics=tuple(_nic(nic) for nic in resources.get("nic_list") or []),
        user_data=_decoded(script) if script is not None else None,
        settings=_settings(resources),
        **_plain_fields(spec),
    )


def wants_power(spec: Mapping[str, Any]) -> bool:
    """Whether the VM is to run."""
    return bool(spec["resources"].get("power_state") == "ON")


def change(spec: Mapping[str, Any], machine: Machine) -> Change:
    """What is to become of a VM for it to be as a spec says; what the spec leaves out stays."""
    resources = spec["resources"]
    if resources.get("guest_customization"):
        raise Refusal(Reason.INVALID, "Guest customization can only be set during VM creation.")
    disks, nics = resources.get("disk_list"), resources.get("nic_list")
    return Change(
        fields={**_plain_fields(spec), "settings": {**machine.spec.settings, **_settings(resources)}},
        disks=None if disks is None else tuple(_kept_disk(disk, machine) or _disk(disk) for disk in disks),
        sizes={disk["uuid"]: size for disk in disks or [] if disk.get("uuid") and (size := _size(disk))},
        nics=None if nics is None else tuple(_kept_nic(nic, machine) or _nic(nic) for nic in nics),
        power=_transition(resources, machine),
    )


def _plain_fields(spec: Mapping[str, Any]) -> dict[str, Any]:
    resources = spec["resources"]
    found = {
        "name": spec["name"],
        "description": spec.get("description"),
        "sockets": resources.get("num_sockets"),
        "cores": resources.get("num_vcpus_per_socket"),
        "threads": resources.get("num_threads_per_core"),
        "timezone": resources.get("hardware_clock_timezone"),
        "firmware": (resources.get("boot_config") or {}).get("boot_type"),
    }
    if resources.get("memory_size_mib") is not None:
        found["memory_bytes"] = resources["memory_size_mib"] * MIB
    return {name: value for name, value in found.items() if value is not None}


def _settings(resources: Mapping[str, Any]) -> dict[str, Any]:
    return {name: resources[name] for name in SETTINGS if resources.get(name) is not None}


def _transition(resources: Mapping[str, Any], machine: Machine) -> Operation | None:
    wanted = resources.get("power_state")
    if wanted in {None, machine.power.value}:
        return None
    if wanted == "ON":
        return Operation.ON if machine.power is Power.OFF else Operation.RESUME
    mechanism = (resources.get("power_state_mechanism") or {}).get("mechanism", "HARD")
    if wanted == "OFF":
        return {"ACPI": Operation.SHUTDOWN, "GUEST": Operation.GUEST_SHUTDOWN}.get(mechanism, Operation.OFF)
    raise Refusal(Reason.INVALID, f"power_state {wanted} cannot be asked for")


def _decoded(script: str) -> bytes:
    try:
        return b64decode(script, validate=True)
    except (binascii.Error, ValueError) as error:
        raise Refusal(Reason.INVALID, "guest_customization.cloud_init.user_data: must be base64 encoded") from error


def _size(body: Mapping[str, Any]) -> int | None:
    size, mib = body.get("disk_size_bytes"), body.get("disk_size_mib")
    if size and mib and -(-size // MIB) != mib:
        raise Refusal(Reason.INVALID, "disk_size_mib must match disk_size_bytes, rounded up")
    return size or (mib * MIB if mib else None)


def _disk(body: Mapping[str, Any]) -> DiskSpec:
    properties = body.get("device_properties") or {}
    is_cdrom = properties.get("device_type") == "CDROM"
    address = properties.get("disk_address") or {}
    source, container = body.get("data_source_reference"), (body.get("storage_config") or {})
    size = _size(body)
    if not (source or size or is_cdrom):
        raise Refusal(Reason.INVALID, "A disk needs a data source or a size")
    return DiskSpec(
        bus=address.get("adapter_type") or ("IDE" if is_cdrom else "SCSI"),
        index=address.get("device_index"),
        source=source["uuid"] if source else None,
        size_bytes=size,
        container=(container.get("storage_container_reference") or {}).get("uuid"),
        is_cdrom=is_cdrom,
    )


def _nic(body: Mapping[str, Any]) -> NicSpec:
    subnet = body.get("subnet_reference")
    if subnet is None:
        raise Refusal(Reason.INVALID, "A NIC needs a subnet reference")
    wanted = [endpoint["ip"] for endpoint in body.get("ip_endpoint_list") or [] if endpoint.get("ip")]
    return NicSpec(
        subnet=subnet["uuid"],
        mac=body.get("mac_address"),
        ip=wanted[0] if wanted else None,
        is_connected=body.get("is_connected") is not False,
    )


def _kept_disk(body: Mapping[str, Any], machine: Machine) -> str | None:
    disk = next((disk for disk in machine.disks if disk.uuid == body.get("uuid")), None)
    if disk is not None and (_size(body) or disk.size_bytes) < disk.size_bytes:
        raise Refusal(Reason.INVALID, "A disk cannot shrink")
    return disk.uuid if disk else None


def _kept_nic(body: Mapping[str, Any], machine: Machine) -> str | None:
    return next((nic.uuid for nic in machine.nics if nic.uuid == body.get("uuid")), None)
