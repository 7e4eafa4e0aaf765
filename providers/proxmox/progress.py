"""How a piece of work on a VM stands, judged by its task and, where a task tells only half, by the VM."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from types import MappingProxyType
from typing import Final

from proxmoxer.core import ResourceException

from providers.domain import VM, Operation, Verb
from providers.errors import BackendReply, VMNotFoundError
from providers.proxmox.client import Options, ProxmoxClient, node_of_task, type_of_task
from providers.proxmox.codes import ALREADY_RUNNING, GUEST_SILENT, MISSING, VM_IN_USE
from providers.proxmox.failures import task_failure, text_of
from providers.proxmox.naming import Place
from providers.proxmox.records import State

# Where each action is to bring a VM, in QEMU's words.
GOALS: Final[Mapping[str, str]] = {
    "start": "running",
    "resume": "running",
    "reset": "running",
    "reboot": "running",
    "stop": "stopped",
    "shutdown": "stopped",
}
_POWER: Final = "POST /nodes/{node}/qemu/{vmid}/status/"
# There is a process, and it waits to be let run: QEMU leaves a VM that was paused when it was reset in `prelaunch`, and
# so does a backup one that it has started. A VM that is being started by PVE keeps others waiting for its lock.
HALTED: Final = frozenset({"paused", "suspended", "prelaunch"})
SETTLE: Final = "settle"
APPEAR: Final = "appear"
END: Final = "end"
VANISH: Final = "vanish"
# The locks of a VM that is being made, or about to be gone: its configuration holds nothing else then.
IN_TRANSIT: Final = frozenset({"create", "clone", "destroyed"})
# The most that the pause before one poll counts as time in which the backend could be seen. A longer pause is an
# outage: nothing that was asked for before it can have been looked for meanwhile.
LONGEST_PAUSE_SECONDS: Final = 2.0


@dataclass(frozen=True)
class Step:
    """One task, and how it was asked for, so that it can be asked for again on another node.

    `Operation.handle` is its text: the next look may be another process's. `is_checked` tells that the VM was looked at
    just before, and is no template: where the task has done the work itself, no look at its state has to follow.
    `wait_seconds` is how long something may still take to appear, as of the poll at `seen_at` (Unix time).
    """

    operation: str
    upid: str = ""
    node: str = ""
    options: Options = field(default_factory=lambda: MappingProxyType({}))
    creation: str = ""
    is_checked: bool = False
    wait_seconds: float = 0.0
    seen_at: float = 0.0

    @classmethod
    def power(cls, action: str, upid: str, options: Options, creation: str = "", *, is_checked: bool = False) -> Step:
        """The step of starting, stopping and so on; `creation` is the mark of the create that it belongs to."""
        return cls(_POWER + action, upid, options=options, creation=creation, is_checked=is_checked)

    @classmethod
    def settle(cls, place: Place, appears_within: float = 0.0) -> Step:
        """Wait until a VM is neither being made nor removed. It may take `appears_within` seconds to be there."""
        return cls(SETTLE, node=place.node, wait_seconds=appears_within, seen_at=time.time())

    @classmethod
    def vanish(cls, place: Place, within: float) -> Step:
        """Wait until a VM that a failed create removes is gone, or has stayed for so many seconds."""
        return cls(VANISH, node=place.node, wait_seconds=within, seen_at=time.time())

    @classmethod
    def appear(cls, node: str, within: float) -> Step:
        """Wait until a volume is there, or has not come within so many seconds."""
        return cls(APPEAR, node=node, wait_seconds=within, seen_at=time.time())

    @classmethod
    def end(cls, upid: str) -> Step:
        """Wait until a task has ended, well or not."""
        return cls(END, upid)

    def waited(self) -> Step:
        """Return the step after a poll that found nothing. Time counts only while polls are answered."""
        now = time.time()
        passed = min(max(now - self.seen_at, 0.0), LONGEST_PAUSE_SECONDS)
        return replace(self, wait_seconds=max(self.wait_seconds - passed, 0.0), seen_at=now)

    @classmethod
    def read(cls, handle: str) -> Step:
        """The step in a handle."""
        return cls(**json.loads(handle))

    def __str__(self) -> str:
        return json.dumps({**asdict(replace(self, options={})), "options": dict(self.options)}, separators=(",", ":"))

    @property
    def action(self) -> str:
        """What is done to the VM's power; empty for other work."""
        return self.operation.removeprefix(_POWER) if self.operation.startswith(_POWER) else ""


