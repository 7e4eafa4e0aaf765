"""The vSphere simulator as a standalone ESXi host: what it has, what it refuses, files, disks and VMs from them."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from pyVmomi import vim, vmodl

from providers.sandbox.authority import Authority
from providers.sandbox.vsphere import DISK_BYTES, ESXI_HOST, ISO_IMAGE, VMDK_IMAGE, VSphereSandbox
from tests.sandbox.vsphere.client import DEVICE, Client, add, card, disk, refusal, scsi
from tests.support.waiting import wait_until

BROWSER = vim.host.DatastoreBrowser
TARGET = "[datastore1] test1/test1.vmdk"


@pytest.fixture(scope="module")
def running(authority: Authority) -> Iterator[VSphereSandbox]:
    """One simulator for all tests of this module."""
    with VSphereSandbox(authority, kind="esxi", task_seconds=0.02) as sandbox:
        yield sandbox


@pytest.fixture
def esxi(running: VSphereSandbox) -> VSphereSandbox:
    """The simulator, as at its start."""
    running.reset()
    return running


@pytest.fixture
def user(esxi: VSphereSandbox, authority: Authority) -> Iterator[Client]:
    """The sandbox's user."""
    client = Client(esxi, authority).log_in()
    yield client
    client.close()


def copy(user: Client, target: str = TARGET, source: str = VMDK_IMAGE, **options: Any) -> Any:
    """Begin to copy a disk."""
    manager = user.content.virtualDiskManager
    spec = vim.VirtualDiskManager.VirtualDiskSpec(diskType="thin", adapterType="lsiLogic")
    return manager.CopyVirtualDisk_Task(sourceName=source, destName=target, destSpec=spec, **options)


def make_folder(user: Client, name: str = "[datastore1] test1", **options: Any) -> None:
    """Make a folder."""
    user.content.fileManager.MakeDirectory(name=name, **options)


def test_host_is_told_as_one(esxi: VSphereSandbox, user: Client) -> None:
    """HostAgent, with ids of its own kind."""
    about = user.content.about
    assert (about.apiType, about.productLineId, about.instanceUuid) == ("HostAgent", "embeddedEsx", None)
    assert (user.content.rootFolder._moId, user.content.searchIndex._moId) == ("ha-folder-root", "ha-searchindex")
    datacenters = user.all(vim.Datacenter)
    assert {name: ref._moId for name, ref in datacenters.items()} == {"ha-datacenter": "ha-datacenter"}
    assert set(user.all(vim.HostSystem)) == {ESXI_HOST}
    assert {type(ref) for ref in user.all(vim.ComputeResource).values()} == {vim.ComputeResource}
    assert set(user.all(vim.Datastore)) == {"datastore1"}
    assert set(user.all(vim.Network)) == {"VM Network"}
    assert user.all(vim.VirtualMachine) == {}


