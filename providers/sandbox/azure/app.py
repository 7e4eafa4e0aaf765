"""ARM over HTTP: who calls, API version, subscription, planned fault, action, lock, group, and the answer."""

import re
from collections.abc import Callable, Iterable, Mapping
from http import HTTPStatus
from wsgiref.types import StartResponse, WSGIEnvironment

from werkzeug.wrappers import Request as HttpRequest
from werkzeug.wrappers import Response

from providers.sandbox import faults
from providers.sandbox.azure import access, catalogue, entra_app, ids, routes
from providers.sandbox.azure.attachments import Attachments
from providers.sandbox.azure.creating import Creating
from providers.sandbox.azure.entra import Principal
from providers.sandbox.azure.entra_app import EntraApp
from providers.sandbox.azure.knobs import LockLevel
from providers.sandbox.azure.lifecycle import Lifecycle
from providers.sandbox.azure.links import Links
from providers.sandbox.azure.reading import READ_VM, Reading
from providers.sandbox.azure.resources import Cloud, Request
from providers.sandbox.azure.routes import Match
from providers.sandbox.azure.states import Accepted
from providers.sandbox.azure.wire import ArmError, GatewayError, answer, error_answer, mark
from providers.sandbox.connection import ConnectionCutError
from providers.sandbox.faults import Calls, Fault, Faults

Action = Callable[[Request], Response | Accepted]
_VERSION = re.compile(r"\d{4}-\d{2}-\d{2}(-preview)?")
_PROVIDER = re.compile(
    r"/subscriptions/[^/]+(/resourceGroups/[^/]+)?/providers/(?P<space>[^/]+)(/(?P<type>[^/]+))?.*", re.IGNORECASE
)
# The compute provider counts for itself, and tells what is left.
_LIMITS: Mapping[str, tuple[str, int, int]] = {
    "VirtualMachines_CreateOrUpdate": ("PutVM", 1499, 11),
    "VirtualMachines_Delete": ("DeleteVM", 1499, 11),
    "VirtualMachines_Get": ("LowCostGet", 23999, 35),
}


def actions(cloud: Cloud) -> Mapping[str, Action]:
    """Which action each operation is."""
    reading, creating, attachments = Reading(cloud), Creating(cloud), Attachments(cloud)
    lifecycle = Lifecycle(cloud, reading.find, creating.equip)
    return {
        "VirtualMachines_ListAll": reading.list_all,
        "VirtualMachines_List": reading.list,
        "VirtualMachines_Get": reading.get,
        "VirtualMachines_InstanceView": reading.instance_view,
        "VirtualMachines_CreateOrUpdate": creating.put,
        "VirtualMachines_Delete": lifecycle.delete,
        "VirtualMachines_Start": lifecycle.start,
        "VirtualMachines_Deallocate": lifecycle.deallocate,
        "VirtualMachines_PowerOff": lifecycle.power_off,
        "VirtualMachines_Restart": lifecycle.restart,
        "NetworkInterfaces_ListAll": attachments.nics,
        "NetworkInterfaces_List": attachments.nics,
        "NetworkInterfaces_Get": attachments.nic,
        "NetworkInterfaces_Delete": attachments.delete_nic,
        "Disks_List": attachments.disks,
        "Disks_ListByResourceGroup": attachments.disks,
        "Disks_Get": attachments.disk,
        "Disks_Delete": attachments.delete_disk,
        "VirtualNetworks_Get": reading.network,
        "Subnets_Get": reading.subnet,
        "ResourceGroups_Get": reading.group,
        routes.POLL: reading.operation,
    }


