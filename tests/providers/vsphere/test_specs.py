"""What vSphere is asked to make, before it is asked."""

import json
from typing import Any

import pytest
from pyVmomi import VmomiSupport, vim
from pyVmomi.SoapAdapter import Deserialize, Serialize

from providers.domain import Environment, Idempotency, Offer, OperatingSystem, VMSpec
from providers.errors import PermissionDeniedError
from providers.vsphere import CLOUD
from providers.vsphere.devices import KIB_PER_GIB, other_network
from providers.vsphere.drafts import Draft
from providers.vsphere.images import File, Template, file_of
from providers.vsphere.placement import Placement, Places
from providers.vsphere.progress import Goal
from providers.vsphere.properties import Found
from providers.vsphere.session import newest_version
from providers.vsphere.specs import clone_spec, host_spec

ENVIRONMENT = Environment("e", CLOUD)
DISK = vim.vm.device.VirtualDisk(key=2000, controllerKey=1000, unitNumber=0, capacityInKB=10 * KIB_PER_GIB)
NIC = vim.vm.device.VirtualVmxnet3(key=4000, macAddress="00:50:56:00:00:01", addressType="manual")
SWITCH = vim.DistributedVirtualSwitch("dvs-1", None)
GROUP = Found(
    vim.dvs.DistributedVirtualPortgroup("dvportgroup-1", None),
    {"name": "web", "key": "dvportgroup-1", "config.distributedVirtualSwitch": SWITCH},
)
LAN = Found(vim.Network("network-1", None), {"name": "lan"})
PLACES = Places(vim.Folder("group-v1", None), {"dvs-1": Found(SWITCH, {"uuid": "50 0a"})})


def spec(os_type: str = "Linux", disk_gib: int | None = None, **changed: Any) -> VMSpec:
    """A VM that is wanted."""
    return VMSpec("web1", OperatingSystem(os_type, disk_gib=disk_gib), Offer("c2m4", "x", 2, 4096), **changed)


def place(network: Found | None = None) -> Placement:
    """Where it goes."""
    pool = vim.ResourcePool("resgroup-1", None)
    return Placement(PLACES, PLACES.vm_folder, Found(pool, {}), pool, None, None, network)


def sent(value: Any) -> Any:
    """What a server reads of it: what cannot be written fails here."""
    return Deserialize(Serialize(value, version="vim.version.version12"), type(value))


def cloned(wanted: VMSpec, network: Found | None = None) -> Any:
    """The specification of a clone."""
    template = Template(vim.VirtualMachine("vm-1", None), (DISK, NIC))
    return sent(clone_spec(Draft.of(ENVIRONMENT, wanted), template, place(network)))


def hosted(wanted: VMSpec, image: str) -> Any:
    """The specification of a VM on a standalone host."""
    file = file_of(image)
    assert file is not None
    folder = "[ds] cloudvm-web1-12345678"
    return sent(host_spec(Draft.of(ENVIRONMENT, wanted), file, folder, f"{folder}/web1.vmdk", place(LAN)))


def test_clone_spec_has_size_notes_and_cloud_init() -> None:
    """In one request, with the start."""
    asked = cloned(spec(cloud_init=b"#cloud-config", tags={"team": "web"}))
    config = asked.config
    assert config.numCoresPerSocket == 2
    assert (config.numCPUs, config.memoryMB, asked.powerOn, asked.template) == (2, 4096, True, False)
    assert json.loads(config.annotation)["cloudvm"]["tags"] == {"team": "web"}
    assert {option.key for option in config.extraConfig} >= {"guestinfo.userdata", "guestinfo.metadata"}
    assert config.vAppConfigRemoved is True
    assert not config.deviceChange
    assert not cloned(spec(start=False)).powerOn


