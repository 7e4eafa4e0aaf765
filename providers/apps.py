"""Django's handle on this package, which is a Django app only for its management commands."""

from django.apps import AppConfig


class ProvidersConfig(AppConfig):
    """Holds no models and runs nothing at start."""

    name = "providers"
