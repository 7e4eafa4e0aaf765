"""What all endpoints share: reading a query and preferences, and the way to the service."""

from __future__ import annotations

from typing import cast

from rest_framework import exceptions
from rest_framework.request import Request
from rest_framework.viewsets import ViewSet

from vms.preferences import Preferences, parse_prefer
from vms.serializers import Strict
from vms.service import Service, current_service


class Endpoint(ViewSet):
    """What all endpoints share."""

    @property
    def allowed_methods(self) -> list[str]:
        """The methods for `Allow`: what a caller can use here, without the automatic OPTIONS."""
        return [method for method in super().allowed_methods if method != "OPTIONS"]

    @property
    def service(self) -> Service:
        """The process's registries and cloud side."""
        return current_service()


def read_query(kind: type[Strict], request: Request) -> dict[str, str]:
    """The validated query; a parameter that stands twice is refused, as nobody knows which one is meant.

    Raises:
        ValidationError: with every unknown, repeated or wrong parameter.

    """
    repeated = {key: ["stands more than once"] for key, values in request.query_params.lists() if len(values) > 1}
    if repeated:
        raise exceptions.ValidationError(repeated)
    serializer = kind(data=request.query_params.dict())
    serializer.is_valid(raise_exception=True)
    return cast("dict[str, str]", serializer.validated_data)


def read_preferences(request: Request) -> Preferences:
    """What the request prefers."""
    return parse_prefer(request.headers.get("Prefer", ""))
