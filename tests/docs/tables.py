"""Tables of the documentation, read back from Markdown."""

from __future__ import annotations

import re
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]


def read_table(document: str, first_heading: str) -> list[tuple[str, ...]]:
    """The rows of the table whose first column has that heading.

    Args:
        document: Path below the repository.
        first_heading: Text of the table's first heading.
    """
    lines = (REPOSITORY / document).read_text(encoding="utf-8").splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith(f"| {first_heading} |"))
    rows = []
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            break
        rows.append(tuple(cell.strip() for cell in line.strip("|").split(" | ")))
    return rows


def code_blocks(document: str, language: str) -> list[str]:
    """The fenced blocks of one language, in order."""
    text = (REPOSITORY / document).read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
