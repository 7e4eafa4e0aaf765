"""Django's handle on this package."""

from django.apps import AppConfig


class VmsConfig(AppConfig):
    """Registers the checks of the files and settings."""

    name = "vms"

    def ready(self) -> None:
        """Django calls this once all is set up."""
        from vms import checks  # noqa: F401, PLC0415 - importing it registers the checks, which need Django set up
