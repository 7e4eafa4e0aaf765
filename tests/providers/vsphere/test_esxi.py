"""A standalone host: what it cannot do is said before any change; the free licence lets programs read and no more."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from providers.domain import StopMode
from providers.errors import ErrorCode, PermissionDeniedError, ProviderError, UnprocessableError, UnsupportedError
from providers.gateway import Gateway
from providers.sandbox.faults import Fault
from providers.sandbox.vsphere import ISO_IMAGE, TEMPLATE, VMDK_IMAGE
from tests.providers.vsphere.site import GIB, Site

CHANGES = {"MakeDirectory", "CloneVM_Task", "CopyVirtualDisk_Task", "CreateVM_Task"}
WRITES: dict[str, tuple[str, Callable[[Gateway, str], object]]] = {
    "start": ("stopped", lambda gateway, vm_id: gateway.start_vm(vm_id)),
    "stop": ("running", lambda gateway, vm_id: gateway.stop_vm(vm_id, StopMode.AUTO, 1)),
    "forced stop": ("running", lambda gateway, vm_id: gateway.stop_vm(vm_id, StopMode.FORCE, 1)),
    "restart": ("running", lambda gateway, vm_id: gateway.restart_vm(vm_id, StopMode.AUTO, 1)),
    "forced restart": ("running", lambda gateway, vm_id: gateway.restart_vm(vm_id, StopMode.FORCE, 1)),
    "delete": ("running", lambda gateway, vm_id: gateway.delete_vm(vm_id)),
    "delete of a stopped one": ("stopped", lambda gateway, vm_id: gateway.delete_vm(vm_id)),
}


@pytest.mark.parametrize("image", [TEMPLATE, "templates/debian-12", "/ha-datacenter/vm/debian-12"])
def test_create_of_a_template_on_a_host_is_unsupported(host: Site, image: str) -> None:
    """ESXi clones nothing, and says NotSupported if it is asked: it is not."""
    error = host.failed(image)
    assert isinstance(error, UnsupportedError)
    assert all(word in error.detail for word in (".vmdk", ".iso", "ESXi"))
    assert not CHANGES & set(host.operations())
    assert host.made() == []


@pytest.mark.parametrize("image", ["library:golden", "Library:images/golden"])
def test_create_of_a_library_item_is_unsupported(site: Site, image: str) -> None:
    """On either kind of server, before any call."""
    error = site.failed(image)
    assert isinstance(error, UnsupportedError)
    assert "content library" in error.detail
    assert site.operations() == []


@pytest.mark.parametrize("image", [VMDK_IMAGE, ISO_IMAGE])
def test_create_of_a_file_on_vcenter_is_unprocessable(center: Site, image: str) -> None:
    """There the image is a template."""
    error = center.failed(image)
    assert isinstance(error, UnprocessableError)
    assert "template" in error.detail
    assert not CHANGES & set(center.operations())


@pytest.mark.parametrize(
    "image",
    [
        "[datastore1] images/none.vmdk",
        "[datastore1] none/debian-12.vmdk",
        "[datastore1] none.iso",
        "[nowhere] images/debian-12.vmdk",
    ],
)
def test_create_without_the_image_makes_nothing(host: Site, image: str) -> None:
    """Which file is missing is told."""
    error = host.failed(image)
    assert error.code is ErrorCode.UNPROCESSABLE
    assert any(word in error.detail for word in (image, "[datastore1]"))
    assert host.made() == []
    assert not CHANGES & set(host.operations())


def test_create_on_a_host_that_is_full_leaves_nothing(host: Site) -> None:
    """The copy does not fit."""
    host.sandbox.add_datastore("tiny", capacity_bytes=1 << 19)
    with pytest.raises(UnprocessableError):
        host.gateway(storage_external_id="tiny").create_vm(host.spec())
    host.rest()
    assert host.made() == []


def test_create_of_an_image_on_another_datastore_copies_it(host: Site) -> None:
    """The image stays where it is."""
    host.sandbox.add_datastore("images")
    image = "[images] golden/small.vmdk"
    host.sandbox.add_file(image, size_bytes=1 << 20, capacity_bytes=2 * GIB)
    vm = host.sandbox.vm(host.create(image, gateway=host.gateway(storage_external_id="datastore1")))
    assert vm.disks[0].file.startswith("[datastore1] cloudvm-test1-")
    assert vm.disks[0].capacity_bytes == 20 * GIB
    assert host.sandbox.has_file(image)
    host.gateway().delete_vm(vm.instance_uuid)
    assert host.sandbox.has_file(image)


@pytest.mark.parametrize("image", [VMDK_IMAGE, ISO_IMAGE])
def test_delete_leaves_the_image(host: Site, image: str) -> None:
    """The ISO in the drive, above all."""
    host.gateway().delete_vm(host.create(image))
    assert host.sandbox.has_file(image)
    assert host.made() == []


@pytest.mark.parametrize("verb", WRITES)
def test_verb_with_the_free_licence_is_denied_and_says_that_it_is_read_only(host: Site, verb: str) -> None:
    """Whatever it is; nothing is changed."""
    begin, act = WRITES[verb]
    (vm_id,) = host.sandbox.seed(1, state=begin)
    before = host.sandbox.vm(vm_id)
    host.sandbox.knobs.is_free_licence = True
    with pytest.raises(PermissionDeniedError, match=r"RestrictedVersion.*free licence.*read"):
        act(host.gateway(), vm_id)
    assert host.sandbox.vm(vm_id) == before


@pytest.mark.parametrize("image", [VMDK_IMAGE, ISO_IMAGE])
def test_create_with_the_free_licence_is_denied_and_leaves_nothing(host: Site, image: str) -> None:
    """At its first step."""
    host.sandbox.knobs.is_free_licence = True
    error = host.failed(image)
    assert isinstance(error, PermissionDeniedError)
    assert "free licence" in error.detail
    assert (error.leftovers, host.made()) == ((), [])


def test_create_whose_licence_ends_half_way_tells_what_stays(host: Site) -> None:
    """An evaluation ends: what was made cannot be removed any more, and is named."""
    host.sandbox.fail_next_task("ExtendVirtualDisk_Task", "RestrictedVersion")
    gateway = host.gateway()
    host.sandbox.faults.add(denied("DeleteDatastoreFile_Task"))
    with pytest.raises(ProviderError) as caught:
        gateway.create_vm(host.spec())
    assert isinstance(caught.value, PermissionDeniedError)
    (leftover,) = caught.value.leftovers
    assert (leftover.kind, leftover.removed) == ("folder", False)
    assert f"{leftover.id}/" in host.sandbox.files()


def denied(operation: str) -> Fault:
    """As the free licence says it."""
    return Fault(operation, code="RestrictedVersion", times=None)


def test_reading_with_the_free_licence_works(host: Site) -> None:
    """That is what it is for."""
    (vm_id,) = host.sandbox.seed(1)
    host.sandbox.knobs.is_free_licence = True
    assert [vm.id for vm in host.gateway().list_vms()] == [vm_id]
    assert host.gateway().get_vm(vm_id).id == vm_id
