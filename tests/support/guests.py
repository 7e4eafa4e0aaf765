"""What the cloud-init of a simulated VM finds, read from the simulators' own state, as each cloud hands it over."""

import base64
import gzip
import io
from functools import singledispatch

from pycdlib import PyCdlib

from providers.sandbox import proxmox
from providers.sandbox.aws import AwsSandbox
from providers.sandbox.azure import AzureSandbox
from providers.sandbox.nutanix import NutanixSandbox
from providers.sandbox.proxmox import ProxmoxSandbox
from providers.sandbox.vsphere import VSphereSandbox


@singledispatch
def user_data(simulator: object, vm_id: str) -> bytes | None:
    """The user data of a VM, byte for byte; None if it got none."""
    raise TypeError(type(simulator).__name__)


@user_data.register
def _(simulator: AwsSandbox, vm_id: str) -> bytes | None:
    return simulator.user_data(vm_id)


@user_data.register
def _(simulator: AzureSandbox, vm_id: str) -> bytes | None:
    return simulator.custom_data(vm_id)


@user_data.register
def _(simulator: NutanixSandbox, vm_id: str) -> bytes | None:
    return simulator.user_data(vm_id)


@user_data.register
def _(simulator: ProxmoxSandbox, vm_id: str) -> bytes | None:
    drives = (value.split(",")[0] for value in simulator.vm(vm_id).config.values() if "media=cdrom" in value)
    images = [simulator.data(volume) for volume in drives if volume != proxmox.ISO_IMAGE]
    return read_user_data(images[0]) if images and images[0] is not None else None


@user_data.register
def _(simulator: VSphereSandbox, vm_id: str) -> bytes | None:
    found = simulator.guestinfo(vm_id)
    if "userdata" not in found:
        return None
    assert found["userdata.encoding"] == "gzip+base64"
    return gzip.decompress(base64.b64decode(found["userdata"]))


def read_user_data(image: bytes) -> bytes:
    """The user data in a NoCloud image."""
    iso = PyCdlib()
    iso.open_fp(io.BytesIO(image))
    content = io.BytesIO()
    iso.get_file_from_iso_fp(content, joliet_path="/user-data")
    iso.close()
    return content.getvalue()
