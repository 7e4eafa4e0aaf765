"""The vSphere simulator's vCenter: clones of templates and VMs, and VMs from nothing; what they need, and leave."""

from collections.abc import Callable
from typing import Any

import pytest
from pyVmomi import vim, vmodl

from providers.sandbox.authority import Authority
from providers.sandbox.vsphere import DISK_BYTES, SOURCE_VM, TEMPLATE, VSphereSandbox
from tests.sandbox.vsphere.client import DEVICE, Client, card, disk, edit, refusal, scsi
from tests.support.threads import at_once
from tests.support.waiting import wait_until


def test_clone_of_a_template_has_files_and_identity_of_its_own(vcenter: VSphereSandbox, user: Client) -> None:
    """As large as the template, off unless it is to be on."""
    vm = user.done(user.clone())
    record, template = vcenter.vm("test1"), vcenter.vm(TEMPLATE)
    assert user.one(vm, "config.instanceUuid") == record.instance_uuid
    assert (record.power_state, record.is_template, record.cpus, record.pool) == ("poweredOff", False, 2, "Resources")
    assert record.disks[0].capacity_bytes == DISK_BYTES
    assert not {record.instance_uuid, record.bios_uuid} & {template.instance_uuid, template.bios_uuid}
    assert record.macs != template.macs
    assert vcenter.files() == (
        "[datastore1] test1/",
        "[datastore1] test1/test1.vmdk",
        "[datastore1] test1/test1.vmx",
    )
    user.done(vm.Destroy_Task())
    assert (vcenter.vms(), vcenter.files()) == ((), ())
    assert vcenter.has_file("[datastore1] debian-12/debian-12.vmdk")


def test_clone_is_made_as_its_specification_says(vcenter: VSphereSandbox, user: Client) -> None:
    """Hardware, cloud-init, a larger disk, another network, another place, and on."""
    template = user.vm(TEMPLATE)
    devices = user.one(template, "config.hardware.device")
    (drive,) = [device for device in devices if isinstance(device, DEVICE.VirtualDisk)]
    (nic,) = [device for device in devices if isinstance(device, DEVICE.VirtualEthernetCard)]
    drive.capacityInBytes = 2 * DISK_BYTES  # type: ignore[assignment] # pyVmomi declares its default, None, for its type
    group = user.all(vim.Network)["DPortGroup1"]
    port = vim.dvs.PortConnection(portgroupKey=group.key, switchUuid=group.config.distributedVirtualSwitch.uuid)
    nic.backing = DEVICE.VirtualEthernetCard.DistributedVirtualPortBackingInfo(port=port)
    options = [vim.option.OptionValue(key="guestinfo.userdata", value="H4sI")]
    config = vim.vm.ConfigSpec(
        numCPUs=4, memoryMB=8192, annotation="mine", extraConfig=options, deviceChange=[edit(drive), edit(nic)]
    )
    location = {"datastore": user.all(vim.Datastore)["datastore2"]}
    spec = user.clone_spec(pool="Pool1", config=config, location=location, powerOn=True)
    folder = user.all(vim.Folder)["Web"]
    user.done(template.CloneVM_Task(folder, "test1", spec))
    record = vcenter.vm("test1")
    assert (record.cpus, record.memory_mib, record.annotation) == (4, 8192, "mine")
    assert (record.folder, record.pool, record.datastore) == ("Production/Web", "Pool1", "datastore2")
    assert (record.networks, record.power_state) == (("DPortGroup1",), "poweredOn")
    assert dict(vcenter.guestinfo("test1")) == {"userdata": "H4sI"}
    (new,) = record.disks
    assert (new.file, new.capacity_bytes) == ("[datastore2] test1/test1.vmdk", 2 * DISK_BYTES)
    assert record.addresses
    assert vcenter.vm(TEMPLATE).disks[0].capacity_bytes == DISK_BYTES


def test_clone_of_a_vm_needs_no_pool(vcenter: VSphereSandbox, user: Client) -> None:
    """It takes the source's, and the source's extraConfig, where its own does not say otherwise."""
    options = [vim.option.OptionValue(key=f"guestinfo.{key}", value="source's") for key in ("userdata", "other")]
    user.done(user.vm(SOURCE_VM).ReconfigVM_Task(vim.vm.ConfigSpec(extraConfig=options)))
    config = vim.vm.ConfigSpec(extraConfig=[vim.option.OptionValue(key="guestinfo.userdata", value="own")])
    spec = vim.vm.CloneSpec(location=vim.vm.RelocateSpec(), config=config)
    user.done(user.vm(SOURCE_VM).CloneVM_Task(user.vm_folder(), "test1", spec))
    assert vcenter.vm("test1").pool == "Resources"
    assert dict(vcenter.guestinfo("test1")) == {"userdata": "own", "other": "source's"}


