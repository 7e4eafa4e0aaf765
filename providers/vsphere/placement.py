"""Where a new VM goes: what the environment names, or the only choice that there is."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from pyVmomi import vim

from providers.domain import Environment
from providers.errors import UnprocessableError
from providers.vsphere.properties import Found, Ref, moref

MOST_CHOICES_SHOWN = 20

T = TypeVar("T")


@dataclass(frozen=True)
class Places:
    """Everything in a datacenter where a VM could go, by the server's own ids, and its folder of VMs."""

    vm_folder: Ref
    objects: Mapping[str, Found]

    def of(self, kind: type[Ref]) -> list[Found]:
        """Those of one kind."""
        return [found for found in self.objects.values() if isinstance(found.ref, kind)]

    def at(self, ref: Ref | None) -> Found | None:
        """What a reference leads to, if it is one of the places."""
        return self.objects.get(moref(ref)) if ref is not None else None


@dataclass(frozen=True)
class Placement:
    """Folder, pool and, where one is named, host; `compute` is the host or cluster whose pool it is.

    `datastore` and `network` are None where a copy of a template keeps its own.
    """

    places: Places
    folder: Ref
    compute: Found
    pool: Ref
    host: Ref | None
    datastore: Found | None
    network: Found | None


def for_clone(environment: Environment, places: Places) -> Placement:
    """Where a copy of a template goes.

    Raises:
        UnprocessableError: the environment names what is not there, or must name what is not unique.

    """
    compute = _compute(environment, places)
    stores, networks = named(_datastores(places, compute.whole)), named(_networks(places, compute.whole))
    store, network = environment.storage_external_id, environment.network_id
    return Placement(
        places,
        chosen(environment, "project", environment.project, folders(places)),
        compute.whole,
        compute.pool,
        compute.host,
        chosen(environment, "storage_external_id", store, stores) if store else None,
        chosen(environment, "network_id", network, networks) if network else None,
    )


def for_host(environment: Environment, places: Places, key: str = "") -> Placement:
    """Where a VM of a standalone host goes: by default to the datastore with most space, and the only network.

    Tries with the same key go to the same datastore: one of those that have at least half as much space as the one
    with most.
    """
    place = for_clone(environment, places)
    networks = named(_networks(places, place.compute))
    return replace(
        place,
        datastore=place.datastore or _roomiest(environment, _datastores(places, place.compute), key),
        network=chosen(environment, "network_id", environment.network_id, networks),
    )


def chosen(environment: Environment, key: str, wanted: str, choices: Mapping[str, T]) -> T:
    """The choice of that name, or the only one where none is wanted.

    Raises:
        UnprocessableError: none, or several.

    """
    if wanted.strip("/") in choices:
        return choices[wanted.strip("/")]
    if not wanted and len(choices) == 1:
        return next(iter(choices.values()))
    listed = ", ".join(sorted(filter(None, choices))[:MOST_CHOICES_SHOWN]) or "none that the user may see"
    more = " and more" if len(choices) > MOST_CHOICES_SHOWN else ""
    problem = "the choice must be named, as there is not exactly one"
    if wanted:
        problem = f"{wanted!r} is not there, or not unique"
    raise UnprocessableError(
        f"Environment {environment.name!r}: {problem}. Put one of these into its `{key}`: {listed}{more}."
    )


@dataclass(frozen=True)
class _Compute:
    """A resource pool, the host or cluster that it is a part of, and one host of that if it must be this one."""

    whole: Found
    pool: Ref
    host: Ref | None = None


def _compute(environment: Environment, places: Places) -> _Compute:
    wanted, all_ = environment.vpc_id, _computes(places)
    if wanted.startswith("pool/"):
        all_ = _pools(places, wanted)
    elif not wanted:
        all_ = {name: one for name, one in all_.items() if one.host is None}
    return chosen(environment, "vpc_id", wanted, all_)


def _roomiest(environment: Environment, datastores: Sequence[Found], key: str) -> Found:
    usable = [found for found in datastores if found.values.get("summary.accessible", True)]
    if not usable:
        raise UnprocessableError(f"No datastore in environment {environment.name!r} can be used just now.")
    most = max(usable, key=lambda found: (_free_bytes(found), found.name))
    if not key:
        return most
    roomy = [found for found in usable if 2 * _free_bytes(found) >= _free_bytes(most)]
    return max(roomy, key=lambda found: hashlib.sha256(f"{key}/{found.name}".encode()).digest())


