"""Looking: VMs one by one and in lists, their instance view, groups and networks; and where operations stand."""

import base64
import binascii
from collections.abc import Callable, Iterable, Mapping
from http import HTTPStatus
from typing import TypeVar
from urllib.parse import urlencode

from werkzeug.wrappers import Response

from providers.sandbox.azure import access, ids, rendering
from providers.sandbox.azure.links import Links
from providers.sandbox.azure.operations import Operation, Status
from providers.sandbox.azure.resources import VM, Cloud, Request, Resource
from providers.sandbox.azure.wire import ArmError, GatewayError, InvalidParameterError, Json, answer

READ_VM = f"{ids.VM}/read"
EXPANSIONS = {"instanceview": "instanceView", "userdata": "userData"}
_FILTERS = "'virtualMachineScaleSet/id' eq "

Found = TypeVar("Found", bound=Resource)


class Reading:
    """The calls that change nothing."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud

    def find(self, request: Request) -> VM:
        """The VM that the path names; raises ARM's 404."""
        found = self._cloud.vms.get(request.key)
        if found is None:
            raise missing(self._cloud, request, ids.VM)
        return found

    def get(self, request: Request) -> Response:
        """A VM."""
        machine, expand = self.find(request), _expansions(request)
        # With the instance view there is no tag in the headers, only in the body: so in recorded answers.
        headers = {} if "instanceView" in expand else {"ETag": rendering.etag(machine)}
        return answer(rendering.vm(self._cloud, machine, expand=expand), headers=headers)

    def instance_view(self, request: Request) -> Response:
        """A VM's instance view alone."""
        return answer(rendering.instance_view(self._cloud, self.find(request)))

    def list(self, request: Request) -> Response:
        """A group's VMs; `$expand=instanceView` is for those of a scale set, of which there is none."""
        group = request.path["group"].lower()
        machines = [machine for machine in self._cloud.vms.values() if machine.key[0] == group]
        return self._vms(request, machines)

    def list_all(self, request: Request) -> Response:
        """The subscription's VMs, or with `statusOnly=true` their states alone."""
        machines = [machine for machine in self._cloud.vms.values() if self._shows(request, machine)]
        status_only = request.query.get("statusonly", "false").lower()
        if status_only not in {"true", "false"}:
            raise InvalidParameterError(
                "statusOnly", f"The value '{status_only}' of parameter 'statusOnly' is not valid."
            )
        if status_only == "true":
            return page(self._cloud, request, machines, lambda machine: rendering.status_only(self._cloud, machine))
        return self._vms(request, machines)

    def group(self, request: Request) -> Response:
        """A resource group."""
        name = self._cloud.groups[request.path["group"].lower()]
        body = {
            "id": ids.group_id(self._cloud.subscription, name),
            "name": name,
            "type": "Microsoft.Resources/resourceGroups",
            "location": self._cloud.location,
            "properties": {"provisioningState": "Succeeded"},
        }
        return answer(body)

    def network(self, request: Request) -> Response:
        """A virtual network with its subnets."""
        subnets = self._cloud.networks.get(request.key)
        if subnets is None:
            raise missing(self._cloud, request, ids.NETWORK)
        name, group = request.path["name"], self._cloud.groups[request.path["group"].lower()]
        properties = {
            "provisioningState": "Succeeded",
            "addressSpace": {"addressPrefixes": [str(subnet.prefix) for subnet in subnets]},
            "subnets": [_subnet(subnet.id, subnet.name, str(subnet.prefix)) for subnet in subnets],
            "virtualNetworkPeerings": [],
            "enableDdosProtection": False,
        }
        body: Json = {
            "name": name,
            "id": ids.resource_id(self._cloud.subscription, group, ids.NETWORK, name),
            "type": ids.NETWORK,
            "location": self._cloud.location,
            "properties": properties,
        }
        return answer(body)

    def subnet(self, request: Request) -> Response:
        """A subnet."""
        subnets = self._cloud.networks.get(request.key)
        if subnets is None:
            raise missing(self._cloud, request, ids.NETWORK)
        wanted = request.path["subnet"].lower()
        for subnet in subnets:
            if subnet.name.lower() == wanted:
                return answer(_subnet(subnet.id, subnet.name, str(subnet.prefix)))
        message = f"Resource {ids.NETWORK}/{request.path['name']}/subnets/{request.path['subnet']} not found."
        raise ArmError(HTTPStatus.NOT_FOUND, "NotFound", message)

    def operation(self, request: Request) -> Response:
        """Where an operation stands; with `monitor=true`, and at a provider's results, in the manner of Location."""
        operation = self._cloud.operations.all.get(request.path["operation"])
        if operation is None:
            raise ArmError(HTTPStatus.NOT_FOUND, "NotFound", "The entity was not found in this Azure location.")
        pause = Links(self._cloud, request).pause() if operation.status is Status.IN_PROGRESS else {}
        if request.query.get("monitor") != "true":
            return answer(_operation(operation), headers=pause)
        if operation.status is Status.IN_PROGRESS:
            again = {"Location": Links(self._cloud, request).here(request.uri)}
            return answer(None, HTTPStatus.ACCEPTED, {**again, **pause})
        if operation.error is not None:
            raise ArmError(HTTPStatus.CONFLICT, operation.error.code, operation.error.message)
        made = self._made(operation)
        return answer(made, HTTPStatus.OK if made is not None else HTTPStatus.NO_CONTENT)

    def _made(self, operation: Operation) -> Json | None:
        """What a PUT has made is what its Location ends in."""
        vm_id = ids.parse(operation.subject)
        if operation.kind != "VirtualMachines_CreateOrUpdate" or vm_id is None:
            return None
        machine = self._cloud.vms.get((vm_id.group, vm_id.name))
        return None if machine is None else rendering.vm(self._cloud, machine)

    def _vms(self, request: Request, machines: Iterable[VM]) -> Response:
        expand, criterion = _expansions(request), request.query.get("$filter", "")
        if criterion and not criterion.startswith(_FILTERS):
            raise InvalidParameterError("$filter", f"The filter '{criterion}' is not valid.")
        if expand and not criterion:
            message = (
                "The parameter '$expand' is only supported together with a '$filter' on 'virtualMachineScaleSet/id'."
            )
            raise InvalidParameterError("$expand", message)
        shown = [] if criterion else machines
        return page(self._cloud, request, shown, lambda one: rendering.vm(self._cloud, one, listed=True))

    def _shows(self, request: Request, machine: VM) -> bool:
        if not self._cloud.knobs.filters_subscription_list:
            return True
        return access.may(request.caller, READ_VM, self._cloud.id_of(ids.VM, machine))


