"""`manage.py check`: the files, and what a production start needs."""

from __future__ import annotations

from collections.abc import Sequence

from django.apps import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Error, register

from vms.registries import RegistryError
from vms.service import current_service


@register
def check_files(app_configs: Sequence[AppConfig] | None, **kwargs: object) -> list[CheckMessage]:
    """Every fault of the environments and machine types files."""
    try:
        current_service()
    except RegistryError as error:
        return [Error(str(fault), id="cloudvm.E001") for fault in error.faults]
    return []


@register
def check_secret_key(app_configs: Sequence[AppConfig] | None, **kwargs: object) -> list[CheckMessage]:
    """The key that signs operation tokens."""
    if settings.DEBUG or settings.CLOUDVM_SECRET_KEY:
        return []
    return [
        Error(
            "CLOUDVM_SECRET_KEY is not set. It signs operation tokens and must be the same on all replicas.",
            hint="Make one with: python3 -c 'import secrets; print(secrets.token_urlsafe(50))'",
            id="cloudvm.E002",
        )
    ]
