"""The endpoints that ask a cloud: take a request apart, call one verb, put the answer together."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import cast

from rest_framework import exceptions
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from providers.domain import StopMode, VMStatus
from providers.errors import ErrorCode
from providers.gateway import Gateway
from vms import answers
from vms.creation import Body, spec_from
from vms.csrf import looks_ahead
from vms.endpoint import Endpoint, read_preferences, read_query
from vms.operations import Followed, OperationTokenError, unseal
from vms.pages import ACTIONS, CHANGING, pretty, vm_path
from vms.problems import Problem
from vms.serializers import InEnvironment, ListQuery, NoQuery, StopQuery, VMCreate
from vms.service import credentials_of


class VMViewSet(Endpoint):
    """VMs of one environment."""

    lookup_url_kwarg = "id"
    lookup_value_converter = "str"
    pages: Mapping[str, str] = MappingProxyType(
        {"list": "vms/vms.html", "retrieve": "vms/vm.html", "start": "", "stop": "", "restart": ""}
    )

    @property
    def takes_sign_in(self) -> bool:
        """Whether a browser's cookie counts: never for a GET that changes something."""
        return self.action not in {"start_by_get", "stop_by_get"}

    def named_environment(self, request: Request) -> str | None:
        """The environment that a request names: in its query, or in its body when a VM is to be made."""
        if self.action != "create":
            return super().named_environment(request)
        named = request.data.get("environment") if isinstance(request.data, dict) else None
        return named if isinstance(named, str) else None

    def page_context(self, request: Request, data: object) -> Mapping[str, object]:
        """The environment, and VMs with what can be asked of them: of a list, or one."""
        query = request.query_params.dict()
        environment = {"environment": query["environment"]}
        if isinstance(data, dict):
            shown = {"vm": data, "verbs": ACTIONS[data["status"]], "pretty": pretty(data)}
            return {**environment, **shown, "changing": data["status"] in CHANGING}
        vms = cast("list[dict[str, str]]", data)
        rows = [{"vm": vm, "verbs": ACTIONS[vm["status"]]} for vm in vms]
        changing = any(vm["status"] in CHANGING for vm in vms)
        return {**environment, "query": query, "statuses": list(VMStatus), "rows": rows, "changing": changing}

    def after(self, request: Request) -> str:
        """The VM itself."""
        return vm_path(self.kwargs["id"], request.query_params["environment"])

    @property
    def allowed_methods(self) -> list[str]:
        """The same, without the HEAD that must not start or stop anything."""
        methods = super().allowed_methods
        return (
            methods
            if self.action_map and self.action_map.get("get") in {"list", "retrieve"}
            else [method for method in methods if method != "HEAD"]
        )

    def list(self, request: Request) -> Response:
        """List the environment's VMs, ordered by name, then id."""
        query = read_query(ListQuery, request)
        gateway, environment = self._gateway(query, request)
        wanted = {key: query[key] for key in ("name", "status") if key in query}
        return Response(
            [
                answers.vm_answer(vm, environment)
                for vm in gateway.list_vms()
                if all(getattr(vm, key) == value for key, value in wanted.items())
            ]
        )

    def create(self, request: Request) -> Response:
        """Make a VM; it runs at the end unless `start` is false."""
        read_query(NoQuery, request)
        return self.make(request, request.data, request.headers.get("Idempotency-Key"))

    def make(self, request: Request, wanted: object, idempotency_key: str | None) -> Response:
        """Make the VM that is wanted."""
        serializer = VMCreate(data=wanted)
        serializer.is_valid(raise_exception=True)
        body = cast("Body", serializer.validated_data)
        environment = self.service.environment(body["environment"])
        machine_type = self.service.offered(body["machinetype"], environment)
        spec = spec_from(body, environment, machine_type, idempotency_key)
        preferences = read_preferences(request)
        gateway = self.service.gateway(environment, request)
        operation = gateway.create_vm(spec, preferences.wish(always_show=True))
        return answers.verb_response(operation, environment.name, preferences, request)

    def retrieve(self, request: Request, id: str) -> Response:
        """One VM."""
        gateway, environment = self._gateway(read_query(InEnvironment, request), request)
        return Response(answers.vm_answer(gateway.get_vm(id), environment))

    def destroy(self, request: Request, id: str) -> Response:
        """Delete a VM and everything that create made for it."""
        gateway, environment = self._gateway(read_query(InEnvironment, request), request)
        preferences = read_preferences(request)
        return answers.verb_response(gateway.delete_vm(id, preferences.wish()), environment, preferences, request)

    @action(detail=True, methods=["post"])
    def start(self, request: Request, id: str) -> Response:
        """Start a VM; one that runs already is a success."""
        return self._start(request, id)

    @start.mapping.get
    def start_by_get(self, request: Request, id: str) -> Response:
        """Start a VM, in the form of older clients. Use POST."""
        _refuse_idle_get(request)
        return self._start(request, id)

    @action(detail=True, methods=["post"])
    def stop(self, request: Request, id: str) -> Response:
        """Stop a VM; one that is stopped already is a success."""
        return self._stop(request, id)

    @stop.mapping.get
    def stop_by_get(self, request: Request, id: str) -> Response:
        """Stop a VM, in the form of older clients. Use POST."""
        _refuse_idle_get(request)
        return self._stop(request, id)

    @action(detail=True, methods=["post"])
    def restart(self, request: Request, id: str) -> Response:
        """Restart a running VM, in the same modes as a stop."""
        query = read_query(StopQuery, request)
        gateway, environment = self._gateway(query, request)
        preferences = read_preferences(request)
        operation = gateway.restart_vm(id, StopMode(query["mode"]), float(query["timeout"]), preferences.wish())
        return answers.verb_response(operation, environment, preferences, request)

    def _start(self, request: Request, id: str) -> Response:
        gateway, environment = self._gateway(read_query(InEnvironment, request), request)
        preferences = read_preferences(request)
        return answers.verb_response(gateway.start_vm(id, preferences.wish()), environment, preferences, request)

    def _stop(self, request: Request, id: str) -> Response:
        query = read_query(StopQuery, request)
        gateway, environment = self._gateway(query, request)
        preferences = read_preferences(request)
        operation = gateway.stop_vm(id, StopMode(query["mode"]), float(query["timeout"]), preferences.wish())
        return answers.verb_response(operation, environment, preferences, request)

    def _gateway(self, query: dict[str, str], request: Request) -> tuple[Gateway, str]:
        """The verbs for the environment that the query names, and that name."""
        environment = self.service.environment(query["environment"])
        return self.service.gateway(environment, request), environment.name


