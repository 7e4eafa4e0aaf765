"""The security policy: each threat names tests that exist, and people find where to report."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
POLICY = (ROOT / ".github/SECURITY.md").read_text()
TEST = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`")
THREATS = re.findall(r"^\| (.+?) \| (.+) \| (.+) \|$", POLICY.partition("## Threats")[2], re.MULTILINE)
ROWS = [row for row in THREATS if row[0] not in {"threat", "---"}]


def defined_in(path: str) -> set[str]:
    """The test functions of a module."""
    tree = ast.parse((ROOT / path).read_text())
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize("path", sorted({path for path, _ in TEST.findall(POLICY)}))
def test_tests_that_the_policy_names_exist(path: str) -> None:
    """A test that is renamed or removed is renamed or replaced in the policy, too."""
    assert (ROOT / path).exists()
    assert {name for found, name in TEST.findall(POLICY) if found == path} - defined_in(path) == set()


def test_each_threat_has_a_defence_and_tests() -> None:
    """Nothing else stands in the last column."""
    assert len(ROWS) > 20
    for threat, defence, tests in ROWS:
        assert threat.endswith("."), threat
        assert defence.endswith("."), threat
        assert re.fullmatch(rf"{TEST.pattern}(, {TEST.pattern})*", tests), threat


def test_policy_says_how_to_report_and_what_is_supported() -> None:
    """GitHub links to it from the repository's Security tab."""
    for text in ("## Report a vulnerability", "## Supported versions", "privately", "Remove tokens, passwords"):
        assert text in POLICY
