"""`manage.py leftovers` on every cloud whose driver knows what creates left behind."""

import subprocess
from collections.abc import Callable
from pkgutil import resolve_name

import pytest

from providers.driver import Driver
from tests.conformance.conftest import Files
from tests.conformance.harness import Harness, Trouble
from tests.support import leftovers
from tests.support.api import Api
from vms.service import current_service

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def run(warm: Api, backend: Harness, files: Files) -> Run:
    """The command on the backend; skips a cloud that leaves nothing behind."""
    cloud = current_service().environment("main").cloud
    driver: type[Driver] = resolve_name(cloud.driver or "")
    if driver.list_leftovers is Driver.list_leftovers:
        pytest.skip(f"creates leave nothing behind on {cloud.name}")
    token = leftovers.token(backend.access_key, backend.secret)

    def run(*options: str) -> subprocess.CompletedProcess[str]:
        done = leftovers.leftovers("--environment", "main", *options, environments=files.environments, token=token)
        assert done.returncode in {0, 1}, done.stderr
        assert "Traceback" not in done.stderr
        return done

    return run


def leave_behind(api: Api, backend: Harness) -> frozenset[str]:
    """Let a create fail, and its clean-up, too. Return what there is that was not there before."""
    before = backend.objects()
    backend.leave_behind(api)
    backend.reset_trouble()
    left = backend.objects() - before
    assert left
    return left


def test_leftovers_are_listed_and_removed(warm: Api, backend: Harness, run: Run) -> None:
    """Young ones only on demand: a running create may own them. A VM in use stays."""
    used = warm.create("used").json
    before = backend.objects()
    leave_behind(warm, backend)
    young = run("--remove")
    assert young.returncode == 0
    assert young.stdout.startswith("0 leftovers; ")
    assert "of unknown age. `--older-than 0` includes all." in young.stdout
    assert backend.objects() > before
    listed = run("--older-than", "0")
    heading, *rows, summary = listed.stdout.splitlines()
    assert heading.split() == ["KIND", "ID", "NAME", "AGE", "REMOVABLE", "WHY"]
    assert summary == f"{len(rows)} leftover{'' if len(rows) == 1 else 's'}."
    assert not [row for row in rows if used["id"] in row]
    assert backend.objects() > before
    removed = run("--older-than", "0", "--remove")
    assert (removed.returncode, removed.stderr) == (0, ""), removed.stdout
    assert removed.stdout.splitlines()[len(rows) + 2 :] == [
        f"Removed {row.split()[0]} {row.split()[1]}." for row in rows
    ]
    assert backend.objects() == before
    assert run("--older-than", "0").stdout == "0 leftovers.\n"
    assert warm.get(used["id"]).json["status"] == "running"


def test_leftovers_that_cannot_be_removed_are_told(warm: Api, backend: Harness, run: Run) -> None:
    """With the problem's code, and by the exit status."""
    left = leave_behind(warm, backend)
    for operation in backend.removal_operations:
        backend.trouble(Trouble.PERMISSION_DENIED, operation)
    done = run("--older-than", "0", "--remove")
    assert done.returncode == 1, done.stdout
    assert "Could not remove " in done.stdout
    assert ": permission_denied: " in done.stdout
    assert backend.objects() & left
