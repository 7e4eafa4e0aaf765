"""The README's reference tables."""

import re
from pathlib import Path

README = Path(__file__).parents[2] / "README.md"


def quoted_in_table(section: str, header: str, pattern: str) -> list[str]:
    """Find everything in a section's table that matches; the section and the table are named by their first line."""
    in_section = README.read_text().partition(f"\n{section}\n")[2]
    table = in_section.partition(header)[2].partition("\n\n")[0]
    return re.findall(pattern, table)
