"""How v3 shows what VMs are made of and run on."""

from collections.abc import Mapping
from typing import Any

from providers.sandbox.nutanix.inventory import Cluster, Host, Image, Subnet
from providers.sandbox.nutanix.machines import MIB
from providers.sandbox.nutanix.v3.showing import metadata, reference


def image(shown: Image) -> Mapping[str, object]:
    """One image."""
    kind = {"image_type": "ISO_IMAGE" if shown.is_iso else "DISK_IMAGE", "architecture": "X86_64"}
    status = {**kind, "size_bytes": shown.size_bytes, "retrieval_uri_list": []}
    return _entity(shown, "image", kind, status)


def subnet(shown: Subnet, cluster: Cluster) -> Mapping[str, object]:
    """One subnet."""
    resources: dict[str, object] = {"subnet_type": "VLAN", "vswitch_name": "br0", "vlan_id": shown.vlan}
    if shown.is_managed:
        pool = {"range": f"{shown.network[10]} {shown.network[-2]}"}
        resources["ip_config"] = {
            "pool_list": [pool],
            "default_gateway_ip": str(shown.network[1]),
            "prefix_length": shown.network.prefixlen,
            "subnet_ip": str(shown.network.network_address),
        }
    where = {"cluster_reference": reference("cluster", cluster.uuid, cluster.name)}
    return _entity(shown, "subnet", resources, resources, where)


def cluster(shown: Cluster) -> Mapping[str, object]:
    """One cluster; a Central is one too, and no place for VMs."""
    service = "PRISM_CENTRAL" if shown.is_central else "AOS"
    status = {"nodes": {}, "config": {"service_list": [service], "build": {"version": shown.version}}}
    return _entity(shown, "cluster", {}, status)


def host(shown: Host) -> Mapping[str, object]:
    """One host."""
    status = {"memory_capacity_mib": shown.memory_bytes // MIB, "num_cpu_sockets": 2, "num_cpu_cores": 32}
    entity = _entity(shown, "host", {}, status)
    where = {"cluster_reference": {"kind": "cluster", "uuid": shown.cluster}}
    return {**entity, "status": {**entity["status"], **where}}


def _entity(
    shown: Cluster | Host | Image | Subnet,
    kind: str,
    spec: Mapping[str, object],
    status: Mapping[str, object],
    more: Mapping[str, object] | None = None,
) -> Mapping[str, Any]:
    return {
        "metadata": metadata(kind, shown.uuid, "admin"),
        "spec": {"name": shown.name, "resources": spec, **(more or {})},
        "status": {"state": "COMPLETE", "name": shown.name, "resources": status, **(more or {})},
    }
