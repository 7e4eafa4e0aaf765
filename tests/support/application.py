"""Django's test client in front of one application: its middleware is made once per process, as in production."""

from functools import cache

from django.core.signals import setting_changed
from django.dispatch import receiver
from django.test import Client
from django.test.client import ClientHandler

from vms.service import start_service

start_service()


@receiver(setting_changed)
def _restart_service(setting: str, **_: object) -> None:
    """Make the service again when a test changes what it is made from."""
    if setting in {
        "CLOUDVM_ENVIRONMENTS_FILE",
        "CLOUDVM_MACHINETYPES_FILE",
        "CLOUDVM_NETWORK",
        "CLOUDVM_LIMITS",
    }:
        start_service()


@cache
def _handler(enforce_csrf_checks: bool) -> ClientHandler:  # noqa: FBT001 - a cache's key
    return ClientHandler(enforce_csrf_checks=enforce_csrf_checks)


def client(*, enforce_csrf_checks: bool = False) -> Client:
    """Return a client without cookies that answers 500 where a view raises."""
    made = Client(enforce_csrf_checks=enforce_csrf_checks, raise_request_exception=False)
    made.handler = _handler(enforce_csrf_checks)
    return made
