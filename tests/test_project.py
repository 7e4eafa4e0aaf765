"""The files around the code: CONTRIBUTING, CHANGELOG, CI, Dependabot, pre-commit and the version."""

import datetime as dt
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.conf import settings
from django.core.management import get_commands

from cloudvm_project import __version__

ROOT = Path(__file__).resolve().parent.parent
CONTRIBUTING = (ROOT / ".github/CONTRIBUTING.md").read_text()
CODE = "\n".join(re.findall(r"^```bash\n(.*?)^```$", CONTRIBUTING, re.MULTILINE | re.DOTALL))
PROSE = re.sub(r"^```.*?^```$", "", CONTRIBUTING, flags=re.MULTILINE | re.DOTALL)
QUOTED = re.findall(r"`([^`\n]+)`", PROSE)
PATH = re.compile(r"(?!\.venv)[\w.][\w.-]*(/[\w.-]*)+|[\w-]+\.(md|py|toml|txt)")
RELEASE = re.compile(r"^## \[(\d+\.\d+\.\d+)\] - (\d{4}-\d{2}-\d{2})$", re.MULTILINE)


def load(path: str) -> Any:
    """Parse a YAML file."""
    return yaml.safe_load((ROOT / path).read_text())


def version_key(version: str) -> tuple[int, ...]:
    """Order versions by number."""
    return tuple(int(part) for part in version.split("."))


def tools() -> set[str]:
    """Names of the programs next to the interpreter that runs the tests."""
    return {path.name for path in Path(sys.executable).parent.iterdir()}


@pytest.mark.parametrize("path", sorted({text for text in QUOTED if PATH.fullmatch(text)}))
def test_path_in_contributing_exists(path: str) -> None:
    """Files and folders that the text names."""
    assert (ROOT / path).exists()


def test_relative_links_in_contributing_lead_to_files() -> None:
    """Relative to the folder of CONTRIBUTING, as GitHub resolves them."""
    links = [link for link in re.findall(r"\]\(([^)]+)\)", PROSE) if "://" not in link]
    assert links
    assert [link for link in links if not (ROOT / ".github" / link).exists()] == []


def test_name_that_contributing_places_in_a_file_is_there() -> None:
    """Such as "`CLOUDS` in `providers/catalogue.py`"."""
    placed = re.findall(r"`(\w+)` (?:in|from) `([\w.]+/[\w./]+)`", PROSE)
    assert len(placed) > 5
    missing = [(name, path) for name, path in placed if not re.search(rf"\b{name}\b", (ROOT / path).read_text())]
    assert missing == []


def test_tools_in_the_commands_of_contributing_are_installed() -> None:
    """By requirements-dev.txt, or by a command of CONTRIBUTING itself."""
    named = set(re.findall(r"\.venv/bin/([\w-]+)", CODE))
    installed = set(re.findall(r"pip install ([\w-]+)$", CODE, re.MULTILINE))
    assert {"pip", "pytest"} <= named
    assert named - installed - tools() == set()


def test_scripts_and_tests_in_the_commands_of_contributing_exist() -> None:
    """Scripts are executable, and a test that is named is defined."""
    scripts = set(re.findall(r"^\.ci/\w+", CODE, re.MULTILINE))
    assert {".ci/check", ".ci/test"} <= scripts
    assert [script for script in scripts if not os.access(ROOT / script, os.X_OK)] == []
    files = re.findall(r"\b(tests(?:/[\w.]+)+)(?:::(\w+))?", CODE)
    assert any(test for _, test in files)
    assert [path for path, _ in files if not (ROOT / path).exists()] == []
    assert [test for path, test in files if test and f"def {test}(" not in (ROOT / path).read_text()] == []


