"""Where new VMs go: what is blank works where the choice is unique, and the choices are listed where it is not."""

from dataclasses import replace
from typing import Any

import pytest
from pyVmomi import vim

from providers.domain import Environment
from providers.errors import UnprocessableError
from providers.vsphere import CLOUD
from providers.vsphere.placement import Places, for_clone, for_host
from providers.vsphere.properties import Found, moref

BLANK = Environment("e", CLOUD, url="https://vc.example")


def found(ref: Any, name: str, **values: Any) -> Found:
    """An object with its properties; `__` stands for a dot."""
    return Found(ref, {"name": name, **{key.replace("__", "."): value for key, value in values.items()}})


ROOT, TEAM, WEB = (vim.Folder(f"group-v{number}", None) for number in range(3))
POOL, GOLD = vim.ResourcePool("resgroup-1", None), vim.ResourcePool("resgroup-2", None)
OTHER_POOL = vim.ResourcePool("resgroup-9", None)
SSD, HDD, DEAD = (vim.Datastore(f"datastore-{number}", None) for number in range(3))
LAN = vim.Network("network-1", None)
UPLINKS = vim.dvs.DistributedVirtualPortgroup("dvportgroup-1", None)
CLUSTER, HOST = vim.ClusterComputeResource("domain-c1", None), vim.HostSystem("host-1", None)
ALONE = vim.ComputeResource("domain-s1", None)

OBJECTS = [
    found(ROOT, "vm"),
    found(TEAM, "team", parent=ROOT),
    found(WEB, "web", parent=TEAM),
    found(CLUSTER, "c1", resourcePool=POOL, datastore=[SSD, HDD, DEAD], network=[LAN, UPLINKS]),
    found(HOST, "esx1", parent=CLUSTER),
    found(POOL, "Resources", owner=CLUSTER, parent=CLUSTER),
    found(GOLD, "gold", owner=CLUSTER, parent=POOL),
    found(SSD, "ssd", summary__accessible=True, summary__freeSpace=10),
    found(HDD, "hdd", summary__accessible=True, summary__freeSpace=20),
    found(DEAD, "dead", summary__accessible=False, summary__freeSpace=90),
    found(LAN, "lan"),
    found(UPLINKS, "uplinks", config__uplink=True),
]
SECOND = found(ALONE, "esx9", resourcePool=OTHER_POOL, datastore=[], network=[])


def places(*more: Found) -> Places:
    """A datacenter with one cluster, and more."""
    return Places(ROOT, {moref(one.ref): one for one in [*OBJECTS, *more]})


def test_for_clone_blank_takes_the_only_compute_and_the_templates_own_rest() -> None:
    """The folder is the datacenter's; datastore and network are the template's."""
    place = for_clone(BLANK, places())
    assert (place.folder, place.pool, place.host) == (ROOT, POOL, None)
    assert (place.datastore, place.network) == (None, None)


def test_for_host_blank_takes_most_space_and_the_only_network() -> None:
    """A datastore that cannot be reached does not count, nor does the port group of a switch's uplinks."""
    place = for_host(BLANK, places())
    assert place.datastore is not None
    assert place.network is not None
    assert (place.datastore.name, place.network.name) == ("hdd", "lan")


@pytest.mark.parametrize(
    ("vpc_id", "pool", "host"),
    [
        ("cluster/c1", POOL, None),
        ("host/esx1", POOL, HOST),
        ("host/esx9", OTHER_POOL, None),
        ("pool/c1/gold", GOLD, None),
        ("pool/gold", GOLD, None),
    ],
)
def test_for_clone_named_compute_is_taken(vpc_id: str, pool: Any, host: Any) -> None:
    """A cluster, a host of it, a host alone, and a pool by its path or the end of it."""
    place = for_clone(replace(BLANK, vpc_id=vpc_id), places(SECOND))
    assert (place.pool, place.host) == (pool, host)


@pytest.mark.parametrize(("project", "folder"), [("", ROOT), ("team", TEAM), ("team/web", WEB), ("/team/web/", WEB)])
def test_for_clone_folder_is_a_path(project: str, folder: Any) -> None:
    """Below the datacenter's own folder of VMs."""
    assert for_clone(replace(BLANK, project=project), places()).folder is folder


@pytest.mark.parametrize(
    ("changed", "choices"),
    [
        ({}, "`vpc_id`: cluster/c1, host/esx9"),
        ({"vpc_id": "cluster/c2"}, "`vpc_id`: cluster/c1, host/esx1, host/esx9"),
        ({"vpc_id": "pool/lead"}, "`vpc_id`: pool/c1/gold"),
        ({"vpc_id": "cluster/c1", "storage_external_id": "x"}, "`storage_external_id`: dead, hdd, ssd"),
        ({"vpc_id": "cluster/c1", "network_id": "x"}, "`network_id`: lan"),
        ({"vpc_id": "cluster/c1", "project": "x"}, "`project`: team, team/web"),
    ],
)
def test_for_clone_what_is_not_unique_or_not_there_lists_the_choices(changed: dict[str, str], choices: str) -> None:
    """With the key to fill in."""
    with pytest.raises(UnprocessableError) as raised:
        for_clone(replace(BLANK, **changed), places(SECOND))  # type: ignore[arg-type] # texts
    assert choices in raised.value.detail


@pytest.mark.parametrize(
    ("vpc_id", "taken", "choices"),
    [
        ("", "cluster/domain-c2", "`vpc_id`: cluster/domain-c1, cluster/domain-c2"),
        ("cluster/c1", "cluster/domain-c2", "cluster/domain-c1, cluster/domain-c2, host/esx1"),
        ("pool/c1/gold", "pool/resgroup-8", "`vpc_id`: pool/resgroup-2, pool/resgroup-8"),
    ],
)
def test_for_clone_equal_names_of_clusters_are_no_guess(vpc_id: str, taken: str, choices: str) -> None:
    """In two folders of hosts there may be two of one name; each can be had by the server's own id."""
    twin, root, gold = (
        vim.ClusterComputeResource("domain-c2", None),
        *(vim.ResourcePool(f"resgroup-{number}", None) for number in (7, 8)),
    )
    there = places(
        found(twin, "c1", resourcePool=root, datastore=[], network=[]),
        found(root, "Resources", owner=twin, parent=twin),
        found(gold, "gold", owner=twin, parent=root),
    )
    with pytest.raises(UnprocessableError) as raised:
        for_clone(replace(BLANK, vpc_id=vpc_id), there)
    assert choices in raised.value.detail
    place = for_clone(replace(BLANK, vpc_id=taken), there)
    assert place.compute.ref is twin
    assert place.pool is (gold if vpc_id.startswith("pool/") else root)


def test_for_clone_equal_names_are_told_apart_by_the_servers_ids() -> None:
    """A standard network and a port group may have the same name."""
    twin = vim.dvs.DistributedVirtualPortgroup("dvportgroup-7", None)
    cluster = found(CLUSTER, "c1", resourcePool=POOL, datastore=[SSD], network=[LAN, twin])
    there = places(cluster, found(twin, "lan"))
    with pytest.raises(UnprocessableError, match="dvportgroup-7, network-1"):
        for_clone(replace(BLANK, network_id="lan"), there)
    place = for_clone(replace(BLANK, network_id="dvportgroup-7"), there)
    assert place.network is not None
    assert place.network.ref is twin
