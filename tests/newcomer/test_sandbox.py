"""`manage.py sandbox`, as a newcomer uses it."""

import json
import socket
import subprocess
import sys
from pathlib import Path

from tests.support.sandbox import clean_environment, free_port, running, shell

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


def test_start_on_a_port_that_is_taken_says_so() -> None:
    """One clear line, no traceback, and nothing is left running."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        command = [*MANAGE, "--port", str(taken.getsockname()[1])]
        done = subprocess.run(command, env=clean_environment(), capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 1
    assert "did not start on port" in done.stderr
    assert "Traceback" not in done.stderr


def test_start_of_an_unknown_cloud_lists_the_known_ones() -> None:
    """`--only` with a typing error."""
    done = subprocess.run(
        [*MANAGE, "--only", "awz"], env=clean_environment(), capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 1
    assert "choose from aws" in done.stderr