def test_clone_of_a_template_needs_a_pool(vcenter: VSphereSandbox, user: Client) -> None:
    """As a template has none itself."""
    spec = vim.vm.CloneSpec(location=vim.vm.RelocateSpec())
    with refusal(vmodl.fault.InvalidArgument, invalidProperty="spec.location.pool"):
        user.vm(TEMPLATE).CloneVM_Task(user.vm_folder(), "test1", spec)


def test_clone_may_be_a_template(vcenter: VSphereSandbox, user: Client) -> None:
    """Which then is none of the VMs."""
    user.done(user.clone("test1", template=True))
    assert vcenter.vms() == ()
    assert [vm.name for vm in vcenter.vms(templates=True)] == ["test1"]


@pytest.mark.parametrize("name", ["debian-12", "Production"])
def test_clone_with_a_name_that_is_taken_ends_in_duplicate_name(
    vcenter: VSphereSandbox, user: Client, name: str
) -> None:
    """In the same folder; in another it is not taken."""
    with refusal(vim.fault.DuplicateName, f"The name '{name}' already exists.", name=name):
        user.done(user.clone(name))
    assert vcenter.files() == ()
    user.done(user.vm(TEMPLATE).CloneVM_Task(user.all(vim.Folder)["Web"], name, user.clone_spec()))
    assert len(vcenter.vms()) == 1


def test_clones_of_one_name_at_once_make_one_vm(vcenter: VSphereSandbox, user: Client) -> None:
    """The name is reserved from the start; the files of the others are not there either."""
    template, folder, spec = user.vm(TEMPLATE), user.vm_folder(), user.clone_spec()
    tasks = at_once(8, lambda _: template.CloneVM_Task(folder, "test1", spec))
    wait_until(lambda: all(user.state(task) in {"success", "error"} for task in tasks))
    assert sorted(task.state for task in vcenter.tasks()) == ["error"] * 7 + ["success"]
    assert len(vcenter.vms()) == 1
    assert len(vcenter.files()) == 3


@pytest.mark.parametrize("name", ["", "x" * 81])
def test_clone_with_a_name_that_no_vm_can_have_ends_in_invalid_name(
    vcenter: VSphereSandbox, user: Client, name: str
) -> None:
    """Nothing is made."""
    with refusal(vim.fault.InvalidName, name=name):
        user.done(user.clone(name))
    assert (vcenter.vms(), vcenter.files()) == ((), ())


def test_clone_that_fails_leaves_nothing(vcenter: VSphereSandbox, user: Client) -> None:
    """Neither a VM nor its files; the name is free again."""
    vcenter.fail_next_task("CloneVM_Task", "InsufficientCpuResourcesFault")
    vcenter.knobs.task_seconds = 2.0
    task = user.clone()
    assert vcenter.files()
    assert user.state(task) == "running"
    with refusal(vim.fault.InsufficientCpuResourcesFault):
        user.done(task)
    vcenter.knobs.task_seconds = 0.02
    assert (vcenter.vms(), vcenter.files()) == ((), ())
    user.done(user.clone())


def test_clone_can_be_cancelled(vcenter: VSphereSandbox, user: Client) -> None:
    """It ends in RequestCanceled, and leaves nothing."""
    vcenter.knobs.task_seconds = 5.0
    task = user.clone()
    assert user.one(task, "info.cancelable")
    task.CancelTask()
    with refusal(vmodl.fault.RequestCanceled):
        user.done(task)
    assert user.one(task, "info.cancelled")
    assert (vcenter.vms(), vcenter.files()) == ((), ())


def test_task_of_another_is_not_cancelled_without_the_privilege(
    vcenter: VSphereSandbox, authority: Authority, user: Client
) -> None:
    """Global.CancelTask."""
    vcenter.knobs.task_seconds = 5.0
    task = user.clone()
    vcenter.add_user("low@sandbox", "low", privileges=())
    low = Client(vcenter, authority).log_in("low@sandbox", "low")
    with refusal(vim.fault.NoPermission, privilegeId="Global.CancelTask"):
        vim.Task(task._moId, low.stub).CancelTask()
    low.close()


def test_clone_on_a_full_datastore_ends_in_its_fault(vcenter: VSphereSandbox, user: Client) -> None:
    """One of the InsufficientResourcesFaults."""
    vcenter.set_datastore("datastore2", capacity_bytes=1000)
    spec = user.clone_spec(location={"datastore": user.all(vim.Datastore)["datastore2"]})
    assert issubclass(vim.fault.InsufficientStorageSpace, vim.fault.InsufficientResourcesFault)
    with refusal(vim.fault.InsufficientStorageSpace, "datastore2"):
        user.done(user.vm(TEMPLATE).CloneVM_Task(user.vm_folder(), "test1", spec))
    assert vcenter.vms() == ()