@pytest.mark.parametrize(("gib", "capacity_gib"), [(None, None), (5, None), (10, None), (20, 20)])
def test_clone_spec_disk_grows_and_never_shrinks(gib: int | None, capacity_gib: int | None) -> None:
    """The template's own description, which is shared, stays as it is."""
    changes = cloned(spec(disk_gib=gib)).config.deviceChange
    assert [change.device.capacityInKB // KIB_PER_GIB for change in changes] == [capacity_gib] * len(changes)
    assert bool(changes) == (capacity_gib is not None)
    assert DISK.capacityInKB == 10 * KIB_PER_GIB


def test_clone_spec_network_is_named_as_its_kind_wants() -> None:
    """A port group by its key and its switch, a standard network by its name."""
    (change,) = cloned(spec(), GROUP).config.deviceChange
    assert (change.operation, change.device.key) == ("edit", 4000)
    assert change.device.backing.port.portgroupKey == "dvportgroup-1"
    assert change.device.backing.port.switchUuid == "50 0a"
    (change,) = cloned(spec(), LAN).config.deviceChange
    assert change.device.backing.deviceName == "lan"
    assert NIC.backing is None


def test_clone_spec_interface_has_an_address_of_its_own() -> None:
    """That of the template may have been set by hand, and would be on the network twice."""
    (change,) = cloned(spec(), LAN).config.deviceChange
    assert (change.device.addressType, change.device.macAddress) == ("generated", None)
    assert (NIC.addressType, NIC.macAddress) == ("manual", "00:50:56:00:00:01")


def test_clone_spec_opaque_network_is_named_by_its_id() -> None:
    """NSX."""
    summary = vim.OpaqueNetwork.Summary(opaqueNetworkId="nsx-7", opaqueNetworkType="nsx.LogicalSwitch")
    network = Found(vim.OpaqueNetwork("network-o1", None), {"name": "seg", "summary": summary})
    (change,) = cloned(spec(), network).config.deviceChange
    assert change.device.backing.opaqueNetworkId == "nsx-7"


def test_other_network_without_an_interface_adds_one() -> None:
    """Some templates have none."""
    assert other_network(None, LAN, PLACES).operation == "add"


def test_other_network_on_a_switch_that_cannot_be_seen_says_so() -> None:
    """A privilege is missing, and the port group cannot be named without its switch."""
    with pytest.raises(PermissionDeniedError, match="'web'"):
        other_network(NIC, GROUP, Places(PLACES.vm_folder, {}))


def test_host_spec_of_a_disk_uses_the_copy() -> None:
    """The disk is there already: nothing is made."""
    asked = hosted(spec(), "[ds] images/debian.vmdk")
    disks = [change for change in asked.deviceChange if isinstance(change.device, vim.vm.device.VirtualDisk)]
    assert [(one.device.backing.fileName, one.fileOperation) for one in disks] == [
        ("[ds] cloudvm-web1-12345678/web1.vmdk", None)
    ]
    assert (asked.name, asked.guestId) == ("web1", "otherLinux64Guest")
    assert asked.files.vmPathName == "[ds] cloudvm-web1-12345678/web1.vmx"
    kinds = {type(change.device).__name__.rpartition(".")[2] for change in asked.deviceChange}
    assert kinds == {"ParaVirtualSCSIController", "VirtualDisk", "VirtualVmxnet3"}


@pytest.mark.parametrize(("gib", "made_gib"), [(None, 32), (8, 8)])
def test_host_spec_of_an_iso_has_an_empty_disk_and_a_drive(gib: int | None, made_gib: int) -> None:
    """With drivers that the system's installer brings along."""
    asked = hosted(spec("Windows", gib), "[ds] iso/windows.ISO")
    devices = {type(change.device).__name__.rpartition(".")[2]: change for change in asked.deviceChange}
    assert set(devices) == {
        "VirtualLsiLogicSASController",
        "VirtualDisk",
        "VirtualAHCIController",
        "VirtualCdrom",
        "VirtualE1000e",
    }
    assert devices["VirtualDisk"].device.capacityInKB == made_gib * KIB_PER_GIB
    assert devices["VirtualDisk"].fileOperation == "create"
    assert devices["VirtualCdrom"].device.backing.fileName == "[ds] iso/windows.ISO"
    assert devices["VirtualCdrom"].device.connectable.startConnected


@pytest.mark.parametrize(
    ("image", "file"),
    [
        ("[ds 1] a/b/c.vmdk", File("ds 1", "a/b", "c.vmdk", is_disk=True)),
        ("[ds]c.iso", File("ds", "", "c.iso", is_disk=False)),
        ("debian-12", None),
        ("templates/debian-12", None),
        ("[ds] c.ova", None),
        ("[ds] /c.iso", None),
        ("[] c.iso", None),
    ],
)
def test_file_of_reads_datastore_paths_only(image: str, file: File | None) -> None:
    """What is none is a template's name."""
    assert file_of(image) == file


def test_draft_with_a_key_has_an_identity_that_follows_from_it() -> None:
    """And a mark of its own for each try."""
    keyed = spec(idempotency=Idempotency("order-1", "digest-1"))
    first, again = Draft.of(ENVIRONMENT, keyed), Draft.of(ENVIRONMENT, keyed)
    other = Draft.of(ENVIRONMENT, spec(idempotency=Idempotency("order-2", "digest-1")))
    assert first.uuid == again.uuid != other.uuid
    assert first.folder_name == again.folder_name
    assert first.creation != again.creation
    assert Draft.of(ENVIRONMENT, spec()).uuid != Draft.of(ENVIRONMENT, spec()).uuid


def test_goal_survives_its_text() -> None:
    """Another process may read it."""
    goal = Goal("CloneVM_Task", "task-1", "vm-1", "poweredOn", "c", "d", "[ds] x", "n", "f")
    assert Goal.read(str(goal)) == goal


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("8.0.3.0", "vim25/8.0.3.0"),
        ("6.7.3", "vim25/6.7.3"),
        ("6.7.99", "vim25/6.7.3"),
        ("6.5", "vim25/6.5"),
        ("odd", "vim25/6.0"),
    ],
)
def test_newest_version_is_one_that_both_speak(theirs: str, ours: str) -> None:
    """The server's, or the newest that pyvmomi knows below it."""
    assert newest_version(theirs) == VmomiSupport.versionMap[ours]
    assert newest_version("99.0") == VmomiSupport.versionMap["vim25/9.1.1.0"]
