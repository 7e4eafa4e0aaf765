"""What VMs are made of and run on: clusters, hosts, images, subnets, storage containers."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from ipaddress import IPv4Network
from typing import TypeVar

GIB = 1 << 30
# The moment at which everything that is there from the start was made.
EQUIPPED_AT = 1_700_000_000.0
# Who owns what nobody has made.
NOBODY = "00000000-0000-0000-0000-000000000000"


@dataclass(frozen=True)
class Cluster:
    """A cluster; a Prism Central lists itself as one, too."""

    uuid: str
    name: str
    is_central: bool = False
    version: str = "6.10"


@dataclass(frozen=True)
class Host:
    """A node of a cluster."""

    uuid: str
    name: str
    cluster: str
    memory_bytes: int = 512 * GIB


@dataclass(frozen=True)
class Container:
    """A storage container."""

    uuid: str
    name: str
    cluster: str


@dataclass(frozen=True)
class Image:
    """An image. A clone names its disk on v2.0, and itself on v3 and v4."""

    uuid: str
    name: str
    disk_uuid: str
    size_bytes: int
    container: str
    is_iso: bool = False


@dataclass
class Subnet:
    """A network; one that Prism manages assigns addresses."""

    uuid: str
    name: str
    cluster: str
    vlan: int
    network: IPv4Network
    is_managed: bool = True
    _addresses: Iterator[int] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._addresses = itertools.count(int(self.network.network_address) + 10)

    def next_address(self) -> str:
        """An address that nobody has had yet."""
        number = next(self._addresses)
        return str(self.network[number - int(self.network.network_address)])


Entity = TypeVar("Entity", Cluster, Host, Container, Image, Subnet)

CLUSTER = "00061f7f-0000-4000-8000-00000000c001"
SECOND_CLUSTER = "00061f7f-0000-4000-8000-00000000c002"
CENTRAL = "00061f7f-0000-4000-8000-00000000c000"
CLUSTER_NAME = "sandbox-1"
HOSTS = ("00061f7f-0000-4000-8000-00000000a001", "00061f7f-0000-4000-8000-00000000a002")
SECOND_HOSTS = ("00061f7f-0000-4000-8000-00000000a003",)
CONTAINER = "00061f7f-0000-4000-8000-00000000b001"
SECOND_CONTAINER = "00061f7f-0000-4000-8000-00000000b002"
IMAGE_NAME = "debian-12"
IMAGE_UUID = "00061f7f-0000-4000-8000-0000000000e1"
IMAGE_DISK_UUID = "00061f7f-0000-4000-8000-0000000000d1"
ISO_NAME = "virtio-drivers"
ISO_UUID = "00061f7f-0000-4000-8000-0000000000e2"
NETWORK = "00061f7f-0000-4000-8000-00000000f001"
UNMANAGED_NETWORK = "00061f7f-0000-4000-8000-00000000f002"
SECOND_NETWORK = "00061f7f-0000-4000-8000-00000000f003"
NETWORK_NAME = "vlan100"


@dataclass
class Inventory:
    """All of it, by uuid."""

    clusters: dict[str, Cluster] = field(default_factory=dict)
    hosts: dict[str, Host] = field(default_factory=dict)
    containers: dict[str, Container] = field(default_factory=dict)
    images: dict[str, Image] = field(default_factory=dict)
    subnets: dict[str, Subnet] = field(default_factory=dict)
    broken_images: set[str] = field(default_factory=set)

    def image_of(self, uuid: str) -> Image | None:
        """The image with this uuid, or with this disk."""
        by_disk = (image for image in self.images.values() if image.disk_uuid == uuid)
        return self.images.get(uuid) or next(by_disk, None)

    def hosts_of(self, cluster: str) -> list[Host]:
        """The hosts of a cluster."""
        return [host for host in self.hosts.values() if host.cluster == cluster]

    def container_of(self, cluster: str) -> Container:
        """The storage container that a cluster uses when none is named."""
        return next(container for container in self.containers.values() if container.cluster == cluster)


def equipment(clusters: int, *, central: bool) -> Inventory:
    """What is there from the start, on one cluster or two."""
    inventory = Inventory()
    if central:
        _add_all(inventory.clusters, [Cluster(CENTRAL, "Unnamed", is_central=True, version="pc.2024.3.1.1")])
    _add_all(inventory.clusters, [Cluster(CLUSTER, CLUSTER_NAME)])
    _add_all(inventory.hosts, [Host(uuid, f"node-{number}", CLUSTER) for number, uuid in enumerate(HOSTS, 1)])
    _add_all(inventory.containers, [Container(CONTAINER, "default-container", CLUSTER)])
    _add_all(inventory.subnets, [Subnet(NETWORK, NETWORK_NAME, CLUSTER, 100, IPv4Network("10.42.0.0/16"))])
    unmanaged = Subnet(UNMANAGED_NETWORK, "vlan200", CLUSTER, 200, IPv4Network("10.43.0.0/16"), is_managed=False)
    _add_all(inventory.subnets, [unmanaged])
    image = Image(IMAGE_UUID, IMAGE_NAME, IMAGE_DISK_UUID, 2 * GIB, CONTAINER)
    iso = Image(ISO_UUID, ISO_NAME, "00061f7f-0000-4000-8000-0000000000d2", GIB // 2, CONTAINER, is_iso=True)
    _add_all(inventory.images, [image, iso])
    if clusters > 1:
        _add_second(inventory)
    return inventory


def _add_second(inventory: Inventory) -> None:
    _add_all(inventory.clusters, [Cluster(SECOND_CLUSTER, "sandbox-2")])
    _add_all(inventory.hosts, [Host(uuid, "node-1", SECOND_CLUSTER) for uuid in SECOND_HOSTS])
    _add_all(inventory.containers, [Container(SECOND_CONTAINER, "default-container", SECOND_CLUSTER)])
    subnet = Subnet(SECOND_NETWORK, NETWORK_NAME, SECOND_CLUSTER, 100, IPv4Network("10.44.0.0/16"))
    _add_all(inventory.subnets, [subnet])


def _add_all(kept: dict[str, Entity], entities: list[Entity]) -> None:
    kept.update({entity.uuid: entity for entity in entities})
