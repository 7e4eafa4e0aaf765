"""What there is: the version, the nodes, the VMs, the next free id, tasks, and what a guest's agent tells.

pve-manager's PVE/API2/Cluster.pm and Tasks.pm, qemu-server's src/PVE/API2/Qemu.pm and Qemu/Agent.pm,
`get_effective_permissions` in pve-access-control's src/PVE/RPCEnvironment.pm
"""

from providers.sandbox.proxmox import options
from providers.sandbox.proxmox.accounts import Caller, Ticket
from providers.sandbox.proxmox.cluster import NODES, Cluster, Request
from providers.sandbox.proxmox.machines import Container, Machine, Process, full_status, status
from providers.sandbox.proxmox.storages import GIB
from providers.sandbox.proxmox.tasks import UPID, Task
from providers.sandbox.proxmox.wire import ParameterError, PveError, Value

REPOSITORY_ID = "761609f7"
# Where effective permissions are shown, beside the paths that an access control list names.
ACL_PATHS = ("/", "/access", "/access/groups", "/nodes", "/pool", "/sdn", "/storage", "/vms")
# Some of an administrator's.
PRIVILEGES = (
    "Datastore.Allocate",
    "Datastore.AllocateTemplate",
    "Datastore.Audit",
    "Sys.Audit",
    "VM.Allocate",
    "VM.Audit",
)


