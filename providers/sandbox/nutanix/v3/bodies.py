"""What v3's bodies may hold, and how they are read.

The fields are those of the vendor's description (3.1), and few that a Central of 2024 shows (`cpu_hotplug_enabled`):
what it shows it takes back.
"""

import binascii
import re
from base64 import b64decode
from collections.abc import Mapping
from typing import Any

from providers.sandbox.nutanix.machines import MIB, DiskSpec, Machine, MachineSpec, NicSpec, Power
from providers.sandbox.nutanix.refusals import Reason, Refusal
from providers.sandbox.nutanix.schema import Anything, Boolean, Fields, Integer, Many, Text, Uuid, words
from providers.sandbox.nutanix.tasks import Operation
from providers.sandbox.nutanix.work import Change

IPV4 = Text(pattern=re.compile(r"\d{1,3}(\.\d{1,3}){3}"))
MAC = Text(pattern=re.compile(r"([0-9A-Fa-f]{2}[:-]){5}[0-9A-Fa-f]{2}"))
REFERENCE = Fields({"kind": Text(), "uuid": Uuid, "name": Text(1024)}, required=("kind", "uuid"))
METADATA = Fields(
    {
        "kind": Text(),
        "uuid": Uuid,
        "name": Text(80),
        "spec_version": Integer(),
        "spec_hash": Text(),
        "entity_version": Text(),
        "creation_time": Text(),
        "last_update_time": Text(),
        "project_reference": REFERENCE,
        "owner_reference": REFERENCE,
        "categories": Anything(),
        "categories_mapping": Anything(),
        "use_categories_mapping": Boolean(),
        "should_force_translate": Boolean(),
    },
    required=("kind",),
)
DISK = Fields(
    {
        "uuid": Uuid,
        "disk_size_bytes": Integer(1),
        "disk_size_mib": Integer(1),
        "data_source_reference": Fields(
            {"kind": words("image", "vm_disk"), "uuid": Uuid, "name": Text(), "url": Text()},
            required=("kind", "uuid"),
        ),
        "device_properties": Fields(
            {
                "device_type": words("DISK", "CDROM", "VOLUME_GROUP"),
                "disk_address": Fields(
                    {"device_index": Integer(0), "adapter_type": words("SCSI", "IDE", "PCI", "SATA", "SPAPR")},
                    required=("device_index", "adapter_type"),
                ),
            }
        ),
        "storage_config": Fields(
            {"flash_mode": words("ENABLED", "DISABLED"), "storage_container_reference": REFERENCE}
        ),
        "volume_group_reference": REFERENCE,
    }
)
NIC = Fields(
    {
        "uuid": Uuid,
        "nic_type": words("NORMAL_NIC", "DIRECT_NIC", "NETWORK_FUNCTION_NIC", "SPAN_DESTINATION_NIC"),
        "vlan_mode": words("ACCESS", "TRUNKED"),
        "trunked_vlan_list": Many(Integer()),
        "num_queues": Integer(),
        "model": Text(),
        "mac_address": MAC,
        "is_connected": Boolean(),
        "subnet_reference": REFERENCE,
        "ip_endpoint_list": Many(
            Fields(
                {
                    "ip": IPV4,
                    "type": words("ASSIGNED", "LEARNED"),
                    "ip_type": Text(),
                    "prefix_length": Integer(0),
                    "gateway_address_list": Many(IPV4),
                }
            )
        ),
        "secondary_ip_address_list": Many(IPV4),
    }
)
CUSTOMIZATION = Fields(
    {
        "cloud_init": Fields({"meta_data": Text(32000), "user_data": Text(128000), "custom_key_values": Anything()}),
        "is_overridable": Boolean(),
    }
)
MECHANISM = Fields(
    {
        "mechanism": words("ACPI", "GUEST", "HARD"),
        "guest_transition_config": Fields(
            {"should_fail_on_script_failure": Boolean(), "enable_script_exec": Boolean()}
        ),
    }
)
BOOT = Fields(
    {
        "boot_device_order_list": Many(words("CDROM", "DISK", "NETWORK")),
        "boot_type": words("UEFI", "LEGACY", "SECURE_BOOT"),
        "boot_device": Anything(),
        "data_source_reference": REFERENCE,
    }
)
SWITCHES = (
    "is_agent_vm",
    "is_vcpu_hard_pinned",
    "hardware_virtualization_enabled",
    "vga_console_enabled",
    "memory_overcommit_enabled",
    "gpu_console_enabled",
    "enable_cpu_passthrough",
    "disable_branding",
    "cpu_hotplug_enabled",
    "scsi_controller_enabled",
)
RESOURCES = Fields(
    {
        **{name: Boolean() for name in SWITCHES},
        "num_threads_per_core": Integer(1),
        "num_vcpus_per_socket": Integer(1),
        "num_sockets": Integer(1),
        "memory_size_mib": Integer(1),
        "boot_config": BOOT,
        "disk_list": Many(DISK),
        "nic_list": Many(NIC),
        "gpu_list": Many(Anything()),
        "serial_port_list": Many(Anything()),
        "generation_uuid": Uuid,
        "bios_uuid": Uuid,
        "power_state": words("ON", "OFF", "PAUSED", "SUSPENDED"),
        "power_state_mechanism": MECHANISM,
        "apc_config": Fields({"enabled": Boolean(), "cpu_model_reference": Anything()}),
        "vtpm_config": Fields({"vtpm_enabled": Boolean(), "data_source_reference": Anything()}),
        "vnuma_config": Fields({"num_vnuma_nodes": Integer(0)}),
        "storage_config": Anything(),
        "machine_type": words("PC", "PSERIES", "Q35"),
        "hardware_clock_timezone": Text(64),
        "guest_customization": CUSTOMIZATION,
        "guest_os_id": Text(64),
        "guest_tools": Anything(),
        "parent_reference": REFERENCE,
    }
)
SPEC = Fields(
    {
        "name": Text(256),
        "description": Text(1000),
        "resources": RESOURCES,
        "cluster_reference": REFERENCE,
        "availability_zone_reference": REFERENCE,
    },
    required=("name", "resources"),
)
INTENT = Fields({"spec": SPEC, "metadata": METADATA, "api_version": Text()}, required=("metadata", "spec"))
LIST = Fields(
    {
        "kind": Text(),
        "filter": Text(),
        "offset": Integer(0),
        "length": Integer(1, 500),
        "sort_attribute": Text(),
        "sort_order": words("ASCENDING", "DESCENDING"),
    }
)
SWITCH = Fields({"task_uuid": Uuid})


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
        fields=_plain_fields(spec),
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
