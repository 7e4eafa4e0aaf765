"""`manage.py serve`: the API under the production server."""

from __future__ import annotations

import ctypes
import signal
import socket
from argparse import ArgumentParser
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from granian.constants import Interfaces
from granian.log import LogLevels
from granian.server import Server


class Command(BaseCommand):
    """Runs until it is told to stop (Ctrl-C or SIGTERM), finishing the requests that are under way."""

    help = "Run the API under granian (WSGI)."
    requires_system_checks = "__all__"

    def add_arguments(self, parser: ArgumentParser) -> None:
        """The command's options."""
        parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: 127.0.0.1)")
        parser.add_argument("--port", type=int, default=8080, help="port to listen on (default: 8080)")
        parser.add_argument("--workers", type=int, default=2, help="processes (default: 2)")
        parser.add_argument("--threads", type=int, default=64, help="requests at once in a process (default: 64)")
        parser.add_argument(
            "--stop-timeout",
            type=int,
            default=30,
            help="seconds that requests under way may take when it is told to stop (default: 30)",
        )
        parser.add_argument("--quiet", action="store_true", help="do not say where it listens")
        parser.add_argument("--tls-cert", type=Path, help="certificate file, to serve https")
        parser.add_argument("--tls-key", type=Path, help="the certificate's private key file")

    def handle(self, *args: Any, **options: Any) -> None:
        """Serve."""
        _bound_arenas()
        _check_address(options["host"], options["port"])
        scheme = "https" if options["tls_cert"] else "http"
        if not options["quiet"]:
            self.stdout.write(f"CloudVM API on {scheme}://{options['host']}:{options['port']} (Ctrl-C stops it)")
            self.stdout.flush()
        Server(
            "cloudvm_project.wsgi:application",
            address=options["host"],
            port=options["port"],
            interface=Interfaces.WSGI,
            websockets=False,
            workers=options["workers"],
            blocking_threads=options["threads"],
            ssl_cert=options["tls_cert"],
            ssl_key=options["tls_key"],
            log_dictconfig=settings.LOGGING,
            # What it has to say below that is the comings and goings of workers.
            log_level=LogLevels.error,
            respawn_failed_workers=True,
            workers_kill_timeout=options["stop_timeout"],
        ).serve(target_loader=_load)


def _load(target: str) -> Callable[..., Any]:
    """The application, in a worker that can be stopped while it starts.

    A worker is a fork and has granian's handlers of the parent, which would swallow a signal; granian sets the
    worker's own only after this.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    module, _, name = target.partition(":")
    application: Callable[..., Any] = getattr(import_module(module), name)
    return application


def _check_address(host: str, port: int) -> None:
    """Refuse in a sentence what granian would refuse with a traceback."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        socket.create_server((host, port), family=family).close()
    except (OSError, OverflowError) as error:
        raise CommandError(f"Cannot listen on {host}:{port}: {error}") from None


def _bound_arenas() -> None:
    """Let glibc keep two heaps: else each thread gets one of its own and keeps what a long list once took of it.

    The workers are forks of this process and inherit it. (The same as MALLOC_ARENA_MAX=2, see mallopt(3).)
    """
    m_arena_max = -8
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # other C libraries have no such thing
    if mallopt is not None:
        mallopt(m_arena_max, 2)
