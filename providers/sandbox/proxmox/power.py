"""Starting and stopping VMs, as qemu-server does it: most refusals are a task's end, not the call's answer.

https://git.proxmox.com/?p=qemu-server.git;a=blob;f=src/PVE/API2/Qemu.pm, and `vm_start`, `_do_vm_stop` in QemuServer.pm
"""

from collections.abc import Callable

from providers.sandbox.proxmox import options
from providers.sandbox.proxmox.cluster import BRIDGES, Cluster, Request
from providers.sandbox.proxmox.machines import Machine, Process
from providers.sandbox.proxmox.tasks import Hold, Task, TaskError, Work
from providers.sandbox.proxmox.wire import ParameterError, PveError, Value

SHUTDOWN_SECONDS = 60
# qemu-server 8.3.4 sees whether an agent answers before it asks the guest by it; until then it waits for one in vain.
PINGS_AGENT = (8, 4)
# qemu-server 8.0.8: until then only what is paused by hand.
PRELAUNCH_IS_PAUSED = (8, 1)


class Power:
    """The actions below /status."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    def start(self, request: Request) -> Value:
        """Start a VM; a missing one, a running one and a template end the task."""
        machine = self._cluster.machines.all.get(request.vm_id)
        if machine is not None and machine.ha_managed:
            return self._leave_to_ha(request, "hastart", self.starting(request.node, request.vm_id))
        return self._cluster.fork(request, "qmstart", request.vm_id, self.starting(request.node, request.vm_id))

    def stop(self, request: Request) -> Value:
        """Stop a VM at once; one that is stopped already is no error."""
        overrule = request.flag("overrule-shutdown")
        machine = self._cluster.machines.all.get(request.vm_id)
        if machine is not None and machine.ha_managed:
            if overrule:
                raise ParameterError({"overrule-shutdown": "Not applicable for HA resources."})
            return self._leave_to_ha(request, "hastop", self._stopping(request.node, request.vm_id))
        if overrule:
            self._abort_shutdowns(request)
        return self._cluster.fork(request, "qmstop", request.vm_id, self._stopping(request.node, request.vm_id))

    def shutdown(self, request: Request) -> Value:
        """Ask the guest to shut down; with `forceStop`, stop the VM when it has not after `timeout`."""
        machine = self._cluster.machines.all.get(request.vm_id)
        work = self._shutting_down(request, force=request.flag("forceStop"))
        if machine is not None and self._is_paused(machine):
            if not request.flag("forceStop"):
                raise PveError("VM is paused - cannot shutdown")
            work = self._stopping(request.node, request.vm_id)
        if machine is not None and machine.ha_managed:
            # The HA manager is told the time alone, and cuts the power at its end, asked or not.
            return self._leave_to_ha(request, "hastop", self._stopping_by_ha(request, machine))
        return self._cluster.fork(request, "qmshutdown", request.vm_id, work)

    def reboot(self, request: Request) -> Value:
        """Shut the guest down; qmeventd starts it again, after the task's end."""
        machine = self._running(request, "VM is paused - cannot shutdown")
        timeout = request.number("timeout", SHUTDOWN_SECONDS)

        def work(task: Task) -> Work:
            yield Hold(machine.id)
            if not machine.runs:
                return
            machine.refuse_locked()
            yield from self._wait_for_guest(task, machine, timeout, force=False)
            machine.halt()
            self._cluster.tasks.background(self._start_again(machine))

        return self._cluster.fork(request, "qmreboot", machine.id, work)

    def reset(self, request: Request) -> Value:
        """Reset a running VM."""
        machine = self._running(request)

        def work(task: Task) -> Work:
            del task
            yield Hold(machine.id)
            machine.refuse_locked()
            yield self._cluster.knobs.task_seconds
            machine.boots += 1
            if machine.process is Process.PAUSED:
                # QEMU has reset it, and does not let it run.
                machine.process = Process.PRELAUNCH

        return self._cluster.fork(request, "qmreset", machine.id, work)

    def suspend(self, request: Request) -> Value:
        """Pause a running VM."""
        return self._set_process(request, "qmpause", Process.PAUSED)

    def resume(self, request: Request) -> Value:
        """Let a paused VM run on."""
        return self._set_process(request, "qmresume", Process.RUNNING)

    def starting(self, node: str, vm_id: int) -> Callable[[Task], Work]:
        """The work of starting a VM."""

        def work(task: Task) -> Work:
            yield Hold(vm_id)
            machine = self._cluster.machines.in_task(node, vm_id)
            if machine.is_template:
                raise TaskError("you can't start a vm if it's a template")
            if machine.runs and machine.config.get("lock") == "backup":
                # A backup has started it, or keeps it from ending.
                machine.process = Process.RUNNING
                return
            machine.refuse_locked(but_for="suspended")
            if machine.runs:
                raise TaskError(f"VM {vm_id} already running")
            machine.apply_pending()
            self._check_devices(task, machine)
            yield self._cluster.knobs.task_seconds / 2
            machine.process = Process.PRELAUNCH
            yield self._cluster.knobs.task_seconds / 2
            # What was kept of a VM that had been suspended to disk is used up.
            if machine.config.get("lock") == "suspended":
                del machine.config["lock"]
            machine.run()

        return work

    def _stopping(self, node: str, vm_id: int) -> Callable[[Task], Work]:
        def work(task: Task) -> Work:
            del task
            yield Hold(vm_id)
            machine = self._cluster.machines.in_task(node, vm_id)
            if not machine.runs:
                return
            machine.refuse_locked()
            yield self._cluster.knobs.task_seconds
            machine.halt()

        return work

    def _stopping_by_ha(self, request: Request, machine: Machine) -> Callable[[Task], Work]:
        if self._is_paused(machine) or request.number("timeout", SHUTDOWN_SECONDS) == 0:
            return self._stopping(request.node, request.vm_id)
        return self._shutting_down(request, force=True)

    def _is_paused(self, machine: Machine) -> bool:
        """Whether PVE takes a VM for paused, before it asks the guest (`vm_is_paused`)."""
        started = self._cluster.version >= PRELAUNCH_IS_PAUSED and machine.process is Process.PRELAUNCH
        return machine.process is Process.PAUSED or started

    def _shutting_down(self, request: Request, *, force: bool) -> Callable[[Task], Work]:
        timeout = request.number("timeout", SHUTDOWN_SECONDS)

        def work(task: Task) -> Work:
            yield Hold(request.vm_id)
            machine = self._cluster.machines.in_task(request.node, request.vm_id)
            if not machine.runs:
                return
            machine.refuse_locked()
            yield from self._wait_for_guest(task, machine, timeout, force=force)
            machine.halt()

        return work

    def _wait_for_guest(self, task: Task, machine: Machine, timeout: int, *, force: bool) -> Work:
        seconds = self._cluster.knobs.task_seconds
        if machine.guest.heeds_shutdown and seconds <= timeout:
            yield seconds
            return
        yield timeout
        if not force and machine.agent_on and self._asks_deaf_agent(machine):
            raise TaskError("VM quit/powerdown failed")
        if not force:
            raise TaskError("VM quit/powerdown failed - got timeout")
        task.lines.append("VM still running - terminating now with SIGTERM")

    def _asks_deaf_agent(self, machine: Machine) -> bool:
        """Whether it is the agent that is asked, and does not answer: older PVE do not see whether one runs."""
        return self._cluster.version < PINGS_AGENT and not machine.guest.agent_runs

    def _set_process(self, request: Request, kind: str, process: Process) -> Value:
        machine = self._running(request)

        def work(task: Task) -> Work:
            del task
            yield Hold(machine.id)
            machine.refuse_locked()
            yield self._cluster.knobs.task_seconds
            machine.process = process

        return self._cluster.fork(request, kind, machine.id, work)

    def _running(self, request: Request, when_paused: str = "") -> Machine:
        machine = self._cluster.machines.refuse_unknown(request.node, request.vm_id)
        if when_paused and self._is_paused(machine):
            raise PveError(when_paused)
        if not machine.runs:
            raise PveError(f"VM {machine.id} not running")
        return machine

    def _leave_to_ha(self, request: Request, kind: str, work: Callable[[Task], Work]) -> Value:
        """The task only tells the HA manager, which acts later and by itself."""

        def later(task: Task) -> Work:
            yield self._cluster.knobs.ha_seconds
            yield from work(task)

        def tell(task: Task) -> Work:
            task.lines.append(f"Requesting HA {kind.removeprefix('ha')} for VM {request.vm_id}")
            yield 0.0
            self._cluster.tasks.background(later)

        return self._cluster.fork(request, kind, request.vm_id, tell)

    def _start_again(self, machine: Machine) -> Callable[[Task], Work]:
        def work(task: Task) -> Work:
            del task
            yield self._cluster.knobs.task_seconds / 2
            if not machine.runs:
                machine.run()

        return work

    def _abort_shutdowns(self, request: Request) -> None:
        for task in self._cluster.tasks.running("qmshutdown", request.vm_id):
            if task.user.partition("!")[0] == request.caller.user or request.caller.may(
                f"/nodes/{request.node}", "Sys.Modify"
            ):
                self._cluster.tasks.abort(task.upid)

    def _check_devices(self, task: Task, machine: Machine) -> None:
        for drive in machine.drives():
            if not drive.is_empty and self._cluster.storages.find(machine.node, drive.file) is None:
                raise TaskError(f"volume '{drive.file}' does not exist")
        for name, value in machine.config.items():
            if name.startswith("net"):
                bridge = options.NET(value).get("bridge")
                if bridge is not None and bridge not in BRIDGES:
                    task.lines.append(f"bridge '{bridge}' does not exist")
                    raise TaskError("start failed: QEMU exited with code 1")
