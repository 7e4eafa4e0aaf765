#!/usr/bin/env python
"""Django's command line: `manage.py sandbox`, `serve`, `check`, `leftovers`, `spectacular`."""

import os
import signal
import sys

from cloudvm_project import __version__

if sys.argv[1:2] == ["version"] or "--version" in sys.argv[1:]:
    # Django would print its own version.
    sys.stdout.write(f"{__version__}\n")
    sys.exit()

if sys.argv[1:2] == ["serve"]:
    # The server fetches these signals itself. Blocked this early, none is lost while it starts.
    signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGTERM, signal.SIGINT, signal.SIGHUP))

try:
    from django.core.management import execute_from_command_line
except ModuleNotFoundError as error:
    if error.name != "django":
        raise
    sys.exit(
        f"Django is not installed for {sys.executable}. README.md says how to make .venv and fill it; "
        "then run .venv/bin/python manage.py."
    )

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "cloudvm_project.settings")
    execute_from_command_line(sys.argv)
