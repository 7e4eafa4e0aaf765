"""Django's test client in front of one application: its middleware is made once per process, as in production."""

from functools import cache
from typing import Any

from django.core.signals import setting_changed
from django.dispatch import receiver
from django.http import HttpRequest
from django.test import Client
from django.test.client import ClientHandler

from vms.registries import RegistryError
from vms.service import start_service

_SETTINGS = {"CLOUDVM_ENVIRONMENTS_FILE", "CLOUDVM_MACHINETYPES_FILE", "CLOUDVM_NETWORK", "CLOUDVM_LIMITS"}


class _Handler(ClientHandler):
    """Handler that starts the service where its files were written after the settings were changed."""

    is_started = False

    def get_response(self, request: HttpRequest) -> Any:
        if not _Handler.is_started:
            start_service()
            _Handler.is_started = True
        return super().get_response(request)


@receiver(setting_changed)
def _restart_service(setting: str, **_: object) -> None:
    """Start the service again when a test changes what it is made from."""
    if setting in _SETTINGS:
        try:
            start_service()
            _Handler.is_started = True
        except RegistryError:
            _Handler.is_started = False


@cache
def _handler(enforce_csrf_checks: bool) -> ClientHandler:  # noqa: FBT001 - a cache's key
    return _Handler(enforce_csrf_checks=enforce_csrf_checks)


def client(*, enforce_csrf_checks: bool = False) -> Client:
    """Return a client without cookies that answers 500 where a view raises."""
    made = Client(enforce_csrf_checks=enforce_csrf_checks, raise_request_exception=False)
    made.handler = _handler(enforce_csrf_checks)
    return made
