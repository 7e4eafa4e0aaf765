"""v4's calls: VMs and images of vmm, tasks of prism, clusters of clustermgmt, subnets of networking."""

import re
from collections.abc import Callable, Mapping, Sequence

from werkzeug.wrappers import Response

from providers.sandbox.nutanix.estate import Estate
from providers.sandbox.nutanix.inventory import Subnet
from providers.sandbox.nutanix.machines import Machine
from providers.sandbox.nutanix.refusals import NoSuchEntityError, Reason, Refusal, TaskFailure, stale_etag
from providers.sandbox.nutanix.tasks import Operation, Task
from providers.sandbox.nutanix.v4 import bodies, showing, things
from providers.sandbox.nutanix.v4.envelope import metadata
from providers.sandbox.nutanix.v4.queries import Collection, listed
from providers.sandbox.nutanix.wire import Request, Route, answer, route
from providers.sandbox.nutanix.work import Change, Check, Works, no_check

VM = "/ahv/config/vms/{extId}"
# The actions of a VM; the two of the guest's own tools may have a body.
ACTIONS: Mapping[str, Operation] = {
    "power-on": Operation.ON,
    "power-off": Operation.OFF,
    "shutdown": Operation.SHUTDOWN,
    "guest-shutdown": Operation.GUEST_SHUTDOWN,
    "reboot": Operation.REBOOT,
    "guest-reboot": Operation.GUEST_REBOOT,
    "reset": Operation.RESET,
    "power-cycle": Operation.POWER_CYCLE,
}
ETAG = re.compile(re.escape(showing.ETAG_PREFIX) + r":(?P<value>[0-9a-f]{64})")
VMS = Collection(
    frozenset(
        {
            "extId",
            "name",
            "powerState",
            "cluster/extId",
            "host/extId",
            "machineType",
            "memorySizeBytes",
            "numSockets",
            "numCoresPerSocket",
            "numThreadsPerCore",
            "isAgentVm",
        }
    ),
    frozenset({"name", "memorySizeBytes", "numSockets", "numCoresPerSocket", "numThreadsPerCore"}),
)
TASKS = Collection(frozenset({"extId", "operation", "entitiesAffected/extId"}), frozenset({"createdTime"}))
IMAGES = Collection(frozenset({"extId", "name", "type", "sizeBytes"}))
SUBNETS = Collection(frozenset({"extId", "name", "networkId", "subnetType", "clusterReference", "clusterName"}))
CLUSTERS = Collection(frozenset({"extId", "name"}))
CONTAINERS = Collection(frozenset({"containerExtId", "name", "clusterExtId"}))
HOSTS = Collection(frozenset({"extId", "hostName"}), frozenset({"hostName"}))


def routes(estate: Estate, works: Works) -> Sequence[Route]:
    """All of v4's calls; a namespace is not part of their names."""
    vms, rest = _Vms(estate, works), _Things(estate)
    actions = [
        route(
            f"v4 POST {VM}/$actions/{name}",
            "power",
            vms.switching(operation),
            bodies.GUEST_POWER_OPTIONS if name.startswith("guest-") else None,
            needs_body=False,
        )
        for name, operation in ACTIONS.items()
    ]
    return [
        route("v4 OPTIONS /unversioned/info", "view", rest.info),
        route("v4 GET /ahv/config/vms", "view", vms.list, is_list=True),
        route("v4 POST /ahv/config/vms", "create", vms.create, bodies.VM),
        route(f"v4 GET {VM}", "view", vms.get),
        route(f"v4 PUT {VM}", "update", vms.update, bodies.UPDATE),
        route(f"v4 DELETE {VM}", "delete", vms.delete),
        *actions,
        route("v4 GET /config/tasks", "view", vms.tasks, is_list=True),
        route("v4 GET /config/tasks/{extId}", "view", vms.task),
        route("v4 GET /content/images", "view", rest.images, is_list=True),
        route("v4 GET /content/images/{extId}", "view", rest.image),
        route("v4 GET /config/subnets", "view", rest.subnets, is_list=True),
        route("v4 GET /config/subnets/{extId}", "view", rest.subnet),
        route("v4 GET /config/clusters", "view", rest.clusters, is_list=True),
        route("v4 GET /config/hosts", "view", rest.hosts, is_list=True),
        route("v4 GET /config/storage-containers", "view", rest.storage_containers, is_list=True),
    ]


