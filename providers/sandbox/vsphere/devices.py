"""The devices that every VM has, and those of the VMs that are there from the start."""

from functools import cache
from typing import Any, Final

from pyVmomi import vim

from providers.sandbox.vsphere.device_views import plain
from providers.sandbox.vsphere.machines import Device, Plain

_DEVICE: Final = vim.vm.device
SCSI_KEY: Final = 1000


def standard_devices() -> list[Device]:
    """The controllers and devices of a new VM; never changed in place, so that all VMs may share them."""
    return list(_standard())


def scsi_controller() -> Plain:
    """A paravirtual SCSI controller."""
    return _scsi()


@cache
def _standard() -> tuple[Plain, ...]:
    return (
        plain(100, _DEVICE.VirtualPCIController, "PCI controller 0", busNumber=0),
        plain(200, _DEVICE.VirtualIDEController, "IDE 0", busNumber=0),
        plain(201, _DEVICE.VirtualIDEController, "IDE 1", busNumber=1),
        plain(300, _DEVICE.VirtualPS2Controller, "PS2 controller 0", busNumber=0),
        plain(400, _DEVICE.VirtualSIOController, "SIO controller 0", busNumber=0),
        plain(500, _DEVICE.VirtualVideoCard, "Video card", controllerKey=100, unitNumber=0),
        plain(600, _DEVICE.VirtualKeyboard, "Keyboard", controllerKey=300, unitNumber=0),
        plain(700, _DEVICE.VirtualPointingDevice, "Pointing device", **_pointing()),
    )


def _pointing() -> dict[str, Any]:
    backing = _DEVICE.VirtualPointingDevice.DeviceBackingInfo(deviceName="", hostPointingDevice="autodetect")
    return {"controllerKey": 300, "unitNumber": 1, "backing": backing}


@cache
def _scsi() -> Plain:
    kind = _DEVICE.ParaVirtualSCSIController
    return plain(SCSI_KEY, kind, "SCSI controller 0", busNumber=0, sharedBus="noSharing", controllerKey=100)
