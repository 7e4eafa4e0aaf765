"""Power: which transition is allowed in which state, and what it does to VM and guest."""

from collections.abc import Mapping

from providers.sandbox.nutanix.estate import Estate
from providers.sandbox.nutanix.machines import Machine, Power
from providers.sandbox.nutanix.refusals import TaskFailure, Trouble, invalid_state, no_host_resources
from providers.sandbox.nutanix.tasks import Operation

RUNNING = frozenset({Power.ON})
ALLOWED: Mapping[Operation, frozenset[Power]] = {
    Operation.ON: frozenset({Power.OFF}),
    Operation.OFF: frozenset({Power.ON, Power.PAUSED, Power.SUSPENDED}),
    Operation.SHUTDOWN: RUNNING,
    Operation.GUEST_SHUTDOWN: RUNNING,
    Operation.REBOOT: RUNNING,
    Operation.GUEST_REBOOT: RUNNING,
    Operation.RESET: RUNNING,
    Operation.POWER_CYCLE: RUNNING,
    Operation.PAUSE: RUNNING,
    Operation.SUSPEND: RUNNING,
    Operation.RESUME: frozenset({Power.PAUSED, Power.SUSPENDED}),
}
# The state that a transition leads to, where it leads to one at once.
RESULT: Mapping[Operation, Power] = {
    Operation.ON: Power.ON,
    Operation.OFF: Power.OFF,
    Operation.PAUSE: Power.PAUSED,
    Operation.SUSPEND: Power.SUSPENDED,
    Operation.RESUME: Power.ON,
}
# How v2.0 calls a VM while a transition is under way.
MOVING: Mapping[Operation, str] = {
    Operation.ON: "powering_on",
    Operation.OFF: "powering_off",
    Operation.RESET: "resetting",
    Operation.PAUSE: "pausing",
    Operation.SUSPEND: "suspending",
    Operation.RESUME: "resuming",
}
ASKS_TOOLS = frozenset({Operation.GUEST_SHUTDOWN, Operation.GUEST_REBOOT})
ENDS_GUEST = frozenset({Operation.SHUTDOWN, Operation.GUEST_SHUTDOWN})
REBOOTS_GUEST = frozenset({Operation.REBOOT, Operation.GUEST_REBOOT})
RESTARTS = frozenset({Operation.RESET, Operation.POWER_CYCLE})
# Those that hold a host's memory.
ON_A_HOST = frozenset({Power.ON, Power.PAUSED})


class PowerStates:
    """Carries out transitions."""

    def __init__(self, estate: Estate) -> None:
        self._estate = estate

    def begin(self, machine: Machine, operation: Operation) -> bool:
        """Whether there is something to do; raises `TaskFailure` for what the state does not allow."""
        if self._estate.knobs.power_is_idempotent and RESULT.get(operation) is machine.power:
            return False
        if machine.power not in ALLOWED[operation]:
            raise invalid_state(machine.power.value)
        if operation in ASKS_TOOLS and not machine.guest.has_tools:
            detail = f"Nutanix Guest Tools are not installed on VM {machine.uuid}"
            raise TaskFailure(Trouble(detail, 8, "VMM-30206", "VM_GUEST_TOOLS_NOT_INSTALLED"))
        machine.moving = MOVING.get(operation)
        return True

    def finish(self, machine: Machine, operation: Operation, host: str | None = None) -> None:
        """Do it; what the guest does follows in its own time."""
        machine.moving = None
        if operation in RESULT:
            self.put(machine, RESULT[operation], host)
        elif operation in RESTARTS:
            machine.boots += 1
        elif machine.guest.heeds_acpi or operation in ASKS_TOOLS:
            self._ask_guest(machine, operation)
        machine.changed()

    def put(self, machine: Machine, power: Power, host: str | None = None) -> None:
        """Have a VM in a state, on a host if it runs."""
        if power is machine.power:
            return
        if power is Power.ON and machine.power is Power.OFF:
            machine.boots += 1
        self._account_for_memory(machine, power)
        machine.power = power
        if power not in ON_A_HOST:
            machine.host = None
        elif machine.host is None:
            machine.host = host or self._best_host(machine)

    def _ask_guest(self, machine: Machine, operation: Operation) -> None:
        boots = machine.boots

        def end() -> None:
            # A guest that was powered off or restarted meanwhile has forgotten.
            if machine.power is Power.ON and machine.boots == boots:
                self._end_guest(machine, operation)

        self._estate.tasks.later(self._estate.knobs.guest_seconds, end)

    def _end_guest(self, machine: Machine, operation: Operation) -> None:
        if operation in ENDS_GUEST:
            self.put(machine, Power.OFF)
        else:
            machine.boots += 1
        machine.changed()

    def _account_for_memory(self, machine: Machine, power: Power) -> None:
        knobs, held = self._estate.knobs, machine.power in ON_A_HOST
        if knobs.free_memory_bytes is None or held == (power in ON_A_HOST):
            return
        needed = -machine.spec.memory_bytes if held else machine.spec.memory_bytes
        if needed > knobs.free_memory_bytes:
            raise no_host_resources()
        knobs.free_memory_bytes -= needed

    def _best_host(self, machine: Machine) -> str:
        hosts = [host.uuid for host in self._estate.inventory.hosts_of(machine.cluster)]
        return hosts[int(machine.uuid[-4:], 16) % len(hosts)]
