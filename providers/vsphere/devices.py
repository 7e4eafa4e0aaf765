"""The virtual hardware of new VMs, as changes that a specification asks for."""

from __future__ import annotations

import copy
from typing import Final, TypeAlias, TypeVar, cast

from pyVmomi import VmomiSupport, vim

from providers.errors import PermissionDeniedError
from providers.vsphere.placement import Places
from providers.vsphere.properties import Found

Change: TypeAlias = vim.vm.device.VirtualDeviceSpec
_Operation = vim.vm.device.VirtualDeviceSpec.Operation

KIB_PER_GIB: Final = 1024 * 1024
# Keys of new devices are ours to choose; these are the ones that vSphere gives itself.
_SCSI_KEY, _SATA_KEY, _DISK_KEY, _NIC_KEY, _DRIVE_KEY = 1000, 15000, 2000, 4000, 16000

D = TypeVar("D", bound=vim.vm.device.VirtualDevice)


def larger_disk(disk: vim.vm.device.VirtualDisk | None, gib: int | None) -> list[Change]:
    """Let a template's disk grow; never shrink it."""
    if disk is None or gib is None or disk.capacityInKB >= gib * KIB_PER_GIB:
        return []
    grown = _edited(disk)
    grown.capacityInKB = VmomiSupport.long(gib * KIB_PER_GIB)
    grown.capacityInBytes = VmomiSupport.long(gib * KIB_PER_GIB * 1024)
    return [Change(operation=_Operation.edit, device=grown)]


def other_network(nic: vim.vm.device.VirtualEthernetCard | None, network: Found, places: Places) -> Change:
    """Connect a template's interface to a network; give it one if it has none."""
    if nic is None:
        return new_nic(network, places, is_windows=False)
    moved = _edited(nic)
    moved.backing = _backing(network, places)
    moved.connectable = _connected()
    # Never the template's address: one that was set by hand would be on the network twice.
    moved.addressType, moved.macAddress = "generated", None
    return Change(operation=_Operation.edit, device=moved)


def new_nic(network: Found, places: Places, *, is_windows: bool) -> Change:
    """A network interface; Windows brings no driver for VMXNET3 along."""
    kind = vim.vm.device.VirtualE1000e if is_windows else vim.vm.device.VirtualVmxnet3
    nic = kind(key=_NIC_KEY, backing=_backing(network, places), connectable=_connected(), addressType="generated")
    return _added(nic)


def disk_of_file(path: str, *, is_windows: bool) -> list[Change]:
    """A disk that is there already, and its controller."""
    return [_controller(is_windows=is_windows), _added(_disk(path, 0))]


def empty_disk(path: str, gib: int, *, is_windows: bool) -> list[Change]:
    """A new disk that takes room only as it fills, and its controller."""
    change = _added(_disk(path, gib * KIB_PER_GIB))
    change.fileOperation = vim.vm.device.VirtualDeviceSpec.FileOperation.create
    return [_controller(is_windows=is_windows), change]


def drive(path: str) -> list[Change]:
    """A CD drive with an image in it, and its controller."""
    controller = vim.vm.device.VirtualAHCIController(key=_SATA_KEY, busNumber=0)
    inserted = vim.vm.device.VirtualCdrom(
        key=_DRIVE_KEY,
        controllerKey=_SATA_KEY,
        unitNumber=0,
        backing=vim.vm.device.VirtualCdrom.IsoBackingInfo(fileName=path),
        connectable=_connected(),
    )
    return [_added(controller), _added(inserted)]


def _controller(*, is_windows: bool) -> Change:
    """Windows brings no driver for the paravirtual one along."""
    kinds = vim.vm.device
    kind = kinds.VirtualLsiLogicSASController if is_windows else kinds.ParaVirtualSCSIController
    return _added(kind(key=_SCSI_KEY, busNumber=0, sharedBus=kinds.VirtualSCSIController.Sharing.noSharing))


def _disk(path: str, kib: int) -> vim.vm.device.VirtualDisk:
    backing = vim.vm.device.VirtualDisk.FlatVer2BackingInfo(fileName=path, diskMode="persistent", thinProvisioned=True)
    return vim.vm.device.VirtualDisk(
        key=_DISK_KEY, controllerKey=_SCSI_KEY, unitNumber=0, backing=backing, capacityInKB=kib
    )


def _backing(network: Found, places: Places) -> vim.vm.device.VirtualDevice.BackingInfo:
    """How an interface names its network, which differs by the network's kind."""
    cards = vim.vm.device.VirtualEthernetCard
    values = network.values
    if isinstance(network.ref, vim.dvs.DistributedVirtualPortgroup):
        switch = places.at(values.get("config.distributedVirtualSwitch"))
        if switch is None or "uuid" not in switch.values or "key" not in values:
            raise PermissionDeniedError(
                f"The port group {network.name!r} cannot be used, as the user may not see it and its distributed "
                "switch: grant Read-only on the switch."
            )
        port = vim.dvs.PortConnection(portgroupKey=values["key"], switchUuid=switch.values["uuid"])
        return cards.DistributedVirtualPortBackingInfo(port=port)
    if isinstance(network.ref, vim.OpaqueNetwork):
        summary = values["summary"]
        return cards.OpaqueNetworkBackingInfo(
            opaqueNetworkId=summary.opaqueNetworkId, opaqueNetworkType=summary.opaqueNetworkType
        )
    # By its name as the server writes it, escapes and all.
    return cards.NetworkBackingInfo(deviceName=str(values["name"]), network=cast("vim.Network", network.ref))


def _connected() -> vim.vm.device.VirtualDevice.ConnectInfo:
    return vim.vm.device.VirtualDevice.ConnectInfo(startConnected=True, allowGuestControl=True, connected=True)


def _added(device: vim.vm.device.VirtualDevice) -> Change:
    return Change(operation=_Operation.add, device=device)


def _edited(device: D) -> D:
    """A copy: the template's own description is kept and shared."""
    return copy.copy(device)
