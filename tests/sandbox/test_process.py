"""The simulators as a process of their own."""

import json
import os
import signal
import ssl
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]


@pytest.fixture
def process(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """The process, with a folder for temporary files that is its own and no AWS settings."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    with subprocess.Popen(
        [sys.executable, "-W", "error", "-m", "providers.sandbox", "--only", "aws"],
        cwd=ROOT,
        env={**environment, "TMPDIR": str(tmp_path), "HOME": str(tmp_path)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        yield process
        process.kill()


def started(process: subprocess.Popen[str]) -> tuple[str, str]:
    """The address and the certificate authority that the process prints."""
    assert process.stdout is not None
    line = json.loads(process.stdout.readline())
    assert line.keys() == {"ca_file", "urls"}
    return line["urls"]["aws-sandbox"], line["ca_file"]


def test_end_of_input_ends_the_process_and_leaves_nothing(process: subprocess.Popen[str], tmp_path: Path) -> None:
    """It serves over TLS until its input ends, is silent but for one line, and removes its folder."""
    url, ca_file = started(process)
    assert Path(ca_file).parent.stat().st_mode & 0o077 == 0
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(url, context=ssl.create_default_context(cafile=ca_file), timeout=5)  # noqa: S310 - ours
    assert caught.value.code == 400
    caught.value.close()
    output, errors = process.communicate(timeout=5)
    assert (process.returncode, output, errors) == (0, "", "")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_ends_the_process_and_leaves_nothing(
    process: subprocess.Popen[str], tmp_path: Path, number: signal.Signals
) -> None:
    """A signal ends it as the end of input does, though its input is still open."""
    started(process)
    process.send_signal(number)
    assert process.wait(timeout=60) == 0
    assert list(tmp_path.iterdir()) == []


def test_signal_while_starting_ends_the_process(process: subprocess.Popen[str], tmp_path: Path) -> None:
    """A signal that comes early leaves nothing either."""
    while not any(tmp_path.iterdir()):
        assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=60) == 0
    assert list(tmp_path.iterdir()) == []
    assert tempfile.gettempdir() != str(tmp_path)
