"""A ConfigSpec: which privileges it takes, whether it is good, and what it makes of a VM.

https://developer.broadcom.com/xapis/vsphere-web-services-api/latest/vim.vm.ConfigSpec.html
"""

from collections.abc import Iterable
from typing import Any, Final

from pyVmomi import vim

from providers.sandbox.vsphere.disk_files import capacity_of
from providers.sandbox.vsphere.machines import Machine, Power
from providers.sandbox.vsphere.refusals import invalid_argument, refusal

_DEVICE: Final = vim.vm.device
MAX_NAME: Final = 80
MAX_CPUS: Final = 768
# Fields of a ConfigSpec, and the privilege that setting each of them takes (VirtualMachine.Config.…).
_PRIVILEGES: Final = (
    ("name", "Rename"),
    ("numCPUs", "CPUCount"),
    ("numCoresPerSocket", "CPUCount"),
    ("memoryMB", "Memory"),
    ("annotation", "Annotation"),
    ("extraConfig", "AdvancedConfig"),
    ("guestId", "Settings"),
    ("firmware", "Settings"),
    ("bootOptions", "Settings"),
    ("uuid", "Settings"),
    ("instanceUuid", "Settings"),
)
# Of those, the ones that CreateVM_Task asks for too.
CREATE_PRIVILEGES: Final = frozenset({"AddNewDisk", "AddExistingDisk", "AdvancedConfig", "RawDevice"})


def privileges(spec: Any, machine: Machine | None) -> list[str]:
    """The names of the VirtualMachine.Config privileges that a specification takes."""
    if spec is None:
        return []
    wanted = [privilege for name, privilege in _PRIVILEGES if getattr(spec, name)]
    return list(dict.fromkeys([*wanted, *device_privileges(spec.deviceChange, machine)]))


def device_privileges(changes: Iterable[Any], machine: Machine | None) -> list[str]:
    """The names of the VirtualMachine.Config privileges that device changes take."""
    return [_device_privilege(change, machine) for change in changes]


def refuse_name(name: str | None) -> None:
    """Refuse a name that no VM can have; raises InvalidName."""
    if not name or len(name) > MAX_NAME:
        raise refusal("InvalidName", name=name or "")


def refuse(spec: Any, machine: Machine) -> None:
    """Refuse numbers that make no VM; raises InvalidArgument and what hot-plugging cannot do."""
    if spec.numCPUs is not None and not 0 < spec.numCPUs <= MAX_CPUS:
        raise invalid_argument("configSpec.numCPUs")
    if spec.memoryMB is not None and (spec.memoryMB < 4 or spec.memoryMB % 4):
        raise invalid_argument("configSpec.memoryMB")
    cpus, cores = spec.numCPUs or machine.cpus, spec.numCoresPerSocket or machine.cores_per_socket
    if cpus % cores and spec.numCoresPerSocket is not None:
        raise invalid_argument("configSpec.numCoresPerSocket")
    if spec.guestId is not None and not hasattr(vim.vm.GuestOsDescriptor.GuestOsIdentifier, spec.guestId):
        raise invalid_argument("configSpec.guestId")
    if spec.firmware is not None and spec.firmware not in {"bios", "efi"}:
        raise invalid_argument("configSpec.firmware")
    _refuse_hot_plug(spec, machine)


def apply(spec: Any, machine: Machine) -> None:
    """Make of a VM what a specification says, its name and its devices aside."""
    machine.cpus = spec.numCPUs or machine.cpus
    machine.cores_per_socket = spec.numCoresPerSocket or machine.cores_per_socket
    if machine.cpus % machine.cores_per_socket:
        machine.cores_per_socket = 1
    machine.memory_mib = spec.memoryMB or machine.memory_mib
    machine.guest_id = spec.guestId or machine.guest_id
    machine.firmware = spec.firmware or machine.firmware
    machine.hardware_version = spec.version or machine.hardware_version
    machine.bios_uuid = (spec.uuid or machine.bios_uuid).lower()
    machine.instance_uuid = (spec.instanceUuid or machine.instance_uuid).lower()
    if spec.annotation is not None:
        machine.annotation = spec.annotation
    _set_extra(spec, machine)
    machine.touch()


def _set_extra(spec: Any, machine: Machine) -> None:
    """An empty value takes a key out."""
    for option in spec.extraConfig:
        machine.extra.pop(option.key, None)
        if str(option.value or ""):
            machine.extra[option.key] = str(option.value)


def _refuse_hot_plug(spec: Any, machine: Machine) -> None:
    if machine.power is Power.OFF:
        return
    if spec.numCPUs not in {None, machine.cpus}:
        raise refusal("CpuHotPlugNotSupported")
    if spec.memoryMB not in {None, machine.memory_mib}:
        raise refusal("MemoryHotPlugNotSupported")


def _device_privilege(change: Any, machine: Machine | None) -> str:
    device, operation = change.device, change.operation
    if isinstance(device, _DEVICE.VirtualDisk):
        if operation == "add":
            return "AddNewDisk" if change.fileOperation == "create" else "AddExistingDisk"
        return "RemoveDisk" if operation == "remove" else _disk_edit_privilege(device, machine)
    return "EditDevice" if operation == "edit" else "AddRemoveDevice"


def _disk_edit_privilege(device: Any, machine: Machine | None) -> str:
    for disk in machine.disks if machine else ():
        if disk.key == device.key and disk.file is not None:
            return "DiskExtend" if capacity_of(device) > (disk.file.capacity_bytes or 0) else "EditDevice"
    return "EditDevice"
