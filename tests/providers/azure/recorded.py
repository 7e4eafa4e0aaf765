"""Recorded answers of the real Azure, where they lie at hand."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.support.sandbox import ROOT

RECORDINGS = Path(os.environ.get("CLOUDVM_AZURE_RECORDINGS", ROOT.parent / "shared/recordings/azure"))
recorded = pytest.mark.skipif(not RECORDINGS.exists(), reason="the recorded answers are not at hand")


def interactions(file: str) -> list[dict[str, Any]]:
    """The requests and answers of one recording, in order."""
    found: list[dict[str, Any]] = json.loads((RECORDINGS / file).read_text())["interactions"]
    return found
