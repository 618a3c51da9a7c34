"""Read the tables of the documents."""

import re
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"


def section(page: str, heading: str) -> str:
    """Return the text below a heading, up to the next heading of any level."""
    parts = re.split(r"^#+ (.*)$", (DOCS / page).read_text(), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))[heading]


def rows(text: str) -> list[list[str]]:
    """Return the cells of each table row that begins with a code span."""
    lines = [line for line in text.splitlines() if line.startswith("| `")]
    return [re.split(r"\s*\|\s*", line.strip("| ")) for line in lines]


def names(cell: str) -> list[str]:
    """Return the names in a cell such as "`id`, `service(…)`"."""
    return re.findall(r"`(\w+)(?:\(…\))?`", cell)
