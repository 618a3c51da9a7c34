"""Decide which value each setting has, and say where it came from and what is wrong."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

from pydantic import BaseModel, ValidationError

from jobpools.core.configuration.settings_table import PRESETS, SETTINGS, Setting
from jobpools.core.configuration.sources import from_environment, from_options, from_preset
from jobpools.core.configuration.values import Found, Origin, Path, Value, field_of, group_at
from jobpools.core.jobs.policies import QueueLimits
from jobpools.core.text.did_you_mean import did_you_mean
from jobpools.core.text.validation import explain
from jobpools.errors import SettingsError

if TYPE_CHECKING:
    from jobpools.core.configuration.file_source import SettingsFile

M = TypeVar("M", bound=BaseModel)


class Facts(NamedTuple):
    """All that settings are made from."""

    options: Mapping[str, Any]
    """Options of the command line, by the name of the setting; None: not given."""
    environ: Mapping[str, str]
    """The environment variables."""
    file: "SettingsFile | None" = None
    table: Sequence[Setting] = SETTINGS
    """The settings that the environment may contain."""


class Resolution(NamedTuple, Generic[M]):
    """The settings of a process, and the value that each of them was made from."""

    settings: M
    values: Mapping[tuple[str, ...], Value]
    """The values that apply, by path; a setting without a value here has its default."""

    def origin(self, name: str) -> Origin:
        """Return the kind of source that a setting came from."""
        found = self.values.get((name,))
        return Origin.DEFAULT if found is None else found.origin


class SettingChange(NamedTuple):
    """A setting that has another value than before."""

    name: str
    """Name of the setting; dots separate the keys inside a group: `job.retry.max_attempts`."""
    before: Any
    after: Any
    source: str
    """Where the new value comes from: `pyproject.toml:12`, `default`."""


def resolve(facts: Facts, model: type[M]) -> Resolution[M]:
    """Return the settings: an option precedes the environment, then the file, the preset and the default.

    Raises:
        SettingsError: Settings are unknown or have invalid values; it lists all of them.
    """
    found = [from_options(facts.options, model), from_environment(facts.environ, model, facts.table)]
    if facts.file is not None:
        from jobpools.core.configuration.file_source import from_file  # most processes have no file

        found.append(from_file(facts.file, model))
    problems = [problem for each in found for problem in (*each.problems, *_duplicates(each.values))]
    values = merge(found)
    preset = values.get(("preset",))
    if preset is not None:
        if isinstance(preset.value, str) and preset.value in PRESETS:
            values = merge([*found, from_preset(preset.value, model)])
        else:
            problems.append(f"{preset.place()}: {preset.value!r} is not a preset; use {' or '.join(PRESETS)}")
            del values[("preset",)]
    problems += _limit_problems(values)
    return Resolution(_validated(model, values, problems), values)


def merge(found: Iterable[Found]) -> dict[tuple[str, ...], Value]:
    """Return the first value of each path; earlier sources precede later ones.

    A value for a whole group, which is invalid, and values inside it exclude each other.
    """
    chosen: dict[tuple[str, ...], Value] = {}
    for each in found:
        for value in each.values:
            if not any(_overlap(value.path, path) for path in chosen):
                chosen[value.path] = value
    return chosen


def _duplicates(values: Iterable[Value]) -> list[str]:
    """Return a line for each setting that one source sets twice, in two spellings."""
    first: dict[tuple[str, ...], Value] = {}
    return [
        f"{value.place()}: sets the same as {earlier.place()}; keep one of them"
        for value in values
        if (earlier := first.setdefault(value.path, value)) is not value
    ]


def _limit_problems(values: Mapping[tuple[str, ...], Value]) -> list[str]:
    """Return a line for each limit of queues: the operator applies these keys of `spec.queue`, and workers do not."""
    return [
        f"{value.place()}: a worker sets no limits of queues; use App(queues=…) or jobpools queues set"
        for path, value in values.items()
        if _is_limit(path)
    ]


def _is_limit(path: Sequence[str]) -> bool:
    return path[0] == "queue" and path[-1] in QueueLimits.model_fields


def _overlap(one: tuple[str, ...], other: tuple[str, ...]) -> bool:
    shorter = min(len(one), len(other))
    return one[:shorter] == other[:shorter]


def _validated(model: type[M], values: Mapping[tuple[str, ...], Value], problems: Sequence[str]) -> M:
    """Return the model of these values. Raises SettingsError with the given problems and those of the values."""
    try:
        settings = model.model_validate(_nested(values))
    except ValidationError as error:
        invalid = [_describe(model, values, each) for each in error.errors(include_url=False)]
        raise SettingsError([*problems, *invalid]) from error
    if problems:
        raise SettingsError(problems)
    return settings


def _nested(values: Mapping[tuple[str, ...], Value]) -> dict[str, Any]:
    nested: dict[str, Any] = {}
    for path, value in values.items():
        inner = nested
        for name in path[:-1]:
            inner = inner.setdefault(name, {})
        inner[path[-1]] = value.value
    return nested


def _describe(model: type[BaseModel], values: Mapping[tuple[str, ...], Value], problem: Mapping[str, Any]) -> str:
    """Return an error of pydantic with the place of the value, and how to fix it."""
    path = _fields_of(model, problem["loc"])
    length = next((n for n in range(len(path), 0, -1) if path[:n] in values), 0)
    inside = (value for at, value in values.items() if at[: len(path)] == path)
    value = values[path[:length]] if length else next(inside)  # the first key of a group whose keys contradict
    place = value.place(problem["loc"][length:] if length else ())
    group = group_at(model, path[:-1]) if len(path) > 1 else None
    if problem["type"] == "extra_forbidden":
        known = () if group is None else group.model_fields
        return f"{place}: unknown key{did_you_mean(''.join(path[-1:]), known)}"
    text = explain(problem)
    if "; " in text or len(path) > 1 or not value.example:
        return f"{place}: {text}"
    return f"{place}: {text}; write it as in {value.example}"


def _fields_of(model: type[BaseModel], loc: Path) -> tuple[str, ...]:
    """Return the place of an error of pydantic with the names of fields in place of their aliases."""
    path: tuple[str, ...] = ()
    for key in loc:
        group = group_at(model, path)
        path = (*path, str(key) if group is None else field_of(group, str(key)))
    return path


def flattened(settings: BaseModel) -> dict[str, Any]:
    """Return the value of each setting and of each key inside a group, by its name: `job.retry.max_attempts`.

    The limits of queues, which a worker does not set, and functions, which a source cannot name, are left out.
    """
    flat: dict[str, Any] = {}
    for name, known in type(settings).model_fields.items():
        value = getattr(settings, name)
        if isinstance(value, BaseModel):
            inner = {(name, key): each for key, each in flattened(value).items()}
            flat |= {".".join(path): each for path, each in inner.items() if not _is_limit(path)}
        elif not known.exclude:
            flat[name] = value
    return flat


def changes(before: Resolution[M], after: Resolution[M]) -> tuple[SettingChange, ...]:
    """Return the settings whose values differ, in the order of the table."""
    old, new = flattened(before.settings), flattened(after.settings)
    return tuple(
        SettingChange(name, old[name], value, source_of(after, name))
        for name, value in new.items()
        if value != old[name]
    )


def source_of(resolution: Resolution[M], name: str) -> str:
    """Return where a setting, or a key inside a group, came from: `--grace`, `pyproject.toml:12`, `default`."""
    found = resolution.values.get(tuple(name.split(".")))
    return str(Origin.DEFAULT) if found is None else found.source
