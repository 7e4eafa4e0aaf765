"""Destroy_Task, UnregisterVM, RefreshStorageInfo, MarkAsTemplate, MarkAsVirtualMachine, CreateFolder and CancelTask."""

from typing import Any

from pyVmomi import vim

from providers.sandbox.vsphere import specs
from providers.sandbox.vsphere.births import refuse_taken
from providers.sandbox.vsphere.calls import Call
from providers.sandbox.vsphere.inventory import Folder, Host, Node, Pool
from providers.sandbox.vsphere.machine_facts import is_logging
from providers.sandbox.vsphere.machines import Connection, Machine, Power
from providers.sandbox.vsphere.refusals import invalid_argument, invalid_power_state, not_found, refusal
from providers.sandbox.vsphere.tasks import Work


def destroy(call: Call) -> Any:
    """Destroy_Task: a VM or template, its disks and its folder; nothing else can be destroyed here."""
    machine = call.node(Node)
    if not isinstance(machine, Machine):
        raise refusal("NotSupported")
    call.check(machine, "VirtualMachine.Inventory.Delete")

    def work() -> Work:
        yield call.world.knobs.task_seconds
        _remove_files(machine)
        call.world.remove(machine)

    def check() -> None:
        _refuse_powered(machine)
        if machine.connection is not Connection.CONNECTED:
            raise refusal("InvalidState")

    return call.fork(machine, work(), check=check, busy=(machine,))


def unregister(call: Call) -> None:
    """UnregisterVM: the files stay."""
    machine = _idle(call, "VirtualMachine.Inventory.Unregister")
    _refuse_powered(machine)
    call.world.remove(machine)


def refresh_storage_info(call: Call) -> None:
    """RefreshStorageInfo: read `layoutEx` from the datastore."""
    machine = call.node(Machine)
    call.check(machine, "System.Read")
    machine.boots_in_layout = machine.boots if is_logging(machine) else 0


def mark_as_template(call: Call) -> None:
    """MarkAsTemplate; a standalone host has no templates."""
    _refuse_standalone(call)
    machine = _idle(call, "VirtualMachine.Provisioning.MarkAsTemplate")
    if machine.is_template:
        raise refusal("NotSupported")
    _refuse_powered(machine)
    machine.is_template, machine.pool = True, None
    machine.touch()


def mark_as_machine(call: Call) -> None:
    """MarkAsVirtualMachine."""
    _refuse_standalone(call)
    pool = call.world.find(call["pool"], Pool)
    machine = _idle(call, "VirtualMachine.Provisioning.MarkAsVM")
    call.check(pool, "Resource.AssignVMToPool")
    if not machine.is_template:
        raise refusal("NotSupported")
    host = call.world.find(call["host"], Host) if call["host"] is not None else machine.host
    if host.compute is not pool.compute:
        raise invalid_argument("host")
    machine.is_template, machine.pool, machine.host = False, pool, host
    machine.touch()


def create_folder(call: Call) -> Any:
    """CreateFolder; on a standalone host there are no folders but those that it has."""
    _refuse_standalone(call)
    parent, name = call.node(Folder), call["name"]
    call.check(parent, "Folder.Create")
    specs.refuse_name(name)
    refuse_taken(call.world, parent, name)
    moid = f"group-{parent.holds.value[0].lower()}{call.world.number()}"
    folder = Folder(ref=vim.Folder(moid), name=name, holds=parent.holds)
    return call.world.add(folder, parent).ref


def cancel_task(call: Call) -> None:
    """CancelTask: one's own, unless one may cancel others' too."""
    task = call.task(call.this)
    if task.session != call.caller.key:
        call.check(call.world.find(call.world.service_ref("rootFolder", vim.Folder), Node), "Global.CancelTask")
    if task.is_over:
        raise refusal("InvalidState")
    if not task.is_cancelable:
        raise refusal("NotSupported")
    call.world.tasks.cancel(task)


def _idle(call: Call, privilege: str) -> Machine:
    """The VM, when nothing else is being done with it."""
    machine = call.node(Machine)
    call.check(machine, privilege)
    holder = call.world.tasks.holder(machine)
    if holder is not None:
        raise refusal("TaskInProgress", task=holder.ref)
    return machine


def _remove_files(machine: Machine) -> None:
    for datastore, path in list(machine.files()):
        datastore.files.remove(path)
    for datastore, path in {(datastore, path.rpartition("/")[0]) for datastore, path in machine.files()}:
        if path and not list(datastore.files.below(path)):
            datastore.files.remove(path)


def _refuse_powered(machine: Machine) -> None:
    if machine.parent is None:
        raise not_found(machine.ref)
    if machine.power is Power.ON:
        raise invalid_power_state(machine.power.value, Power.OFF.value)


def _refuse_standalone(call: Call) -> None:
    if call.world.is_esxi:
        raise refusal("NotSupported")
