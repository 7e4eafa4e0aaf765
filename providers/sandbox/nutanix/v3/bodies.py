"""What v3's bodies may hold.

The fields are those of the vendor's description (3.1), and few that a Central of 2024 shows (`cpu_hotplug_enabled`):
what it shows it takes back.
"""

import re

from providers.sandbox.nutanix.schema import Anything, Boolean, Fields, Integer, Many, Nothing, Text, Uuid, words

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
        "categories": Fields({}),
        "categories_mapping": Fields({}),
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
        "cloud_init": Fields({"meta_data": Text(32000), "user_data": Text(128000)}),
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
        "gpu_list": Many(Nothing()),
        "serial_port_list": Many(Nothing()),
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
    }
)
# What is kept as it was set.
SETTINGS = (
    *SWITCHES,
    "generation_uuid",
    "bios_uuid",
    "power_state_mechanism",
    "apc_config",
    "vtpm_config",
    "vnuma_config",
    "storage_config",
    "machine_type",
    "guest_os_id",
    "guest_tools",
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
