"""The README's first command, in a fresh clone of what is committed."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.newcomer.test_readme import under
from tests.support.sandbox import ROOT, clean_environment, free_port, running, shell


@pytest.mark.slow
@pytest.mark.skipif("CLOUDVM_FRESH_CLONE" not in os.environ, reason="takes a minute; set CLOUDVM_FRESH_CLONE=1")
@pytest.mark.timeout(600)
def test_first_command_in_a_fresh_clone_starts_the_sandbox(tmp_path: Path) -> None:
    """Nothing but git and Python: make the environment, install, start, and create a VM."""
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(tmp_path / "clone")], check=True)
    command = f"{under('Try it').splitlines()[0]} --port {free_port()}"
    assert re.match(r"python3 -m venv", command)
    with running(["bash", "-c", command], tmp_path / "clone") as printed:
        vm_id = shell(next(line for line in printed if line.startswith("VM="))).strip()
        assert vm_id.startswith("i-")
    assert "CLOUDVM_SECRET_KEY" not in clean_environment()
