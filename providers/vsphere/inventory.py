"""What must be known of a datacenter before VMs are made in it; each look-up is kept for a while."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, cast

from pyVmomi import vim, vmodl

from providers.domain import Environment
from providers.findings import Findings
from providers.vsphere.placement import Places, chosen, named
from providers.vsphere.properties import Ref, Way, below, moref, pages
from providers.vsphere.session import Session

KEPT_SECONDS: Final = 300.0
# Of images, each.
MOST_KEPT: Final = 128

_FOLDERS: Final = (Way(vim.Folder, "childEntity", (vim.Folder,)),)
_DATACENTER: Final = ("name", "vmFolder")
_PLACES: Final[Mapping[type[Ref], Sequence[str]]] = {
    vim.Folder: ("name", "parent"),
    vim.ComputeResource: ("name", "resourcePool", "datastore", "network"),
    vim.HostSystem: ("name", "parent"),
    vim.ResourcePool: ("name", "parent", "owner"),
    vim.Datastore: ("name", "summary.accessible", "summary.freeSpace", "browser"),
    vim.Network: ("name",),
}
# What a standalone host has not, and may not know the name of.
_PLACES_OF_VCENTER: Final[Mapping[type[Ref], Sequence[str]]] = {
    vim.dvs.DistributedVirtualPortgroup: ("name", "key", "config.distributedVirtualSwitch", "config.uplink"),
    vim.OpaqueNetwork: ("name", "summary"),
    vim.DistributedVirtualSwitch: ("name", "uuid"),
}
_WAYS: Final = (
    *(
        Way(vim.Datacenter, path, (vim.Folder,))
        for path in ("vmFolder", "hostFolder", "datastoreFolder", "networkFolder")
    ),
    Way(vim.Folder, "childEntity", (vim.Folder, vim.ComputeResource)),
    Way(vim.ComputeResource, "resourcePool", (vim.ResourcePool,)),
    Way(vim.ComputeResource, "host", ()),
    Way(vim.ResourcePool, "resourcePool", (vim.ResourcePool,)),
)
_VM_WAYS: Final = (Way(vim.Folder, "childEntity", (vim.Folder,)),)
# A VM within a vApp is in no folder. (A vApp within a vApp is in no folder either, and is not looked into.)
_VM_WAYS_OF_VCENTER: Final = (
    Way(vim.Folder, "childEntity", (vim.Folder, vim.VirtualApp)),
    Way(vim.VirtualApp, "vm", ()),
)


@dataclass(frozen=True)
class Datacenter:
    """The environment's datacenter and its folder of VMs."""

    ref: vim.Datacenter
    vm_folder: vim.Folder


class Inventory:
    """The look-ups of one session, used by many threads at once."""

    def __init__(self, environment: Environment, session: Session) -> None:
        self._environment = environment
        self._session = session
        self._datacenters: Findings[str, Datacenter] = Findings(1, KEPT_SECONDS)
        self._places: Findings[str, Places] = Findings(1, KEPT_SECONDS)

    def datacenter(self) -> Datacenter:
        """The datacenter that the environment's region names, or the only one.

        Raises:
            UnprocessableError: there is not exactly one; the choices are listed.

        """
        return self._datacenters.find(self._environment.region, self._find_datacenter)

    def places(self) -> Places:
        """Where VMs can go in it: folders, computes, pools, datastores and networks, all by one call."""
        datacenter = self.datacenter()
        return self._places.find(moref(datacenter.ref), lambda: self._find_places(datacenter))

    def of_vms(self, paths: Sequence[str]) -> vmodl.query.PropertyCollector.FilterSpec:
        """A question about all VMs and templates in the datacenter."""
        ways = _VM_WAYS if self._session.is_host else _VM_WAYS_OF_VCENTER
        return below(self.datacenter().vm_folder, ways, {vim.VirtualMachine: paths})

    def forget(self) -> None:
        """Look again the next time: something that was found is not there any more."""
        self._datacenters.clear()
        self._places.clear()

    def _find_datacenter(self) -> Datacenter:
        question = below(self._session.root, _FOLDERS, {vim.Datacenter: _DATACENTER})
        found = list(pages(self._session.collector, question))
        choices = named([one for one in found if "vmFolder" in one.values])
        one = chosen(self._environment, "region", self._environment.region, choices)
        return Datacenter(cast("vim.Datacenter", one.ref), cast("vim.Folder", one.values["vmFolder"]))

    def _find_places(self, datacenter: Datacenter) -> Places:
        paths = _PLACES if self._session.is_host else {**_PLACES, **_PLACES_OF_VCENTER}
        question = below(datacenter.ref, _WAYS, paths)
        found = pages(self._session.collector, question)
        return Places(datacenter.vm_folder, {moref(one.ref): one for one in found})