def missing(cloud: Cloud, request: Request, kind: str) -> ArmError:
    """404: the provider's own of what it has had, ARM's of what it has never heard of."""
    if kind == ids.VM and request.key in cloud.deleted:
        return ArmError(HTTPStatus.NOT_FOUND, "NotFound", "The entity was not found in this Azure location.")
    message = (
        f"The Resource '{kind}/{request.path['name']}' under resource group '{request.path['group']}' was not found. "
        "For more details please go to https://aka.ms/ARMResourceNotFoundFix"
    )
    return GatewayError(HTTPStatus.NOT_FOUND, "ResourceNotFound", message)


def page(cloud: Cloud, request: Request, resources: Iterable[Found], render: Callable[[Found], Json]) -> Response:
    """One page of a list, in the order of groups and names, with a link to the next."""
    after = _decode(request.query.get("$skiptoken", ""))
    rest = sorted((one for one in resources if one.key > after), key=lambda one: one.key)
    shown = rest[: cloud.knobs.page_size]
    body: Json = {"value": [render(one) for one in shown]}
    if len(rest) > len(shown):
        body["nextLink"] = _next_link(cloud, request, shown[-1].key)
    return answer(body)


def _next_link(cloud: Cloud, request: Request, last: tuple[str, str]) -> str:
    token = base64.urlsafe_b64encode("/".join(last).encode()).decode()
    path, _, _ = request.uri.partition("?")
    kept: Mapping[str, str] = {name: value for name, value in request.query.items() if name != "$skiptoken"}
    return Links(cloud, request).here(f"{path}?{urlencode({**kept, '$skiptoken': token}, safe='$')}")


def _decode(token: str) -> tuple[str, str]:
    if not token:
        return "", ""
    try:
        group, found, name = base64.urlsafe_b64decode(token).decode().partition("/")
    except (binascii.Error, ValueError):
        found = ""
    if not found:
        raise InvalidParameterError("$skiptoken", "The provided skip token is not valid.")
    return group, name


def _expansions(request: Request) -> frozenset[str]:
    given = [part.strip() for part in request.query.get("$expand", "").split(",") if part.strip()]
    for part in given:
        if part.lower() not in EXPANSIONS:
            message = f"The value '{part}' of parameter '$expand' is not valid."
            raise InvalidParameterError("$expand", message)
    return frozenset(EXPANSIONS[part.lower()] for part in given)


def _subnet(subnet_id: str, name: str, prefix: str) -> Json:
    return {
        "name": name,
        "id": subnet_id,
        "type": f"{ids.NETWORK}/subnets",
        "properties": {
            "provisioningState": "Succeeded",
            "addressPrefix": prefix,
            "delegations": [],
            "privateEndpointNetworkPolicies": "Disabled",
            "privateLinkServiceNetworkPolicies": "Enabled",
        },
    }


def _operation(operation: Operation) -> Json:
    body: Json = {"startTime": operation.start_time}
    if operation.end_time is not None:
        body["endTime"] = operation.end_time
    body["status"] = operation.status.value
    if operation.error is not None:
        body["error"] = {"code": operation.error.code, "message": operation.error.message}
    return {**body, "name": operation.id}
