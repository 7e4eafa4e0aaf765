"""`manage.py leftovers` on every cloud whose driver knows what creates left behind."""

import io
from collections.abc import Callable
from dataclasses import dataclass
from pkgutil import resolve_name

import pytest
from django.core.management import call_command

from providers.driver import Driver
from tests.conformance.harness import Harness, Trouble
from tests.support.api import Api
from tests.support.leftovers import token
from vms.service import current_service


@dataclass(frozen=True)
class Result:
    """What the command printed, line by line, and its exit status."""

    lines: list[str]
    status: int


Run = Callable[..., Result]


@pytest.fixture
def run(warm: Api, backend: Harness, monkeypatch: pytest.MonkeyPatch) -> Run:
    """The command on the backend; skips a cloud that leaves nothing behind."""
    cloud = current_service().environment("main").cloud
    driver: type[Driver] = resolve_name(cloud.driver or "")
    if driver.list_leftovers is Driver.list_leftovers:
        pytest.skip(f"creates leave nothing behind on {cloud.name}")
    if backend.name.startswith("vcsim"):
        pytest.skip("a boot that fails on vcsim leaves a VM that has run")
    monkeypatch.setenv("CLOUDVM_TOKEN", token(backend.access_key, backend.secret))

    def run(*options: str) -> Result:
        printed, status = io.StringIO(), 0
        try:
            call_command("leftovers", "--environment", "main", *options, stdout=printed)
        except SystemExit as end:
            status = int(end.code or 0)
        return Result(printed.getvalue().splitlines(), status)

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
    assert young.status == 0
    (line,) = young.lines
    assert line.startswith("0 leftovers; ")
    assert line.endswith("younger than 1h or of unknown age. `--older-than 0` includes all.")
    assert backend.objects() > before
    heading, *rows, summary = run("--older-than", "0").lines
    assert heading.split() == ["KIND", "ID", "NAME", "AGE", "REMOVABLE", "WHY"]
    assert summary == f"{len(rows)} leftover{'' if len(rows) == 1 else 's'}."
    assert not [row for row in rows if used["id"] in row]
    assert backend.objects() > before
    removed = run("--older-than", "0", "--remove")
    assert removed.status == 0, removed.lines
    told = [line for line in removed.lines if line.startswith("Removed ")]
    assert len(told) == len(rows)
    assert all(line.removeprefix("Removed ").split()[0] == row.split()[0] for line, row in zip(told, rows, strict=True))
    assert backend.objects() == before
    assert run("--older-than", "0").lines == ["0 leftovers."]
    assert warm.get(used["id"]).json["status"] == "running"


def test_leftovers_that_cannot_be_removed_are_told(warm: Api, backend: Harness, run: Run) -> None:
    """With the problem's code, and by the exit status."""
    left = leave_behind(warm, backend)
    for operation in backend.removal_operations:
        backend.trouble(Trouble.PERMISSION_DENIED, operation)
    done = run("--older-than", "0", "--remove")
    assert done.status == 1, done.lines
    assert [line for line in done.lines if line.startswith("Could not remove ") and ": permission_denied: " in line]
    assert backend.objects() & left
