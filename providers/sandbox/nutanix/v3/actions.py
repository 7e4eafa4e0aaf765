"""v3's calls."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from werkzeug.wrappers import Response

from providers.sandbox.nutanix.estate import Estate, Intent
from providers.sandbox.nutanix.refusals import NoSuchEntityError, Reason, Refusal, Violation
from providers.sandbox.nutanix.tasks import Operation, Task
from providers.sandbox.nutanix.v3 import bodies, reading, showing, things
from providers.sandbox.nutanix.wire import Request, Route, answer, route
from providers.sandbox.nutanix.work import Works

SWITCHES: Mapping[str, Operation] = {
    "acpi_shutdown": Operation.SHUTDOWN,
    "acpi_reboot": Operation.REBOOT,
    "guest_shutdown": Operation.GUEST_SHUTDOWN,
    "guest_reboot": Operation.GUEST_REBOOT,
    "reset": Operation.RESET,
    "power_cycle": Operation.POWER_CYCLE,
}
DEFAULT_LENGTH = 20
# One term of FIQL, such as `vm_name==test1`.
TERM = re.compile(r"(?P<name>\w+)==(?P<value>[^;,()]+)")
NAMES = frozenset({"name", "vm_name", "image_name", "subnet_name", "cluster_name"})


def routes(estate: Estate, works: Works) -> Sequence[Route]:
    """All of v3's calls."""
    vms, rest = _Vms(estate, works), _Things(estate)
    switches = [
        route(f"v3 POST /vms/{{uuid}}/{name}", "power", vms.switching(operation), bodies.SWITCH, needs_body=False)
        for name, operation in SWITCHES.items()
    ]
    return [
        route("v3 POST /vms/list", "view", vms.list, bodies.LIST, is_list=True),
        route("v3 POST /vms", "create", vms.create, bodies.INTENT),
        route("v3 GET /vms/{uuid}", "view", vms.get),
        route("v3 PUT /vms/{uuid}", "update", vms.update, bodies.INTENT),
        route("v3 DELETE /vms/{uuid}", "delete", vms.delete),
        *switches,
        route("v3 GET /tasks/{uuid}", "view", vms.task),
        route("v3 POST /images/list", "view", rest.images, bodies.LIST, is_list=True),
        route("v3 GET /images/{uuid}", "view", rest.image),
        route("v3 POST /subnets/list", "view", rest.subnets, bodies.LIST, is_list=True),
        route("v3 GET /subnets/{uuid}", "view", rest.subnet),
        route("v3 POST /clusters/list", "view", rest.clusters, bodies.LIST, is_list=True),
        route("v3 POST /hosts/list", "view", rest.hosts, bodies.LIST, is_list=True),
    ]


class _Vms:
    """VMs as intents, and their tasks."""

    def __init__(self, estate: Estate, works: Works) -> None:
        self._estate = estate
        self._works = works

    def list(self, request: Request) -> Response:
        """VMs, and intents that have come to nothing."""
        machines = [(vm.name, vm.uuid) for vm in self._estate.machines.values()]
        unmade = [(intent.spec["name"], uuid) for uuid, intent in self._estate.intents.items() if self._lacks(uuid)]
        return listed("vm", [*machines, *unmade], self._show, request.body)

    def get(self, request: Request) -> Response:
        """One VM, or what was to be one."""
        uuid = request.parameters["uuid"].lower()
        if self._lacks(uuid) and uuid not in self._estate.intents:
            raise NoSuchEntityError("vm", uuid)
        return answer(self._show(uuid))

    def create(self, request: Request) -> Response:
        """Make a VM, and power it on if its spec says so: one task for both."""
        spec = request.body["spec"]
        task = self._works.create(
            request.caller,
            reading.machine_spec(spec, self._cluster(spec)),
            power_on=reading.wants_power(spec),
        )
        self._estate.intents[task.subject] = Intent([task.uuid], spec, request.caller.name)
        return answer(showing.accepted(request.body, task.subject, task, 0), 202)

    def update(self, request: Request) -> Response:
        """Let a VM become as the whole spec says, if it is still as the caller has seen it."""
        machine = self._estate.machine(request.parameters["uuid"])
        body = request.body
        if body["metadata"].get("spec_version") != machine.spec_version:
            raise Refusal(Reason.EDIT_CONFLICT)
        cluster = (body["spec"].get("cluster_reference") or {}).get("uuid", machine.cluster)
        if cluster != machine.cluster:
            raise Refusal(Reason.INVALID, "The cluster of a VM cannot be changed")
        change = reading.change(body["spec"], machine)
        task = self._works.update(request.caller, machine, change)
        machine.spec_version += 1
        self._note(machine.uuid, task, body["spec"], request.caller.name)
        return answer(showing.accepted(body, machine.uuid, task, machine.spec_version), 202)

    def delete(self, request: Request) -> Response:
        """Delete a VM, or what was to be one."""
        uuid = request.parameters["uuid"].lower()
        if self._lacks(uuid) and uuid in self._estate.intents:
            return answer(showing.deleted(self._works.forget(request.caller, uuid)), 202)
        return answer(showing.deleted(self._works.delete(request.caller, self._estate.machine(uuid))), 202)

    def switching(self, operation: Operation) -> Callable[[Request], Response]:
        """The call that makes one transition."""

        def switch(request: Request) -> Response:
            machine = self._estate.machine(request.parameters["uuid"])
            return answer({"task_uuid": self._works.switch(request.caller, machine, operation).uuid}, 202)

        return switch

    def task(self, request: Request) -> Response:
        """One task."""
        return answer(showing.task(self._estate.task(request.parameters["uuid"])))

    def _lacks(self, uuid: str) -> bool:
        return uuid not in self._estate.machines

    def _show(self, uuid: str) -> Mapping[str, object]:
        if self._lacks(uuid):
            return showing.unmade_vm(uuid, self._estate)
        return showing.vm(self._estate.machines[uuid], self._estate)

    def _cluster(self, spec: Mapping[str, Any]) -> str:
        named = spec.get("cluster_reference")
        places = [cluster.uuid for cluster in self._estate.inventory.clusters.values() if not cluster.is_central]
        if named is None and len(places) > 1:
            raise Refusal(Reason.INVALID, "cluster_reference must be specified")
        if named is not None and named["uuid"] not in places:
            raise Refusal(Reason.INVALID, f"Cluster {named['uuid']} does not exist")
        return str(named["uuid"]) if named else places[0]

    def _note(self, uuid: str, task: Task, spec: Mapping[str, Any], owner: str) -> None:
        known = self._estate.intents.get(uuid)
        tasks = [*known.tasks, task.uuid] if known else [task.uuid]
        self._estate.intents[uuid] = Intent(tasks, spec, known.owner if known else owner)