def test_vm_is_made_of_an_image(esxi: VSphereSandbox, user: Client) -> None:
    """Folder, copy, more room, VM on it; its guest has the image's tools; its end leaves nothing but the image."""
    make_folder(user)
    user.done(copy(user))
    extend = user.content.virtualDiskManager.ExtendVirtualDisk_Task
    user.done(extend(name=TARGET, newCapacityKb=(16 << 30) // 1024))
    options = [vim.option.OptionValue(key="guestinfo.metadata", value="abc")]
    changes = [scsi(), disk(TARGET, is_new=False), card("VM Network")]
    task = user.create(
        path="[datastore1] test1/test1.vmx", extraConfig=options, deviceChange=changes, guestId="debian12_64Guest"
    )
    vm = user.done(task)
    assert vm._moId.isdigit()
    user.done(vm.PowerOnVM_Task())
    record = esxi.vm("test1")
    assert (record.power_state, record.disks[0].capacity_bytes, record.datacenter) == (
        "poweredOn",
        16 << 30,
        "ha-datacenter",
    )
    assert (record.addresses != (), dict(esxi.guestinfo("test1"))) == (True, {"metadata": "abc"})
    vm.ShutdownGuest()
    wait_until(lambda: esxi.vm("test1").power_state == "poweredOff")
    user.done(vm.Destroy_Task())
    assert (esxi.vms(), esxi.files(), esxi.has_file(VMDK_IMAGE)) == ((), (), True)


def test_vm_is_installed_from_an_iso(esxi: VSphereSandbox, user: Client) -> None:
    """An empty disk and a drive; no tools yet."""
    backing = DEVICE.VirtualCdrom.IsoBackingInfo(fileName=ISO_IMAGE)
    drive = add(DEVICE.VirtualCdrom(key=-5, controllerKey=200, backing=backing))
    user.done(user.create(deviceChange=[scsi(), disk(capacity_bytes=8 << 30), drive]))
    vm = user.vm("test1")
    user.done(vm.PowerOnVM_Task())
    assert user.one(vm, "guest.toolsStatus") == "toolsNotInstalled"
    user.done(vm.PowerOffVM_Task())
    user.done(vm.Destroy_Task())
    assert (esxi.files(), esxi.has_file(ISO_IMAGE)) == ((), True)


@pytest.mark.parametrize(
    "act",
    [
        lambda user, vm: vm.CloneVM_Task(user.vm_folder(), "x", vim.vm.CloneSpec(location=vim.vm.RelocateSpec())),
        lambda _user, vm: vm.MarkAsTemplate(),
        lambda user, vm: vm.MarkAsVirtualMachine(user.first(vim.ResourcePool)),
        lambda user, _vm: user.vm_folder().CreateFolder("x"),
        lambda user, _vm: user.vm_folder().Rename_Task("x"),
    ],
)
def test_what_only_vcenter_can_is_not_supported(
    esxi: VSphereSandbox, user: Client, act: Callable[[Client, Any], Any]
) -> None:
    """Said before there is a task."""
    esxi.seed(1, state="stopped")
    with refusal(vmodl.fault.NotSupported, "The operation is not supported on the object."):
        act(user, user.vm("vm-0001"))
    assert (esxi.tasks(), len(esxi.vms())) == ((), 1)


@pytest.mark.parametrize(
    "act",
    [
        lambda _user, vm: vm.PowerOnVM_Task(),
        lambda _user, vm: vm.PowerOffVM_Task(),
        lambda _user, vm: vm.ShutdownGuest(),
        lambda _user, vm: vm.Destroy_Task(),
        lambda _user, vm: vm.ReconfigVM_Task(vim.vm.ConfigSpec(annotation="x")),
        lambda user, _vm: user.create(),
        lambda user, _vm: make_folder(user),
        lambda user, _vm: copy(user),
    ],
)
def test_free_licence_is_for_reading_only(
    esxi: VSphereSandbox, user: Client, act: Callable[[Client, Any], Any]
) -> None:
    """Every write is refused with RestrictedVersion; looking is not."""
    (vm_id,) = esxi.seed(1, state="stopped")
    esxi.knobs.is_free_licence = True
    with refusal(vim.fault.RestrictedVersion, "Current license or ESXi version prohibits execution"):
        act(user, user.vm("vm-0001"))
    assert user.find(vm_id) == user.vm("vm-0001")
    assert user.done(browser(user).SearchDatastore_Task("[datastore1] images", None)).file[0].path == "debian-12.vmdk"


def browser(user: Client) -> Any:
    """The datastore's file browser."""
    return user.one(user.first(vim.Datastore), "browser")


def test_folder_is_looked_into(esxi: VSphereSandbox, user: Client) -> None:
    """With the details that are asked for, of the kinds and names that are asked for."""
    esxi.add_file("[datastore1] images/notes.txt", size_bytes=5)
    details = BROWSER.FileInfo.Details(fileType=True, fileSize=True, modification=True, fileOwner=False)
    spec = BROWSER.SearchSpec(details=details, matchPattern=["*.VMDK", "n*"])
    found = user.done(browser(user).SearchDatastore_Task("[datastore1] images/", spec))
    assert (found.datastore, found.folderPath) == (user.first(vim.Datastore), "[datastore1] images/")
    assert [(type(file), file.path) for file in found.file] == [
        (BROWSER.VmDiskInfo, "debian-12.vmdk"),
        (BROWSER.FileInfo, "notes.txt"),
    ]
    assert (found.file[1].fileSize, found.file[1].modification is not None) == (5, True)
    query = BROWSER.VmDiskQuery(details=BROWSER.VmDiskQuery.Details(capacityKb=True))
    spec = BROWSER.SearchSpec(query=[query])
    found = user.done(browser(user).SearchDatastore_Task("[datastore1] images", spec))
    assert [(file.path, file.capacityKb) for file in found.file] == [("debian-12.vmdk", DISK_BYTES // 1024)]


def test_folders_below_are_looked_into(user: Client) -> None:
    """Each folder is one result; the host's browser can, too."""
    host = user.first(vim.HostSystem)
    browser_of_host = user.one(host, "datastoreBrowser")
    spec = BROWSER.SearchSpec(matchPattern=["*.iso"])
    found = user.done(browser_of_host.SearchDatastoreSubFolders_Task("[datastore1]", spec))
    assert {result.folderPath: [file.path for file in result.file] for result in found} == {
        "[datastore1]": [],
        "[datastore1] images/": [],
        "[datastore1] iso/": ["debian12.iso"],
    }


def test_folder_that_there_is_not_is_not_found(esxi: VSphereSandbox, authority: Authority, user: Client) -> None:
    """By the task; another datastore, and a caller without the privilege, at once."""
    with refusal(vim.fault.FileNotFound, file="[datastore1] nothing"):
        user.done(browser(user).SearchDatastore_Task("[datastore1] nothing", None))
    with refusal(vim.fault.InvalidDatastore):
        browser(user).SearchDatastore_Task("[other] images", None)
    esxi.add_user("low@sandbox", "low", privileges=())
    low = Client(esxi, authority).log_in("low@sandbox", "low")
    with refusal(vim.fault.NoPermission, privilegeId="Datastore.Browse"):
        browser(low).SearchDatastore_Task("[datastore1] images", None)
    low.close()


def test_folder_is_made_once_and_with_its_parents_on_demand(esxi: VSphereSandbox, user: Client) -> None:
    """FileAlreadyExists, and FileNotFound for the parent."""
    make_folder(user)
    with refusal(vim.fault.FileAlreadyExists, file="[datastore1] test1"):
        make_folder(user)
    with refusal(vim.fault.FileNotFound, file="[datastore1] a"):
        make_folder(user, "[datastore1] a/b")
    make_folder(user, "[datastore1] a/b", createParentDirectories=True)
    assert esxi.files() == ("[datastore1] a/", "[datastore1] a/b/", "[datastore1] test1/")


def test_folder_is_deleted_with_all_in_it(esxi: VSphereSandbox, user: Client) -> None:
    """A second time it is not found; the datastore itself cannot be deleted."""
    make_folder(user)
    user.done(copy(user))
    delete = user.content.fileManager.DeleteDatastoreFile_Task
    user.done(delete("[datastore1] test1"))
    assert esxi.files() == ()
    with refusal(vim.fault.FileNotFound, file="[datastore1] test1"):
        user.done(delete("[datastore1] test1"))
    with refusal(vim.fault.InvalidDatastorePath):
        delete("[datastore1]")


def test_file_of_a_running_vm_is_locked(esxi: VSphereSandbox, user: Client) -> None:
    """It can be neither deleted nor moved nor extended."""
    esxi.seed(1)
    path = "[datastore1] vm-0001/vm-0001.vmdk"
    with refusal(vim.fault.FileLocked):
        user.done(user.content.fileManager.DeleteDatastoreFile_Task("[datastore1] vm-0001"))
    with refusal(vim.fault.FileLocked, file=path):
        user.done(user.content.virtualDiskManager.DeleteVirtualDisk_Task(path))
    assert esxi.has_file(path)


def test_file_is_moved(esxi: VSphereSandbox, user: Client) -> None:
    """With what is in it, to a place that is free unless it is forced, on the same datastore or another."""
    esxi.add_datastore("datastore2")
    make_folder(user)
    user.done(copy(user))
    move = user.content.fileManager.MoveDatastoreFile_Task
    user.done(move(sourceName="[datastore1] test1", destinationName="[datastore2] test2"))
    assert esxi.files() == ("[datastore2] test2/", "[datastore2] test2/test1.vmdk")
    user.done(move(sourceName="[datastore2] test2/test1.vmdk", destinationName="[datastore2] test2/x.vmdk"))
    assert esxi.files() == ("[datastore2] test2/", "[datastore2] test2/x.vmdk")
    with refusal(vim.fault.FileAlreadyExists):
        user.done(move(sourceName="[datastore2] test2/x.vmdk", destinationName=VMDK_IMAGE))
    with refusal(vim.fault.FileNotFound):
        user.done(move(sourceName="[datastore2] nothing", destinationName="[datastore2] y"))


@pytest.mark.parametrize(
    ("source", "target", "fault"),
    [
        ("[datastore1] images/nothing.vmdk", "[datastore1] x.vmdk", vim.fault.FileNotFound),
        (ISO_IMAGE, "[datastore1] x.vmdk", vim.fault.FileNotFound),
        (VMDK_IMAGE, "[datastore1] nothing/x.vmdk", vim.fault.FileNotFound),
        (VMDK_IMAGE, ISO_IMAGE, vim.fault.FileAlreadyExists),
    ],
)
def test_copy_from_or_to_nowhere_ends_in_its_fault(
    esxi: VSphereSandbox, user: Client, source: str, target: str, fault: Any
) -> None:
    """Nothing is made."""
    with refusal(fault):
        user.done(copy(user, target, source))
    assert esxi.files() == ()


def test_copy_that_does_not_fit_ends_in_no_disk_space(esxi: VSphereSandbox, user: Client) -> None:
    """A copy that is not thin takes its whole capacity."""
    esxi.set_datastore("datastore1", capacity_bytes=1 << 30)
    manager = user.content.virtualDiskManager
    with refusal(vim.fault.NoDiskSpace, datastore="datastore1"):
        user.done(manager.CopyVirtualDisk_Task(sourceName=VMDK_IMAGE, destName="[datastore1] x.vmdk"))


def test_copy_that_is_cancelled_or_fails_leaves_nothing(esxi: VSphereSandbox, user: Client) -> None:
    """The folder that was made for it is the caller's to remove."""
    make_folder(user)
    esxi.fail_next_task("CopyVirtualDisk_Task", "NoDiskSpace")
    with refusal(vim.fault.NoDiskSpace):
        user.done(copy(user))
    esxi.knobs.task_seconds = 5.0
    task = copy(user)
    task.CancelTask()
    with refusal(vmodl.fault.RequestCanceled):
        user.done(task)
    assert esxi.files() == ("[datastore1] test1/",)


def test_disk_is_created_extended_asked_and_deleted(esxi: VSphereSandbox, user: Client) -> None:
    """It does not shrink."""
    manager, path = user.content.virtualDiskManager, "[datastore1] x.vmdk"
    spec = vim.VirtualDiskManager.FileBackedVirtualDiskSpec(diskType="thin", adapterType="lsiLogic", capacityKb=2048)
    user.done(manager.CreateVirtualDisk_Task(path, None, spec))
    assert len(manager.QueryVirtualDiskUuid(path)) == 47
    user.done(manager.ExtendVirtualDisk_Task(name=path, newCapacityKb=4096))
    with refusal(vmodl.fault.InvalidArgument, invalidProperty="newCapacityKb"):
        user.done(manager.ExtendVirtualDisk_Task(name=path, newCapacityKb=2048))
    with refusal(vim.fault.FileAlreadyExists):
        user.done(manager.CreateVirtualDisk_Task(path, None, spec))
    user.done(manager.DeleteVirtualDisk_Task(path))
    with refusal(vim.fault.FileNotFound):
        manager.QueryVirtualDiskUuid(path)
    assert esxi.files() == ()


@pytest.mark.parametrize("name", ["x.vmdk", "[datastore1 x", "[] x", "[datastore1] a/../b"])
def test_path_that_is_none_is_invalid(user: Client, name: str) -> None:
    """Said at once."""
    with refusal(vim.fault.InvalidDatastorePath, datastorePath=name):
        make_folder(user, name)


def test_files_take_a_privilege(esxi: VSphereSandbox, authority: Authority) -> None:
    """Datastore.FileManagement, on the datastore."""
    esxi.add_user("low@sandbox", "low", privileges={"Datastore.Browse"})
    low = Client(esxi, authority).log_in("low@sandbox", "low")
    for act in (make_folder, copy):
        with refusal(vim.fault.NoPermission, object=low.first(vim.Datastore), privilegeId="Datastore.FileManagement"):
            act(low)
    low.close()


def test_creation_that_fails_leaves_what_was_there(esxi: VSphereSandbox, user: Client) -> None:
    """The disk that was copied, and its folder, are the caller's to remove."""
    make_folder(user)
    user.done(copy(user))
    before = esxi.files()
    esxi.fail_next_task("CreateVM_Task", "InvalidVmConfig")
    changes = [scsi(), disk(TARGET, is_new=False)]
    with refusal(vim.fault.InvalidVmConfig):
        user.done(user.create(path="[datastore1] test1/test1.vmx", deviceChange=changes))
    assert (esxi.vms(), esxi.files()) == ((), before)


def test_configuration_file_that_is_there_is_not_written_over(esxi: VSphereSandbox, user: Client) -> None:
    """FileAlreadyExists; where only the datastore is named, a free folder is found."""
    user.done(user.create())
    user.vm("test1").UnregisterVM()
    with refusal(vim.fault.FileAlreadyExists, file="[datastore1] test1/test1.vmx"):
        user.done(user.create(path="[datastore1] test1/test1.vmx"))
    vm = user.done(user.create())
    assert user.one(vm, "config.files.vmPathName") == "[datastore1] test1_1/test1.vmx"


def test_vcenter_has_to_be_told_the_datacenter(authority: Authority) -> None:
    """Datastores of different datacenters may have one name; a host has but one datacenter."""
    with VSphereSandbox(authority, task_seconds=0.02) as vcenter:
        user = Client(vcenter, authority).log_in()
        with refusal(vmodl.fault.InvalidArgument, invalidProperty="datacenter"):
            make_folder(user)
        make_folder(user, datacenter=user.first(vim.Datacenter))
        assert vcenter.files() == ("[datastore1] test1/",)
        user.close()
