"""`manage.py sandbox`: the simulators and the API in one go, so that it can be tried without any cloud account.

The API runs as in production (`manage.py serve`) and knows nothing of the sandbox: it gets a file of environments whose
URLs point at the simulators. Everything that is made for it lies in the simulators' own folder and goes with them.
"""

from __future__ import annotations

import base64
import json
import os
import secrets
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from providers.management.addresses import bind

ACCESS_KEY = "demo@sandbox"
SECRET = "demo"  # noqa: S105 - known to everybody, and good for nothing but the sandbox
READY_SECONDS = 30
STOP_SECONDS = 10
# The API's own time limit for a stop, after which it kills its workers.
API_STOP_TIMEOUT_SECONDS = 10
# SIGINT too: a shell starts background commands with SIGINT ignored. SIGHUP: the terminal is closed.
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@dataclass(frozen=True)
class Simulators:
    """The running simulators: where each environment's answers, and who vouches for them."""

    urls: dict[str, str]
    ca_file: Path


class Command(BaseCommand):
    """Runs until Ctrl-C or SIGTERM."""

    help = "Start simulated clouds and the API on loopback; no account is needed."
    # The API that is started checks itself; this process only looks after it.
    requires_system_checks: tuple[str, ...] = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        """The command's options."""
        parser.add_argument("--port", type=_port, default=8080, help="the API's port (default: 8080)")
        parser.add_argument(
            "--only",
            nargs="+",
            default=[],
            metavar="CLOUD",
            help=f"start only these of {', '.join(map(_cloud, _all()))}",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Start everything, say how to use it, and wait."""
        environments = _chosen(_all(), options["only"])
        _refuse_taken(options["port"])
        for number in STOP_SIGNALS:
            signal.signal(number, _interrupt)
        try:
            with _simulators([_cloud(environment) for environment in environments]) as simulators:
                variables = _variables(environments, simulators)
                with _api(options["port"], variables) as api:
                    names = [environment["name"] for environment in environments]
                    self.stdout.write(_welcome(f"http://127.0.0.1:{options['port']}", names))
                    self.stdout.flush()
                    api.wait()
                    raise CommandError("The API stopped by itself; its own words are above.")
        except KeyboardInterrupt:
            self.stdout.write("The sandbox has stopped.")


def _interrupt(number: int, frame: object) -> NoReturn:
    """End the command in the same way on each signal. Further signals do not disturb the end, which is bounded."""
    signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
    for each in STOP_SIGNALS:
        # Another one may have arrived at the same time.
        signal.signal(each, lambda *_: None)
    raise KeyboardInterrupt


def _fixtures() -> Path:
    folder: Path = settings.BASE_DIR / "fixtures/sandbox"
    return folder


def _all() -> list[dict[str, Any]]:
    """The environments of the sandbox, as the file has them."""
    environments: list[dict[str, Any]] = json.loads((_fixtures() / "environments.json").read_text())
    return environments


def _port(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 65_535:
        raise ArgumentTypeError(f"{text!r} is no port from 1 to 65535")
    return int(text)


def _refuse_taken(port: int) -> None:
    """Find out before the clouds start; and a server that is there already would be taken for ours, as it answers."""
    try:
        bind("127.0.0.1", port).close()
    except OSError as error:
        raise CommandError(
            f"The API cannot listen on port {port}: {error.strerror}. Name another one with --port."
        ) from None


def _chosen(environments: list[dict[str, Any]], only: Sequence[str]) -> list[dict[str, Any]]:
    """The environments that were asked for; all if nothing was."""
    known = [_cloud(environment) for environment in environments]
    if unknown := set(only) - set(known):
        raise CommandError(f"--only {' '.join(sorted(unknown))}: choose from {', '.join(known)}")
    return [environment for environment in environments if not only or _cloud(environment) in only]


def _cloud(environment: dict[str, Any]) -> str:
    """The word by which `--only` and the simulators know an environment: `aws` for `aws-sandbox`."""
    name: str = environment["name"]
    return name.removesuffix("-sandbox")


@contextmanager
def _simulators(clouds: list[str]) -> Iterator[Simulators]:
    """The simulators of these clouds; they end when their standard input does, whatever becomes of us."""
    command = [sys.executable, "-m", "providers.sandbox", "--only", *clouds]
    with subprocess.Popen(command, cwd=settings.BASE_DIR, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:  # noqa: S603 - ours
        assert process.stdin is not None  # noqa: S101 - asked for above
        assert process.stdout is not None  # noqa: S101 - asked for above
        try:
            line = process.stdout.readline()
            if not line:
                raise CommandError(
                    "The simulators did not start; their own words are above. If a module is missing: they need "
                    "requirements-dev.txt, which is more than a server does."
                )
            started = json.loads(line)
            yield Simulators(started["urls"], Path(started["ca_file"]))
        finally:
            process.stdin.close()
            process.wait(STOP_SECONDS)


def _variables(environments: list[dict[str, Any]], simulators: Simulators) -> dict[str, str]:
    """Return the API's process environment. The user's settings stay, except proxies: they cannot reach loopback."""
    file = simulators.ca_file.parent / "environments.json"
    placed = [
        {**environment, "url": simulators.urls[environment["name"]], "ca_file": simulators.ca_file.name}
        for environment in environments
    ]
    file.write_text(json.dumps(placed, indent=2))
    return {
        "CLOUDVM_LOG_FORMAT": "text",
        "CLOUDVM_LOG_LEVEL": "WARNING",
        **{name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")},
        "CLOUDVM_ENVIRONMENTS_FILE": str(file),
        "CLOUDVM_MACHINETYPES_FILE": str(_fixtures() / "machinetypes.json"),
        "CLOUDVM_SECRET_KEY": secrets.token_urlsafe(50),
    }


@contextmanager
def _api(port: int, variables: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """The API, ready to answer."""
    options = ("--port", str(port), "--quiet", "--stop-timeout", str(API_STOP_TIMEOUT_SECONDS))
    command = [sys.executable, "manage.py", "serve", *options]
    with subprocess.Popen(command, cwd=settings.BASE_DIR, env=variables) as process:  # noqa: S603 - ours
        try:
            _wait_until_ready(process, port)
            yield process
        finally:
            process.terminate()
            try:
                process.wait(API_STOP_TIMEOUT_SECONDS + STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()


def _wait_until_ready(process: subprocess.Popen[bytes], port: int) -> None:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    give_up = time.monotonic() + READY_SECONDS
    while time.monotonic() < give_up and process.poll() is None:
        try:
            opener.open(f"http://127.0.0.1:{port}/readyz", timeout=1).close()
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(0.05)
        else:
            return
    raise CommandError(f"The API did not start on port {port}; its own words are above.")


def _welcome(url: str, environments: Sequence[str]) -> str:
    environment = environments[0]
    token = base64.b64encode(f"{ACCESS_KEY}:{SECRET}".encode()).decode()
    cloud_init = base64.b64encode(b"#cloud-config\npackages: [nginx]\n").decode()
    caller = f'-H "Authorization: Bearer {token}"'
    query = f"environment={environment}"
    # A standalone host clones nothing, so that its machine types are others than a vCenter's.
    machine_type = "esxi-debian" if environment.startswith("esxi") else "small-debian"
    body = json.dumps(
        {"name": "test1", "environment": environment, "machinetype": machine_type, "cloud_init": cloud_init}
    )
    create = f"curl -s {url}/vm {caller} -H 'Content-Type: application/json' -d '{body}'"
    return f"""
The sandbox is ready: {url} (documentation: {url}/docs). Ctrl-C stops it.

The token (access key {ACCESS_KEY}, secret {SECRET}):
{token}

Create a VM, list VMs, stop it, start it, delete it, in the environment {environment} ({_others(environments)}):
VM=$({create} | sed -E 's/.*"id":"([^"]+)".*/\\1/'); echo $VM
curl -s "{url}/vm?{query}" {caller}
curl -s -X POST "{url}/vm/$VM/stop?{query}" {caller}
curl -s -X POST "{url}/vm/$VM/start?{query}" {caller}
curl -s -X DELETE "{url}/vm/$VM?{query}" {caller}
"""


def _others(environments: Sequence[str]) -> str:
    return f"or {' or '.join(environments[1:])}" if environments[1:] else "the only one"
