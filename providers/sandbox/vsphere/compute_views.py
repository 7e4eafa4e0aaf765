"""The properties of clusters, standalone hosts, hosts and resource pools."""

from collections.abc import Callable
from typing import Any, Final

from pyVmomi import vim

from providers.sandbox.vsphere.entity_views import ENTITY, Properties, browser_ref, fixed, machines_around, refs
from providers.sandbox.vsphere.inventory import Compute, Node, Pool
from providers.sandbox.vsphere.machines import MIB
from providers.sandbox.vsphere.shapes import Shape

MHZ: Final = 2400


def _mounted(node: Node) -> list[Any]:
    return refs(node.datacenter.datastores()) if node.datacenter else []


def _wired(node: Node) -> list[Any]:
    return refs(node.datacenter.networks()) if node.datacenter else []


def _total_cores(compute: Compute) -> int:
    return sum(host.cores for host in compute.hosts)


def _total_mhz(compute: Compute) -> int:
    return _total_cores(compute) * MHZ


def _total_memory(compute: Compute) -> int:
    return sum(host.memory_bytes for host in compute.hosts)


_COMPUTE_SUMMARY: Final[Properties] = {
    "totalCpu": _total_mhz,
    "totalMemory": _total_memory,
    "numCpuCores": _total_cores,
    "numCpuThreads": lambda compute: 2 * _total_cores(compute),
    "effectiveCpu": _total_mhz,
    "effectiveMemory": lambda compute: _total_memory(compute) // MIB,
    "numHosts": lambda compute: len(compute.hosts),
    "numEffectiveHosts": lambda compute: len(compute.hosts),
    "overallStatus": fixed("green"),
}
_COMPUTE: Final[Properties] = {
    **ENTITY,
    "resourcePool": lambda compute: compute.pool.ref,
    "host": lambda compute: refs(compute.hosts),
    "datastore": _mounted,
    "network": _wired,
}
COMPUTE: Final[Properties] = {**_COMPUTE, "summary": Shape(vim.ComputeResource.Summary, _COMPUTE_SUMMARY)}
_DRS: Final = Shape(vim.cluster.DrsConfigInfo, {"enabled": fixed(value=True), "defaultVmBehavior": fixed("manual")})
_HA: Final = Shape(vim.cluster.DasConfigInfo, {"enabled": fixed(value=False)})
CLUSTER: Final[Properties] = {
    **_COMPUTE,
    "summary": Shape(
        vim.ClusterComputeResource.Summary,
        {**_COMPUTE_SUMMARY, "currentFailoverLevel": fixed(0), "numVmotions": fixed(0)},
    ),
    "configuration": Shape(vim.cluster.ConfigInfo, {"dasConfig": _HA, "drsConfig": _DRS}),
    "configurationEx": Shape(vim.cluster.ConfigInfoEx, {"dasConfig": _HA, "drsConfig": _DRS}),
}
_HOST_RUNTIME: Final = Shape(
    vim.host.RuntimeInfo,
    {
        "connectionState": fixed("connected"),
        "powerState": fixed("poweredOn"),
        "inMaintenanceMode": fixed(value=False),
    },
)
HOST: Final[Properties] = {
    **ENTITY,
    "runtime": _HOST_RUNTIME,
    "summary": Shape(
        vim.host.Summary,
        {
            "host": lambda host: host.ref,
            "hardware": Shape(
                vim.host.Summary.HardwareSummary,
                {
                    "vendor": fixed("Sandbox"),
                    "model": fixed("Loopback"),
                    "uuid": fixed("00000000-0000-4000-8000-0000000000e5"),
                    "memorySize": lambda host: host.memory_bytes,
                    "cpuModel": fixed("Sandbox CPU"),
                    "cpuMhz": fixed(MHZ),
                    "numCpuPkgs": fixed(1),
                    "numCpuCores": lambda host: host.cores,
                    "numCpuThreads": lambda host: 2 * host.cores,
                    "numNics": fixed(2),
                    "numHBAs": fixed(1),
                },
            ),
            "runtime": _HOST_RUNTIME,
            "config": Shape(
                vim.host.Summary.ConfigSummary,
                {
                    "name": lambda host: host.name,
                    "port": fixed(443),
                    "vmotionEnabled": fixed(value=False),
                    "faultToleranceEnabled": fixed(value=False),
                },
            ),
            "quickStats": Shape(vim.host.Summary.QuickStats, {}),
            "overallStatus": fixed("green"),
            "rebootRequired": fixed(value=False),
        },
    ),
    "vm": lambda host: refs([machine for machine in machines_around(host) if machine.host is host]),
    "datastore": _mounted,
    "network": _wired,
    "datastoreBrowser": browser_ref,
}


def _usage(total: Callable[[Compute], int]) -> Shape:
    """How much of a resource there is: nothing is ever reserved."""
    names = ("unreservedForPool", "unreservedForVm", "maxUsage")
    return Shape(vim.ResourcePool.ResourceUsage, dict.fromkeys(names, lambda pool: total(pool.compute)))


_ALLOCATION: Final = Shape(
    vim.ResourceAllocationInfo,
    {
        "reservation": fixed(0),
        "expandableReservation": fixed(value=True),
        "limit": fixed(-1),
        "shares": Shape(vim.SharesInfo, {"shares": fixed(4000), "level": fixed("normal")}),
    },
)
_POOL_CONFIG: Final = Shape(
    vim.ResourceConfigSpec,
    {"entity": lambda pool: pool.ref, "cpuAllocation": _ALLOCATION, "memoryAllocation": _ALLOCATION},
)
_POOL_RUNTIME: Final = Shape(
    vim.ResourcePool.RuntimeInfo,
    {"memory": _usage(_total_memory), "cpu": _usage(_total_mhz), "overallStatus": fixed("green")},
)
POOL: Final[Properties] = {
    **ENTITY,
    "config": _POOL_CONFIG,
    "runtime": _POOL_RUNTIME,
    "summary": Shape(
        vim.ResourcePool.Summary,
        {"name": lambda pool: pool.name, "config": _POOL_CONFIG, "runtime": _POOL_RUNTIME},
    ),
    "owner": lambda pool: pool.compute.ref,
    "resourcePool": lambda pool: refs([child for child in pool.children if isinstance(child, Pool)]),
    "vm": lambda pool: refs([machine for machine in machines_around(pool) if machine.pool is pool]),
}
