"""The vSphere simulator's VMs: power, guests, tasks, templates, reconfiguration and the end of them."""

import time
from collections.abc import Callable
from typing import Any

import pytest
from pyVmomi import vim, vmodl

from providers.sandbox.authority import Authority
from providers.sandbox.vsphere import DISK_BYTES, SOURCE_VM, TEMPLATE, VSphereSandbox
from tests.sandbox.vsphere.client import Client, add, card, disk, edit, refusal, scsi
from tests.support.waiting import wait_until

ON, OFF, SUSPENDED = (vim.VirtualMachine.PowerState(name) for name in ("poweredOn", "poweredOff", "suspended"))


@pytest.fixture
def vm(vcenter: VSphereSandbox, user: Client) -> Any:
    """A VM that runs, named vm-0001."""
    vcenter.seed(1)
    return user.vm("vm-0001")


def test_power_goes_through_its_states(vcenter: VSphereSandbox, user: Client, vm: Any) -> None:
    """Each by a task on the VM."""
    for act, state in (
        (vm.SuspendVM_Task, "suspended"),
        (vm.PowerOnVM_Task, "poweredOn"),
        (vm.ResetVM_Task, "poweredOn"),
        (vm.PowerOffVM_Task, "poweredOff"),
        (vm.PowerOnVM_Task, "poweredOn"),
    ):
        user.done(act())
        assert vcenter.vm("vm-0001").power_state == state
    assert vcenter.vm("vm-0001").boots == 3
    assert [task.method for task in vcenter.tasks()][:2] == ["SuspendVM_Task", "PowerOnVM_Task"]


@pytest.mark.parametrize(
    ("act", "state", "states"),
    [
        ("PowerOnVM_Task", "running", (ON, ON)),
        ("PowerOffVM_Task", "stopped", (OFF, OFF)),
        ("ResetVM_Task", "stopped", (OFF, ON)),
        ("ResetVM_Task", "suspended", (SUSPENDED, ON)),
        ("SuspendVM_Task", "stopped", (OFF, SUSPENDED)),
        ("Destroy_Task", "running", (ON, OFF)),
    ],
)
def test_task_in_the_wrong_power_state_ends_in_the_fault(
    user: Client, vm: Any, act: str, state: str, states: tuple[str, str]
) -> None:
    """Which names the state that there is, and the one that was wanted."""
    user.sandbox.set_state("vm-0001", state)
    with refusal(vim.fault.InvalidPowerState, existingState=states[0], requestedState=states[1]):
        user.done(getattr(vm, act)())
    assert user.sandbox.tasks()[-1].error == "InvalidPowerState"


@pytest.mark.parametrize("act", ["ShutdownGuest", "RebootGuest", "MarkAsTemplate", "UnregisterVM"])
def test_call_in_the_wrong_power_state_is_refused(vcenter: VSphereSandbox, vm: Any, act: str) -> None:
    """Where there is no task, the call itself is refused."""
    vcenter.set_state("vm-0001", "stopped" if "Guest" in act else "running")
    with refusal(vim.fault.InvalidPowerState):
        getattr(vm, act)()
    assert vcenter.tasks() == ()


def test_wrong_power_state_may_be_said_at_once(vcenter: VSphereSandbox, vm: Any) -> None:
    """The documents allow either, and a client has to bear both."""
    vcenter.knobs.refuses_at_call = True
    with refusal(vim.fault.InvalidPowerState, existingState=ON):
        vm.PowerOnVM_Task()
    assert vcenter.tasks() == ()


def test_guest_that_is_asked_shuts_down_without_a_task(vcenter: VSphereSandbox, user: Client, vm: Any) -> None:
    """The call returns at once, the power goes later."""
    vcenter.knobs.shutdown_seconds = 0.1
    vm.ShutdownGuest()
    assert user.one(vm, "runtime.powerState") == ON
    wait_until(lambda: bool(user.one(vm, "runtime.powerState") == OFF))
    assert vcenter.tasks() == ()


