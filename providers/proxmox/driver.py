"""Proxmox VE: what the verbs mean on a cluster of nodes."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import ClassVar, Final, Self, TypeVar

from proxmoxer.core import ResourceException

from providers.credentials import Credentials
from providers.domain import VM, Environment, LeftoverResource, Manner, Operation, StopMode, Verb, VMSpec
from providers.driver import Driver, Work
from providers.errors import (
    BackendReply,
    ConflictError,
    ProviderError,
    UnprocessableError,
    VMNotFoundError,
)
from providers.findings import Findings
from providers.memory import Memory
from providers.network import Network
from providers.proxmox.access import check_form
from providers.proxmox.answers import read
from providers.proxmox.client import Options, ProxmoxClient
from providers.proxmox.codes import MISSING, NOT_RUNNING
from providers.proxmox.creation import Creation, Template, TemplateGoneError, removed_meanwhile
from providers.proxmox.failures import VENDOR_ERRORS, text_of, translate
from providers.proxmox.guests import Guests
from providers.proxmox.leftovers import Leftovers
from providers.proxmox.naming import Place
from providers.proxmox.progress import Progress, Step, not_found
from providers.proxmox.recipe import ImageKind, Recipe, recipe_for
from providers.proxmox.records import Config, listed_vm, shown_vm
from providers.proxmox.removal import Owner, Removable, Removal, is_of, removable
from providers.proxmox.site import Site, site_of

# How long what was seen of a VM is good for its removal. Short, as what others do meanwhile is not noticed before its
# power is cut; Proxmox itself goes on refusing what is protected.
SEEN_SECONDS: Final = 10.0
# How long a template is not looked at again; images are built anew under the same id.
TEMPLATE_SECONDS: Final = 60.0
MOST_VMS: Final = 1000
MOST_TEMPLATES: Final = 100
CONFIG: Final = "GET /nodes/{node}/qemu/{vmid}/config"

T = TypeVar("T")


class ProxmoxDriver(Driver):
    """One node's VMs; a VM that has moved within the cluster is found by its id."""

    vendor_errors: ClassVar[tuple[type[Exception], ...]] = VENDOR_ERRORS

    def __init__(self, environment: Environment, site: Site, client: ProxmoxClient) -> None:
        self._environment = environment
        self._site = site
        self._client = client
        self._progress = Progress(client)
        self._templates: Findings[str, Template] = Findings(MOST_TEMPLATES, TEMPLATE_SECONDS)
        self._removables: Memory[str, Removable] = Memory(MOST_VMS, SEEN_SECONDS)
        self._guests = Guests(client)
        self._leftovers = Leftovers(client, site)

    @classmethod
    def check_create(cls, environment: Environment, spec: VMSpec) -> None:
        """See `Driver`."""
        recipe_for(environment, spec)

    @classmethod
    def check_credentials_form(cls, credentials: Credentials) -> None:
        """See `Driver`. A user with its realm, or an API token."""
        check_form(credentials)

    @classmethod
    def open(cls, environment: Environment, credentials: Credentials, network: Network) -> Self:
        """See `Driver`."""
        return cls(environment, site_of(environment), ProxmoxClient.open(environment, credentials, network))

    @classmethod
    def translate(cls, error: Exception) -> ProviderError:
        """See `Driver`."""
        return translate(error)

    def list_vms(self) -> Iterator[VM]:
        """See `Driver`. One call; tags and addresses are not told there."""
        return (listed_vm(state) for state in self._client.list_vms(self._site.node) if not state.is_template)

    def get_vm(self, vm_id: str) -> VM:
        """See `Driver`. Two calls; one more where an agent is expected in the guest, and found silent."""
        return self._on_its_node(vm_id, self._shown)

    def create_vm(self, spec: VMSpec, work: Work) -> Operation:
        """See `Driver`."""
        recipe = recipe_for(self._environment, spec)
        if recipe.image.kind is ImageKind.TEMPLATE:
            return self._clone(recipe, work)
        return Creation(self._client, recipe, work, None).run()

    def start_vm(self, vm_id: str, work: Work) -> Operation:  # noqa: ARG002 # one step
        """See `Driver`. A paused VM is resumed."""
        return self._power(Verb.START, vm_id, "start", {})

    def stop_vm(self, vm_id: str, work: Work, manner: Manner) -> Operation:  # noqa: ARG002 # one step
        """See `Driver`. Proxmox itself cuts the power of a guest whose time is over, also when nobody waits."""
        if manner.forced:
            return self._power(Verb.STOP, vm_id, "stop", {})
        options = _guest_time(manner)
        if manner.mode is StopMode.AUTO:
            options["forceStop"] = 1
        return self._power(Verb.STOP, vm_id, "shutdown", options)

    def restart_vm(self, vm_id: str, work: Work, manner: Manner) -> Operation:  # noqa: ARG002 # one step
        """See `Driver`."""
        try:
            if manner.forced:
                return self._power(Verb.RESTART, vm_id, "reset", {})
            return self._power(Verb.RESTART, vm_id, "reboot", _guest_time(manner))
        except ResourceException as error:
            if NOT_RUNNING.search(text_of(error)):
                # A template never runs, and is no VM.
                self._find(vm_id)
            raise

    def delete_vm(self, vm_id: str, work: Work) -> Operation:
        """See `Driver`. Two calls, and one for the image with its cloud-init.

        The VM's configuration tells what else is to be removed, and that the VM may be removed at all, before its power
        is cut. Where this session has not just seen it, the look at it takes the place of one at the VM's state: either
        way it is as many requests.
        """
        seen = self._removables.recall(vm_id)
        if seen is None:
            return self._remove(self._removable(vm_id), work)
        self._removables.forget(vm_id)
        try:
            return self._remove(seen, work, is_checked=False)
        except ResourceException as error:
            if not MISSING.search(text_of(error)):
                raise
        # It has moved since.
        return self._remove(self._removable(vm_id), work)

    def poll(self, operation: Operation) -> Operation:
        """See `Driver`. No create ends in `vm_not_found`."""
        if operation.verb is not Verb.CREATE:
            return self._progress.look(operation)
        try:
            operation = self._progress.look(operation)
        except VMNotFoundError as error:
            operation = replace(operation, done=True, failure=error)
        if isinstance(operation.failure, VMNotFoundError):
            return replace(operation, failure=removed_meanwhile(operation.vm_id or "", operation.failure))
        return operation

    def list_leftovers(self) -> Iterator[LeftoverResource]:
        """See `Driver`. One call for each VM of the cluster."""
        return self._leftovers.find()

    def remove_leftover(self, leftover: LeftoverResource, work: Work) -> None:
        """See `Driver`."""
        self._leftovers.remove(leftover, Removal(self._client, work), work)

    def promise_removal(self, operation: Operation, work: Work) -> None:
        """See `Driver`. Proxmox reuses ids, so only a VM with this create's mark is removed, if nobody has used it."""
        vm_id, creation = operation.vm_id, Step.read(operation.handle).creation
        if vm_id and creation:
            work.made("vm", vm_id, lambda: self._remove_created(vm_id, creation, work))

    def close(self) -> None:
        """See `Driver`."""
        self._client.close()

    def _on_its_node(self, vm_id: str, act: Callable[[Place], T]) -> T:
        """Do something with a VM where it is: on the environment's node, or where it has moved to."""
        try:
            return act(Place(self._site.node, vm_id))
        except ResourceException as error:
            if not MISSING.search(text_of(error)):
                raise
        node = self._client.node_of(vm_id)
        if node is None or node == self._site.node:
            raise not_found(vm_id, CONFIG)
        return act(Place(node, vm_id))

    def _find(self, vm_id: str) -> tuple[Place, Config]:
        """A VM's place and configuration.

        Raises:
            VMNotFoundError: there is none, or it is a template.

        """
        place, config = self._on_its_node(vm_id, lambda place: (place, self._client.config(place)))
        if config.is_template:
            raise not_found(vm_id, CONFIG)
        return place, config

    def _shown(self, place: Place) -> VM:
        config = self._client.config(place)
        if config.is_template:
            raise not_found(place.vm_id, CONFIG)
        self._remember(place, config)
        word, addresses = self._guests.seen(place, config)
        return read(CONFIG, lambda: shown_vm(place.vm_id, config, word, addresses))

    def _remember(self, place: Place, config: Config) -> None:
        """Keep what a removal needs, of a VM that may be removed."""
        try:
            self._removables.remember(place.vm_id, removable(place, config))
        except ConflictError:
            self._removables.forget(place.vm_id)

    def _removable(self, vm_id: str) -> Removable:
        return removable(*self._find(vm_id))

    def _remove_created(self, vm_id: str, creation: str, work: Work) -> None:
        place, config = self._find(vm_id)
        if is_of(config, Owner(creation, config.notes.request_key)):
            self._leftovers.check_failed_create(place, config)
            Removal(self._client, work).never_used(place, config, creation)

    def _remove(self, found: Removable, work: Work, *, is_checked: bool = True) -> Operation:
        """Remove a VM; `is_checked` as for `Step`."""
        removal = Removal(self._client, work)
        removal.stop(found.place, is_checked=is_checked)
        for volume in found.images:
            removal.iso(found.place.node, volume)
        return removal.vm(found.place)

    def _power(self, verb: Verb, vm_id: str, action: str, options: Options) -> Operation:
        upid = self._on_its_node(vm_id, lambda place: self._client.power(place, action, options))
        return Operation(verb, vm_id, str(Step.power(action, upid, options)))

    def _clone(self, recipe: Recipe, work: Work) -> Operation:
        name = recipe.image.name
        template = self._template(name)
        creation = Creation(self._client, recipe, work, template)
        try:
            return creation.run()
        except TemplateGoneError:
            self._templates.forget(name, template)
            creation.use(self._template(name))
            return creation.run()
        except (ProviderError, ResourceException):
            # By now it may be another one with other drives.
            self._templates.forget(name, template)
            raise

    def _template(self, vm_id: str) -> Template:
        """A template; not looked for again for a while.

        Raises:
            UnprocessableError: there is none.

        """
        return self._templates.find(vm_id, lambda: self._found_template(vm_id))

    def _found_template(self, vm_id: str) -> Template:
        try:
            return self._on_its_node(vm_id, lambda place: Template(place, self._client.config(place)))
        except VMNotFoundError as error:
            raise _no_template(vm_id) from error


def _guest_time(manner: Manner) -> dict[str, str | int]:
    return {"timeout": math.ceil(manner.guest_seconds)}


def _no_template(vm_id: str) -> UnprocessableError:
    return UnprocessableError(
        f"The machine type's image on Proxmox is template {vm_id}, which this cluster does not have, or does not show "
        "to this caller.",
        backend=BackendReply("Proxmox", CONFIG),
    )
