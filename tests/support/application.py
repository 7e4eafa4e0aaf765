"""Django's test client in front of one application: its middleware is made once per process, as in production."""

from functools import cache

from django.test import Client
from django.test.client import ClientHandler


@cache
def _handler(enforce_csrf_checks: bool) -> ClientHandler:  # noqa: FBT001 - a cache's key
    return ClientHandler(enforce_csrf_checks=enforce_csrf_checks)


def client(*, enforce_csrf_checks: bool = False) -> Client:
    """Return a client without cookies that answers 500 where a view raises."""
    made = Client(enforce_csrf_checks=enforce_csrf_checks, raise_request_exception=False)
    made.handler = _handler(enforce_csrf_checks)
    return made
