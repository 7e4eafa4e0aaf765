"""CreateVM_Task: a new VM from a specification.

Privileges by "Required Privileges for Common Tasks" in vSphere Security:
https://techdocs.broadcom.com/us/en/vmware-cis/vsphere/vsphere/8-0/vsphere-security.html
"""

from typing import Any

from providers.sandbox.vsphere import specs
from providers.sandbox.vsphere.accounts import check_placement
from providers.sandbox.vsphere.births import Birth, Place, begin, birth, choose_host, refuse_place
from providers.sandbox.vsphere.calls import Call
from providers.sandbox.vsphere.device_changes import DeviceChanges
from providers.sandbox.vsphere.devices import standard_devices
from providers.sandbox.vsphere.files import DatastorePath
from providers.sandbox.vsphere.inventory import Folder, Pool
from providers.sandbox.vsphere.machines import Guest
from providers.sandbox.vsphere.network_changes import networks_of
from providers.sandbox.vsphere.refusals import invalid_argument, refusal


def create(call: Call) -> Any:
    """CreateVM_Task."""
    place, spec = _place(call), call["config"]
    _check(call, place, spec)

    def conceive() -> Birth:
        refuse_place(call.world, place.folder, spec.name)
        machine = place.machine(call.world, spec.name)
        if place.datastore.files.find(machine.vmx_path) is not None:
            raise refusal("FileAlreadyExists", file=machine.vmx_name)
        machine.devices = standard_devices()
        machine.guest = Guest(addresses=call.world.new_addresses())
        specs.refuse(spec, machine)
        plan = DeviceChanges(call.world, place.folder.datacenter, machine).plan(spec.deviceChange)
        return birth(call.world, place.folder, machine, plan)

    return begin(call, place.folder, conceive, spec)


def _place(call: Call) -> Place:
    folder, pool, files = call.node(Folder), call.world.find(call["pool"], Pool), call["config"].files
    if files is None or not files.vmPathName:
        raise invalid_argument("configSpec.files.vmPathName")
    path = DatastorePath.parse(files.vmPathName)
    datastore = call.world.datastore(folder.datacenter, path.datastore)
    return Place(folder, pool, choose_host(call.world, pool, call["host"]), datastore, path.path)


def _check(call: Call, place: Place, spec: Any) -> None:
    call.check(place.folder, "VirtualMachine.Inventory.Create")
    wanted = [name for name in specs.privileges(spec, None) if name in specs.CREATE_PRIVILEGES]
    call.check(place.folder, *[f"VirtualMachine.Config.{name}" for name in wanted])
    networks = networks_of(spec.deviceChange, place.folder.datacenter)
    check_placement(call.caller, place.pool, [place.datastore], networks)
