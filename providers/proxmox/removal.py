"""Taking away what was made: VMs, the images with their cloud-init, and the half-made."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Final

from proxmoxer.core import ResourceException

from providers.domain import Operation, Verb
from providers.driver import Work
from providers.errors import BackendReply, ConflictError, NotOwnedError, ProviderError
from providers.notes import abandoned
from providers.proxmox.client import ProxmoxClient
from providers.proxmox.codes import MISSING, MODIFIED, RUNNING, VOLUME_MISSING
from providers.proxmox.failures import text_of, translate
from providers.proxmox.naming import Place, is_iso_of
from providers.proxmox.progress import IN_TRANSIT, Step, task_operation
from providers.proxmox.recipe import image_token
from providers.proxmox.records import Config
from providers.waiting import TRANSIENT

_logger = logging.getLogger("cloudvm.proxmox")

DELETE: Final = "DELETE /nodes/{node}/qemu/{vmid}"
# The one lock that stays for long and keeps Proxmox from nothing here (`destroy_vm` in qemu-server's QemuServer.pm).
HIBERNATED: Final = "suspended"
DELETE_VOLUME: Final = "DELETE /nodes/{node}/storage/{storage}/content/{volume}"

# How long something may take to appear after a call that was not answered: a clone takes its id only in its task, and
# PVE may carry out seconds later what was asked for over a connection that has ended.
APPEARS_SECONDS: Final = 5.0

# How long a try waits for the removal by another one, which may have died.
VANISHES_SECONDS: Final = 5.0

# How often the mark of a VM that is to be removed is tried while others change the VM.
MARK_TRIES: Final = 3

_FAILURES: Final = (ResourceException, ProviderError)


@dataclass(frozen=True)
class Owner:
    """The create that may remove a VM.

    `creation` and `request_key` are those of its notes; `may_run` says that its own start may have taken effect.
    """

    creation: str
    request_key: str = ""
    may_run: bool = False


@dataclass(frozen=True)
class Removable:
    """A VM that may be removed, and the images with its cloud-init that go with it."""

    place: Place
    images: tuple[str, ...]


def removable(place: Place, config: Config) -> Removable:
    """What a VM's configuration says of its removal.

    Raises:
        ConflictError: it is protected or locked. Said before anything is taken away: what Proxmox itself refuses is
            only the last step.

    """
    if config.is_protected:
        raise _conflict(
            f"VM {place.vm_id} is protected in Proxmox. Protection is not removed silently: switch it off there first, "
            "if that is meant."
        )
    if config.lock and config.lock != HIBERNATED:
        raise _conflict(f"VM is locked ({config.lock}): VM {place.vm_id} can be deleted when Proxmox has done with it.")
    if config.notes.vm_id != place.vm_id:
        # A copy of a VM that somebody has made in Proxmox shares its image, and so does a clone of a template that was
        # a VM of ours: the image stays the original's.
        return Removable(place, ())
    token = image_token(config.notes)
    return Removable(place, tuple(volume for volume in config.volumes.values() if is_iso_of(volume, token)))


def _conflict(words: str) -> ConflictError:
    return ConflictError(words, backend=BackendReply("Proxmox", DELETE))


class Removal:
    """Removes things with one caller's client, within one verb."""

    def __init__(self, client: ProxmoxClient, work: Work) -> None:
        self._client = client
        self._work = work

    def stop(self, place: Place, *, is_checked: bool) -> None:
        """Cut a VM's power, whether it runs or not, and wait until it is off; `is_checked` as for `Step`."""
        step = Step.power("stop", self._client.power(place, "stop", {}), {}, is_checked=is_checked)
        self._work.finish(Operation(Verb.STOP, place.vm_id, str(step)))

    def iso(self, node: str, volume: str) -> None:
        """Remove an image; one that is gone already is a success."""
        try:
            upid = self._client.delete_volume(node, volume)
            if upid is not None:
                self._work.finish(task_operation(Verb.DELETE, volume, DELETE_VOLUME, upid))
        except _FAILURES as error:
            if not VOLUME_MISSING.search(_words(error)):
                raise

    def await_upload(self, node: str, volume: str, upload: str | None) -> None:
        """Wait until an image that a failed create has uploaded does not appear any more.

        `upload` is its task, None where the answer was lost.
        """
        if upload is None or not self._has_ended(volume, upload):
            appear = Step.appear(node, APPEARS_SECONDS)
            self._work.finish(Operation(Verb.DELETE, volume, str(appear)))

    def vm(self, place: Place) -> Operation:
        """Remove a VM that is off, with its disks; the work that is left open."""
        return task_operation(Verb.DELETE, place.vm_id, DELETE, self._client.delete(place))

    def half_made(self, place: Place, upid: str | None, owner: Owner, *, source: str = "") -> None:
        """Remove the VM that a create has made, and no other: PVE gives an id anew as soon as it is free.

        `upid` is the task that makes it, None where the answer that named it was lost; `source` as for `settled`.

        Raises:
            NotOwnedError: another try has taken the VM over.
            ConflictError: somebody else has started it.

        """
        is_ended = upid is not None and self._has_ended(place.vm_id, upid)
        config = self.settled(place, appears_within=0.0 if is_ended else APPEARS_SECONDS, source=source)
        if config is None or not is_of(config, owner):
            return
        if config.is_protected:
            # A clone has the protection of its template.
            self._client.configure(place, {"delete": "protection"})
        self._abandon(place, owner)
        self._vm_in_any_state(place, owner)

    def never_used(self, place: Place, config: Config, creation: str) -> None:
        """Remove a VM that is off and was never used, with its cloud-init image."""
        self._abandon(place, Owner(creation, config.notes.request_key))
        self._work.finish(self.vm(place))
        for volume in removable(place, config).images:
            self.iso(place.node, volume)

    def _abandon(self, place: Place, owner: Owner) -> None:
        """Mark a VM as about to be removed, so that no other try with the key takes it over meanwhile."""
        for tries_left in reversed(range(MARK_TRIES if owner.request_key else 0)):
            config = self.config(place)
            # A call that was sent twice is refused although the first one was carried out.
            if config is None or not is_of(config, owner) or config.notes.is_abandoned:
                return
            notes = abandoned(config.options.get("description", ""))
            try:
                self._client.configure(place, {"description": notes, "digest": config.digest})
            except ResourceException as error:
                if not MODIFIED.search(text_of(error)):
                    # A caller that may remove the VM may lack the privilege to change it.
                    _logger.info("VM %s of a failed create is not marked: %s", place.vm_id, translate(error).detail)
                    return
                if not tries_left:
                    raise kept(place.vm_id, "somebody is changing it") from error
            else:
                return

    def _vm_in_any_state(self, place: Place, owner: Owner) -> None:
        """Remove a VM that may run, or whose start is going on: the removal waits for it, and finds a VM that runs."""
        try:
            self._work.finish(self.vm(place))
        except _FAILURES as error:
            if not RUNNING.search(_words(error)):
                raise
            config = self.config(place)
            if config is None or not is_of(config, owner):
                return
            if not owner.may_run:
                raise kept(place.vm_id, "somebody has started it") from error
            self.stop(place, is_checked=True)
            self._work.finish(self.vm(place))

    def settled(self, place: Place, *, appears_within: float = 0.0, source: str = "") -> Config | None:
        """Return a VM's configuration once nobody makes or removes it any more; None when it is not there then.

        `appears_within` is how many seconds it may take to be there at all. `source` is the node of the template that
        it is cloned from: it is made there, and comes to its own node at the end.
        """
        if source not in {"", place.node}:
            self.settled(Place(source, place.vm_id), appears_within=appears_within)
            appears_within = 0.0
        config = self.config(place)
        is_settled = config.lock not in IN_TRANSIT if config is not None else not appears_within
        if is_settled:
            return config
        step = Step.settle(place, appears_within if config is None else 0.0)
        self._work.finish(Operation(Verb.CREATE, place.vm_id, str(step)))
        return self.config(place)

    def after_removal(self, place: Place) -> Config | None:
        """Return the configuration of a VM that a failed create removes, None once it is gone."""
        self._work.finish(Operation(Verb.CREATE, place.vm_id, str(Step.vanish(place, VANISHES_SECONDS))))
        return self.settled(place)

    def config(self, place: Place) -> Config | None:
        """A VM's configuration, None where the node has no such VM."""
        try:
            return self._client.config(place)
        except ResourceException as error:
            if MISSING.search(text_of(error)):
                return None
            raise

    def _has_ended(self, made_id: str, upid: str) -> bool:
        """Stop the task that makes something, and wait for its end. False when the caller may not see the task."""
        try:
            if self._client.task(upid).is_running:
                self._client.stop_task(upid)
                self._work.finish(Operation(Verb.CREATE, made_id, str(Step.end(upid))))
        except _FAILURES as error:
            failure = error if isinstance(error, ProviderError) else translate(error)
            if isinstance(failure, TRANSIENT):
                raise
            _logger.info("task %s of a failed create: %s", upid, failure.detail)
            return False
        return True


def is_of(config: Config, owner: Owner) -> bool:
    """Whether a VM is the one that a create has made.

    Raises:
        NotOwnedError: it was, and another try with the same key has taken it over.

    """
    notes = config.notes
    if notes.creation == owner.creation:
        return True
    if owner.request_key and notes.request_key == owner.request_key and notes.claims:
        raise NotOwnedError(f"Another request with this Idempotency-Key has taken over VM {notes.vm_id}.")
    return False


def kept(vm_id: str, reason: str) -> ConflictError:
    """Return the error of a removal that was not carried out."""
    return _conflict(f"VM {vm_id} is not removed: {reason}.")


def _words(error: Exception) -> str:
    return text_of(error) if isinstance(error, ResourceException) else str(error)
