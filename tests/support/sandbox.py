"""A running `manage.py sandbox`, as somebody would start it in a terminal."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SERVER_KEY = "a key for tests of the server, long enough"
ROOT = Path(__file__).resolve().parent.parent.parent


def free_port() -> int:
    """A port on which nobody listens just now."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port: int = unused.getsockname()[1]
        return port


def clean_environment() -> dict[str, str]:
    """This process's environment without what belongs to its tests, settings or Django."""
    ours = ("CLOUDVM_", "DJANGO_", "PYTEST_", "COV_", "COVERAGE_")
    return {name: value for name, value in os.environ.items() if not name.startswith(ours)}


@contextmanager
def running(
    command: list[str], folder: Path = ROOT, *, end_by: signal.Signals = signal.SIGINT, **variables: str
) -> Iterator[list[str]]:
    """Yield what the sandbox printed until it was ready. End it by Ctrl-C or another signal to its process group."""
    process = subprocess.Popen(
        command,
        cwd=folder,
        env={**clean_environment(), **variables},
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    printed: list[str] = []
    try:
        for line in process.stdout:
            printed.append(line.rstrip("\n"))
            if line.startswith("curl -s -X DELETE"):
                break
        assert process.poll() is None, "\n".join(printed)
        yield printed
        os.killpg(process.pid, end_by)
        rest, _ = process.communicate(timeout=60)
        assert process.returncode == 0, rest
        assert not group(process.pid)
    finally:
        if group(process.pid):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def group(group_id: int) -> list[str]:
    """The command lines of the processes in a group."""
    found = subprocess.run(["ps", "-o", "args=", "-g", str(group_id)], capture_output=True, text=True, check=False)
    return [line for line in found.stdout.splitlines() if line.strip()]


def shell(script: str, **variables: str) -> str:
    """What a shell prints when it runs a script, stopping at the first failure."""
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=ROOT,
        env={**clean_environment(), **variables},
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    assert done.returncode == 0, f"{script}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@contextmanager
def serving(port: int, **variables: str) -> Iterator[None]:
    """The API under the production server, ready to answer."""
    settings = {"CLOUDVM_SECRET_KEY": SERVER_KEY, "CLOUDVM_FIRST_POLL_DELAY_SECONDS": "0.03", **variables}
    command = [sys.executable, "manage.py", "serve", "--port", str(port), "--workers", "1", "--quiet"]
    with subprocess.Popen(command, cwd=ROOT, env={**clean_environment(), **settings}) as process:
        try:
            shell(f"curl -sf --noproxy '*' --retry 60 --retry-connrefused --retry-delay 1 127.0.0.1:{port}/readyz")
            yield
        finally:
            process.terminate()
            process.wait(20)
