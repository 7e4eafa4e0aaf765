"""`manage.py check`: the files, and what a production start needs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from django.apps import AppConfig
from django.conf import settings
from django.core.checks import WARNING, CheckMessage, Error, register

from providers.catalogue import use_fault
from vms.files.certificates import certificates_fault
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
def check_use(app_configs: Sequence[AppConfig] | None, **kwargs: object) -> list[CheckMessage]:
    """Environments that can be read, and yet not be used: the others need not wait for them."""
    try:
        environments = current_service().registries.environments.values()
    except RegistryError:
        return []
    faults = filter(None, map(use_fault, environments))
    return [CheckMessage(WARNING, fault, id="cloudvm.W002") for fault in faults]


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


@register
def check_ca_bundle(app_configs: Sequence[AppConfig] | None, **kwargs: object) -> list[CheckMessage]:
    """The file of certificate authorities for every cloud; a folder of them is taken as it is."""
    bundle = settings.CLOUDVM_NETWORK.ca_bundle
    if not bundle or Path(bundle).is_dir():
        return []
    problem = certificates_fault(Path(bundle))
    return [Error(f"REQUESTS_CA_BUNDLE, else CURL_CA_BUNDLE: {problem}.", id="cloudvm.E003")] if problem else []


@register
def check_names(app_configs: Sequence[AppConfig] | None, **kwargs: object) -> list[CheckMessage]:
    """Variables that look like a mistyped setting: its default would count, and nobody would know."""
    return [
        CheckMessage(WARNING, f"{name} is no setting of this service. Is {setting} meant?", id="cloudvm.W001")
        for name, setting in settings.MISTYPED_VARIABLES.items()
    ]