class Inventory:
    """The actions that only look, and the log-in."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    def log_in(self, request: Request) -> Value:
        """A ticket for a user's password, or for a ticket of theirs that is still good."""
        realm = request.text("realm")
        user = request.parameters["username"] + (f"@{realm}" if realm else "")
        ticket = self._cluster.accounts.log_in(user, request.parameters["password"])
        return _ticket(ticket, self._cluster.accounts.caller(user))

    def version(self, request: Request) -> Value:
        """The version."""
        del request
        major, minor = self._cluster.version
        return {"version": f"{major}.{minor}.1", "release": f"{major}.{minor}", "repoid": REPOSITORY_ID}

    def nodes(self, request: Request) -> Value:
        """The nodes, with more about them for those who may know."""
        return [_node(node, known=request.caller.may(f"/nodes/{node}", "Sys.Audit")) for node in NODES]

    def vms(self, request: Request) -> Value:
        """A node's VMs that the caller may see."""
        shown = [machine for machine in self._cluster.machines.all.values() if machine.node == request.node]
        show = full_status if request.flag("full") else status
        return [show(machine) for machine in shown if request.caller.may(f"/vms/{machine.id}", "VM.Audit")]

    def containers(self, request: Request) -> Value:
        """A node's containers that the caller may see."""
        shown = [one for one in self._cluster.machines.containers.values() if one.node == request.node]
        return [_container(one) for one in shown if request.caller.may(f"/vms/{one.id}", "VM.Audit")]

    def vm(self, request: Request) -> Value:
        """A VM's state."""
        return full_status(self._cluster.machines.on(request.node, request.vm_id))

    def next_id(self, request: Request) -> Value:
        """The lowest free id, or the one that is asked for if it is free; as text, as Perl makes it."""
        wanted = request.text("vmid")
        if wanted is None:
            return str(self._cluster.machines.free_id())
        if self._cluster.machines.taken(int(wanted)):
            raise ParameterError({"vmid": f"VM {wanted} already exists"})
        return wanted

    def resources(self, request: Request) -> Value:
        """The whole cluster's VMs, containers, nodes and storages."""
        kind = request.text("type")
        found: list[Value] = []
        if kind in {None, "vm"}:
            found += [self._resource(one) for one in self._visible(request.caller)]
            found += [
                {**_container(one), "id": f"lxc/{one.id}", "node": one.node, "type": "lxc"}
                for one in self._cluster.machines.containers.values()
                if request.caller.may(f"/vms/{one.id}", "VM.Audit")
            ]
        if kind in {None, "node"}:
            found += [_node(node, known=request.caller.may(f"/nodes/{node}", "Sys.Audit")) for node in NODES]
        if kind in {None, "storage"}:
            found += self._storages(request.caller)
        return found

    def permissions(self, request: Request) -> Value:
        """Return the caller's own privileges by path, each with 1 as it holds below the path, too."""
        held = {path: request.caller.held(path) for path in (*ACL_PATHS, *(request.caller.privileges or ()))}
        return {
            path: dict.fromkeys(PRIVILEGES if privileges is None else sorted(privileges), 1)
            for path, privileges in held.items()
            if privileges is None or privileges
        }

    def interfaces(self, request: Request) -> Value:
        """What the guest's agent says of its network."""
        machine = self._cluster.machines.on(request.node, request.vm_id)
        if "agent" not in machine.config:
            raise PveError("No QEMU guest agent configured")
        if not machine.runs:
            raise PveError(f"VM {machine.id} is not running")
        # A paused guest's agent does not answer the ping that PVE sends first.
        if not machine.agent_on or not machine.guest.agent_runs or machine.process is not Process.RUNNING:
            raise PveError("QEMU guest agent is not running")
        return {"result": _interfaces(machine)}

    def tasks(self, request: Request) -> Value:
        """A node's tasks, the newest first: those that have ended unless `source` says otherwise, fifty of them."""
        source, kind, vm_id = request.text("source") or "archive", request.text("typefilter"), request.text("vmid")
        sources = {"active": {True}, "archive": {False}, "all": {True, False}}[source]
        found = [
            _listed_task(task)
            for task in reversed(self._cluster.tasks.all.values())
            if task.node == request.node
            and (task.exit_status is None) in sources
            and kind in {None, task.type}
            and vm_id in {None, task.id}
            and self._may_see(request, task)
        ]
        return found[: request.number("limit", 50)]

    def task(self, request: Request) -> Value:
        """A task's state."""
        return _task(self._find_task(request))

    def task_log(self, request: Request) -> Value:
        """A task's output, fifty lines unless more are asked for."""
        lines = self._find_task(request).lines or ["no content"]
        start = request.number("start", 0)
        return [
            {"n": number, "t": text}
            for number, text in enumerate(lines, 1)
            if start < number <= start + request.number("limit", 50)
        ]

    def stop_task(self, request: Request) -> Value:
        """End a task that still runs."""
        self._cluster.tasks.abort(self._find_task(request, "Sys.Modify").upid)
        return None

    def _find_task(self, request: Request, privilege: str = "Sys.Audit") -> Task:
        upid = request.parameters["upid"]
        if not UPID.fullmatch(upid):
            raise ParameterError({"upid": "unable to parse worker upid"})
        task = self._cluster.tasks.all.get(upid)
        if task is None or task.node != request.node:
            raise ParameterError({"upid": "no such task"})
        if not _is_own(request.caller, task):
            request.caller.check(f"/nodes/{task.node}", privilege)
        return task

    def _may_see(self, request: Request, task: Task) -> bool:
        return _is_own(request.caller, task) or request.caller.may(f"/nodes/{task.node}", "Sys.Audit")

    def _visible(self, caller: Caller) -> list[Machine]:
        machines = self._cluster.machines.all.values()
        return [machine for machine in machines if caller.may(f"/vms/{machine.id}", "VM.Audit")]

    def _resource(self, machine: Machine) -> Value:
        """Id and node, lock and tags are the configuration's, always true; the rest is what pvestatd last saw."""
        seen = self._cluster.seen(machine.id)
        values: dict[str, Value] = {
            "id": f"qemu/{machine.id}",
            "vmid": machine.id,
            "node": machine.node,
            "type": "qemu",
            "status": "unknown",
        }
        same = ("name", "status", "uptime", "cpu", "maxmem", "mem", "maxdisk", "disk", "netin", "netout")
        values.update({name: seen[name] for name in (*same, "diskread", "diskwrite") if name in seen})
        if seen:
            values |= {"maxcpu": seen["cpus"], "template": seen.get("template", 0)}
        values.update({name: machine.config[name] for name in ("lock", "tags") if name in machine.config})
        return values

    def _storages(self, caller: Caller) -> list[Value]:
        return [
            {
                "id": f"storage/{node}/{storage.id}",
                "node": node,
                "storage": storage.id,
                "type": "storage",
                "plugintype": storage.type,
                "status": "available",
                "shared": int(storage.shared),
                "content": ",".join(storage.content),
                "maxdisk": storage.total_bytes,
                "disk": self._cluster.storages.used_bytes(node, storage.id),
            }
            for node in NODES
            for storage in self._cluster.storages.all.values()
            if caller.may(f"/storage/{storage.id}", "Datastore.Audit")
        ]


