"""v2.0's calls."""

from collections.abc import Mapping, Sequence

from werkzeug.wrappers import Response

from providers.sandbox.nutanix.estate import Estate
from providers.sandbox.nutanix.refusals import NoSuchEntityError, TaskFailure, stale_timestamp
from providers.sandbox.nutanix.tasks import Operation, Task
from providers.sandbox.nutanix.v2 import bodies, showing
from providers.sandbox.nutanix.wire import Request, Route, answer, route
from providers.sandbox.nutanix.work import Change, Works

OPERATIONS: Mapping[str, Operation] = {
    "ON": Operation.ON,
    "OFF": Operation.OFF,
    "POWERCYCLE": Operation.POWER_CYCLE,
    "RESET": Operation.RESET,
    "PAUSE": Operation.PAUSE,
    "SUSPEND": Operation.SUSPEND,
    "RESUME": Operation.RESUME,
    "ACPI_SHUTDOWN": Operation.SHUTDOWN,
    "ACPI_REBOOT": Operation.REBOOT,
}


def routes(estate: Estate, works: Works) -> Sequence[Route]:
    """All of v2.0's calls."""
    vms, things = _Vms(estate, works), _Things(estate)
    return [
        route("v2.0 GET /vms", "view", vms.list, is_list=True),
        route("v2.0 POST /vms", "create", vms.create, bodies.CREATE),
        route("v2.0 GET /vms/{uuid}", "view", vms.get),
        route("v2.0 PUT /vms/{uuid}", "update", vms.update, bodies.UPDATE),
        route("v2.0 DELETE /vms/{uuid}", "delete", vms.delete),
        route("v2.0 POST /vms/{uuid}/set_power_state", "power", vms.set_power_state, bodies.POWER),
        route("v2.0 POST /tasks/list", "view", vms.tasks, bodies.TASKS),
        route("v2.0 GET /tasks/{uuid}", "view", vms.task),
        route("v2.0 GET /images", "view", things.images, is_list=True),
        route("v2.0 GET /images/{uuid}", "view", things.image),
        route("v2.0 GET /networks", "view", things.networks, is_list=True),
        route("v2.0 GET /networks/{uuid}", "view", things.network),
        route("v2.0 GET /storage_containers", "view", things.storage_containers, is_list=True),
        route("v2.0 GET /storage_containers/{uuid}", "view", things.storage_container),
        route("v2.0 GET /hosts", "view", things.hosts, is_list=True),
        route("v2.0 GET /hosts/{uuid}", "view", things.host),
        route("v2.0 GET /cluster", "view", things.cluster),
    ]


class _Vms:
    """VMs and their tasks."""

    def __init__(self, estate: Estate, works: Works) -> None:
        self._estate = estate
        self._works = works

    def list(self, request: Request) -> Response:
        """All VMs, whatever their host, in one answer."""
        disks, nics = request.flag("include_vm_disk_config"), request.flag("include_vm_nic_config")
        inventory, machines = self._estate.inventory, self._estate.machines.values()
        return answer(showing.listed([showing.vm(vm, inventory, disks=disks, nics=nics) for vm in machines]))

    def get(self, request: Request) -> Response:
        """One VM."""
        machine = self._estate.machine(request.parameters["uuid"])
        disks, nics = request.flag("include_vm_disk_config"), request.flag("include_vm_nic_config")
        return answer(showing.vm(machine, self._estate.inventory, disks=disks, nics=nics))

    def create(self, request: Request) -> Response:
        """Make a VM, which is then off."""
        cluster = next(cluster.uuid for cluster in self._estate.inventory.clusters.values())
        spec = bodies.machine_spec(request.body, cluster)
        self._works.hardware.verify(spec)
        return _accepted(self._works.create(request.caller, spec))

    def update(self, request: Request) -> Response:
        """Change a VM's name, description, CPUs or memory."""
        machine = self._estate.machine(request.parameters["uuid"])
        settings = {**machine.spec.settings, **bodies.settings(request.body)}
        change = Change({**bodies.changed_fields(request.body), "settings": settings})
        seen = request.body.get("vm_logical_timestamp")

        def check() -> None:
            if seen is not None and seen != machine.version:
                raise TaskFailure(stale_timestamp(seen, machine.version))

        return _accepted(self._works.update(request.caller, machine, change, check))

    def delete(self, request: Request) -> Response:
        """Delete a VM, running or not."""
        machine = self._estate.machine(request.parameters["uuid"])
        return _accepted(self._works.delete(request.caller, machine))

    def set_power_state(self, request: Request) -> Response:
        """Move a VM's power."""
        machine = self._estate.machine(request.parameters["uuid"])
        operation, host = OPERATIONS[request.body["transition"]], request.body.get("host_uuid")
        if host is not None and host not in self._estate.inventory.hosts:
            raise NoSuchEntityError("host", host)
        return _accepted(self._works.switch(request.caller, machine, operation, host=host))

    def tasks(self, request: Request) -> Response:
        """Tasks, newest first: those under way, or all; of some entities, or of all."""
        wanted = {entity.get("entity_id") for entity in request.body.get("entity_list") or []}
        found = [showing.task(task) for task in reversed(self._estate.tasks.all.values()) if self._wants(task, request)]
        of_wanted = [one for one in found if not wanted or wanted & showing.entity_ids(one)]
        return answer(showing.listed(of_wanted[: request.body.get("count") or None]))

    @staticmethod
    def _wants(task: Task, request: Request) -> bool:
        return bool(request.body.get("include_completed")) or not task.is_over

    def task(self, request: Request) -> Response:
        """One task."""
        return answer(showing.task(self._estate.task(request.parameters["uuid"])))