class Progress:
    """Looks at work.

    The same step may be looked at many times: a caller who follows an operation always holds its first handle. What a
    look has done to go on with the work is therefore searched for before it is done.
    """

    def __init__(self, client: ProxmoxClient) -> None:
        self._client = client
        self._searches = {SETTLE: self._settled, APPEAR: self._appeared, VANISH: self._vanished}

    def look(self, operation: Operation) -> Operation:
        """The operation as one look shows it."""
        step = Step.read(operation.handle)
        if step.operation in self._searches:
            return self._searches[step.operation](operation, step)
        task = self._client.task(step.upid)
        if step.operation == END:
            return replace(operation, done=not task.is_running)
        if task.is_running:
            return operation
        if not task.succeeded:
            return self._failed(operation, step, task.exit_status)
        return self._arrived(operation, step) if step.action else replace(operation, done=True)

    def _settled(self, operation: Operation, step: Step) -> Operation:
        """Done when nobody makes or removes the VM any more, whether it is there then or not."""
        try:
            config = self._client.config(Place(step.node, operation.vm_id or ""))
        except ResourceException as error:
            if MISSING.search(text_of(error)):
                return _waited(operation, step)
            raise
        # What was there and goes does not come again.
        seen = replace(step, wait_seconds=0.0)
        return replace(operation, handle=str(seen), done=config.lock not in IN_TRANSIT)

    def _vanished(self, operation: Operation, step: Step) -> Operation:
        try:
            config = self._client.config(Place(step.node, operation.vm_id or ""))
        except ResourceException as error:
            if MISSING.search(text_of(error)):
                return replace(operation, done=True)
            raise
        # Its lock is all that is left of it near the end.
        if config.notes.is_abandoned or config.lock in IN_TRANSIT:
            return _waited(operation, step)
        return replace(operation, done=True)

    def _appeared(self, operation: Operation, step: Step) -> Operation:
        if self._client.has_volume(step.node, operation.vm_id or ""):
            return replace(operation, done=True)
        return _waited(operation, step)

    def _arrived(self, operation: Operation, step: Step) -> Operation:
        """The task ended well: but one that tells the HA manager, or waits for qmeventd, ends before the work does."""
        goes_on = type_of_task(step.upid).startswith("ha") or step.action == "reboot"
        if step.is_checked and not goes_on:
            return replace(operation, done=True)
        state = self._state(step, operation.vm_id or "")
        if state.is_template:
            return replace(operation, done=True, failure=not_found(operation.vm_id or "", step.operation))
        if step.action == "reset" and state.word in HALTED:
            return self._resumed(operation, step)
        done = state.word == GOALS[step.action] or not goes_on or self._is_undone(step, operation.vm_id or "")
        return replace(operation, done=done, vm=_in_state(operation.vm, state))

    def _is_undone(self, step: Step, vm_id: str) -> bool:
        """Whether somebody has started a VM since the HA manager was told to stop it, which is not to be forced now."""
        if GOALS[step.action] != "stopped":
            return False
        return self._client.later_task(Place(node_of_task(step.upid), vm_id), step.upid, "hastart") is not None

    def _state(self, step: Step, vm_id: str) -> State:
        """The VM's state, on the task's node, or on the one that it has moved to since."""
        try:
            return self._client.state(Place(node_of_task(step.upid), vm_id))
        except ResourceException as error:
            if not MISSING.search(text_of(error)):
                raise
        node = self._client.node_of(vm_id)
        if node is None:
            raise not_found(vm_id, step.operation)
        return self._client.state(Place(node, vm_id))

    def _failed(self, operation: Operation, step: Step, exit_status: str) -> Operation:
        vm_id = operation.vm_id or ""
        if step.action and MISSING.search(exit_status):
            return self._elsewhere(operation, step)
        if step.action == "start" and ALREADY_RUNNING.search(exit_status):
            return self._running_already(operation, step)
        if step.action == "reboot" and GUEST_SILENT.search(exit_status) and operation.then_force:
            return self._forced(operation, step)
        if step.action == "stop" and VM_IN_USE.search(exit_status):
            again = self._stopped_over_guest(operation, step)
            if again is not None:
                return again
        log = self._client.task_log(step.upid) if "QEMU exited" in exit_status else ()
        return replace(operation, done=True, failure=task_failure(step.operation, vm_id, exit_status, log))

    def _forced(self, operation: Operation, step: Step) -> Operation:
        """The guest did not reboot: the reset by which the gateway, whose time for it is over now, has forced it."""
        place = Place(node_of_task(step.upid), operation.vm_id or "")
        reset = self._client.later_task(place, step.upid, "qmreset")
        if reset is None:
            return operation
        handle = str(Step.power("reset", reset, {}))
        return self.look(replace(operation, handle=handle, guest_until=None, then_force=False))

    def _elsewhere(self, operation: Operation, step: Step) -> Operation:
        """The VM is not on the node that was asked: ask the one that it has moved to."""
        vm_id = operation.vm_id or ""
        node = self._client.node_of(vm_id)
        if node is None or node == node_of_task(step.upid):
            return replace(operation, done=True, failure=not_found(vm_id, step.operation))
        return self._asked_again(operation, step, Place(node, vm_id))

    def _asked_again(self, operation: Operation, step: Step, place: Place) -> Operation:
        """The step as it stands after it was asked for once more, by this look or by one before."""
        later = self._client.later_task(place, step.upid, type_of_task(step.upid))
        if later is not None:
            return self.look(replace(operation, handle=str(replace(step, upid=later))))
        upid = self._client.power(place, step.action, step.options)
        return replace(operation, handle=str(replace(step, upid=upid)))

    def _stopped_over_guest(self, operation: Operation, step: Step) -> Operation | None:
        """The stop that a shutdown has kept from the VM, which waits for the guest, asked for again without it.

        None where it was something else. Since 8.2 PVE does this itself (`overrule-shutdown`).
        """
        place = Place(node_of_task(step.upid), operation.vm_id or "")
        waiting = self._client.tasks_of_guests(place)
        for upid in waiting:
            self._client.stop_task(upid)
        if not waiting and self._client.later_task(place, step.upid, type_of_task(step.upid)) is None:
            return None
        return self._asked_again(operation, step, place)

    def _running_already(self, operation: Operation, step: Step) -> Operation:
        """A VM that is paused has a process, and does not run."""
        state = self._client.state(Place(node_of_task(step.upid), operation.vm_id or ""))
        if state.word not in HALTED:
            return replace(operation, done=True, vm=_in_state(operation.vm, state))
        return self._resumed(operation, step)

    def _resumed(self, operation: Operation, step: Step) -> Operation:
        """The step of letting a halted VM run, which PVE does not mind for one that runs by then."""
        upid = self._client.power(Place(node_of_task(step.upid), operation.vm_id or ""), "resume", {})
        return replace(operation, handle=str(Step.power("resume", upid, {}, step.creation)))


def _waited(operation: Operation, step: Step) -> Operation:
    step = step.waited()
    return replace(operation, handle=str(step), done=not step.wait_seconds)


def _in_state(vm: VM | None, state: State) -> VM | None:
    """What a create knows of its VM, with the state that it is in now."""
    return vm and replace(vm, status=state.status, provider_status=state.word)


def not_found(vm_id: str, operation: str) -> VMNotFoundError:
    """No VM of that id, or one that is a template."""
    return VMNotFoundError(
        f"There is no VM {vm_id} in this environment's Proxmox cluster, or it is not shown to this caller.",
        backend=BackendReply("Proxmox", operation),
    )


def task_operation(verb: Verb, vm_id: str, operation: str, upid: str) -> Operation:
    """The work of one task that leads to no state of a VM."""
    return Operation(verb, vm_id, str(Step(operation, upid)))