class _Things:
    """What VMs are made of and run on."""

    def __init__(self, estate: Estate) -> None:
        self._estate = estate

    def images(self, request: Request) -> Response:
        """Images."""
        images = self._estate.inventory.images
        return listed("image", _named(images.values()), lambda uuid: things.image(images[uuid]), request.body)

    def image(self, request: Request) -> Response:
        """One image."""
        uuid = request.parameters["uuid"]
        if uuid not in self._estate.inventory.images:
            raise NoSuchEntityError("image", uuid)
        return answer({**things.image(self._estate.inventory.images[uuid]), "api_version": showing.API_VERSION})

    def subnets(self, request: Request) -> Response:
        """Subnets of all clusters."""
        return listed("subnet", _named(self._estate.inventory.subnets.values()), self._show_subnet, request.body)

    def subnet(self, request: Request) -> Response:
        """One subnet."""
        uuid = request.parameters["uuid"]
        if uuid not in self._estate.inventory.subnets:
            raise NoSuchEntityError("subnet", uuid)
        return answer({**self._show_subnet(uuid), "api_version": showing.API_VERSION})

    def clusters(self, request: Request) -> Response:
        """Clusters, the Central itself among them."""
        clusters = self._estate.inventory.clusters
        return listed("cluster", _named(clusters.values()), lambda uuid: things.cluster(clusters[uuid]), request.body)

    def hosts(self, request: Request) -> Response:
        """Hosts of all clusters."""
        hosts = self._estate.inventory.hosts
        return listed("host", _named(hosts.values()), lambda uuid: things.host(hosts[uuid]), request.body)

    def _show_subnet(self, uuid: str) -> Mapping[str, object]:
        subnet = self._estate.inventory.subnets[uuid]
        return things.subnet(subnet, self._estate.inventory.clusters[subnet.cluster])


def listed(
    kind: str,
    named: Sequence[tuple[str, str]],
    show: Callable[[str], Mapping[str, object]],
    asked: Mapping[str, Any],
) -> Response:
    """The part of a collection that a body asks for; `named` are the entities' names and uuids."""
    if asked.get("kind", kind) != kind:
        violation = Violation("kind", f"{asked['kind']!r} is not one of ['{kind}']")
        raise Refusal(Reason.BAD_BODY, violations=[violation])
    matching = [(name, uuid) for name, uuid in named if _matches(name, uuid, asked.get("filter", ""))]
    if asked.get("sort_attribute") in NAMES:
        matching.sort(reverse=asked.get("sort_order") == "DESCENDING")
    offset, length = asked.get("offset", 0), asked.get("length", DEFAULT_LENGTH)
    shown = [show(uuid) for _, uuid in matching[offset : offset + length]]
    return answer(showing.listed(kind, shown, len(matching), asked))


def _matches(name: str, uuid: str, fiql: str) -> bool:
    for term in filter(None, fiql.split(";")):
        found = TERM.fullmatch(term)
        if found is None or found["name"] not in NAMES | {"uuid", "vm_uuid"}:
            raise Refusal(Reason.INVALID, f"Filter {fiql!r} is not supported")
        if (name if found["name"] in NAMES else uuid) != found["value"]:
            return False
    return True


def _named(entities: Iterable[Any]) -> Sequence[tuple[str, str]]:
    return [(entity.name, entity.uuid) for entity in entities]
