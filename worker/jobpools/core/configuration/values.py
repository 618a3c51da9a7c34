"""Values of settings, with the place in their source."""

from collections.abc import Iterator, Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Any, NamedTuple, cast

from pydantic import BaseModel

from jobpools.core.schema import is_duration
from jobpools.core.text.durations import format_duration, parse_duration

Path = tuple[str | int, ...]
"""Keys that lead to a value in TOML; a number is an index in an array."""


class Origin(StrEnum):
    """Kind of source, in the order of precedence."""

    OPTION = "option"
    ENVIRONMENT = "environment"
    FILE = "file"
    PRESET = "preset"
    DEFAULT = "default"


class Value(NamedTuple):
    """A value that one source gives to one setting, or to one key inside a group."""

    path: tuple[str, ...]
    """Name of the setting, and the fields inside a group."""
    value: Any
    origin: Origin
    where: str
    """Place as messages show it: `--grace`, `JOBPOOLS_JOB`, `pyproject.toml`, `preset production`."""
    keys: Path = ()
    """The keys below `where`, as they were written."""
    example: str = ""
    """A valid value, for errors; empty: the message says enough."""
    lines: Mapping[Path, int] = MappingProxyType({})
    """Lines of a file, by keys."""

    def place(self, inside: Path = ()) -> str:
        """Return where the value, or a part of it, is written: `pyproject.toml:12: job.timeout`."""
        keys = (*self.keys, *inside)
        dotted = ".".join(map(str, keys))
        if self.origin is Origin.FILE:
            return f"{self.where}:{line_of(self.lines, keys)}: {dotted}"
        return f"{self.where}.{dotted}" if dotted else self.where

    @property
    def source(self) -> str:
        """The source without the name of the setting: `--grace`, `JOBPOOLS_GRACE`, `pyproject.toml:12`."""
        return f"{self.where}:{line_of(self.lines, self.keys)}" if self.origin is Origin.FILE else self.where


class Found(NamedTuple):
    """The content of one source: values, and what is wrong with it, one line each."""

    values: tuple[Value, ...] = ()
    problems: tuple[str, ...] = ()


def line_of(lines: Mapping[Path, int], keys: Path) -> int:
    """Return the line of a key, else that of the nearest table around it, else 1."""
    while keys and keys not in lines:
        keys = keys[:-1]
    return lines.get(keys, 1)


def leaves(found: Value, model: type[BaseModel]) -> Iterator[Value]:
    """Yield the value, or, if it is the mapping of a group, the values of its keys.

    A source therefore overrides single keys of a group: JOBPOOLS_JOB with a timeout leaves the retries of a file.
    """
    group = group_at(model, found.path)
    if group is None or not isinstance(found.value, dict):
        yield found
        return
    for key, value in cast("dict[str, Any]", found.value).items():
        inner = found._replace(path=(*found.path, field_of(group, key)), value=value, keys=(*found.keys, key))
        yield from leaves(inner, model)


def group_at(model: type[BaseModel], path: tuple[str, ...]) -> type[BaseModel] | None:
    """Return the model of the group of settings at this path; None: there is no group."""
    for name in path:
        known = model.model_fields.get(name)
        if known is None or not (isinstance(known.annotation, type) and issubclass(known.annotation, BaseModel)):
            return None
        model = known.annotation
    return model


def paths_of(model: type[BaseModel], key: str, group: tuple[str, ...] = ()) -> tuple[str, ...]:
    """Return where the groups of the settings have this key: `job.retry.max_attempts`."""
    found: tuple[str, ...] = ()
    for name in model.model_fields:
        inner = group_at(model, (name,))
        if group and name == field_of(model, key):
            found += (".".join((*group, name)),)
        elif inner is not None:
            found += paths_of(inner, key, (*group, name))
    return found


def with_unit(model: type[BaseModel], name: str, value: Any) -> Any:
    """Return a duration as text, `1h`, or `90.25s` if such a text would be rounded; other values as they are.

    `name` is that of the setting; dots separate the keys inside a group: `job.retry.initial`.
    """
    *groups, last = name.split(".")
    group = group_at(model, tuple(groups))
    if group is None or not isinstance(value, float) or not is_duration(group.model_fields[last]):
        return value
    text = format_duration(value)
    return text if parse_duration(text) == value else f"{value:g}s"


def field_of(group: type[BaseModel], key: str) -> str:
    """Return the field that a key of a group means: `maxAttempts`, `max-attempts` and `max_attempts` are one."""
    for name, known in group.model_fields.items():
        if key in (name, known.alias) or key.replace("-", "_") == name:
            return name
    return key
