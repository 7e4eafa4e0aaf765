"""What tests put into the inventory behind the API's back, so that there is more than one of everything."""

from collections.abc import Sequence
from typing import Any

from providers.sandbox.vsphere import seeds
from providers.sandbox.vsphere.files import DatastorePath, File
from providers.sandbox.vsphere.inventory import Compute, Datacenter, Datastore, Folder, Holds
from providers.sandbox.vsphere.seeds import Build
from providers.sandbox.vsphere.world import World


class Arranging:
    """The part of the simulator's face that adds datacenters, clusters, pools, datastores, networks and folders."""

    _world: World

    def add_datacenter(
        self,
        name: str = "Datacenter2",
        *,
        cluster: str = "Cluster2",
        hosts: Sequence[str] = ("esx3.sandbox",),
        datastores: Sequence[str] = seeds.DATASTORES,
        networks: Sequence[str] = seeds.NETWORKS,
    ) -> None:
        """Add a datacenter; its networks are distributed but for the first. Names may be those of another's."""
        with self._world.lock:
            build = Build(self._world)
            root = next(folder for folder in self._world.all(Folder) if folder.holds is Holds.DATACENTERS)
            datacenter = build.datacenter(root, name)
            seeds.equip_datacenter(build, datacenter, cluster, hosts, datastores, networks)

    def add_cluster(self, name: str, hosts: Sequence[str], *, datacenter: str | None = None) -> None:
        """Add a cluster of hosts; or, when the name is the only host's own, a host that is in no cluster."""
        with self._world.lock:
            is_cluster = list(hosts) != [name]
            Build(self._world).compute(self._datacenter(datacenter), name, hosts, is_cluster=is_cluster)

    def add_host(self, name: str, *, cluster: str | None = None, datacenter: str | None = None) -> None:
        """Add a host to a cluster, to the first one by default."""
        with self._world.lock:
            Build(self._world).host(self._compute(cluster, datacenter), name)

    def add_pool(self, name: str, *, cluster: str | None = None, datacenter: str | None = None) -> None:
        """Add a resource pool below a cluster's root pool, or below the pool that a path names, `Pool1/name`."""
        with self._world.lock:
            pool, *names = self._compute(cluster, datacenter).pool, *name.split("/")
            for parent in names[:-1]:
                pool = next(child for child in pool.children if child.name == parent)  # type: ignore[assignment]
            Build(self._world).pool(pool, names[-1])

    def add_datastore(
        self, name: str, *, capacity_bytes: int = seeds.CAPACITY_BYTES, datacenter: str | None = None
    ) -> None:
        """Add an empty datastore."""
        with self._world.lock:
            Build(self._world).datastore(self._datacenter(datacenter), name, capacity_bytes)

    def set_datastore(self, name: str, *, capacity_bytes: int | None = None, accessible: bool = True) -> None:
        """Give a datastore another size, or let no host reach it."""
        with self._world.lock:
            datastore = next(found for found in self._world.all(Datastore) if found.name == name)
            datastore.capacity_bytes = capacity_bytes or datastore.capacity_bytes
            datastore.is_accessible = accessible

    def add_network(
        self, name: str, *, distributed: bool = False, uplink: bool = False, datacenter: str | None = None
    ) -> None:
        """Add a host network, or a distributed port group: one for VMs, or that of a switch's uplinks."""
        with self._world.lock:
            network = Build(self._world).network(
                self._datacenter(datacenter), name, is_distributed=distributed or uplink
            )
            network.is_uplink = uplink

    def add_folder(self, path: str, *, datacenter: str | None = None) -> None:
        """Add a VM folder, with those above it, by its path below the datacenter's `vm`."""
        with self._world.lock:
            self._folder(self._datacenter(datacenter), path, makes=True)

    def add_file(self, name: str, *, size_bytes: int = 0, capacity_bytes: int | None = None) -> None:
        """Put a file (`[datastore1] dir/file.iso`) into a datastore; with a capacity it is a virtual disk."""
        with self._world.lock:
            path = DatastorePath.parse(name)
            datastore = self._world.datastore(self._datacenter(None), path.datastore)
            datastore.files.put(path.path, File(size_bytes, capacity_bytes))

    def _datacenter(self, name: str | None) -> Datacenter:
        return next(found for found in self._world.all(Datacenter) if name in {None, found.name})

    def _compute(self, cluster: str | None, datacenter: str | None) -> Compute:
        computes = self._datacenter(datacenter).compute()
        return next(compute for compute in computes if cluster in {None, compute.name})

    def _folder(self, datacenter: Datacenter, path: str, *, makes: bool = False) -> Folder:
        folder = datacenter.folder(Holds.VMS)
        for name in path.split("/") if path else ():
            found: Any = next((child for child in folder.children if child.name == name), None)
            if found is None and makes:
                found = Build(self._world).folder(folder, name)
            if not isinstance(found, Folder):
                raise KeyError(path)
            folder = found
        return folder
