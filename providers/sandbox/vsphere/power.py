"""PowerOnVM_Task, PowerOffVM_Task, ResetVM_Task, SuspendVM_Task, ShutdownGuest and RebootGuest.

https://developer.broadcom.com/xapis/vsphere-web-services-api/latest/vim.VirtualMachine.html
"""

from collections.abc import Callable
from typing import Any

from providers.sandbox.vsphere.calls import Call
from providers.sandbox.vsphere.machines import Connection, Machine, Power
from providers.sandbox.vsphere.refusals import invalid_power_state, refusal
from providers.sandbox.vsphere.tasks import Work


def power_on(call: Call) -> Any:
    """PowerOnVM_Task: also resumes a VM that is suspended."""
    machine = call.node(Machine)

    def check() -> None:
        _refuse_template(machine)
        _refuse_state(machine, {Power.OFF, Power.SUSPENDED}, Power.ON)
        for disk in machine.disks:
            if disk.file is None:
                raise refusal("FileNotFound", file=disk.file_name)

    def act() -> None:
        if machine.power is Power.SUSPENDED:
            machine.power = Power.ON
        else:
            machine.power_on(call.world.knobs.boot_seconds)

    return _fork(call, machine, "PowerOn", check, act)


def power_off(call: Call) -> Any:
    """PowerOffVM_Task: cuts the power; also of a VM that is suspended."""
    machine = call.node(Machine)

    def check() -> None:
        _refuse_template(machine)
        _refuse_state(machine, {Power.ON, Power.SUSPENDED}, Power.OFF)

    return _fork(call, machine, "PowerOff", check, machine.power_off)


def reset(call: Call) -> Any:
    """ResetVM_Task."""
    machine = call.node(Machine)

    def check() -> None:
        _refuse_template(machine)
        _refuse_state(machine, {Power.ON}, Power.ON)

    return _fork(call, machine, "Reset", check, lambda: machine.power_on(call.world.knobs.boot_seconds))


def suspend(call: Call) -> Any:
    """SuspendVM_Task."""
    machine = call.node(Machine)

    def check() -> None:
        _refuse_template(machine)
        _refuse_state(machine, {Power.ON}, Power.SUSPENDED)

    def act() -> None:
        machine.power = Power.SUSPENDED

    return _fork(call, machine, "Suspend", check, act)


def shut_guest_down(call: Call) -> None:
    """ShutdownGuest: asks the tools, and returns; there is no task."""
    machine = _asked(call, "PowerOff", Power.OFF)
    boots = machine.boots

    def end() -> None:
        if machine.guest.heeds_shutdown and machine.power is Power.ON and machine.boots == boots:
            machine.power_off()

    call.world.tasks.later(_shutdown_seconds(call), end)


def reboot_guest(call: Call) -> None:
    """RebootGuest: asks the tools, and returns; the VM stays powered on."""
    machine = _asked(call, "Reset", Power.ON)
    boots = machine.boots

    def end() -> None:
        if machine.guest.heeds_shutdown and machine.power is Power.ON and machine.boots == boots:
            machine.power_on(call.world.knobs.boot_seconds)

    call.world.tasks.later(_shutdown_seconds(call), end)


def _asked(call: Call, privilege: str, wanted: Power) -> Machine:
    """The VM whose guest is asked, after all that may be refused."""
    machine = call.node(Machine)
    call.check(machine, f"VirtualMachine.Interact.{privilege}")
    _refuse_template(machine)
    holder = call.world.tasks.holder(machine)
    if holder is not None:
        raise refusal("TaskInProgress", task=holder.ref)
    _refuse_state(machine, {Power.ON}, wanted)
    if not machine.tools_run:
        raise refusal("ToolsUnavailable")
    return machine


def _fork(call: Call, machine: Machine, privilege: str, check: Callable[[], None], act: Callable[[], None]) -> Any:
    call.check(machine, f"VirtualMachine.Interact.{privilege}")

    def work() -> Work:
        yield call.world.knobs.task_seconds
        act()

    return call.fork(machine, work(), check=check, busy=(machine,))


def _refuse_template(machine: Machine) -> None:
    if machine.is_template:
        raise refusal("NotSupported")


def _refuse_state(machine: Machine, allowed: set[Power], wanted: Power) -> None:
    if machine.connection is not Connection.CONNECTED:
        raise refusal("InvalidState")
    if machine.power not in allowed:
        raise invalid_power_state(machine.power.value, wanted.value)


def _shutdown_seconds(call: Call) -> float:
    knobs = call.world.knobs
    return knobs.task_seconds if knobs.shutdown_seconds is None else knobs.shutdown_seconds
