"""Listings as a table, JSON or YAML. A row is plain values; the table shows its columns, the other two all of it."""

import json
import sys
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any

from jobpools.cli.shell import coloured, put
from jobpools.core.text.durations import format_duration
from jobpools.core.text.timestamps import timestamp

CELL_LIMIT = 160
"""Characters of a cell: an error's message may be a page long; --output json has all of it."""
YAML_WIDTH = 1000
"""Characters of a line before it is folded: never, for what people write."""
_BOLD, _PLAIN = "\x1b[1m", "\x1b[0m"


class Output(StrEnum):
    """The forms that a listing can take."""

    TABLE = "table"
    JSON = "json"
    YAML = "yaml"


def show(rows: Sequence[Mapping[str, Any]], columns: Sequence[str], output: Output, nothing: str) -> None:
    """Print rows. `columns` are keys, `nothing` is said (on stderr) where a table would be empty."""
    if output is Output.TABLE:
        if not rows:
            sys.stderr.write(f"{nothing}\n")
            return
        put(table([[_cell(key, row.get(key)) for key in columns] for row in rows], columns))
    else:
        document([{key: _rounded(value) for key, value in row.items()} for row in rows], output)


def document(value: Any, output: Output) -> None:
    """Print one value as JSON or YAML."""
    if output is Output.JSON:
        put(json.dumps(value, indent=2, ensure_ascii=False, default=str) + "\n")
        return
    import yaml

    class Dumper(yaml.SafeDumper):
        """Tracebacks as blocks, for people to read."""

    def text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
        style = "|" if "\n" in value else None
        return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)

    Dumper.add_representer(str, text)
    put(yaml.dump(value, Dumper=Dumper, sort_keys=False, allow_unicode=True, width=YAML_WIDTH))


def _rounded(value: Any) -> Any:
    """Milliseconds are enough for an age."""
    return round(value, 3) if isinstance(value, float) else value


def table(cells: Sequence[Sequence[str]], columns: Sequence[str]) -> str:
    """Aligned like kubectl's; the header is bold on a terminal."""
    head = [name.replace("_", " ").upper() for name in columns]
    widths = [max(len(row[at]) for row in (head, *cells)) for at in range(len(head))]
    lines = [
        "   ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in (head, *cells)
    ]
    if coloured():
        lines[0] = f"{_BOLD}{lines[0]}{_PLAIN}"
    return "\n".join(lines) + "\n"


def _cell(key: str, value: Any) -> str:
    if value is None or value == "":
        return "-"
    if key in ("age", "oldest", "idle", "seen", "due"):
        return format_duration(max(0.0, float(value)))
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (list, tuple)):
        return ",".join(str(each) for each in value) or "-"
    text = " ".join(str(value).split())
    return text if len(text) <= CELL_LIMIT else f"{text[: CELL_LIMIT - 1]}…"


def moment(seconds: float | None) -> str | None:
    """RFC 3339 in UTC, to the second; None stays None."""
    if seconds is None:
        return None
    try:
        return timestamp(seconds)
    except (OverflowError, ValueError):
        return "beyond the calendar"
