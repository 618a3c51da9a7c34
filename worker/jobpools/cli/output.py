"""Listings as a table, JSON or YAML. The table shows chosen columns of each row, JSON and YAML show the whole row."""

import json
import sys
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any, cast

from jobpools.cli.terminal import uses_colors, write
from jobpools.core.text.durations import format_duration
from jobpools.core.text.timestamps import timestamp

CELL_LIMIT = 160
"""Maximum characters of a cell. A longer error message is cut; --output json shows all of it."""
YAML_WIDTH = 1000
"""Characters after which YAML folds a line: more than any real value has."""
_BOLD, _RESET = "\x1b[1m", "\x1b[0m"


class Output(StrEnum):
    """Format of a listing."""

    TABLE = "table"
    JSON = "json"
    YAML = "yaml"


def show(rows: Sequence[Mapping[str, Any]], columns: Sequence[str], output: Output, empty: str) -> None:
    """Print rows. `columns` are the keys that a table shows; `empty` goes to stderr in place of an empty table."""
    if output is Output.TABLE:
        if not rows:
            sys.stderr.write(f"{empty}\n")
            return
        write(table([[_cell(key, row.get(key)) for key in columns] for row in rows], columns))
    else:
        document([{key: _rounded(value) for key, value in row.items()} for row in rows], output)


def report(text: str, value: Mapping[str, Any], output: Output) -> None:
    """Print what a command has done: as a line of text, or as JSON or YAML."""
    if output is Output.TABLE:
        write(f"{text}\n")
    else:
        document(value, output)


def document(value: Any, output: Output) -> None:
    """Print one value as JSON or YAML."""
    if output is Output.JSON:
        write(json.dumps(value, indent=2, ensure_ascii=False, default=str) + "\n")
        return
    import yaml

    class Dumper(yaml.SafeDumper):
        """A dumper that writes texts of several lines, such as tracebacks, as blocks."""

    def text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
        style = "|" if "\n" in value else None
        return dumper.represent_scalar("tag:yaml.org,2002:str", str(value), style=style)  # pyright: ignore[reportUnknownMemberType]  # its stub is partly typed

    Dumper.add_representer(str, text)
    Dumper.add_multi_representer(str, text)  # enums
    write(yaml.dump(value, Dumper=Dumper, sort_keys=False, allow_unicode=True, width=YAML_WIDTH))


def _rounded(value: Any) -> Any:
    """Round times to milliseconds."""
    return round(value, 3) if isinstance(value, float) else value


def table(cells: Sequence[Sequence[str]], columns: Sequence[str]) -> str:
    """Return an aligned table, as kubectl prints it; on a terminal the header is bold."""
    head = [name.replace("_", " ").upper() for name in columns]
    widths = [max(len(row[at]) for row in (head, *cells)) for at in range(len(head))]
    lines = [
        "   ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in (head, *cells)
    ]
    if uses_colors():
        lines[0] = f"{_BOLD}{lines[0]}{_RESET}"
    return "\n".join(lines) + "\n"


def _cell(key: str, value: Any) -> str:
    if value is None or value == "":
        return "-"
    if key in ("age", "oldest", "idle", "seen", "due", "longest"):
        return format_duration(max(0.0, float(value)))
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (list, tuple)):
        return ",".join(map(str, cast("Sequence[object]", value))) or "-"
    text = " ".join(str(value).split())
    return text if len(text) <= CELL_LIMIT else f"{text[: CELL_LIMIT - 1]}…"


def format_time(seconds: float | None) -> str | None:
    """Return a time as RFC 3339 in UTC, to the second; None for None, `out of range` outside the years 1 to 9999."""
    if seconds is None:
        return None
    try:
        return timestamp(seconds)
    except (OverflowError, ValueError):
        return "out of range"
