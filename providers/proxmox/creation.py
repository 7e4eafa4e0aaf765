"""The making of one VM, step by step, each with its way back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from proxmoxer.core import ResourceException

from providers.domain import VM, Operation, Verb, VMStatus
from providers.driver import Work
from providers.errors import (
    ConflictError,
    LostClaimError,
    NotOwnedError,
    ProviderError,
    TemporaryConflictError,
    UnprocessableError,
    VMNotFoundError,
)
from providers.notes import Notes, claimed, without_unfinished
from providers.proxmox import nocloud
from providers.proxmox.client import ProxmoxClient
from providers.proxmox.codes import DISK_IS_LARGER, MISSING, MODIFIED, VOLUME_MISSING, IdTakenError, waits_for
from providers.proxmox.failures import VENDOR_ERRORS, text_of, translate
from providers.proxmox.history import has_never_run
from providers.proxmox.identity import TRIES, Identity, Made
from providers.proxmox.naming import Place, is_iso_of, iso_volume
from providers.proxmox.progress import Step, task_operation
from providers.proxmox.recipe import SYSTEM_DISK, ImageKind, Recipe
from providers.proxmox.records import Config, shown_vm
from providers.proxmox.removal import APPEARS_SECONDS, Owner, Removal

CREATE: Final = "POST /nodes/{node}/qemu"
CLONE: Final = "POST /nodes/{node}/qemu/{vmid}/clone"
RESIZE: Final = "PUT /nodes/{node}/qemu/{vmid}/resize"
UPLOAD: Final = "POST /nodes/{node}/storage/{storage}/upload"

_GIB: Final = 1 << 30
_FAILURES: Final[tuple[type[Exception], ...]] = (ProviderError, *VENDOR_ERRORS)


@dataclass(frozen=True)
class Template:
    """A template that VMs are cloned from: where it is, and how it is configured."""

    place: Place
    config: Config


class TemplateGoneError(UnprocessableError):
    """The template is not where the session has seen it."""


class Creation:
    """One create. `template` is what the VM is cloned from, None where it is made of an image or with an installer."""

    def __init__(self, client: ProxmoxClient, recipe: Recipe, work: Work, template: Template | None) -> None:
        self._client = client
        self._recipe = recipe
        self._work = work
        self._template = template
        self._removal = Removal(client, work)
        self._identity = Identity(client, recipe, self._removal)
        self._volume = iso_volume(recipe.site.iso_storage, recipe.site.iso_scope, recipe.image_token)
        self._iso = ""
        self._vm_id = ""
        self._has_start_run = False
        self._keeps_vm = False

    def use(self, template: Template) -> None:
        """Take another template: the one that was given is not where it was."""
        self._template = template

    def run(self) -> Operation:
        """Make the VM, or complete the one that an earlier try with the same key has made; its start is left open."""
        try:
            return self._made_once()
        except _FAILURES as error:
            failure = _failure(error)
            if not isinstance(failure, VMNotFoundError):
                raise
            raise removed_meanwhile(self._vm_id, failure) from error

    def _made_once(self) -> Operation:
        for vm_id in self._identity.candidates():
            self._vm_id = vm_id
            try:
                made = self._identity.made_before(vm_id)
                return self._complete_again(made) if made else self._complete(self._begin(vm_id))
            except (IdTakenError, LostClaimError):
                continue
            except _FAILURES as error:
                if not self._recipe.request_key or not self._is_removed(_failure(error)):
                    raise
                # The clean-up of an earlier try has taken its VM or its image away.
                self._work.forget(vm_id)
                self._iso = ""
        raise IdTakenError(f"{TRIES} ids in a row were taken by others while this VM was being made; try again.")

    def _is_removed(self, failure: ProviderError) -> bool:
        """Whether a step has failed because the VM or its cloud-init image is gone."""
        is_iso = VOLUME_MISSING.search(failure.detail) is not None and self._volume in failure.detail
        return is_iso or isinstance(failure, VMNotFoundError)

    def _is_vm_anothers(self) -> bool:
        return bool(self._recipe.request_key and self._vm_id) and self._identity.is_anothers(self._vm_id)

    def _begin(self, vm_id: str) -> Place:
        """A VM with this id and its disks.

        Raises:
            IdTakenError: somebody else has the id.

        """
        self._upload()
        place = Place(self._recipe.site.node, vm_id)
        operation, submit = (CLONE, self._clone) if self._template else (CREATE, self._create)
        upid = self._submitted(place, lambda: submit(place))
        self._made(place, upid)
        try:
            self._work.finish(task_operation(Verb.CREATE, vm_id, operation, upid))
        except ConflictError as error:
            # A clone takes its id only in its task: somebody else may have it by then, or be at it.
            if not isinstance(error, IdTakenError) and not waits_for(vm_id).search(error.detail):
                raise
            self._work.forget(vm_id)
            raise IdTakenError(error.detail, backend=error.backend) from error
        return place

    def _create(self, place: Place) -> str:
        return self._client.create(place, self._recipe.new(place.vm_id, self._iso))

    def _clone(self, place: Place) -> str:
        assert self._template is not None  # noqa: S101 - the caller has looked, told to the type checker
        source = self._template.place
        try:
            return self._client.clone(source, place.vm_id, self._recipe.cloned(place.vm_id, source.node))
        except ResourceException as error:
            if MISSING.search(text_of(error)):
                raise TemplateGoneError(f"Template {source.vm_id} is not on node {source.node} any more.") from error
            raise

    def _submitted(self, place: Place, submit: Callable[[], str]) -> str:
        """The task that makes the VM; if the answer gets lost, see that the VM is not left behind."""
        try:
            return submit()
        except _FAILURES as error:
            failure = _failure(error)
            if not failure.answer_lost:
                raise failure from error
            raise type(failure)(f"{failure.detail} {self._search_lost(place)}", backend=failure.backend) from error

    def _search_lost(self, place: Place) -> str:
        """Look for a VM whose making was not answered, so that it is removed; what to tell the caller."""
        try:
            made = self._removal.settled(place, appears_within=APPEARS_SECONDS, source=self._source)
        except _FAILURES:
            self._made(place, None)
            return f"Whether VM {place.vm_id} was made could not be found out in time."
        if made is None or made.notes.creation != self._recipe.creation:
            return "No VM of this request was found."
        self._made(place, None)
        return f"VM {place.vm_id} was made all the same; `leftovers` tells whether it was removed."

    def _made(self, place: Place, upid: str | None) -> None:
        source = self._source
        self._work.made("vm", place.vm_id, lambda: self._remove_vm(place, upid, source))

    def _remove_vm(self, place: Place, upid: str | None, source: str) -> None:
        owner = Owner(self._recipe.creation, self._recipe.request_key, may_run=self._has_start_run)
        self._keeps_vm = False
        try:
            self._removal.half_made(place, upid, owner, source=source)
        except ConflictError:
            self._keeps_vm = True
            raise

    @property
    def _source(self) -> str:
        """The node on which the VM is made, until it moves to its own; empty where it is made."""
        return self._template.place.node if self._template else ""

    def _upload(self) -> None:
        """Put the VM's cloud-init where Proxmox can attach it, once."""
        spec, site = self._recipe.spec, self._recipe.site
        if spec.cloud_init is None or self._iso:
            return
        image = nocloud.image(spec.cloud_init, instance_id=self._recipe.image_token, hostname=spec.name)
        volume = self._volume
        try:
            upid = self._client.upload_iso(site.node, volume, image)
        except _FAILURES as error:
            if _failure(error).answer_lost:
                self._made_iso(volume, None)
            raise
        self._made_iso(volume, upid)
        self._work.finish(task_operation(Verb.CREATE, volume, UPLOAD, upid))
        self._iso = volume

    def _made_iso(self, volume: str, upid: str | None) -> None:
        self._work.made("iso", volume, lambda: self._remove_iso(volume, upid))

    def _remove_iso(self, volume: str, upid: str | None) -> None:
        node = self._recipe.site.node
        self._removal.await_upload(node, volume, upid)
        # Only now: another try may have made its VM with the image meanwhile.
        if self._is_vm_anothers():
            raise NotOwnedError(f"{volume} is used by the VM of another request with the same Idempotency-Key.")
        if self._keeps_vm:
            raise ConflictError(f"{volume} is used by VM {self._vm_id}, which is not removed.")
        self._removal.iso(node, volume)

    def _complete(self, place: Place) -> Operation:
        """Size, configure and start a new VM."""
        notes = self._recipe.notes(place.vm_id)
        if self._template:
            self._grow(place, self._template.config)
        elif self._recipe.image.kind is ImageKind.IMPORT and self._recipe.spec.os.disk_gib:
            self._resize(place, SYSTEM_DISK)
        self._configure(place, notes)
        return self._start(place, self._recipe.creation)

    def _complete_again(self, made: Made) -> Operation:
        """Do what an earlier try has left undone. A finished VM, which may be in use, is not configured again.

        A VM of an earlier try is not this one's to remove, also when nobody is waiting for it to start.
        """
        place, config = made.place, made.config
        if not self._is_unfinished(config):
            return self._finished(place, config)
        config = self._claimed(place, config)
        self._upload_again(config, is_unfinished=True)
        self._work.forget(self._volume)
        if self._recipe.image.kind is not ImageKind.INSTALLER:
            self._grow(place, config)
        self._configure(place, config.options.get("description", ""))
        return self._start(place, "")

    def _finished(self, place: Place, config: Config) -> Operation:
        """Return a finished VM as it is; start it if it was to be started, and has never run."""
        state = self._client.state(place)
        starts = self._recipe.spec.start and state.status is not VMStatus.RUNNING and self._has_never_run(place, config)
        if starts or config.notes.may_be_removed:
            config = self._claimed(place, config)
        self._upload_again(config, is_unfinished=False)
        self._work.forget(self._volume)
        if starts:
            return self._start(place, "")
        vm = shown_vm(place.vm_id, config, state.word, ())
        return Operation(Verb.CREATE, place.vm_id, done=True, vm=vm)

    def _has_never_run(self, place: Place, config: Config) -> bool:
        """Whether a VM that does not run was never started. One on another node was moved, and so used."""
        node = self._recipe.site.node
        return place.node == node and has_never_run(self._client.tasks(node), place.vm_id, config.notes)

    def _claimed(self, place: Place, config: Config) -> Config:
        """Take over the VM of another try, which does not remove it from then on; return its new configuration.

        Raises:
            LostClaimError: somebody has changed the VM meanwhile.

        """
        if config.notes == Notes():
            # The other try does not recognise it without our note either.
            return config
        notes = claimed(config.options.get("description", ""), self._recipe.creation, place.vm_id)
        try:
            self._client.configure(place, {"description": notes, "digest": config.digest})
        except ResourceException as error:
            if MODIFIED.search(text_of(error)):
                raise LostClaimError(f"VM {place.vm_id} was changed at the same moment; try again.") from error
            raise
        return Config({**config.options, "description": notes})

    def _is_unfinished(self, config: Config) -> bool:
        if config.notes != Notes():
            return config.notes.is_unfinished or config.notes.is_abandoned
        # Somebody has edited our mark out of the notes.
        return self._template is not None and not self._recipe.is_applied(config, self._iso)

    def _upload_again(self, config: Config, *, is_unfinished: bool) -> None:
        """Upload the image again if the earlier try could remove it, and not its VM.

        The user of a finished VM may have emptied its drive.
        """
        token = self._recipe.image_token
        attached = next((volume for volume in config.volumes.values() if is_iso_of(volume, token)), "")
        if self._recipe.spec.cloud_init is None or not (is_unfinished or attached):
            return
        self._volume = attached or self._volume
        if self._client.has_volume(self._recipe.site.node, self._volume):
            self._iso = self._volume
        else:
            self._iso = ""
            self._upload()

    def _configure(self, place: Place, notes: str) -> None:
        """Give the VM what it lacks, and take the mark of an unfinished one from it: it is started next."""
        if self._template and self._template.config.is_protected:
            # A template's protection is its own. By itself: with it PVE removes no drive in the same request either.
            self._client.configure(place, {"delete": "protection"})
        changes = self._recipe.changed(self._template.config, self._iso) if self._template else {}
        self._client.configure(place, {**changes, "description": without_unfinished(notes)})

    def _grow(self, place: Place, config: Config) -> None:
        """Give the system disk the size that the machine type wants, if it has less."""
        wanted = self._recipe.spec.os.disk_gib
        if not wanted:
            return
        slot = config.system_disk
        if slot is None:
            raise UnprocessableError(
                f"The image {self._recipe.image.name} has no disk to boot from that could be given {wanted} GiB: leave "
                "`os_disk_size_gb` out of the machine type."
            )
        size = config.disk_bytes(slot)
        if size is None or size < wanted * _GIB:
            self._resize(place, slot)

    def _resize(self, place: Place, slot: str) -> None:
        """Grow a disk; one that is larger already stays as it is."""
        try:
            upid = self._client.resize(place, slot, self._recipe.spec.os.disk_gib or 0)
            if upid is not None:
                self._work.finish(task_operation(Verb.CREATE, place.vm_id, RESIZE, upid))
        except _FAILURES as error:
            if not DISK_IS_LARGER.search(_failure(error).detail):
                raise

    def _start(self, place: Place, creation: str) -> Operation:
        spec = self._recipe.spec
        vm = VM(
            id=place.vm_id,
            name=spec.name,
            status=VMStatus.STOPPED,
            provider_status="stopped",
            cpus=spec.offer.cpus,
            memory_mib=spec.offer.memory_mib,
            tags=spec.tags,
        )
        if not spec.start:
            return Operation(Verb.CREATE, place.vm_id, done=True, vm=vm)
        try:
            upid = self._client.power(place, "start", {})
        except _FAILURES as error:
            self._has_start_run = _failure(error).answer_lost
            raise
        return Operation(Verb.CREATE, place.vm_id, str(Step.power("start", upid, {}, creation)), vm=vm)


def removed_meanwhile(vm_id: str, failure: ProviderError) -> TemporaryConflictError:
    """Return the error of a create whose VM somebody has removed before it was finished."""
    return TemporaryConflictError(
        f"VM {vm_id} was removed in Proxmox while it was being made. Send the request again.", backend=failure.backend
    )


def _failure(error: Exception) -> ProviderError:
    return error if isinstance(error, ProviderError) else translate(error)
