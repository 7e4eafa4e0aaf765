"""A VM's options: which there are, what may stand in them, and the privilege that each one's change takes.

https://pve.proxmox.com/pve-docs/qm.conf.5.html; privileges: `check_vm_modify_config_perm` in qemu-server's Qemu.pm
"""

from collections.abc import Mapping

from providers.sandbox.proxmox import drives, formats
from providers.sandbox.proxmox.schema import PropertyString, Schema

NIC_MODELS = (
    "e1000",
    "e1000-82540em",
    "e1000-82544gc",
    "e1000-82545em",
    "e1000e",
    "i82551",
    "i82557b",
    "i82559er",
    "ne2k_isa",
    "ne2k_pci",
    "pcnet",
    "rtl8139",
    "virtio",
    "vmxnet3",
)
VGA_TYPES = (
    *("cirrus", "qxl", "qxl2", "qxl3", "qxl4", "none", "serial0", "serial1", "serial2", "serial3"),
    *("std", "virtio", "virtio-gl", "vmware"),
)
OS_TYPES = (
    *("other", "wxp", "w2k", "w2k3", "w2k8", "wvista", "win7", "win8", "win10", "win11"),
    *("l24", "l26", "solaris"),
)
_FLAG = Schema("boolean")
_TEXT = Schema()

NET = PropertyString(
    {
        "model": Schema(required=True, default_key=True, enum=NIC_MODELS),
        **{model: Schema(alias="macaddr", model="model") for model in NIC_MODELS},
        "bridge": Schema(format=formats.bridge_id),
        "firewall": _FLAG,
        "link_down": _FLAG,
        "macaddr": Schema(format=formats.mac_address),
        "mtu": Schema("integer", minimum=1, maximum=65520),
        "queues": Schema("integer", minimum=0, maximum=64),
        "rate": Schema("number", minimum=0),
        "tag": Schema("integer", minimum=1, maximum=4094),
        "trunks": Schema(pattern=r"\d+(?:-\d+)?(?:;\d+(?:-\d+)?)*"),
    }
)
AGENT = PropertyString(
    {
        "enabled": Schema("boolean", required=True, default_key=True),
        "fstrim_cloned_disks": _FLAG,
        "type": Schema(enum=("virtio", "isa")),
    }
)
BOOT = PropertyString(
    {
        "legacy": Schema(default_key=True, pattern="[acdn]{1,4}"),
        "order": Schema(format=formats.boot_devices),
    }
)
CPU = PropertyString(
    {
        "cputype": Schema(default_key=True, format=formats.cpu_model),
        "flags": _TEXT,
        "hidden": _FLAG,
        "hv-vendor-id": Schema(pattern="[a-zA-Z0-9]{1,12}"),
        "phys-bits": Schema(pattern=r"\d+|host"),
    }
)
MEMORY = PropertyString({"current": Schema("integer", required=True, default_key=True, minimum=16)})
MACHINE = PropertyString(
    {
        "type": Schema(
            default_key=True,
            max_length=40,
            pattern=r"(pc|pc(-i440fx)?-\d+(\.\d+)+(\+pve\d+)?(\.pxe)?|q35|pc-q35-\d+(\.\d+)+(\+pve\d+)?(\.pxe)?"
            r"|virt(?:-\d+(\.\d+)+)?(\+pve\d+)?)",
        ),
        "viommu": Schema(enum=("intel", "virtio")),
    }
)
VGA = PropertyString(
    {
        "type": Schema(default_key=True, enum=VGA_TYPES),
        "memory": Schema("integer", minimum=4, maximum=512),
    }
)
SMBIOS = PropertyString(
    {
        "base64": _FLAG,
        "family": _TEXT,
        "manufacturer": _TEXT,
        "product": _TEXT,
        "serial": _TEXT,
        "sku": _TEXT,
        "uuid": Schema(pattern="[a-fA-F0-9]{8}(?:-[a-fA-F0-9]{4}){3}-[a-fA-F0-9]{12}"),
        "version": _TEXT,
    }
)
IP_CONFIG = PropertyString({"gw": _TEXT, "gw6": _TEXT, "ip": _TEXT, "ip6": _TEXT})
UNUSED = PropertyString(
    {"file": Schema(required=True, default_key=True, format=formats.volume_id), "volume": Schema(alias="file")}
)
RNG = PropertyString(
    {
        "source": Schema(required=True, default_key=True, enum=("/dev/urandom", "/dev/random", "/dev/hwrng")),
        "max_bytes": Schema("integer", minimum=0),
        "period": Schema("integer"),
    }
)


def _numbered(prefix: str, count: int, schema: Schema) -> dict[str, Schema]:
    return {f"{prefix}{number}": schema for number in range(count)}


