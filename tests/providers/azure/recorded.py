"""Recorded answers of the real Azure, where they lie at hand."""

import json
from typing import Any

from tests.support import vendor

RECORDINGS = vendor.RECORDINGS / "azure"
recorded = vendor.needs(RECORDINGS)


def interactions(file: str) -> list[dict[str, Any]]:
    """The requests and answers of one recording, in order."""
    found: list[dict[str, Any]] = json.loads((RECORDINGS / file).read_text())["interactions"]
    return found
