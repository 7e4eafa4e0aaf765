"""What the guest of a new VM finds: cloud-init byte for byte, who it is, and nothing of an older machine."""

from __future__ import annotations

import random

import pytest
from pyVmomi import vim

from providers.errors import InvalidRequestError
from providers.sandbox.vsphere import ISO_IMAGE, TEMPLATE, VMDK_IMAGE
from providers.vsphere.guestinfo import LIMIT_BYTES, encoded
from tests.providers.reached import USER_DATA
from tests.providers.vsphere.site import Kind, Site


def noise(size: int) -> bytes:
    """Bytes that do not get smaller by compression; the same every time."""
    return random.Random(4).randbytes(size)  # noqa: S311 - nobody has to be unable to guess them


def most_noise() -> int:
    """How many such bytes fit, encoded."""
    return next(size for size in range(LIMIT_BYTES * 3 // 4, 0, -1) if len(encoded(noise(size))) <= LIMIT_BYTES)


@pytest.mark.parametrize(
    "data",
    [
        USER_DATA,
        b"\x00",
        bytes(range(256)) * 4,
        "#cloud-config\nhostname: größe-☃\n".encode(),
        b"#!/bin/sh\r\necho 'a\\b' \"$HOME\" <&>\r\n",
        b"a" * (500 * 1024),
    ],
    ids=["text", "zero", "all bytes", "unicode", "quotes", "long"],
)
def test_user_data_reach_the_guest_byte_for_byte(site: Site, data: bytes) -> None:
    """In both modes, whatever they are."""
    assert site.told(site.create(cloud_init=data), "userdata") == data


def test_user_data_at_the_limit_reach_the_guest_and_one_byte_more_is_refused(site: Site) -> None:
    """64 KiB, encoded, before any call."""
    most = most_noise()
    assert site.told(site.create(cloud_init=noise(most)), "userdata") == noise(most)
    assert len(site.sandbox.vms()[0].guestinfo["userdata"]) <= LIMIT_BYTES
    larger = next(size for size in range(most, LIMIT_BYTES) if len(encoded(noise(size))) > LIMIT_BYTES)
    assert larger <= most + 4
    site.sandbox.calls.clear()
    with pytest.raises(InvalidRequestError, match="65,536"):
        site.gateway().create_vm(site.spec(cloud_init=noise(larger), name="test2"))
    assert site.operations() == []


@pytest.mark.parametrize("key", ["", "key-1"])
def test_metadata_tell_the_guest_who_it_is(site: Site, key: str) -> None:
    """Its instance-id is the VM's id, and its name is the VM's; nothing else is told."""
    vm_id = site.create(key=key)
    assert site.metadata(vm_id) == {"instance-id": vm_id, "local-hostname": "test1"}


@pytest.mark.parametrize("nothing", [None, b""])
def test_guest_without_user_data_finds_none(site: Site, nothing: bytes | None) -> None:
    """Who it is it knows all the same."""
    vm_id = site.create(cloud_init=nothing)
    assert set(site.sandbox.guestinfo(vm_id)) == {"metadata", "metadata.encoding"}


@pytest.mark.parametrize("nothing", [None, USER_DATA])
def test_guest_finds_nothing_of_an_older_template(center: Site, nothing: bytes | None) -> None:
    """A template that was made of a VM with cloud-init has its variables; its copies must not run them again."""
    with center.stranger() as stranger:
        old = center.sandbox.vm(center.create(name="old", start=False))
        assert center.told(old.instance_uuid, "userdata") == USER_DATA
        ref = stranger.vm("old")
        extra = [
            vim.option.OptionValue(key=f"guestinfo.{key}", value="old") for key in ("vendordata", "vendordata.encoding")
        ]
        stranger.done(ref.ReconfigVM_Task(vim.vm.ConfigSpec(extraConfig=extra)))
        ref.MarkAsTemplate()
    vm_id = center.create("old", name="new", cloud_init=nothing)
    assert center.told(vm_id, "userdata") == nothing
    assert center.metadata(vm_id) == {"instance-id": vm_id, "local-hostname": "new"}
    found = center.sandbox.guestinfo(vm_id)
    assert {key for key, value in found.items() if value == "old"} == set()
    assert ("userdata" in found, "userdata.encoding" in found) == (nothing is not None, nothing is not None)


def test_copy_has_nothing_of_its_templates_notes(center: Site) -> None:
    """Its tags, its mark and its key are its own."""
    center.create(name="old", start=False, key="key-1", tags={"team": "old"})
    with center.stranger() as stranger:
        stranger.vm("old").MarkAsTemplate()
    vm_id = center.create("old", name="new")
    assert "old" not in center.sandbox.vm(vm_id).annotation
    assert center.gateway().get_vm(vm_id).tags == {}


@pytest.mark.parametrize(("kind", "image"), [("vcenter", TEMPLATE), ("esxi", VMDK_IMAGE), ("esxi", ISO_IMAGE)])
def test_vm_has_the_size_that_was_asked_for(center: Site, host: Site, kind: Kind, image: str) -> None:
    """CPUs, memory, a disk that takes room only as it fills, a network and a MAC address."""
    site = center if kind == "vcenter" else host
    vm = site.sandbox.vm(site.create(image, tags={"team": "web"}))
    assert (vm.cpus, vm.memory_mib, vm.power_state, vm.boots) == (2, 4096, "poweredOn", 1)
    assert [(disk.capacity_bytes >> 30, disk.is_thin) for disk in vm.disks] == [(20, True)]
    assert (len(vm.networks), len(vm.macs)) == (1, 1)
    assert site.gateway().get_vm(vm.instance_uuid).tags == {"team": "web"}