def test_guest_that_is_asked_reboots_and_stays_on(vcenter: VSphereSandbox, user: Client, vm: Any) -> None:
    """Its tools are gone for a while."""
    vcenter.knobs.boot_seconds = 0.2
    vm.RebootGuest()
    wait_until(lambda: vcenter.vm("vm-0001").boots == 2)
    assert user.read(vm, "runtime.powerState", "guest.toolsRunningStatus", "guest.ipAddress") == {
        "runtime.powerState": "poweredOn",
        "guest.toolsRunningStatus": "guestToolsNotRunning",
    }
    wait_until(lambda: user.one(vm, "guest.ipAddress") is not None)


def test_deaf_guest_ignores_a_shutdown(vcenter: VSphereSandbox, user: Client, vm: Any) -> None:
    """And only the cut of its power ends it."""
    vcenter.ignore_shutdown("vm-0001")
    vm.ShutdownGuest()
    vm.RebootGuest()
    time.sleep(0.1)
    assert (vcenter.vm("vm-0001").power_state, vcenter.vm("vm-0001").boots) == ("poweredOn", 1)
    user.done(vm.PowerOffVM_Task())
    assert user.one(vm, "runtime.powerState") == OFF


@pytest.mark.parametrize("status", ["toolsNotRunning", "toolsNotInstalled"])
def test_guest_without_tools_cannot_be_asked(vcenter: VSphereSandbox, user: Client, vm: Any, status: str) -> None:
    """ToolsUnavailable; and no address is known."""
    vcenter.set_tools("vm-0001", running=False, installed=status == "toolsNotRunning")
    assert user.read(vm, "guest.toolsStatus", "guest.ipAddress") == {"guest.toolsStatus": status}
    for ask in (vm.ShutdownGuest, vm.RebootGuest):
        with refusal(vim.fault.ToolsUnavailable):
            ask()


def test_tools_come_up_a_while_after_power_on(vcenter: VSphereSandbox, user: Client) -> None:
    """With the address."""
    vcenter.knobs.boot_seconds = 1.5
    vm = user.vm(SOURCE_VM)
    user.done(vm.PowerOnVM_Task())
    assert user.read(vm, "guest.toolsStatus", "guest.ipAddress") == {"guest.toolsStatus": "toolsNotRunning"}
    wait_until(lambda: user.one(vm, "guest.ipAddress") is not None)
    assert user.one(vm, "guest.toolsRunningStatus") == "guestToolsRunning"
    assert user.one(vm, "guest.toolsVersionStatus2") == "guestToolsUnmanaged"
    assert user.one(vm, "guest.hostName") == SOURCE_VM


def test_vm_that_a_task_works_on_takes_no_other(vcenter: VSphereSandbox, user: Client, vm: Any) -> None:
    """TaskInProgress names the task."""
    vcenter.knobs.task_seconds = 0.3
    task = vm.PowerOffVM_Task()
    assert user.state(task) == "running"
    for act in (vm.ResetVM_Task, vm.Destroy_Task):
        with refusal(vim.fault.TaskInProgress, task=task):
            user.done(act())
    with refusal(vim.fault.TaskInProgress, task=task):
        vm.ShutdownGuest()
    user.done(task)
    user.done(vm.Destroy_Task())


def test_task_is_told_in_full(vcenter: VSphereSandbox, user: Client, vm: Any) -> None:
    """Queued, running with its progress, and done, of what and by whom."""
    vcenter.knobs.queue_seconds, vcenter.knobs.task_seconds = 0.1, 0.2
    task = vm.PowerOffVM_Task()
    info = user.one(task, "info")
    assert (info.state, info.startTime, info.entity, info.entityName) == ("queued", None, vm, "vm-0001")
    assert (info.descriptionId, info.reason.userName) == ("VirtualMachine.powerOff", "demo@sandbox")
    wait_until(lambda: user.state(task) == "running")
    assert 0 <= user.one(task, "info.progress") < 100
    user.done(task)
    info = user.one(task, "info")
    assert (info.state, info.progress, info.error) == ("success", None, None)
    assert info.queueTime <= info.startTime <= info.completeTime
    assert user.content.taskManager.recentTask == [task]
    assert user.one(vm, "recentTask") == [task]


