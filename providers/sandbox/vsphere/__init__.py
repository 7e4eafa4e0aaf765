"""The sandbox's vSphere: vCenter Server with a cluster, or a standalone ESXi host, as their SOAP API shows them."""

from providers.sandbox.vsphere.records import SimulatedDisk, SimulatedTask, SimulatedVM
from providers.sandbox.vsphere.sandbox import API_VERSION, PASSWORD, USER, VSphereSandbox
from providers.sandbox.vsphere.seeds import (
    CLUSTER,
    DATACENTER,
    DATASTORES,
    DISK_BYTES,
    ESXI_HOST,
    FOLDERS,
    HOSTS,
    ISO_IMAGE,
    NETWORKS,
    POOL,
    SOURCE_VM,
    TEMPLATE,
    VMDK_IMAGE,
)
from providers.sandbox.vsphere.world import Knobs

__all__ = [
    "API_VERSION",
    "CLUSTER",
    "DATACENTER",
    "DATASTORES",
    "DISK_BYTES",
    "ESXI_HOST",
    "FOLDERS",
    "HOSTS",
    "ISO_IMAGE",
    "NETWORKS",
    "PASSWORD",
    "POOL",
    "SOURCE_VM",
    "TEMPLATE",
    "USER",
    "VMDK_IMAGE",
    "Knobs",
    "SimulatedDisk",
    "SimulatedTask",
    "SimulatedVM",
    "VSphereSandbox",
]