# Options without a schema below are not simulated: unknown parameters, as they would be to an older PVE.
_CPU: Mapping[str, Schema] = {
    "cores": Schema("integer", minimum=1),
    "cpu": Schema(format=CPU),
    "cpulimit": Schema("number", minimum=0, maximum=128),
    "cpuunits": Schema("integer", minimum=1, maximum=262144),
    "numa": _FLAG,
    "sockets": Schema("integer", minimum=1),
    "vcpus": Schema("integer", minimum=1),
}
_MEMORY: Mapping[str, Schema] = {
    "balloon": Schema("integer", minimum=0),
    "memory": Schema(format=MEMORY),
    "shares": Schema("integer", minimum=0, maximum=50000),
}
_HARDWARE: Mapping[str, Schema] = {
    "acpi": _FLAG,
    "hotplug": Schema(format=formats.hotplug_features),
    "kvm": _FLAG,
    "machine": Schema(format=MACHINE),
    "rng0": Schema(format=RNG),
    "scsihw": Schema(enum=("lsi", "lsi53c810", "virtio-scsi-pci", "virtio-scsi-single", "megasas", "pvscsi")),
    "smbios1": Schema(format=SMBIOS, max_length=512),
    "tablet": _FLAG,
    "vga": Schema(format=VGA),
}
_GENERAL: Mapping[str, Schema] = {
    "agent": Schema(format=AGENT),
    "autostart": _FLAG,
    "bios": Schema(enum=("seabios", "ovmf")),
    "description": Schema(max_length=8192),
    "localtime": _FLAG,
    "name": Schema(format=formats.dns_name),
    "onboot": _FLAG,
    "ostype": Schema(enum=OS_TYPES),
    "protection": _FLAG,
    "reboot": _FLAG,
    "startup": Schema(format=formats.startup_order),
    "template": _FLAG,
}
_CLOUD_INIT: Mapping[str, Schema] = {
    "cipassword": _TEXT,
    "citype": Schema(enum=("configdrive2", "nocloud", "opennebula")),
    "ciupgrade": Schema("boolean", since=(8, 0)),
    "ciuser": _TEXT,
    "nameserver": Schema(format=formats.addresses),
    "searchdomain": _TEXT,
    "sshkeys": Schema(format=formats.url_encoded),
    **_numbered("ipconfig", 32, Schema(format=IP_CONFIG)),
}
_BOOT: Mapping[str, Schema] = {"boot": Schema(format=BOOT)}
_NETS = _numbered("net", 32, Schema(format=NET))
_SERIALS = _numbered("serial", 4, Schema(pattern="(/dev/.+|socket)"))
_DRIVES: Mapping[str, Schema] = {
    **{
        slot: schema
        for prefix, count in drives.COUNTS.items()
        for slot, schema in _numbered(prefix, count, Schema(format=drives.FORMATS[prefix])).items()
    },
    "efidisk0": Schema(format=drives.FORMATS["efidisk"]),
    "tpmstate0": Schema(format=drives.FORMATS["tpmstate"]),
}

OPTIONS: Mapping[str, Schema] = {
    **_CPU,
    **_MEMORY,
    **_HARDWARE,
    **_GENERAL,
    **_CLOUD_INIT,
    **_BOOT,
    **_NETS,
    **_SERIALS,
    **_DRIVES,
    **_numbered("unused", 256, Schema(format=UNUSED)),
    "tags": Schema(format=formats.tags),
    "vmgenid": Schema(pattern="(?:[a-fA-F0-9]{8}(?:-[a-fA-F0-9]{4}){3}-[a-fA-F0-9]{12}|[01])"),
}

# What the change of an option takes on /vms/{vmid}, any of them; drives, serial ports and tags are looked at apart.
PRIVILEGES: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(_CPU, ("VM.Config.CPU",)),
    **dict.fromkeys(_MEMORY, ("VM.Config.Memory",)),
    **dict.fromkeys(_HARDWARE, ("VM.Config.HWType",)),
    **dict.fromkeys(_GENERAL, ("VM.Config.Options",)),
    **dict.fromkeys(_CLOUD_INIT, ("VM.Config.Cloudinit", "VM.Config.Network")),
    **dict.fromkeys(_BOOT, ("VM.Config.Disk",)),
    **dict.fromkeys(_NETS, ("VM.Config.Network",)),
}
# Changed at once while the VM runs; all others wait for its next start (`vmconfig_hotplug_pending`).
HOTPLUGGED = (
    frozenset(
        ("name", "description", "onboot", "protection", "startup", "shares", "tags", "hotplug", "autostart", "template")
    )
    | frozenset(_NETS)
    | frozenset(_DRIVES)
)


def typed(name: str, text: str) -> str | int | float:
    """An option's value as the configuration's JSON has it: numbers and flags as numbers."""
    kind = OPTIONS[name].type if name in OPTIONS else "string"
    if kind in {"integer", "boolean"}:
        return int(text)
    return float(text) if kind == "number" else text