def test_task_that_is_over_or_cannot_be_is_not_cancelled(vcenter: VSphereSandbox, user: Client, vm: Any) -> None:
    """InvalidState and NotSupported."""
    task = vm.PowerOffVM_Task()
    with refusal(vmodl.fault.NotSupported):
        task.CancelTask()
    user.done(task)
    with refusal(vim.fault.InvalidState):
        task.CancelTask()
    with refusal(vmodl.fault.ManagedObjectNotFound):
        vim.Task("task-4711", user.stub).CancelTask()


def test_next_task_can_be_made_to_fail(vcenter: VSphereSandbox, user: Client, vm: Any) -> None:
    """With any fault, once; its work is not done."""
    vcenter.fail_next_task("PowerOffVM_Task", "InsufficientMemoryResourcesFault", "No memory left.")
    with refusal(vim.fault.InsufficientMemoryResourcesFault, "No memory left."):
        user.done(vm.PowerOffVM_Task())
    assert vcenter.vm("vm-0001").power_state == "poweredOn"
    user.done(vm.PowerOffVM_Task())


def test_vm_whose_disk_has_gone_does_not_start(vcenter: VSphereSandbox, user: Client) -> None:
    """FileNotFound names the disk."""
    vcenter.seed(1, state="stopped")
    path = "[datastore1] vm-0001/vm-0001.vmdk"
    datacenter = user.first(vim.Datacenter)
    user.done(user.content.fileManager.DeleteDatastoreFile_Task(path, datacenter))
    with refusal(vim.fault.FileNotFound, file=path):
        user.done(user.vm("vm-0001").PowerOnVM_Task())


def test_destroyed_vm_leaves_nothing(vcenter: VSphereSandbox, user: Client, vm: Any) -> None:
    """Neither an object nor a file."""
    assert vcenter.files()
    user.done(vm.PowerOffVM_Task())
    user.done(vm.Destroy_Task())
    assert (vcenter.vms(), vcenter.files()) == ((), ())
    with refusal(vmodl.fault.ManagedObjectNotFound, obj=vm):
        vm.PowerOnVM_Task()


def test_destroying_what_is_no_vm_is_not_supported(user: Client) -> None:
    """Here, at least."""
    with refusal(vmodl.fault.NotSupported):
        user.all(vim.Folder)["Production"].Destroy_Task()


def test_unregistered_vm_leaves_its_files(vcenter: VSphereSandbox, user: Client) -> None:
    """It is only taken out of the inventory."""
    vcenter.seed(1, state="stopped")
    user.vm("vm-0001").UnregisterVM()
    assert vcenter.vms() == ()
    assert vcenter.files() == (
        "[datastore1] vm-0001/",
        "[datastore1] vm-0001/vm-0001.vmdk",
        "[datastore1] vm-0001/vm-0001.vmx",
    )


def test_vm_becomes_a_template_and_a_vm_again(vcenter: VSphereSandbox, user: Client) -> None:
    """A template has no pool, and cannot be started."""
    vm = user.vm(SOURCE_VM)
    vm.MarkAsTemplate()
    assert user.read(vm, "config.template", "resourcePool") == {"config.template": True}
    with refusal(vmodl.fault.NotSupported):
        user.done(vm.PowerOnVM_Task())
    vm.MarkAsVirtualMachine(user.all(vim.ResourcePool)["Pool1"])
    assert (vcenter.vm(SOURCE_VM).is_template, vcenter.vm(SOURCE_VM).pool) == (False, "Pool1")
    user.done(vm.PowerOnVM_Task())


