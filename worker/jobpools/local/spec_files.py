"""YAML files parsed into the same pools and schedules, by the same models, as those the operator watches."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from pydantic import BaseModel

from jobpools.core.objects import API_VERSION, GROUP, Meta
from jobpools.core.pools.specs import Pool, PoolSpec
from jobpools.core.schedules.specs import Schedule, ScheduleSpec
from jobpools.core.text.did_you_mean import did_you_mean
from jobpools.errors import SpecError
from jobpools.local.spec_validation import check_cron, validated
from jobpools.local.yaml_documents import Document, read

SUFFIXES = (".yaml", ".yml")
_SPECS: dict[str, type[BaseModel]] = {"WorkerPool": PoolSpec, "CronJobSpec": ScheduleSpec}
_TOP_LEVEL_KEYS = ("apiVersion", "kind", "metadata", "spec", "status")


@dataclass(frozen=True, slots=True)
class SpecFiles:
    """The content of a set of files."""

    pools: tuple[Pool, ...] = ()
    schedules: tuple[Schedule, ...] = ()
    notes: tuple[str, ...] = ()
    """What `jobpools up` ignores in these files, one line each."""
    folders: Mapping[str, Path] = field(default_factory=dict[str, Path])
    """Folder of each pool's file, by pool key."""


@dataclass(slots=True)
class _Content:
    """The objects and notes read so far."""

    namespace: str
    pools: list[Pool] = field(default_factory=list[Pool])
    schedules: list[Schedule] = field(default_factory=list[Schedule])
    notes: list[str] = field(default_factory=list[str])
    folders: dict[str, Path] = field(default_factory=dict[str, Path])
    found_at: dict[tuple[str, str], str] = field(default_factory=dict[tuple[str, str], str])
    """Place of each object, by kind and key."""
    ignored: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    """Kinds that only a cluster uses, by file."""


def yaml_paths(given: Sequence[Path]) -> list[Path]:
    """Return these files, and the YAML files in these folders, sorted by name. Raises SpecError."""
    found: list[Path] = []
    for path in given:
        if path.is_dir():
            inside = sorted(each for each in path.iterdir() if each.suffix in SUFFIXES and each.is_file())
            if not inside:
                raise SpecError(f"{path}: the folder contains no YAML file (*.yaml, *.yml)")
            found += inside
        elif path.exists():
            found.append(path)
        else:
            raise SpecError(f"{path}: no such file or folder")
    return list(dict.fromkeys(found))


def load(given: Sequence[Path], namespace: str = "default") -> SpecFiles:
    """Return all WorkerPools and CronJobSpecs of files and folders. Other Kubernetes kinds are noted and ignored.

    Args:
        given: YAML files, or folders that contain some.
        namespace: Namespace of objects that do not name one.

    Raises:
        SpecError: A file is wrong. The message is `file:line: path: what is wrong`.
    """
    content = _Content(namespace)
    for path in yaml_paths(given):
        for document in read(path, str(path)):
            _add(document, content)
    if not content.pools and not content.schedules:
        paths = ", ".join(map(str, given))
        raise SpecError(f"{paths}: no WorkerPool or CronJobSpec found; name files that contain some")
    ignored = [
        f"{file}: ignoring {', '.join(kinds)}; used only on a cluster" for file, kinds in content.ignored.items()
    ]
    return SpecFiles(tuple(content.pools), tuple(content.schedules), (*ignored, *content.notes), content.folders)


def differences(before: SpecFiles, after: SpecFiles) -> Iterator[str]:
    """Yield one line for each object that was added, removed or changed."""
    kinds = (("pool", before.pools, after.pools), ("schedule", before.schedules, after.schedules))
    for kind, former, current in kinds:
        old = {each.meta.key: each.spec for each in former}
        new = {each.meta.key: each.spec for each in current}
        yield from (f"{kind} {key}: removed" for key in sorted(old.keys() - new.keys()))
        yield from (f"{kind} {key}: added" for key in sorted(new.keys() - old.keys()))
        yield from (f"{kind} {key}: changed" for key in sorted(old.keys() & new.keys()) if old[key] != new[key])


def _add(document: Document, content: _Content) -> None:
    kind = _kind(document)
    if kind not in _SPECS:
        content.ignored.setdefault(document.file, []).append(kind)
        return
    for key in document.value:
        if key not in _TOP_LEVEL_KEYS:
            raise document.error((key,), f"unknown key{did_you_mean(str(key), _TOP_LEVEL_KEYS)}")
    meta = _meta(document, content.namespace)
    if first := content.found_at.get((kind, meta.key)):
        raise document.error(
            ("metadata", "name"), f"duplicate {kind} {meta.key}, already defined at {first}; rename one of them"
        )
    content.found_at[kind, meta.key] = f"{document.file}:{document.line(())}"
    if kind == "WorkerPool":
        content.pools.append(Pool(meta=meta, spec=_pool_spec(document)))
        content.folders[meta.key] = Path(document.file).parent
    else:
        content.schedules.append(Schedule(meta=meta, spec=_schedule_spec(document)))
    if "redis" in document.value["spec"]:
        line = document.line(("spec", "redis"))
        content.notes.append(f"{document.file}:{line}: spec.redis is ignored on this machine; use --redis")


def _pool_spec(document: Document) -> PoolSpec:
    spec = validated(document, ("spec",), PoolSpec)
    for at, each in enumerate(spec.scaling.schedules):
        check_cron(document, ("spec", "scaling", "schedules", at), "cron", each.cron, each.time_zone)
    return spec


def _schedule_spec(document: Document) -> ScheduleSpec:
    spec = validated(document, ("spec",), ScheduleSpec)
    check_cron(document, ("spec",), "schedule", spec.schedule or "@hourly", spec.time_zone)
    return spec


def _kind(document: Document) -> str:
    """Return the document's kind. Raises SpecError for a document that is not a Kubernetes object."""
    value = document.value
    if not isinstance(value, dict):
        raise document.error((), f"not a Kubernetes object; write apiVersion: {API_VERSION} and kind: WorkerPool")
    found = cast("dict[str, Any]", value)
    kind, version = found.get("kind"), found.get("apiVersion")
    if not isinstance(kind, str) or not isinstance(version, str):
        missing = "kind" if isinstance(version, str) else "apiVersion"
        raise document.error(
            (), f"{missing} is missing; write apiVersion: {API_VERSION} and kind: WorkerPool or CronJobSpec"
        )
    is_own = version.partition("/")[0] == GROUP or kind in _SPECS
    if is_own and kind not in _SPECS:
        raise document.error(("kind",), f"unknown kind {kind!r}{did_you_mean(kind, _SPECS)}")
    if is_own and version != API_VERSION:
        raise document.error(("apiVersion",), f"unknown version {version!r}; write {API_VERSION}")
    return kind


def _meta(document: Document, namespace: str) -> Meta:
    given = document.value.get("metadata")
    if not isinstance(given, dict):
        raise document.error(("metadata", "name"), "is missing")
    metadata = cast("dict[str, Any]", given)
    known = {name: metadata[name] for name in ("name", "namespace") if name in metadata}
    return validated(document, ("metadata",), Meta, {"namespace": namespace} | known)
