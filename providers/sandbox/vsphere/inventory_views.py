"""The properties of folders, datacenters, datastores and networks."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from pyVmomi import vim

from providers.sandbox.vsphere.compute_views import CLUSTER, COMPUTE, HOST, POOL
from providers.sandbox.vsphere.entity_views import ENTITY, Properties, browser_ref, fixed, machines_around, refs
from providers.sandbox.vsphere.inventory import Folder, Holds, Network
from providers.sandbox.vsphere.machine_facts import datastores_of, networks_of
from providers.sandbox.vsphere.shapes import Getter, Shape


def switch_ref(network: Network) -> Any:
    """The reference of the distributed switch that a port group is of."""
    return vim.dvs.VmwareDistributedVirtualSwitch(f"dvs-{network.moid}")


_CHILD_TYPES: Final[Mapping[Holds, list[Any]]] = MappingProxyType(
    {
        Holds.DATACENTERS: [vim.Folder, vim.Datacenter],
        Holds.VMS: [vim.Folder, vim.VirtualMachine, vim.VirtualApp],
        Holds.COMPUTE: [vim.Folder, vim.ComputeResource],
        Holds.DATASTORES: [vim.Folder, vim.Datastore, vim.StoragePod],
        Holds.NETWORKS: [vim.Folder, vim.Network, vim.DistributedVirtualSwitch],
    }
)


def _switches(folder: Folder) -> list[Any]:
    """The switches of port groups, which stand beside them (Folder.childType in the API reference)."""
    return [switch_ref(node) for node in folder.children if isinstance(node, Network) and node.is_distributed]


FOLDER: Final[Properties] = {
    **ENTITY,
    "childType": lambda folder: _CHILD_TYPES[folder.holds],
    "childEntity": lambda folder: [*refs(folder.children), *_switches(folder)],
}


def _folder(holds: Holds) -> Getter:
    return lambda datacenter: datacenter.folder(holds).ref


DATACENTER: Final[Properties] = {
    **ENTITY,
    "vmFolder": _folder(Holds.VMS),
    "hostFolder": _folder(Holds.COMPUTE),
    "datastoreFolder": _folder(Holds.DATASTORES),
    "networkFolder": _folder(Holds.NETWORKS),
    "datastore": lambda datacenter: refs(datacenter.datastores()),
    "network": lambda datacenter: refs(datacenter.networks()),
}


_URL: Final[Getter] = lambda datastore: f"ds:///vmfs/volumes/{datastore.moid}/"  # noqa: E731 - as its neighbours
DATASTORE: Final[Properties] = {
    **ENTITY,
    "info": Shape(
        vim.host.VmfsDatastoreInfo,
        {
            "name": lambda datastore: datastore.name,
            "url": _URL,
            "freeSpace": lambda datastore: datastore.free_bytes,
            "maxFileSize": fixed(64 << 40),
            "maxVirtualDiskCapacity": fixed(62 << 40),
            "maxMemoryFileSize": fixed(64 << 40),
        },
    ),
    "summary": Shape(
        vim.Datastore.Summary,
        {
            "datastore": lambda datastore: datastore.ref,
            "name": lambda datastore: datastore.name,
            "url": _URL,
            "capacity": lambda datastore: datastore.capacity_bytes,
            "freeSpace": lambda datastore: datastore.free_bytes if datastore.is_accessible else 0,
            "uncommitted": fixed(0),
            "accessible": lambda datastore: datastore.is_accessible,
            "multipleHostAccess": fixed(value=True),
            "type": fixed("VMFS"),
            "maintenanceMode": fixed("normal"),
        },
    ),
    "vm": lambda datastore: refs(
        [machine for machine in machines_around(datastore) if datastore in datastores_of(machine)]
    ),
    "browser": browser_ref,
    "capability": Shape(
        vim.Datastore.Capability,
        {"directoryHierarchySupported": fixed(value=True), "perFileThinProvisioningSupported": fixed(value=True)},
    ),
}
NETWORK: Final[Properties] = {
    **ENTITY,
    "summary": Shape(
        vim.Network.Summary,
        {
            "network": lambda network: network.ref,
            "name": lambda network: network.name,
            "accessible": fixed(value=True),
            "ipPoolName": fixed(""),
        },
    ),
    "host": lambda network: refs([host for compute in network.datacenter.compute() for host in compute.hosts]),
    "vm": lambda network: refs([machine for machine in machines_around(network) if network in networks_of(machine)]),
}
PORT_GROUP: Final[Properties] = {
    **NETWORK,
    "key": lambda network: network.moid,
    "config": Shape(
        vim.dvs.DistributedVirtualPortgroup.ConfigInfo,
        {
            "key": lambda network: network.moid,
            "name": lambda network: network.name,
            "numPorts": fixed(128),
            "distributedVirtualSwitch": switch_ref,
            "type": fixed("earlyBinding"),
            "policy": Shape(vim.dvs.DistributedVirtualPortgroup.PortgroupPolicy, {}),
            "uplink": lambda network: network.is_uplink,
        },
    ),
}
SWITCH: Final[Properties] = {
    "name": lambda network: f"Switch of {network.name}",
    "parent": lambda network: network.parent.ref,
    "uuid": lambda network: network.switch_uuid,
    "portgroup": lambda network: [network.ref],
}
NODE_SHAPES: Final[Mapping[Any, Properties]] = MappingProxyType(
    {
        vim.Folder: FOLDER,
        vim.Datacenter: DATACENTER,
        vim.ComputeResource: COMPUTE,
        vim.ClusterComputeResource: CLUSTER,
        vim.HostSystem: HOST,
        vim.ResourcePool: POOL,
        vim.Datastore: DATASTORE,
        vim.Network: NETWORK,
        vim.dvs.DistributedVirtualPortgroup: PORT_GROUP,
        vim.dvs.VmwareDistributedVirtualSwitch: SWITCH,
    }
)