def test_folder_is_made_and_names_are_changed(vcenter: VSphereSandbox, user: Client) -> None:
    """A name is taken once in a folder."""
    vcenter.seed(2)
    folder = user.vm_folder().CreateFolder("New")
    user.done(folder.Rename_Task("Newer"))
    assert user.one(folder, "name") == "Newer"
    with refusal(vim.fault.DuplicateName, name="Newer", object=folder):
        user.vm_folder().CreateFolder("Newer")
    with refusal(vim.fault.DuplicateName, name="vm-0002"):
        user.done(user.vm("vm-0001").Rename_Task("vm-0002"))
    with refusal(vim.fault.InvalidName):
        user.done(user.vm("vm-0001").Rename_Task(""))
    user.done(user.vm("vm-0001").Rename_Task("other"))
    assert {vm.name for vm in vcenter.vms()} == {"other", "vm-0002"}


def test_reconfiguration_changes_what_it_names(vcenter: VSphereSandbox, user: Client) -> None:
    """CPUs, memory, notes, extraConfig, devices; an empty value takes a key out."""
    vm = user.vm(SOURCE_VM)
    options = [vim.option.OptionValue(key="guestinfo.a", value="1"), vim.option.OptionValue(key="b", value="2")]
    changes = [
        add(vim.vm.device.ParaVirtualSCSIController(key=-1, busNumber=1, sharedBus="noSharing")),
        disk(capacity_bytes=1 << 30),
        card("VM Network"),
    ]
    spec = vim.vm.ConfigSpec(
        numCPUs=4, memoryMB=4096, annotation="notes", name="new", extraConfig=options, deviceChange=changes
    )
    before = user.one(vm, "config.changeVersion")
    user.done(vm.ReconfigVM_Task(spec))
    record = vcenter.vm("new")
    assert (record.cpus, record.memory_mib, record.annotation) == (4, 4096, "notes")
    assert (dict(record.guestinfo), record.networks) == ({"a": "1"}, ("VM Network", "VM Network"))
    assert [found.capacity_bytes for found in record.disks] == [DISK_BYTES, 1 << 30]
    assert user.one(vm, "config.changeVersion") != before
    gone = vim.vm.ConfigSpec(extraConfig=[vim.option.OptionValue(key="guestinfo.a", value="")])
    user.done(vm.ReconfigVM_Task(gone))
    assert dict(vcenter.guestinfo("new")) == {}


def test_disk_grows_and_does_not_shrink(vcenter: VSphereSandbox, user: Client) -> None:
    """And it can be taken out with its file or without it."""
    vcenter.seed(1, state="stopped")
    vm = user.vm("vm-0001")
    drive = user.one(vm, "config.hardware.device[2000]")
    drive.capacityInBytes = 2 * DISK_BYTES
    user.done(vm.ReconfigVM_Task(vim.vm.ConfigSpec(deviceChange=[edit(drive)])))
    assert vcenter.vm("vm-0001").disks[0].capacity_bytes == 2 * DISK_BYTES
    drive.capacityInBytes = DISK_BYTES
    with refusal(vim.fault.InvalidDeviceSpec, deviceIndex=0):
        user.done(vm.ReconfigVM_Task(vim.vm.ConfigSpec(deviceChange=[edit(drive)])))
    remove = vim.vm.device.VirtualDeviceSpec(operation="remove", fileOperation="destroy", device=drive)
    user.done(vm.ReconfigVM_Task(vim.vm.ConfigSpec(deviceChange=[remove])))
    assert (vcenter.vm("vm-0001").disks, vcenter.has_file("[datastore1] vm-0001/vm-0001.vmdk")) == ((), False)