def _free_bytes(datastore: Found) -> int:
    return int(datastore.values.get("summary.freeSpace", 0))


def _computes(places: Places) -> dict[str, _Compute]:
    """Clusters and hosts by the names that `vpc_id` takes, hosts within clusters too."""
    return _unique([*_wholes(places), *_hosts_of_clusters(places)])


def _wholes(places: Places) -> Iterator[tuple[str, str, _Compute]]:
    for compute in places.of(vim.ComputeResource):
        pool = compute.values.get("resourcePool")
        if pool is not None:
            kind = "cluster" if isinstance(compute.ref, vim.ClusterComputeResource) else "host"
            yield f"{kind}/{compute.name}", f"{kind}/{moref(compute.ref)}", _Compute(compute, pool)


def _hosts_of_clusters(places: Places) -> Iterator[tuple[str, str, _Compute]]:
    for host in places.of(vim.HostSystem):
        cluster = places.at(host.values.get("parent"))
        pool = cluster.values.get("resourcePool") if cluster is not None else None
        if cluster is not None and pool is not None and isinstance(cluster.ref, vim.ClusterComputeResource):
            yield f"host/{host.name}", f"host/{moref(host.ref)}", _Compute(cluster, pool, host.ref)


def _pools(places: Places, wanted: str) -> dict[str, _Compute]:
    """Resource pools by `pool/<host or cluster>/<pool>/…`, and the wanted one by the end of its path, if unique."""
    all_: list[tuple[str, str, _Compute]] = []
    for pool in places.of(vim.ResourcePool):
        compute = places.at(pool.values.get("owner"))
        path = _path(places, pool, stop=compute.values.get("resourcePool") if compute else None)
        if compute is not None and path:
            all_.append((f"pool/{compute.name}/{path}", f"pool/{moref(pool.ref)}", _Compute(compute, pool.ref)))
    found = _unique(all_)
    tail = "/" + wanted.removeprefix("pool/").strip("/")
    ends = [one for name, one in found.items() if name.endswith(tail)]
    return {**found, wanted.strip("/"): ends[0]} if len(ends) == 1 else found


def folders(places: Places) -> dict[str, Ref]:
    """Folders of VMs by their path below the datacenter's; a blank name means that one."""
    paths = [(_path(places, folder, stop=places.vm_folder), folder.ref) for folder in places.of(vim.Folder)]
    # A path may not be unique: a name may hold a slash.
    found = _unique((path, moref(ref), ref) for path, ref in paths if path is not None)
    return {**found, "": places.vm_folder}


def _path(places: Places, found: Found, stop: Ref | None) -> str | None:
    """The names from below `stop` down to `found`; empty for `stop` itself, None for what is not below it."""
    names: list[str] = []
    at: Found | None = found
    while at is not None and stop is not None and len(names) < 100:
        if moref(at.ref) == moref(stop):
            return "/".join(reversed(names))
        names.append(at.name)
        at = places.at(at.values.get("parent"))
    return None


def _datastores(places: Places, compute: Found) -> list[Found]:
    return [place for ref in compute.values.get("datastore", ()) if (place := places.at(ref)) is not None]


def _networks(places: Places, compute: Found) -> list[Found]:
    """Those that VMs can use: the port group of a switch's uplinks is not one."""
    seen = [place for ref in compute.values.get("network", ()) if (place := places.at(ref)) is not None]
    return [found for found in seen if not found.values.get("config.uplink", False)]


def named(found: Sequence[Found]) -> dict[str, Found]:
    """By name, and by the server's own id where a name is not unique."""
    return _unique((one.name, moref(one.ref), one) for one in found)


def _unique(choices: Iterable[tuple[str, str, T]]) -> dict[str, T]:
    """Choices by the first of their two names or, where that is not unique, by the second: none hides another."""
    all_ = list(choices)
    often = Counter(name for name, _, _ in all_)
    return {name if often[name] == 1 else other: choice for name, other, choice in all_}
