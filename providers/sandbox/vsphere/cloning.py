"""CloneVM_Task: a new VM or template from a VM or a template; vCenter's, which a standalone host has not.

https://developer.broadcom.com/xapis/vsphere-web-services-api/latest/vim.VirtualMachine.html, and privileges by
"Required Privileges for Common Tasks" in vSphere Security:
https://techdocs.broadcom.com/us/en/vmware-cis/vsphere/vsphere/8-0/vsphere-security.html
"""

import copy
import uuid
from collections.abc import Collection
from dataclasses import replace
from typing import Any, Final

from providers.sandbox.vsphere import specs
from providers.sandbox.vsphere.accounts import check_placement
from providers.sandbox.vsphere.births import Birth, Place, begin, birth, choose_host, refuse_place
from providers.sandbox.vsphere.calls import Call
from providers.sandbox.vsphere.device_changes import DeviceChanges
from providers.sandbox.vsphere.device_plans import Plan
from providers.sandbox.vsphere.disk_files import DiskFiles
from providers.sandbox.vsphere.inventory import Datastore, Folder, Network, Pool
from providers.sandbox.vsphere.machines import Device, Disk, Guest, Machine, Nic
from providers.sandbox.vsphere.network_changes import networks_of
from providers.sandbox.vsphere.refusals import invalid_argument, refusal

# By what is cloned, and whether a template comes of it.
_PRIVILEGES: Final = {
    (False, False): "Clone",
    (False, True): "CreateTemplateFromVM",
    (True, False): "DeployTemplate",
    (True, True): "CloneTemplate",
}
_KEPT: Final = (
    "cpus",
    "cores_per_socket",
    "memory_mib",
    "guest_id",
    "firmware",
    "annotation",
    "hardware_version",
)


def clone(call: Call) -> Any:
    """CloneVM_Task."""
    if call.world.is_esxi:
        raise refusal("NotSupported")
    spec = call["spec"]
    if spec.customization is not None or spec.snapshot is not None:
        raise refusal("NotSupported")
    cloning = _Cloning(call)
    cloning.check()
    return begin(call, cloning.source, cloning.conceive, spec.config, is_on=spec.powerOn)


class _Cloning:
    """One clone: where it goes, and what it is made of."""

    def __init__(self, call: Call) -> None:
        self._call, self._world, self._spec = call, call.world, call["spec"]
        self.source = call.node(Machine)
        # What a relocation changes, network adapters above all, comes before what the configuration changes.
        config = self._spec.config
        self._changes = [*self._spec.location.deviceChange, *(config.deviceChange if config is not None else [])]
        folder, pool = call.world.find(call["folder"], Folder), self._pool()
        host = choose_host(call.world, pool, self._spec.location.host, self.source.host)
        self._place = Place(folder, pool, host, self._datastore(), "")

    def check(self) -> None:
        """Refuse a caller without the privileges."""
        call, folder = self._call, self._place.folder
        kind = _PRIVILEGES[self.source.is_template, bool(self._spec.template)]
        call.check(self.source, f"VirtualMachine.Provisioning.{kind}")
        call.check(folder, "VirtualMachine.Inventory.CreateFromExisting")
        moved = specs.device_privileges(self._spec.location.deviceChange, self.source)
        wanted = ["AddNewDisk", *specs.privileges(self._spec.config, self.source), *moved]
        call.check(folder, *[f"VirtualMachine.Config.{name}" for name in wanted])
        check_placement(call.caller, self._place.pool, self._datastores(), self._networks())
        if self._spec.powerOn:
            call.check(folder, "VirtualMachine.Interact.PowerOn")

    def conceive(self) -> Birth:
        """What is to be made."""
        folder, config = self._place.folder, self._spec.config
        refuse_place(self._world, folder, self._call["name"])
        self._refuse_datastores()
        if self._spec.powerOn and self._spec.template:
            raise invalid_argument("spec.powerOn")
        machine = self._copy()
        if config is not None:
            specs.refuse(config, machine)
        plan = DeviceChanges(self._world, folder.datacenter, machine).plan(self._changes)
        self._copy_disks(machine, plan)
        return birth(self._world, folder, machine, plan)

    # Where it goes.

    def _pool(self) -> Pool:
        named = self._spec.location.pool
        if named is not None:
            return self._world.find(named, Pool)
        if self.source.pool is None:
            raise invalid_argument("spec.location.pool")
        return self.source.pool

    def _datastore(self) -> Datastore:
        named = self._spec.location.datastore
        return self.source.datastore if named is None else self._world.find(named, Datastore)

    def _datastore_of(self, disk: Disk) -> Datastore:
        for locator in self._spec.location.disk:
            if locator.diskId == disk.key:
                return self._world.find(locator.datastore, Datastore)
        return disk.datastore if self._spec.location.datastore is None else self._datastore()

    def _datastores(self) -> Collection[Datastore]:
        return {self._place.datastore, *(self._datastore_of(disk) for disk in self.source.disks)}

    def _networks(self) -> Collection[Network]:
        changed = networks_of(self._changes, self._place.folder.datacenter)
        return {*changed, *(nic.network for nic in self.source.nics)}

    def _refuse_datastores(self) -> None:
        for datastore in self._datastores():
            if datastore.datacenter is not self._place.folder.datacenter or not datastore.is_accessible:
                raise refusal("InvalidDatastore", {"name": datastore.name}, name=datastore.name)

    # What it is made of.

    def _copy(self) -> Machine:
        source = self.source
        machine = self._place.machine(self._world, self._call["name"])
        for name in _KEPT:
            setattr(machine, name, getattr(source, name))
        # With all that the source's guest was told, unless the specification says otherwise.
        machine.extra = dict(source.extra)
        machine.guest = Guest(source.guest.has_tools, addresses=self._world.new_addresses())
        machine.is_template = bool(self._spec.template)
        machine.pool = None if machine.is_template else self._place.pool
        machine.devices = [self._copied(device) for device in source.devices]
        return machine

    def _copied(self, device: Device) -> Device:
        if isinstance(device, Nic):
            return replace(device, mac=self._world.new_mac(), is_mac_assigned=True)
        return copy.copy(device)

    def _copy_disks(self, machine: Machine, plan: Plan) -> None:
        """Give the clone files of its own for the source's disks; those that are to grow are larger from the start."""
        grown = {(datastore, path): capacity for datastore, path, capacity in plan.grown}
        copied = {(disk.datastore, disk.path) for disk in self.source.disks}
        plan.grown, plan.removed = [], []
        files = DiskFiles(self._world, self._place.folder.datacenter, machine, plan)
        for disk in [device for device in plan.devices if isinstance(device, Disk)]:
            old, file = (disk.datastore, disk.path), disk.file
            if file is None or old not in copied:
                continue
            larger = file.extended(grown.get(old, file.capacity_bytes or 0))
            disk.datastore = self._datastore_of(disk)
            disk.path = files.free_path(disk.datastore)
            own = replace(larger, uuid=str(uuid.uuid4()), is_equipment=False)
            plan.made.append((disk.datastore, disk.path, own))
