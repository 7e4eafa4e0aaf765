"""Starting, stopping, restarting and deleting VMs."""

from collections.abc import Callable
from http import HTTPStatus

from werkzeug.wrappers import Response

from providers.sandbox.azure import access, ids
from providers.sandbox.azure.operations import Operation, Work
from providers.sandbox.azure.resources import VM, Cloud, Request
from providers.sandbox.azure.states import Accepted, begin, refuse_while_busy
from providers.sandbox.azure.wire import ArmError, InvalidParameterError, answer


class Lifecycle:
    """The verbs on a VM. Each answers 202, and is done when its operation has succeeded."""

    def __init__(self, cloud: Cloud, find: Callable[[Request], VM], equip: Callable[[VM], None]) -> None:
        self._cloud = cloud
        self._find = find
        self._equip = equip

    def start(self, request: Request) -> Accepted:
        """Start a VM, which gets what its creation has failed to make; one that runs stays as it is."""
        machine = self._idle(request, "start")

        def work(operation: Operation) -> Work:
            before = machine.power
            if machine.power != "running":
                machine.power = "starting"
            yield self._cloud.knobs.task_seconds
            if operation.planned is not None:
                machine.power = before
                return
            self._equip(machine)
            if machine.power != "running":
                machine.boots += 1
                self._cloud.note_power_change(machine)
            machine.power = "running"

        return Accepted(begin(self._cloud, machine, "VirtualMachines_Start", "Updating", work))

    def power_off(self, request: Request) -> Accepted:
        """Stop a VM, which stays where it is and is paid for; `skipShutdown` cuts its power."""
        machine, skip = self._idle(request, "powerOff"), _flag(request, "skipShutdown")
        _refuse_deallocated(machine, "powerOff")
        work = self._stopping(machine, "stopping", "stopped", asks=not skip)
        return Accepted(begin(self._cloud, machine, "VirtualMachines_PowerOff", "Updating", work))

    def deallocate(self, request: Request) -> Accepted:
        """Stop a VM and give its place back."""
        machine = self._idle(request, "deallocate")
        if _flag(request, "hibernate"):
            message = "The Hibernate-Deallocate Operation cannot be performed on a VM without hibernation enabled."
            raise ArmError(HTTPStatus.CONFLICT, "OperationNotAllowed", message)
        work = self._stopping(machine, "deallocating", "deallocated", asks=True)
        return Accepted(begin(self._cloud, machine, "VirtualMachines_Deallocate", "Updating", work))

    def restart(self, request: Request) -> Accepted:
        """Restart a VM; there is no power state of its own for that."""
        machine = self._idle(request, "restart")
        _refuse_deallocated(machine, "restart")

        def work(operation: Operation) -> Work:
            yield self._shutdown_seconds(machine, asks=machine.power == "running")
            if operation.planned is None:
                machine.power = "running"
                machine.boots += 1

        return Accepted(begin(self._cloud, machine, "VirtualMachines_Restart", "Updating", work))

    def delete(self, request: Request) -> Accepted | Response:
        """Delete a VM, and what of its network interfaces and disk is to go with it; 204 when there is none.

        It takes precedence over whatever runs on the VM.
        """
        _flag(request, "forceDeletion")
        machine = self._cloud.vms.get(request.key)
        if machine is None:
            return answer(None, HTTPStatus.NO_CONTENT)
        self._check_access(request, machine)
        running = self._cloud.operation_of(machine)
        if running is not None and machine.provisioning == "Deleting":
            return Accepted(running)
        if running is not None:
            self._cloud.operations.preempt(running)

        def work(operation: Operation) -> Work:
            yield self._cloud.knobs.task_seconds
            operation.fail_if_planned()
            self._cloud.remove_vm(machine)

        return Accepted(begin(self._cloud, machine, "VirtualMachines_Delete", "Deleting", work))

    def _check_access(self, request: Request, machine: VM) -> None:
        """What goes with a VM takes the right to delete it, too.

        Microsoft's documents do not say whether it does. A role that is enough here is enough there in either case.
        """
        for reference in machine.nics:
            if reference.delete_option == "Delete":
                access.check(request.caller, access.DELETE_NIC, self._cloud.id_of(ids.NIC, reference))
        disk = self._cloud.disks.get(machine.disk) if machine.disk else None
        if disk is not None and machine.os_disk["deleteOption"] == "Delete":
            access.check(request.caller, access.DELETE_DISK, self._cloud.id_of(ids.DISK, disk))

    def _idle(self, request: Request, verb: str) -> VM:
        machine = self._find(request)
        refuse_while_busy(self._cloud, machine, verb)
        return machine

    def _stopping(self, machine: VM, meanwhile: str, then: str, *, asks: bool) -> Callable[[Operation], Work]:
        def work(operation: Operation) -> Work:
            before = machine.power
            machine.power = meanwhile
            yield self._shutdown_seconds(machine, asks=asks and before == "running")
            machine.power = then if operation.planned is None else before
            if machine.power == "deallocated":
                self._cloud.note_power_change(machine)

        return work

    def _shutdown_seconds(self, machine: VM, *, asks: bool) -> float:
        """How long a guest takes: one that is deaf, until the power is cut."""
        knobs = self._cloud.knobs
        return (
            max(knobs.task_seconds, knobs.shutdown_timeout_seconds) if asks and machine.is_deaf else knobs.task_seconds
        )


def _refuse_deallocated(machine: VM, verb: str) -> None:
    if machine.power == "deallocated":
        message = (
            f"Operation '{verb}' is not allowed on VM '{machine.name}' since the VM is either deallocated or marked to "
            "be deallocated. Please refer to https://aka.ms/vmpowerstates  to learn about different VM power states."
        )
        raise ArmError(HTTPStatus.CONFLICT, "OperationNotAllowed", message)


def _flag(request: Request, name: str) -> bool:
    text = request.query.get(name.lower(), "false").lower()
    if text not in {"true", "false"}:
        raise InvalidParameterError(name, f"The value '{text}' of parameter '{name}' is not valid. Use true or false.")
    return text == "true"
