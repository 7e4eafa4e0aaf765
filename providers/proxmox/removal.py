"""Taking away what was made: VMs, the images with their cloud-init, and the half-made."""

from __future__ import annotations

import logging
from typing import Final

from proxmoxer.core import ResourceException

from providers.domain import Operation, Verb
from providers.driver import Work
from providers.errors import BackendReply, ConflictError, ProviderError
from providers.proxmox.client import ProxmoxClient
from providers.proxmox.codes import MISSING, RUNNING, VOLUME_MISSING
from providers.proxmox.failures import text_of
from providers.proxmox.naming import Place
from providers.proxmox.progress import Step, task_operation
from providers.proxmox.records import Config

_logger = logging.getLogger("cloudvm.proxmox")

DELETE: Final = "DELETE /nodes/{node}/qemu/{vmid}"
DELETE_VOLUME: Final = "DELETE /nodes/{node}/storage/{storage}/content/{volume}"
BEING_MADE: Final = frozenset({"create", "clone"})


class Removal:
    """Removes things with one caller's client, within one verb."""

    def __init__(self, client: ProxmoxClient, work: Work) -> None:
        self._client = client
        self._work = work

    def stop(self, place: Place) -> None:
        """Cut a VM's power, whether it runs or not, and wait until it is off."""
        upid = self._client.power(place, "stop", {})
        self._work.finish(Operation(Verb.STOP, place.vm_id, str(Step.power("stop", upid, {}))))

    def iso(self, node: str, volume: str) -> None:
        """Remove an image; one that is gone already is a success."""
        try:
            upid = self._client.delete_volume(node, volume)
            if upid is not None:
                self._work.finish(task_operation(Verb.DELETE, volume, DELETE_VOLUME, upid))
        except ResourceException as error:
            if not VOLUME_MISSING.search(text_of(error)):
                raise
        except ProviderError as error:
            if not VOLUME_MISSING.search(error.detail):
                raise

    def vm(self, place: Place) -> Operation:
        """Remove a VM that is off, with its disks; the work that is left open."""
        return task_operation(Verb.DELETE, place.vm_id, DELETE, self._client.delete(place))

    def half_made(self, place: Place, upid: str | None, creation: str) -> None:
        """Remove the VM that a create has made, and no other: PVE gives an id anew as soon as it is free.

        Raises:
            ConflictError: a VM of that id is still being made, and nobody can tell by whom.

        """
        if upid is not None:
            self._end_task(place, upid)
        config = self.config(place)
        if config is None:
            return
        if config.notes.creation == creation:
            self._work.finish(self._vm_in_any_state(place))
        elif config.lock in BEING_MADE:
            raise ConflictError(
                f"VM {place.vm_id} is locked ({config.lock}) by the work that was to make it.",
                backend=BackendReply("Proxmox", DELETE),
            )

    def _vm_in_any_state(self, place: Place) -> Operation:
        try:
            return self.vm(place)
        except ResourceException as error:
            if not RUNNING.search(text_of(error)):
                raise
        self.stop(place)
        return self.vm(place)

    def config(self, place: Place) -> Config | None:
        """A VM's configuration, None where the node has no such VM."""
        try:
            return self._client.config(place)
        except ResourceException as error:
            if MISSING.search(text_of(error)):
                return None
            raise

    def _end_task(self, place: Place, upid: str) -> None:
        """See that the making has ended, so that there is something to remove, or nothing any more."""
        try:
            if self._client.task(upid).is_running:
                self._client.stop_task(upid)
                self._work.finish(task_operation(Verb.CREATE, place.vm_id, "", upid))
        except (ResourceException, ProviderError) as error:
            # It ends in failure, as it was told to. Whatever else: what it has made can be looked at.
            _logger.info("task %s of a failed create: %s", upid, type(error).__name__)
