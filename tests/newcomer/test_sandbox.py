"""`manage.py sandbox`, as a newcomer uses it."""

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from tests.support.sandbox import clean_environment, free_port, running, shell
from tests.support.server import group_lives
from tests.support.serving import serving
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

MANAGE = [sys.executable, "manage.py", "sandbox"]


def test_paste_of_the_five_curl_lines_works(tmp_path: Path) -> None:
    """Token and five lines are printed; each line works; Ctrl-C leaves no process and no file behind."""
    with running([*MANAGE, "--port", str(free_port()), "--only", "aws"], TMPDIR=str(tmp_path)) as printed:
        token = printed[printed.index("The token (access key demo@sandbox, secret demo):") + 1]
        lines = printed[-5:]
        assert all("curl -s" in line and token in line for line in lines)
        vm_id, listed = shell("\n".join(lines[:2])).splitlines()
        assert vm_id.startswith("i-")
        (vm,) = json.loads(listed)
        assert (vm["id"], vm["status"]) == (vm_id, "running")
        assert shell("\n".join(lines[2:]), VM=vm_id) == ""
        assert shell(lines[1]) == "[]"
        assert list(tmp_path.iterdir())
    assert not list(tmp_path.iterdir())


def test_closed_terminal_ends_everything(tmp_path: Path) -> None:
    """A terminal sends SIGHUP, on which the API alone would reload its files and stay."""
    command = [*MANAGE, "--port", str(free_port()), "--only", "proxmox"]
    with running(command, end_by=signal.SIGHUP, TMPDIR=str(tmp_path)) as printed:
        assert printed
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("pauses", [(0.0, 0.0), (0.05, 0.2), (0.3, 0.3)])
def test_ctrl_c_three_times_ends_everything_in_order(tmp_path: Path, pauses: tuple[float, float]) -> None:
    """A terminal sends it to all processes; the first one counts."""
    command = [*MANAGE, "--port", str(free_port()), "--only", "proxmox"]
    environment = {**clean_environment(), "TMPDIR": str(tmp_path)}
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    ) as process:
        assert process.stdout is not None
        while not process.stdout.readline().startswith("curl -s -X DELETE"):
            assert process.poll() is None
        for pause in (*pauses, 0.0):
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGINT)
            time.sleep(pause)
        printed = process.stdout.read()
        assert process.wait(60) == 0, printed
    assert "Traceback" not in printed
    assert "The sandbox has stopped." in printed
    wait_until(lambda: not group_lives(process.pid))
    assert not list(tmp_path.iterdir())


def test_windows_on_azure_can_be_tried(tmp_path: Path) -> None:
    """The only machine type for which a password is asked."""
    with running([*MANAGE, "--port", str(free_port()), "--only", "azure"], TMPDIR=str(tmp_path)) as printed:
        create = next(line for line in printed if line.startswith("VM=")).replace("small-debian", "windows-server")
        # Not the id alone that the line takes out of the answer: the answer.
        create = create.removeprefix("VM=$(").partition(" | sed")[0]
        assert json.loads(shell(create))["errors"][0]["field"] == "admin_password"
        made = json.loads(shell(create.replace('"cloud_init"', '"admin_password": "Correct-Horse-7", "cloud_init"')))
        assert made["status"] == "running"
        assert "Correct-Horse-7" not in str(made)


def start(*options: str) -> subprocess.CompletedProcess[str]:
    """A start that is to fail."""
    return subprocess.run(
        [*MANAGE, *options], env=clean_environment(), capture_output=True, text=True, check=False, timeout=60
    )


class Ready(BaseHTTPRequestHandler):
    """Says of itself that it is ready, as a sandbox does that was forgotten."""

    def do_GET(self) -> None:
        """Any page."""
        self.send_response(200)
        self.end_headers()

    def log_message(self, *args: object) -> None:
        """Nothing."""


def test_start_on_a_port_that_is_taken_says_so() -> None:
    """One clear line and no welcome, as the server that answers there is another; and nothing is left running."""
    with serving(HTTPServer(("127.0.0.1", 0), Ready)) as other:
        done = start("--port", str(other.server_port), "--only", "proxmox")
    assert done.returncode == 1
    assert done.stdout == ""
    line = f"CommandError: The API cannot listen on port {other.server_port}: Address already in use. "
    assert done.stderr == f"{line}Name another one with --port.\n"


def test_start_on_a_port_that_is_none_says_so() -> None:
    """Before any cloud has started."""
    done = start("--port", "65536")
    assert done.returncode == 2
    assert "'65536' is no port from 1 to 65535" in done.stderr


def test_help_lists_the_clouds() -> None:
    """`--only` is of no use to who has to guess."""
    done = start("--help")
    assert "aws, azure, esxi, nutanix, nutanix-central, proxmox, vsphere" in " ".join(done.stdout.split())


def test_start_of_an_unknown_cloud_lists_the_known_ones() -> None:
    """`--only` with a typing error."""
    done = start("--only", "awz")
    assert done.returncode == 1
    assert "choose from aws" in done.stderr