class _Things:
    """What VMs are made of and run on."""

    def __init__(self, estate: Estate) -> None:
        self._estate = estate

    def images(self, request: Request) -> Response:
        """All images."""
        with_size = request.flag("include_vm_disk_sizes")
        images = self._estate.inventory.images.values()
        return answer(showing.listed([showing.image(image, with_size=with_size) for image in images]))

    def image(self, request: Request) -> Response:
        """One image."""
        image = self._estate.inventory.images.get(request.parameters["uuid"])
        if image is None:
            raise NoSuchEntityError("image", request.parameters["uuid"])
        return answer(showing.image(image, with_size=request.flag("include_vm_disk_sizes")))

    def networks(self, request: Request) -> Response:
        """All networks."""
        del request
        return answer(showing.listed([showing.network(subnet) for subnet in self._estate.inventory.subnets.values()]))

    def network(self, request: Request) -> Response:
        """One network."""
        subnet = self._estate.inventory.subnets.get(request.parameters["uuid"])
        if subnet is None:
            raise NoSuchEntityError("network", request.parameters["uuid"])
        return answer(showing.network(subnet))

    def storage_containers(self, request: Request) -> Response:
        """All storage containers."""
        del request
        containers = self._estate.inventory.containers.values()
        return answer(showing.listed([showing.storage_container(container) for container in containers]))

    def storage_container(self, request: Request) -> Response:
        """One storage container."""
        container = self._estate.inventory.containers.get(request.parameters["uuid"])
        if container is None:
            raise NoSuchEntityError("storage_container", request.parameters["uuid"])
        return answer(showing.storage_container(container))

    def hosts(self, request: Request) -> Response:
        """All hosts."""
        del request
        hosts = self._estate.inventory.hosts.values()
        return answer(showing.listed([showing.host(host, self._vms_on(host.uuid)) for host in hosts]))

    def host(self, request: Request) -> Response:
        """One host."""
        host = self._estate.inventory.hosts.get(request.parameters["uuid"])
        if host is None:
            raise NoSuchEntityError("host", request.parameters["uuid"])
        return answer(showing.host(host, self._vms_on(host.uuid)))

    def cluster(self, request: Request) -> Response:
        """The cluster that this Prism is of; a Central's is itself."""
        del request
        cluster = next(iter(self._estate.inventory.clusters.values()))
        return answer(showing.cluster(cluster, len(self._estate.inventory.hosts_of(cluster.uuid))))

    def _vms_on(self, host: str) -> int:
        return sum(machine.host == host for machine in self._estate.machines.values())


def _accepted(task: Task) -> Response:
    return answer({"task_uuid": task.uuid})
