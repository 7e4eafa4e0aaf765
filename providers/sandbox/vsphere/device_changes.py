"""Device changes of a ConfigSpec: controllers, disks, network adapters and drives, added, edited and removed.

https://developer.broadcom.com/xapis/vsphere-web-services-api/latest/vim.vm.device.VirtualDeviceSpec.html
"""

import copy
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

from pyVmomi import vim

from providers.sandbox.vsphere.device_plans import Plan, invalid_device
from providers.sandbox.vsphere.disk_files import DiskFiles, capacity_of
from providers.sandbox.vsphere.files import DatastorePath
from providers.sandbox.vsphere.inventory import Datacenter, Datastore, Network
from providers.sandbox.vsphere.machines import Device, Disk, Machine, Nic, Plain
from providers.sandbox.vsphere.network_changes import backs
from providers.sandbox.vsphere.refusals import refusal
from providers.sandbox.vsphere.world import World

_DEVICE: Final = vim.vm.device
_OPERATIONS: Final = _DEVICE.VirtualDeviceSpec.Operation
# Where the keys of each kind of controller begin, and of what is on it, as vSphere numbers them.
_CONTROLLERS: Final = (
    (_DEVICE.VirtualIDEController, 200, 3000),
    (_DEVICE.VirtualSCSIController, 1000, 2000),
    (_DEVICE.VirtualAHCIController, 15000, 16000),
    (_DEVICE.VirtualNVMEController, 31000, 32000),
)
_OTHERS: Final = 12000
_UNITS_EACH: Final = 16
# The SCSI controller itself.
_RESERVED_UNIT: Final = 7


