"""The settings in options, in the environment and in a preset, as values with their place."""

import difflib
import json
from collections.abc import Iterable, Mapping
from typing import Any, Final

from pydantic import BaseModel

from jobpools.core.configuration.settings_table import BY_NAME, CONFIG, PREFIX, PRESETS, SETTINGS, Kind, Setting
from jobpools.core.configuration.values import Found, Origin, Value, leaves
from jobpools.core.text.validation import SHOWN

MIN_SIMILARITY: Final = 0.8
"""Similarity to the name of a setting, from 0 to 1, at which an unknown variable is reported as mistyped."""


def from_options(options: Mapping[str, Any], model: type[BaseModel]) -> Found:
    """Return the options of a command line that are not None; their names are those of settings."""
    values: list[Value] = []
    for name, value in options.items():
        if value is not None:
            setting = BY_NAME[name]
            values += leaves(
                Value((name,), value, Origin.OPTION, setting.option or name, example=setting.example), model
            )
    return Found(tuple(values))


def from_environment(environ: Mapping[str, str], model: type[BaseModel], table: Iterable[Setting]) -> Found:
    """Return the settings of the variables that are not empty; settings that the model lacks are not read."""
    values: list[Value] = []
    problems: list[str] = []
    for setting in table:
        if setting.name in model.model_fields and (text := environ.get(setting.variable, "")):
            try:
                value = _from_text(setting, text)
            except ValueError as error:
                problems.append(
                    f"{setting.variable}: {text[:SHOWN]!r} is not JSON: {error}; write it as in {setting.example}"
                )
            else:
                example = "" if setting.kind is Kind.JSON else setting.example
                values += leaves(
                    Value((setting.name,), value, Origin.ENVIRONMENT, setting.variable, example=example), model
                )
    return Found(tuple(values), tuple(problems))


def _from_text(setting: Setting, text: str) -> Any:
    """Return the value of a variable. Raises ValueError for wrong JSON.

    `JOBPOOLS_GRACE=90` and `=90s` are both durations.
    """
    if setting.kind is Kind.JSON:
        return json.loads(text)
    if setting.kind is Kind.NAMES:
        return tuple(filter(None, map(str.strip, text.split(","))))
    if setting.kind is Kind.DURATION:
        try:
            return float(text)
        except ValueError:
            return text
    return text


def from_preset(name: str, model: type[BaseModel]) -> Found:
    """Return the values of a preset."""
    paths = {tuple(name.split(".")): value for name, value in PRESETS[name].items()}
    return Found(
        tuple(
            Value(path, value, Origin.PRESET, f"preset {name}")
            for path, value in paths.items()
            if path[0] in model.model_fields
        )
    )


def unknown_variables(environ: Mapping[str, str]) -> tuple[str, ...]:
    """Return a line for each variable whose name is almost that of a setting.

    Other unknown variables are not reported: Kubernetes sets such variables for a Service called jobpools-….
    """
    known = {setting.variable.removeprefix(PREFIX): setting.variable for setting in (*SETTINGS, CONFIG)}
    notes: list[str] = []
    for variable in sorted(environ):
        name = variable.removeprefix(PREFIX)
        if variable.startswith(PREFIX) and name not in known:
            near = difflib.get_close_matches(name, known, n=1, cutoff=MIN_SIMILARITY)
            notes += [f"{variable}: no such setting; did you mean {known[each]}?" for each in near]
    return tuple(notes)
