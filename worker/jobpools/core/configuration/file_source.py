"""The settings in a TOML file: `jobpools.toml`, or the table `[tool.jobpools]` of `pyproject.toml`."""

import re
import tomllib
from typing import Any, Final, NamedTuple, cast

from pydantic import BaseModel

from jobpools.core.configuration.settings_table import BY_NAME, PROJECT_FILE, Kind
from jobpools.core.configuration.toml_lines import lines_of
from jobpools.core.configuration.values import Found, Origin, Value, leaves, line_of, paths_of
from jobpools.core.text.did_you_mean import did_you_mean

PROJECT_TABLE: Final = ("tool", "jobpools")
_HEADER: Final = re.compile(r"^\s*\[\s*tool\s*\.\s*jobpools\b", re.MULTILINE)
INVALID: Final = (ValueError, RecursionError)
"""What tomllib raises: errors of syntax and integers of too many digits are ValueErrors; nesting may be too deep."""
_AT_LINE: Final = re.compile(r"\(at line (\d+), column \d+\)$")


class SettingsFile(NamedTuple):
    """The text of a file with settings."""

    path: str
    """Path as messages show it."""
    text: str
    source: str = "current folder"
    """What named the file: `--config`, `JOBPOOLS_CONFIG`, or the folder in which it was found."""

    @property
    def table(self) -> tuple[str, ...]:
        """Keys of the table that holds the settings; empty: they are at the top of the file."""
        return PROJECT_TABLE if self.path.replace("\\", "/").rpartition("/")[2] == PROJECT_FILE else ()


def has_settings(project: str) -> bool:
    """Return whether the text of a pyproject.toml has the table `[tool.jobpools]`, or may have it but is not TOML."""
    try:
        tool = tomllib.loads(project).get(PROJECT_TABLE[0])
    except INVALID:
        return _HEADER.search(project) is not None
    return isinstance(tool, dict) and PROJECT_TABLE[1] in tool


def from_file(file: SettingsFile, model: type[BaseModel]) -> Found:
    """Return the settings of a file; a key that is not a setting of any process is a problem."""
    try:
        parsed = tomllib.loads(file.text)
    except INVALID as error:
        return Found(problems=(f"{file.path}{_error_line(error)}: not valid TOML: {error}; correct the file",))
    content: Any = parsed
    for key in file.table:
        content = content.get(key, {}) if isinstance(content, dict) else {}
    lines = lines_of(file.text)
    if not isinstance(content, dict):
        line = line_of(lines, file.table)
        return Found(
            problems=(f"{file.path}:{line}: {'.'.join(file.table)}: must be a table; write key = value in it",)
        )
    own = {keys[len(file.table) :]: line for keys, line in lines.items() if keys[: len(file.table)] == file.table}
    values: list[Value] = []
    problems: list[str] = []
    for key, value in cast("dict[str, Any]", content).items():
        name = key.replace("-", "_")
        found = Value((name,), value, Origin.FILE, file.path, (key,), _example(name), own)
        if name not in BY_NAME:
            problems.append(f"{found.place()}: no such setting{_hint(key, file, model)}")
        elif isinstance(value, bool):  # pydantic would accept it as a number
            problems.append(f"{found.place()}: no setting is true or false; write it as in {BY_NAME[name].example}")
        elif name in model.model_fields:
            values += leaves(found, model)
    return Found(tuple(values), tuple(problems))


def _example(name: str) -> str:
    """Return an example of a value; empty for a list or table, whose form in a file is not that of its example."""
    setting = BY_NAME.get(name)
    return "" if setting is None or setting.kind is Kind.JSON else setting.example


def _hint(key: str, file: SettingsFile, model: type[BaseModel]) -> str:
    if key == PROJECT_TABLE[0] and not file.table:
        return f"; only {PROJECT_FILE} has [tool.jobpools]: write the settings here without it"
    if key == "config":
        return "; name the file with --config or JOBPOOLS_CONFIG"
    inside = paths_of(model, key)
    return f"; did you mean {' or '.join(inside)}?" if inside else did_you_mean(key, BY_NAME)


def _error_line(error: Exception) -> str:
    """Return `:LINE`. Before Python 3.14 only the message has the line; at the end of a document there is none."""
    found = _AT_LINE.search(str(error))
    line = getattr(error, "lineno", None) or (found and found[1])
    return f":{line}" if line else ""
