"""The OpenAPI schema and Swagger UI, from assets of our own."""

from __future__ import annotations

import threading
from functools import cache
from typing import Any

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


_lock = threading.Lock()


def generate_schema() -> dict[str, Any]:
    """Return the schema, the same for every caller. Generate it on the first call, which takes 0.1 seconds."""
    # drf-spectacular keeps state per process, so two threads must not generate at once.
    with _lock:
        return _generate()


@cache
def _generate() -> dict[str, Any]:
    schema: dict[str, Any] = SchemaGenerator().get_schema(request=None, public=True)  # type: ignore[no-untyped-call] # drf-spectacular is untyped
    return schema


class OnceGenerator(SchemaGenerator):
    """Generator whose schema is generated once per process; nobody may change it."""

    def get_schema(self, request: Request | None = None, public: bool = False) -> dict[str, Any]:  # noqa: FBT001, FBT002 - the base class's
        return generate_schema()


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
