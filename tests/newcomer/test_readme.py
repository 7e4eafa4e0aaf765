"""Every command in the README, run."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.proxy import connect_proxy
from tests.support.sandbox import ROOT, free_port, running, shell

README = (ROOT / "README.md").read_text()
SANDBOX = json.loads((ROOT / "fixtures/sandbox/environments.json").read_text())
CLOUDS = [environment["name"].removesuffix("-sandbox") for environment in SANDBOX]


@dataclass(frozen=True)
class Block:
    """A block of commands, and the heading that it stands under."""

    heading: str
    script: str


def blocks() -> Iterator[Block]:
    """The README's blocks of shell commands."""
    heading = ""
    for line_or_block in re.findall(r"^## [^\n]*$|^```bash\n.*?^```$", README, re.MULTILINE | re.DOTALL):
        if line_or_block.startswith("## "):
            heading = line_or_block.removeprefix("## ")
        else:
            yield Block(heading, line_or_block.removeprefix("```bash\n").removesuffix("```"))


def under(heading: str) -> str:
    """All commands under a heading, in order."""
    return "".join(block.script for block in blocks() if block.heading == heading)


def local(script: str) -> str:
    """The same with the interpreter that runs the tests."""
    return script.replace(".venv/bin/python", sys.executable).replace(".venv/bin/pytest", f"{sys.executable} -m pytest")


def filled(script: str, cloud: str) -> str:
    """The same with the sandbox's credentials, and the name of its environment."""
    for placeholder, value in (("<access key>:<secret>", "demo@sandbox:demo"), ("NAME", f"{cloud}-sandbox")):
        assert placeholder in script
        script = script.replace(placeholder, value)
    return script


def test_every_block_of_the_readme_is_run_by_a_test() -> None:
    """A new heading with commands needs a test here. `Try it` is run by the fresh clone and by `.ci/run`."""
    headings = {block.heading for block in blocks()}
    assert headings == {
        "Try it",
        "A tour in five minutes",
        "Run it",
        "Clean up leftovers",
        "The token",
        "Test a real account",
    }


def test_try_it_has_the_two_commands() -> None:
    """One line starts everything, one line runs all tests."""
    prefix = "python3 -m venv .venv && .venv/bin/pip install -r requirements-dev.txt && .venv/bin/"
    assert under("Try it").splitlines() == [f"{prefix}python manage.py sandbox", f"{prefix}pytest"]


@dataclass(frozen=True)
class Sandbox:
    """A running `manage.py sandbox` with all clouds."""

    port: int
    environments: Path


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """The sandbox for all tours."""
    folder = tmp_path_factory.mktemp("sandbox")
    port = free_port()
    with running([sys.executable, "manage.py", "sandbox", "--port", str(port)], TMPDIR=str(folder)):
        (environments,) = folder.glob("sandbox-*/environments.json")
        yield Sandbox(port, environments)


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("cloud", CLOUDS)
def test_tour_and_live_tests_work_on_the_sandbox(sandbox: Sandbox, tmp_path: Path, cloud: str) -> None:
    """The tour from top to bottom, leftovers, then the live tests, as told, on each of the sandbox's environments."""
    live, leftovers = (filled(under(heading), cloud) for heading in ("Test a real account", "Clean up leftovers"))
    tour = under("A tour in five minutes").replace(":8080", f":{sandbox.port}")
    tour = tour.replace("ENVIRONMENT=aws-sandbox ", f"ENVIRONMENT={cloud}-sandbox ")
    assert f"={cloud}-sandbox " in tour
    if cloud == "esxi":
        tour = tour.replace("MACHINETYPE=small-debian ", "MACHINETYPE=esxi-debian ")
    printed = shell(f"cd {tmp_path}\n" + tour)
    assert '"status":"running"' in printed
    assert "HTTP/1.1 202" in printed
    assert '"code":"credentials_rejected"' in printed
    if cloud == "aws":
        # A second tour must not meet the idempotency key of the first one, whose VM is deleted.
        assert '"status":"running"' in shell(f"cd {tmp_path}\n" + tour)
    files = str(sandbox.environments)
    assert shell(local(leftovers), CLOUDVM_ENVIRONMENTS_FILE=files, NO_PROXY="127.0.0.1") == (
        "0 leftovers.\n0 leftovers.\n"
    )
    options = f"--environments-file {files} --machinetypes-file fixtures/sandbox/machinetypes.json --numprocesses=0"
    options += " --machinetype esxi-debian" if cloud == "esxi" else ""
    with connect_proxy() as proxy:
        printed = shell(local(live), PYTEST_ADDOPTS=options, HTTPS_PROXY=proxy.url, NO_PROXY="")
    assert "3 passed" in printed
    assert proxy.asked, "a real account may only be reached through a proxy"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("token", "words"),
    [
        ("", "CLOUDVM_LIVE_TOKEN is not set, although --environment is given."),
        ("x", "There is no environment 'nowhere'. "),
    ],
)
def test_live_tests_fail_in_a_line_without_a_token_or_an_environment(token: str, words: str) -> None:
    """They are asked for, so that a skip would hide the mistake."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "tests/live", "--environment", "nowhere", "--numprocesses=0"],
        cwd=ROOT,
        env={**os.environ, "CLOUDVM_LIVE_TOKEN": token, "PYTEST_ADDOPTS": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "3 errors" in done.stdout or "3 failed" in done.stdout, done.stdout
    assert f"\n{words}" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr


@pytest.mark.slow
def test_run_it_starts_a_server() -> None:
    """Make a key, check, serve; the server answers, and ends with the shell."""
    port = free_port()
    script = local(under("Run it")).replace("8080", str(port))
    *setup, serve = script.strip().splitlines()
    printed = shell(
        "\n".join(setup)
        + f"\n{serve} & trap 'kill $!; wait' EXIT\n"
        + f"curl -sf --noproxy '*' --retry 50 --retry-connrefused --retry-delay 1 http://127.0.0.1:{port}/readyz"
    )
    assert '{"status":"ok"}' in printed
    assert "no issues" in printed


def test_token_is_made_as_the_api_reads_it() -> None:
    """base64 of what was typed."""
    assert shell(under("The token")) == "PGFjY2VzcyBrZXk+OjxzZWNyZXQ+Cg=="


@pytest.mark.parametrize(
    "variable", sorted(set(re.findall(r"CLOUDVM_[A-Z_]+", (ROOT / "cloudvm_project/settings.py").read_text())))
)
def test_setting_stands_in_the_readme(variable: str) -> None:
    """Every variable that the service reads, and no other."""
    internal = {"CLOUDVM_NETWORK", "CLOUDVM_LIMITS"}
    assert variable in internal or f"| `{variable}` |" in README