class AzureApp:
    """The WSGI application in front of a subscription and its tenant."""

    def __init__(self, cloud: Cloud, planned: Faults, calls: Calls) -> None:
        self._cloud = cloud
        self._faults = planned
        self._calls = calls
        self._actions = actions(cloud)
        self._entra = EntraApp(cloud)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Serve one request, as WSGI has it."""
        http = HttpRequest(environ)
        match, entra = routes.find(http.method, http.path), entra_app.find(http.method, http.path)
        record = self._calls.begin(entra or (match.route.operation if match else f"{http.method} {http.path}"))
        try:
            response = self._answer_entra(http, entra) if entra else self._answer_arm(http, match)
        except ConnectionCutError:
            record(None)
            raise
        record(response.status_code)
        return response(environ, start_response)

    def _answer_entra(self, http: HttpRequest, operation: str) -> Response:
        return faults.answer(
            self._faults,
            operation,
            lambda: self._entra.answer(operation, http),
            lambda fault: self._entra.write_fault(fault, http),
        )

    def _answer_arm(self, http: HttpRequest, match: Match | None) -> Response:
        try:
            with self._cloud.lock:
                caller = self._cloud.entra.caller(http.headers.get("Authorization", ""), http.host_url.rstrip("/"))
            query = {name.lower(): value for name, value in http.args.items()}
            match = self._check_address(http, match, query)
            response = faults.answer(
                self._faults, match.route.operation, lambda: self._perform(http, caller, match, query), _write_fault
            )
        except ArmError as error:
            response = error_answer(error)
        if match is not None and match.route.operation in _LIMITS and "x-ms-failure-cause" not in response.headers:
            response.headers["x-ms-ratelimit-remaining-resource"] = _limit(match.route.operation)
        return mark(response, self._cloud.location, writes=http.method != "GET")

    def _check_address(self, http: HttpRequest, match: Match | None, query: Mapping[str, str]) -> Match:
        version = query.get("api-version")
        if not version:
            message = "The api-version query parameter (?api-version=) is required for all requests."
            raise GatewayError(HTTPStatus.BAD_REQUEST, "MissingApiVersionParameter", message)
        if match is None:
            raise _unknown(http, version)
        self._check_version(match, version)
        self._check_subscription(match.path["subscription"])
        return match

    def _check_version(self, match: Match, version: str) -> None:
        versions = match.route.versions
        if version in versions:
            return
        supported = ", ".join(reversed(versions))
        if not _VERSION.fullmatch(version) or versions is catalogue.RESOURCES_VERSIONS:
            message = f"The api-version '{version}' is invalid. The supported versions are '{supported}'."
            raise GatewayError(HTTPStatus.BAD_REQUEST, "InvalidApiVersionParameter", message)
        message = (
            f"No registered resource provider found for location '{self._cloud.location}' and API version '{version}' "
            f"for type '{match.route.type.rpartition('/')[2]}'. The supported api-versions are '{supported}'. The "
            f"supported locations are '{', '.join(sorted(catalogue.LOCATIONS))}'."
        )
        raise GatewayError(HTTPStatus.BAD_REQUEST, "NoRegisteredProviderFound", message)

    def _check_subscription(self, subscription: str) -> None:
        if not re.fullmatch(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", subscription):
            message = f"The provided subscription identifier '{subscription}' is malformed or invalid."
            raise GatewayError(HTTPStatus.BAD_REQUEST, "InvalidSubscriptionId", message)
        if subscription.lower() != self._cloud.subscription.lower():
            message = f"The subscription '{subscription}' could not be found."
            raise GatewayError(HTTPStatus.NOT_FOUND, "SubscriptionNotFound", message)

    def _perform(self, http: HttpRequest, caller: Principal, match: Match, query: Mapping[str, str]) -> Response:
        uri = str(http.environ["REQUEST_URI"])
        request = Request(caller, match.path, query, http.headers, http.get_data(), http.host_url.rstrip("/"), uri)
        try:
            with self._cloud.lock:
                self._cloud.operations.settle()
                self._admit(request, match)
                return self._finish(request, self._actions[match.route.operation](request), is_put=http.method == "PUT")
        except ArmError as error:
            return error_answer(error)

    def _admit(self, request: Request, match: Match) -> None:
        if match.route.action and not self._is_filtered(match):
            access.check(request.caller, match.route.action, match.scope)
        self._refuse_locked(match)
        group = match.path.get("group")
        if group is not None and group.lower() not in self._cloud.groups:
            message = f"Resource group '{group}' could not be found."
            raise GatewayError(HTTPStatus.NOT_FOUND, "ResourceGroupNotFound", message)

    def _is_filtered(self, match: Match) -> bool:
        is_list = match.route.operation == "VirtualMachines_ListAll" and match.route.action == READ_VM
        return is_list and self._cloud.knobs.filters_subscription_list

    def _refuse_locked(self, match: Match) -> None:
        """Read-only locks keep POST away, too.

        https://learn.microsoft.com/azure/azure-resource-manager/management/lock-resources
        """
        if match.route.method == "GET":
            return
        is_delete = match.route.method == "DELETE"
        locked = [
            scope
            for scope, level in self._cloud.locks.items()
            if ids.covers(scope, match.scope) and (is_delete or level is LockLevel.READ_ONLY)
        ]
        if locked:
            message = (
                f"The scope '{match.scope}' cannot perform {'delete' if is_delete else 'write'} operation because "
                f"following scope(s) are locked: '{','.join(locked)}'. Please remove the lock and try again."
            )
            raise GatewayError(HTTPStatus.CONFLICT, "ScopeLocked", message)

    def _finish(self, request: Request, done: Response | Accepted, *, is_put: bool) -> Response:
        if isinstance(done, Response):
            return done
        headers = Links(self._cloud, request).headers(done.operation, is_put=is_put)
        return answer(done.body, done.status, {**headers, **done.headers})


def _limit(operation: str) -> str:
    group, subscription, resource = _LIMITS[operation]
    return f"Microsoft.Compute/{group}SubscriptionMaximum;{subscription},Microsoft.Compute/{group}Resource;{resource}"


def _write_fault(fault: Fault) -> Response:
    status = fault.status or HTTPStatus.INTERNAL_SERVER_ERROR
    message = fault.message or "A planned fault."
    return error_answer(ArmError(status, fault.code or "InternalServerError", message, headers=fault.headers))


def _unknown(http: HttpRequest, version: str) -> ArmError:
    """What ARM says of an address that it does not know."""
    if routes.knows(http.path):
        message = f"The requested resource does not support http method '{http.method}'."
        return GatewayError(HTTPStatus.METHOD_NOT_ALLOWED, "MethodNotAllowed", message)
    provider = _PROVIDER.fullmatch(http.path)
    if provider is None:
        message = f"The request URL is not valid: '{http.path}'."
        return GatewayError(HTTPStatus.NOT_FOUND, "InvalidRequestUri", message)
    space = provider["space"]
    if space.lower() not in {"microsoft.compute", "microsoft.network"}:
        message = f"The resource namespace '{space}' is invalid."
        return GatewayError(HTTPStatus.NOT_FOUND, "InvalidResourceNamespace", message)
    message = (
        f"The resource type '{provider['type']}' could not be found in the namespace '{space}' for api version "
        f"'{version}'."
    )
    return GatewayError(HTTPStatus.NOT_FOUND, "InvalidResourceType", message)
