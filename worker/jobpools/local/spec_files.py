"""YAML files → the same pools and schedules that the operator gets from the API server, judged by the same models."""

import json
import typing
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from jobpools.core.objects import API_VERSION, GROUP, Meta
from jobpools.core.pools.specs import Pool, PoolSpec
from jobpools.core.schedules import expression as clock
from jobpools.core.schedules.specs import Schedule, ScheduleSpec
from jobpools.core.text.suggestions import meant
from jobpools.core.text.validation import told
from jobpools.errors import SpecError
from jobpools.local.yaml_documents import Document, Place, read

SUFFIXES = (".yaml", ".yml")
_SPECS: dict[str, type[BaseModel]] = {"WorkerPool": PoolSpec, "CronJobSpec": ScheduleSpec}
_TOP = ("apiVersion", "kind", "metadata", "spec", "status")
_SPECIFIC_FIRST = ("extra_forbidden",)

T = TypeVar("T", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Files:
    """What a set of files says."""

    pools: tuple[Pool, ...] = ()
    schedules: tuple[Schedule, ...] = ()
    notes: tuple[str, ...] = ()
    """What was left out or does not count here, one line each."""
    folders: Mapping[str, Path] = field(default_factory=dict)
    """Of each pool's file, by the pool's key."""


@dataclass(slots=True)
class _Reading:
    namespace: str
    pools: list[Pool] = field(default_factory=list)
    schedules: list[Schedule] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    folders: dict[str, Path] = field(default_factory=dict)
    seen: dict[tuple[str, str], str] = field(default_factory=dict)
    """(kind, key) → where it was found first."""
    left: dict[str, list[str]] = field(default_factory=dict)
    """Kinds that mean something to a cluster only, by file."""


def paths(given: Sequence[Path]) -> list[Path]:
    """The files themselves, and all YAML files of the folders, sorted. Raises SpecError."""
    found: list[Path] = []
    for path in given:
        if path.is_dir():
            inside = sorted(each for each in path.iterdir() if each.suffix in SUFFIXES and each.is_file())
            if not inside:
                raise SpecError(f"{path}: the folder holds no YAML file (*.yaml, *.yml)")
            found += inside
        elif path.exists():
            found.append(path)
        else:
            raise SpecError(f"{path}: no such file or folder")
    return list(dict.fromkeys(found))


def load(given: Sequence[Path], namespace: str = "default") -> Files:
    """All WorkerPools and CronJobSpecs of files and folders; other Kubernetes kinds are noted and left out.

    `namespace` is that of objects which name none. Raises SpecError: `file:line: path: what is wrong`.
    """
    reading = _Reading(namespace)
    for path in paths(given):
        for document in read(path, str(path)):
            _take(document, reading)
    if not reading.pools and not reading.schedules:
        raise SpecError(f"{', '.join(str(path) for path in given)}: no WorkerPool and no CronJobSpec in there")
    left = [f"{file}: {', '.join(kinds)} left out: for a cluster only" for file, kinds in reading.left.items()]
    return Files(tuple(reading.pools), tuple(reading.schedules), (*left, *reading.notes), reading.folders)


def differences(before: Files, after: Files) -> Iterator[str]:
    """What an edit changed, a line each."""
    for kind, old, new in (
        (
            "pool",
            {each.meta.key: each.spec for each in before.pools},
            {each.meta.key: each.spec for each in after.pools},
        ),
        (
            "schedule",
            {each.meta.key: each.spec for each in before.schedules},
            {each.meta.key: each.spec for each in after.schedules},
        ),
    ):
        yield from (f"{kind} {key}: removed" for key in sorted(old.keys() - new.keys()))
        yield from (f"{kind} {key}: added" for key in sorted(new.keys() - old.keys()))
        yield from (f"{kind} {key}: changed" for key in sorted(old.keys() & new.keys()) if old[key] != new[key])


def _take(document: Document, reading: _Reading) -> None:
    kind = _kind(document)
    place = f"{document.file}:{document.line(())}"
    if kind not in _SPECS:
        reading.left.setdefault(document.file, []).append(kind)
        return
    for key in document.value:
        if key not in _TOP:
            raise document.error((key,), f"unknown key{meant(str(key), _TOP)}")
    meta = _meta(document, reading.namespace)
    if first := reading.seen.get((kind, meta.key)):
        raise document.error(("metadata", "name"), f"two {kind}s are called {meta.key}; the other one is at {first}")
    reading.seen[kind, meta.key] = place
    if kind == "WorkerPool":
        reading.pools.append(Pool(meta=meta, spec=_pool_spec(document)))
        reading.folders[meta.key] = Path(document.file).parent
    else:
        reading.schedules.append(Schedule(meta=meta, spec=_schedule_spec(document)))
    if "redis" in document.value["spec"]:
        line = document.line(("spec", "redis"))
        reading.notes.append(f"{document.file}:{line}: spec.redis does not count here: --redis says which one")


def _pool_spec(document: Document) -> PoolSpec:
    spec = _checked(document, ("spec",), PoolSpec)
    for at, each in enumerate(spec.scaling.schedules):
        _check_clock(document, ("spec", "scaling", "schedules", at), "cron", each.cron, each.time_zone)
    return spec


def _schedule_spec(document: Document) -> ScheduleSpec:
    spec = _checked(document, ("spec",), ScheduleSpec)
    _check_clock(document, ("spec",), "schedule", spec.schedule or "@hourly", spec.time_zone)
    return spec


def _kind(document: Document) -> str:
    value = document.value
    if not isinstance(value, dict):
        raise document.error((), f"this is no Kubernetes object: write apiVersion: {API_VERSION} and kind: WorkerPool")
    kind, version = value.get("kind"), value.get("apiVersion")
    if not isinstance(kind, str) or not isinstance(version, str):
        missing = "kind" if isinstance(version, str) else "apiVersion"
        raise document.error(
            (), f"{missing} is missing: write apiVersion: {API_VERSION} and kind: WorkerPool or CronJobSpec"
        )
    ours = version.partition("/")[0] == GROUP or kind in _SPECS
    if ours and kind not in _SPECS:
        raise document.error(("kind",), f"{kind!r} is unknown{meant(kind, _SPECS)}")
    if ours and version != API_VERSION:
        raise document.error(("apiVersion",), f"{version!r} is unknown: write {API_VERSION}")
    return kind


def _meta(document: Document, namespace: str) -> Meta:
    given = document.value.get("metadata")
    if not isinstance(given, dict):
        raise document.error(("metadata",), "metadata.name is missing")
    known = {name: given[name] for name in ("name", "namespace") if name in given}
    return _checked(document, ("metadata",), Meta, {"namespace": namespace} | known)


def _checked(document: Document, at: Place, model: type[T], value: Any = None) -> T:
    if value is None:
        value = document.value.get(at[0])
    if not isinstance(value, dict):
        raise document.error(at, "a mapping is expected here")
    try:
        # As JSON and strict: what the API server would refuse (a number in quotes) is refused here as well.
        return model.model_validate_json(json.dumps(value, default=str), strict=True)
    except ValidationError as error:
        problems = error.errors(include_url=False)
        problems.sort(key=lambda each: each["type"] not in _SPECIFIC_FIRST)
        first = problems[0]
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        raise document.error((*at, *first["loc"]), _said(first, model) + more) from error


def _said(problem: Mapping[str, Any], model: type[BaseModel]) -> str:
    loc = problem["loc"]
    known = meant(str(loc[-1]), _keys(model, loc[:-1])) if problem["type"] == "extra_forbidden" else ""
    return f"{told(problem)}{known}"


def _keys(model: type[BaseModel], loc: Sequence[str | int]) -> list[str]:
    """The keys that may stand at a place of a model."""
    kind: Any = model
    for part in loc:
        if isinstance(part, str):
            fields = _model_in(kind)
            if fields is None:
                return []
            kind = next(
                (each.annotation for name, each in fields.model_fields.items() if part in (name, each.alias)), None
            )
    found = _model_in(kind)
    return (
        [] if found is None else [each.alias or name for name, each in found.model_fields.items() if not each.exclude]
    )


def _model_in(kind: Any) -> type[BaseModel] | None:
    """The model that a type is, or holds: `tuple[X, ...]`, `X | None`, `Annotated[X, …]`."""
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return kind
    return next((found for each in typing.get_args(kind) if (found := _model_in(each)) is not None), None)


def _check_clock(document: Document, place: Place, key: str, expression: str, time_zone: str) -> None:
    try:
        clock.zone(time_zone)
    except SpecError as error:
        raise document.error((*place, "timeZone"), str(error).removeprefix("timeZone ")) from error
    try:
        clock.parse_cron(expression, time_zone)
    except SpecError as error:
        raise document.error((*place, key), str(error).removeprefix("schedule ")) from error