class DeviceChanges:
    """Plans the changes of one specification for one VM, whose own devices stay as they are until the plan is used."""

    def __init__(self, world: World, datacenter: Datacenter | None, machine: Machine) -> None:
        self._world = world
        self._datacenter = datacenter
        self._plan = Plan([copy.copy(device) for device in machine.devices])
        self._files = DiskFiles(world, datacenter, machine, self._plan)
        self._given_keys: dict[int, int] = {}

    def plan(self, changes: Sequence[Any]) -> Plan:
        """The plan; raises InvalidDeviceSpec and its kin, InvalidDatastore, FileNotFound, FileAlreadyExists."""
        for index, change in enumerate(changes):
            if change.operation == _OPERATIONS.add:
                self._add(index, change)
            elif change.operation == _OPERATIONS.remove:
                self._remove(index, change)
            else:
                self._edit(index, change)
        return self._plan

    def _add(self, index: int, change: Any) -> None:
        device = change.device
        if isinstance(device, _DEVICE.VirtualController):
            added: Device = self._controller(device)
        elif isinstance(device, _DEVICE.VirtualDisk):
            added = self._disk(index, change)
        elif isinstance(device, _DEVICE.VirtualEthernetCard):
            added = self._nic(index, device)
        else:
            added = self._drive(index, device)
        self._plan.devices.append(added)

    def _edit(self, index: int, change: Any) -> None:
        position, found = self._find(index, change.device)
        if isinstance(found, Disk):
            self._grow(index, found, change.device)
        elif isinstance(found, Nic):
            self._plan.devices[position] = self._edited_nic(index, found, change.device)
        else:
            edited = copy.copy(change.device)
            self._refuse_unknown_datastore(edited)
            self._plan.devices[position] = Plain(found.key, edited)

    def _remove(self, index: int, change: Any) -> None:
        position, found = self._find(index, change.device)
        del self._plan.devices[position]
        if isinstance(found, Disk) and change.fileOperation == "destroy":
            self._plan.removed.append((found.datastore, found.path))

    def _find(self, index: int, device: Any) -> tuple[int, Device]:
        for position, found in enumerate(self._plan.devices):
            if found.key == device.key and _is_alike(found, device):
                return position, found
        raise invalid_device(index, "key")

    # Controllers and drives.

    def _controller(self, device: Any) -> Plain:
        first = next((start for kind, start, _ in _CONTROLLERS if isinstance(device, kind)), _OTHERS)
        key = self._free_key(first)
        self._given_keys[device.key] = key
        added = copy.copy(device)
        added.key, added.busNumber = key, key - first
        return Plain(key, added)

    def _drive(self, index: int, device: Any) -> Plain:
        added = copy.copy(device)
        self._refuse_unknown_datastore(device)
        first = _OTHERS
        if device.controllerKey is not None:
            controller = self._controller_of(index, device)
            added.controllerKey = controller.key
            added.unitNumber = self._unit(index, controller.key, device.unitNumber)
            first = _first_key(controller)
        added.key = self._free_key(first + (added.unitNumber or 0) if first != _OTHERS else first)
        return Plain(added.key, added)

    def _controller_of(self, index: int, device: Any) -> Plain:
        key = self._given_keys.get(device.controllerKey, device.controllerKey)
        for found in self._plan.devices:
            if isinstance(found, Plain) and found.key == key and isinstance(found.device, _DEVICE.VirtualController):
                return found
        raise invalid_device(index, "controllerKey")

    def _unit(self, index: int, controller_key: int, wanted: int | None) -> int:
        taken = {_unit_of(found) for found in self._plan.devices if _controller_key(found) == controller_key}
        free = [unit for unit in range(_UNITS_EACH) if unit not in taken and unit != _RESERVED_UNIT]
        if wanted is None or wanted < 0:
            wanted = free[0] if free else None
        if wanted not in free:
            raise invalid_device(index, "unitNumber")
        return wanted

    def _free_key(self, first: int) -> int:
        keys = {device.key for device in self._plan.devices}
        return next(key for key in range(first, first + 1000) if key not in keys)

    def _refuse_unknown_datastore(self, device: Any) -> None:
        if isinstance(device.backing, _DEVICE.VirtualDevice.FileBackingInfo) and device.backing.fileName:
            self._world.datastore(self._datacenter, DatastorePath.parse(device.backing.fileName).datastore)

    # Disks.

    def _disk(self, index: int, change: Any) -> Disk:
        device, backing = change.device, change.device.backing
        if not isinstance(backing, _DEVICE.VirtualDevice.FileBackingInfo):
            raise invalid_device(index, "backing", "InvalidDeviceBacking")
        controller = self._controller_of(index, device)
        unit = self._unit(index, controller.key, device.unitNumber)
        is_new = change.fileOperation == "create"
        datastore, path = self._files.make(index, device) if is_new else self._files.attach(backing)
        key = self._free_key(_first_key(controller) + unit)
        return Disk(key, controller.key, unit, datastore, path, getattr(backing, "diskMode", None) or "persistent")

    def _grow(self, index: int, disk: Disk, device: Any) -> None:
        wanted, file = capacity_of(device), disk.file
        if file is None:
            raise refusal("FileNotFound", file=disk.file_name)
        capacity = self._planned_capacity(disk) or file.capacity_bytes or 0
        if wanted and wanted < capacity:
            raise invalid_device(index, "capacityInKB")
        if wanted > capacity:
            self._plan.grown.append((disk.datastore, disk.path, wanted))

    def _planned_capacity(self, disk: Disk) -> int | None:
        planned = [capacity for datastore, path, capacity in self._plan.grown if (datastore, path) == _place(disk)]
        return max(planned, default=None)

    # Network adapters.

    def _nic(self, index: int, device: Any) -> Nic:
        network = self._network(index, device.backing)
        key = self._free_key(4000)
        mac = device.macAddress if device.addressType == "manual" and device.macAddress else self._world.new_mac()
        nic = Nic(key, type(device), network, mac.lower(), unit=7 + key - 4000)
        nic.is_mac_assigned = mac != device.macAddress
        return _connected(nic, device)

    def _edited_nic(self, index: int, nic: Nic, device: Any) -> Nic:
        network = nic.network if device.backing is None else self._network(index, device.backing)
        edited = replace(nic, network=network, type=type(device))
        if device.macAddress and device.addressType == "manual":
            edited.mac, edited.is_mac_assigned = device.macAddress.lower(), False
        return _connected(edited, device)

    def _network(self, index: int, backing: Any) -> Network:
        for network in self._datacenter.networks() if self._datacenter else ():
            if backs(network, backing):
                return network
        raise invalid_device(index, "backing", "InvalidDeviceBacking")


def _connected(nic: Nic, device: Any) -> Nic:
    if device.connectable is not None:
        nic.is_connected = bool(device.connectable.startConnected or device.connectable.connected)
    return nic


def _place(disk: Disk) -> tuple[Datastore, str]:
    return disk.datastore, disk.path


def _is_alike(found: Device, device: Any) -> bool:
    kinds = {Disk: _DEVICE.VirtualDisk, Nic: _DEVICE.VirtualEthernetCard}
    return isinstance(device, kinds.get(type(found), _DEVICE.VirtualDevice))


def _first_key(controller: Plain) -> int:
    for kind, start, first in _CONTROLLERS:
        if isinstance(controller.device, kind):
            return int(first + _UNITS_EACH * (controller.key - start))
    return _OTHERS


def _controller_key(found: Device) -> int | None:
    if isinstance(found, Disk):
        return found.controller_key
    key: int | None = found.device.controllerKey if isinstance(found, Plain) else None
    return key


def _unit_of(found: Device) -> int | None:
    if isinstance(found, Disk):
        return found.unit
    unit: int | None = found.device.unitNumber if isinstance(found, Plain) else None
    return unit
