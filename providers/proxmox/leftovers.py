"""What creates left behind: cloud-init images that no VM uses, and VMs that were never finished."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from proxmoxer.core import ResourceException

from providers.domain import LeftoverResource
from providers.driver import Work
from providers.errors import BackendReply, ConflictError, VMNotFoundError
from providers.notes import Notes
from providers.proxmox import history
from providers.proxmox.client import ProxmoxClient
from providers.proxmox.codes import MISSING
from providers.proxmox.failures import text_of
from providers.proxmox.inventory import PastTask, Privileges, Volume
from providers.proxmox.naming import Place, is_iso_of, is_our_iso
from providers.proxmox.recipe import image_token
from providers.proxmox.records import Config
from providers.proxmox.removal import DELETE, DELETE_VOLUME, Removal, kept
from providers.proxmox.site import Site


@dataclass
class _Cluster:
    """All VMs and templates that the caller may see."""

    privileges: Privileges
    configs: dict[Place, Config] = field(default_factory=dict)
    snapshots: list[Config] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)

    def is_used(self, volume: str) -> bool:
        """Whether an image is in a drive of a VM, or of a snapshot of one, or the notes of either name it."""
        configs = (*self.configs.values(), *self.snapshots)
        return any(volume in config.volumes.values() or _names(config.notes, volume) for config in configs)

    @property
    def unseen_users(self) -> str:
        """Why a VM may use an image although none was found; empty when that is impossible."""
        # Only its lock is in the configuration of a VM until Proxmox has made its disks.
        made = [place.vm_id for place, config in self.configs.items() if _is_being_made(config)]
        if made:
            return f"VM {', '.join(made)} is being made and may come to use it"
        if not self.privileges.has_below("/vms", "VM.Audit"):
            return "the caller lacks VM.Audit on /vms, so VMs that are not shown may use it"
        if self.unreadable:
            return f"the configuration of VM {', '.join(self.unreadable)} cannot be read"
        return ""


class Leftovers:
    """Lists and removes what creates left behind. Each removal looks at the whole cluster again."""

    def __init__(self, client: ProxmoxClient, site: Site) -> None:
        self._client = client
        self._site = site

    def find(self) -> Iterator[LeftoverResource]:
        """Return all leftovers: VMs of the cluster, and images on the environment's storage."""
        cluster = self._cluster()
        yield from self._isos(cluster)
        yield from self._vms(cluster)

    def remove(self, leftover: LeftoverResource, removal: Removal, work: Work) -> None:
        """Remove a leftover after another look at it.

        Raises:
            ConflictError: it is in use, or is another object by now.
            VMNotFoundError: it is gone.

        """
        if leftover.kind == "iso":
            self._remove_iso(leftover, removal)
        else:
            self._remove_vm(leftover, removal, work)

    def check_failed_create(self, place: Place, config: Config) -> None:
        """See that nobody uses, or has used, the VM of a create that failed when nobody was waiting for it.

        Raises:
            ConflictError: somebody may have.

        """
        reason = self._use(place, config)
        if not reason:
            tasks = self._client.tasks(self._site.node)
            reason = self._past_use(self._client.privileges(), place, config.notes, tasks, failed_start=True)
        if reason:
            raise kept(place.vm_id, reason)

    def _remove_iso(self, leftover: LeftoverResource, removal: Removal) -> None:
        if leftover.id not in {volume.id for volume in self._client.isos(self._site.node, self._site.iso_storage)}:
            raise _gone(leftover, DELETE_VOLUME)
        self._confirm(leftover, self._isos(self._cluster()), DELETE_VOLUME)
        removal.iso(self._site.node, leftover.id)

    def _remove_vm(self, leftover: LeftoverResource, removal: Removal, work: Work) -> None:
        cluster = self._cluster()
        found = next(((place, config) for place, config in cluster.configs.items() if place.vm_id == leftover.id), None)
        if found is None:
            raise _gone(leftover, DELETE)
        self._confirm(leftover, self._vms(cluster), DELETE)
        place, config = found
        work.finish(removal.vm(place))
        token = image_token(config.notes)
        for iso in self._isos(self._cluster()):
            if iso.is_removable and is_iso_of(iso.id, token):
                removal.iso(self._site.node, iso.id)

    def _confirm(self, leftover: LeftoverResource, now: Iterator[LeftoverResource], operation: str) -> None:
        found = next((one for one in now if one.id == leftover.id), None)
        if found is None:
            reason = "it is in use by now, or finished"
        elif found.created_at != leftover.created_at:
            reason = "it was created again after it was listed"
        else:
            reason = "" if found.is_removable else found.detail
        if reason:
            raise ConflictError(
                f"The {leftover.kind} {leftover.id} is not removed: {reason}.",
                backend=BackendReply("Proxmox", operation),
            )

    def _cluster(self) -> _Cluster:
        cluster = _Cluster(self._client.privileges())
        for place in self._client.places():
            try:
                cluster.configs[place] = self._client.config(place)
            except ResourceException as error:
                self._note_unreadable(cluster, place, error)
        return cluster

    def _note_unreadable(self, cluster: _Cluster, place: Place, error: ResourceException) -> None:
        # One that is gone from its node was deleted, or moves: it is in use then.
        if not MISSING.search(text_of(error)) or self._client.node_of(place.vm_id) is not None:
            cluster.unreadable.append(place.vm_id)

    def _read_snapshots(self, cluster: _Cluster) -> None:
        for place, config in cluster.configs.items():
            try:
                snapshots = self._client.snapshots(place)
            except ResourceException as error:
                self._note_unreadable(cluster, place, error)
                continue
            cluster.snapshots += snapshots.values()
            if config.options.get("parent") not in {None, *snapshots}:
                cluster.unreadable.append(place.vm_id)

    def _isos(self, cluster: _Cluster) -> Iterator[LeftoverResource]:
        ours = [one for one in self._client.isos(self._site.node, self._site.iso_storage) if is_our_iso(one.id)]
        if any(not cluster.is_used(volume.id) for volume in ours):
            self._read_snapshots(cluster)
        for volume in ours:
            if not cluster.is_used(volume.id):
                yield self._iso(cluster, volume)

    def _iso(self, cluster: _Cluster, volume: Volume) -> LeftoverResource:
        name = volume.id.rpartition("/")[2]
        reason = cluster.unseen_users
        if not name.startswith(f"cloudvm-{self._site.iso_scope}-"):
            reason = "its name does not say that it belongs to this cluster, and other clusters may use the storage"
        detail = "cloud-init image that is in no VM's drive"
        return LeftoverResource(
            kind="iso",
            id=volume.id,
            name=name,
            created_at=volume.created_at,
            detail=f"{detail}; {reason}" if reason else detail,
            is_removable=not reason,
        )

    def _vms(self, cluster: _Cluster) -> Iterator[LeftoverResource]:
        tasks: list[PastTask] | None = None
        for place, config in cluster.configs.items():
            # A template is in use, and a copy of an unfinished VM is somebody's.
            if not config.notes.is_unfinished or config.notes.vm_id != place.vm_id or config.is_template:
                continue
            found = LeftoverResource(
                kind="vm",
                id=place.vm_id,
                name=config.name,
                created_at=history.created_at(config.notes),
                detail="VM whose create was not finished",
            )
            reason = self._use(place, config)
            if not reason:
                tasks = self._client.tasks(self._site.node) if tasks is None else tasks
                reason = self._past_use(cluster.privileges, place, config.notes, tasks)
            yield replace(found, detail=f"{found.detail}; {reason}", is_removable=False) if reason else found

    def _use(self, place: Place, config: Config) -> str:
        """Why a VM may be in use now; empty when it is not."""
        if config.lock:
            return f"it is locked ({config.lock}); if no task works on it, `qm unlock {place.vm_id}` on its node"
        if config.is_protected:
            return "its protection is on"
        if "parent" in config.options:
            return "it has a snapshot"
        if place.node != self._site.node:
            return f"it is on node {place.node}"
        state = self._client.state(place)
        return "" if state.word == "stopped" else f"it is {state.word}"

    def _past_use(
        self, privileges: Privileges, place: Place, notes: Notes, tasks: list[PastTask], *, failed_start: bool = False
    ) -> str:
        """Why a VM may have been in use; empty when the node's tasks show that it was not."""
        if not privileges.has(f"/nodes/{self._site.node}", "Sys.Audit"):
            return f"whether it has run is shown only to callers with Sys.Audit on /nodes/{self._site.node}"
        if not history.reaches_back(tasks, history.created_at(notes)):
            return "whether it has run is not known: the node's task log does not reach back so far"
        return history.use_since_creation(tasks, place.vm_id, failed_start=failed_start)


def _names(notes: Notes, volume: str) -> bool:
    return bool(notes.creation) and is_iso_of(volume, image_token(notes))


def _is_being_made(config: Config) -> bool:
    return config.lock in {"create", "clone"} and config.notes == Notes()


def _gone(leftover: LeftoverResource, operation: str) -> VMNotFoundError:
    return VMNotFoundError(f"The {leftover.kind} {leftover.id} is gone.", backend=BackendReply("Proxmox", operation))