class _Vms:
    """VMs and their tasks."""

    def __init__(self, estate: Estate, works: Works) -> None:
        self._estate = estate
        self._works = works

    def list(self, request: Request) -> Response:
        """VMs of all clusters, a page of them."""
        return listed(request, list(self._estate.machines.values()), showing.vm, VMS)

    def get(self, request: Request) -> Response:
        """One VM, with its ETag."""
        machine = self._estate.machine(request.parameters["extId"])
        headers = {"Etag": f"{showing.ETAG_PREFIX}:{showing.etag(machine)}"}
        return answer({"data": showing.vm(machine)}, headers=headers)

    def create(self, request: Request) -> Response:
        """Make a VM, which is then off."""
        spec = bodies.machine_spec(request.body)
        return self._once(request, lambda: self._works.create(request.caller, spec))

    def update(self, request: Request) -> Response:
        """Let a VM become as the whole body says, if it is still as the caller has seen it."""
        change = Change(bodies.changed_fields(request.body))

        def submit() -> Task:
            machine, check = self._seen(request)
            if request.body["cluster"]["extId"] != machine.cluster:
                raise Refusal(Reason.INVALID, "The cluster of a VM cannot be changed.")
            return self._works.update(request.caller, machine, change, check)

        return self._once(request, submit)

    def delete(self, request: Request) -> Response:
        """Delete a VM that is still as the caller has seen it."""

        def submit() -> Task:
            machine, check = self._seen(request)
            return self._works.delete(request.caller, machine, check)

        return self._once(request, submit)

    def switching(self, operation: Operation) -> Callable[[Request], Response]:
        """The call that makes one transition of a VM that is still as the caller has seen it."""

        def switch(request: Request) -> Response:
            def submit() -> Task:
                machine, check = self._seen(request)
                return self._works.switch(request.caller, machine, operation, check)

            return self._once(request, submit)

        return switch

    def tasks(self, request: Request) -> Response:
        """Tasks, newest first."""
        return listed(request, list(reversed(self._estate.tasks.all.values())), showing.task, TASKS)

    def task(self, request: Request) -> Response:
        """One task."""
        prefix, _, uuid = request.parameters["extId"].rpartition(":")
        if prefix != showing.TASK_PREFIX:
            raise NoSuchEntityError("task", request.parameters["extId"])
        return answer({"data": showing.task(self._estate.task(uuid))})

    def _once(self, request: Request, submit: Callable[[], Task]) -> Response:
        """Do it, unless the same user's same request id has done it before: then the task is the same, too."""
        request_id = request.header("NTNX-Request-Id")
        if not request_id:
            raise Refusal(Reason.REQUEST_ID_MISSING, "The NTNX-Request-Id header is missing in the request.")
        key = (request.caller.name, request_id)
        if key not in self._estate.requests:
            self._estate.requests[key] = submit().uuid
        task = self._estate.tasks.all[self._estate.requests[key]]
        return answer({"data": showing.task_reference(task), "metadata": metadata(request.http)}, 202)

    def _seen(self, request: Request) -> tuple[Machine, Check]:
        """The VM, and a check that it is still the same when the task begins; a queue may be in between."""
        machine = self._estate.machine(request.parameters["extId"])
        header = request.header("If-Match")
        if not header and _needs_no_etag(request):
            return machine, no_check
        if not header:
            raise Refusal(Reason.ETAG_MISSING)
        found = ETAG.fullmatch(header)
        if found is None:
            raise Refusal(Reason.ETAG_MALFORMED)
        if found["value"] != showing.etag(machine):
            raise Refusal(Reason.ETAG_STALE, stale_etag(found["value"], showing.etag(machine)).detail)

        def check() -> None:
            if found["value"] != showing.etag(machine):
                raise TaskFailure(stale_etag(found["value"], showing.etag(machine)))

        return machine, check


class _Things:
    """What VMs are made of and run on."""

    def __init__(self, estate: Estate) -> None:
        self._estate = estate

    def info(self, request: Request) -> Response:
        """The newest version that is served, in each namespace."""
        return answer({"data": self._estate.v4_versions[-1], "metadata": metadata(request.http)})

    def images(self, request: Request) -> Response:
        """Images."""
        images, clusters = list(self._estate.inventory.images.values()), self._places()
        return listed(request, images, lambda image: things.image(image, clusters), IMAGES)

    def image(self, request: Request) -> Response:
        """One image."""
        image = self._estate.inventory.images.get(request.parameters["extId"])
        if image is None:
            raise NoSuchEntityError("image", request.parameters["extId"])
        return answer({"data": things.image(image, self._places())})

    def subnets(self, request: Request) -> Response:
        """Subnets of all clusters."""
        return listed(request, list(self._estate.inventory.subnets.values()), self._show_subnet, SUBNETS)

    def subnet(self, request: Request) -> Response:
        """One subnet."""
        subnet = self._estate.inventory.subnets.get(request.parameters["extId"])
        if subnet is None:
            raise NoSuchEntityError("subnet", request.parameters["extId"])
        return answer({"data": self._show_subnet(subnet)})

    def clusters(self, request: Request) -> Response:
        """Clusters, the Central itself among them."""
        machines = [machine.cluster for machine in self._estate.machines.values()]
        clusters = list(self._estate.inventory.clusters.values())
        return listed(request, clusters, lambda known: things.cluster(known, machines.count(known.uuid)), CLUSTERS)

    def hosts(self, request: Request) -> Response:
        """Hosts of all clusters."""
        inventory = self._estate.inventory
        hosts = list(inventory.hosts.values())
        return listed(request, hosts, lambda host: things.host(host, inventory.clusters[host.cluster]), HOSTS)

    def storage_containers(self, request: Request) -> Response:
        """Storage containers of all clusters."""
        inventory = self._estate.inventory
        containers = list(inventory.containers.values())
        return listed(
            request,
            containers,
            lambda container: things.storage_container(container, inventory.clusters[container.cluster]),
            CONTAINERS,
        )

    def _places(self) -> Sequence[str]:
        return [cluster.uuid for cluster in self._estate.inventory.clusters.values() if not cluster.is_central]

    def _show_subnet(self, subnet: Subnet) -> Mapping[str, object]:
        return things.subnet(subnet, self._estate.inventory.clusters[subnet.cluster])


def _needs_no_etag(request: Request) -> bool:
    """From 4.3 on, actions and deletes may go without (terraform-provider-nutanix issue 1120); one given must match."""
    found = re.search(r"/v4\.(\d+)/", request.http.path)
    return found is not None and int(found[1]) >= 3
