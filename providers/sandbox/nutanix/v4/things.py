"""How v4 shows what VMs are made of and run on."""

from collections.abc import Sequence
from typing import Any

from providers.sandbox.nutanix.inventory import EQUIPPED_AT, NOBODY, Cluster, Container, Host, Image, Subnet
from providers.sandbox.nutanix.v4.envelope import moment, typed


def image(shown: Image, clusters: Sequence[str]) -> dict[str, Any]:
    """One image."""
    return {
        **typed("vmm.v4.content.Image"),
        "extId": shown.uuid,
        "name": shown.name,
        "type": "ISO_IMAGE" if shown.is_iso else "DISK_IMAGE",
        "sizeBytes": shown.size_bytes,
        "clusterLocationExtIds": list(clusters),
        "createTime": moment(EQUIPPED_AT),
        "lastUpdateTime": moment(EQUIPPED_AT),
        "ownerExtId": NOBODY,
    }


def subnet(shown: Subnet, cluster: Cluster) -> dict[str, Any]:
    """One subnet."""
    managed = {"ipPrefix": str(shown.network)} if shown.is_managed else {}
    return {
        **typed("networking.v4.config.Subnet"),
        **managed,
        "extId": shown.uuid,
        "name": shown.name,
        "subnetType": "VLAN",
        "networkId": shown.vlan,
        "clusterReference": shown.cluster,
        "clusterName": cluster.name,
        "bridgeName": "br0",
        "isExternal": False,
        "isAdvancedNetworking": False,
        "hypervisorType": "acropolis",
    }


def cluster(shown: Cluster, vms: int) -> dict[str, Any]:
    """One cluster; a Central is one too, and no place for VMs."""
    config = {
        **typed("clustermgmt.v4.config.ClusterConfigReference"),
        "clusterFunction": ["PRISM_CENTRAL"] if shown.is_central else ["AOS"],
        "hypervisorTypes": [] if shown.is_central else ["AHV"],
        "isAvailable": True,
        "timezone": "UTC",
    }
    name = typed("clustermgmt.v4.config.Cluster")
    return {**name, "extId": shown.uuid, "name": shown.name, "config": config, "vmCount": vms}


def host(shown: Host, cluster: Cluster) -> dict[str, Any]:
    """One host."""
    where = {**typed("clustermgmt.v4.config.ClusterReference"), "uuid": cluster.uuid, "name": cluster.name}
    return {
        **typed("clustermgmt.v4.config.Host"),
        "extId": shown.uuid,
        "hostName": shown.name,
        "cluster": where,
        "memorySizeBytes": shown.memory_bytes,
        "numberOfCpuCores": 32,
        "numberOfCpuSockets": 2,
        "nodeStatus": "NORMAL",
    }


def storage_container(shown: Container, cluster: Cluster) -> dict[str, Any]:
    """One storage container, whose id has a name of its own."""
    return {
        **typed("clustermgmt.v4.config.StorageContainer"),
        "extId": shown.uuid,
        "containerExtId": shown.uuid,
        "name": shown.name,
        "clusterExtId": shown.cluster,
        "clusterName": cluster.name,
        "isMarkedForRemoval": False,
        "maxCapacityBytes": 1 << 44,
        "replicationFactor": 2,
    }
