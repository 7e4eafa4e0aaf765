"""The making of one VM: by one call that makes VM, interface and disk, and never touches a VM that is there already."""

from __future__ import annotations

import logging
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

from azure.core.exceptions import HttpResponseError

from providers.azure.client import Answer, AzureClient
from providers.azure.failures import VENDOR_ERRORS, refusal_of, translate
from providers.azure.images import ImageSizes
from providers.azure.marks import Made
from providers.azure.naming import CREATE
from providers.azure.progress import Progress, Step, search_for
from providers.azure.recipe import Recipe
from providers.azure.records import DIGEST_TAG, KEY_TAG, Machine, read_machine, shown
from providers.azure.removal import RETRY_TIME, Removal, is_unfinished
from providers.domain import Operation, Verb, VMStatus
from providers.driver import Work
from providers.errors import (
    BackendReply,
    ConflictError,
    NameTakenError,
    NotOwnedError,
    ProviderError,
    TemporaryConflictError,
    key_reused,
)

_logger = logging.getLogger("cloudvm.gateway")

_FAILURES: Final[tuple[type[Exception], ...]] = (ProviderError, *VENDOR_ERRORS)
_REPEAT: Final = "Repeat the request with the same Idempotency-Key: if the VM was made, it is returned."


class Creation:
    """One create."""

    def __init__(self, client: AzureClient, recipe: Recipe, work: Work, sizes: ImageSizes) -> None:
        self._client = client
        self._sizes = sizes
        self._progress = Progress(client)
        self._recipe = recipe
        self._work = work
        self._removal = Removal(client, work, recipe.made, self._is_used)

    def run(self) -> Operation:
        """Make the VM, or return the one that an earlier try with the same key has made; its last step is left open."""
        found = self._found()
        if found is not None and not self._is_cleared(found):
            return self._again(found)
        try:
            answer = self._submitted()
        except HttpResponseError as error:
            found = self._client.machine_or_none(self._recipe.spec.name) if _may_be_taken(error) else None
            if found is None:
                raise
            return self._again(found)
        return self._begun(answer)

    def _found(self) -> Machine | None:
        """Return a VM that stands in the way, or was made by an earlier try.

        With other content, that try may have used any name. A VM of another name with the same content is a copy that
        somebody made with our tags, and is not touched.
        """
        spec, key = self._recipe.spec, self._recipe.request_key
        if not key:
            return self._client.machine_or_none(spec.name)
        machines = list(self._client.list_machines())
        named = next((machine for machine in machines if machine.name.lower() == spec.name.lower()), None)
        if named is not None and self._is_ours(named):
            return named
        mine = (machine for machine in machines if self._is_ours(machine))
        return next((one for one in mine if not self._has_same_content(one)), named)

    def _begun(self, answer: Answer) -> Operation:
        self._removal.promise()
        name, creation = self._recipe.spec.name, self._recipe.creation
        begun = self._progress.begun(Verb.CREATE, name, answer, goal="running", creation=creation)
        machine = read_machine(answer.object())
        return self._completed(replace(begun, vm=shown(machine)))

    def _completed(self, created: Operation) -> Operation:
        """A VM that shall not run is stopped once it has been made: Azure makes none that does not start."""
        if self._recipe.spec.start:
            return created
        created = created if created.done else self._work.finish(created)
        try:
            return self._stopped(created)
        except HttpResponseError as error:
            if error.status_code != 409:
                raise
        # Azure takes one order at once. It is busy with an extension that a policy puts on each new VM, or with the
        # stop of another try with this key.
        idle = Step(CREATE, creation=Step.read(created.handle).creation)
        created = self._work.finish(replace(created, done=False, handle=str(idle)))
        # The other try may have answered meanwhile, and its user may have started the VM.
        machine = self._client.machine_or_none(created.vm_id or self._recipe.spec.name)
        if machine is not None and self._was_started_again(machine):
            return replace(created, vm=shown(machine))
        return self._stopped(created)

    def _stopped(self, made: Operation) -> Operation:
        """The stop of a VM that has been made, unless it is stopped already."""
        if made.vm is not None and made.vm.status is VMStatus.STOPPED:
            return made
        name, creation = made.vm_id or self._recipe.spec.name, Step.read(made.handle).creation
        answer = self._client.act(name, "deallocate")
        stopped = self._progress.begun(Verb.CREATE, name, answer, goal="deallocated", creation=creation)
        return replace(stopped, vm=made.vm)

    def _again(self, found: Machine) -> Operation:
        """The VM of an earlier try with the same key, once it is ready.

        Raises:
            NameTakenError: it is somebody else's.
            UnprocessableError: the earlier try had other content.
            ConflictError: it is being deleted, or may run although its creation failed.

        """
        self._check_ours(found)
        ready = Operation(Verb.CREATE, found.name, str(Step(CREATE)))
        if self._recipe.spec.start and found.provisioning not in {"Failed", "Deleting"}:
            return ready
        # The list tells neither power states nor times.
        machine = self._client.machine_or_none(found.name)
        if machine is None or machine.provisioning == "Deleting":
            raise TemporaryConflictError(
                f"VM {found.name}, which this Idempotency-Key has made, is being deleted: repeat the request when it "
                "is gone.",
                backend=BackendReply("Azure", CREATE),
            )
        if machine.failed_at_boot:
            raise ConflictError(
                f"The guest of VM {found.name}, which this Idempotency-Key has made, did not report "
                f"({machine.failure.code}). It may run: delete the VM, then repeat the request.",
                backend=BackendReply("Azure", CREATE, machine.failure.code),
            )
        # A failed one that has run failed in a later operation.
        has_run = machine.provisioning in {"Succeeded", "Failed"} and not machine.has_never_run
        ready = replace(ready, done=has_run, vm=shown(machine))
        if self._recipe.spec.start or _has_changed_since(machine) or self._was_started_again(machine):
            return ready
        return self._completed(ready)

    def _is_cleared(self, found: Machine) -> bool:
        """Remove a VM that an earlier try with this key left unfinished. Return whether the name is free by that."""
        if not self._is_ours(found) or found.provisioning not in {"Deleting", "Failed"}:
            return False
        self._check_ours(found)
        machine = self._client.machine_or_none(found.name)
        if machine is None:
            return True
        if not self._is_ours(machine) or not is_unfinished(machine):
            return False
        removal = Removal(self._client, self._work, Made(machine.name, machine.creation))
        # Another try may have replaced it meanwhile.
        with suppress(NotOwnedError):
            removal.vm()
        for remove in (removal.nic, removal.disk):
            try:
                remove()
            except _FAILURES as error:
                # They do not stand in the way, and bear the mark by which they are found later.
                _logger.warning("an unfinished VM leaves something behind: %s", _meaning(error).detail)
        return True

    def _is_ours(self, found: Machine) -> bool:
        key = self._recipe.request_key
        return bool(key) and found.tags.get(KEY_TAG) == key and found.is_original

    def _is_used(self, machine: Machine) -> bool:
        """Whether the VM of this create stays although the create failed.

        Another try with the same key may have answered with it, by the same rules (`_is_cleared`, `_again`).
        """
        if not self._recipe.request_key:
            return False
        if self._recipe.spec.start:
            return machine.provisioning in {"Failed", "Succeeded"} and not is_unfinished(machine)
        return machine.power in {"deallocating", "deallocated"} or self._was_started_again(machine)

    def _was_started_again(self, machine: Machine) -> bool:
        """Whether somebody has started a VM after its first stop, or does so now."""
        if machine.power == "starting":
            return machine.provisioning == "Updating"
        if machine.power != "running":
            return False
        disk = self._client.disk_or_none(machine.disk)
        return disk is not None and disk.was_attached_again

    def _check_ours(self, found: Machine) -> None:
        """Refuse a VM of others, and one that the key has made with other content."""
        if not self._is_ours(found):
            raise NameTakenError(
                f"There is a VM {found.name} in the resource group of environment {self._recipe.site.name!r} already. "
                "It was left as it is: choose another name.",
                backend=BackendReply("Azure", CREATE),
            )
        if not self._has_same_content(found):
            raise key_reused(found.name)

    def _has_same_content(self, found: Machine) -> bool:
        """Return whether a VM was made for the same content. A digest that was lost proves nothing."""
        digest = self._recipe.spec.request_digest
        return found.tags.get(DIGEST_TAG, digest) == digest

    def _submitted(self) -> Answer:
        """Azure's answer; if it gets lost, see that the VM is not left behind.

        With an idempotency key it is left: the caller's next try finds it.
        """
        try:
            answer = self._put()
            answer.object()
        except _FAILURES as error:
            failure = _meaning(error)
            if not failure.answer_lost and not _is_odd(failure):
                raise
            advice = _REPEAT if self._recipe.request_key else self._search_lost()
            raise type(failure)(f"{failure.detail} {advice}", backend=failure.backend) from error
        return answer

    def _put(self) -> Answer:
        """One call; another with the image's own size where that is more than what the machine type wants at least."""
        name = self._recipe.spec.name
        try:
            return self._client.create(name, self._recipe.body())
        except HttpResponseError as error:
            fitted = self._sizes.learn(self._recipe, error)
            if fitted is None:
                raise
        return self._client.create(name, fitted.body())

    def _search_lost(self) -> str:
        """Look for a VM whose making was not answered, so that it is removed; what to tell the caller."""
        searched = search_for(self._recipe.spec.name, self._recipe.creation, CREATE)
        try:
            searched = self._work.finish(searched)
        except _FAILURES:
            # Removing has time of its own, and may find what could not be found in time.
            self._removal.promise()
            return "Whether a VM was made could not be found out in time: look for it before you try again."
        if searched.vm_id is None:
            return "No VM was found that it made."
        self._removal.promise()
        return "The VM that it made is in `leftovers`, which say whether it could be removed."


def _is_odd(failure: ProviderError) -> bool:
    """Whether an answer with a good status was not Azure's: the request may have reached Azure."""
    return failure.backend is not None and failure.backend.status is not None and failure.backend.status < 300


def _may_be_taken(error: HttpResponseError) -> bool:
    """Whether somebody else was faster: `If-None-Match` fails, or the other's work is under way."""
    return error.status_code == 412 or (error.status_code == 409 and "Conflict" in refusal_of(error).code)


def _has_changed_since(machine: Machine) -> bool:
    """Return whether something was done to a VM after it was made: somebody has started it."""
    if machine.made_at is None or machine.provisioning == "Creating":
        return False
    return (machine.changed_at or datetime.now(UTC)) - machine.made_at > RETRY_TIME


def _meaning(error: Exception) -> ProviderError:
    return error if isinstance(error, ProviderError) else translate(error)
