"""The OpenAPI schema and Swagger UI, from assets of our own."""

from __future__ import annotations

from typing import Any, ClassVar

from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView
from rest_framework.request import Request
from rest_framework.response import Response

from vms.endpoint import read_query
from vms.serializers import NoQuery

# Swagger UI sets styles from its script, and has its icons as data: URLs. Scripts are our own files only.
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "font-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


class OnceGenerator(SchemaGenerator):
    """Makes the schema once in a process: it takes a tenth of a second, and is the same for every caller."""

    _made: ClassVar[dict[str, Any] | None] = None

    def get_schema(self, request: Request | None = None, public: bool = False) -> dict[str, Any]:  # noqa: FBT001, FBT002 - the base class's
        """The schema; nobody may change it."""
        if OnceGenerator._made is None:
            OnceGenerator._made = super().get_schema(request=None, public=True)  # type: ignore[no-untyped-call] # drf-spectacular is untyped
        return OnceGenerator._made


class SchemaView(SpectacularAPIView):
    """The OpenAPI schema of this service."""

    schema = None
    generator_class = OnceGenerator

    def get(self, request: Request, *args: object, **kwargs: object) -> Response:
        """The schema; there is one, so that a parameter for another version would be ignored."""
        read_query(NoQuery, request)
        response: Response = super().get(request, *args, **kwargs)  # type: ignore[no-untyped-call] # drf-spectacular's views are untyped
        return response


class DocsView(SpectacularSwaggerSplitView):
    """Swagger UI, to read the schema and try the calls."""

    schema = None
    template_name = "vms/docs.html"

    def get(self, request: Request, *args: object, **kwargs: object) -> Response:
        """The page, or (with `script`) its script."""
        response: Response = super().get(request, *args, **kwargs)  # type: ignore[no-untyped-call] # drf-spectacular's views are untyped
        response["Content-Security-Policy"] = CONTENT_SECURITY_POLICY
        return response