def test_check_runs_every_step_and_lists_those_that_failed(tmp_path: Path) -> None:
    """In a folder whose tools do nothing, or fail."""
    (tmp_path / ".ci").mkdir()
    shutil.copy(ROOT / ".ci/check", tmp_path / ".ci/check")
    tools = tmp_path / ".venv/bin"
    tools.mkdir(parents=True)
    for name in ("ruff", "mypy", "lint-imports", "codespell", "python"):
        (tools / name).write_text(f"#!/bin/sh\nexit {int(name in {'mypy', 'codespell'})}\n")
        (tools / name).chmod(0o755)
    done = subprocess.run([tmp_path / ".ci/check"], capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr
    assert done.stdout.endswith("\nFailed:\n  .venv/bin/mypy .\n  .venv/bin/codespell\n")
    assert done.stdout.count("\n== ") == 7
    for name in ("mypy", "codespell"):
        (tools / name).write_text("#!/bin/sh\n")
    assert subprocess.run([tmp_path / ".ci/check"], capture_output=True, check=False).returncode == 0


def test_django_commands_in_contributing_exist() -> None:
    """In the text and in the blocks."""
    named = set(re.findall(r"manage\.py (\w+)", CONTRIBUTING))
    assert {"sandbox", "spectacular"} <= named
    assert named - set(get_commands()) == set()


def test_version_is_the_newest_release_of_the_changelog() -> None:
    """Unreleased changes stand first, then the releases, the newest on top."""
    changelog = (ROOT / "CHANGELOG.md").read_text()
    assert re.findall(r"^## (.*)$", changelog, re.MULTILINE)[0] == "[Unreleased]"
    releases = RELEASE.findall(changelog)
    assert len(releases) == changelog.count("\n## ") - 1
    versions = [version for version, _ in releases]
    assert versions[0] == __version__
    assert versions == sorted(versions, key=version_key, reverse=True)
    days = [dt.date.fromisoformat(day) for _, day in releases]
    assert days == sorted(days, reverse=True)


def test_version_is_shown_by_the_schema() -> None:
    """In the settings, from which the schema takes it, and in the snapshot."""
    assert settings.SPECTACULAR_SETTINGS["VERSION"] == __version__
    assert load("tests/vms/openapi.yaml")["info"]["version"] == __version__


def test_lowest_python_is_the_same_everywhere() -> None:
    """CI's lowest version, README, CONTRIBUTING, ruff and mypy."""
    tool = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]
    lowest = tool["mypy"]["python_version"]
    assert tool["ruff"]["target-version"] == f"py{lowest.replace('.', '')}"
    pythons = load(".github/workflows/ci.yml")["jobs"]["run"]["strategy"]["matrix"]["python"]
    assert all(isinstance(version, str) for version in pythons)  # YAML reads 3.10 as 3.1
    assert min(pythons, key=version_key) == lowest
    assert len(pythons) > 1
    for document in ((ROOT / "README.md").read_text(), CONTRIBUTING):
        assert re.findall(r"Python (\d+\.\d+) or newer", document) == [lowest]


def test_workflow_runs_everything_with_few_permissions() -> None:
    """On pull requests, too; actions are pinned by their major version."""
    workflow = load(".github/workflows/ci.yml")
    assert "pull_request" in workflow[True]  # YAML 1.1 reads the key `on` as true
    assert workflow["permissions"] == {"contents": "read"}
    job = workflow["jobs"]["run"]
    assert 0 < job["timeout-minutes"] <= 60
    assert ".ci/run" in [step.get("run") for step in job["steps"]]
    actions = [step["uses"] for step in job["steps"] if "uses" in step]
    assert actions
    assert [action for action in actions if not re.fullmatch(r"actions/[\w-]+@v\d+", action)] == []


def test_dependabot_covers_every_manifest() -> None:
    """Python's requirements, the workflow's actions, and each Go module."""
    go = {("gomod", f"/{path.parent.relative_to(ROOT)}") for path in (ROOT / "tests").rglob("go.mod")}
    assert go
    updates = load(".github/dependabot.yml")["updates"]
    covered = {(update["package-ecosystem"], update["directory"]) for update in updates}
    assert covered == go | {("pip", "/"), ("github-actions", "/")}


def test_hooks_run_the_tools_of_the_virtual_environment() -> None:
    """Local hooks only, so that versions are set in requirements-dev.txt alone."""
    config = load(".pre-commit-config.yaml")
    assert [repo["repo"] for repo in config["repos"]] == ["local"]
    hooks = [hook["entry"].split()[0] for hook in config["repos"][0]["hooks"]]
    programs = {hook.removeprefix(".venv/bin/") for hook in hooks}
    assert programs == {"ruff", "mypy", "codespell"}
    assert programs <= tools()
    requirements = (ROOT / "requirements-dev.txt").read_text()
    assert programs <= set(re.findall(r"^[\w-]+", requirements, re.MULTILINE))


def test_bug_report_asks_for_what_finds_the_cause_and_no_secrets() -> None:
    """GitHub shows only templates with a name and a description."""
    for path in (ROOT / ".github/ISSUE_TEMPLATE").glob("*.md"):
        front = yaml.safe_load(path.read_text().split("---\n")[1])
        assert {"name", "about"} <= front.keys()
    report = (ROOT / ".github/ISSUE_TEMPLATE/bug_report.md").read_text()
    assert "X-Request-ID" in report
    assert "problem document" in report
    assert "remove tokens, passwords" in report
