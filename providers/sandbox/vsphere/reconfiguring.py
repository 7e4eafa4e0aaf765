"""ReconfigVM_Task and Rename_Task."""

from typing import Any

from providers.sandbox.vsphere import specs
from providers.sandbox.vsphere.births import refuse_taken
from providers.sandbox.vsphere.calls import Call
from providers.sandbox.vsphere.device_changes import DeviceChanges
from providers.sandbox.vsphere.inventory import Folder, Network, Node
from providers.sandbox.vsphere.machines import Machine
from providers.sandbox.vsphere.network_changes import networks_of
from providers.sandbox.vsphere.refusals import refusal
from providers.sandbox.vsphere.tasks import Work


def reconfigure(call: Call) -> Any:
    """ReconfigVM_Task."""
    machine, spec = call.node(Machine), call["spec"]
    call.check(machine, *[f"VirtualMachine.Config.{name}" for name in specs.privileges(spec, machine)])
    for network in _new_networks(machine, spec):
        call.check(network, "Network.Assign")

    def check() -> None:
        _refuse(call, machine, spec)
        DeviceChanges(call.world, machine.datacenter, machine).plan(spec.deviceChange)

    def work() -> Work:
        yield call.world.knobs.task_seconds
        plan = DeviceChanges(call.world, machine.datacenter, machine).plan(spec.deviceChange)
        plan.refuse_full_datastores()
        plan.make()
        plan.finish()
        machine.devices = plan.devices
        machine.name = spec.name or machine.name
        specs.apply(spec, machine)
        call.world.tell_apart(machine)

    return call.fork(machine, work(), check=check, busy=(machine,))


def rename(call: Call) -> Any:
    """Rename_Task: of a VM, or of a folder that somebody made."""
    node, name = call.node(Node), call["newName"]
    if not isinstance(node, Machine | Folder) or (isinstance(node, Folder) and call.world.is_esxi):
        raise refusal("NotSupported")
    call.check(node, "VirtualMachine.Config.Rename" if isinstance(node, Machine) else "Folder.Rename")

    def check() -> None:
        specs.refuse_name(name)
        if isinstance(node.parent, Folder) and name != node.name:
            refuse_taken(call.world, node.parent, name)

    def work() -> Work:
        yield call.world.knobs.task_seconds
        node.name = name

    return call.fork(node, work(), check=check, busy=(node,))


def _refuse(call: Call, machine: Machine, spec: Any) -> None:
    if machine.is_template and _is_hardware(spec):
        raise refusal("NotSupported")
    if spec.changeVersion and spec.changeVersion != machine.change_version:
        raise refusal("ConcurrentAccess")
    if spec.name is not None:
        specs.refuse_name(spec.name)
        if machine.folder is not None and spec.name != machine.name:
            refuse_taken(call.world, machine.folder, spec.name)
    specs.refuse(spec, machine)


def _is_hardware(spec: Any) -> bool:
    return bool(spec.deviceChange or spec.numCPUs or spec.memoryMB)


def _new_networks(machine: Machine, spec: Any) -> list[Network]:
    present = {nic.network for nic in machine.nics}
    return [network for network in networks_of(spec.deviceChange, machine.datacenter) if network not in present]