def _is_own(caller: Caller, task: Task) -> bool:
    """Whether it is the caller's task; a user's own are those of the user's tokens, too, and not the reverse."""
    return caller.id in {task.user, task.user.partition("!")[0]}


def _ticket(ticket: Ticket, caller: Caller) -> Value:
    cap = {section: {"VM.Audit": 1} if caller.may("/vms", "VM.Audit") else {} for section in ("vms",)}
    return {
        "username": ticket.user,
        "ticket": ticket.cookie,
        "CSRFPreventionToken": ticket.csrf,
        "cap": cap,
        "clustername": "sandbox",
    }


def _node(node: str, *, known: bool) -> dict[str, Value]:
    values: dict[str, Value] = {"id": f"node/{node}", "node": node, "status": "online", "type": "node"}
    if known:
        values |= {"maxcpu": 16, "cpu": 0.01, "maxmem": 64 * GIB, "mem": 8 * GIB, "uptime": 86400, "level": ""}
    return values


def _container(container: Container) -> dict[str, Value]:
    return {
        "vmid": container.id,
        "name": container.name,
        "status": "running" if container.running else "stopped",
        "cpus": 1,
        "maxmem": GIB,
        "maxdisk": 8 * GIB,
        "uptime": 3600 if container.running else 0,
    }


def _listed_task(task: Task) -> dict[str, Value]:
    """Return a task as lists show it: its `status` is `RUNNING`, or how it ended."""
    values = {name: value for name, value in _task(task).items() if name != "exitstatus"}
    values["status"] = "RUNNING" if task.exit_status is None else task.exit_status
    if task.end_time is not None:
        values["endtime"] = task.end_time
    return values


def _task(task: Task) -> dict[str, Value]:
    user, _, token = task.user.partition("!")
    values: dict[str, Value] = {
        "upid": task.upid,
        "node": task.node,
        "pid": task.pid,
        "pstart": task.process_start,
        "starttime": task.start_time,
        "type": task.type,
        "id": task.id,
        "user": user,
        "status": "running" if task.exit_status is None else "stopped",
    }
    if token:
        values["tokenid"] = token
    if task.exit_status is not None:
        values["exitstatus"] = task.exit_status
    return values


def _interfaces(machine: Machine) -> list[Value]:
    """The loopback device, one for each of the VM's, and a bridge of the guest's own without an address."""
    found: list[Value] = [_interface("lo", "00:00:00:00:00:00", ("127.0.0.1", "::1"))]
    nets = sorted(name for name in machine.config if name.startswith("net"))
    for number, name in enumerate(nets):
        net = options.NET(machine.config[name])
        found.append(_interface(f"eth{number}", net["macaddr"].lower(), addresses(machine) if number == 0 else ()))
    found.append({"name": "docker0", "hardware-address": "02:42:ac:11:00:02"})
    return found


def addresses(machine: Machine) -> tuple[str, ...]:
    """The addresses of a VM's first network device."""
    if machine.guest.addresses is not None:
        return machine.guest.addresses
    high, low = machine.id >> 8, machine.id & 255
    return (f"10.{high >> 8 & 255}.{high & 255}.{low}", f"fd00::{machine.id:x}")


def _interface(name: str, mac: str, own: tuple[str, ...]) -> Value:
    prefixes = {"127.0.0.1": 8, "::1": 128}
    listed = [
        {
            "ip-address": address,
            "ip-address-type": "ipv6" if ":" in address else "ipv4",
            "prefix": prefixes.get(address, 64 if ":" in address else 8),
        }
        for address in own
    ]
    return {"name": name, "hardware-address": mac, "ip-addresses": listed}
