"""`manage.py leftovers`: its options, and one clear line for each fault. `tests/conformance` runs it on every cloud."""

import json
import subprocess
import time
from argparse import ArgumentTypeError
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from providers.sandbox import azure
from providers.sandbox.authority import Authority
from providers.sandbox.faults import Fault
from tests.support import leftovers
from tests.support.sandbox import free_port
from vms.management.commands.leftovers import Age, age_of

pytestmark = pytest.mark.slow

SECRET = "canary-s3cr3t:and-a-colon"
TOKEN = leftovers.token("demo@sandbox", SECRET)


@dataclass(frozen=True)
class Stage:
    """A simulated Azure whose principal has `SECRET`, and a file with its environment, `main`."""

    sandbox: azure.AzureSandbox
    environments: Path

    def run(self, *options: str, token: str | None = TOKEN, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run the command."""
        return leftovers.leftovers(*options, environments=self.environments, token=token, **variables)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """The simulator and its file."""
    folder = tmp_path_factory.mktemp("leftovers")
    authority = Authority(folder / "ca.pem")
    with azure.AzureSandbox(authority) as sandbox:
        main = {
            "name": "main",
            "cloud": "Azure",
            "url": sandbox.url,
            "ca_file": "ca.pem",
            "region": azure.LOCATION,
            "vpc_id": f"{azure.TENANT}/{azure.SUBSCRIPTION}",
            "project": azure.RESOURCE_GROUP,
        }
        down = {**main, "name": "down", "url": f"https://127.0.0.1:{free_port()}"}
        (folder / "environments.json").write_text(json.dumps([main, down]))
        yield Stage(sandbox, folder / "environments.json")


@pytest.fixture
def stage(running: Stage) -> Stage:
    """The same, fresh."""
    running.sandbox.reset()
    running.sandbox.add_principal("demo@sandbox", SECRET)
    return running


def line_of(done: subprocess.CompletedProcess[str], status: int = 1) -> str:
    """The one line on stderr of a command that failed, without a secret and without a result."""
    assert (done.returncode, done.stdout) == (status, ""), done.stdout + done.stderr
    assert "canary" not in done.stderr
    assert TOKEN not in done.stderr
    (line,) = done.stderr.splitlines()
    return line


@pytest.mark.parametrize(
    ("text", "length"),
    [
        ("0", timedelta(0)),
        ("90s", timedelta(seconds=90)),
        ("30m", timedelta(minutes=30)),
        ("1h", timedelta(hours=1)),
        ("2d", timedelta(days=2)),
    ],
)
def test_age_is_a_number_with_a_unit(text: str, length: timedelta) -> None:
    """`0` needs none."""
    assert Age.parse(text).length == length


@pytest.mark.parametrize("text", ["", "1", "h", "-1h", "1.5h", "1h30m", "1w", "\u0661h", "9999999d", "1h\n"])
def test_age_without_a_unit_is_refused(text: str) -> None:
    """The message shows what is allowed."""
    with pytest.raises(ArgumentTypeError, match="30m, 1h, 2d or 0"):
        Age.parse(text)


@pytest.mark.parametrize(("minutes_ahead", "expected_minutes"), [(0, 70), (-50, 20), (50, 70)])
def test_age_goes_by_the_later_of_two_clocks(minutes_ahead: int, expected_minutes: int) -> None:
    """What a cloud whose clock is late has made just now is not old."""
    now = datetime(2026, 11, 29, 15, tzinfo=UTC)
    age = age_of(now - timedelta(minutes=70), now, timedelta(minutes=minutes_ahead))
    assert age == timedelta(minutes=expected_minutes)


def test_nothing_left_behind_is_told(stage: Stage) -> None:
    """A VM that runs is not a leftover."""
    stage.sandbox.seed(1)
    done = stage.run("--environment", "main", "--remove", "--older-than", "0")
    assert (done.returncode, done.stdout, done.stderr) == (0, "0 leftovers.\n", "")
    assert len(stage.sandbox.vms()) == 1


def test_old_leftovers_are_removed(stage: Stage) -> None:
    """The young one stays, and the one that somebody uses."""
    now = int(time.time())
    names = [f"web-nic-{now - hours * 3600:08x}0000000a" for hours in (50, 3, 0)]
    for name in names:
        stage.sandbox.add_network_interface(name)
    stage.sandbox.tag_network_interface(names[1], {"owner": "me"})
    done = stage.run("--environment", "main", "--remove")
    assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
    heading, removed, kept, *results = done.stdout.splitlines()
    assert heading.split() == ["KIND", "ID", "NAME", "AGE", "REMOVABLE", "WHY"]
    assert removed.split()[:5] == ["nic", names[0], names[0], "2d", "yes"]
    assert kept.split()[:5] == ["nic", names[1], names[1], "3h", "no"]
    assert results == [
        "2 leftovers; 1 other is younger than 1h or of unknown age. `--older-than 0` includes all.",
        f"Removed nic {names[0]}.",
        f"Kept nic {names[1]}: it may be in use. Delete it yourself if it is not.",
    ]
    assert [nic.name for nic in stage.sandbox.network_interfaces()] == names[1:]


def test_missing_token_is_asked_for(stage: Stage) -> None:
    """A blank one, too."""
    for token in (None, " "):
        assert line_of(stage.run("--environment", "main", token=token)).startswith(
            "CommandError: credentials_missing: Set CLOUDVM_TOKEN to the base64"
        )


def test_malformed_token_is_not_quoted(stage: Stage) -> None:
    """It may be the secret itself, pasted as it is."""
    line = line_of(stage.run("--environment", "main", token=SECRET))
    assert line.startswith("CommandError: credentials_malformed: CLOUDVM_TOKEN cannot be used.")


def test_token_with_bearer_before_it_is_told(stage: Stage) -> None:
    """The variable holds what stands behind `Bearer`."""
    assert line_of(stage.run("--environment", "main", token=f"Bearer {TOKEN}")) == (
        "CommandError: credentials_malformed: Set CLOUDVM_TOKEN to the token alone, without `Bearer`."
    )


def test_rejected_credentials_are_told_after_one_attempt(stage: Stage) -> None:
    """Another attempt could lock the account."""
    wrong = leftovers.token("demo@sandbox", "canary-wrong")
    line = line_of(stage.run("--environment", "main", token=wrong))
    assert line.startswith("CommandError: credentials_rejected: ")
    assert stage.sandbox.failed_token_requests == 1


def test_cloud_that_quotes_the_secret_is_masked(stage: Stage) -> None:
    """Backends echo what they were sent."""
    stage.sandbox.faults.add(Fault(times=None, status=400, code="InvalidParameter", message=f"No\n{SECRET} \x1b[2J"))
    line = line_of(stage.run("--environment", "main"))
    assert "***" in line
    assert "\x1b" not in line


def test_cloud_that_is_away_is_told(stage: Stage) -> None:
    """The problem's code, and the host."""
    line = line_of(stage.run("--environment", "down"))
    assert line.startswith("CommandError: backend_unreachable: ")
    assert "127.0.0.1" in line


def test_unknown_environment_is_told(stage: Stage) -> None:
    """Before any call."""
    line = line_of(stage.run("--environment", "nowhere"))
    assert "environment_not_found: There is no environment 'nowhere'." in line
    assert line.endswith("environments.json has: main, down.")
    assert stage.sandbox.calls.count() == 0


def test_faults_of_files_and_settings_are_told(stage: Stage, tmp_path: Path) -> None:
    """As `serve` tells them."""
    (tmp_path / "machinetypes.json").write_text("[")
    done = stage.run("--environment", "main", CLOUDVM_MACHINETYPES_FILE=str(tmp_path / "machinetypes.json"))
    assert "machinetypes.json" in line_of(done)
    assert "HTTPS_PROXY" in line_of(stage.run("--environment", "main", HTTPS_PROXY="proxy.example:3128"))


def test_wrong_options_are_refused(stage: Stage) -> None:
    """The parser's own words, and what is allowed."""
    for options, words in (
        (("--environment", "main", "--older-than", "soon"), "'soon' is not an age such as 30m, 1h, 2d or 0"),
        ((), "--environment"),
    ):
        done = stage.run(*options)
        assert done.returncode == 2
        assert words in done.stderr
