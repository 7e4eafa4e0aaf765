"""The making of one VM: by one call that makes VM, interface and disk, and never touches a VM that is there already."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

from azure.core.exceptions import HttpResponseError

from providers.azure.client import Answer, AzureClient
from providers.azure.failures import VENDOR_ERRORS, refusal_of, translate
from providers.azure.images import ImageSizes
from providers.azure.naming import CREATE
from providers.azure.progress import Progress, Step, search_for
from providers.azure.recipe import Recipe
from providers.azure.records import DIGEST_TAG, KEY_TAG, Machine, read_machine, shown
from providers.azure.removal import Removal
from providers.domain import Operation, Verb, VMStatus
from providers.driver import Work
from providers.errors import BackendReply, ConflictError, NameTakenError, ProviderError, key_reused

# A try of the same request that comes later finds a VM that has been in use since.
RETRY_SECONDS: Final = 900.0
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
        self._removal = Removal(client, work, recipe.made)

    def run(self) -> Operation:
        """Make the VM, or return the one that an earlier try with the same key has made; its last step is left open."""
        found = self._found()
        if found is not None:
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
        """A VM that stands in the way, or was made by an earlier try; with a key it may have any name."""
        name, key = self._recipe.spec.name, self._recipe.request_key
        if not key:
            return self._client.machine_or_none(name)
        machines = list(self._client.list_machines())
        mine = (machine for machine in machines if machine.tags.get(KEY_TAG) == key)
        return next(mine, next((machine for machine in machines if machine.name.lower() == name.lower()), None))

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
        return self._stopped(self._work.finish(replace(created, done=False, handle=str(idle))))

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
            ConflictError: it is being deleted.

        """
        if not self._recipe.request_key or found.tags.get(KEY_TAG) != self._recipe.request_key:
            raise NameTakenError(
                f"There is a VM {found.name} in the resource group of environment {self._recipe.site.name!r} already. "
                "It was left as it is: choose another name.",
                backend=BackendReply("Azure", CREATE),
            )
        if found.tags.get(DIGEST_TAG) != self._recipe.spec.request_digest:
            raise key_reused(found.name)
        if found.provisioning == "Deleting":
            raise ConflictError(
                f"VM {found.name}, which this Idempotency-Key has made, is being deleted: use a new key."
            )
        ready = Operation(Verb.CREATE, found.name, str(Step(CREATE)))
        if self._recipe.spec.start or _age_seconds(found) > RETRY_SECONDS:
            return ready
        return self._completed(ready)

    def _submitted(self) -> Answer:
        """Azure's answer; if it gets lost, see that the VM is not left behind.

        With an idempotency key it is left: the caller's next try finds it.
        """
        try:
            answer = self._put()
            answer.object()
        except _FAILURES as error:
            failure = error if isinstance(error, ProviderError) else translate(error)
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
            return "No VM was made."
        self._removal.promise()
        return "The VM that was made is removed again."


def _is_odd(failure: ProviderError) -> bool:
    """Whether an answer with a good status was not Azure's: the request may have reached Azure."""
    return failure.backend is not None and failure.backend.status is not None and failure.backend.status < 300


def _may_be_taken(error: HttpResponseError) -> bool:
    """Whether somebody else was faster: `If-None-Match` fails, or the other's work is under way."""
    return error.status_code == 412 or (error.status_code == 409 and "Conflict" in refusal_of(error).code)


def _age_seconds(machine: Machine) -> float:
    return (datetime.now(UTC) - machine.made_at).total_seconds() if machine.made_at else 0.0