def test_clone_to_a_datastore_out_of_reach_is_invalid(vcenter: VSphereSandbox, user: Client) -> None:
    """Inaccessible, or another datacenter's."""
    vcenter.add_datacenter("Datacenter2", datastores=["far"])
    vcenter.set_datastore("datastore2", accessible=False)
    for name in ("far", "datastore2"):
        spec = user.clone_spec(location={"datastore": user.all(vim.Datastore)[name]})
        with refusal(vim.fault.InvalidDatastore, name=name):
            user.done(user.vm(TEMPLATE).CloneVM_Task(user.vm_folder(), "test1", spec))


def test_clone_to_a_host_of_another_cluster_is_refused(vcenter: VSphereSandbox, user: Client) -> None:
    """A host goes with its cluster's pools; one of the cluster's own is taken."""
    vcenter.add_cluster("Cluster2", ["esx9.sandbox"])
    pool = user.all(vim.ResourcePool)["Pool1"]
    hosts = user.all(vim.HostSystem)

    def clone_on(name: str) -> Any:
        location = vim.vm.RelocateSpec(pool=pool, host=hosts[name])
        return user.vm(TEMPLATE).CloneVM_Task(user.vm_folder(), "test1", vim.vm.CloneSpec(location=location))

    with refusal(vmodl.fault.InvalidArgument):
        clone_on("esx9.sandbox")
    user.done(clone_on("esx2.sandbox"))
    assert vcenter.vm("test1").host == "esx2.sandbox"


def test_clone_with_a_wrong_hardware_makes_nothing(vcenter: VSphereSandbox, user: Client) -> None:
    """The configuration is checked before the copy."""
    with refusal(vmodl.fault.InvalidArgument, invalidProperty="configSpec.memoryMB"):
        user.done(user.clone(config=vim.vm.ConfigSpec(memoryMB=3)))
    with refusal(vim.fault.InvalidDeviceBacking):
        user.done(user.clone(config=vim.vm.ConfigSpec(deviceChange=[card("No Network")])))
    assert (vcenter.vms(), vcenter.files()) == ((), ())


def test_clone_to_a_folder_for_other_things_is_not_supported(user: Client) -> None:
    """The root folder holds datacenters."""
    with refusal(vmodl.fault.NotSupported):
        user.done(user.vm(TEMPLATE).CloneVM_Task(user.content.rootFolder, "test1", user.clone_spec()))


def test_customization_is_not_supported(user: Client) -> None:
    """It is not simulated."""
    spec = user.clone_spec(customization=vim.vm.customization.Specification())
    spec.customization.identity = vim.vm.customization.CloudinitPrep(metadata="x")
    spec.customization.globalIPSettings = vim.vm.customization.GlobalIPSettings()
    with refusal(vmodl.fault.NotSupported):
        user.vm(TEMPLATE).CloneVM_Task(user.vm_folder(), "test1", spec)


CLONE_PRIVILEGES = [
    "VirtualMachine.Provisioning.DeployTemplate",
    "VirtualMachine.Inventory.CreateFromExisting",
    "VirtualMachine.Config.AddNewDisk",
    "VirtualMachine.Config.CPUCount",
    "VirtualMachine.Config.Memory",
    "VirtualMachine.Config.AdvancedConfig",
    "Resource.AssignVMToPool",
    "Datastore.AllocateSpace",
    "Network.Assign",
    "VirtualMachine.Interact.PowerOn",
]


def test_clone_takes_each_of_its_privileges(vcenter: VSphereSandbox, authority: Authority) -> None:
    """With one missing it is refused by that one's name, with all of them it works."""
    options = [vim.option.OptionValue(key="guestinfo.userdata", value="H4sI")]
    config = vim.vm.ConfigSpec(numCPUs=1, memoryMB=512, extraConfig=options)
    for missing in [*CLONE_PRIVILEGES, None]:
        vcenter.add_user("low@sandbox", "low", privileges=set(CLONE_PRIVILEGES) - {missing})
        low = Client(vcenter, authority).log_in("low@sandbox", "low")
        if missing is None:
            low.done(low.clone(config=config, powerOn=True))
        else:
            with refusal(vim.fault.NoPermission, privilegeId=missing):
                low.clone(config=config, powerOn=True)
            assert vcenter.tasks() == ()
        low.close()
    assert vcenter.vm("test1").power_state == "poweredOn"


