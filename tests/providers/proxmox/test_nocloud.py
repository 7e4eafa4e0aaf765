"""The image with cloud-init, as a guest would mount it."""

from __future__ import annotations

import os

import pytest

from providers.proxmox.nocloud import image
from providers.sandbox.proxmox import IMPORT_IMAGE
from tests.providers.proxmox.cluster import IMAGES, Pve
from tests.providers.proxmox.images import READERS, label, meta_data, read, user_data

BY = ["", *READERS]
SIZES = [0, 1, 2047, 2048, 2049, 512 << 10]


@pytest.mark.parametrize("reader", ["pycdlib", "isoinfo", "7z"])
@pytest.mark.parametrize("size", SIZES)
def test_image_holds_the_user_data_byte_for_byte(size: int, reader: str) -> None:
    """Around the size of a sector, and up to the largest; any bytes."""
    if reader != "pycdlib" and reader not in READERS:
        pytest.skip(f"{reader} is not installed")
    content = os.urandom(size)
    made = image(content, instance_id="i-1", hostname="test1")
    assert read(made, "user-data", reader.replace("pycdlib", "")) == content
    assert b'"local-hostname": "test1"' in read(made, "meta-data", reader.replace("pycdlib", ""))


@pytest.mark.parametrize("reader", BY)
def test_image_is_labelled_as_cloud_init_looks_for_it(reader: str) -> None:
    """CIDATA."""
    assert label(image(b"", instance_id="i-1", hostname="test1"), reader) == "CIDATA"


@pytest.mark.parametrize("source", IMAGES)
def test_create_uploads_an_image_for_each_kind_of_image(pve: Pve, source: str) -> None:
    """In a drive of the VM; its name does not tell whose it is."""
    content = os.urandom(3000)
    vm_id = pve.create(source, name="billing-db", cloud_init=content, start=False)
    (volume,) = pve.sandbox.volumes(content="iso")
    assert any(value.startswith(f"{volume.id},") for value in pve.sandbox.vm(vm_id).config.values())
    assert "billing" not in volume.id
    uploaded = pve.sandbox.data(volume.id)
    assert uploaded is not None
    assert user_data(uploaded) == content
    assert meta_data(uploaded)["local-hostname"] == "billing-db"
    assert len(meta_data(uploaded)["instance-id"]) == 32


@pytest.mark.parametrize("size", [0, 512 << 10])
def test_create_with_the_least_and_the_most_user_data_works(pve: Pve, size: int) -> None:
    """Empty user data is user data; the largest goes beyond what PVE takes in any other call."""
    content = os.urandom(size)
    pve.create(IMPORT_IMAGE, cloud_init=content, start=False)
    (volume,) = pve.sandbox.volumes(content="iso")
    uploaded = pve.sandbox.data(volume.id)
    assert uploaded is not None
    assert user_data(uploaded) == content


def test_create_with_another_storage_for_images_uses_it(pve: Pve) -> None:
    """`iso_storage` of the environment; delete finds it there."""
    gateway = pve.gateway(options={"iso_storage": ("nfs",)})
    vm_id = pve.create(gateway=gateway, start=False)
    assert [volume.id.split(":")[0] for volume in pve.sandbox.volumes(content="iso")] == ["nfs"]
    gateway.delete_vm(vm_id)
    assert pve.made() == ([], [])
