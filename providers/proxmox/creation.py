"""The making of one VM, step by step, each with its way back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from proxmoxer.core import ResourceException

from providers.domain import VM, Operation, Verb, VMStatus
from providers.driver import Work
from providers.errors import ConflictError, ProviderError, UnprocessableError
from providers.proxmox import nocloud
from providers.proxmox.client import ProxmoxClient
from providers.proxmox.codes import MISSING, IdTakenError, waits_for
from providers.proxmox.failures import VENDOR_ERRORS, text_of, translate
from providers.proxmox.identity import TRIES, Identity
from providers.proxmox.naming import Place, iso_file, iso_volume
from providers.proxmox.progress import Step, task_operation
from providers.proxmox.recipe import ImageKind, Recipe
from providers.proxmox.records import Config
from providers.proxmox.removal import Removal

CREATE: Final = "POST /nodes/{node}/qemu"
CLONE: Final = "POST /nodes/{node}/qemu/{vmid}/clone"
RESIZE: Final = "PUT /nodes/{node}/qemu/{vmid}/resize"
UPLOAD: Final = "POST /nodes/{node}/storage/{storage}/upload"

# How long a VM may take to appear after a call that was not answered: a clone takes its id only in its task, and what
# was asked for over a connection that has ended may yet have to be done.
APPEARS_SECONDS: Final = 3.0

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
        self._volume = iso_volume(recipe.site.iso_storage, recipe.image_token)
        self._iso = ""
        self._vm_id = ""

    def use(self, template: Template) -> None:
        """Take another template: the one that was given is not where it was."""
        self._template = template

    def run(self) -> Operation:
        """Make the VM, or complete the one that an earlier try with the same key has made; its start is left open."""
        try:
            return self._made_once()
        except _FAILURES:
            if self._recipe.request_key and self._vm_id and self._identity.is_anothers(self._vm_id):
                # Another try has made the VM meanwhile, and the image is in its drive.
                self._work.forget(self._volume)
            raise

    def _made_once(self) -> Operation:
        for vm_id in self._identity.candidates():
            self._vm_id = vm_id
            try:
                place = self._identity.made_before(vm_id)
                operation = self._complete_again(place) if place else self._complete(self._begin(vm_id))
            except IdTakenError:
                continue
            if operation is not None:
                return operation
        raise IdTakenError(f"{TRIES} ids in a row were taken by others while this VM was being made; try again.")

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
            return (
                f"Whether VM {place.vm_id} was made could not be found out in time: look for it if it was not removed."
            )
        if made is None or made.notes.creation != self._recipe.creation:
            return "No VM of this request was found."
        self._made(place, None)
        return "The VM that was made is removed again."

    def _made(self, place: Place, upid: str | None) -> None:
        creation = self._recipe.creation
        source = self._source
        self._work.made("vm", place.vm_id, lambda: self._removal.half_made(place, upid, creation, source=source))

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
            upid = self._client.upload_iso(site.node, site.iso_storage, iso_file(self._recipe.image_token), image)
        except _FAILURES as error:
            if _failure(error).answer_lost:
                self._made_iso(volume, None)
            raise
        self._made_iso(volume, upid)
        self._work.finish(task_operation(Verb.CREATE, volume, UPLOAD, upid))
        self._iso = volume

    def _made_iso(self, volume: str, upid: str | None) -> None:
        node = self._recipe.site.node
        self._work.made("iso", volume, lambda: self._removal.iso(node, volume, upid))

    def _complete(self, place: Place) -> Operation:
        """Size, and start."""
        if self._template:
            self._adapt(place, self._template.config)
        if self._recipe.spec.os.disk_gib and self._recipe.image.kind is not ImageKind.INSTALLER:
            self._grow(place, self._template.config if self._template else self._client.config(place))
        return self._start(place, self._recipe.creation)

    def _complete_again(self, place: Place) -> Operation | None:
        """The same for a VM of an earlier try, which may lack nothing, and may be in use; None if it is gone."""
        config = self._removal.config(place)
        if config is None:
            return None
        if self._recipe.spec.cloud_init is not None:
            if not self._client.has_volume(self._recipe.site.node, self._volume):
                # The earlier try could remove its image again, and not its VM.
                self._iso = ""
                self._upload()
            self._iso = self._volume
        # It has the same name as the earlier try's, and is the earlier try's to remove.
        self._work.forget(self._volume)
        if self._template and not self._recipe.is_applied(config, self._iso):
            self._adapt(place, self._template.config)
        if self._recipe.spec.os.disk_gib and self._recipe.image.kind is not ImageKind.INSTALLER:
            self._grow(place, config)
        # A VM of an earlier try is not this one's to remove, also when nobody is waiting for it to start.
        return self._start(place, "")

    def _adapt(self, place: Place, template: Config) -> None:
        """Give a clone what it is to have otherwise than its template."""
        if template.is_protected:
            # A template's protection is its own. By itself: with it PVE removes no drive in the same request either.
            self._client.configure(place, {"delete": "protection"})
        self._client.configure(place, self._recipe.changed(template, self._iso))

    def _grow(self, place: Place, config: Config) -> None:
        """Give the system disk the size that the machine type wants, if it has less."""
        wanted = self._recipe.spec.os.disk_gib or 0
        slot = config.system_disk
        if slot is None:
            raise UnprocessableError(
                f"The image {self._recipe.image.name} has no disk to boot from that could be given {wanted} GiB: leave "
                "`os_disk_size_gb` out of the machine type."
            )
        size = config.disk_bytes(slot)
        if size is not None and size >= wanted * _GIB:
            return
        upid = self._client.resize(place, slot, wanted)
        if upid is not None:
            self._work.finish(task_operation(Verb.CREATE, place.vm_id, RESIZE, upid))

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
        upid = self._client.power(place, "start", {})
        return Operation(Verb.CREATE, place.vm_id, str(Step.power("start", upid, {}, creation)), vm=vm)


def _failure(error: Exception) -> ProviderError:
    return error if isinstance(error, ProviderError) else translate(error)