def test_network_adapter_moves_to_another_network(vcenter: VSphereSandbox, user: Client) -> None:
    """To a distributed port group by its key; one that there is not is refused."""
    vcenter.seed(1)
    vm, group = user.vm("vm-0001"), user.all(vim.Network)["DPortGroup1"]
    (nic,) = [found for found in vm.config.hardware.device if isinstance(found, vim.vm.device.VirtualEthernetCard)]
    switch = group.config.distributedVirtualSwitch
    assert {group, switch} <= set(group.parent.childEntity)
    port = vim.dvs.PortConnection(switchUuid=switch.uuid, portgroupKey=group.key)
    nic.backing = vim.vm.device.VirtualEthernetCard.DistributedVirtualPortBackingInfo(port=port)
    user.done(vm.ReconfigVM_Task(vim.vm.ConfigSpec(deviceChange=[edit(nic)])))
    assert vcenter.vm("vm-0001").networks == ("DPortGroup1",)
    port.portgroupKey = "dvportgroup-4711"
    with refusal(vim.fault.InvalidDeviceBacking, deviceIndex=0):
        user.done(vm.ReconfigVM_Task(vim.vm.ConfigSpec(deviceChange=[edit(nic)])))


@pytest.mark.parametrize(
    ("spec", "fault"),
    [
        (lambda: vim.vm.ConfigSpec(numCPUs=0), vmodl.fault.InvalidArgument),
        (lambda: vim.vm.ConfigSpec(memoryMB=1023), vmodl.fault.InvalidArgument),
        (lambda: vim.vm.ConfigSpec(numCPUs=3, numCoresPerSocket=2), vmodl.fault.InvalidArgument),
        (lambda: vim.vm.ConfigSpec(guestId="amigaGuest"), vmodl.fault.InvalidArgument),
        (lambda: vim.vm.ConfigSpec(firmware="openfirmware"), vmodl.fault.InvalidArgument),
        (lambda: vim.vm.ConfigSpec(name=TEMPLATE), vim.fault.DuplicateName),
        (lambda: vim.vm.ConfigSpec(name="x" * 81), vim.fault.InvalidName),
        (lambda: vim.vm.ConfigSpec(changeVersion="yesterday", annotation="x"), vim.fault.ConcurrentAccess),
        (lambda: vim.vm.ConfigSpec(deviceChange=[disk(capacity_bytes=1 << 30)]), vim.fault.InvalidDeviceSpec),
        (lambda: vim.vm.ConfigSpec(deviceChange=[scsi(), disk(capacity_bytes=0)]), vim.fault.InvalidDeviceSpec),
        (lambda: vim.vm.ConfigSpec(deviceChange=[scsi(), disk("[x] y.vmdk")]), vim.fault.InvalidDatastore),
        (lambda: vim.vm.ConfigSpec(deviceChange=[scsi(), disk("y.vmdk")]), vim.fault.InvalidDatastorePath),
        (
            lambda: vim.vm.ConfigSpec(deviceChange=[scsi(), disk("[datastore1] y.vmdk", is_new=False)]),
            vim.fault.FileNotFound,
        ),
        (
            lambda: vim.vm.ConfigSpec(deviceChange=[scsi(), disk("[datastore1] debian-12/debian-12.vmdk")]),
            vim.fault.FileAlreadyExists,
        ),
        (
            lambda: vim.vm.ConfigSpec(deviceChange=[scsi(), disk(capacity_bytes=1 << 30, unit=7), disk(unit=7)]),
            vim.fault.InvalidDeviceSpec,
        ),
        (lambda: vim.vm.ConfigSpec(deviceChange=[card("No Network")]), vim.fault.InvalidDeviceBacking),
        (lambda: vim.vm.ConfigSpec(deviceChange=[card("DPortGroup1")]), vim.fault.InvalidDeviceBacking),
        (
            lambda: vim.vm.ConfigSpec(deviceChange=[edit(vim.vm.device.VirtualVmxnet3(key=4711))]),
            vim.fault.InvalidDeviceSpec,
        ),
    ],
)
def test_reconfiguration_that_makes_no_vm_changes_nothing(
    vcenter: VSphereSandbox, user: Client, spec: Callable[[], Any], fault: Any
) -> None:
    """Its task ends in the fault, and the VM and the files are as before."""
    before, files = vcenter.vm(SOURCE_VM), vcenter.files()
    with refusal(fault):
        user.done(user.vm(SOURCE_VM).ReconfigVM_Task(spec()))
    assert (vcenter.vm(SOURCE_VM), vcenter.files()) == (before, files)


