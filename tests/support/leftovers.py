"""Runs `manage.py leftovers` as a person at a terminal would."""

import base64
import subprocess
import sys
from pathlib import Path

from tests.support.sandbox import ROOT, clean_environment


def token(access_key: str, secret: str) -> str:
    """The token as the README makes it."""
    return base64.b64encode(f"{access_key}:{secret}\n".encode()).decode()


def leftovers(
    *options: str, environments: Path, token: str | None, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run the command on a file of environments, without the proxies of this machine."""
    kept = {name: value for name, value in clean_environment().items() if not name.lower().endswith("_proxy")}
    given = {} if token is None else {"CLOUDVM_TOKEN": token}
    return subprocess.run(
        [sys.executable, "manage.py", "leftovers", *options],
        cwd=ROOT,
        env={**kept, "CLOUDVM_ENVIRONMENTS_FILE": str(environments), **given, **variables},
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
