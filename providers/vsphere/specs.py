"""What vCenter and ESXi are asked to make, from a draft and the places that were chosen; no calls."""

from __future__ import annotations

from typing import Final, cast

from pyVmomi import vim

from providers.vsphere import devices, guestinfo
from providers.vsphere.drafts import Draft
from providers.vsphere.images import File, Template
from providers.vsphere.placement import Placement

# Where neither the machine type nor an image says how large.
EMPTY_DISK_GIB: Final = 32
# What vSphere's own wizards know these as; the guest tells more once Tools run in it.
GUEST_IDS: Final = {"windows": "windows9Server64Guest", "linux": "otherLinux64Guest"}


def clone_spec(draft: Draft, template: Template, place: Placement) -> vim.vm.CloneSpec:
    """A copy of a template with a size, notes and cloud-init of its own, running at the end if it is wanted so."""
    config = draft.config()
    changes = devices.larger_disk(template.disk, draft.spec.os.disk_gib)
    if place.network is not None:
        changes.append(devices.other_network(template.nic, place.network, place.places))
    config.deviceChange = changes
    unwanted = guestinfo.inherited({option.key: "" for option in config.extraConfig})
    config.extraConfig += [vim.option.OptionValue(key=key, value=value) for key, value in unwanted.items()]
    # The properties of a template that came as an OVA: cloud-init would heed them and not what it is given here.
    config.vAppConfigRemoved = True
    location = vim.vm.RelocateSpec(
        pool=cast("vim.ResourcePool", place.pool),
        host=cast("vim.HostSystem | None", place.host),
        datastore=cast("vim.Datastore", place.datastore.ref) if place.datastore else None,
    )
    return vim.vm.CloneSpec(location=location, config=config, powerOn=draft.spec.start, template=False)


def host_spec(draft: Draft, image: File, folder: str, disk: str, place: Placement) -> vim.vm.ConfigSpec:
    """A VM on a standalone host in `folder`: with the disk that was copied to `disk`, or an empty one and a CD."""
    config, spec = draft.config(), draft.spec
    is_windows = spec.os.os_type.lower() == "windows"
    if image.is_disk:
        hardware = devices.disk_of_file(disk, is_windows=is_windows)
    else:
        gib = spec.os.disk_gib or EMPTY_DISK_GIB
        hardware = [*devices.empty_disk(disk, gib, is_windows=is_windows), *devices.drive(str(image))]
    config.name = spec.name
    config.guestId = GUEST_IDS["windows" if is_windows else "linux"]
    config.files = vim.vm.FileInfo(vmPathName=f"{folder}/{spec.name}.vmx")
    if place.network is not None:
        hardware.append(devices.new_nic(place.network, place.places, is_windows=is_windows))
    config.deviceChange = hardware
    return config