class OperationViewSet(Endpoint):
    """Work that went on when its request was answered."""

    lookup_url_kwarg = "token"
    lookup_value_converter = "str"
    pages: Mapping[str, str] = MappingProxyType({"retrieve": "vms/operation.html"})

    def named_environment(self, request: Request) -> str | None:
        """The environment in which the work is done.

        Raises:
            Problem: `operation_not_found`; signing in again would not help.

        """
        return _followed(self.kwargs["token"]).environment

    def retrieve(self, request: Request, token: str) -> Response:
        """Show where an operation stands, to the access key that began it."""
        read_query(NoQuery, request)
        followed = _followed(token)
        environment = self.service.environment(followed.environment, status=404)
        if not followed.is_owned_by(credentials_of(request).access_key):
            raise _not_followed("was made for another access key")
        operation = self.service.gateway(environment, request).poll(followed.operation)
        return answers.following_response(operation, environment.name, request, status=200)


def _followed(token: str) -> Followed:
    try:
        return unseal(token)
    except OperationTokenError as error:
        raise _not_followed(str(error)) from None


def _not_followed(why: str) -> Problem:
    return Problem(ErrorCode.OPERATION_NOT_FOUND, f"The operation's token {why}.")


def _refuse_idle_get(request: Request) -> None:
    """The GET forms act only when somebody means it: not for HEAD, not because a browser looks ahead."""
    if request.method == "HEAD":
        raise exceptions.MethodNotAllowed("HEAD")
    if looks_ahead(request._request):  # noqa: SLF001 - DRF's documented way to Django's request
        raise Problem(ErrorCode.INVALID_REQUEST, "This changes a VM and is not for looking ahead. Use POST.")