def test_running_vm_takes_no_other_cpus_or_memory(user: Client, vm: Any) -> None:
    """Hot-plugging is not enabled."""
    with refusal(vim.fault.CpuHotPlugNotSupported):
        user.done(vm.ReconfigVM_Task(vim.vm.ConfigSpec(numCPUs=8)))
    with refusal(vim.fault.MemoryHotPlugNotSupported):
        user.done(vm.ReconfigVM_Task(vim.vm.ConfigSpec(memoryMB=8192)))
    user.done(vm.ReconfigVM_Task(vim.vm.ConfigSpec(annotation="x")))


@pytest.mark.parametrize(
    ("spec", "privilege"),
    [
        (lambda: vim.vm.ConfigSpec(name="x"), "Rename"),
        (lambda: vim.vm.ConfigSpec(numCPUs=1), "CPUCount"),
        (lambda: vim.vm.ConfigSpec(memoryMB=512), "Memory"),
        (lambda: vim.vm.ConfigSpec(annotation="x"), "Annotation"),
        (lambda: vim.vm.ConfigSpec(extraConfig=[vim.option.OptionValue(key="x", value="y")]), "AdvancedConfig"),
        (lambda: vim.vm.ConfigSpec(deviceChange=[disk(capacity_bytes=1 << 30)]), "AddNewDisk"),
        (lambda: vim.vm.ConfigSpec(deviceChange=[disk(is_new=False)]), "AddExistingDisk"),
        (lambda: vim.vm.ConfigSpec(deviceChange=[card("VM Network")]), "AddRemoveDevice"),
    ],
)
def test_reconfiguration_takes_the_privilege_of_what_it_changes(
    vcenter: VSphereSandbox, authority: Authority, spec: Callable[[], Any], privilege: str
) -> None:
    """Each part its own."""
    vcenter.add_user("low@sandbox", "low", privileges=())
    low = Client(vcenter, authority).log_in("low@sandbox", "low")
    vm = low.vm(SOURCE_VM)
    with refusal(vim.fault.NoPermission, object=vm, privilegeId=f"VirtualMachine.Config.{privilege}"):
        vm.ReconfigVM_Task(spec())
    low.close()


@pytest.mark.parametrize(
    ("act", "privilege"),
    [
        ("PowerOnVM_Task", "Interact.PowerOn"),
        ("PowerOffVM_Task", "Interact.PowerOff"),
        ("ResetVM_Task", "Interact.Reset"),
        ("SuspendVM_Task", "Interact.Suspend"),
        ("ShutdownGuest", "Interact.PowerOff"),
        ("RebootGuest", "Interact.Reset"),
        ("Destroy_Task", "Inventory.Delete"),
        ("UnregisterVM", "Inventory.Unregister"),
        ("MarkAsTemplate", "Provisioning.MarkAsTemplate"),
    ],
)
def test_verb_takes_its_privilege(vcenter: VSphereSandbox, authority: Authority, act: str, privilege: str) -> None:
    """By vSphere's own names."""
    vcenter.add_user("low@sandbox", "low", privileges=())
    low = Client(vcenter, authority).log_in("low@sandbox", "low")
    vm = low.vm(SOURCE_VM)
    with refusal(vim.fault.NoPermission, object=vm, privilegeId=f"VirtualMachine.{privilege}"):
        getattr(vm, act)()
    low.close()