@pytest.mark.parametrize(
    ("source", "template", "privilege"),
    [(SOURCE_VM, False, "Clone"), (SOURCE_VM, True, "CreateTemplateFromVM"), (TEMPLATE, True, "CloneTemplate")],
)
def test_other_clones_take_other_privileges(
    user: Client, authority: Authority, source: str, template: object, privilege: str
) -> None:
    """By what is cloned, and into what."""
    user.sandbox.add_user("low@sandbox", "low", privileges=CLONE_PRIVILEGES)
    low = Client(user.sandbox, authority).log_in("low@sandbox", "low")
    with refusal(vim.fault.NoPermission, privilegeId=f"VirtualMachine.Provisioning.{privilege}"):
        low.clone(source=source, template=template)
    low.close()


def test_vm_is_created_with_its_devices(vcenter: VSphereSandbox, user: Client) -> None:
    """A new disk, an adapter and a drive, in a folder named for the VM."""
    iso = DEVICE.VirtualCdrom.IsoBackingInfo(fileName="[datastore1] iso/x.iso")
    drive = DEVICE.VirtualDeviceSpec(
        operation="add", device=DEVICE.VirtualCdrom(key=-9, controllerKey=200, backing=iso)
    )
    changes = [scsi(), disk(capacity_bytes=4 << 30), card("VM Network"), drive]
    vm = user.done(user.create(guestId="debian12_64Guest", firmware="efi", deviceChange=changes))
    assert user.one(vm, "config.files.vmPathName") == "[datastore1] test1/test1.vmx"
    assert user.one(vm, "config.firmware") == "efi"
    keys = {type(device).__name__.rpartition(".")[2]: device.key for device in vm.config.hardware.device}
    assert keys["ParaVirtualSCSIController"] == 1000
    assert (keys["VirtualDisk"], keys["VirtualCdrom"], keys["VirtualVmxnet3"]) == (2000, 3000, 4000)
    record = vcenter.vm("test1")
    assert [(found.file, found.capacity_bytes) for found in record.disks] == [
        ("[datastore1] test1/test1.vmdk", 4 << 30)
    ]
    assert record.macs[0].startswith("00:50:56:")
    user.done(vm.PowerOnVM_Task())
    assert user.one(vm, "guest.toolsStatus") == "toolsNotInstalled"


def test_vm_with_wrong_devices_is_not_created(vcenter: VSphereSandbox, user: Client) -> None:
    """And leaves no file."""
    with refusal(vim.fault.InvalidDeviceSpec, deviceIndex=1):
        user.done(user.create(deviceChange=[card("VM Network"), disk()]))
    assert (vcenter.vms(), vcenter.files()) == ((), ())


@pytest.mark.parametrize(
    ("path", "fault"),
    [
        ("", vmodl.fault.InvalidArgument),
        ("nonsense", vim.fault.InvalidDatastorePath),
        ("[datastore1] ../x", vim.fault.InvalidDatastorePath),
        ("[nothing]", vim.fault.InvalidDatastore),
    ],
)
def test_vm_in_no_datastore_is_not_created(vcenter: VSphereSandbox, user: Client, path: str, fault: Any) -> None:
    """Said before there is a task."""
    with refusal(fault):
        user.create(path=path)
    assert vcenter.tasks() == ()


@pytest.mark.parametrize(
    ("missing", "changes"),
    [
        ("VirtualMachine.Inventory.Create", list),
        ("VirtualMachine.Config.AddNewDisk", lambda: [scsi(), disk()]),
        ("VirtualMachine.Config.AddExistingDisk", lambda: [scsi(), disk("[datastore1] x.vmdk", is_new=False)]),
        ("Network.Assign", lambda: [card("VM Network")]),
        ("Resource.AssignVMToPool", list),
        ("Datastore.AllocateSpace", list),
    ],
)
def test_creation_takes_each_of_its_privileges(
    vcenter: VSphereSandbox, authority: Authority, missing: str, changes: Callable[[], list[Any]]
) -> None:
    """Those of "Required Privileges for Common Tasks"."""
    held = {
        "VirtualMachine.Inventory.Create",
        "VirtualMachine.Config.AddNewDisk",
        "VirtualMachine.Config.AddExistingDisk",
        "Network.Assign",
        "Resource.AssignVMToPool",
        "Datastore.AllocateSpace",
    }
    vcenter.add_user("low@sandbox", "low", privileges=held - {missing})
    low = Client(vcenter, authority).log_in("low@sandbox", "low")
    with refusal(vim.fault.NoPermission, privilegeId=missing):
        low.create(deviceChange=changes())
    low.close()


def test_clone_whose_instance_uuid_is_taken_gets_another(vcenter: VSphereSandbox, user: Client) -> None:
    """VCenter sees to it that no two VMs have one."""
    (taken,) = vcenter.seed(1)
    user.done(user.clone("first", config=vim.vm.ConfigSpec(instanceUuid=taken)))
    assert len({vm.instance_uuid for vm in vcenter.vms()} | {taken}) == 2
    assert vcenter.vm("vm-0001").instance_uuid == taken
