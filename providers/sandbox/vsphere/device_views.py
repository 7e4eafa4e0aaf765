"""A VM's devices as vSphere shows them."""

from typing import Any

from pyVmomi import vim

from providers.sandbox.vsphere.machines import Device, Disk, Machine, Nic, Plain

_KIB = 1024


def devices(machine: Machine) -> list[Any]:
    """All devices of a VM."""
    return [device_view(device) for device in sorted(machine.devices, key=lambda device: device.key)]


def device_view(device: Device) -> Any:
    """One device."""
    if isinstance(device, Disk):
        return _disk(device)
    if isinstance(device, Nic):
        return _nic(device)
    return device.device


def _backing_of(nic: Nic) -> Any:
    """What a network adapter is connected to."""
    ethernet = vim.vm.device.VirtualEthernetCard
    if nic.network.switch_uuid is not None:
        port = vim.dvs.PortConnection(switchUuid=nic.network.switch_uuid, portgroupKey=nic.network.moid)
        return ethernet.DistributedVirtualPortBackingInfo(port=port)
    return ethernet.NetworkBackingInfo(deviceName=nic.network.name, network=nic.network.ref, useAutoDetect=False)


def plain(key: int, kind: Any, label: str, **fields: Any) -> Plain:
    """A controller or a drive."""
    info = vim.Description(label=label, summary=label)
    return Plain(key, kind(key=key, deviceInfo=info, **fields))


def _disk(disk: Disk) -> Any:
    file = disk.file
    capacity = (file.capacity_bytes or 0) if file is not None else 0
    backing = vim.vm.device.VirtualDisk.FlatVer2BackingInfo(
        fileName=disk.file_name,
        datastore=disk.datastore.ref,
        diskMode=disk.mode,
        thinProvisioned=file.is_thin if file is not None else None,
        uuid=file.uuid if file is not None else None,
    )
    number = (disk.key - 2000) % 16 + 1
    return vim.vm.device.VirtualDisk(
        key=disk.key,
        controllerKey=disk.controller_key,
        unitNumber=disk.unit,
        backing=backing,
        capacityInKB=capacity // _KIB,
        capacityInBytes=capacity,
        deviceInfo=vim.Description(label=f"Hard disk {number}", summary=f"{capacity // _KIB:,} KB"),
    )


def _nic(nic: Nic) -> Any:
    connectable = vim.vm.device.VirtualDevice.ConnectInfo(
        startConnected=True, connected=nic.is_connected, allowGuestControl=True, status="untried"
    )
    return nic.type(
        key=nic.key,
        controllerKey=100,
        unitNumber=nic.unit,
        backing=_backing_of(nic),
        macAddress=nic.mac,
        addressType="assigned" if nic.is_mac_assigned else "manual",
        connectable=connectable,
        wakeOnLanEnabled=True,
        deviceInfo=vim.Description(label=f"Network adapter {nic.key - 3999}", summary=nic.network.name),
    )
