"""The endpoints that ask no cloud and need no token: what is configured, the catalogue of errors, health."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from django.http import HttpResponseRedirect
from rest_framework.permissions import AllowAny
from rest_framework.renderers import BaseRenderer, TemplateHTMLRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from providers.errors import ErrorCode
from vms import answers, catalogue, pages
from vms.endpoint import Endpoint, is_page, read_query
from vms.problems import Problem
from vms.renderers import JSONRenderer
from vms.serializers import MachineTypeQuery, NoQuery


class PublicEndpoint(Endpoint):
    """What needs no token, as no backend is asked."""

    authentication_classes = ()
    permission_classes = (AllowAny,)


class EnvironmentViewSet(PublicEndpoint):
    """What is configured."""

    lookup_url_kwarg = "name"
    lookup_value_converter = "str"
    pages: Mapping[str, str] = MappingProxyType({"list": "vms/environments.html", "retrieve": "vms/environments.html"})

    def page_context(self, request: Request, data: object) -> Mapping[str, object]:
        """One environment is a list of one."""
        return {"environments": data if isinstance(data, list) else [data]}

    def list(self, request: Request) -> Response:
        """Every environment with the machine types that it offers."""
        read_query(NoQuery, request)
        return Response([self._answer(name) for name in self.service.registries.environments])

    def retrieve(self, request: Request, name: str) -> Response:
        """One environment."""
        read_query(NoQuery, request)
        return Response(self._answer(name))

    def _answer(self, name: str) -> dict[str, object]:
        environment = self.service.environment(name, status=404)
        return answers.environment_answer(environment, self.service.registries.offered(environment))


class MachineTypeViewSet(PublicEndpoint):
    """Sizes and systems."""

    lookup_url_kwarg = "name"
    lookup_value_converter = "str"
    pages: Mapping[str, str] = MappingProxyType({"list": "vms/machinetypes.html", "retrieve": "vms/machinetypes.html"})

    def page_context(self, request: Request, data: object) -> Mapping[str, object]:
        """One machine type is a list of one."""
        return {"machine_types": data if isinstance(data, list) else [data]}

    def list(self, request: Request) -> Response:
        """Every machine type, or those that an environment offers."""
        query = read_query(MachineTypeQuery, request)
        registries = self.service.registries
        if "environment" in query:
            found = registries.offered(self.service.environment(query["environment"]))
        else:
            found = tuple(registries.machine_types.values())
        return Response([answers.machine_type_answer(machine_type) for machine_type in found])

    def retrieve(self, request: Request, name: str) -> Response:
        """One machine type."""
        read_query(NoQuery, request)
        return Response(answers.machine_type_answer(self.service.machine_type(name, status=404)))


class ProblemViewSet(PublicEndpoint):
    """The catalogue of errors, to which each problem's `type` leads; as a page for browsers."""

    lookup_url_kwarg = "code"
    lookup_value_converter = "str"
    renderer_classes: tuple[type[BaseRenderer], ...] = (JSONRenderer, TemplateHTMLRenderer)

    def list(self, request: Request) -> Response:
        """Every error."""
        read_query(NoQuery, request)
        entries = [catalogue.entry(code) for code in ErrorCode]
        return self._answer(request, entries, "vms/problems.html", {"entries": entries})

    def retrieve(self, request: Request, code: str) -> Response:
        """One error: what it means, what usually causes it on each cloud, what to do."""
        read_query(NoQuery, request)
        if code not in set(ErrorCode):
            raise Problem(ErrorCode.NOT_FOUND, "There is no such error. `GET /problems` lists all.")
        entry = catalogue.entry(ErrorCode(code))
        return self._answer(request, entry, "vms/problem.html", {"entry": entry})

    def _answer(self, request: Request, data: object, template: str, context: dict[str, object]) -> Response:
        if not isinstance(request.accepted_renderer, TemplateHTMLRenderer):
            return Response(data)
        # No page of this catalogue needs a script; the frame is the other pages'.
        asked = request._request  # noqa: SLF001 - DRF's documented way to Django's request
        response = Response({"signed_in": pages.signed_in(asked), **context}, template_name=template)
        pages.dress(response)
        return response


class LandingView(PublicEndpoint):
    """The first page: what this is, and where to go. Programs are led to the documentation."""

    schema = None
    pages: Mapping[str, str] = MappingProxyType({"show": "vms/landing.html"})

    def show(self, request: Request) -> Response | HttpResponseRedirect:
        """The page."""
        if not is_page(request):
            return HttpResponseRedirect("/docs")
        return Response({})


class HealthViewSet(PublicEndpoint):
    """For whoever watches the process."""

    def livez(self, request: Request) -> Response:
        """The process is up."""
        return Response({"status": "ok"})

    def readyz(self, request: Request) -> Response:
        """The registries are loaded."""
        _ = self.service
        return Response({"status": "ok"})
