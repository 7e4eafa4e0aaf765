"""What tasks do: create, change, delete VMs and move their power, in the same way for all three APIs."""

import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from providers.sandbox.nutanix.accounts import Caller
from providers.sandbox.nutanix.estate import Estate
from providers.sandbox.nutanix.hardware import Hardware
from providers.sandbox.nutanix.machines import DiskSpec, Machine, MachineSpec, NicSpec, Power
from providers.sandbox.nutanix.power import PowerStates
from providers.sandbox.nutanix.refusals import TaskFailure, Trouble, invalid_state, missing
from providers.sandbox.nutanix.tasks import Operation, Task, Work

# How often a task looks whether a guest has ended.
LOOK_SECONDS = 0.02

Check = Callable[[], None]


def no_check() -> None:
    """Whatever the VM has become, go on."""


@dataclass(frozen=True)
class Change:
    """What is to become of a VM: fields of its spec, its parts (kept by uuid, or new), then its power."""

    fields: Mapping[str, Any] = field(default_factory=dict)
    disks: tuple[DiskSpec | str, ...] | None = None
    sizes: Mapping[str, int] = field(default_factory=dict)
    nics: tuple[NicSpec | str, ...] | None = None
    power: Operation | None = None


class Works:
    """Submits tasks."""

    def __init__(self, estate: Estate) -> None:
        self._estate = estate
        self.hardware = Hardware(estate)
        self.power = PowerStates(estate)

    def create(self, caller: Caller, spec: MachineSpec, *, power_on: bool = False) -> Task:
        """Make a VM; its uuid is the task's subject from the start."""
        subject = str(uuid.uuid4())
        return self._estate.submit(
            Operation.CREATE, subject, spec.cluster, caller, lambda: self._creating(subject, spec, power_on=power_on)
        )

    def clone(self, caller: Caller, machine: Machine) -> Task:
        """Make a copy of a VM, with its description."""
        subject, spec = str(uuid.uuid4()), machine.spec
        return self._estate.submit(
            Operation.CLONE,
            subject,
            spec.cluster,
            caller,
            lambda: self._creating(subject, spec, power_on=False, source=machine.uuid),
        )

    def update(self, caller: Caller, machine: Machine, change: Change, check: Check = no_check) -> Task:
        """Change a VM."""
        return self._submit(Operation.UPDATE, caller, machine, lambda: self._updating(machine, change, check))

    def delete(self, caller: Caller, machine: Machine, check: Check = no_check) -> Task:
        """Delete a VM, which may be running."""
        return self._submit(Operation.DELETE, caller, machine, lambda: self._deleting(machine, check))

    def forget(self, caller: Caller, subject: str) -> Task:
        """Delete what a v3 create has left or is about to make."""
        return self._estate.submit(Operation.DELETE, subject, "", caller, lambda: self._forgetting(subject))

    def switch(
        self,
        caller: Caller,
        machine: Machine,
        operation: Operation,
        check: Check = no_check,
        host: str | None = None,
    ) -> Task:
        """Move a VM's power."""
        return self._submit(operation, caller, machine, lambda: self._switching(machine, operation, check, host))

    def _submit(self, operation: Operation, caller: Caller, machine: Machine, work: Callable[[], Work]) -> Task:
        return self._estate.submit(operation, machine.uuid, machine.cluster, caller, work)

    def _creating(self, subject: str, spec: MachineSpec, *, power_on: bool, source: str | None = None) -> Work:
        yield self._estate.knobs.task_seconds
        if any(disk.source for disk in spec.disks):
            self._fail("clone")
        machine = self.hardware.build(subject, spec)
        machine.source = source
        planned = self._estate.tasks.take_failure("create")
        if planned is None or planned.work_done:
            self._estate.machines[subject] = machine
        if planned is not None:
            raise TaskFailure(planned.trouble)
        if power_on:
            yield from self._switching(machine, Operation.ON, no_check, None)

    def _updating(self, machine: Machine, change: Change, check: Check) -> Work:
        yield self._estate.knobs.task_seconds
        self._miss(machine)
        check()
        self._fail("update")
        self._apply(machine, change)
        if change.power is Operation.SHUTDOWN:
            yield from self._shutting_down(machine)
        elif change.power is not None:
            yield from self._switching(machine, change.power, no_check, None)

    def _apply(self, machine: Machine, change: Change) -> None:
        spec = replace(machine.spec, **change.fields)
        if machine.power is not Power.OFF and _shrinks(machine.spec, spec):
            raise invalid_state(machine.power.value)
        machine.spec = spec
        if change.disks is not None:
            self._replace_disks(machine, change.disks)
        for disk in machine.disks:
            disk.size_bytes = change.sizes.get(disk.uuid, disk.size_bytes)
        if change.nics is not None:
            kept = {nic.uuid: nic for nic in machine.nics}
            machine.nics = [
                kept[nic] if isinstance(nic, str) else self.hardware.make_nic(nic, machine.cluster)
                for nic in change.nics
            ]
        machine.changed()

    def _replace_disks(self, machine: Machine, disks: tuple[DiskSpec | str, ...]) -> None:
        before = {disk.uuid: disk for disk in machine.disks}
        machine.disks = [before[disk] for disk in disks if isinstance(disk, str)]
        self.hardware.release(disk for disk in before.values() if disk not in machine.disks)
        for disk in disks:
            if isinstance(disk, DiskSpec):
                machine.disks.append(self.hardware.make_disk(disk, machine.cluster, machine.disks))

    def _deleting(self, machine: Machine, check: Check) -> Work:
        self._miss(machine)
        check()
        yield self._estate.knobs.task_seconds
        self._fail("delete")
        self.power.put(machine, Power.OFF)
        self.hardware.release(machine.disks)
        del self._estate.machines[machine.uuid]
        self._estate.intents.pop(machine.uuid, None)

    def _forgetting(self, subject: str) -> Work:
        machine = self._estate.machines.get(subject)
        if machine is not None:
            yield from self._deleting(machine, no_check)
        else:
            yield self._estate.knobs.task_seconds
        self._estate.intents.pop(subject, None)

    def _switching(self, machine: Machine, operation: Operation, check: Check, host: str | None) -> Work:
        self._miss(machine)
        check()
        if not self.power.begin(machine, operation):
            return
        yield self._estate.knobs.task_seconds
        try:
            self._fail("power")
            self.power.finish(machine, operation, host)
        finally:
            machine.moving = None

    def _shutting_down(self, machine: Machine) -> Work:
        """Press the button, and wait for the guest, as v3 does."""
        yield from self._switching(machine, Operation.SHUTDOWN, no_check, None)
        waited = 0.0
        while machine.power is not Power.OFF:
            if waited >= self._estate.knobs.acpi_wait_seconds:
                detail = f"Timed out waiting for VM {machine.uuid} to shut down."
                raise TaskFailure(Trouble(detail, 9, group="OPERATION_TIME_OUT_ERROR"))
            yield LOOK_SECONDS
            waited += LOOK_SECONDS

    def _fail(self, step: str) -> None:
        planned = self._estate.tasks.take_failure(step)
        if planned is not None:
            raise TaskFailure(planned.trouble)

    def _miss(self, machine: Machine) -> None:
        if machine.uuid not in self._estate.machines:
            raise missing("vm", machine.uuid)


def _shrinks(before: MachineSpec, after: MachineSpec) -> bool:
    """Whether a running VM would lose CPUs or memory, which it cannot."""
    shape = ("sockets", "cores", "threads", "memory_bytes")
    fixed = ("cores", "threads")
    return any(getattr(after, name) < getattr(before, name) for name in shape) or any(
        getattr(after, name) != getattr(before, name) for name in fixed
    )
