"""AWS: what the verbs mean on EC2."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import ClassVar, Final, Self

from botocore.exceptions import ClientError

from providers.aws.client import AwsClient, Launch, region_of
from providers.aws.failures import VENDOR_ERRORS, answer_lost, code_of, translate
from providers.aws.instances import Instance
from providers.aws.isolation import split_secret
from providers.aws.launch import (
    DISCARDED_TAG,
    MOST_DISCARDED,
    NAME_TAG,
    REQUEST_TAG,
    check,
    is_marked,
    launch_of,
    shown_tags,
    tokens,
    was_discarded,
)
from providers.aws.progress import SETTLING_SECONDS, Goal, judged
from providers.credentials import Credentials
from providers.domain import VM, Environment, LeftoverResource, Manner, Operation, Verb, VMSpec, VMStatus
from providers.driver import Driver, Work
from providers.errors import BackendReply, ConflictError, ProviderError, VMNotFoundError, key_reused
from providers.network import Network

# https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ec2-instance-lifecycle.html; `terminated` is no VM any more.
STATUSES: Final[Mapping[str, VMStatus]] = {
    "pending": VMStatus.STARTING,
    "running": VMStatus.RUNNING,
    "stopping": VMStatus.STOPPING,
    "stopped": VMStatus.STOPPED,
    "shutting-down": VMStatus.DELETING,
}

# How long to look for an instance whose making was not answered; EC2 may not show it at once.
SEARCH_SECONDS = 6.0

_FAILURES: Final[tuple[type[Exception], ...]] = (ProviderError, *VENDOR_ERRORS)

# No states of EC2's: what a failed create has made is to be terminated (and marked), as soon as EC2 knows it.
_DISCARDED, _MARKED = _DISCARDS = ("discarded", "marked")
# A value of the tag that marks nothing. To take the tag away would need another permission.
_NO_MARK: Final = "no"
_GOING: Final = frozenset({"shutting-down", "terminated"})
_TERMINATED: Final = "IdempotentInstanceTerminated"

_logger = logging.getLogger("cloudvm.gateway")


class AwsDriver(Driver):
    """EC2 in one region; with a `vpc_id`, only what is in that VPC."""

    vendor_errors: ClassVar[tuple[type[Exception], ...]] = VENDOR_ERRORS

    def __init__(self, environment: Environment, client: AwsClient) -> None:
        self._environment = environment
        self._client = client

    @classmethod
    def check_create(cls, environment: Environment, spec: VMSpec) -> None:
        """See `Driver`."""
        check(environment, spec)

    @classmethod
    def check_credentials_form(cls, credentials: Credentials) -> None:
        """See `Driver`. A temporary key needs its session token."""
        split_secret(credentials)

    @classmethod
    def login_authority(cls, environment: Environment) -> str:
        """See `Driver`. A region that the account has not enabled refuses keys that are right in others.

        https://docs.aws.amazon.com/accounts/latest/reference/manage-acct-regions.html
        """
        return f"{super().login_authority(environment)} {region_of(environment)}"

    @classmethod
    def open(cls, environment: Environment, credentials: Credentials, network: Network) -> Self:
        """See `Driver`. EC2 has no log-in: every call is signed."""
        return cls(environment, AwsClient.open(environment, credentials, network))

    @classmethod
    def translate(cls, error: Exception) -> ProviderError:
        """See `Driver`."""
        return translate(error)

    def list_vms(self) -> Iterator[VM]:
        """See `Driver`. One call for each thousand."""
        return map(_vm, self._client.list_instances(self._environment.vpc_id))

    def get_vm(self, vm_id: str) -> VM:
        """See `Driver`."""
        return _vm(self._find(vm_id))

    def create_vm(self, spec: VMSpec, work: Work) -> Operation:
        """See `Driver`."""
        root = self._client.root_disk(spec.offer.image) if spec.os.disk_gib else None
        launch, is_keyed = launch_of(self._environment, spec, root), spec.idempotency is not None
        instance = self._run_again(launch, work) if is_keyed else self._run(launch, work, repeatable=False)
        if instance.state == "pending":
            self._made(instance.id, work, marked=is_keyed)
        created = Operation(Verb.CREATE, instance.id, str(Goal.now("running")), vm=_vm(instance))
        if spec.start:
            return judged(created, instance, _vm(instance))
        if instance.state == "stopped" or instance.was_started_again:
            return replace(created, done=True)
        work.finish(created)
        self._client.stop(instance.id, force=False)
        return Operation(Verb.CREATE, instance.id, str(Goal.now("stopped")))

    def start_vm(self, vm_id: str, work: Work) -> Operation:  # noqa: ARG002 # one step
        """See `Driver`."""
        return self._towards("running", Verb.START, self._find(vm_id), "pending", self._client.start)

    def stop_vm(self, vm_id: str, work: Work, manner: Manner) -> Operation:  # noqa: ARG002 # one step
        """See `Driver`. EC2 itself cuts the power of a guest that does not obey, after some minutes."""
        under_way = "" if manner.forced else "stopping"
        return self._towards(
            "stopped",
            Verb.STOP,
            self._find(vm_id),
            under_way,
            lambda found: self._client.stop(found, force=manner.forced),
        )

    def restart_vm(self, vm_id: str, work: Work, manner: Manner) -> Operation:
        """See `Driver`. EC2 does not tell when a guest has rebooted, so that is done once it is accepted."""
        instance = self._find(vm_id)
        if instance.state != "running":
            raise ConflictError(f"VM {vm_id} is {instance.state}; only one that is running can be restarted.")
        if not manner.forced:
            self._client.reboot(vm_id)
            return Operation(Verb.RESTART, vm_id, done=True)
        self._client.stop(vm_id, force=True)
        work.finish(Operation(Verb.STOP, vm_id, str(Goal.now("stopped"))))
        self._client.start(vm_id)
        return Operation(Verb.RESTART, vm_id, str(Goal.now("running")))

    def delete_vm(self, vm_id: str, work: Work) -> Operation:  # noqa: ARG002 # one step
        """See `Driver`. Disk and interface go with the instance."""
        return self._towards("terminated", Verb.DELETE, self._find(vm_id), "shutting-down", self._client.terminate)

    def poll(self, operation: Operation) -> Operation:
        """See `Driver`."""
        if operation.vm_id is None:
            return self._search(operation)
        if Goal.read(operation.handle).state in _DISCARDS:
            return self._discard(operation, operation.vm_id)
        instance = self._look(operation.vm_id)
        return judged(operation, instance, _vm(instance) if instance else None)

    def promise_removal(self, operation: Operation, work: Work) -> None:
        """See `Driver`. EC2 terminates an instance that it cannot start. One that is there is in use."""
        vm_id = operation.vm_id
        if vm_id is not None:
            work.made("vm", vm_id, lambda: self._wait_until_gone(vm_id, work))

    def list_leftovers(self) -> Iterator[LeftoverResource]:
        """See `Driver`. One call. Everything else that a create makes goes with its instance."""
        for instance in self._client.list_instances(self._environment.vpc_id, DISCARDED_TAG):
            if instance.state not in _GOING and is_marked(instance):
                yield _leftover(instance)

    def remove_leftover(self, leftover: LeftoverResource, work: Work) -> None:
        """See `Driver`."""
        instance = self._find(leftover.id)
        if not is_marked(instance):
            raise ConflictError(f"VM {leftover.id} is not marked as given up any more, and was not removed.")
        work.finish(self.delete_vm(leftover.id, work))

    def close(self) -> None:
        """See `Driver`."""
        self._client.close()

    def _find(self, vm_id: str) -> Instance:
        """The instance, if it is a VM of the environment."""
        instance = self._client.instance(vm_id)
        vpc_id = self._environment.vpc_id
        if instance.state == "terminated" or (vpc_id and instance.vpc_id != vpc_id):
            raise VMNotFoundError(f"There is no VM {vm_id} in environment {self._environment.name!r}.")
        return instance

    def _look(self, vm_id: str) -> Instance | None:
        try:
            return self._client.instance(vm_id)
        except VENDOR_ERRORS as error:
            if _is_unknown(error):
                return None
            raise

    def _towards(
        self, state: str, verb: Verb, instance: Instance, under_way: str, submit: Callable[[str], None]
    ) -> Operation:
        """Bring an instance to a state, unless it is there, or is `under_way` already."""
        operation = Operation(verb, instance.id, str(Goal.now(state)), vm=_vm(instance))
        if instance.state == state:
            return replace(operation, done=True)
        if instance.state != under_way:
            submit(instance.id)
        return replace(operation, vm=None)

    def _run_again(self, launch: Launch, work: Work) -> Instance:
        """Make the instance of a request with a key, or find that of an earlier try.

        Goes past those that earlier tries gave up. Retries that run at once get the same instance, as the tokens follow
        from the key.
        """
        for token in tokens(launch):
            try:
                instance = self._run(replace(launch, token=token), work, repeatable=True)
            except ClientError as error:
                found = self._client.instance_of_token(token) if code_of(error) == _TERMINATED else None
                if found is None or not was_discarded(found):
                    raise
                instance = found
            if not was_discarded(instance):
                return instance
            if instance.tags.get(REQUEST_TAG, launch.tags[REQUEST_TAG]) != launch.tags[REQUEST_TAG]:
                raise key_reused(instance.id)
            if instance.state not in _GOING:
                # The process that gave it up ended before it could terminate it.
                self._client.terminate(instance.id)
        raise ConflictError(
            f"{MOST_DISCARDED + 1} VMs that were made with this Idempotency-Key have failed: use a new key.",
            backend=BackendReply("Aws", "RunInstances"),
        )

    def _run(self, launch: Launch, work: Work, *, repeatable: bool) -> Instance:
        """Make the instance; if the answer gets lost, see that it is not left behind.

        With an idempotency key it is left: the caller's next try finds it.
        """
        try:
            return self._client.run(launch)
        except _FAILURES as error:
            failure = error if isinstance(error, ProviderError) else translate(error)
            if not answer_lost(error, failure):
                raise
            advice = _REPEAT if repeatable else self._search_lost(launch.token, work)
            raise type(failure)(f"{failure.detail} {advice}", backend=failure.backend) from error

    def _search_lost(self, token: str, work: Work) -> str:
        """Look for an instance whose making was not answered, so that it is removed; what to tell the caller."""
        searched = Operation(Verb.CREATE, None, str(Goal.now(token)))
        try:
            found = work.finish(searched).vm_id
        except _FAILURES:
            # Removing has time of its own, and may find what could not be found in time.
            work.made("client token", token, lambda: self._remove_lost(token, work))
            return "A VM may have been made: look for the client token in `leftovers` before you try again."
        if found is None:
            return "No VM was found that it made."
        self._made(found, work, marked=False)
        return "The VM that it made is in `leftovers`, which say whether it could be removed."

    def _remove_lost(self, token: str, work: Work) -> None:
        """Look once more for an instance whose making was not answered, and delete it."""
        found = work.finish(Operation(Verb.CREATE, None, str(Goal.now(token)))).vm_id
        if found is not None:
            self._remove(found, Goal.now(_DISCARDED), work)

    def _search(self, operation: Operation) -> Operation:
        """Look for the instance of a client token, for a short time; done without an id if there is none."""
        goal = Goal.read(operation.handle)
        found = self._client.instance_of_token(goal.state)
        if found:
            return replace(operation, vm_id=found.id, done=True)
        return replace(operation, done=goal.age_seconds > SEARCH_SECONDS)

    def _made(self, vm_id: str, work: Work, *, marked: bool) -> None:
        """Tell the gateway of an instance that this create has made; `marked`: a retry may look for it."""
        discarded = Goal.now(_MARKED if marked else _DISCARDED)
        work.made("vm", vm_id, lambda: self._remove(vm_id, discarded, work))

    def _wait_until_gone(self, vm_id: str, work: Work) -> None:
        """Wait for the end of an instance that is being terminated.

        Raises:
            ConflictError: it is not.

        """
        instance = self._look(vm_id)
        if instance is not None and instance.state not in _GOING:
            raise _in_use(instance)
        if instance is not None:
            work.finish(Operation(Verb.DELETE, vm_id, str(Goal.now("terminated"))))

    def _remove(self, vm_id: str, discarded: Goal, work: Work) -> None:
        """Delete an instance that was made just now, and wait until it is gone."""
        work.finish(self._discard(Operation(Verb.DELETE, vm_id, str(discarded)), vm_id))

    def _discard(self, operation: Operation, vm_id: str) -> Operation:
        """Terminate an instance that may be too new for EC2 to know it; not found does not mean that it is gone.

        https://docs.aws.amazon.com/ec2/latest/devguide/eventual-consistency.html
        """
        goal = Goal.read(operation.handle)
        try:
            state = self._mark(vm_id) if goal.state == _MARKED else ""
            if state not in _GOING:
                self._client.terminate(vm_id)
        except VENDOR_ERRORS as error:
            if _is_unknown(error) and goal.age_seconds < SETTLING_SECONDS:
                return operation
            raise
        return replace(operation, handle=str(Goal.now("terminated")), done=state == "terminated")

    def _mark(self, vm_id: str) -> str:
        """Mark an instance as given up, unless it goes already: somebody else may have deleted it. Return its state.

        Raises:
            ConflictError: it was stopped. Another try with the same key has done that, and may have answered with it.

        """
        state = self._unused_state(vm_id)
        if state in _GOING:
            return state
        try:
            self._client.tag(vm_id, DISCARDED_TAG, vm_id)
        except ClientError as error:
            if _is_unknown(error):
                raise
            # Without the mark it still must go. A retry is then refused.
            _logger.warning("VM %s was not marked as given up: %s", vm_id, translate(error).detail)
        try:
            # A try that begins from now on sees the mark. One that began earlier may have just finished.
            return self._unused_state(vm_id)
        except ConflictError:
            self._client.tag(vm_id, DISCARDED_TAG, _NO_MARK)
            raise

    def _unused_state(self, vm_id: str) -> str:
        instance = self._client.instance(vm_id)
        if instance.state in {"stopping", "stopped"} or instance.was_started_again:
            raise _in_use(instance)
        return instance.state


_REPEAT = "Repeat the request with the same Idempotency-Key: if the VM was made, it is returned."


def _is_unknown(error: Exception) -> bool:
    return code_of(error) == "InvalidInstanceID.NotFound"


def _in_use(instance: Instance) -> ConflictError:
    return ConflictError(
        f"VM {instance.id} is {instance.state} and stays: another request has finished it, or somebody uses it.",
        backend=BackendReply("Aws", "TerminateInstances"),
    )


def _leftover(instance: Instance) -> LeftoverResource:
    detail = f"Its create failed and gave it up ({DISCARDED_TAG}). It is {instance.state}."
    return LeftoverResource("vm", instance.id, instance.tags.get(NAME_TAG, ""), instance.made_at, detail)


def _vm(instance: Instance) -> VM:
    return VM(
        id=instance.id,
        name=instance.tags.get(NAME_TAG, ""),
        status=STATUSES.get(instance.state, VMStatus.UNKNOWN),
        provider_status=instance.state,
        instance_type=instance.instance_type or None,
        cpus=instance.cpus,
        ip_addresses=instance.addresses,
        created_at=instance.made_at,
        tags=shown_tags(instance.tags),
    )
