"""`manage.py check`: the files, and what a production start needs."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from django.apps import AppConfig
from django.conf import settings
from django.core.checks import ERROR, WARNING, CheckMessage, Error, register

from providers.catalogue import use_fault
from vms.files.certificates import certificates_fault
from vms.registries import RegistryError
from vms.service import read_registries

SHORTEST_SECRET_KEY = 32

_logger = logging.getLogger("cloudvm.server")


@register
def check_files(app_configs: Sequence[AppConfig] | None, **kwargs: object) -> list[CheckMessage]:
    """Every fault of the environments and machine types files."""
    try:
        read_registries()
    except RegistryError as error:
        return [Error(str(fault), id="cloudvm.E001") for fault in error.faults]
    return []


@register
def check_use(app_configs: Sequence[AppConfig] | None, **kwargs: object) -> list[CheckMessage]:
    """Environments that can be read, and yet not be used: the others need not wait for them."""
    try:
        environments = read_registries().environments.values()
    except RegistryError:
        return []
    faults = filter(None, map(use_fault, environments))
    return [CheckMessage(WARNING, fault, id="cloudvm.W002") for fault in faults]


@register
def check_secret_key(app_configs: Sequence[AppConfig] | None, **kwargs: object) -> list[CheckMessage]:
    """Report a missing or short key: it signs operation tokens and encrypts browsers' cookies."""
    key = settings.CLOUDVM_SECRET_KEY
    if len(key) >= SHORTEST_SECRET_KEY or (settings.DEBUG and not key):
        return []
    fault = f"has {len(key)} characters and needs at least {SHORTEST_SECRET_KEY}" if key else "is not set"
    return [
        Error(
            f"CLOUDVM_SECRET_KEY {fault}. It signs operation tokens, encrypts browsers' cookies, and must be "
            "the same on all replicas.",
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
def check_proxies(app_configs: Sequence[AppConfig] | None, **kwargs: object) -> list[CheckMessage]:
    """Report proxy variables that cannot work: every call to a cloud would fail."""
    return [Error(fault, id="cloudvm.E004") for fault in settings.PROXY_FAULTS]


@register
def check_names(app_configs: Sequence[AppConfig] | None, **kwargs: object) -> list[CheckMessage]:
    """Variables that look like a mistyped setting: its default would count, and nobody would know."""
    return [
        CheckMessage(WARNING, f"{name} is no setting of this service. Is {setting} meant?", id="cloudvm.W001")
        for name, setting in settings.MISTYPED_VARIABLES.items()
    ]


def start_faults() -> list[str]:
    """Return the errors that stop a start, one line each. Log the warnings."""
    checks = (check_files, check_secret_key, check_ca_bundle, check_proxies, check_use, check_names)
    messages = [message for check in checks for message in check(None)]
    for message in messages:
        if message.level < ERROR:
            _logger.warning("%s", message.msg)
    return [
        message.msg if message.hint is None else f"{message.msg} {message.hint}"
        for message in messages
        if message.level >= ERROR
    ]
