"""Where a new VM goes: what the environment names, or the only choice that there is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
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
    stores, networks = _named(_datastores(places, compute.whole)), _named(_networks(places, compute.whole))
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


def for_host(environment: Environment, places: Places) -> Placement:
    """Where a VM of a standalone host goes: by default to the datastore with most space, and the only network."""
    place = for_clone(environment, places)
    networks = _named(_networks(places, place.compute))
    return replace(
        place,
        datastore=place.datastore or _roomiest(environment, _datastores(places, place.compute)),
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
    problem = f"{wanted!r} is not there" if wanted else "the choice must be named, as there is not exactly one"
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


def _roomiest(environment: Environment, datastores: Sequence[Found]) -> Found:
    usable = [found for found in datastores if found.values.get("summary.accessible", True)]
    if not usable:
        raise UnprocessableError(f"No datastore in environment {environment.name!r} can be used just now.")
    return max(usable, key=lambda found: (found.values.get("summary.freeSpace", 0), found.name))


def _computes(places: Places) -> dict[str, _Compute]:
    """Clusters and hosts by the names that `vpc_id` takes, hosts within clusters too."""
    found: dict[str, _Compute] = {}
    for compute in places.of(vim.ComputeResource):
        pool = compute.values.get("resourcePool")
        if pool is not None:
            kind = "cluster" if isinstance(compute.ref, vim.ClusterComputeResource) else "host"
            found[f"{kind}/{compute.name}"] = _Compute(compute, pool)
    for host in places.of(vim.HostSystem):
        compute_of = places.at(host.values.get("parent"))
        pool = compute_of.values.get("resourcePool") if compute_of is not None else None
        if compute_of is not None and pool is not None and isinstance(compute_of.ref, vim.ClusterComputeResource):
            found[f"host/{host.name}"] = _Compute(compute_of, pool, host.ref)
    return found


def _pools(places: Places, wanted: str) -> dict[str, _Compute]:
    """Resource pools by `pool/<host or cluster>/<pool>/…`, and the wanted one by the end of its path, if unique."""
    found: dict[str, _Compute] = {}
    for pool in places.of(vim.ResourcePool):
        compute = places.at(pool.values.get("owner"))
        path = _path(places, pool, stop=compute.values.get("resourcePool") if compute else None)
        if compute is not None and path:
            found[f"pool/{compute.name}/{path}"] = _Compute(compute, pool.ref)
    tail = "/" + wanted.removeprefix("pool/").strip("/")
    ends = [one for name, one in found.items() if name.endswith(tail)]
    return {**found, wanted.strip("/"): ends[0]} if len(ends) == 1 else found


def folders(places: Places) -> dict[str, Ref]:
    """Folders of VMs by their path below the datacenter's; a blank name means that one."""
    paths = [(_path(places, folder, stop=places.vm_folder), folder.ref) for folder in places.of(vim.Folder)]
    # By the server's own id where a path is not unique: a name may hold a slash.
    often = Counter(path for path, _ in paths)
    found = {path if often[path] == 1 else moref(ref): ref for path, ref in paths if path is not None}
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


def _named(found: Sequence[Found]) -> dict[str, Found]:
    """By name, and by the server's own id where a name is not unique."""
    names = [one.name for one in found]
    return {one.name if names.count(one.name) == 1 else moref(one.ref): one for one in found}
