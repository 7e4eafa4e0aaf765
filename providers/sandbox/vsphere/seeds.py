"""What is in place from the start, and VMs made without the API."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from pyVmomi import vim

from providers.sandbox.vsphere.devices import SCSI_KEY, scsi_controller, standard_devices
from providers.sandbox.vsphere.files import File
from providers.sandbox.vsphere.inventory import (
    GIB,
    Compute,
    Datacenter,
    Datastore,
    Folder,
    Holds,
    Host,
    Network,
    Pool,
)
from providers.sandbox.vsphere.machines import Disk, Guest, Machine, Nic
from providers.sandbox.vsphere.naming import SERVICE_IDS, Kind
from providers.sandbox.vsphere.world import World

DATACENTER: Final = "Datacenter1"
CLUSTER: Final = "Cluster1"
HOSTS: Final = ("esx1.sandbox", "esx2.sandbox")
POOL: Final = "Pool1"
DATASTORES: Final = ("datastore1", "datastore2")
NETWORKS: Final = ("VM Network", "DPortGroup1")
FOLDERS: Final = ("Production", "Production/Web")
TEMPLATE: Final = "debian-12"
SOURCE_VM: Final = "golden"
ESXI_HOST: Final = "esx.sandbox"
VMDK_IMAGE: Final = "[datastore1] images/debian-12.vmdk"
ISO_IMAGE: Final = "[datastore1] iso/debian12.iso"
DISK_BYTES: Final = 8 * GIB
THIN_BYTES: Final = 1 << 20
CAPACITY_BYTES: Final = 2048 * GIB
_ISO_BYTES: Final = 512 << 20
_SWITCH_UUID: Final = "50 1e 00 00 00 00 40 00-80 00 00 00 00 00 00 d5"


@dataclass(frozen=True)
class Build:
    """Makes inventory objects in a world, with ids as its kind of server gives them."""

    world: World

    def root(self) -> Folder:
        """The root folder."""
        moid = SERVICE_IDS[self.world.kind]["rootFolder"]
        name = "ha-folder-root" if self.world.is_esxi else "Datacenters"
        return self.world.add(Folder(ref=vim.Folder(moid), name=name, holds=Holds.DATACENTERS))

    def datacenter(self, root: Folder, name: str) -> Datacenter:
        """A datacenter with its four folders."""
        moid = self._id("datacenter", "ha-datacenter")
        datacenter = self.world.add(Datacenter(ref=vim.Datacenter(moid), name=name), root)
        kinds = (
            (Holds.VMS, "vm"),
            (Holds.COMPUTE, "host"),
            (Holds.DATASTORES, "datastore"),
            (Holds.NETWORKS, "network"),
        )
        for holds, folder in kinds:
            moid = self._id(f"group-{folder[0] if folder != 'datastore' else 's'}", f"ha-folder-{folder}", dash="")
            self.world.add(Folder(ref=vim.Folder(moid), name=folder, holds=holds), datacenter)
        return datacenter

    def compute(self, datacenter: Datacenter, name: str, hosts: Sequence[str], *, is_cluster: bool) -> Compute:
        """A cluster, or a standalone host: its hosts, and its root pool."""
        kind: Any = vim.ClusterComputeResource if is_cluster else vim.ComputeResource
        ref = kind(self._id("domain-c" if is_cluster else "domain-s", "ha-compute-res", dash=""))
        compute = self.world.add(Compute(ref=ref, name=name), datacenter.folder(Holds.COMPUTE))
        for host in hosts:
            self.host(compute, host)
        self.pool(compute, "Resources")
        return compute

    def host(self, compute: Compute, name: str) -> Host:
        """A host."""
        return self.world.add(Host(ref=vim.HostSystem(self._id("host", "ha-host")), name=name), compute)

    def pool(self, parent: Compute | Pool, name: str) -> Pool:
        """A resource pool."""
        return self.world.add(Pool(ref=vim.ResourcePool(self._id("resgroup", "ha-root-pool")), name=name), parent)

    def folder(self, parent: Folder, name: str) -> Folder:
        """A VM folder."""
        moid = f"group-v{self.world.number()}"
        return self.world.add(Folder(ref=vim.Folder(moid), name=name, holds=Holds.VMS), parent)

    def datastore(self, datacenter: Datacenter, name: str, capacity_bytes: int = CAPACITY_BYTES) -> Datastore:
        """An empty datastore."""
        moid = self._id("datastore", str(uuid.uuid4()))
        node = Datastore(ref=vim.Datastore(moid), name=name, capacity_bytes=capacity_bytes)
        return self.world.add(node, datacenter.folder(Holds.DATASTORES))

    def network(self, datacenter: Datacenter, name: str, *, is_distributed: bool = False) -> Network:
        """A host network, or a distributed port group."""
        kind: Any = vim.dvs.DistributedVirtualPortgroup if is_distributed else vim.Network
        moid = self._id("dvportgroup" if is_distributed else "network", f"HaNetwork-{name}")
        uuid_text = _SWITCH_UUID if is_distributed else None
        node = Network(ref=kind(moid), name=name, switch_uuid=uuid_text)
        return self.world.add(node, datacenter.folder(Holds.NETWORKS))

    def _id(self, prefix: str, on_esxi: str, *, dash: str = "-") -> str:
        return on_esxi if self.world.is_esxi else f"{prefix}{dash}{self.world.number()}"


def equip(world: World) -> None:
    """Everything that is there at the start."""
    build = Build(world)
    root = build.root()
    if world.kind is Kind.ESXI:
        _equip_host(build, root)
    else:
        _equip_center(build, root)


def _equip_host(build: Build, root: Folder) -> None:
    datacenter = build.datacenter(root, "ha-datacenter")
    build.compute(datacenter, ESXI_HOST, [ESXI_HOST], is_cluster=False)
    datastore = build.datastore(datacenter, DATASTORES[0])
    build.network(datacenter, NETWORKS[0])
    image = File(THIN_BYTES, DISK_BYTES, is_thin=True, has_tools=True, uuid=str(uuid.uuid4()), is_equipment=True)
    datastore.files.put(VMDK_IMAGE.partition("] ")[2], image)
    datastore.files.put(ISO_IMAGE.partition("] ")[2], File(_ISO_BYTES, is_equipment=True))


def _equip_center(build: Build, root: Folder) -> None:
    datacenter = build.datacenter(root, DATACENTER)
    equip_datacenter(build, datacenter, CLUSTER, HOSTS, DATASTORES, NETWORKS)
    folder = datacenter.folder(Holds.VMS)
    for path in FOLDERS:
        folder = build.folder(folder, path.rpartition("/")[2])
    build.pool(datacenter.compute()[0].pool, POOL)
    template = seed_machine(build.world, datacenter, datacenter.folder(Holds.VMS), TEMPLATE, is_equipment=True)
    template.is_template, template.pool = True, None
    seed_machine(build.world, datacenter, datacenter.folder(Holds.VMS), SOURCE_VM, is_equipment=True)


def equip_datacenter(  # noqa: PLR0913, PLR0917 - a datacenter has all of these
    build: Build,
    datacenter: Datacenter,
    cluster: str,
    hosts: Sequence[str],
    datastores: Sequence[str],
    networks: Sequence[str],
) -> None:
    """Put a cluster, datastores and networks into a datacenter; all networks but the first are distributed."""
    build.compute(datacenter, cluster, hosts, is_cluster=True)
    for name in datastores:
        build.datastore(datacenter, name)
    for number, name in enumerate(networks):
        build.network(datacenter, name, is_distributed=number > 0)


def seed_machine(  # noqa: PLR0913 - where it is, and what it is
    world: World, datacenter: Datacenter, folder: Folder, name: str, *, tools: bool = True, is_equipment: bool = False
) -> Machine:
    """Make a VM that is powered off, with a thin disk and a network adapter, on the first of everything."""
    compute, datastore = datacenter.compute()[0], datacenter.datastores()[0]
    path = datastore.files.free_name(name)
    machine = Machine(
        ref=vim.VirtualMachine(world.machine_id()),
        name=name,
        host=compute.hosts[0],
        pool=compute.pool,
        datastore=datastore,
        vmx_path=f"{path}/{name}.vmx",
        cpus=2,
        memory_mib=2048,
        guest_id="debian12_64Guest",
    )
    disk_path = f"{path}/{name}.vmdk"
    disk = File(
        THIN_BYTES, DISK_BYTES, is_thin=True, has_tools=tools, uuid=machine.bios_uuid, is_equipment=is_equipment
    )
    datastore.files.put(machine.vmx_path, File(4096, is_equipment=is_equipment))
    datastore.files.put(disk_path, disk)
    nic = Nic(4000, vim.vm.device.VirtualVmxnet3, datacenter.networks()[0], world.new_mac())
    machine.devices = [*standard_devices(), scsi_controller(), Disk(2000, SCSI_KEY, 0, datastore, disk_path), nic]
    machine.guest = Guest(addresses=world.new_addresses())
    return world.add(machine, folder)
