"""Pages that the API itself has no use for: the form for a new VM, and the question before one is deleted."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from types import MappingProxyType

from django.http import HttpRequest, HttpResponse
from rest_framework.request import Request
from rest_framework.response import Response

from providers.domain import Environment
from providers.errors import ErrorCode
from vms import csrf
from vms.authentication import SignInAuthentication
from vms.endpoint import read_query
from vms.forms import CREATE_FIELDS, SHOWN_AGAIN, create_page, masked, wanted
from vms.pages import SignInForm, list_path, may_come_back, sign_in_page
from vms.problems import Problem, problem_response
from vms.renderers import PageRenderer, wants_page
from vms.serializers import InEnvironment
from vms.views import VMViewSet


class VMPages(VMViewSet):
    """For signed-in browsers; what they do is done by the API's own endpoints."""

    schema = None
    authentication_classes = (SignInAuthentication,)
    renderer_classes = (PageRenderer,)
    pages: Mapping[str, str] = MappingProxyType({"submit": "", "confirm": "vms/delete.html", "remove": ""})

    def form(self, request: Request) -> HttpResponse:
        """The form for a new VM."""
        return create_page(_asked(request), self._environment(request), {"start": "on"})

    def submit(self, request: Request) -> Response:
        """Make the VM that was typed in."""
        environment, typed = self._environment(request), _typed(_asked(request))
        return self.make(request, wanted(environment.name, typed), csrf.sent_form(_asked(request)).get("key"))

    def confirm(self, request: Request, id: str) -> Response:
        """Ask whether the VM shall really be deleted; shows which one it is."""
        return self.retrieve(request, id)

    def remove(self, request: Request, id: str) -> Response:
        """Delete it."""
        return self.destroy(request, id)

    def after(self, request: Request) -> str:
        """The list: the VM is no more."""
        return list_path(request.query_params["environment"])

    def handle_exception(self, exc: Exception) -> HttpResponse:  # type: ignore[override] # a page is Django's own
        """What was typed comes back with what is wrong; if nobody is signed in any more, through the sign-in page."""
        problem: HttpResponse = super().handle_exception(exc)
        asked = self.request._request  # noqa: SLF001 - DRF's documented way to Django's request
        if self.action != "submit" or not wants_page(asked) or not may_come_back(asked, problem):
            return problem
        environment = self.service.registries.environments.get(asked.GET.get("environment", ""))
        if environment is None:
            return problem
        if problem.status_code == HTTPStatus.UNAUTHORIZED:
            return _sign_in_first(asked, environment, problem)
        return create_page(asked, environment, _shown_again(asked), problem)

    def _environment(self, request: Request) -> Environment:
        return self.service.environment(read_query(InEnvironment, request)["environment"])


def _sign_in_first(request: HttpRequest, environment: Environment, problem: HttpResponse) -> HttpResponse:
    """The sign-in page, which carries what was typed; but not for another site's page."""
    try:
        csrf.enforce(request)
    except Problem as refused:
        told = problem_response(refused, request)
        if refused.code != ErrorCode.CROSS_SITE or not may_come_back(request, told):
            return told
    return sign_in_page(request, SignInForm(environment=environment.name, carried=_shown_again(request)), problem)


def _typed(request: HttpRequest) -> Mapping[str, str]:
    sent = csrf.sent_form(request)
    return masked({name: str(sent[name]) for name in CREATE_FIELDS if name in sent})


def _shown_again(request: HttpRequest) -> Mapping[str, str]:
    typed = _typed(request)
    return {name: typed[name] for name in SHOWN_AGAIN if name in typed}


def _asked(request: Request) -> HttpRequest:
    return request._request  # noqa: SLF001 - DRF's documented way to Django's request
