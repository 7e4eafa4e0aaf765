"""Material of vendors that is not part of the project: API descriptions, recorded answers, clients, validators.

Tests that need it are skipped where it is missing, and fail there if CLOUDVM_REQUIRE_VENDOR is set.
"""

import os
from pathlib import Path

import pytest

from tests.support.sandbox import ROOT

FOLDER = Path(os.environ.get("CLOUDVM_VENDOR_FOLDER", ROOT.parent / "shared"))
SPECIFICATIONS = FOLDER / "specs"
RECORDINGS = FOLDER / "recordings"


def needs(*paths: Path) -> pytest.MarkDecorator:
    """Return the mark of tests that hold our code to a vendor's files."""
    missing = [str(path) for path in paths if not path.exists()]
    return pytest.mark.vendor(f"{missing[0]} is missing" if missing else "")


def needs_program(variable: str, install: str) -> pytest.MarkDecorator:
    """Return the mark of tests that need a vendor's program, which an environment variable names."""
    return pytest.mark.vendor("" if os.environ.get(variable) else f"{variable} is not set; {install}")


def check(item: pytest.Item) -> None:
    """Skip a test that lacks a vendor's material, or let it fail."""
    for mark in item.iter_markers("vendor"):
        (missing,) = mark.args
        if missing and os.environ.get("CLOUDVM_REQUIRE_VENDOR"):
            pytest.fail(f"CLOUDVM_REQUIRE_VENDOR is set, and {missing}", pytrace=False)
        if missing:
            pytest.skip(missing)
