"""`manage.py serve`: the API under the production server."""

from __future__ import annotations

import ctypes
import os
import signal
import ssl
import threading
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Callable
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from granian.constants import Interfaces
from granian.log import LogLevels
from granian.server.mp import MPServer

from providers.management.addresses import free_address

STOPS = (signal.SIGTERM, signal.SIGINT)
TELL_AGAIN_SECONDS = 1.0


class Command(BaseCommand):
    """Runs until it is told to stop (Ctrl-C or SIGTERM), finishing the requests that are under way."""

    help = "Run the API under granian (WSGI)."
    requires_system_checks = "__all__"

    def add_arguments(self, parser: ArgumentParser) -> None:
        """The command's options."""
        parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: 127.0.0.1)")
        parser.add_argument("--port", type=_number(1, 65_535), default=8080, help="port to listen on (default: 8080)")
        parser.add_argument("--workers", type=_number(1, 256), default=2, help="processes (default: 2)")
        parser.add_argument(
            "--threads", type=_number(1, 4096), default=64, help="requests at once in a process (default: 64)"
        )
        parser.add_argument(
            "--stop-timeout",
            type=_number(1, 86_400),
            help="seconds that requests under way may take when it is told to stop (default: as long as any may take)",
        )
        parser.add_argument("--quiet", action="store_true", help="do not say where it listens")
        parser.add_argument("--tls-cert", type=Path, help="certificate file, to serve https")
        parser.add_argument("--tls-key", type=Path, help="the certificate's private key file")

    def handle(self, *args: Any, **options: Any) -> None:
        """Serve.

        Raises:
            CommandError: the address cannot be listened on, or the certificate cannot be used.

        """
        address = _free_address(options["host"], options["port"])
        _check_certificate(options["tls_cert"], options["tls_key"])
        _bound_arenas()
        os.register_at_fork(before=_hold_stops, after_in_parent=_let_stops_through, after_in_child=_stop_at_once)
        scheme = "https" if options["tls_cert"] else "http"
        if not options["quiet"]:
            self.stdout.write(f"CloudVM API on {scheme}://{options['host']}:{options['port']} (Ctrl-C stops it)")
            self.stdout.flush()
        StubbornServer(
            "cloudvm_project.wsgi:application",
            address=address,
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
            working_dir=settings.BASE_DIR,
            respawn_failed_workers=True,
            # No request takes longer, what a failed create leaves included: a worker that is still there hangs.
            workers_kill_timeout=options["stop_timeout"]
            or int(settings.CLOUDVM_REQUEST_DEADLINE_SECONDS + settings.CLOUDVM_CLEAN_UP_SECONDS) + 1,
        ).serve()


class StubbornServer(MPServer):
    """granian's server, which tells its workers to stop until they do.

    A signal that comes just before a worker begins to wait for one is noted there, and does not end the wait: the
    worker would serve on, and the server wait for it, until it is time to kill it.
    """

    def _stop_workers(self) -> None:
        stopped = threading.Event()
        threading.Thread(target=self._tell_again, args=(stopped,), daemon=True).start()
        try:
            super()._stop_workers()  # type: ignore[no-untyped-call] # granian's own
        finally:
            stopped.set()

    def _tell_again(self, stopped: threading.Event) -> None:
        while not stopped.wait(TELL_AGAIN_SECONDS):
            for worker in tuple(self.wrks):
                # One that is finishing its requests goes on with that.
                worker.terminate()  # type: ignore[no-untyped-call] # granian's own


def _number(least: int, most: int) -> Callable[[str], int]:
    """How an option is read that is a whole number in a range."""

    def read(text: str) -> int:
        if not text.isdecimal() or not least <= int(text) <= most:
            raise ArgumentTypeError(f"{text!r} is no whole number from {least} to {most}")
        return int(text)

    return read


def _free_address(host: str, port: int) -> str:
    try:
        return free_address(host, port)
    except OSError as error:
        raise CommandError(f"Cannot listen on {host}, port {port}: {error.strerror}.") from None


def _check_certificate(cert: Path | None, key: Path | None) -> None:
    if cert is None and key is None:
        return
    if cert is None or key is None:
        raise CommandError("--tls-cert and --tls-key go together.")
    for file in (cert, key):
        if not file.is_file():
            raise CommandError(f"{file} is no file.")
    try:
        ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(cert, key, password="")
    except (OSError, ValueError) as error:
        raise CommandError(f"{cert} and {key} are no certificate and its key in PEM form: {error}.") from None


def _hold_stops() -> None:
    """Before a fork: what comes now waits until both processes know what to do with it; Python would drop it."""
    signal.pthread_sigmask(signal.SIG_BLOCK, STOPS)


def _let_stops_through() -> None:
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPS)


def _stop_at_once() -> None:
    """In a worker that is still starting: let it end when it is told to stop.

    Until it has handlers of its own it inherits the server's, which would note the signal where nobody looks: the
    worker would go on, and the server would wait for it.
    """
    for number in STOPS:
        signal.signal(number, signal.SIG_DFL)
    _let_stops_through()


def _bound_arenas() -> None:
    """Let glibc keep two heaps: else each thread gets one of its own and keeps what a long list once took of it.

    The workers are forks of this process and inherit it. (The same as MALLOC_ARENA_MAX=2, see mallopt(3).)
    """
    m_arena_max = -8
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # other C libraries have no such thing
    if mallopt is not None:
        mallopt(m_arena_max, 2)
