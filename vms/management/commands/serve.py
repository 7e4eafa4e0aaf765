"""`manage.py serve`: the API under the production server."""

from __future__ import annotations

import ctypes
import gc
import logging
import resource
import socket
import sys
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from providers.catalogue import use_fault
from providers.domain import Environment
from providers.management.addresses import bind
from providers.sessions import CLOSE_SECONDS
from vms import service
from vms.registries import RegistryError
from vms.server.application import Application, import_sdks, make_application, start_warm_up
from vms.server.front import Front, Limits
from vms.server.http import BACKLOG, HTTPServer, tune_listener
from vms.server.supervisor import Supervisor
from vms.server.tls import Certificate, CertificateError
from vms.server.worker import FLUSH_SECONDS, Worker

_logger = logging.getLogger("cloudvm.server")


class Command(BaseCommand):
    """Serves until SIGTERM or Ctrl-C, then finishes the requests in flight. SIGHUP reloads the files."""

    help = "Run the API under the production server."
    # `make_application` makes those that matter.
    requires_system_checks: tuple[str, ...] = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the options."""
        parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: 127.0.0.1)")
        parser.add_argument("--port", type=_number(1, 65_535), default=8080, help="port to listen on (default: 8080)")
        parser.add_argument("--workers", type=_number(1, 256), default=2, help="processes (default: 2)")
        parser.add_argument(
            "--threads",
            type=_number(1, 4096),
            default=Limits.threads,
            help=f"requests at once per process; a further one is answered 503 (default: {Limits.threads})",
        )
        parser.add_argument(
            "--shutdown-delay",
            type=_number(0, 3600),
            default=0,
            help="seconds for which /readyz is 503 before the server stops to listen (default: 0)",
        )
        parser.add_argument(
            "--stop-timeout",
            type=_number(1, 86_400),
            help="seconds that requests in flight may take after that (default: as long as any may take)",
        )
        parser.add_argument("--quiet", action="store_true", help="do not print the address")
        parser.add_argument("--tls-cert", type=Path, help="certificate file, to serve https")
        parser.add_argument("--tls-key", type=Path, help="the certificate's private key file")

    def handle(self, *args: Any, **options: Any) -> None:
        """Serve.

        Raises:
            CommandError: the address cannot be listened on, or the certificate cannot be used.

        """
        certificate = _certificate(options["tls_cert"], options["tls_key"])
        listener = _listener(options["host"], options["port"])
        application = make_application(options["threads"])
        _raise_file_limit()
        _bound_arenas()
        scheme = "https" if certificate else "http"
        if not options["quiet"]:
            self.stdout.write(f"CloudVM API on {scheme}://{options['host']}:{options['port']} (Ctrl-C stops it)")
            self.stdout.flush()
        limits = Limits(threads=options["threads"], body_bytes=settings.DATA_UPLOAD_MAX_MEMORY_SIZE)
        worker = Worker(
            make_server=lambda: _server(application, limits, listener, certificate),
            on_start=start_warm_up,
            reload=lambda: _reload_worker(certificate),
            on_end=service.current_service().backends.close,
            shutdown_delay_seconds=options["shutdown_delay"],
        )
        supervisor = Supervisor(
            worker,
            options["workers"],
            reload=lambda: _reload(certificate),
            # Nobody must wait for a connection that no worker will accept.
            on_stop=listener.close,
            stop_timeout_seconds=options["shutdown_delay"] + (options["stop_timeout"] or _longest_stop_seconds()),
        )
        # The workers share the pages to which the garbage collector does not write.
        gc.collect()
        gc.freeze()
        sys.exit(supervisor.run())


def _longest_stop_seconds() -> float:
    """Return how long a stop can last, the clean-up after a failed create and the log-outs included."""
    # A backend call that begins just before a deadline has its full time. The handshakes of TCP and TLS come first.
    call_seconds = 2 * settings.CLOUDVM_CONNECT_TIMEOUT_SECONDS + settings.CLOUDVM_READ_TIMEOUT_SECONDS
    request_seconds = settings.CLOUDVM_REQUEST_DEADLINE_SECONDS + settings.CLOUDVM_CLEAN_UP_SECONDS + 2 * call_seconds
    return request_seconds + FLUSH_SECONDS + CLOSE_SECONDS


def _server(
    application: Application, limits: Limits, listener: socket.socket, certificate: Certificate | None
) -> tuple[Front, HTTPServer]:
    front = Front(application, limits)
    return front, HTTPServer(front, listener, certificate.context if certificate else None)


def _reload(certificate: Certificate | None) -> bool:
    """Read the files again in the supervisor, and log the result.

    Returns False, and keeps what was read before, if there is any fault. The workers are told only of good files, and
    later workers are forks of the supervisor.
    """
    before = service.current_service().registries.environments
    if not _is_reloaded(certificate):
        return False
    registries = service.current_service().registries
    _logger.info(
        "Reloaded the files: %d environments (%s), %d machine types.",
        len(registries.environments),
        changes(before, registries.environments),
        len(registries.machine_types),
    )
    for fault in filter(None, map(use_fault, registries.environments.values())):
        _logger.warning("%s", fault)
    return True


def _is_reloaded(certificate: Certificate | None) -> bool:
    """Read the files again. Log every fault, and return False if there is any."""
    try:
        if certificate is not None:
            certificate.check()
        service.reload_service()
        if certificate is not None:
            certificate.reload()
    except RegistryError as error:
        faults = [str(fault) for fault in error.faults]
    except CertificateError as error:
        faults = [str(error)]
    else:
        return True
    for fault in faults:
        _logger.error("The files are not reloaded. The old files stay in use. %s", fault)
    return False


def changes(before: Mapping[str, Environment], after: Mapping[str, Environment]) -> str:
    """Return which environments were added, removed and changed, in words."""
    names = {
        "added": [name for name in after if name not in before],
        "removed": [name for name in before if name not in after],
        "changed": [name for name in after if name in before and after[name] != before[name]],
    }
    told = [f"{word} {', '.join(found)}" for word, found in names.items() if found]
    return "; ".join(told) or "none changed"


def _reload_worker(certificate: Certificate | None) -> None:
    if _is_reloaded(certificate):
        import_sdks(service.current_service().registries.environments)


def _number(least: int, most: int) -> Callable[[str], int]:
    """Return a parser of whole numbers in a range."""

    def read(text: str) -> int:
        if not text.isdecimal() or not least <= int(text) <= most:
            raise ArgumentTypeError(f"{text!r} is no whole number from {least} to {most}")
        return int(text)

    return read


def _listener(host: str, port: int) -> socket.socket:
    try:
        listener = bind(host, port)
        tune_listener(listener)
        # Already here, so that a second server on the same address fails.
        listener.listen(BACKLOG)
    except OSError as error:
        raise CommandError(f"Cannot listen on {host}, port {port}: {error.strerror}.") from None
    return listener


def _certificate(cert: Path | None, key: Path | None) -> Certificate | None:
    if cert is None and key is None:
        return None
    if cert is None or key is None:
        raise CommandError("--tls-cert and --tls-key go together.")
    try:
        return Certificate(cert, key)
    except CertificateError as error:
        raise CommandError(str(error)) from None


def _raise_file_limit() -> None:
    """Allow as many connections as the system does: the default limit is 1,024 files."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    # The kernel has a limit of its own, which a hard limit from elsewhere may exceed.
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _bound_arenas() -> None:
    """Let glibc keep two heaps: each thread would get one of its own, and keep what a long list once needed.

    The workers are forks of this process and inherit it. Same as MALLOC_ARENA_MAX=2, see mallopt(3).
    """
    m_arena_max = -8
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # glibc only
    if mallopt is not None:
        mallopt(m_arena_max, 2)
