"""The named forms of PVE's texts, each a check that raises `FormatError` in PVE's words.

https://git.proxmox.com/?p=pve-common.git;a=blob;f=src/PVE/JSONSchema.pm, and for `pve-qm-…` qemu-server's QemuServer.pm
"""

import re

from providers.sandbox.proxmox.schema import Format, FormatError

LABEL = r"[a-zA-Z0-9]([a-zA-Z0-9-]*[a-zA-Z0-9])?"
VOLUME_ID = re.compile(r"(?P<storage>[a-zA-Z][a-zA-Z0-9_.-]*[a-zA-Z0-9]):(?P<name>.+)")
SIZE = re.compile(r"(?P<number>\d+(\.\d+)?)(?P<unit>[KMGT])?")
UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
BOOT_DEVICE = re.compile(
    r"ide[0-3]|sata[0-5]|scsi([12]?\d|30)|virtio(1[0-5]|\d)|net([12]?\d|3[01])|usb(1[0-3]|\d)|hostpci(1[0-5]|\d)"
)
SEPARATORS = re.compile(r"[,;\s\0]+")
_CPU_MODELS = (
    "486 athlon Broadwell Broadwell-IBRS Broadwell-noTSX Broadwell-noTSX-IBRS Cascadelake-Server "
    "Cascadelake-Server-noTSX Cascadelake-Server-v2 Conroe EPYC EPYC-Genoa EPYC-IBPB EPYC-Milan EPYC-Rome "
    "GraniteRapids Haswell Haswell-IBRS Haswell-noTSX Haswell-noTSX-IBRS host Icelake-Client Icelake-Server "
    "IvyBridge IvyBridge-IBRS KnightsMill kvm32 kvm64 max Nehalem Nehalem-IBRS Opteron_G1 Opteron_G2 Opteron_G3 "
    "Opteron_G4 Opteron_G5 Penryn pentium pentium2 pentium3 phenom qemu32 qemu64 SandyBridge SandyBridge-IBRS "
    "SapphireRapids Skylake-Client Skylake-Client-IBRS Skylake-Server Skylake-Server-IBRS Westmere Westmere-IBRS "
    "x86-64-v2 x86-64-v2-AES x86-64-v3 x86-64-v4 core2duo coreduo"
)
CPU_MODELS = frozenset(_CPU_MODELS.split())


def split_list(text: str) -> list[str]:
    """The members of a list, apart by commas, semicolons or blanks."""
    return [member for member in SEPARATORS.split(text) if member]


def size_in_bytes(text: str) -> int:
    """The number of bytes of a size such as `32G`."""
    match = SIZE.fullmatch(text)
    if match is None:
        raise FormatError(f"value does not look like a valid disk size: {text}")
    return int(float(match["number"]) * UNITS[match["unit"] or ""])


def size_text(size: int) -> str:
    """A size in the largest unit up to G that it is a whole number of, as PVE writes it."""
    unit = ""
    for larger in "KMG":
        if size % 1024 or not size:
            break
        size, unit = size // 1024, larger
    return f"{size}{unit}"


def matching(pattern: str, complaint: str) -> Format:
    """The form of texts that a pattern matches."""
    expression = re.compile(pattern)

    def check(text: str, path: str) -> None:
        del path
        if not expression.fullmatch(text):
            raise FormatError(complaint.format(text))

    return check


def a_list_of(member: Format) -> Format:
    """The form of lists of such members."""

    def check(text: str, path: str) -> None:
        for part in split_list(text):
            member(part, path)

    return check


def disk_size(text: str, path: str) -> None:
    """A size such as `32G`."""
    del path
    size_in_bytes(text)


def volume_or_path(text: str, path: str) -> None:
    """What a drive may be made of: a volume, `none`, `cdrom`, a new disk, or an absolute path."""
    del path
    if not (text in {"none", "cdrom", "cloudinit"} or text.startswith("/") or VOLUME_ID.fullmatch(text)):
        raise FormatError(f"unable to parse volume ID '{text}'")


def volume_or_absolute_path(text: str, path: str) -> None:
    """What a disk may be imported from."""
    del path
    if not (text.startswith("/") or VOLUME_ID.fullmatch(text)):
        raise FormatError(f"unable to parse volume ID '{text}'")


def cpu_model(text: str, path: str) -> None:
    """A model that QEMU knows; there are no custom ones here."""
    del path
    if text not in CPU_MODELS:
        raise FormatError(f"Built-in cputype '{text}' is not defined (missing 'custom-' prefix?)")


vmid = matching(r"[1-9][0-9]{2,8}", "value does not look like a valid VM ID")
node = matching(LABEL, "value does not look like a valid node name")
dns_name = matching(rf"({LABEL}\.)*{LABEL}", "value does not look like a valid DNS name")
storage_id = matching(r"[a-zA-Z][a-zA-Z0-9_.-]*[a-zA-Z0-9]", "storage ID '{0}' contains illegal characters")
bridge_id = matching(r"[-_.\w]+", "invalid bridge ID '{0}'")
mac_address = matching(
    r"(?i)[a-f0-9][02468ace](?::[a-f0-9]{2}){5}", "value does not look like a valid unicast MAC address"
)
config_id = matching(r"(?i)[a-z][a-z0-9_-]+", "invalid configuration ID '{0}'")
config_ids = a_list_of(config_id)
tags = a_list_of(matching(r"(?i)[a-z0-9_][a-z0-9_\-+.]*", "invalid characters in tag"))
volume_id = matching(VOLUME_ID.pattern, "unable to parse volume ID '{0}'")
url_encoded = matching(r"[-%a-zA-Z0-9_.!~*'()]*", "invalid urlencoded string: {0}")
boot_devices = a_list_of(matching(BOOT_DEVICE.pattern, "invalid boot device '{0}'"))
addresses = a_list_of(matching(rf"[0-9a-fA-F:.]+|({LABEL}\.)*{LABEL}", "value does not look like a valid address: {0}"))
startup_order = matching(
    r"(order=)?\d+(,up=\d+)?(,down=\d+)?|(up|down)=\d+(,down=\d+)?", "unable to parse startup options"
)
hotplug_features = matching(
    r"[01]|(network|disk|cpu|memory|usb|cloudinit)(,(network|disk|cpu|memory|usb|cloudinit))*",
    "unable to parse hotplug option",
)
content_type = matching(r"images|rootdir|vztmpl|iso|backup|snippets|import|none", "invalid content type '{0}'")
content_types = a_list_of(content_type)
realm = matching(r"[A-Za-z][A-Za-z0-9._-]+", "value does not look like a valid realm")
privileges = a_list_of(matching(r"[A-Za-z]+(\.[A-Za-z]+)+", "invalid privilege '{0}'"))
pool_id = matching(r"[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)*", "value '{0}' does not look like a valid pool name")
cidr = matching(r"[0-9a-fA-F:.]+/\d+", "value does not look like a valid CIDR network")
storage_pairs = a_list_of(matching(r"[a-zA-Z0-9_.-]+(:[a-zA-Z0-9_.-]+)?", "'{0}' is not a valid storage pair"))
task_states = a_list_of(matching(r"(?i)ok|error|warning|unknown", "invalid status '{0}'"))
